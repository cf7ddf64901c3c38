"""Training by plain gradient steps, and runs over seeds."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from joblib import Parallel, delayed
from torch import Tensor, nn
from tqdm.auto import tqdm

Result = TypeVar("Result")


def hinge(outputs: Float[Tensor, " n"], labels: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean hinge loss ``max(0, 1 - y F)``; labels are -1 or +1."""
    if outputs.shape != labels.shape:
        shapes = tuple(outputs.shape), tuple(labels.shape)
        raise ValueError(f"outputs and labels must have one shape, got {shapes[0]} and {shapes[1]}")
    return torch.relu(1 - labels * outputs).mean()


def sgd(
    model: nn.Module,
    draw: Callable[[], tuple[tuple[Tensor, ...], Tensor]],
    *,
    lr: float,
    steps: int,
    loss: Callable[[Tensor, Tensor], Tensor] = hinge,
) -> Iterator[tuple[int, float]]:
    """Plain SGD: ``draw()`` returns (inputs of the model, labels); yields (steps done, loss before the step)."""
    for step in range(1, steps + 1):
        inputs, labels = draw()
        value = loss(model(*inputs), labels)
        model.zero_grad()
        value.backward()
        with torch.no_grad():
            for W in model.parameters():
                if W.grad is not None:  # it is None where W is frozen or not used
                    W.add_(W.grad, alpha=-lr)
        yield step, value.item()


def find_device(device: str) -> torch.device:
    """The device of that name (``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``); ValueError if this machine has none."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f'device must be "cpu" or an accelerator that this machine has, got {device!r}') from error
    return found


def random_orthonormal(rows: int, columns: int, generator: torch.Generator) -> Float[Tensor, "rows columns"]:
    """Orthonormal columns, uniformly distributed (Haar), float64."""
    if not 1 <= columns <= rows:
        raise ValueError(f"columns must lie between 1 and rows={rows}, got {columns}")
    Q, R = torch.linalg.qr(torch.randn(rows, columns, generator=generator, dtype=torch.float64))
    return Q * R.diagonal().sign()  # without the signs QR is not uniform


def over_seeds(
    run: Callable[[Any], Result], cases: Iterable[Any], *, jobs: int = 2, description: str = "runs"
) -> list[Result]:
    """``[run(case) for case in cases]`` in ``jobs`` processes of one thread each, with a progress bar."""
    cases = list(cases)
    quiet = "TQDM_DISABLE" in os.environ  # tqdm itself heeds it everywhere but in notebooks
    results = Parallel(n_jobs=jobs, return_as="generator")(delayed(_one_thread)(run, case) for case in cases)
    return list(tqdm(results, total=len(cases), desc=description, leave=False, disable=quiet))


def _one_thread(run: Callable[[Any], Result], case: Any) -> Result:
    torch.set_num_threads(1)
    return run(case)
