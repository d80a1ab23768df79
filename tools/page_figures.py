"""The page's pictures: each a plotly figure of plain data, or None where nothing can be drawn.

Figures have no background and mid-tone colours, so that they are readable on light and on dark;
the page gives text and grid the colours of its scheme. The ``customdata`` of a point is what a
click on it selects (`page_marks.key`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from tools.page_axes import axis, log_limits
from tools.page_data import Calibration, Candidate, Comparison, HeldOut, Page, Phase, Study, Trial
from tools.page_marks import (
    Place,
    best_known_ms,
    best_percent,
    cost_place,
    error_percent,
    hover,
    marks,
    measured_ms,
    operations_m,
    placed,
    predicted_ms,
    trial_number,
    tuned_percent,
)
from tools.page_text import architecture_lines, in_plot, percent, quantity, signed_percent

PLAIN, FRONT, TUNED, BAD = "#7c8ba1", "#e4572e", "#2a9d6f", "#c2405a"

SEED_MARKER = {"color": "#cf9400", "size": 16, "symbol": "star", "line": {"width": 0}}

SERIES = ((FRONT, "circle"), ("#3b82c4", "diamond"), (TUNED, "square"), ("#9a5fc0", "triangle-up"))
"""Colour and marker of fronts side by side: told apart without colour as well."""

EARLY, LATE = "#a3a9b3", "#2f7fd0"
"""Trials of the first and of the last phase, those between mixed."""

ERROR_TITLE = "clips wrong (%)"

TOLERANCE = 0.1
"""Relative error that the calibration is judged by: the lines beside the diagonal."""


def figures(page: Page) -> dict[str, go.Figure]:
    """Every picture that the page's data allow, by name."""
    made: dict[str, go.Figure | None] = {}
    if page.study is not None:
        made["front"] = front_figure(page.study)
        made["trials"] = trials_figure(page.study)
        made["operations"] = operations_figure(page.study)
    if page.comparison is not None:
        made["comparison"] = comparison_figure(page.comparison)
    if page.calibration is not None:
        made["calibration"] = calibration_figure(page.calibration)
    return {name: figure for name, figure in made.items() if figure is not None}


def front_figure(study: Study) -> go.Figure | None:
    """Error against the cost that was minimised: all trials, front, seed, fine-tuned members."""
    cost, device = cost_place(study), study.device
    others = placed([t for t in study.trials if not t.on_front], cost, error_percent)
    members = placed([t for t in study.trials if t.on_front], cost, error_percent)
    if not others and not members:
        return None
    dots = marks("trials", others, cost, error_percent, device)
    dots["marker"] |= {"color": [t.phase for t in others], "colorscale": [[0, EARLY], [1, LATE]]}
    dots["marker"] |= {"cmin": 0, "cmax": max((p.number for p in study.phases), default=0) or 1}
    figure = go.Figure()
    figure.add_trace(dots)
    figure.add_trace(_stairs(_points(members, cost, error_percent), FRONT))
    figure.add_trace(marks("front", members, cost, error_percent, device, color=FRONT, size=11))
    tuned = [*members, *_seeds(study)]
    figure.add_trace(_links(tuned, cost, error_percent, tuned_percent))
    figure.add_trace(
        marks(
            "fine-tuned", tuned, cost, tuned_percent, device,
            color=TUNED, size=11, symbol="diamond",
        )
    )  # fmt: skip
    star = marks("seed", _seeds(study), cost, error_percent, device)
    figure.add_trace(star | {"marker": SEED_MARKER})
    return _laid_out(
        figure,
        xaxis=axis(_cost_title(study), _drawn(figure, "x")),
        yaxis=axis(ERROR_TITLE, _drawn(figure, "y")),
    )


