"""The front's members side by side: a bar for the latency of each, a mark for its error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from tools.page_data import Candidate, Study, Trial
from tools.page_drawing import ERROR_TITLE, FRONT, PLAIN, TUNED, laid_out
from tools.page_marks import (
    Place,
    best_known_ms,
    best_percent,
    key,
    marks,
    measured_ms,
    placed,
    predicted_ms,
)

MOST = 24
"""Bars that a narrow page still tells apart; of a longer front the fastest and slowest are drawn,
and as many between them as fit."""


def bars_figure(study: Study) -> go.Figure | None:
    """Latency of the front's members and the seed, fastest first, each with its error."""
    members = placed([t for t in study.trials if t.on_front], best_known_ms)
    if not members:
        return None
    drawn: list[Candidate] = spread(sorted(members, key=_latency), MOST)
    if study.seed_architecture is not None:
        drawn += placed([study.seed_architecture], best_known_ms)
    figure = go.Figure()
    kind = "predicted" if study.device.calibrated else "roofline estimate"
    for name, place, color in ((kind, predicted_ms, PLAIN), ("measured", measured_ms, TUNED)):
        figure.add_trace(_bars(name, drawn, place, color, study))
    errors = marks(
        "clips wrong", drawn, _position(drawn), best_percent, study.device,
        color=FRONT, size=10, symbol="diamond",
    )  # fmt: skip
    figure.add_trace(errors | {"yaxis": "y2"})
    return laid_out(
        figure,
        barmode="group",
        bargap=0.3,
        xaxis={
            "title": {"text": "trial"},
            "tickvals": list(range(len(drawn))),
            "ticktext": [key(candidate) for candidate in drawn],
            "zeroline": False,
        },
        yaxis={"title": {"text": "latency (ms)"}, "rangemode": "tozero", "zeroline": False},
        yaxis2={
            "title": {"text": ERROR_TITLE},
            "overlaying": "y",
            "side": "right",
            "tickmode": "auto",
            "rangemode": "tozero",
            "showgrid": False,
            "zeroline": False,
        },
    )


def spread(ordered: Sequence[Trial], most: int) -> list[Candidate]:
    """``most`` of them, first and last included, evenly between; all where they are no more."""
    if len(ordered) <= most:
        return list(ordered)
    places = [round(i * (len(ordered) - 1) / (most - 1)) for i in range(most)]
    return [ordered[place] for place in places]


def _bars(
    name: str, drawn: Sequence[Candidate], place: Place, color: str, study: Study
) -> dict[str, Any]:
    """A bar where a mark would be: the same hover and the same click."""
    bars = marks(name, drawn, _position(drawn), place, study.device)
    del bars["mode"]
    return bars | {"type": "bar", "textposition": "none", "marker": {"color": color}}


def _position(drawn: Sequence[Candidate]) -> Place:
    places = {key(candidate): float(i) for i, candidate in enumerate(drawn)}
    return lambda candidate: places[key(candidate)]


def _latency(candidate: Candidate) -> float:
    latency = best_known_ms(candidate)
    assert latency is not None
    return latency
