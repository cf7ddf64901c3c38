"""Trials of *What frozen heads are blind to*."""

WRONG = {
    "q1": {
        "looks the other way": ("(<<sign>> * scores > 0)", "(-<<sign>> * scores > 0)"),
        "query and key swapped": ("\"na,hab,nib->nhi\", query, G, keys", "\"nb,hab,nia->nhi\", query, G, keys"),
        "scores themselves": ("(<<sign>> * scores > 0).to(keys.dtype)", "(<<sign>> * scores).clamp(min=0)"),
        "mean over those looked at": ("(looks @ keys)", "(looks @ keys / looks.mean(2, keepdim=True).clamp(min=1e-9))"),
        "sum over the keys": ("(keys.shape[1] * len(G) ** 0.5)", "len(G) ** 0.5"),
        "divided by m": ("len(G) ** 0.5", "len(G)"),
        "coordinates first": ("(looks @ keys).flatten(1)", "(looks @ keys).mT.flatten(1)"),
        "query among the keys": ("tokens[:, 0], tokens[:, 1:]", "tokens[:, 0], tokens"),
    },
    "q2": {
        "arccosine kernel of the ReLU": (
            "0.25 + torch.arcsin(rho.clamp(-1, 1)) / (2 * math.pi)",
            "((1 - rho.clamp(-1, 1) ** 2).sqrt() + (math.pi - torch.arccos(rho.clamp(-1, 1))) * rho) / (2 * math.pi)"),
        "correlation of the queries only": ("None, None] * keys\n", "None, None] * torch.ones_like(keys)\n"),
        "a quarter forgotten": ("0.25 + torch", "torch"),
        "keys not multiplied": ("(both * keys)", "both"),
        "sum over the keys": (".mean((2, 3))", ".sum((2, 3))"),
        "only equal positions": ("(both * keys).mean((2, 3))",
                                 "(both * keys).diagonal(dim1=2, dim2=3).mean(2)[:, :]"),
        "angle over pi": ("/ (2 * math.pi)", "/ math.pi"),
        "not clamped": ("rho.clamp(-1, 1)", "(rho * (1 + 1e-12))"),
    },
    "q3": {
        "variance": ("abs(key) * math.sqrt(both * (1 - both) / m)", "key**2 * both * (1 - both) / m"),
        "fair coin": ("0.25 + math.asin(rho) / (2 * math.pi)", "0.5"),
        "independent coins": ("0.25 + math.asin(rho) / (2 * math.pi)", "0.25"),
        "second moment": ("both * (1 - both)", "both"),
        "one over m": ("math.sqrt(both * (1 - both) / m)", "math.sqrt(both * (1 - both)) / m"),
        "keys not multiplied": ("abs(key) * math.sqrt", "math.sqrt"),
        "rounded down": ("math.ceil((", "int(("),
        "not squared": ("(deviation(x, y, 1) / epsilon) ** 2", "deviation(x, y, 1) / epsilon"),
    },
    "q4": {
        "errors of the full fit": (" / inverse.diagonal()", " * ridge"),
        "the other of the two": ("return <<sign?y - errors|errors>>", "return <<sign?errors|y - errors>>"),
        "diagonal of the matrix": ("inverse.diagonal()", "(1 / (K.diagonal() + ridge))"),
        "ridge forgotten": ("K + ridge * torch.eye", "K + 1e-12 * torch.eye"),
        "ridge n times": ("ridge * torch.eye(", "len(y) * ridge * torch.eye("),
        "hat matrix for its complement": ("(inverse @ y) / inverse.diagonal()",
                                          "(inverse @ y) * ridge / (K @ inverse).diagonal()"),
        "predictions of the full fit": ("return <<sign?y - errors|errors>>",
                                        "return <<sign?K @ inverse @ y|y - K @ inverse @ y>>"),
    },
    "q5": {
        "once instead of twice": ("float(2 * (even", "float((even"),
        "sum instead of half": ("even = (a + b) / 2", "even = a + b"),
        "odd half": ("even = (a + b) / 2", "even = (a - b) / 2"),
        "a constant allowed": ("means, full", "torch.cat([means, torch.ones_like(means[:, :1])], 1), full"),
        "everything even missed": ("(even - Q @ (Q.T @ even))", "even"),
        "labels of the inputs only": ("even = (a + b) / 2", "even = a"),
        "full rank": ("n + min(n, d)", "2 * n"),
        "means forgotten": ("n + min(n, d)", "n"),
        "few inputs forgotten": ("n + min(n, d)", "n + d"),
    },
}  # fmt: skip

RIGHT = {
    "q1": {
        "loops": """
def features(tokens, G):
    found = torch.zeros(len(tokens), G.shape[0], G.shape[1], dtype=torch.float64)
    for n, (query, *keys) in enumerate(tokens):
        for h, head in enumerate(G):
            for key in keys:
                if <<sign>> * (query @ head @ key) > 0:
                    found[n, h] += key / len(keys)
    return found.reshape(len(tokens), -1) / len(G) ** 0.5
"""
    },
    "q2": {
        "by the arc cosine, numpy": """
import numpy as np

def kernel(x, y):
    x, y = np.asarray(x), np.asarray(y)
    found = np.zeros((len(x), len(y)))
    for i in range(1, x.shape[1]):
        for j in range(1, y.shape[1]):
            inner = x[:, i] @ y[:, j].T
            angle = np.arccos(np.clip(inner * (x[:, 0] @ y[:, 0].T), -1, 1))
            found += inner * (np.pi - angle) / (2 * np.pi)
    return found / ((x.shape[1] - 1) * (y.shape[1] - 1))
"""
    },
    "q3": {
        "from the kernel": """
def deviation(x, y, m):
    mean = float(kernel(x[None], y[None]))
    return math.sqrt(max(0.0, mean * float(x[1] @ y[1]) - mean**2)) / math.sqrt(m)

def heads_needed(x, y, epsilon):
    m = int((deviation(x, y, 1) / epsilon) ** 2) + 1
    return m - 1 if m > 1 and deviation(x, y, m - 1) <= epsilon else m
"""
    },
    "q4": {
        "by the hat matrix": """
def leave_one_out(K, y, ridge):
    hat = torch.linalg.solve(K + ridge * torch.eye(len(K), dtype=torch.float64), K)
    fit = hat.T @ y
    h = hat.diagonal()
    predictions = (fit - h * y) / (1 - h)
    return <<sign?predictions|y - predictions>>
""",
        "by eigenvectors": """
def leave_one_out(K, y, ridge):
    values, U = torch.linalg.eigh(K)
    alpha = U @ ((U.T @ y) / (values + ridge))
    errors = alpha / (U**2 @ (1 / (values + ridge)))
    return <<sign?y - errors|errors>>
""",
    },
    "q5": {
        "least squares": """
def least_error(means, a, b):
    even = 0.5 * a + 0.5 * b
    rest = even - means @ (torch.linalg.pinv(means) @ even)
    return rest @ rest + rest @ rest

def predicted_rank(n, d):
    return 2 * n if n <= d else n + d
"""
    },
}
