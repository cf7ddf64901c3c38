"""Trials of *Subtraction takes two heads, and they stop early*."""

WRONG = {
    "q1": {
        "counts of the sets forgotten": (" + sizes.log()", ""),
        "others get the score of M": ("[C, -C, 0.0]", "[C, -C, -C]"),
        "M counted among the others": ("[C, -C, 0.0]", "[C, 0.0, 0.0]"),
        "attention of one position each": ("dim=0)", "dim=0) / sizes.clamp(min=1)"),
        "P and M exchanged": ("[C, -C, 0.0]", "[-C, C, 0.0]"),
        "overflow": """
def shares(C, a, b, T):
    e = torch.tensor([a * math.exp(C), b * math.exp(-C), T - a - b], dtype=torch.float64)
    return e / e.sum()

def loss(alpha, C, a, b, T):
    plus, minus, rest = shares(C, a, b, T).tolist()
    return (alpha * plus - 1) ** 2 / a + (alpha * minus + 1) ** 2 / b + (alpha * rest) ** 2 / max(T - a - b, 1)
""",
        "nobody else not thought of": (" / max(T - a - b, 1)", " / (T - a - b)"),
        "M served with a plus": ("(alpha * minus + 1) ** 2", "(alpha * minus - 1) ** 2"),
        "others forgotten": (" + (alpha * rest) ** 2 / max(T - a - b, 1)", ""),
        "variance of a mean forgotten": ("(alpha * rest) ** 2 / max(T - a - b, 1)", "(alpha * rest) ** 2"),
        "sizes exchanged": ("(alpha * plus - 1) ** 2 / a + (alpha * minus + 1) ** 2 / b",
                            "(alpha * plus - 1) ** 2 / b + (alpha * minus + 1) ** 2 / a"),
        "half": ("return named + ", "return 0.5 * named + 0.5 * "),
    },
    "q2": {
        "mean score not subtracted": ("mean = plus - minus ", "mean = 0.0 "),
        "mean score over positions": ("mean = plus - minus ", "mean = (a - b) / T "),
        "score of M is 0": ("minus * (-1 - mean)", "minus * (0 - mean)"),
        "score of M has the wrong sign": ("minus * (-1 - mean)", "minus * (1 - mean)"),
        "others do not lose": ("rest * (0 - mean)", "0.0"),
        "each share by itself": ("minus * (-1 - mean)", "-minus * (1 - minus)"),
        "value missing": ("2 * alpha * sum", "2 * sum"),
        "M wanted with a plus": ("(alpha * minus + 1) / b", "(alpha * minus - 1) / b"),
        "sizes forgotten": ("alpha * rest / max(T - a - b, 1)", "alpha * rest"),
        "uphill for downhill": ("return <<sign>> * by_alpha, <<sign>> * by_C",
                                "return -<<sign>> * by_alpha, -<<sign>> * by_C"),
        "factor two": ("by_alpha = 2 * sum", "by_alpha = sum"),
        "exchanged": ("return <<sign>> * by_alpha, <<sign>> * by_C", "return <<sign>> * by_C, <<sign>> * by_alpha"),
    },
    "q3": {
        "the set that is served": ("return 1 / <<sign?b|a>>", "return 1 / <<sign?a|b>>"),
        "better of both signs": ("return 1 / <<sign?b|a>>", "return 1 / max(a, b)"),
        "a head that stays asleep": ("return 1 / <<sign?b|a>>", "return 1 / a + 1 / b"),
        "nothing unserved": ("return 1 / <<sign?b|a>>", "return 0.0"),
        "one head": ("math.sqrt(H**2 + 16 / kappa) - H", "math.sqrt(1 + 16 / kappa) - 1"),
        "damping of the mean token forgotten": ("math.sqrt(H**2 + 16 / kappa) - H", "math.sqrt(16 / kappa)"),
        "kappa squared": ("math.sqrt(kappa)", "kappa"),
        "no kappa": ("math.sqrt(kappa)", "1"),
        "rate, not factor": ("return alike, 1 + 4 * eta", "return alike - 1, 4 * eta"),
        "exponential of the flow": ("1 + 4 * eta / (T * math.sqrt(kappa))",
                                    "math.exp(4 * eta / (T * math.sqrt(kappa)))"),
        "exchanged": ("return alike, 1 + 4 * eta / (T * math.sqrt(kappa))",
                      "return 1 + 4 * eta / (T * math.sqrt(kappa)), alike"),
    },
    "q4": {
        "mirror image always": ("math.log(b / a) - C", "-C"),
        "upside down": ("math.log(b / a) - C", "math.log(a / b) - C"),
        "half the logarithm": ("math.log(b / a) - C", "math.log(b / a) / 2 - C"),
        "both values positive": ("return other, alpha, -alpha", "return other, alpha, alpha"),
        "values not normalised": ("alpha = total / (a *", "alpha = 1 / (a *"),
        "others not in the softmax": (" + T - a - b  #", "  #"),
        "target not a mean": ("alpha = total / (a * ", "alpha = total / ("),
        "values exchanged": ("return other, alpha, -alpha", "return other, -alpha, alpha"),
    },
    "q5": {
        "kappa forgotten": ("2 * kappa *", "2 *"),
        "kappa on the other side": ("2 * kappa *", "2 / kappa *"),
        "no factor two": ("2 * kappa *", "kappa *"),
        "start forgotten": ("alpha**2 + 2", "2"),
        "start of the gap forgotten": ("travelled(x) - travelled(C)", "travelled(x) - travelled(0.0)"),
        "as if the gap were small": ("return w**2 / 2 if n == 0", "return x**2 / 2 if x < 50"),
        "as if there were no others": ("return w**2 / 2 if n == 0", "return w**2 / 2 if n >= 0"),
        "logarithm forgotten": (" + (1 - (2 * a / n) ** 2) * math.log(2 * a + n * w)", ""),
        "value not adapted to the gap": ("return 1 / g(end), end", "return 1 / math.tanh(end), end"),
        "equal sets only": ("total = a * math.exp(C) + b * math.exp(-C) + T - a - b",
                            "total = 2 * a * math.cosh(C) + T - 2 * a"),
        "without the others": ("total = a * math.exp(C) + b * math.exp(-C) + T - a - b",
                               "total = a * math.exp(C) + b * math.exp(-C)"),
        "loss relative to the target": ("math.sqrt(epsilon / (1 / a + 1 / b))", "math.sqrt(epsilon)"),
        "root forgotten": ("short = math.sqrt(epsilon / (1 / a + 1 / b))", "short = epsilon / (1 / a + 1 / b)"),
        "one too many": ("return T + math.floor(", "return T + math.ceil("),
        "only what is added": ("return T + math.floor(", "return math.floor("),
        "a factor of the length": ("T + math.floor(total * short / (1 - short))", "math.floor(T / (1 - short))"),
        "leading order": ("* short / (1 - short)", "* short"),
    },
}  # fmt: skip

