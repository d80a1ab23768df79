"""Bars side by side, and an axis on the right, as plotly groups and matplotlib draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOTLY_GAP = 0.2
"""Of the room between two groups that is empty, where plotly is told none."""


def draw_bars(
    traces: Sequence[Mapping[str, Any]], inks: Sequence[str], gap: float, axes: Axes
) -> None:
    """The bars of all traces, those at one place beside each other; ``inks``: a colour a trace."""
    wide = (1 - gap) / len(traces)
    for number, (trace, ink) in enumerate(zip(traces, inks, strict=True)):
        shift = (number - (len(traces) - 1) / 2) * wide
        places = [place + shift for place in trace["x"]]
        axes.bar(places, list(trace["y"]), width=wide, color=ink, zorder=2)


def to_the_right(axes: Axes) -> None:
    """Makes an axis that lies over another one readable: ticks and title on the right."""
    axes.patch.set_visible(False)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.spines["right"].set_visible(True)
    axes.spines["left"].set_visible(False)
