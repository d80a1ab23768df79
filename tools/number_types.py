"""Numbers on the command line: what is allowed is said in words, and nan and infinity never are."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import click

N = TypeVar("N", int, float)


class Whole(click.IntRange):
    """A whole number between bounds."""

    name = "n"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:  # noqa: ANN401 - click's
        """The number; click's BadParameter, with what is allowed, where it is none."""
        try:
            number = int(value)
        except ValueError:
            self.fail(
                f"'{value}' is no whole number; allowed: {self._describe_range()}", param, ctx
            )
        return _within(self, number, param, ctx)

    def _describe_range(self) -> str:
        return _words(self)


class Number(click.FloatRange):
    """A finite number between bounds."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:  # noqa: ANN401 - click's
        """The number; click's BadParameter, with what is allowed, where it is none."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"'{value}' is no number; allowed: {self._describe_range()}", param, ctx)
        return _within(self, number, param, ctx)

    def _describe_range(self) -> str:
        return _words(self)


def _within(bounds: Any, number: N, param: Any, ctx: Any) -> N:  # noqa: ANN401 - as above
    low, high = bounds.min, bounds.max
    below = low is not None and (number <= low if bounds.min_open else number < low)
    above = high is not None and (number >= high if bounds.max_open else number > high)
    if below or above:
        bounds.fail(f"{number} is out of range; allowed: {_words(bounds)}", param, ctx)
    return number


def _words(bounds: Any) -> str:  # noqa: ANN401 - either of the two
    """The bounds as in help and errors: ``60 to 5000``, ``above 0``, ``at least 1``."""
    low, high = bounds.min, bounds.max
    if low is not None and high is not None and not (bounds.min_open or bounds.max_open):
        return f"{low:,} to {high:,}"
    words = []
    if low is not None:
        words.append(f"{'above' if bounds.min_open else 'at least'} {low:,}")
    if high is not None:
        words.append(f"{'below' if bounds.max_open else 'at most'} {high:,}")
    return " and ".join(words) or "any number"
