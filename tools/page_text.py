"""Numbers as people read them: sensible digits, a unit, and a dash where there is none."""

from __future__ import annotations

import html
import math

MISSING = "–"


def finite(value: float | None) -> float | None:
    """The value where it is a number that can be shown, else None."""
    return value if value is not None and math.isfinite(value) else None


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, never an exponent: ``0.0412``, ``1.20``, ``41,200``."""
    value = finite(value)
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    # Rounded first: 9.996 has the places of 10.0, not those of 9.99.
    rounded = float(f"{value:.{digits}g}")
    places = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{places}f}".replace("-", "−")


def quantity(value: float | None, unit: str) -> str:
    """A number with its unit."""
    return MISSING if finite(value) is None else f"{number(value)} {unit}"


def percent(share: float | None, places: int = 1) -> str:
    """A share in [0, 1] in percent, to one decimal: ``7.1``."""
    share = finite(share)
    return MISSING if share is None else f"{100 * share:.{places}f}"


def signed_percent(share: float | None) -> str:
    """A share in percent with its sign: ``+1.2 %``."""
    share = finite(share)
    return MISSING if share is None else f"{100 * share:+.1f} %".replace("-", "−")


def volume(share: float | None) -> str:
    """A hypervolume, or a difference of two, as a share of the box: ``0.7511``, ``−0.0100``."""
    share = finite(share)
    return MISSING if share is None else f"{share:.4f}".replace("-", "−")


def mflop(operations: int | None) -> str:
    """Operations in millions: ``8.12``."""
    return MISSING if operations is None else number(operations / 1e6)


def count(how_many: int, noun: str) -> str:
    """``1 trial``, ``1,200 trials``."""
    return f"{how_many:,} {noun}{'' if how_many == 1 else 's'}"


def in_plot(text: str) -> str:
    """Text for a plot, where plotly would read tags: shown as it is."""
    return html.escape(text).replace("\n", " ")


def architecture_lines(text: str, units_a_line: int = 3) -> str:
    """An architecture for a hover label, escaped, at most so many units a line."""
    units = text.split()
    lines = [units[i : i + units_a_line] for i in range(0, len(units), units_a_line)]
    return "<br>".join(in_plot(" ".join(line)) for line in lines)
