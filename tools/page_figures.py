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
from tools.page_bars import bars_figure
from tools.page_comparison import comparison_figures
from tools.page_data import Calibration, Candidate, HeldOut, Page, Phase, Study, Trial
from tools.page_drawing import (
    BAD,
    ERROR_TITLE,
    FRONT,
    PLAIN,
    TUNED,
    coordinates,
    laid_out,
    points,
    stairs,
)
from tools.page_marks import (
    Place,
    best_known_ms,
    cost_place,
    error_percent,
    marks,
    measured_ms,
    operations_m,
    placed,
    predicted_ms,
    trial_number,
    tuned_percent,
)
from tools.page_text import architecture_lines, in_plot, percent, quantity, signed_percent

SEED_MARKER = {"color": "#cf9400", "size": 16, "symbol": "star", "line": {"width": 0}}

EARLY, LATE = "#a3a9b3", "#2f7fd0"
"""Trials of the first and of the last phase, those between mixed."""

TOLERANCE = 0.1
"""Relative error that the calibration is judged by: the lines beside the diagonal."""


def figures(page: Page) -> dict[str, go.Figure]:
    """Every picture that the page's data allow, by name."""
    made: dict[str, go.Figure | None] = {}
    if page.study is not None:
        made["front"] = front_figure(page.study)
        made["latency"] = bars_figure(page.study)
        made["trials"] = trials_figure(page.study)
        made["operations"] = operations_figure(page.study)
    if page.comparison is not None:
        made |= comparison_figures(page.comparison)
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
    figure.add_trace(stairs(points(members, cost, error_percent), FRONT))
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
    return laid_out(
        figure,
        xaxis=axis(_cost_title(study), coordinates(figure, "x")),
        yaxis=axis(ERROR_TITLE, coordinates(figure, "y")),
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
    laid_out(
        figure,
        xaxis={"title": {"text": "trial"}, "zeroline": False, "anchor": "y2" if timed else "y"},
        yaxis={**axis(ERROR_TITLE, coordinates(figure, "y")), "domain": [0.53 if timed else 0, 1]},
        yaxis3={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        shapes=list(_bands(study.trials)),
    )
    if timed:
        title = "predicted (ms)" if study.device.calibrated else "roofline (ms)"
        figure.update_layout(
            yaxis2={**axis(title, coordinates(figure, "y", "y2")), "domain": [0, 0.45]}
        )
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
    return laid_out(
        figure,
        xaxis=axis("operations (MFLOP)", coordinates(figure, "x")),
        yaxis=axis("latency (ms)", coordinates(figure, "y")),
    )


def calibration_figure(calibration: Calibration) -> go.Figure | None:
    """Predicted against measured latency of held-out networks; below, by how much each is off."""
    drawn = [(h, h.off) for h in calibration.held_out if h.off is not None]
    if not drawn:
        return None
    low, high = log_limits([ms for h, _ in drawn for ms in (h.measured_ms, h.predicted_ms)])
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
        dots = _held_out([(h, off) for h, off in drawn if (abs(off) <= TOLERANCE) is within])
        dots |= {"name": name, "marker": {"color": color, "size": 8, "symbol": symbol}}
        off = dots.pop("off")
        figure.add_trace(dots)
        figure.add_trace(dots | {"y": off, "yaxis": "y2", "showlegend": False})
    across = [math.log10(low), math.log10(high)]
    return laid_out(
        figure,
        xaxis=axis("measured (ms)", [low, high], log=True) | {"range": across, "anchor": "y2"},
        yaxis=axis("predicted (ms)", [low, high], log=True)
        | {"range": across, "domain": [0.42, 1]},
        yaxis2=axis("off by (%)", [], log=False) | {"domain": [0, 0.32]},
    )


def _best_so_far(trials: Sequence[Trial]) -> dict[str, Any]:
    """The smallest error of the trials up to each, on to the last trial."""
    line = stairs(points(trials, trial_number, error_percent), FRONT)
    line["x"].append(trials[-1].number)
    line["y"].append(line["y"][-1])
    return line | {"opacity": 0.6}


def _seeds(study: Study) -> list[Candidate]:
    return [study.seed_architecture] if study.seed_architecture is not None else []


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


def _held_out(networks: Sequence[tuple[HeldOut, float]]) -> dict[str, Any]:
    hovers = [
        f"{architecture_lines(h.name)}<br>predicted {quantity(h.predicted_ms, 'ms')}<br>"
        f"measured {quantity(h.measured_ms, 'ms')}<br>off by {signed_percent(off)}"
        for h, off in networks
    ]
    return {
        "type": "scatter", "mode": "markers", "showlegend": bool(networks),
        "x": [h.measured_ms for h, _ in networks], "y": [h.predicted_ms for h, _ in networks],
        "off": [100 * off for _, off in networks], "hovertext": hovers, "hoverinfo": "text",
    }  # fmt: skip


def _cost_title(study: Study) -> str:
    if study.cost == "operations":
        return "operations (MFLOP)"
    if study.device.calibrated:
        return "predicted latency (ms)"
    return "roofline estimate (ms), not calibrated"
