"""The page's figures as files for papers and slides: SVG and PNG, light, without a browser.

Each is drawn from the very figure that the page shows (`tools.page_figures`): what plotly is told
there, matplotlib is told here, as far as our figures go.
"""

from __future__ import annotations

import html
import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boltons.fileutils import atomic_save

from costmodel.errors import InputError
from tools.destinations import check_folder
from tools.figure_bars import PLOTLY_GAP, draw_bars, to_the_right
from tools.page_data import Page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("svg", "png")
DOTS_PER_INCH = 200
WIDTH, HEIGHT, STACKED_HEIGHT = 7.0, 4.4, 6.2
"""Inches; the last of figures with two plots, one below the other."""
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.86, 0.15, 0.58, 0.42
"""Inches around the plots."""
_RIGHT_AXIS = 0.8
"""Inches on the right where an axis is there."""
_POINTS = 0.75
"""Of a pixel, in which plotly measures: 72 an inch against 96."""

INK = {
    "#e4572e": "#d55e00", "#2a9d6f": "#009e73", "#3b82c4": "#0072b2", "#9a5fc0": "#cc79a7",
    "#c2405a": "#cc79a7", "#cf9400": "#e69f00", "#7c8ba1": "#7f7f7f", "#a3a9b3": "#b8bcc4",
    "#2f7fd0": "#0072b2",
}  # fmt: skip
"""The page's colours, made for light and dark alike, and those for white paper that people who
confuse colours tell apart. Source: Okabe and Ito, Color Universal Design (2008)."""
_SHADE = "#eef0f3"
_GRID, _TEXT = "#e3e5e8", "#222222"

_MARKERS = {
    "circle": "o", "diamond": "D", "square": "s", "triangle-up": "^", "star": "*", "x": "X",
    "x-thin": "x",
}  # fmt: skip
_LARGER = {"star": 1.25, "x-thin": 1.1, "diamond": 0.8, "square": 0.85}
"""What makes marks of matplotlib as large as plotly's."""
_DASHES = {"solid": "-", "dash": (0, (5, 3)), "dot": (0, (1, 2))}
_STYLE: Any = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 10, "axes.labelsize": 10.5, "legend.fontsize": 9.5,
    "axes.edgecolor": "#888888", "axes.labelcolor": _TEXT, "text.color": _TEXT,
    "xtick.color": _TEXT, "ytick.color": _TEXT, "axes.spines.top": False,
    "axes.spines.right": False, "axes.linewidth": 0.8, "grid.color": _GRID, "grid.linewidth": 0.8,
    "svg.fonttype": "none", "svg.hashsalt": "ponas",
}  # fmt: skip
"""Text stays text in the SVG, and the same data give the same file."""


