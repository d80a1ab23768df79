"""Work that is repeated on a GPU: recorded once as a CUDA graph, from then on launched whole.

An iteration of a small network is some hundred kernels of a few microseconds each. Launched one by
one, they take the CPU longer than the GPU; a graph of them is one launch.

A graph repeats the same kernels on the same addresses with the same numbers: work to be recorded
does the same every time, reads from tensors that stay what differs, and asks the GPU for nothing.
The steps are those of "Whole-network capture" in the notes on CUDA of PyTorch's documentation.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence

import torch

Work = Callable[[], None]
State = Callable[[], Sequence[torch.Tensor]]
"""All tensors that a work changes and that outlive a call."""

REHEARSALS = 3
"""Before a recording, so that libraries have set themselves up: as many as torch's notes have."""
_AGREEMENT = 0.05
"""Largest difference, as a share, of what rehearsals and replays come to. It tells another
computation from rounding: kernels add up in orders that change, in TF32 or bfloat16."""
_NEXT_TO_NOTHING = 1e-3
"""Below it, a difference is none."""
_failed: list[torch.cuda.CUDAGraph] = []
"""Recordings that broke off in this process, one at most. Up to torch 2.12 its allocator is left
looking at such a one, which therefore stays, and no other is begun."""


def recorded(work: Work, state: State, witness: torch.Tensor) -> Work | None:
    """What does ``work`` as a CUDA graph; None where that cannot be, such as on a CPU.

    A graph is given only if it comes to the same as ``work``; on a GPU a RuntimeWarning says why
    there is none. The state is afterwards what it was before.

    Args:
        work: Runs on one device, which is torch's current one, with all its tensors there.
        state: What it changes. A tensor that comes into being with the first call is taken to
            begin as zeros, as the moments of Adam do.
        witness: One of the state's: a number that grows by what a call came to, such as a loss.

    """
    device = witness.device
    if device.type != "cuda" or _failed:
        return None
    current, aside = torch.cuda.current_stream(device), _side_stream(device)
    aside.wait_stream(current)
    with torch.cuda.stream(aside):
        expected = rehearse(work, state, witness)
    current.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=aside):
            work()
        found = rehearse(graph.replay, state, witness)
    except RuntimeError as error:
        torch.cuda.set_stream(current)  # torch does not come back from one that broke off
        _failed.append(graph)
        cause = error.__context__ or error  # behind "the recording is invalid": what made it so
        _warn(str(cause).partition("\n")[0])
        return None
    if not same(found, expected):
        _warn(f"it came to {float(found):.4g} in place of {float(expected):.4g}")
        return None
    return graph.replay


def rehearse(work: Work, state: State, witness: torch.Tensor) -> torch.Tensor:
    """Does ``work`` a few times and undoes it; returns by how much ``witness`` had grown."""
    before = [(tensor, tensor.clone()) for tensor in state()]
    values = {id(tensor): value for tensor, value in before}
    try:
        for _ in range(REHEARSALS):
            work()
        return witness - values[id(witness)]
    finally:
        with torch.no_grad():
            for tensor in state():
                if id(tensor) in values:
                    tensor.copy_(values[id(tensor)])
                else:
                    tensor.zero_()


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two runs of a work came to the same, but for rounding."""
    return torch.allclose(found, expected, rtol=_AGREEMENT, atol=_NEXT_TO_NOTHING, equal_nan=True)


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One a device for all recordings of a process: libraries keep memory for each stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _warn(why: str) -> None:
    text = f"no CUDA graph of a training's iteration ({why}); training goes on without, slower"
    warnings.warn(text, RuntimeWarning, stacklevel=3)
