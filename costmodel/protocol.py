"""How something is timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from costmodel.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How often and how long something is timed."""

    repeats: int = 7
    """Samples taken in a round; each is a mean over enough runs to fill ``min_repeat_ms``."""
    min_repeat_ms: int = 5
    """Shortest time of one sample."""
    rounds: int = 3
    """Times that the whole list is gone through at least, in a new random order each time."""
    max_rounds: int = 10
    """Times that something is measured at most, while its rounds do not agree."""
    agreement: float = 0.01
    """Share that the two smallest medians of rounds may differ by, else it is measured again."""

    def __post_init__(self) -> None:
        if self.repeats < 1 or self.rounds < 1 or self.min_repeat_ms < 0:
            raise InputError(
                "a measuring protocol needs at least 1 repeat, 1 round and 0 ms a repeat; "
                f"got {self.repeats}, {self.rounds} and {self.min_repeat_ms}"
            )
        if self.max_rounds < self.rounds:
            raise InputError(f"max_rounds {self.max_rounds} is below rounds {self.rounds}")

    def settled(self, rounds: Sequence[Sequence[float]]) -> bool:
        """Whether these samples (seconds, by round) are enough.

        A disturbance (another process, a slower clock) only ever adds time and comes and goes
        within seconds; two rounds at different moments that agree were both undisturbed.
        """
        if len(rounds) < self.rounds:
            return False
        if len(rounds) >= self.max_rounds or self.max_rounds == 1:
            return True
        smallest, second = sorted(median(samples) for samples in rounds)[:2]
        return second <= smallest * (1 + self.agreement)


def undisturbed_seconds(rounds: Sequence[Sequence[float]]) -> float:
    """The time that samples (seconds, by round) speak for: mean of the two smallest medians.

    Disturbances only ever add time, so the smallest medians are the undisturbed ones; two of
    them, because the smallest alone falls with the number of rounds.
    """
    smallest = sorted(median(samples) for samples in rounds)[:2]
    return sum(smallest) / len(smallest)