def write_figures(page: Page, folder: Path) -> list[Path]:
    """Writes every figure that the page's data allow, in both formats, each whole or not at all.

    Raises InputError where `check_figures` does.
    """
    check_figures(folder)
    from matplotlib import rc_context

    from tools.page_figures import figures

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with rc_context(_STYLE):
        for name, figure in figures(page).items():
            drawn = draw(figure.to_dict())
            for kind in KINDS:
                path = folder / f"{name}.{kind}"
                content = io.BytesIO()
                metadata = {"Date": None} if kind == "svg" else None
                drawn.savefig(content, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
                with atomic_save(str(path)) as file:
                    file.write(content.getvalue())
                written.append(path)
    return written


def check_figures(folder: Path) -> None:
    """Raises InputError where matplotlib is missing, or nothing can be written in ``folder``."""
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(
            "--figures needs the package matplotlib; install it with: pip install 'ponas[figures]'"
        )
    check_folder(folder, "--figures")


def draw(figure: Mapping[str, Any]) -> Figure:
    """A figure of plotly's, as `to_dict` gives it, drawn by matplotlib."""
    from matplotlib.figure import Figure

    layout, traces = figure["layout"], figure["data"]
    plots = {key: layout[key] for key in sorted(layout) if key.startswith("yaxis")}
    stacked = sum("domain" in plot for plot in plots.values()) > 1
    drawn = Figure(figsize=(WIDTH, STACKED_HEIGHT if stacked else HEIGHT), facecolor="white")
    axes = _axes(drawn, plots)
    lowest = min(axes.values(), key=lambda each: each.get_position().y0)
    _shapes(layout.get("shapes", ()), axes, plots)
    bars = [trace for trace in traces if trace["type"] == "bar" and len(trace["x"])]
    if bars:
        inks = [_ink(trace["marker"]["color"]) for trace in bars]
        draw_bars(bars, inks, layout.get("bargap", PLOTLY_GAP), axes["yaxis"])
    for trace in traces:
        if trace["type"] != "bar":
            _trace(trace, axes["yaxis" + trace.get("yaxis", "y")[1:]])
    for key, plot in plots.items():
        _scale(axes[key].yaxis, plot)
        _scale(axes[key].xaxis, layout["xaxis"], labelled=axes[key] is lowest)
        axes[key].grid(visible=plot.get("visible", True) and plot.get("showgrid", True))
        axes[key].set_axisbelow(True)
        axes[key].tick_params(labelbottom=axes[key] is lowest, length=3)
    drawn.align_ylabels()
    _legend(drawn, traces, axes["yaxis"])
    return drawn


def _axes(drawn: Figure, plots: Mapping[str, Any]) -> dict[str, Axes]:
    """One for each y axis of plotly's, in its part of the height, all with the same x."""
    width, height = drawn.get_size_inches()
    right = _RIGHT_AXIS if any(_is_right(plot) for plot in plots.values()) else _RIGHT
    left, wide = _LEFT / width, (width - _LEFT - right) / width
    bottom, high = _BOTTOM / height, (height - _BOTTOM - _TOP) / height
    axes: dict[str, Axes] = {}
    for key, plot in plots.items():
        low, top = plot.get("domain", (0, 1))
        over = f"yaxis{plot['overlaying'][1:]}" if "overlaying" in plot else None
        if over is not None:
            low, top = plots[over].get("domain", (0, 1))
        place = (left, bottom + low * high, wide, (top - low) * high)
        axes[key] = drawn.add_axes(place, sharex=axes.get("yaxis"), label=key)
        if not plot.get("visible", True):
            axes[key].set_axis_off()
        elif _is_right(plot):
            to_the_right(axes[key])
    return axes


def _is_right(plot: Mapping[str, Any]) -> bool:
    return plot.get("side") == "right"


def _scale(axis: Any, told: Mapping[str, Any], *, labelled: bool = True) -> None:  # noqa: ANN401
    """Title, limits and ticks of an axis."""
    from matplotlib.ticker import FixedLocator, NullLocator

    side = "x" if axis.axis_name == "x" else "y"
    logarithmic = told.get("type") == "log"
    if logarithmic:
        getattr(axis.axes, f"set_{side}scale")("log")
    if "range" in told:
        limits = [10**each if logarithmic else each for each in told["range"]]
        getattr(axis.axes, f"set_{side}lim")(*limits)
    if told.get("rangemode") == "tozero":
        getattr(axis.axes, f"set_{side}lim")(0, None)
    if "tickvals" in told:
        axis.set_major_locator(FixedLocator(list(told["tickvals"])))
        axis.set_minor_locator(NullLocator())
        axis.set_ticklabels(told["ticktext"])
    if labelled:
        axis.set_label_text(html.unescape(told.get("title", {}).get("text", "")))


def _trace(trace: Mapping[str, Any], axes: Axes) -> None:
    """The line, the marks and the intervals of a trace."""
    import numpy as np

    x, y = (np.array([np.nan if v is None else v for v in trace[which]], float) for which in "xy")
    mode, order = trace["mode"], 2 if trace["mode"] == "lines" else 3
    line = trace.get("line", {})
    if "lines" in mode and len(x):
        axes.plot(
            x, y, color=_ink(line.get("color")), linewidth=line.get("width", 2) * _POINTS * 1.2,
            linestyle=_DASHES[line.get("dash", "solid")], alpha=trace.get("opacity"),
            drawstyle="steps-post" if line.get("shape") == "hv" else "default", zorder=order,
        )  # fmt: skip
    spread = trace.get("error_y", {})
    if spread.get("array") is not None and spread.get("visible", True):
        ends = (np.array(spread["arrayminus"], float), np.array(spread["array"], float))
        color = _ink(line.get("color"))
        axes.errorbar(x, y, yerr=ends, fmt="none", ecolor=color, capsize=3, elinewidth=1.2)
    if "markers" in mode and len(x):
        _marks(trace, x, y, axes)


def _marks(trace: Mapping[str, Any], x: Any, y: Any, axes: Axes) -> None:  # noqa: ANN401
    """Marks, those of a kind together."""
    marker = trace.get("marker", {})
    symbols = marker.get("symbol", "circle")
    each = list(symbols) if isinstance(symbols, list | tuple) else [symbols] * len(x)
    colors = _colors(marker, trace, len(x))
    for symbol in dict.fromkeys(each):
        chosen = [index for index, found in enumerate(each) if found == symbol]
        hollow, name = symbol.endswith("-open"), symbol.removesuffix("-open")
        diameter = marker.get("size", 8) * _POINTS * _LARGER.get(name, 1.0)
        inks = [colors[index] for index in chosen]
        look: dict[str, Any] = {"c": inks, "linewidths": 0.5, "edgecolors": "white"}
        if name == "x-thin":
            look = {"c": inks, "linewidths": 1.5}
        elif hollow:
            look = {"facecolors": "none", "edgecolors": inks, "linewidths": 1.2}
        axes.scatter(
            x[chosen], y[chosen], s=diameter**2, marker=_MARKERS[name], zorder=4, **look
        )  # fmt: skip


def _colors(marker: Mapping[str, Any], trace: Mapping[str, Any], count: int) -> list[Any]:
    """A colour a mark; numbers are places between the two ends of a scale."""
    color = marker.get("color", trace.get("line", {}).get("color"))
    if not isinstance(color, list | tuple):
        return [_ink(color)] * count
    from matplotlib.colors import LinearSegmentedColormap

    ends = [_ink(each) for _, each in marker["colorscale"]]
    scale = LinearSegmentedColormap.from_list("phases", ends)
    low, high = marker["cmin"], marker["cmax"]
    return [scale((value - low) / (high - low)) for value in color]


def _ink(color: str | None) -> str:
    return INK.get(color or "", color or INK["#3b82c4"])


def _shapes(
    shapes: Sequence[Mapping[str, Any]], axes: Mapping[str, Axes], plots: Mapping[str, Any]
) -> None:
    """Bands over the whole height, and lines over the whole width."""
    for shape in shapes:
        if shape["type"] == "rect":
            for key, plot in plots.items():
                if "overlaying" not in plot:
                    axes[key].axvspan(shape["x0"], shape["x1"], color=_SHADE, zorder=0)
        else:
            line = shape["line"]
            axes["yaxis"].axhline(
                shape["y0"], color=_ink(line["color"]), linewidth=line["width"] * _POINTS,
                linestyle=_DASHES[line.get("dash", "solid")], zorder=1,
            )  # fmt: skip


def _legend(drawn: Figure, traces: Sequence[Mapping[str, Any]], above: Axes) -> None:
    """Above the plots, in a row: each trace that plotly would name."""
    from matplotlib.legend_handler import HandlerTuple

    named = [t for t in traces if t.get("showlegend", True) and t.get("name")]
    if not named:
        return
    place = above.get_position()
    drawn.legend(
        [_sample(trace) for trace in named], [_label(trace) for trace in named],
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.6)}, loc="lower left",
        bbox_to_anchor=(place.x0 - 0.01, place.y1), ncols=len(named), frameon=False,
        handletextpad=0.5, columnspacing=1.4,
    )  # fmt: skip


