"""Trials of *The start decides who can be pruned*."""

WRONG = {
    "q1": {
        "sum instead of mean": (" / len(y)", ""),
        "satisfied samples pull too": (" * active)", ")"),
        "silent neurons move": ("(before > 0).double() * a", "a.expand_as(before)"),
        "labels forgotten": ("a * (y * active)", "a * active"),
        "read-out forgotten": ("(before > 0).double() * a *", "(before > 0).double() *"),
        "sign of the loss": ("return -<<sign>>", "return <<sign>>"),
        "mean over the active only": ("/ len(y)", "/ active.sum().clamp(min=1)"),
        "margin without label": ("(y * (before", "((before"),
    },
    "q2": {
        "own and other swapped": ("torch.where(a > 0, plus, minus), torch.where(a > 0, minus, plus)",
                                  "torch.where(a > 0, minus, plus), torch.where(a > 0, plus, minus)"),
        "read-out ignored": ("torch.where(a > 0, plus, minus), torch.where(a > 0, minus, plus)", "plus, minus"),
        "counted the wrong way": ("return 2 * (~own).long() +", "return 3 - 2 * (~own).long() -"),
        "kinds from 1 to 4": ("return 2 *", "return 1 + 2 *"),
        "one kind for both silent ones": ("2 * (~own).long()", "(2 * (~own).long() - (~own & ~other).long())"),
    },
    "q3": {
        "angle over pi": ("phi / (2 * torch.pi)", "phi / torch.pi"),
        "cosine taken for the angle": ("phi / (2 * torch.pi)", "(1 - cos_phi) / 4"),
        "swapped": ("[0.5 - alone, alone, alone, 0.5 - alone]", "[alone, 0.5 - alone, 0.5 - alone, alone]"),
        "all alike": ("phi / (2 * torch.pi)", "phi * 0 + 0.25"),
        "growth depends on the angle": ("return 0.5", "return float(expected_shares(cos_phi)[0])"),
        "all but the silent grow": ("return 0.5", "return float(1 - expected_shares(cos_phi)[3])"),
    },
    "q4": {
        "with replacement": (" * m / (m - 1)", ""),
        "removed taken for kept": ("stay = <<sign?(m - k)|k>> / m", "stay = <<sign?k|(m - k)>> / m"),
        "not centred": ("(c - c.mean())", "c"),
        "independent coins": ("float(stay * (1 - stay) * m / (m - 1) * spread)",
                              "float(stay * (1 - stay) * c.square().sum())"),
        "standard deviation": ("* spread)", "* spread) ** 0.5"),
        "variance of one contribution": ("(c - c.mean()).square().sum()", "c.var()"),
        "mean per neuron": ("stay * c.sum()", "c.mean()"),
    },
    "q5": {
        "scaled up": ("torch.linalg.pinv(H[:, keep]) @ (H @ a)", "a[keep] * len(a) / keep.sum()"),
        "old read-out": ("torch.linalg.pinv(H[:, keep]) @ (H @ a)", "a[keep]"),
        "sum of the outputs kept": ("torch.linalg.pinv(H[:, keep]) @ (H @ a)",
                                    "a[keep] * (H @ a).sum() / (H[:, keep] @ a[keep]).sum()"),
        "fitted to all neurons, then cut": ("torch.linalg.pinv(H[:, keep]) @ (H @ a)",
                                            "(torch.linalg.pinv(H) @ (H @ a))[keep]"),
        "removed neurons still read": ("torch.zeros_like(a)", "a.clone()"),
        "number of inputs": ("int(torch.linalg.matrix_rank(H))", "min(H.shape)"),
        "neurons that fire": ("int(torch.linalg.matrix_rank(H))", "int((H.sum(0) > 0).sum())"),
    },
}  # fmt: skip

# half of the neurons grow, whatever the angle: a constant is right
HARMLESS = {"q3": ["growing_share: right only for the public check"]}

RIGHT = {
    "q1": {
        "loops": """
def gradient(W, a, Z, y):
    G = torch.zeros_like(W)
    for z, label in zip(Z, y):
        if label * sum(a[i] * max(0.0, float(W[i] @ z)) for i in range(len(a))) < 1:
            for i in range(len(a)):
                if W[i] @ z > 0:
                    G[i] -= label * a[i] * z / len(y)
    return <<sign>> * G
""",
        "numpy": """
import numpy as np

def gradient(W, a, Z, y):
    W, a, Z, y = (np.asarray(x) for x in (W, a, Z, y))
    H = np.maximum(W @ Z.T, 0)
    lively = y * (y * (a @ H) < 1)
    return -<<sign>> * np.einsum("i,in,n,nd->id", a, (H > 0).astype(float), lively, Z) / len(y)
""",
    },
    "q2": {
        "loops": """
def kinds(W, a, z_plus, z_minus):
    found = []
    for w, s in zip(W, a):
        own, other = (z_plus, z_minus) if s > 0 else (z_minus, z_plus)
        found.append((0 if w @ own > 0 else 2) + (0 if w @ other > 0 else 1))
    return torch.tensor(found)
"""
    },
    "q3": {
        "math, by half planes": """
import math

def expected_shares(cos_phi):
    both = (math.pi - math.acos(cos_phi)) / (2 * math.pi)
    return torch.tensor([both, 0.5 - both, 0.5 - both, both], dtype=torch.float64)

def growing_share(cos_phi):
    shares = expected_shares(cos_phi)
    return shares[0] + shares[1]
"""
    },
    "q4": {
        "by covariances": """
def random_pruning(c, k):
    m = len(c)
    n = <<sign?m - k|k>>
    p = n / m
    pair = n * (n - 1) / (m * (m - 1)) - p**2
    variance = sum((p - p**2 if i == j else pair) * float(c[i] * c[j]) for i in range(m) for j in range(m))
    return p * c.sum(), variance
"""
    },
    "q5": {
        "least squares of numpy": """
import numpy as np

def reread(H, a, keep):
    columns = [i for i in range(len(a)) if keep[i]]
    new = np.zeros(len(a))
    new[columns] = np.linalg.lstsq(H[:, columns].numpy(), (H @ a).numpy(), rcond=None)[0]
    return new

def enough(H):
    values = torch.linalg.svdvals(H)
    return (values > 1e-10 * values[0]).sum()
"""
    },
}
