"""Trials of *What the first step knows*."""

WRONG = {
    "q1": {
        "the other orientation": ("P, Q = <<sign?(P, Q)|(P.T, Q.T)>>", "P, Q = <<sign?(P.T, Q)|(P, Q.T)>>"),
        "position instead of token": ("P[:, context]", "P[:, torch.arange(len(context)) % len(P)]"),
        "all positions alike": ("P[:, context] @ Q[:, last]", "P[:, context].mean(1)"),
        "last token instead of context": ("P[:, context] @ Q[:, last]", "P[:, last]"),
        "a hundred steps": """
def next_law(P, Q, context, last):
    P, Q = <<sign?(P, Q)|(P.T, Q.T)>>
    return P[:, context] @ Q[:, last]

def stationary(P):
    P = <<sign?P|P.T>>
    mu = torch.full((len(P),), 1 / len(P), dtype=P.dtype)
    for _ in range(100):
        mu = P @ mu
    return mu
""",
        "eigenvector not normalised": """
def next_law(P, Q, context, last):
    P, Q = <<sign?(P, Q)|(P.T, Q.T)>>
    return P[:, context] @ Q[:, last]

def stationary(P):
    values, vectors = torch.linalg.eig(<<sign?P|P.T>>)
    return vectors[:, (values - 1).abs().argmin()].real
""",
        "eigenvector of the transpose": ("P = <<sign?P|P.T>>", "P = <<sign?P.T|P>>"),
    },
    "q2": {
        "sum instead of mean": ("/ n)\n    return", ")\n    return"),
        "softmax without its mean": ("(by_a - (a * by_a).sum(1, keepdim=True))", "by_a"),
        "mean over positions": ("(a * by_a).sum(1, keepdim=True)", "by_a.mean(1, keepdim=True)"),
        "derivative of one softmax weight": ("a * (by_a - (a * by_a).sum(1, keepdim=True))", "a * (1 - a) * by_a"),
        "next token not subtracted": ("-= 1", "-= 0"),
        "repeated tokens overwrite": (
            "by_V.index_add_(0, contexts.flatten(), (a[:, :, None] * error[:, None, :]).flatten(0, 1) / n)",
            "by_V[contexts.flatten()] = (a[:, :, None] * error[:, None, :]).flatten(0, 1) / n"),
        "softmax over the tokens": ("torch.softmax(S, dim=0)", "torch.softmax(S, dim=1)"),
        "factor two": ("torch.einsum(\"nt,nti->ni\", a, values)", "2 * torch.einsum(\"nt,nti->ni\", a, values)"),
    },
    "q3": {
        "thresholded and divided": """
def prox(v, lam):
    a = v.sign() * (v.abs() - lam).clamp(min=0)
    return a / a.sum() if float(a.sum().abs()) > 1e-12 else torch.full_like(v, 1 / len(v))
""",
        "thresholded and shifted": """
def prox(v, lam):
    a = v.sign() * (v.abs() - lam).clamp(min=0)
    return a + (1 - a.sum()) / len(v)
""",
        "shifted and thresholded": """
def prox(v, lam):
    x = v - (v.sum() - 1) / len(v)
    return x.sign() * (x.abs() - lam).clamp(min=0)
""",
        "always the simplex": """
def prox(v, lam):
    ordered = v.sort(descending=True).values
    k = int((ordered - (ordered.cumsum(0) - 1) / torch.arange(1, len(v) + 1) > 0).sum())
    return (v - (ordered[:k].sum() - 1) / k).clamp(min=0)
""",
        "coarse search": """
def prox(v, lam):
    low, high = float(v.min()) - lam - 2, float(v.max()) + lam + 2
    for _ in range(12):
        theta = (low + high) / 2
        x = v - theta
        a = x.sign() * (x.abs() - lam).clamp(min=0)
        low, high = (theta, high) if a.sum() > 1 else (low, theta)
    return a
""",
        "sum zero": ("share = (sums[i] - 1)", "share = sums[i]"),
        "half the penalty": ("    kinks = torch.cat([v - lam", "    lam = lam / 2\n    kinks = torch.cat([v - lam"),
    },
    "q4": {
        "stationary law assumed": ("mean = P @ nu", "mean = nu"),
        "T forgotten": (" * nu / T", " * nu"),
        "start ignored": (" + torch.outer(mean - c, nu)", ""),
        "start shrinks too": ("torch.outer(mean - c, nu)", "torch.outer(mean - c, nu) / T"),
        "law of the tokens forgotten": ("(P - mean[:, None]) * nu / T", "(P - mean[:, None]) / T"),
        "gradient instead of step": ("return <<sign?step|step.T>>", "return <<sign?-step|-step.T>>"),
        "transposed": ("return <<sign?step|step.T>>", "return <<sign?step.T|step>>"),
        "the part that knows P unprojected": ("(P - mean[:, None])", "P"),
    },
    "q5": {
        "frequency forgotten": ("(Q - 1 / T) * nu", "(Q - 1 / T)"),
        "softmax forgotten": ("spread / T *", "spread *"),
        "even attention not subtracted": ("(Q - 1 / T)", "Q"),
        "mean law not subtracted": (" - (P @ nu).square().sum()", ""),
        "law of the tokens forgotten": ("(P.square().sum(0) * nu).sum()", "P.square().sum(0).mean()"),
        "stationary law assumed": ("(P @ nu).square()", "nu.square()"),
        "gradient instead of step": ("step = spread", "step = -spread"),
        "spread of the rows": ("P.square().sum(0)", "P.square().sum(1)"),
    },
}  # fmt: skip