def _sample(trace: Mapping[str, Any]) -> Any:  # noqa: ANN401 - one mark, or those of two ends
    """What stands for a trace in the legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marker = trace.get("marker", {})
    if trace["type"] == "bar":
        return Patch(color=_ink(marker["color"]))
    symbols = marker.get("symbol", "circle")
    symbol = symbols[0] if isinstance(symbols, list | tuple) else symbols
    name = symbol.removesuffix("-open")
    inks = [_ink(ink) for _, ink in marker["colorscale"]] if _is_scale(marker) else None
    samples = [
        Line2D(
            [], [], marker=_MARKERS[name], markersize=7 * _LARGER.get(name, 1.0), color=ink,
            markerfacecolor="none" if name not in (symbol, "x-thin") else ink,
            linestyle="-" if "lines" in trace["mode"] else "none",
        )
        for ink in inks or _colors(marker, trace, 1)
    ]  # fmt: skip
    return tuple(samples) if inks else samples[0]


def _label(trace: Mapping[str, Any]) -> str:
    text = html.unescape(trace["name"])
    return f"{text}, first to last phase" if _is_scale(trace.get("marker", {})) else text


def _is_scale(marker: Mapping[str, Any]) -> bool:
    """Whether colours are places on a scale, more than one of them."""
    color = marker.get("color")
    return isinstance(color, list | tuple) and len(set(color)) > 1
