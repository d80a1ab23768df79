"""What a comparison of the two objectives shows, in a sentence that claims no more than it can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEGLIGIBLE = 0.03
"""A gain in speed that nobody would notice."""

SIGNIFICANCE = 0.05
"""Of the sign-flip test over seeds; the customary one."""


def verdict(result: Mapping[str, Any]) -> str:
    """Which objective gave the faster networks at equal accuracy, as far as the seeds show it."""
    found = result.get("equal_accuracy") or {}
    ratio = found.get("ratio")
    if ratio is None:
        return "the fronts share no accuracy at which they could be compared"
    return _of_one(ratio["median"]) if ratio["n"] == 1 else _of_several(found)


def _of_one(ratio: float) -> str:
    lone = "one seed shows no spread, so chance is not excluded"
    if abs(ratio - 1) < NEGLIGIBLE:
        return (
            f"no difference at equal accuracy in the one seed compared ({ratio:.2f} times); {lone}"
        )
    return f"at equal accuracy, in the one seed compared, {_gained(ratio)}; {lone}"


def _of_several(found: Mapping[str, Any]) -> str:
    ratio, n = found["ratio"], found["ratio"]["n"]
    low, high = sorted(_speed_up(end, ratio["median"]) for end in (ratio["low"], ratio["high"]))
    extent = f"{low:.2f} to {high:.2f} over {n} seeds"
    if max(abs(ratio["low"] - 1), abs(ratio["high"] - 1)) < NEGLIGIBLE:
        return (
            f"no difference: at equal accuracy both are within {100 * NEGLIGIBLE:.0f} % ({extent})"
        )
    told = f"at equal accuracy {_gained(ratio['median'])} (median; {extent})"
    sure = f"{found['chance']:.2g} is the probability of as much by chance"
    if found["chance"] <= SIGNIFICANCE:
        return f"{told}; {sure}"
    ahead = sum(mean is not None and (mean > 1) == (ratio["median"] > 1) for mean in found["runs"])
    if ahead == n:
        return (
            f"{told}, the same way in all {n} seeds; yet {sure}: {n} seeds are too few to show a "
            "difference"
        )
    return f"no difference is shown: {told}, that way in {ahead} of {n} seeds; {sure}"


def _gained(ratio: float) -> str:
    better, worse = ("latency", "operations") if ratio > 1 else ("operations", "latency")
    if abs(ratio - 1) < 0.005:
        return "both searches found networks equally fast"
    return (
        f"the search for {better} found networks {_speed_up(ratio, ratio):.2f} times as fast as "
        f"those of the search for {worse}"
    )


def _speed_up(ratio: float, median: float) -> float:
    """The ratio as that of the side which is ahead by the median."""
    return ratio if median > 1 else 1 / ratio
