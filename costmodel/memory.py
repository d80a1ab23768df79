"""Where the values between a network's kernels lie in one workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT_ELEMENTS = 16
"""64 bytes of float32: a cache line, and the widest vector."""


@dataclass(frozen=True)
class Arena:
    """A workspace and the place of each value in it, in float32 elements."""

    elements: int
    offsets: Mapping[str, int]


def plan_arena(
    writes: Sequence[str], reads: Sequence[Sequence[str]], sizes: Mapping[str, int]
) -> Arena:
    """Places values so that no two that are alive at once overlap, first fit in program order.

    Step i reads ``reads[i]`` and writes ``writes[i]``; ``sizes`` has the elements of the values
    to place (others, such as the network's input and output, live elsewhere).
    """
    last_use = {name: index for index, names in enumerate(reads) for name in names}
    offsets: dict[str, int] = {}
    alive: list[str] = []
    top = 0
    for index, name in enumerate(writes):
        alive = [other for other in alive if last_use.get(other, -1) >= index]
        if name not in sizes:
            continue
        size = _aligned(sizes[name])
        offset = 0
        for other in sorted(alive, key=offsets.__getitem__):
            if offset + size <= offsets[other]:
                break
            offset = max(offset, offsets[other] + _aligned(sizes[other]))
        offsets[name] = offset
        alive.append(name)
        top = max(top, offset + size)
    return Arena(top, offsets)


def _aligned(elements: int) -> int:
    return -(-elements // ALIGNMENT_ELEMENTS) * ALIGNMENT_ELEMENTS
