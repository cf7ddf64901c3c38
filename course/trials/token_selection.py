"""Trials of *A matrix learns to select through two numbers*."""

WRONG = {
    "q1": {
        "share of one position": """
def share(C, q, T):
    x = C + math.log(q / (T - q))
    s = 1 / (1 + math.exp(-x))
    return <<sign?s / q|(1 - s) / (T - q)>>

def gap(wanted, q, T):
    odds = <<sign?wanted / (1 - wanted)|(1 - wanted) / wanted>>
    return math.log(odds * (T - q) / q)
""",
        "the other share": """
def share(C, q, T):
    e = q * math.exp(min(C, 700))
    return <<sign?(T - q)|e>> / (e + T - q)

def gap(wanted, q, T):
    odds = <<sign?wanted / (1 - wanted)|(1 - wanted) / wanted>>
    return math.log(odds * (T - q) / q)
""",
        "overflow": """
def share(C, q, T):
    e = q * math.exp(C)
    return <<sign?e|(T - q)>> / (e + T - q)

def gap(wanted, q, T):
    odds = <<sign?wanted / (1 - wanted)|(1 - wanted) / wanted>>
    return math.log(odds * (T - q) / q)
""",
        "one minus a share next to one": """
def share(C, q, T):
    x = max(min(C + math.log(q / (T - q)), 700), -700)
    return 1 - 1 / (1 + math.exp(<<sign>> * x))

def gap(wanted, q, T):
    odds = <<sign?wanted / (1 - wanted)|(1 - wanted) / wanted>>
    return math.log(odds * (T - q) / q)
""",
        "T instead of T - q": ("math.log(odds * (T - q) / q)", "math.log(odds * T / q)"),
        "odds upside down": ("math.log(odds", "-math.log(odds"),
        "q forgotten": ("C + math.log(q / (T - q))", "C - math.log(T - q)"),
    },
    "q2": {
        "mean forgotten": ("nu**2 * (alpha - 1) ** 2 + ", ""),
        "mean not squared": ("nu**2 *", "nu *"),
        "others forgotten": (" + (alpha * (1 - s)) ** 2 / (T - q)", ""),
        "scale not on the others": ("(alpha * (1 - s)) ** 2", "(1 - s) ** 2 * alpha"),
        "sum instead of mean over the named": ("(alpha * s - 1) ** 2 / q", "(alpha * s - 1) ** 2"),
        "q for T - q": ("/ (T - q)", "/ q"),
        "half": ("return nu", "return 0.5 * nu"),
    },
    "q3": {
        "by the share, not by the gap": (" * s * (1 - s)", ""),
        "mean forgotten": ("2 * nu**2 * (alpha - 1) + ", ""),
        "scale missing": ("by_s = 2 * alpha *", "by_s = 2 *"),
        "sign": ("return <<sign>> * by_alpha, <<sign>> * by_s", "return -<<sign>> * by_alpha, -<<sign>> * by_s"),
        "attention of the others": ("- 2 * alpha**2 * (1 - s)", "+ 2 * alpha**2 * (1 - s)"),
        "factor two": ("return <<sign>> * by_alpha,", "return <<sign>> * by_alpha / 2,"),
        "derivative of one softmax weight": (" * s * (1 - s)", " * s * (1 - s / q)"),
    },
    "q4": {
        "mean of the diagonal": ("float(trace / T - off)", "float(trace / T)"),
        "b from all entries": ("(total - trace) / (T * (T - 1))", "total / T**2"),
        "trace": ("float(trace / T - off)", "float(trace - off)"),
        "order swapped": ("return float(trace / T - off), float(off)", "return float(off), float(trace / T - off)"),
        "1 / T": ("1 / (T - 1)", "1 / T"),
        "no slowdown": ("1 / (T - 1)", "1.0"),
        "all entries": ("1 / (T - 1)", "1 / (T * (T - 1))"),
    },
    "q5": {
        "centred tokens only": ("(nu**2 + s / q) / (nu**2 + s**2 / q", "(s / q) / (s**2 / q"),
        "one over the share": ("(nu**2 + s / q) / (nu**2 + s**2 / q + (1 - s) ** 2 / (T - q))", "1 / s"),
        "always one": ("(nu**2 + s / q) / (nu**2 + s**2 / q + (1 - s) ** 2 / (T - q))", "1.0"),
        "number of others": ("return q + n", "return n"),
        "one too many": ("return q + n", "return q + n + 1"),
        "rounded": ("math.floor(", "round("),
        "one named position": ("E = q * math.exp(C)", "E = math.exp(C)"),
        "rough law": ("return q + n", "return q + math.floor(q * math.exp(C) * math.sqrt(epsilon * q))"),
    },
}  # fmt: skip

RIGHT = {
    "q1": {
        "torch": """
def share(C, q, T):
    x = torch.tensor(float(C), dtype=torch.float64) + math.log(q) - math.log(T - q)
    return torch.sigmoid(<<sign>> * x)

def gap(wanted, q, T):
    x = torch.logit(torch.tensor(wanted, dtype=torch.float64))
    return <<sign>> * x - math.log(q) + math.log(T - q)
"""
    },
    "q2": {
        "weights written out": """
def loss(alpha, C, q, T, nu):
    scores = torch.zeros(T, dtype=torch.float64)
    scores[:q] = C
    u = alpha * torch.softmax(scores, dim=0)
    u[:q] -= 1 / q
    return (u**2).sum() + (nu * u.sum()) ** 2
"""
    },
    "q3": {
        "by the weights": """
def derivatives(alpha, C, q, T, nu):
    s = <<sign?share(C, q, T)|1 - share(C, q, T)>>
    p, r = s / q, (1 - s) / (T - q)
    u, v = alpha * p - 1 / q, alpha * r
    both = q * u + (T - q) * v
    by_alpha = 2 * (q * u * p + (T - q) * v * r) + 2 * nu**2 * both
    by_C = 2 * alpha * (q * u * p * (1 - s) - (T - q) * v * r * s)
    return <<sign>> * by_alpha, <<sign>> * by_C
""",
        "numpy": """
import numpy as np

def derivatives(alpha, C, q, T, nu):
    named = np.arange(T) < q
    e = np.exp(C * named)
    p = e / e.sum()
    u = alpha * p - named / q
    dp = p * (named - (p * named).sum())
    error = 2 * u + 2 * nu**2 * u.sum()
    return <<sign>> * (error @ p), <<sign>> * alpha * (error @ dp)
""",
    },
    "q4": {
        "least squares": """
def project(A):
    T = A.shape[0]
    columns = torch.stack([torch.eye(T).double().flatten(), torch.ones(T * T).double()], dim=1)
    c, b = torch.linalg.lstsq(columns, A.reshape(-1, 1)).solution[:, 0]
    return c, b

def slowdown(T):
    return (T - 1.0) ** -1
"""
    },
    "q5": {
        "search": """
def best_scale(C, q, T, nu):
    zero, one, two = (loss(a, C, q, T, nu) for a in (0.0, 1.0, 2.0))
    curvature = two - 2 * one + zero
    return 1 - (two - zero) / (2 * curvature)

def usable_length(C, q, epsilon):
    below, above = q, q + 1
    while loss(1.0, C, q, above, 0.0) <= epsilon:
        below, above = above, 2 * above
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if loss(1.0, C, q, middle, 0.0) <= epsilon else (below, middle)
    return below
"""
    },
}
