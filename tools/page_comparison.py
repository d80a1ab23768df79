"""The comparison's pictures, headline numbers and rows of tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go

from tools.page_axes import axis
from tools.page_comparison_data import ComparedFront, Comparison, Judgement, Spread
from tools.page_data import Candidate
from tools.page_drawing import ERROR_TITLE, PLAIN, SERIES, coordinates, laid_out, points, stairs
from tools.page_marks import (
    Place,
    best_known_ms,
    best_percent,
    error_percent,
    hover,
    marks,
    measured_ms,
    operations_m,
    placed,
    predicted_ms,
    tuned_percent,
)
from tools.page_tables import Fact
from tools.page_text import MISSING, count, finite, in_plot, number, percent, volume


def comparison_figures(comparison: Comparison) -> dict[str, go.Figure | None]:
    """Every picture of a comparison by name; None where there is nothing to draw."""
    return {
        "comparison": comparison_figure(comparison),
        "comparison-ratio": ratio_figure(comparison),
        "comparison-operations": order_figure(comparison, operations_m, "operations (MFLOP)"),
        "comparison-predicted": order_figure(comparison, predicted_ms, "predicted latency (ms)"),
    }


def comparison_figure(comparison: Comparison) -> go.Figure | None:
    """Fronts side by side in error and latency: measured where it was, else hollow.

    A thin line is the front of one seed, the thick one what half of the seeds attain. Errors are
    of one stage for all: after fine-tuning where every member has that, else after the search.
    """
    figure = go.Figure()
    everyone = [c for front in comparison.fronts for run in _runs(front) for c in run]
    place, stage = _common_stage(everyone)
    for front, color, symbol, size in _looks(comparison):
        for index, run in enumerate(_runs(front)):
            members = placed(run, best_known_ms, place)
            corners = points(members, best_known_ms, place)
            thin = {"opacity": 0.45} if front.attained else {}
            figure.add_trace(stairs(corners, color) | thin)
            head = f"<b>{in_plot(front.name)}</b>{_seed(comparison, index)}"
            figure.add_trace(_dots(comparison, front, members, best_known_ms, place, head)
                | {"marker": _marker(members, color, symbol, size), "showlegend": index == 0,
                   "legendgroup": front.name})  # fmt: skip
        attained = stairs([(ms, 100 * error) for ms, error in front.attained], color)
        attained["line"] |= {"width": 3.5}
        figure.add_trace(attained)
    if not coordinates(figure, "x"):
        return None
    measured = all(measured_ms(c) is not None for c in placed(everyone, best_known_ms))
    title = "measured latency (ms)" if measured else "latency (ms), hollow: not measured"
    return laid_out(
        figure,
        xaxis=axis(title, coordinates(figure, "x")),
        yaxis=axis(f"{ERROR_TITLE}, {stage}", coordinates(figure, "y")),
    )


def ratio_figure(comparison: Comparison) -> go.Figure | None:
    """How many times as fast, level by level of error: each seed, the median, its interval."""
    rows = [
        (row, row.ratio) for judged in comparison.judgements[:1] for row in judged.equal_accuracy
        if row.ratio is not None
    ]  # fmt: skip
    if not rows:
        return None
    figure = go.Figure()
    single = [(100 * row.error, ratio) for row, _ in rows for ratio in row.ratios]
    figure.add_trace({
        "type": "scatter", "mode": "markers", "name": "one seed", "hoverinfo": "y",
        "x": [x for x, _ in single], "y": [y for _, y in single],
        "marker": {"color": PLAIN, "size": 7, "symbol": "circle-open"},
    })  # fmt: skip
    figure.add_trace({
        "type": "scatter", "mode": "lines+markers", "name": "median and interval",
        "x": [100 * row.error for row, _ in rows], "y": [spread.median for _, spread in rows],
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 5,
            "array": [spread.high - spread.median for _, spread in rows],
            "arrayminus": [spread.median - spread.low for _, spread in rows],
        },
        "line": {"color": SERIES[1][0], "width": 2}, "marker": {"size": 9, "symbol": "diamond"},
        "hoverinfo": "text", "hovertext": [
            f"error at most {percent(row.error)} %<br>{_times(spread)}<br>"
            f"{count(spread.n, 'seed')}" for row, spread in rows
        ],
    })  # fmt: skip
    if all(spread.n == 1 for _, spread in rows):
        figure.data[1].update(error_y={"visible": False}, name="the one seed")
        figure.data = figure.data[1:]
    ends = [spread.low for _, spread in rows] + [spread.high for _, spread in rows]
    room = 0.05 + 0.08 * (max(*ends, 1.0) - min(*ends, 1.0))
    limits = [min(*ends, 1.0) - room, max(*ends, 1.0) + room]
    return laid_out(
        figure,
        xaxis=axis("clips wrong at most (%)", coordinates(figure, "x"), log=False),
        yaxis=axis("times as fast", [], log=False) | {"range": limits},
        shapes=[{
            "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1,
            "line": {"color": PLAIN, "width": 1.5, "dash": "dash"},
        }],
    )  # fmt: skip


def order_figure(comparison: Comparison, place: Place, title: str) -> go.Figure | None:
    """Measured latency of every member against what is to put them in order."""
    figure = go.Figure()
    for front, color, symbol, size in _looks(comparison):
        members = [c for run in _runs(front) for c in run]
        head = f"<b>{in_plot(front.name)}</b>"
        dots = _dots(comparison, front, members, place, measured_ms, head)
        figure.add_trace(dots | {"marker": {"color": color, "symbol": symbol, "size": size}})
    drawn = coordinates(figure, "x")
    if not drawn:
        return None
    if place is predicted_ms:
        figure.add_trace({
            "type": "scatter", "mode": "lines", "hoverinfo": "skip", "showlegend": False,
            "x": [min(drawn), max(drawn)], "y": [min(drawn), max(drawn)],
            "line": {"color": PLAIN, "width": 1, "dash": "dash"},
        })  # fmt: skip
    return laid_out(
        figure,
        xaxis=axis(title, drawn),
        yaxis=axis("measured latency (ms)", coordinates(figure, "y")),
    )


def comparison_facts(comparison: Comparison) -> tuple[Fact, ...]:
    """What a reader wants to know first of a comparison."""
    facts = []
    for judged in comparison.judgements[:1]:
        if judged.ratio is not None:
            facts.append(
                Fact(
                    label="Latency over operations, at equal accuracy",
                    value=f"{number(judged.ratio.median)} × as fast",
                    note=f"measured; {interval(judged.ratio)}",
                )
            )
        if judged.gain is not None:
            facts.append(
                Fact(
                    label="Hypervolume gained over operations",
                    value=volume(judged.gain.median),
                    note=f"error and measured time; {interval(judged.gain, volume)}",
                )
            )
    ordered = [r for r in comparison.ranks if finite(r.ordered_rightly) is not None]
    if ordered:
        facts.append(
            Fact(
                label="Pairs of networks alike in operations",
                value=", ".join(f"{percent(r.ordered_rightly, 0)} %" for r in ordered),
                note="ordered rightly by " + ", by ".join(r.of for r in ordered),
            )
        )
    return tuple(facts)


def equal_accuracy_rows(judged: Judgement) -> list[tuple[str, ...]]:
    """Cells of the table of latency at equal accuracy: error, times, ratio, seeds."""
    return [
        (
            percent(row.error),
            *(number(ms) for ms in row.latency_ms),
            MISSING if row.ratio is None else _times(row.ratio),
            MISSING if row.ratio is None else str(row.ratio.n),
        )
        for row in judged.equal_accuracy
    ]


def interval(spread: Spread, text: Callable[[float], str] = number) -> str:
    """What an interval says, with its coverage and the number of seeds."""
    if spread.n == 1:
        return "one seed: no spread is known"
    return (
        f"median of {spread.n} seeds, {text(spread.low)} to {text(spread.high)} "
        f"(holds the median with {percent(spread.coverage, 0)} %)"
    )


def _times(spread: Spread) -> str:
    """A ratio, with its interval where there is one."""
    if spread.n == 1:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.low)} to {number(spread.high)})"


def _looks(comparison: Comparison) -> list[tuple[ComparedFront, str, str, int]]:
    """Each front with its colour, marker and size; the later ones smaller, drawn on the others."""
    sizes = range(12, 12 - 3 * len(SERIES), -3)
    looks = itertools.cycle(zip(SERIES, sizes, strict=True))
    return [
        (front, color, symbol, size)
        for front, ((color, symbol), size) in zip(comparison.fronts, looks, strict=False)
    ]


def _runs(front: ComparedFront) -> tuple[tuple[Candidate, ...], ...]:
    return front.runs or (front.candidates,)


def _seed(comparison: Comparison, index: int) -> str:
    known = index < len(comparison.seeds) and len(comparison.seeds) > 1
    return f", seed {comparison.seeds[index]}" if known else ""


def _dots(
    comparison: Comparison,
    front: ComparedFront,
    members: Sequence[Candidate],
    x: Place,
    y: Place,
    head: str,
) -> dict[str, Any]:
    shown = placed(members, x, y)
    dots = marks(in_plot(front.name), shown, x, y, comparison.device)
    dots["hovertext"] = [hover(c, comparison.device, head) for c in shown]
    del dots["customdata"]  # these are of other studies: nothing to select here
    return dots


def _marker(members: Sequence[Candidate], color: str, symbol: str, size: int) -> dict[str, Any]:
    symbols = [symbol if measured_ms(c) is not None else f"{symbol}-open" for c in members]
    return {"color": color, "size": size, "symbol": symbols}


def _common_stage(candidates: Sequence[Candidate]) -> tuple[Place, str]:
    for place, stage in ((tuned_percent, "fine-tuned"), (error_percent, "after the search")):
        if len(placed(candidates, place)) == len(candidates):
            return place, stage
    return best_percent, "at their latest"
