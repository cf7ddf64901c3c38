"""What public checks and hidden tests share. Travels with every assignment, so it imports nothing of this project.

A test calls the student's function through :func:`run`, takes the result through :func:`tensor`, :func:`number` or
:func:`whole`, which turn it into plain float64 before anything is compared, and compares with :func:`same`. So an
object of the student's own class never takes part in a comparison. All faults are AssertionErrors that say what to do.
"""

import copy
import math
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

# Drawn anew whenever tests are loaded; a batch sets it, so that all its submissions meet the same inputs.
SEED = int(os.environ.get("COURSE_SEED") or secrets.randbelow(2**31))
# Exact types: a subclass may answer what it likes.
NUMBERS = (int, float, np.float64, np.float32, np.int64, np.int32)


class TooLong(BaseException):
    """Not an Exception, so that a bare ``except Exception`` of the submission does not swallow it."""


def generator(salt: int = 0) -> torch.Generator:
    """Draws that nobody knows before grading; another ``salt``, other draws."""
    return torch.Generator().manual_seed(SEED + 1_000_003 * salt)


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Raise TooLong in here after so many seconds, where the system has timers (not on Windows)."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Generator):
        return value.clone_state()
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if type(value) in (list, tuple):
        return type(value)(map(_copy, value))
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    return copy.deepcopy(value) if isinstance(value, np.ndarray) else value


def _changed(before: Any, after: Any) -> bool:
    """Whether an argument is not what it was; only of what a function could change by accident."""
    if isinstance(before, torch.Tensor | np.ndarray):
        same_type = type(before) is type(after) and before.shape == after.shape and before.dtype == after.dtype
        return not same_type or not bool((np.asarray(_plain(before)) == np.asarray(_plain(after))).all())
    if type(before) in (list, tuple):
        return len(before) != len(after) or any(map(_changed, before, after))
    if type(before) is dict:
        return before.keys() != after.keys() or any(_changed(before[key], after[key]) for key in before)
    return False


def _plain(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, torch.Tensor) else value


def run(f: Callable[..., Any] | None, *arguments: Any, seconds: float = 10.0) -> Any:
    """``f(*arguments)`` on copies, at most ``seconds`` long; whatever goes wrong in it is an AssertionError."""
    name = getattr(f, "__name__", "the function")
    if f is None or not callable(f):
        raise AssertionError("the function of this question is not defined: run the cell that defines it first")
    copies = _copy(list(arguments))
    try:
        with _limit(seconds):
            result = f(*copies)
    except NotImplementedError:
        raise AssertionError(f"{name} is still a stub: it raises NotImplementedError") from None
    except TooLong:
        raise AssertionError(f"{name} was stopped after {seconds:g} s") from None
    except (KeyboardInterrupt, AssertionError):
        raise
    except BaseException as error:  # sys.exit too
        where = [f" in line {tb.tb_lineno} of {tb.tb_frame.f_code.co_name}" for tb in _frames(error)][-1:]
        raise AssertionError(f"{name} raised {type(error).__name__}: {error}{''.join(where)}") from None
    for i, (before, after) in enumerate(zip(arguments, copies, strict=True)):
        if _changed(before, after):
            raise AssertionError(f"{name} changed its argument number {i + 1} in place: work on a copy")
    return result


def _frames(error: BaseException) -> Iterator[Any]:
    trace = error.__traceback__.tb_next if error.__traceback__ else None
    while trace:
        yield trace
        trace = trace.tb_next


def tensor(value: Any, shape: tuple[int, ...], what: str = "the result") -> torch.Tensor:
    """``value`` as a float64 tensor of this shape with finite entries; numpy arrays are welcome."""
    if type(value) is np.ndarray:
        value = torch.from_numpy(np.array(value, dtype=np.float64))
    if type(value) is torch.nn.Parameter:
        value = value.data
    if type(value) is not torch.Tensor:
        raise AssertionError(f"{what} must be a torch.Tensor, got {type(value).__name__}")
    if value.is_complex():
        raise AssertionError(f"{what} must be real, got {value.dtype}")
    if tuple(value.shape) != tuple(shape):
        raise AssertionError(f"{what} must have shape {tuple(shape)}, got {tuple(value.shape)}")
    value = value.detach().to("cpu", torch.float64).clone()
    if not bool(torch.isfinite(value).all()):
        raise AssertionError(f"{what} must be finite, but holds NaN or infinity")
    return value


def number(value: Any, what: str = "the result") -> float:
    """``value`` as a finite float: a Python or numpy number, or a tensor with one entry."""
    if type(value) in (torch.Tensor, np.ndarray) and value.shape == ():
        value = value.item()
    if type(value) not in NUMBERS:
        raise AssertionError(f"{what} must be a number, got {type(value).__name__}")
    value = float(value)
    if not math.isfinite(value):
        raise AssertionError(f"{what} must be finite, got {value}")
    return value


def whole(value: Any, what: str = "the result") -> int:
    """``value`` as an int; 3.0 is one, 3.5 is not."""
    found = number(value, what)
    if found != round(found):
        raise AssertionError(f"{what} must be a whole number, got {found:g}")
    return round(found)


def same(
    got: Any, want: Any, tolerance: float = 1e-8, hint: str = "compare with your derivation, line by line"
) -> None:
    """Raise unless ``got`` equals ``want`` up to ``tolerance`` times the largest entry of ``want`` (1 if that is 0).

    Both are floats or float64 tensors of one shape, as :func:`number` and :func:`tensor` return them.
    """
    got, want = (torch.as_tensor(value, dtype=torch.float64) for value in (got, want))
    if got.shape != want.shape:
        raise AssertionError(f"shapes {tuple(got.shape)} and {tuple(want.shape)} differ")
    if got.numel() == 0:
        return
    error = float((got - want).abs().max())
    allowed = tolerance * (float(want.abs().max()) or 1.0)
    if not error <= allowed:
        at = int((got - want).abs().argmax())
        pair = f"{got.flatten()[at]:.6g} instead of {want.flatten()[at]:.6g}"
        raise AssertionError(f"wrong by {error:.3g} where {allowed:.3g} is allowed ({pair}): {hint}")