RIGHT = {
    "q1": {
        "loops, numpy": """
import numpy as np

def shares(C, a, b, T):
    top = max(C, -C, 0.0)
    e = [np.exp(C - top)] * a + [np.exp(-C - top)] * b + [np.exp(-top)] * (T - a - b)
    p = np.array(e) / sum(e)
    return np.array([p[:a].sum(), p[a:a + b].sum(), p[a + b:].sum()])

def loss(alpha, C, a, b, T):
    p = shares(C, a, b, T)
    total = a * (alpha * p[0] / a - 1 / a) ** 2 + b * (alpha * p[1] / b + 1 / b) ** 2
    if T > a + b:
        total += (alpha * p[2]) ** 2 / (T - a - b)
    return total
""",
        "logarithms": """
def shares(C, a, b, T):
    logs = torch.tensor([C + math.log(a), math.log(b) - C] + [0.0] * (T - a - b), dtype=torch.float64)
    p = (logs - torch.logsumexp(logs, 0)).exp()
    return torch.stack([p[0], p[1], p[2:].sum()])

def loss(alpha, C, a, b, T):
    p = shares(C, a, b, T)
    size = torch.tensor([a, b, max(T - a - b, 1)], dtype=torch.float64)
    goal = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)
    return ((alpha * p - goal) ** 2 / size).sum()
""",
    },
    "q2": {
        "position by position": """
def slopes(alpha, C, a, b, T):
    u = [1.0] * a + [-1.0] * b + [0.0] * (T - a - b)
    y = [1 / a] * a + [-1 / b] * b + [0.0] * (T - a - b)
    e = [math.exp(C * x) for x in u]
    p = [x / sum(e) for x in e]
    mean = sum(x * z for x, z in zip(p, u))
    by_alpha = sum(2 * (alpha * p[i] - y[i]) * p[i] for i in range(T))
    by_C = sum(2 * (alpha * p[i] - y[i]) * alpha * p[i] * (u[i] - mean) for i in range(T))
    return <<sign>> * by_alpha, <<sign>> * by_C
""",
        "expanded, by exponentials": """
def slopes(alpha, C, a, b, T):
    up, down = math.exp(C), math.exp(-C)
    Z, dZ = a * up + b * down + T - a - b, a * up - b * down
    S = (a * up**2 + b * down**2 + T - a - b) / Z**2  # loss = alpha^2 S - 2 alpha R + 1/a + 1/b
    R = (up - down) / Z
    dS = 2 * (a * up**2 - b * down**2) / Z**2 - 2 * S * dZ / Z
    dR = (up + down) / Z - R * dZ / Z
    found = torch.tensor([2 * alpha * S - 2 * R, alpha**2 * dS - 2 * alpha * dR], dtype=torch.float64)
    return <<sign>> * found
""",
    },
    "q3": {
        "eigenvalues of 2 x 2 matrices": """
def lowest(a, b):
    return <<sign?b|a>> ** -1.0

def wake(H, T, eta, kappa):
    found = []
    for damped in (2 * H / T, 0.0):
        step = torch.tensor([[1 - eta * damped, 4 * eta / T], [4 * eta / (T * kappa), 1.0]], dtype=torch.float64)
        found.append(torch.linalg.eigvals(step).real.max())
    return found
""",
    },
    "q4": {
        "a search for the other gap": """
def exact_pair(C, a, b, T):
    def unfair(x):
        return a * (math.exp(C) - math.exp(x)) + b * (math.exp(-C) - math.exp(-x))
    middle = math.log(b / a) / 2
    other = brentq(unfair, middle, middle + 20) if C < middle else brentq(unfair, middle - 20, middle)
    u = torch.tensor([1.0] * a + [-1.0] * b + [0.0] * (T - a - b), dtype=torch.float64)
    p = torch.softmax(torch.tensor([[C], [other]], dtype=torch.float64) * u, dim=1)
    y = torch.tensor([1 / a] * a + [-1 / b] * b + [0.0] * (T - a - b), dtype=torch.float64)
    first, second = torch.linalg.lstsq(p.T, y[:, None]).solution[:, 0]
    return other, first, second
""",
        "one scale for both": """
def exact_pair(C, a, b, T):
    D = C - 0.5 * math.log(b / a)
    n, m = T - a - b, math.sqrt(a * b)
    value = (2 * m * math.cosh(D) + n) / (2 * m * math.sinh(D))
    return C - 2 * D, value, -value
""",
    },
    "q5": {
        "integrated in time; loss by search": """
from scipy.integrate import solve_ivp

def stop(alpha, C, a, T, kappa):
    def slope(t, z):
        Z = 2 * a * math.cosh(z[1]) + T - 2 * a
        g = 2 * a * math.sinh(z[1]) / Z
        dg = 2 * a * math.cosh(z[1]) / Z - g**2
        error = 2 / a * (1 - z[0] * g)
        return [error * g, error * z[0] * dg / kappa]
    end = solve_ivp(slope, (0, 5000), [alpha, C], method="LSODA", rtol=1e-10, atol=1e-12).y[:, -1]
    return end[0], end[1]

def usable_length(C, a, b, T, epsilon):
    Z = a * math.exp(C) + b * math.exp(-C) + T - a - b
    good = T
    while (1 / a + 1 / b) * (1 - Z / (Z + good + 1 - T)) ** 2 <= epsilon:
        good += 1
    return good
""",
        "integrated along the gap": """
from scipy.integrate import quad

def stop(alpha, C, a, T, kappa):
    def g(x):
        p = shares(x, a, a, T).tolist()
        return p[0] - p[1]
    def dg(x):
        p = shares(x, a, a, T).tolist()
        return p[0] + p[1] - (p[0] - p[1]) ** 2
    def missing(x):
        area, _ = quad(lambda s: g(s) / dg(s), C, x)
        return (alpha**2 + 2 * kappa * area) * g(x) ** 2 - 1
    end = brentq(missing, C, C + 10)
    return torch.tensor([1 / g(end), end], dtype=torch.float64)

def usable_length(C, a, b, T, epsilon):
    Z = a * math.exp(C) + b * math.exp(-C) + T - a - b
    kept = 1 - math.sqrt(epsilon * a * b / (a + b))
    return float(math.floor(Z / kept - Z)) + T
""",
    },
}
