"""Calibration: plan, build, measure, fit, error card. Every step can be resumed."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from costmodel.calibration.card import ErrorCard, make_card
from costmodel.calibration.overhead import fit_overhead
from costmodel.calibration.plan import NamedNetwork, NetworkSampler, Plan, make_plan
from costmodel.calibration.records import Header, Journal, KernelRecord, Measurement, Role
from costmodel.errors import DeviceError, InputError
from costmodel.features import NAMES
from costmodel.kernels import Kernel
from costmodel.predictor import Overhead, Predictor, measured_rows
from costmodel.program import Program
from costmodel.protocol import Protocol
from costmodel.regressor import RatioModel, fit
from costmodel.runners.contract import Job, KernelJob, NetworkJob, Outcome, Runner
from costmodel.schedules.family import Schedule
from costmodel.target import Target

CHUNK = 64
"""Jobs given to the runner at once: the time limit is looked at in between."""
RESERVED_SHARE = 0.45
"""Share of the time kept for the networks and the kernels that they are made of."""
DOUBTFUL_SIGMAS, DOUBTFUL_SHARE = 4.0, 0.08
"""A kernel is timed once more when it is this far from what the others say of it."""
MAXIMUM_DOUBTFUL = 24
MINIMUM_KERNELS = 40
"""Kernels under random schedules that a first model needs, to choose the others' schedules."""


@dataclass(frozen=True, kw_only=True)
class CalibrationSettings:
    """How much is measured."""

    kernels: int = 300
    """Kernels timed by themselves, at most."""
    overhead_networks: int = 12
    """Networks timed whole and in parts."""
    held_out_networks: int = 20
    """Networks timed whole only: the error card."""
    minutes: float = 5.0
    """Time after which no further kernel is begun; networks and fit follow."""
    seed: int = 0
    """Seed of the plan."""
    space: str = ""
    """Name of the space that networks are drawn from."""

    def __post_init__(self) -> None:
        if (
            self.kernels < MINIMUM_KERNELS
            or self.overhead_networks < 2
            or self.held_out_networks < 4
        ):
            raise InputError(
                f"a calibration needs at least {MINIMUM_KERNELS} kernels, 2 overhead networks and "
                f"4 held-out ones; got {self.kernels}, {self.overhead_networks}, "
                f"{self.held_out_networks}"
            )
        if not self.minutes > 0:
            raise InputError(f"minutes must be positive, got {self.minutes}")


