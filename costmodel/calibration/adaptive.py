"""A calibration that decides what to time next from what was timed so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from costmodel.calibration.ahead import kernel_budget
from costmodel.calibration.candidates import Candidates, draw_candidates
from costmodel.calibration.plan import (
    NamedNetwork,
    Networks,
    NetworkSampler,
    draw_networks,
    random_jobs,
)
from costmodel.calibration.session import Session, Work
from costmodel.calibration.settings import MINIMUM_KERNELS, Calibrated, Progress
from costmodel.calibration.whole import (
    Parts,
    card_of,
    chosen_parts,
    compared,
    finished,
    overhead_of,
    whole_work,
)
from costmodel.features import NAMES
from costmodel.predictor import Overhead, Predictor, measured_rows
from costmodel.regressor import RatioModel, fit
from costmodel.runners.contract import KernelJob

BATCH = 24
"""Kernels chosen at once: choosing takes a second, timing that many some eight."""
RESERVED_SHARE = 0.25
"""Share of the time kept for the held-out networks."""
DOUBTFUL_SIGMAS, DOUBTFUL_SHARE = 4.0, 0.08
"""A kernel is timed once more when it is this far from what the others say of it."""
MAXIMUM_DOUBTFUL = 24
DOUBTFUL = "kernels in doubt"
"""The step after which no further kernel is chosen."""


@dataclass
class Adaptive:
    """Corners, overhead networks, then batches while the watched networks are not good enough.

    Every choice is made from what the journal has at that point and written there, so that a
    session that goes on makes the same ones, or finds them made.
    """

    session: Session
    sample: NetworkSampler
    _watched: list[Work] = field(default_factory=list)
    """The watched networks under the schedules that they were last timed with."""
    _error: float | None = None
    """Of the last model, on the watched networks."""

    @cached_property
    def _networks(self) -> Networks:
        return draw_networks(self.sample, self.session.target, self.session.settings)

    @cached_property
    def _pool(self) -> Candidates:
        seed, secret = self.session.settings.seed, self._networks.secret
        return draw_candidates(self.sample, self.session.target, secret, seed=seed)

    def run(self) -> Calibrated:
        """Measures, fits, and makes the error card."""
        session, networks = self.session, self._networks
        kernel_budget(networks, session.settings)
        kernels = session.chosen("first kernels", self._first)
        session.measure_kernels(kernels, session.counting("first kernels", len(kernels)))
        overheads = self._time_overhead()
        self._time_batches(overhead_of(session, overheads))
        self._time_doubtful()
        model, overhead = session.fit(), overhead_of(session, overheads)
        predictor = Predictor(session.target, model, overhead)
        held_out = [self._whole(n, chosen_parts(n, predictor)) for n in networks.held_out]
        return finished(session, model, overhead, held_out)

    def _first(self) -> Parts:
        if self.session.settings.plan == "active":
            return _scheduled(self._pool.corners(MINIMUM_KERNELS))
        return _scheduled(self._random(MINIMUM_KERNELS))

    def _random(self, count: int) -> Sequence[KernelJob]:
        """The first so many kernels of the random plan."""
        seed, secret = self.session.settings.seed, self._networks.secret
        return random_jobs(self.sample, self.session.target, secret, count=count, seed=seed)

    def _time_overhead(self) -> list[Work]:
        """Times the overhead networks whole, in parts and whole again, and the watched ones whole.

        What they take beyond their parts is a few percent, and a machine is disturbed for
        seconds: wholes timed at one moment could all be.
        """
        session, networks = self.session, self._networks
        overheads = self._under_one_model("overhead networks", networks.overhead, session.fit)
        parts = list(dict.fromkeys(r.scheduled() for _, records in overheads for r in records))
        count = len(overheads)
        session.measure("overhead", overheads, session.counting("networks", count))
        session.measure_kernels(parts, session.counting("kernels of networks", len(parts)))
        again = session.counting("networks again", count)
        session.measure("overhead", overheads, again, times=2)
        self._watch("watched 0", session.fit)
        self._time_watched()
        return overheads

    def _under_one_model(
        self, step: str, networks: Sequence[NamedNetwork], model: Callable[[], RatioModel]
    ) -> list[Work]:
        """Networks under the schedules that a model chooses, or chose in an earlier session."""

        def choose() -> Parts:
            predictor = Predictor(self.session.target, model(), Overhead())
            return [part for network in networks for part in chosen_parts(network, predictor)]

        parts = iter(self.session.chosen(step, choose))
        return [self._whole(network, [next(parts) for _ in network.steps]) for network in networks]

    def _whole(self, network: NamedNetwork, parts: Parts) -> Work:
        return whole_work(network, parts, self.session.target)

    def _time_watched(self) -> None:
        count = len(self._watched)
        self.session.measure(
            "watched", self._watched, self.session.counting("watched networks", count)
        )

    def _time_batches(self, overhead: Overhead) -> None:
        """Times batch after batch until the networks are predicted well enough, or no more may."""
        session, step, timed = self.session, 1, 0
        began, outcomes = session.seconds, session.outcomes
        choices = session.journal.choices
        first = (*choices["first kernels"], *choices["overhead networks"])
        total = session.settings.kernels - len({record.scheduled() for record in first})
        while batch := self._next(step, overhead):

            def show(done: int, before: int = timed) -> Progress:
                fresh = session.outcomes - outcomes
                pace = (session.seconds - began) / fresh if fresh else None
                limit = max(self._limit - session.seconds, 0.0)
                seconds_left = None if pace is None else min((total - before - done) * pace, limit)
                return Progress("kernels", before + done, total, self._error, seconds_left)

            session.measure_kernels(batch, show)
            step, timed = step + 1, timed + len(batch)
        session.on_progress(Progress("kernels", timed, timed, self._error))

    def _next(self, step: int, overhead: Overhead) -> Parts:
        """The batch of a step: as the journal has it, else chosen where one is due, else none."""
        session, choices = self.session, self.session.journal.choices
        batch, watched = f"batch {step}", f"watched {step}"
        if batch in choices:
            if watched in choices:
                self._watch(watched, session.fit)
            return session.chosen(batch, list)
        if DOUBTFUL in choices:
            return []
        model = session.fit()
        self._error = self._watched_error(model, overhead)
        left = session.settings.kernels - len(self._tried())
        if left <= 0 or session.seconds > self._limit or self._accurate(watched, model, overhead):
            return []
        return session.chosen(batch, lambda: self._batch(model, min(BATCH, left)))

    @property
    def _limit(self) -> float:
        """Age of the session in seconds after which no batch is begun."""
        return self.session.settings.minutes * 60 * (1 - RESERVED_SHARE)

    def _batch(self, model: RatioModel, count: int) -> Parts:
        settings, tried = self.session.settings, self._tried()
        if settings.plan == "active":
            return _scheduled(self._pool.batch(model, tried, count))
        return _scheduled([j for j in self._random(settings.kernels) if j.key not in tried][:count])

    def _accurate(self, step: str, model: RatioModel, overhead: Overhead) -> bool:
        """Whether the target error is met, also under the schedules that ``model`` would choose.

        Those of an earlier model are not the ones that this one errs most on: the fastest
        predicted is often the one predicted too fast.
        """
        target = self.session.settings.target_error
        if target is None or self._error is None or self._error > target:
            return False
        self._watch(step, lambda: model)
        self._time_watched()
        self._error = self._watched_error(model, overhead)
        return self._error is not None and self._error <= target

    def _watch(self, step: str, model: Callable[[], RatioModel]) -> None:
        self._watched = self._under_one_model(step, self._networks.watched, model)

    def _watched_error(self, model: RatioModel, overhead: Overhead) -> float | None:
        """Mean relative error on the watched networks; None where too few could be measured."""
        rows = compared(self.session, "watched", self._watched, model, overhead)
        return card_of(rows).mape if len(rows) >= 2 else None

    def _tried(self) -> set[str]:
        """Kernels that were given to the runner, by key."""
        return {m.key for m in self.session.journal.measurements if m.role == "kernel"}

    def _time_doubtful(self) -> None:
        """Times once more the kernels that the others contradict: most were disturbed."""
        doubtful = self.session.chosen(DOUBTFUL, self._doubtful)
        self.session.measure_kernels(
            doubtful, self.session.counting(DOUBTFUL, len(doubtful)), times=2
        )

    def _doubtful(self) -> Parts:
        measured = self.session.measured()
        rows, ratios = measured_rows(measured, self.session.target)
        residuals = np.abs(fit(rows, ratios, NAMES).left_out_residuals())
        sigma = 1.4826 * float(np.median(residuals))
        limit = max(DOUBTFUL_SIGMAS * sigma, DOUBTFUL_SHARE)
        scheduled = list(measured)
        order = np.argsort(-residuals)[:MAXIMUM_DOUBTFUL]
        return [scheduled[i] for i in order if residuals[i] > limit]


def _scheduled(jobs: Sequence[KernelJob]) -> Parts:
    return [(job.kernel, job.schedule) for job in jobs]
