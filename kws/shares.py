"""A share with the number it is of, and the interval in which the true one probably lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
"""Of the intervals."""


@dataclass(frozen=True)
class Share:
    """``count`` of ``of`` clips.

    The interval is Wilson's score interval (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212): it
    stays within 0 and 1, has a width also at none and at all, and covers the true share as often
    as it says on average, as Brown, Cai and DasGupta (2001, Stat. Sci. 16, 101-133) recommend for
    small numbers. Clopper and Pearson's covers it at least that often and is wider for it.
    """

    count: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.of:
            raise ValueError(f"{self.count} of {self.of} is no share")

    @property
    def value(self) -> float | None:
        """The share itself; None of nothing."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Lowest and highest true share that agree with it; 0 and 1 of nothing."""
        if not self.of:
            return 0.0, 1.0
        z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
        share, weight = self.count / self.of, z * z / self.of
        centre = (share + weight / 2) / (1 + weight)
        half = z / (1 + weight) * math.sqrt(share * (1 - share) / self.of + weight / 4 / self.of)
        low = 0.0 if self.count == 0 else centre - half  # exact, where rounding would not be
        high = 1.0 if self.count == self.of else centre + half
        return low, high

    def json(self) -> dict[str, object]:
        """Share, counts and interval, as the commands print them."""
        return {
            "share": self.value,
            "count": self.count,
            "of": self.of,
            "interval": list(self.interval),
        }

    def __str__(self) -> str:
        if self.value is None:
            return "- (of 0)"
        low, high = (100 * end for end in self.interval)
        return f"{100 * self.value:.1f} % ({low:.1f} to {high:.1f}) of {self.of}"
