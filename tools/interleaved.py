"""Times of several programs side by side, so that what disturbs the machine disturbs all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

ROUNDS = 31
"""Of each program; an odd number, so that the median is one that was seen."""

SLICE_S = 0.01
"""Time of one program in one round: long against the clock's step, short against disturbances."""


def interleaved_ms(
    programs: Mapping[str, Callable[[], object]],
    *,
    rounds: int = ROUNDS,
    slice_s: float = SLICE_S,
    clock: Callable[[], float] = time.thread_time,
) -> dict[str, float]:
    """Milliseconds of one call of each program: the median over rounds of the mean in a round.

    In every round each program runs for about ``slice_s``. Time is that of the processor for this
    thread, which for a program of one thread is the clock's less what others took meanwhile.
    """
    calls = {name: _calls_in(program, slice_s, clock) for name, program in programs.items()}
    found: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            begin = clock()
            for _ in range(calls[name]):
                program()
            found[name].append((clock() - begin) / calls[name])
    return {name: median(seconds) * 1e3 for name, seconds in found.items()}


def _calls_in(program: Callable[[], object], slice_s: float, clock: Callable[[], float]) -> int:
    """Calls that fill a slice, by the time that the last of several takes."""
    begin = end = clock()
    last = slice_s
    while end - begin < slice_s:
        program()
        last, end = clock() - end, clock()
    return max(1, round(slice_s / max(last, 1e-9)))
