"""What a statement touches while the loops from some depth on turn, and what a cache misses."""

from __future__ import annotations

import math
from itertools import accumulate
from operator import mul

from costmodel.loopnest import Access, Loop, Statement
from costmodel.target import FLOAT_BYTES

KEPT_BELOW = 0.5
LOST_ABOVE = 2.0
"""Share of a cache that a loop's turn may touch so that the next finds all of it, or nothing."""

_Levels = list[list[int]]
"""[unit, extent] pairs, units ascending: extent places, unit elements apart, at every place of
the next level."""


def touched(loops: tuple[Loop, ...], access: Access, line_bytes: int) -> list[float]:
    """Bytes, in whole lines, that an access touches inside each depth: depths 0 to all loops.

    Elements that several loops reach (windows that overlap) count once: a loop whose stride lies
    within what the loops inside it cover makes that longer, another one repeats it.
    """
    line = line_bytes // FLOAT_BYTES
    levels: _Levels = []
    found = [float(line_bytes)]
    for loop, stride in zip(reversed(loops), reversed(access.strides), strict=True):
        if stride:
            _widen(levels, abs(stride), loop.extent)
            found.append(_lines(levels, line) * line_bytes)
        else:
            found.append(found[-1])
    found.reverse()
    return found


def distinct(loops: tuple[Loop, ...], access: Access) -> int:
    """Elements that an access touches in all."""
    levels: _Levels = []
    for loop, stride in zip(reversed(loops), reversed(access.strides), strict=True):
        if stride:
            _widen(levels, abs(stride), loop.extent)
    count = 1
    for _, extent in levels:
        count *= extent
    return count


class Footprint:
    """What a statement touches at each level of its loops, buffer by buffer.

    A buffer that is read and written counts once.
    """

    def __init__(self, statement: Statement, accesses: tuple[Access, ...], line_bytes: int) -> None:
        loops = statement.loops
        self.turns: list[int] = list(accumulate((loop.extent for loop in loops), mul, initial=1))
        """Times that the loops inside each depth are started."""
        buffers: dict[str, list[float]] = {}
        for access in accesses:
            sizes = touched(loops, access, line_bytes)
            known = buffers.get(access.buffer)
            buffers[access.buffer] = (
                sizes if known is None else [max(pair) for pair in zip(known, sizes, strict=True)]
            )
        self.total: list[float] = (
            [sum(sizes) for sizes in zip(*buffers.values(), strict=True)]
            if buffers
            else [0.0] * len(self.turns)
        )
        """Bytes that one turn of the loops inside each depth touches."""
        self.operands: list[float] = sorted(sizes[0] for sizes in buffers.values())
        """Bytes touched of each buffer, smallest first."""

    def traffic(self, cache_bytes: float) -> float:
        """Bytes fetched from beyond a cache of this size, each at least once.

        A turn of a loop finds what the turn before left, if the cache kept it. It does so surely
        where a turn touches half the cache or less and never where it touches twice as much: no
        cache evicts exactly what is oldest, and other data share it.
        """
        total = self.total
        fetched = total[-1]
        for depth in range(len(total) - 2, -1, -1):
            inside = total[depth + 1] / cache_bytes
            if inside <= KEPT_BELOW:
                fetched = total[depth]
                continue
            again = self.turns[depth + 1] // self.turns[depth] * fetched
            missed = min(1.0, math.log(inside / KEPT_BELOW) / math.log(LOST_ABOVE / KEPT_BELOW))
            fetched = missed * again + (1 - missed) * total[depth]
        return fetched


def _widen(levels: _Levels, stride: int, extent: int) -> None:
    """Adds a loop around what ``levels`` cover."""
    place = 0
    while place < len(levels) and levels[place][0] <= stride:
        place += 1
    if place and stride <= levels[place - 1][0] * levels[place - 1][1]:
        place -= 1
        unit = levels[place][0]
        levels[place][1] += (extent - 1) * stride // unit
    else:
        levels.insert(place, [stride, extent])
    current = levels[place]
    while place + 1 < len(levels) and levels[place + 1][0] <= current[0] * current[1]:
        unit, count = levels.pop(place + 1)
        current[1] += (count - 1) * unit // current[0]


def _lines(levels: _Levels, line: int) -> float:
    """Lines of ``line`` elements that hold what ``levels`` cover.

    Places with less than a line between them lie in lines that touch each other.
    """
    pieces, span = 1.0, 1
    for unit, extent in levels:
        if pieces == 1 and unit - span < line:
            span += (extent - 1) * unit
        else:
            pieces *= extent
    return pieces * max(1.0, span / line)
