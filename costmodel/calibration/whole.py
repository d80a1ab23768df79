"""Networks timed whole: what they take beyond their kernels, and how well they are predicted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from costmodel.calibration.card import ErrorCard, make_card
from costmodel.calibration.overhead import fit_overhead
from costmodel.calibration.plan import NamedNetwork
from costmodel.calibration.records import KernelRecord, Role
from costmodel.calibration.session import Session, Work
from costmodel.calibration.settings import Calibrated
from costmodel.errors import DeviceError
from costmodel.features import rows_and_bounds
from costmodel.kernels import Kernel
from costmodel.predictor import Overhead, Predictor
from costmodel.program import Program
from costmodel.regressor import RatioModel
from costmodel.runners.contract import NetworkJob
from costmodel.schedules.family import Schedule
from costmodel.schedules.registry import describe
from costmodel.target import Target

Parts = list[tuple[Kernel, Schedule]]
"""The kernels of a network, in order, with their schedules."""
Predicted = tuple[str, float, float]
"""Name, predicted and measured seconds."""


def chosen_parts(network: NamedNetwork, predictor: Predictor) -> Parts:
    """A network's kernels, each under the schedule that is predicted to be the fastest."""
    return [(step.kernel, predictor.choose(step.kernel).schedule) for step in network.steps]


def whole_work(network: NamedNetwork, parts: Parts, target: Target) -> Work:
    """A whole network under given schedules, with its records."""
    schedules = tuple(schedule for _, schedule in parts)
    program = Program(network.steps, schedules, network.network.input_shape, target)
    records = tuple(KernelRecord.of(kernel, schedule) for kernel, schedule in parts)
    return NetworkJob(network.name, program), records


def compared(
    session: Session, role: Role, work: Sequence[Work], model: RatioModel, overhead: Overhead
) -> tuple[Predicted, ...]:
    """Those networks that were timed under the schedules of ``work``, predicted under them."""
    totals = session.totals(role, work)
    rows = []
    for job, records in work:
        if job.key in totals:
            parts = [record.scheduled() for record in records]
            kernels = [kernel for kernel, _ in parts]
            seconds = predicted_seconds(parts, model, session.target)
            seconds += overhead.seconds(kernels, session.target)
            rows.append((job.key, seconds, totals[job.key]))
    return tuple(rows)


def overhead_of(session: Session, work: Sequence[Work]) -> Overhead:
    """What the networks of ``work`` take beyond the sum of their kernels timed alone."""
    totals = session.totals("overhead", work)
    measured = session.measured()
    complete = []
    for job, records in work:
        parts = [record.scheduled() for record in records]
        if job.key in totals and all(part in measured for part in parts):
            kernels = [kernel for kernel, _ in parts]
            complete.append((kernels, sum(measured[part] for part in parts), totals[job.key]))
    return fit_overhead(
        [kernels for kernels, _, _ in complete],
        [alone for _, alone, _ in complete],
        [seconds for _, _, seconds in complete],
        session.target,
    )


def finished(
    session: Session, model: RatioModel, overhead: Overhead, held_out: Sequence[Work]
) -> Calibrated:
    """Times the held-out networks and makes the error card of them."""
    session.measure("held_out", held_out, session.counting("held-out networks", len(held_out)))
    rows = compared(session, "held_out", held_out, model, overhead)
    if len(rows) < 2:
        raise DeviceError("no whole network could be measured, so the error is not known")
    return Calibrated(
        model=model,
        overhead=overhead,
        card=card_of(rows),
        kernels=len(session.measured()),
        failed=session.failed(),
        minutes=session.seconds / 60,
        measurements=tuple(session.journal.measurements),
        held_out=rows,
    )


def card_of(rows: Iterable[Predicted]) -> ErrorCard:
    """The errors of networks that were predicted and measured."""
    pairs = list(rows)
    return make_card([p for _, p, _ in pairs], [m for _, _, m in pairs])


def predicted_seconds(parts: Parts, model: RatioModel, target: Target) -> float:
    """Seconds of kernels under given schedules, one after the other."""
    found = [
        rows_and_bounds([describe(kernel, schedule, target)], target, kernel.flops)
        for kernel, schedule in parts
    ]
    ratios = np.exp(model.predict(np.concatenate([rows for rows, _ in found]))[0])
    return float(np.concatenate([bounds for _, bounds in found]) @ ratios)
