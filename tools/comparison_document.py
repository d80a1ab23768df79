"""What `ponas compare --json` prints, as a function of the members of the fronts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tools.comparison import Point, Runs, compare, measured_front, on_test_clips
from tools.comparison_verdict import verdict


def comparison_document(
    runs: Runs, *, profile: str, seeds: Sequence[int], clips: Mapping[str, int], left_out: int
) -> dict[str, Any]:
    """The comparison by the validation error and, below ``test``, by the test error.

    Args:
        runs: The members of the fronts by objective and run, their errors of one stage.
        profile: The device's.
        seeds: The runs' seeds.
        clips: How many there are of each split.
        left_out: Members that were not fine-tuned as the others.

    """
    members = {name: [point for points in each for point in points] for name, each in runs.items()}
    tested = on_test_clips(runs)
    is_tuned = any(point.tuned for points in members.values() for point in points)
    stage = "after fine-tuning" if is_tuned else "after the search"
    return {
        "profile": profile,
        "seeds": len(seeds),
        "seed_numbers": list(seeds),
        "stage": stage,
        "left_out": left_out,
        "fronts": {name: _plain(measured_front(points)) for name, points in members.items()},
        "runs": {name: [_plain(points) for points in each] for name, each in runs.items()},
        **_judged(runs, f"{clips['validation']:,} validation clips, {stage}"),
        "test": (
            _judged(tested, f"{clips['testing']:,} test clips, {stage}")
            if any(points for each in tested.values() for points in each)
            else None
        ),
    }


def _judged(runs: Runs, clips: str) -> dict[str, Any]:
    result = compare(runs)
    return {"clips": clips, **result, "verdict": verdict(result)}


def _plain(points: Sequence[Point]) -> list[dict[str, Any]]:
    return [dict(vars(point)) for point in points]
