"""From a comparison of the two objectives to the data of its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tools import page_comparison_data as page
from tools.comparison import LATENCY, OPERATIONS, Point, Runs, attained, measured_front
from tools.page_data import Candidate, Page
from tools.report import calibration_of, device_of, made

if TYPE_CHECKING:
    from costmodel.profile import Profile

NAMES = {OPERATIONS: "operations", LATENCY: "latency"}
"""Of the objectives, for people; the first is what the other is compared with."""


def comparison_page(
    runs: Runs, document: Mapping[str, Any], profile: Profile, notes: Sequence[str]
) -> Page:
    """The page of what `ponas compare --json` tells.

    ``runs``: the members of the fronts; ``notes``: what else is to be known, a sentence each.
    """
    found = [_judgement(document)]
    if document["test"] is not None:
        found.append(_judgement(document["test"]))
    rank = document["rank"]
    return Page(
        title=f"Operations or latency: searches for {profile.name}",
        made=made(),
        calibration=calibration_of(profile),
        comparison=page.Comparison(
            device=device_of(profile),
            seeds=tuple(document["seed_numbers"]),
            fronts=tuple(_front(name, runs[key]) for key, name in NAMES.items()),
            judgements=tuple(found),
            ranks=_ranks(rank),
            narrow_note=_narrow_note(rank),
            notes=tuple(notes),
        ),
    )


def _front(name: str, runs: Sequence[Sequence[Point]]) -> page.ComparedFront:
    members = {point.architecture: point for points in runs for point in points}
    best = measured_front([point for points in runs for point in points])
    distinct = [members[a] for a in dict.fromkeys(point.architecture for point in best)]
    return page.ComparedFront(
        name=name,
        candidates=tuple(_candidate(point) for point in distinct),
        runs=tuple(tuple(_candidate(point) for point in points) for points in runs),
        attained=tuple(attained(runs)),
    )


def _candidate(point: Point) -> Candidate:
    return Candidate(
        architecture=point.architecture,
        error=point.search_error,
        tuned_error=point.error if point.tuned else None,
        test_error=point.test_error,
        latency_ms=point.predicted_ms,
        measured_ms=point.measured_ms,
        flops=point.flops,
    )


def _judgement(found: Mapping[str, Any]) -> page.Judgement:
    """Of the document's own keys, or of those below ``test``."""
    volumes = found.get("hypervolume_runs", {})
    reference = found.get("reference", {"error": 0.0, "measured_ms": 0.0})
    return page.Judgement(
        clips=found["clips"],
        verdict=found["verdict"],
        ratio=_spread(found.get("equal_accuracy", {}).get("ratio")),
        equal_accuracy=tuple(_equal(row) for row in found["latency_at_equal_accuracy"]),
        hypervolumes=tuple(
            page.Hypervolume(name=name, spread=spread, runs=tuple(volumes[key]["runs"]))
            for key, name in (*NAMES.items(), ("difference", "latency less operations"))
            if key in volumes and (spread := _spread(volumes[key])) is not None
        ),
        gain=_spread(volumes.get("difference")),
        hypervolume_note=(
            "Share of the box from zero to an error of "
            f"{reference['error']:.1%} and {reference['measured_ms']:.3f} ms."
        ),
    )


def _equal(row: Mapping[str, Any]) -> page.EqualAccuracy:
    pairs = [(run[OPERATIONS], run[LATENCY]) for run in row["runs"]]
    return page.EqualAccuracy(
        error=row["error"],
        latency_ms=tuple(row[key] for key in NAMES),
        ratio=_spread(row["ratio"]),
        ratios=tuple(a / b for a, b in pairs if a is not None and b is not None),
    )


def _spread(found: Mapping[str, Any] | None) -> page.Spread | None:
    names = ("median", "low", "high", "coverage", "n")
    return page.Spread(**{name: found[name] for name in names}) if found and "n" in found else None


def _ranks(rank: Mapping[str, Any]) -> tuple[page.RankCorrelation, ...]:
    everywhere, narrow = rank.get("all", {}), rank.get("narrow", {})
    return tuple(
        page.RankCorrelation(
            of=name,
            spearman=everywhere[key]["spearman"],
            kendall=everywhere[key]["kendall"],
            networks=everywhere["n"],
            narrow_spearman=narrow.get(key, {}).get("spearman"),
            narrow_kendall=narrow.get(key, {}).get("kendall"),
            ordered_rightly=narrow.get(key, {}).get("ordered_rightly"),
        )
        for key, name in (("operations", "operations"), ("predicted", "prediction"))
        if key in everywhere
    )


def _narrow_note(rank: Mapping[str, Any]) -> str:
    narrow = rank.get("narrow", {})
    if not narrow.get("pairs"):
        return ""
    return (
        f"Alike in operations: {narrow['pairs']:,} pairs that differ by at most "
        f"{narrow['band']:.0%} in them; Spearman's is the mean within bands as wide."
    )