@dataclass(frozen=True)
class Progress:
    """Where a calibration is, for whoever watches."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """The result: a model, what a network adds, and how good they are."""

    model: RatioModel
    overhead: Overhead
    card: ErrorCard
    kernels: int
    failed: tuple[str, ...]
    """Jobs that could not be built or run, with the reason."""
    minutes: float
    measurements: tuple[Measurement, ...]
    held_out: tuple[tuple[str, float, float], ...]
    """Name, predicted and measured seconds of the held-out networks."""


OnProgress = Callable[[Progress], None]
Measured = dict[tuple[Kernel, Schedule], float]


def calibrate(
    target: Target,
    runner: Runner,
    sample: NetworkSampler,
    *,
    protocol: Protocol,
    settings: CalibrationSettings,
    journal_path: Path,
    on_progress: OnProgress = lambda _: None,
) -> Calibrated:
    """Times kernels and networks and fits the model of ``target``.

    Everything measured is in the journal at once; called again with the same arguments, it goes
    on from there. Raises DeviceError where too little could be measured.
    """
    identity = json.dumps([asdict(settings), asdict(protocol)])
    journal = Journal(journal_path, Header(target=target.digest, settings=identity))
    try:
        return _Session(target, runner, protocol, settings, journal, on_progress).run(sample)
    finally:
        journal.close()


@dataclass
class _Session:
    target: Target
    runner: Runner
    protocol: Protocol
    settings: CalibrationSettings
    journal: Journal
    on_progress: OnProgress
    started: float = field(default_factory=time.monotonic)

    def run(self, sample: NetworkSampler) -> Calibrated:
        plan = make_plan(
            sample,
            self.target,
            kernels=self.settings.kernels,
            overhead_networks=self.settings.overhead_networks,
            held_out_networks=self.settings.held_out_networks,
            seed=self.settings.seed,
        )
        if len(plan.kernels) < MINIMUM_KERNELS:
            beside = self.settings.kernels - len(plan.kernels)
            raise InputError(
                f"{self.settings.kernels} kernels are too few: the "
                f"{self.settings.overhead_networks} overhead networks have {beside} of them; "
                f"give at least {beside + MINIMUM_KERNELS} kernels or fewer networks"
            )
        kernels_done = any(m.role != "kernel" for m in self.journal.measurements)
        if not kernels_done:
            self._measure_kernels("kernels", plan.kernels, self._seconds() * (1 - RESERVED_SHARE))
        first = Predictor(self.target, self._first_fit(plan), Overhead())
        parts = self._parts(plan, first)
        self._measure_kernels("kernels of networks", parts, float("inf"))
        if not kernels_done:
            self._measure_doubtful()
        model = self._fit(self._measured())
        overhead = self._overhead(plan, first)
        predictor = Predictor(self.target, model, overhead)
        card, held_out = self._card(plan, predictor)
        return Calibrated(
            model=model,
            overhead=overhead,
            card=card,
            kernels=len(self._measured()),
            failed=tuple(f"{m.key}: {m.error}" for m in self.journal.measurements if m.error),
            minutes=(time.monotonic() - self.started) / 60,
            measurements=tuple(self.journal.measurements),
            held_out=held_out,
        )

    @property
    def network_protocol(self) -> Protocol:
        """Networks are few and each is evidence: they are gone through once more."""
        rounds = self.protocol.rounds + 1
        return replace(
            self.protocol, rounds=rounds, max_rounds=max(rounds, self.protocol.max_rounds)
        )

    def _seconds(self) -> float:
        return self.settings.minutes * 60

    def _first_fit(self, plan: Plan) -> RatioModel:
        """The model of the plan's kernels alone, as first timed: the same after a resumption."""
        planned = {job.key for job in plan.kernels}
        earliest: dict[str, Measurement] = {}
        for m in self.journal.measurements:
            if m.role == "kernel" and m.rounds and m.key in planned:
                earliest.setdefault(m.key, m)
        return self._fit({m.kernels[0].scheduled(): m.seconds for m in earliest.values()})

    def _fit(self, measured: Measured) -> RatioModel:
        if len(measured) < 20:
            failures = [m.error for m in self.journal.measurements if m.error]
            reason = f": {failures[-1]}" if failures else ""
            raise DeviceError(f"only {len(measured)} kernels could be measured{reason}")
        return fit(*measured_rows(measured, self.target), NAMES)

    def _measured(self) -> Measured:
        """Seconds of each kernel timed by itself; of several measurements the smallest."""
        measured: Measured = {}
        for m in self.journal.measurements:
            if m.role == "kernel" and m.rounds:
                scheduled = m.kernels[0].scheduled()
                measured[scheduled] = min(m.seconds, measured.get(scheduled, float("inf")))
        return measured

    def _parts(self, plan: Plan, predictor: Predictor) -> tuple[KernelJob, ...]:
        jobs = {}
        for network in plan.overhead:
            for step in network.steps:
                chosen = predictor.choose(step.kernel).schedule
                job = KernelJob(step.kernel, chosen, self.target)
                jobs[job.key] = job
        return tuple(jobs.values())

    def _measure_kernels(self, stage: str, jobs: Sequence[KernelJob], until: float) -> None:
        self._measure(
            stage,
            "kernel",
            [(job, [KernelRecord.of(job.kernel, job.schedule)]) for job in jobs],
            until,
        )

    def _measure_doubtful(self) -> None:
        """Times once more the kernels that the others contradict: most were disturbed."""
        measured = self._measured()
        rows, ratios = measured_rows(measured, self.target)
        residuals = np.abs(fit(rows, ratios, NAMES).left_out_residuals())
        sigma = 1.4826 * float(np.median(residuals))
        limit = max(DOUBTFUL_SIGMAS * sigma, DOUBTFUL_SHARE)
        order = np.argsort(-residuals)[:MAXIMUM_DOUBTFUL]
        scheduled = list(measured)
        doubtful = [KernelJob(*scheduled[i], self.target) for i in order if residuals[i] > limit]  # type: ignore[call-arg]
        times = Counter(m.key for m in self.journal.measurements if m.role == "kernel")
        jobs = [job for job in doubtful if times[job.key] == 1]
        self._measure(
            "kernels in doubt",
            "kernel",
            [(job, [KernelRecord.of(job.kernel, job.schedule)]) for job in jobs],
            float("inf"),
            again=True,
        )

    def _measure(
        self,
        stage: str,
        role: Role,
        work: Sequence[tuple[Job, list[KernelRecord]]],
        until: float,
        *,
        again: bool = False,
    ) -> None:
        """Measures what the journal does not have yet, until the session is ``until`` s old."""
        known = [] if again else [(m.role, m.key, m.kernels) for m in self.journal.measurements]
        records = {job.key: kernels for job, kernels in work}
        missing = [job for job, kernels in work if (role, job.key, tuple(kernels)) not in known]
        done = len(work) - len(missing)
        self.on_progress(Progress(stage, done, len(work)))

        def keep(outcome: Outcome) -> None:
            nonlocal done
            done += 1
            self.journal.add(Measurement.of(role, records[outcome.key], outcome))
            self.on_progress(Progress(stage, done, len(work)))

        protocol = self.protocol if role == "kernel" else self.network_protocol
        for start in range(0, len(missing), CHUNK):
            if time.monotonic() - self.started > until:
                break
            self.runner.measure(missing[start : start + CHUNK], protocol, keep)

    def _measure_networks(
        self, stage: str, role: Role, networks: Iterable[NamedNetwork], predictor: Predictor
    ) -> list[tuple[NamedNetwork, float]]:
        work: list[tuple[Job, list[KernelRecord]]] = []
        by_key: dict[str, NamedNetwork] = {}
        for network in networks:
            schedules = tuple(predictor.choose(s.kernel).schedule for s in network.steps)
            program = Program(network.steps, schedules, network.network.input_shape, self.target)
            parts = [
                KernelRecord.of(s.kernel, schedule)
                for s, schedule in zip(network.steps, schedules, strict=True)
            ]
            work.append((NetworkJob(network.name, program), parts))
            by_key[network.name] = network
        self._measure(stage, role, work, float("inf"))
        now = {job.key: tuple(kernels) for job, kernels in work}
        return [
            (by_key[m.key], m.seconds)
            for m in self.journal.measurements
            if m.role == role and m.rounds and m.kernels == now.get(m.key)
        ]

    def _overhead(self, plan: Plan, predictor: Predictor) -> Overhead:
        totals = self._measure_networks("networks", "overhead", plan.overhead, predictor)
        measured = self._measured()
        complete = []
        for network, seconds in totals:
            parts = [(s.kernel, predictor.choose(s.kernel).schedule) for s in network.steps]
            if all(part in measured for part in parts):
                kernels = [kernel for kernel, _ in parts]
                complete.append((kernels, sum(measured[part] for part in parts), seconds))
        return fit_overhead(
            [kernels for kernels, _, _ in complete],
            [alone for _, alone, _ in complete],
            [seconds for _, _, seconds in complete],
            self.target,
        )

    def _card(
        self, plan: Plan, predictor: Predictor
    ) -> tuple[ErrorCard, tuple[tuple[str, float, float], ...]]:
        timed = self._measure_networks("held-out networks", "held_out", plan.held_out, predictor)
        if len(timed) < 2:
            raise DeviceError("no whole network could be measured, so the error is not known")
        rows = tuple(
            (network.name, predictor.predict(network.steps)[1], seconds)
            for network, seconds in timed
        )
        return make_card([p for _, p, _ in rows], [m for _, _, m in rows]), rows
