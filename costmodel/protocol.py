"""How something is timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import ClassVar

from pydantic import ConfigDict

from costmodel.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How often, how long and under which conditions something is timed."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    repeats: int = 12
    """Samples in all, spread over the rounds; each is a mean over runs that fill
    ``min_repeat_ms``."""
    min_repeat_ms: float = 20
    """Shortest time of one sample; 0 makes each sample one run."""
    warm_up_ms: float = 10
    """Time spent running before the first sample of a round, at least; it goes on until two halves
    of it agree (see `STABLE`)."""
    rounds: int = 3
    """Times that the whole list is gone through at least, in a new random order each time."""
    max_rounds: int = 10
    """Times that something is measured at most, while its rounds do not agree."""
    agreement: float = 0.01
    """Share that the two smallest medians of rounds may differ by, else it is measured again."""
    flush_kb: int = 0
    """Memory written before each run, so that it starts from cold caches; 0 for none."""
    cpus: tuple[int, ...] = ()
    """Processors to run on, thread by thread; none: the runner's choice."""
    governor: str = ""
    """Frequency governor that the device must have; none: whichever it has."""
    cool_down_ms: float = 0
    """Pause before each kernel."""
    max_temperature_c: float | None = None
    """Temperature that the device must fall below before kernels are timed."""
    sentinel_every: int = 16
    """Kernels between two timings of a sentinel (see `costmodel.runners.pace`); 0 for none."""
    drift: float = 0.03
    """Share that a sentinel may differ from its first time by; what lies between is timed again.

    Large for a machine that is shared, which never keeps still: there the rounds must agree, and
    the pace is divided out.
    """

    def __post_init__(self) -> None:
        least = {
            "repeats": 1, "rounds": 1, "min_repeat_ms": 0, "warm_up_ms": 0, "agreement": 0,
            "flush_kb": 0, "cool_down_ms": 0, "sentinel_every": 0,
        }  # fmt: skip
        for name, lowest in least.items():
            if not getattr(self, name) >= lowest:
                raise InputError(
                    f"protocol: {name} must be at least {lowest}, got {getattr(self, name):g}"
                )
        if self.max_rounds < self.rounds:
            raise InputError(
                f"protocol: max_rounds {self.max_rounds} is below rounds {self.rounds}"
            )
        if not self.drift > 0:
            raise InputError(f"protocol: drift must be above 0, got {self.drift:g}")
        if any(cpu < 0 for cpu in self.cpus) or len(set(self.cpus)) != len(self.cpus):
            raise InputError(f"protocol: cpus must be distinct numbers from 0, got {self.cpus}")

    @property
    def passes(self) -> int:
        """Rounds that there are at least: not more than there are repeats."""
        return min(self.rounds, self.repeats)

    @property
    def samples(self) -> int:
        """Samples of one round."""
        return -(-self.repeats // self.passes)

    def settled(self, rounds: Sequence[Sequence[float]]) -> bool:
        """Whether these samples (seconds, by round) are enough.

        A disturbance (another process, a slower clock) only ever adds time and comes and goes
        within seconds; two rounds at different moments that agree were both undisturbed.
        """
        if len(rounds) < self.passes:
            return False
        if len(rounds) >= self.max_rounds or self.passes == 1:
            return True
        smallest, second = sorted(median(samples) for samples in rounds)[:2]
        return second <= smallest * (1 + self.agreement)


STABLE = 0.03
"""Share that the two halves of a warm-up may differ by."""
WARM_UPS = 10
"""Warm-ups at most, while their halves differ by more."""


def undisturbed_seconds(rounds: Sequence[Sequence[float]]) -> float:
    """The time that samples (seconds, by round) speak for: mean of the two smallest medians.

    Disturbances only ever add time, so the smallest medians are the undisturbed ones; two of
    them, because the smallest alone falls with the number of rounds.
    """
    smallest = sorted(median(samples) for samples in rounds)[:2]
    return sum(smallest) / len(smallest)
