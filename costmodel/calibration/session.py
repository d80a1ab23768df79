"""One run of a calibration: the journal, the runner, and what is measured between them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from costmodel.calibration.records import Journal, KernelRecord, Measurement, Role
from costmodel.calibration.settings import CalibrationSettings, Progress
from costmodel.errors import DeviceError
from costmodel.features import NAMES
from costmodel.kernels import Kernel
from costmodel.predictor import measured_rows
from costmodel.protocol import Protocol
from costmodel.regressor import RatioModel, fit
from costmodel.runners.contract import Job, KernelJob, Outcome, Runner
from costmodel.schedules.family import Schedule
from costmodel.target import Target

LEAST_FIT = 20
"""Kernels below which the device, not a kernel, is what fails."""

_Key = TypeVar("_Key")

OnProgress = Callable[[Progress], None]
Measured = dict[tuple[Kernel, Schedule], float]
Work = tuple[Job, tuple[KernelRecord, ...]]
"""A job and what the journal says of it."""


@dataclass
class Session:
    """Measures what the journal does not have; everything else reads the journal.

    Whatever is decided on the way is in the journal too, so that a session that was cut short
    goes on as if it had not been.
    """

    target: Target
    runner: Runner
    protocol: Protocol
    settings: CalibrationSettings
    journal: Journal
    on_progress: OnProgress
    started: float = field(default_factory=time.monotonic)
    outcomes: int = 0
    """That the runner gave in this session."""

    def __post_init__(self) -> None:
        if self.journal.reference:
            self.runner.reference = dict(self.journal.reference)

    @property
    def seconds(self) -> float:
        """Age of this session."""
        return time.monotonic() - self.started

    def counting(self, stage: str, total: int) -> Callable[[int], Progress]:
        """What to report of a stage without an error and a time."""
        return lambda done: Progress(stage, done, total)

    def chosen(
        self, step: str, choose: Callable[[], Iterable[tuple[Kernel, Schedule]]]
    ) -> list[tuple[Kernel, Schedule]]:
        """What is timed at a step: as the journal says, else chosen now and written there."""
        if step not in self.journal.choices:
            records = [KernelRecord.of(kernel, schedule) for kernel, schedule in choose()]
            self.journal.choose(step, records)
        return [record.scheduled() for record in self.journal.choices[step]]

    def measure(
        self,
        role: Role,
        work: Sequence[Work],
        show: Callable[[int], Progress],
        *,
        times: int = 1,
    ) -> None:
        """Measures each job until the journal has ``times`` outcomes of it.

        Jobs of which every outcome is an error are measured once more after the others, in each
        session. ``show`` says what to report when so many are done.
        """
        attempts = Counter(_identity(m.role, m.key, m.kernels) for m in self.journal.measurements)
        missing = [w for w in work if attempts[_identity(role, w[0].key, w[1])] < times]
        done = len(work) - len(missing)
        self.on_progress(show(done))

        def count(_: Measurement) -> None:
            nonlocal done
            done += 1
            self.on_progress(show(done))

        self._give(role, missing, count)
        good = {_identity(m.role, m.key, m.kernels) for m in self.journal.measurements if m.rounds}
        failed = [w for w in work if _identity(role, w[0].key, w[1]) not in good]
        if not self.settings.ahead:
            self._retry(role, failed)

    def measure_kernels(
        self,
        scheduled: Iterable[tuple[Kernel, Schedule]],
        show: Callable[[int], Progress],
        *,
        times: int = 1,
    ) -> None:
        """Measures kernels by themselves."""
        self.measure(
            "kernel",
            [kernel_work(kernel, schedule, self.target) for kernel, schedule in scheduled],
            show,
            times=times,
        )

    def totals(self, role: Role, work: Iterable[Work]) -> dict[str, float]:
        """Seconds of those jobs that were measured, by key; of several times the smallest."""
        found = _smallest(
            (_identity(m.role, m.key, m.kernels), m.seconds)
            for m in self.journal.measurements
            if m.rounds
        )
        wanted = {job.key: _identity(role, job.key, records) for job, records in work}
        return {key: found[identity] for key, identity in wanted.items() if identity in found}

    def measured(self) -> Measured:
        """Seconds of each kernel timed by itself; of several measurements the smallest."""
        return _smallest(
            (m.kernels[0].scheduled(), m.seconds)
            for m in self.journal.measurements
            if m.role == "kernel" and m.rounds
        )

    def fit(self) -> RatioModel:
        """The model of every kernel timed; DeviceError where they are too few."""
        measured = self.measured()
        if len(measured) < LEAST_FIT:
            failures = [m.error for m in self.journal.measurements if m.error]
            reason = f": {failures[-1]}" if failures else ""
            raise DeviceError(f"only {len(measured)} kernels could be measured{reason}")
        return fit(*measured_rows(measured, self.target), NAMES)

    def failed(self) -> tuple[str, ...]:
        """Jobs of which every attempt failed, with the last reason."""
        good = {(m.role, m.key) for m in self.journal.measurements if m.rounds}
        last = {
            (m.role, m.key): f"{m.key}: {m.error}"
            for m in self.journal.measurements
            if (m.role, m.key) not in good
        }
        return tuple(last.values())

    def _retry(self, role: Role, failed: Sequence[Work]) -> None:
        try:
            self._give(role, failed, lambda _: None)
        except DeviceError:
            # With nothing else to run, a runner cannot tell these jobs from a dead device. They
            # are set aside; if it is dead, the next stage says so.
            return

    def _give(self, role: Role, work: Sequence[Work], told: Callable[[Measurement], None]) -> None:
        """Gives jobs to the runner; every outcome is in the journal when it is told."""
        if not work:
            return
        records = {job.key: kernels for job, kernels in work}

        def keep(outcome: Outcome) -> None:
            measurement = Measurement.of(role, records[outcome.key], outcome)
            self.journal.add(measurement)
            self.outcomes += 1
            told(measurement)

        protocol = self.protocol if role == "kernel" else network_protocol(self.protocol)
        try:
            self.runner.measure([job for job, _ in work], protocol, keep)
        finally:
            if self.runner.reference:
                self.journal.refer(self.runner.reference)


def _smallest(pairs: Iterable[tuple[_Key, float]]) -> dict[_Key, float]:
    """The smallest value of each key."""
    found: dict[_Key, float] = {}
    for key, value in pairs:
        found[key] = min(value, found.get(key, value))
    return found


_Identity = tuple[Role, str, tuple[str, ...]]


def _identity(role: Role, key: str, records: Sequence[KernelRecord]) -> _Identity:
    """What tells a job from others: a network may be timed under other schedules later."""
    return role, key, tuple(record.schedule for record in records)


def kernel_work(kernel: Kernel, schedule: Schedule, target: Target) -> Work:
    """A kernel by itself, with its record."""
    return KernelJob(kernel, schedule, target), (KernelRecord.of(kernel, schedule),)


def network_protocol(protocol: Protocol) -> Protocol:
    """Networks are few and each is evidence: they are gone through once more."""
    rounds = protocol.rounds + 1
    return replace(protocol, rounds=rounds, max_rounds=max(rounds, protocol.max_rounds))
