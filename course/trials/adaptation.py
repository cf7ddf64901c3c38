"""Trials of *What a low-rank step can reach*."""

WRONG = {
    "q1": {
        "no power steps": ("for _ in range(q):", "for _ in range(0):"),
        "powers multiplied out": """
def range_finder(W, k, q, generator):
    Y = W @ torch.randn(W.shape[1], k, generator=generator, dtype=torch.float64)
    for _ in range(q):
        Y = W @ (W.T @ Y)
    return torch.linalg.qr(Y).Q
""",
        "right directions": ("return Q", "return torch.linalg.qr(W.T @ Q).Q"),
        "not orthonormal": ("return Q", "return W @ omega / (W @ omega).norm(dim=0)"),
        "one column too few": ("W.shape[1], k,", "W.shape[1], k - 1,"),
        "powers of the wrong side": """
def range_finder(W, k, q, generator):
    Q = torch.linalg.qr(torch.randn(W.shape[0], k, generator=generator, dtype=torch.float64)).Q
    return Q
""",
    },
    "q2": {
        "the other end": ("if <<sign>> > 0", "if <<sign>> < 0"),
        "scale forgotten": ("values[part] * r / alpha", "values[part]"),
        "scale used twice": ("r / alpha", "r**2 / alpha**2"),
        "scale upside down": ("r / alpha", "alpha / r"),
        "not balanced": ("U[:, part] * root, root[:, None] * Vh[part]", "U[:, part] * root**2, Vh[part]"),
        "residual forgotten": ("return W - alpha / r * B @ A,", "return W,"),
        "Vh taken for V": ("Vh[part]", "Vh.T[part] if W.shape[0] == W.shape[1] else Vh.flip(0)[part]"),
    },
    "q3": {
        "columns only": ("(left @ torch.linalg.pinv(A)) @ A", "0"),
        "rows only": ("left = G - B @ (torch.linalg.pinv(B) @ G)", "left = G"),
        "out of reach": ("1 - rest.square()", "rest.square()"),
        "not squared": ("1 - rest.square().sum() / G.square().sum()", "1 - rest.norm() / G.norm()"),
        "factors taken for orthonormal": ("B @ (torch.linalg.pinv(B) @ G)", "B @ (B.T @ G)"),
        "both sides at once": ("1 - rest.square().sum()",
                               "(B @ torch.linalg.pinv(B) @ G @ torch.linalg.pinv(A) @ A).square().sum()"),
        "B = 0 divides by zero": ("torch.linalg.pinv(B)", "(torch.linalg.inv(B.T @ B) @ B.T)"),
    },
    "q4": {
        "scale missing in the gradients": ("s * G @ A.T, A - eta * s * B.T @ G", "G @ A.T, A - eta * B.T @ G"),
        "first order only": ("s * (new_B @ new_A - B @ A)", "s * ((new_B - B) @ A + B @ (new_A - A))"),
        "one factor after the other": ("A - eta * s * B.T @ G", "A - eta * s * (B - eta * s * G @ A.T).T @ G"),
        "ascent": ("B - eta * s * G @ A.T, A - eta", "B + eta * s * G @ A.T, A + eta"),
        "scale not squared": ("eta * s**2", "eta * s"),
        "B only": (" + (B.T @ G).square().sum()", ""),
        "change of the product": ("s * (new_B", "(new_B"),
    },
    "q5": {
        "frame taken for orthonormal": ("torch.linalg.solve((U.T @ U) * (V.T @ V), ((U.T @ D) * V.T).sum(1))",
                                        "((U.T @ D) * V.T).sum(1)"),
        "lengths only": ("(U.T @ U) * (V.T @ V)", "torch.diag(U.square().sum(0) * V.square().sum(0))"),
        "matrix product of the Gram matrices": ("(U.T @ U) * (V.T @ V)", "(U.T @ U) @ (V.T @ V)"),
        "one Gram matrix": ("(U.T @ U) * (V.T @ V)", "U.T @ U"),
        "two projections": ("torch.linalg.solve((U.T @ U) * (V.T @ V), ((U.T @ D) * V.T).sum(1))",
                            "(torch.linalg.pinv(U) @ D @ torch.linalg.pinv(V).T).diagonal()"),
    },
}  # fmt: skip

HARMLESS = {"q1": ["range_finder: sign"]}  # the range of -Q is that of Q

RIGHT = {
    "q1": {
        "svd of the sketch": """
def range_finder(W, k, q, generator):
    Q = torch.randn(W.shape[1], k, dtype=torch.float64, generator=generator)
    for step in range(2 * q + 1):
        Q = torch.linalg.svd((W if step % 2 == 0 else W.T) @ Q, full_matrices=False).U
    return Q
""",
        "numpy": """
import numpy as np

def range_finder(W, k, q, generator):
    M = W.numpy()
    Q = np.linalg.qr(M @ torch.randn(M.shape[1], k, generator=generator).double().numpy())[0]
    for _ in range(q):
        Q = np.linalg.qr(M @ np.linalg.qr(M.T @ Q)[0])[0]
    return Q
""",
    },
    "q2": {
        "eigenvectors and another sign": """
def start(W, r, alpha):
    values, V = torch.linalg.eigh(W.T @ W)
    V = V.flip(1)[:, : min(W.shape)]
    V = V[:, :r] if <<sign>> > 0 else V[:, -r:]
    left = W @ V
    sigma = left.norm(dim=0)
    root = torch.sqrt(sigma * r / alpha)
    return W - left @ V.T, -left / sigma * root, -root[:, None] * V.T
"""
    },
    "q3": {
        "orthonormal bases": """
def in_reach(G, B, A):
    def project(X):
        U, s, _ = torch.linalg.svd(X, full_matrices=False)
        U = U[:, s > 1e-12 * max(float(s[0]), 1e-300)] if float(s[0]) > 0 else U[:, :0]
        return U @ U.T
    rest = (torch.eye(len(B)).double() - project(B)) @ G @ (torch.eye(A.shape[1]).double() - project(A.T))
    return 1 - (rest.norm() / G.norm()) ** 2
"""
    },
    "q4": {
        "multiplied out": """
def step(G, B, A, s, eta):
    return -eta * s**2 * (G @ A.T @ A + B @ B.T @ G) + eta**2 * s**3 * G @ A.T @ B.T @ G

def decrease(G, B, A, s, eta):
    first = -eta * s**2 * (G @ A.T @ A + B @ B.T @ G)
    return -(G * first).sum()
"""
    },
    "q5": {
        "least squares": """
def best_numbers(D, U, V):
    columns = torch.einsum("mi,ni->mni", U, V).reshape(-1, U.shape[1])
    return torch.linalg.lstsq(columns, D.reshape(-1, 1)).solution[:, 0]
""",
        "loops": """
import numpy as np

def best_numbers(D, U, V):
    k = U.shape[1]
    M, t = np.zeros((k, k)), np.zeros(k)
    for i in range(k):
        t[i] = float(U[:, i] @ D @ V[:, i])
        for j in range(k):
            M[i, j] = float(U[:, i] @ U[:, j]) * float(V[:, i] @ V[:, j])
    return np.linalg.solve(M, t)
""",
    },
}
