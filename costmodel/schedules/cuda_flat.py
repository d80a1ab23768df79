"""Work that is shared out number by number: a thread to one or a few outputs, in their order."""

from __future__ import annotations

from costmodel.schedules.cuda_limits import Block
from costmodel.schedules.family import Schedule
from costmodel.target import GpuTarget

THREADS = (32, 64, 128, 256, 512)


def flat_points(
    name: str, outputs: int, target: GpuTarget, per_thread: tuple[int, ...]
) -> tuple[Schedule, ...]:
    """Points with the parameters ``threads`` of a block and ``per_thread`` outputs of a thread.

    No larger block is tried than the outputs fill by half.
    """
    return tuple(
        Schedule(name, (("threads", threads), ("per_thread", each)))
        for threads in THREADS
        for each in per_thread
        if (threads, each) == (THREADS[0], 1) or threads * each < 2 * outputs
        if Block((1, 1, -(-outputs // (threads * each))), (1, 1, threads), sums=each).fits(target)
    )
