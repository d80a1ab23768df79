"""How long trainings will still take, by how long the latest ones took."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

LATEST = 8
"""Trainings whose mean is what one that has not begun is expected to take: as a search moves to
other networks, and ends more of them early, so does the mean."""


@dataclass
class _Training:
    """One that goes on."""

    began: float
    first: tuple[float, float] | None = None
    """Clock and share when it first told how far it was: it may go on from a checkpoint."""
    last: tuple[float, float] | None = None


class TimeLeft:
    """Follows trainings as they begin, go on and end."""

    def __init__(
        self, past: Iterable[float] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``past``: seconds that earlier ones took, in order; ``clock``: seconds."""
        self._clock = clock
        self._took = deque(past, maxlen=LATEST)
        self._running: dict[int, _Training] = {}

    def begins(self, number: int) -> None:
        """A training begins, or begins again."""
        self._running[number] = _Training(self._clock())

    def reaches(self, number: int, share: float) -> None:
        """So much of it is done, in [0, 1]."""
        training = self._running.get(number)
        if training is not None:
            training.last = (self._clock(), share)
            training.first = training.first or training.last

    def ends(self, number: int, *, counts: bool = True) -> None:
        """It is over; it tells how long others take if it ``counts``."""
        training = self._running.pop(number, None)
        if training is not None and counts:
            self._took.append(self._clock() - training.began)

    def seconds(self, waiting: int, at_a_time: int = 1) -> float | None:
        """Until the running ones and ``waiting`` more are over; None where nothing is known yet."""
        now = self._clock()
        rests = [self._rest(training, now) for training in self._running.values()]
        if not self._took:
            known = [rest for rest in rests if rest is not None]
            return max(known) if known and len(known) == len(rests) and not waiting else None
        mean = sum(self._took) / len(self._took)
        left = [
            max(0.0, mean - (now - training.began)) if rest is None else rest
            for training, rest in zip(self._running.values(), rests, strict=True)
        ]
        return max((sum(left) + waiting * mean) / max(1, at_a_time), max(left, default=0.0))

    def _rest(self, training: _Training, now: float) -> float | None:
        """By how quickly this one comes on."""
        if training.first is None or training.last is None:
            return None
        (first, at_first), (last, at_last) = training.first, training.last
        if at_last <= at_first:
            return None
        return max(0.0, (1 - at_last) * (last - first) / (at_last - at_first) - (now - last))


def words(seconds: float) -> str:
    """A time as roughly as it is known: ``about 40 s``, ``about 12 min``, ``about 3.5 h``."""
    if seconds < 90:
        return f"about {max(10, 10 * round(seconds / 10))} s"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"
