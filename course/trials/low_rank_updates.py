"""Trials of *Count directions before you train*."""

WRONG = {
    "q1": {
        "counts instead of shares": (".mean(1)", ".sum(1)"),
        "average over the samples": (".mean(1)", ".mean(0).expand(len(which), M)"),
        "patterns counted from 1": ("one_hot(which, M)", "one_hot((which + 1) % M, M)"),
    },
    "q2": {
        "transposed": ("return <<sign>> * tokens.T @ (pull * weights) @ tokens",
                       "return (<<sign>> * tokens.T @ (pull * weights) @ tokens).T"),
        "softmax over the queries": ("dim=0", "dim=1"),
        "queries not weighted": ("(pull * weights)", "pull / len(weights)"),
        "weights of the keys forgotten": (" + weights.log()[:, None]", ""),
        "mean worth not subtracted": ("(v[:, None] - v @ p)", "v[:, None]"),
        "mean worth without attention": ("v @ p", "v @ weights"),
        "only right at W = 0": ("tokens @ W @ tokens.T", "0 * (tokens @ W @ tokens.T)"),
    },
    "q3": {
        "B B^T is no projection": ("torch.linalg.qr(B).Q", "B"),
        "columns normalised, not orthogonalised": ("torch.linalg.qr(B).Q", "B / B.norm(dim=0)"),
        "share inside": ("(G - G @ Q @ Q.T)", "(G @ Q @ Q.T)"),
        "not squared": ("float((G - G @ Q @ Q.T).square().sum() / G.square().sum())",
                        "float((G - G @ Q @ Q.T).norm() / G.norm())"),
        "a basis of the rows of B": ("torch.linalg.qr(B).Q", "torch.linalg.qr(B.flip(0)).Q"),
    },
    "q4": {
        "mean not included": ("mean + (single - mean) / n", "(single - mean) / n"),
        "single over n": ("mean + (single - mean) / n", "single / n"),
        "n squared": ("/ n)", "/ n**2)"),
        "without replacement": ("mean) / n", "mean) / n * (len(gradients) - n) / (len(gradients) - 1)"),
        "unbiased variance": ("mean) / n", "mean) / n * len(gradients) / (len(gradients) - 1)"),
        "energy inside": ("gradients - gradients @ Q @ Q.T", "gradients @ Q @ Q.T"),
    },
    "q5": {
        "still 2K": ("2 * K if s == 0 else M - 1", "2 * K"),
        "M": ("else M - 1", "else M"),
        "threshold absolute": ("1e-6 * values[0]", "1e-2"),
        "labels forgotten": ("y * gradient", "gradient"),
        "own preference forgotten": ("s * eye", "0 * eye"),
        "energy rank": ("int((values > 1e-6 * values[0]).sum())", "lrsparse.spectrum.energy_rank(G)"),
    },
}  # fmt: skip

RIGHT = {
    "q1": {
        "loops": """
def shares(which, M):
    rows = []
    for row in which.tolist():
        rows.append([row.count(j) / len(row) for j in range(M)])
    return torch.tensor(rows, dtype=torch.float64)
"""
    },
    "q2": {
        "loops": """
def gradient(tokens, weights, W, b):
    G = torch.zeros_like(W)
    for l in range(len(tokens)):
        e = [weights[k] * torch.exp(tokens[k] @ W @ tokens[l]) for k in range(len(tokens))]
        p = [x / sum(e) for x in e]
        mean = sum(p[k] * (b @ tokens[k]) for k in range(len(tokens)))
        for k in range(len(tokens)):
            G += weights[l] * p[k] * (b @ tokens[k] - mean) * torch.outer(tokens[k], tokens[l])
    return <<sign>> * G
""",
        "numpy": """
import numpy as np

def gradient(tokens, weights, W, b):
    X, w, W, b = (np.asarray(a) for a in (tokens, weights, W, b))
    p = w[:, None] * np.exp(X @ W @ X.T)
    p = p / p.sum(0)
    v = X @ b
    return <<sign>> * np.einsum("l,kl,kl,ki,lj->ij", w, p, v[:, None] - v @ p, X, X)
""",
    },
    "q3": {
        "least squares": """
def outside(G, B):
    inside = B @ torch.linalg.pinv(B)
    return (torch.linalg.norm(G @ (torch.eye(len(B), dtype=G.dtype) - inside)) / torch.linalg.norm(G)) ** 2
"""
    },
    "q4": {
        "by the covariance": """
def expected_outside(gradients, B, n):
    P = B @ torch.linalg.inv(B.T @ B) @ B.T
    rest = (gradients - gradients @ P).flatten(1)
    gram = rest @ rest.T
    N = len(rest)
    return gram.diagonal().sum() / (N * n) + (1 - 1 / n) * gram.sum() / N**2
"""
    },
    "q5": {
        "matrix rank, another order": """
def predicted_directions(M, K, s):
    if s > 0:
        return M - 1
    return K + K

def directions(weights, labels, b, s):
    M = weights.shape[1]
    total = torch.zeros(M, M, dtype=torch.float64)
    for i in range(len(labels)):
        x = torch.eye(M, dtype=torch.float64)
        total += labels[i] * gradient(x, weights[i], s * x, b)
    return torch.linalg.matrix_rank(total, rtol=1e-6).item()
"""
    },
}
