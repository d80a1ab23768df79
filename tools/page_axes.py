"""Axes of the page's plots: linear or logarithmic by the data, ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tools.page_text import number

LOG_FROM = 8.0
"""Largest over smallest value from which an axis is logarithmic."""

PADDING = 0.05
"""Room beyond the outermost points, as a share of the axis."""


def axis(title: str, values: Sequence[float], *, log: bool | None = None) -> dict[str, Any]:
    """Layout of an axis on which these values are drawn; ``log`` None leaves it to them."""
    positive = bool(values) and min(values) > 0
    if log is None:
        log = positive and max(values) / min(values) >= LOG_FROM
    if not log or not positive:
        return {"title": {"text": title}, "type": "linear", "zeroline": False}
    low, high = log_limits(values)
    ticks = round_ticks(low, high)
    return {
        "title": {"text": f"{title}, log"},
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickvals": ticks,
        "ticktext": [number(tick, 2) for tick in ticks],
    }


def log_limits(values: Sequence[float]) -> tuple[float, float]:
    """Where a logarithmic axis begins and ends so that no positive value lies on its edge."""
    low, high = min(values), max(values)
    room = max((high / low) ** PADDING, 1.03)
    return low / room, high * room


def round_ticks(low: float, high: float) -> list[float]:
    """Round numbers within the limits of a logarithmic axis: about four to ten of them."""
    decades = math.log10(high / low)
    steps: tuple[float, ...] = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    if decades > 0.7:
        steps = (1, 2, 3, 5)
    if decades > 1.6:
        steps = (1, 3)
    if decades > 3:
        steps = (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    # Through text: 10 ** -2 * 3 is not the float 0.03.
    candidates = [float(f"{step}e{exponent}") for exponent in exponents for step in steps]
    return [tick for tick in candidates if low <= tick <= high]
