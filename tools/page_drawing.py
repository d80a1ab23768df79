"""Pieces that the page's pictures are drawn with: colours, stairs, the layout they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from tools.page_data import Candidate
from tools.page_marks import Place

PLAIN, FRONT, TUNED, BAD = "#7c8ba1", "#e4572e", "#2a9d6f", "#c2405a"

SERIES = ((FRONT, "circle"), ("#3b82c4", "diamond"), (TUNED, "square"), ("#9a5fc0", "triangle-up"))
"""Colour and marker of fronts side by side: told apart without colour as well."""

ERROR_TITLE = "clips wrong (%)"


def staircase(corners: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of corners (x, y) those with the least y so far, by x: their front, both minimised."""
    kept: list[tuple[float, float]] = []
    for x, y in sorted(corners):
        if not kept or y < kept[-1][1]:
            kept.append((x, y))
    return kept


def points(candidates: Sequence[Candidate], x: Place, y: Place) -> list[tuple[float, float]]:
    """The coordinates of those candidates that have both."""
    pairs = [(x(c), y(c)) for c in candidates]
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def stairs(corners: Iterable[tuple[float, float]], color: str) -> dict[str, Any]:
    """A line along the front of the corners."""
    steps = staircase(corners)
    return {
        "type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False,
        "x": [x for x, _ in steps], "y": [y for _, y in steps],
        "line": {"color": color, "width": 1.5, "shape": "hv"},
    }  # fmt: skip


def coordinates(figure: go.Figure, which: str, yaxis: str = "y") -> list[float]:
    """All coordinates on an axis."""
    traces = [t for t in figure.data if which == "x" or (t.yaxis or "y") == yaxis]
    return [value for trace in traces for value in trace[which] if value is not None]


def laid_out(figure: go.Figure, **layout: Any) -> go.Figure:  # noqa: ANN401  # plotly's settings
    """The figure with the look that all share."""
    figure.update_layout(
        template=None,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 58, "r": 12, "t": 34, "b": 48},
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1,
            "yanchor": "bottom",
            "xanchor": "left",
            "itemsizing": "constant",
        },
        hovermode="closest",
        hoverlabel={"align": "left"},
        **layout,
    )
    return figure