RIGHT = {
    "q1": {
        "loops and an eigenvector": """
def next_law(P, Q, context, last):
    law = torch.zeros(len(P), dtype=torch.float64)
    for t, x in enumerate(context.tolist()):
        law += <<sign?Q[t, last] * P[:, x]|Q[last, t] * P[x]>>
    return law

def stationary(P):
    values, vectors = torch.linalg.eig(<<sign?P|P.T>>)
    mu = vectors[:, (values - 1).abs().argmin()].real
    return mu / mu.sum()
""",
        "very many steps, numpy": """
import numpy as np

def next_law(P, Q, context, last):
    P, Q = <<sign?(P.numpy(), Q.numpy())|(P.numpy().T, Q.numpy().T)>>
    return np.stack([P[:, x] for x in context.tolist()], axis=1) @ Q[:, last]

def stationary(P):
    M = <<sign?P.numpy()|P.numpy().T>>
    mu = np.linalg.matrix_power(0.5 * M + 0.5 * np.eye(len(M)), 2**22)[:, 0]
    return mu / mu.sum()
""",
    },
    "q2": {
        "loops": """
def gradients(V, S, contexts, lasts, nexts):
    V, S = <<sign?(V.T, S.T)|(V, S)>>  # rows
    by_V, by_S = torch.zeros_like(V), torch.zeros_like(S)
    n, T = contexts.shape
    for context, k, y in zip(contexts.tolist(), lasts.tolist(), nexts.tolist()):
        a = torch.exp(S[k]) / torch.exp(S[k]).sum()
        error = -torch.eye(len(V), dtype=V.dtype)[y]
        for t in range(T):
            error = error + a[t] * V[context[t]]
        jacobian = torch.diag(a) - torch.outer(a, a)
        by_S[k] += jacobian @ torch.stack([error @ V[x] for x in context]) / n
        for t in range(T):
            by_V[context[t]] += a[t] * error / n
    return <<sign?(by_V.T, by_S.T)|(by_V, by_S)>>
"""
    },
    "q3": {
        "bisection": """
def prox(v, lam):
    def at(theta):
        x = v - theta
        return x.sign() * (x.abs() - lam).clamp(min=0)
    low, high = v.min() - lam - 1, v.max() + lam + 1
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle).sum() > 1 else (low, middle)
    a = at((low + high) / 2)
    used = a != 0
    a[used] += (1 - a.sum()) / used.sum()
    return a
""",
        "active sets": """
def prox(v, lam):
    # the answer is positive on the largest entries and negative on the smallest
    order = v.sort(descending=True).values
    best = None
    for up in range(1, len(v) + 1):
        for down in range(0, len(v) - up + 1):
            chosen = torch.cat([order[:up] - lam, order[len(v) - down:] + lam])
            theta = (chosen.sum() - 1) / len(chosen)
            x = v - theta
            a = x.sign() * (x.abs() - lam).clamp(min=0)
            gap = abs(float(a.sum()) - 1)
            if best is None or gap < best[0]:
                best = gap, a
    return best[1]
""",
    },
    "q4": {
        "from the two moments": """
def value_step(P, nu, c, T):
    P = <<sign?P|P.T>>
    pair = torch.diag(nu) / T + (1 - 1 / T) * torch.outer(nu, nu)
    step = P @ pair - torch.outer(c, nu)
    return <<sign?step|step.T>>
"""
    },
    "q5": {
        "by conditioning": """
def score_step(P, Q, nu):
    P, Q = <<sign?(P, Q)|(P.T, Q.T)>>
    T, N = Q.shape
    M = P.T @ P
    same_place, two_places = (M.diagonal() * nu).sum(), nu @ M @ nu
    step = torch.zeros_like(Q)
    for k in range(N):
        difference = Q[:, k] - 1 / T
        by_a = (same_place - two_places) * difference + two_places * difference.sum()
        step[:, k] = nu[k] * (by_a - by_a.mean()) / T
    return <<sign?step|step.T>>
"""
    },
}
