"""The fronts of studies, every member timed on the device in one run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import InputError
from search.recorder import StudyRecorder
from search.study import Study
from tools.comparison import Point
from tools.front import measure_on_device, members, networks_to_time
from tools.job import MEASURED, request_of
from tools.places import open_estimator, profile_store

if TYPE_CHECKING:
    from costmodel.estimate import Estimator
    from costmodel.profile import Profile


def measure_all(paths: Iterable[Path]) -> Profile:
    """Times every member of every front, and the seed, and keeps the times in the studies.

    All in one run, so that what slows the device down slows both sides down. Raises InputError
    where the studies are for several devices.
    """
    with ExitStack() as stack:
        recorders = [stack.enter_context(StudyRecorder.open(path)) for path in paths]
        names = {request_of(recorder).profile for recorder in recorders}
        if len(names) > 1:
            raise InputError(
                f"the studies are for different devices ({', '.join(sorted(names))}); "
                "compare studies of one profile"
            )
        profile = profile_store().get(names.pop())
        words = {len(recorder.metadata["data"]["words"]) for recorder in recorders}
        if len(words) > 1:
            raise InputError(
                f"the studies tell apart different numbers of words ({sorted(words)}); compare "
                "studies of the same labels"
            )
        fronts = [networks_to_time(recorder) for recorder in recorders]
        every = {name: network for front in fronts for name, network in front.items()}
        times = measure_on_device(every, open_estimator(profile), profile)
        for recorder, front in zip(recorders, fronts, strict=True):
            recorder.annotate(MEASURED, {name: times[name] for name in front})
    return profile


def measured_points(
    paths: Mapping[str, Sequence[Path]], profile: Profile
) -> dict[str, list[list[Point]]]:
    """The members of the fronts by objective and study, as measured by `measure_all`."""
    estimator = open_estimator(profile)
    return {name: [_points(path, estimator) for path in each] for name, each in paths.items()}


def _points(path: Path, estimator: Estimator) -> list[Point]:
    with Study.open(path) as study:
        return [
            Point(
                architecture=member.architecture,
                error=member.error,
                search_error=member.search_error,
                test_error=member.test_error,
                tuned=member.test_error is not None,
                predicted_ms=member.latency_ms,
                measured_ms=member.measured_ms,
                flops=member.flops_table2,
            )
            for member in members(study, estimator)
            if member.error is not None and member.measured_ms is not None
        ]