def trials_figure(study: Study) -> go.Figure | None:
    """Error and latency of trial after trial; phases as bands, what froze at their ends."""
    if not placed(study.trials, error_percent):
        return None
    timed = placed(study.trials, predicted_ms)
    figure = go.Figure()
    figure.add_trace(_best_so_far(study.trials))
    for name, on_front, color in (("trials", False, PLAIN), ("front", True, FRONT)):
        members = [t for t in study.trials if t.on_front is on_front and t.state != "infeasible"]
        shared = (name, members, trial_number)
        figure.add_trace(marks(*shared, error_percent, study.device, color=color))
        below = marks(*shared, predicted_ms, study.device, color=color)
        figure.add_trace(below | {"yaxis": "y2", "showlegend": False})
    infeasible = [t for t in timed if t.state == "infeasible"]
    crosses = marks("infeasible", infeasible, trial_number, predicted_ms, study.device)
    crosses["marker"] |= {"color": BAD, "symbol": "x"}
    figure.add_trace(crosses | {"yaxis": "y2"})
    figure.add_trace(_failed(study.trials))
    figure.add_trace(_freezes(study.phases, study.trials))
    _laid_out(
        figure,
        xaxis={"title": {"text": "trial"}, "zeroline": False, "anchor": "y2" if timed else "y"},
        yaxis={**axis(ERROR_TITLE, _drawn(figure, "y")), "domain": [0.53 if timed else 0, 1]},
        yaxis3={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        shapes=list(_bands(study.trials)),
    )
    if timed:
        title = "predicted (ms)" if study.device.calibrated else "roofline (ms)"
        figure.update_layout(yaxis2={**axis(title, _drawn(figure, "y", "y2")), "domain": [0, 0.45]})
    return figure


def operations_figure(study: Study) -> go.Figure | None:
    """Latency, predicted and where there is one measured, against operations."""
    drawn = placed(study.trials, operations_m, predicted_ms)
    if not drawn:
        return None
    device = study.device
    name = "predicted" if device.calibrated else "roofline estimate"
    everyone = [*drawn, *_seeds(study)]
    figure = go.Figure()
    figure.add_trace(marks(name, drawn, operations_m, predicted_ms, device, color=PLAIN))
    figure.add_trace(_links(everyone, operations_m, predicted_ms, measured_ms))
    figure.add_trace(
        marks(
            "measured", everyone, operations_m, measured_ms, device,
            color=TUNED, size=10, symbol="diamond",
        )
    )  # fmt: skip
    star = marks("seed", _seeds(study), operations_m, best_known_ms, device)
    figure.add_trace(star | {"marker": SEED_MARKER})
    return _laid_out(
        figure,
        xaxis=axis("operations (MFLOP)", _drawn(figure, "x")),
        yaxis=axis("latency (ms)", _drawn(figure, "y")),
    )


def calibration_figure(calibration: Calibration) -> go.Figure | None:
    """Predicted against measured latency of held-out networks; below, by how much each is off."""
    drawn = [h for h in calibration.held_out if _positive(h.measured_ms, h.predicted_ms)]
    if not drawn:
        return None
    low, high = log_limits([ms for h in drawn for ms in (h.measured_ms, h.predicted_ms)])
    figure = go.Figure()
    for ratio, dash in ((1.0, "solid"), (1 + TOLERANCE, "dash"), (1 - TOLERANCE, "dash")):
        line: dict[str, Any] = {
            "type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False,
            "x": [low, high], "line": {"color": PLAIN, "width": 1, "dash": dash},
        }  # fmt: skip
        figure.add_trace({**line, "y": [low * ratio, high * ratio]})
        figure.add_trace({**line, "y": [100 * (ratio - 1)] * 2, "yaxis": "y2"})
    for name, within, color, symbol in (
        (f"within ±{percent(TOLERANCE, 0)} %", True, TUNED, "circle"),
        ("further off", False, BAD, "diamond"),
    ):
        dots = _held_out([h for h in drawn if (abs(_off(h)) <= TOLERANCE) is within])
        dots |= {"name": name, "marker": {"color": color, "size": 8, "symbol": symbol}}
        off = dots.pop("off")
        figure.add_trace(dots)
        figure.add_trace(dots | {"y": off, "yaxis": "y2", "showlegend": False})
    across = [math.log10(low), math.log10(high)]
    return _laid_out(
        figure,
        xaxis=axis("measured (ms)", [low, high], log=True) | {"range": across, "anchor": "y2"},
        yaxis=axis("predicted (ms)", [low, high], log=True)
        | {"range": across, "domain": [0.42, 1], "title": {"text": "predicted (ms)"}},
        yaxis2=axis("off by (%)", [], log=False) | {"domain": [0, 0.32]},
    )


def comparison_figure(comparison: Comparison) -> go.Figure | None:
    """Fronts side by side in error and latency: measured where it was, else hollow.

    Errors are of one stage for all: after fine-tuning where every member has that, else after
    the search.
    """
    figure = go.Figure()
    everyone = [c for front in comparison.fronts for c in front.candidates]
    place, stage = _common_stage(everyone)
    for index, front in enumerate(comparison.fronts):
        color, symbol = SERIES[index % len(SERIES)]
        members = placed(front.candidates, best_known_ms, place)
        if not members:
            continue
        name = in_plot(front.name)
        dots = marks(name, members, best_known_ms, place, comparison.device)
        dots["hovertext"] = [hover(c, comparison.device, f"<b>{name}</b>") for c in members]
        symbols = [symbol if measured_ms(c) is not None else f"{symbol}-open" for c in members]
        dots["marker"] = {"color": color, "size": 10, "symbol": symbols}
        del dots["customdata"]  # these are of other studies: nothing to select here
        figure.add_trace(_stairs(_points(members, best_known_ms, place), color))
        figure.add_trace(dots)
    if not figure.data:
        return None
    measured = all(measured_ms(c) is not None for c in placed(everyone, best_known_ms))
    title = "measured latency (ms)" if measured else "latency (ms), hollow: not measured"
    return _laid_out(
        figure,
        xaxis=axis(title, _drawn(figure, "x")),
        yaxis=axis(f"{ERROR_TITLE}, {stage}", _drawn(figure, "y")),
    )


def staircase(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points (x, y) those with the least y so far, by x: their front, both minimised."""
    kept: list[tuple[float, float]] = []
    for x, y in sorted(points):
        if not kept or y < kept[-1][1]:
            kept.append((x, y))
    return kept


def _common_stage(candidates: Sequence[Candidate]) -> tuple[Place, str]:
    for place, stage in ((tuned_percent, "fine-tuned"), (error_percent, "after the search")):
        if len(placed(candidates, place)) == len(candidates):
            return place, stage
    return best_percent, "at their latest"


def _best_so_far(trials: Sequence[Trial]) -> dict[str, Any]:
    """The smallest error of the trials up to each, on to the last trial."""
    line = _stairs(_points(trials, trial_number, error_percent), FRONT)
    line["x"].append(trials[-1].number)
    line["y"].append(line["y"][-1])
    return line | {"opacity": 0.6}


def _seeds(study: Study) -> list[Candidate]:
    return [study.seed_architecture] if study.seed_architecture is not None else []


def _points(candidates: Sequence[Candidate], x: Place, y: Place) -> list[tuple[float, float]]:
    pairs = [(x(c), y(c)) for c in candidates]
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def _stairs(points: list[tuple[float, float]], color: str) -> dict[str, Any]:
    steps = staircase(points)
    return {
        "type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False,
        "x": [x for x, _ in steps], "y": [y for _, y in steps],
        "line": {"color": color, "width": 1.5, "shape": "hv"},
    }  # fmt: skip


def _links(candidates: Sequence[Candidate], x: Place, y: Place, other: Place) -> dict[str, Any]:
    """Thin vertical lines from one value of a candidate to another; None parts them."""
    both = placed(candidates, x, y, other)
    return {
        "type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False,
        "x": [place for c in both for place in (x(c), x(c), None)],
        "y": [place for c in both for place in (y(c), other(c), None)],
        "line": {"color": TUNED, "width": 1, "dash": "dot"},
    }  # fmt: skip


def _failed(trials: Sequence[Trial]) -> dict[str, Any]:
    failed = [t for t in trials if t.state == "failed"]
    return {
        "type": "scatter", "mode": "markers", "name": "failed", "showlegend": bool(failed),
        "x": [t.number for t in failed], "y": [0.03] * len(failed), "yaxis": "y3",
        "hoverinfo": "text", "customdata": [str(t.number) for t in failed],
        "hovertext": [
            f"<b>trial {t.number}</b> failed<br>{in_plot((t.failure or '')[:80])}" for t in failed
        ],
        "marker": {"color": BAD, "symbol": "x-thin-open", "size": 9, "line": {"width": 2}},
    }  # fmt: skip


def _freezes(phases: Sequence[Phase], trials: Sequence[Trial]) -> dict[str, Any]:
    """A mark at the end of each phase that froze something."""
    ends = {phase: last for phase, _, last in _extents(trials)}
    ended = [p for p in phases if p.frozen and p.number in ends]
    return {
        "type": "scatter", "mode": "markers", "name": "frozen", "showlegend": bool(ended),
        "x": [ends[p.number] + 0.5 for p in ended], "y": [0.97] * len(ended), "yaxis": "y3",
        "hoverinfo": "text", "marker": {"color": "#3b82c4", "symbol": "square", "size": 9},
        "hovertext": ["<br>".join(_freeze_lines(p)) for p in ended],
    }  # fmt: skip


def _freeze_lines(phase: Phase) -> list[str]:
    settings = [
        f"{in_plot(f.parameter)} = {in_plot(f.value)} ({percent(f.share, 0)} % of the front)"
        for f in phase.frozen
    ]
    return [f"<b>frozen after phase {phase.number + 1}</b>", *settings]


def _bands(trials: Sequence[Trial]) -> Iterable[dict[str, Any]]:
    """Every other phase shaded."""
    for phase, first, last in _extents(trials):
        if phase % 2 == 1:
            yield {
                "type": "rect", "xref": "x", "yref": "paper", "layer": "below",
                "x0": first - 0.5, "x1": last + 0.5, "y0": 0, "y1": 1,
                "fillcolor": "rgba(128,128,128,0.13)", "line": {"width": 0},
            }  # fmt: skip


def _extents(trials: Sequence[Trial]) -> list[tuple[int, int, int]]:
    """Phase, first and last trial of it."""
    numbers: dict[int, list[int]] = {}
    for trial in trials:
        numbers.setdefault(trial.phase, []).append(trial.number)
    return [(phase, min(of), max(of)) for phase, of in sorted(numbers.items())]


def _held_out(networks: Sequence[HeldOut]) -> dict[str, Any]:
    hovers = [
        f"{architecture_lines(h.name)}<br>predicted {quantity(h.predicted_ms, 'ms')}<br>"
        f"measured {quantity(h.measured_ms, 'ms')}<br>off by {signed_percent(_off(h))}"
        for h in networks
    ]
    return {
        "type": "scatter", "mode": "markers", "showlegend": bool(networks),
        "x": [h.measured_ms for h in networks], "y": [h.predicted_ms for h in networks],
        "off": [100 * _off(h) for h in networks], "hovertext": hovers, "hoverinfo": "text",
    }  # fmt: skip


def _off(network: HeldOut) -> float:
    return network.predicted_ms / network.measured_ms - 1


def _positive(*values: float) -> bool:
    return all(math.isfinite(value) and value > 0 for value in values)


def _cost_title(study: Study) -> str:
    if study.cost == "operations":
        return "operations (MFLOP)"
    if study.device.calibrated:
        return "predicted latency (ms)"
    return "roofline estimate (ms), not calibrated"


def _drawn(figure: go.Figure, which: str, yaxis: str = "y") -> list[float]:
    """All coordinates on an axis."""
    traces = [t for t in figure.data if which == "x" or (t.yaxis or "y") == yaxis]
    return [value for trace in traces for value in trace[which] if value is not None]


def _laid_out(figure: go.Figure, **layout: Any) -> go.Figure:  # noqa: ANN401  # plotly's settings
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
