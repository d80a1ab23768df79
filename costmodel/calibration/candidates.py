"""Kernels of the space under all their schedules, to choose from which to time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from costmodel.calibration.acquisition import (
    Belief,
    Indices,
    Matrix,
    Vector,
    chances,
    pick,
    prior_belief,
)
from costmodel.calibration.plan import NetworkSampler, distinct_networks
from costmodel.errors import InputError
from costmodel.features import rows_and_bounds
from costmodel.kernels import Kernel
from costmodel.regressor import RatioModel
from costmodel.runners.contract import KernelJob
from costmodel.schedules.registry import describe, points
from costmodel.target import Target

NETWORKS = 100
"""Networks drawn, whose mean variance a batch lessens."""
LARGEST = 4000
"""Scheduled kernels after which no further network is drawn: on targets with many schedules."""
LEAST_CHANCE = 0.02
"""Chance to be its kernel's fastest below which a schedule is not worth timing."""
CORNER_DEVIATION = 0.3
"""Of log(time / roofline) within one kernel, assumed before anything was timed."""


@dataclass(frozen=True)
class Candidates:
    """Scheduled kernels of random networks of the space, with what is needed to weigh them."""

    jobs: tuple[KernelJob, ...]
    """Schedules of one kernel side by side, [m]."""
    rows: Matrix
    """Features, [m, f]; they are computed once."""
    bounds: Vector
    """Rooflines in seconds, [m]."""
    starts: Indices
    """Where each kernel's schedules begin, [kernels]."""
    counts: Matrix
    """How often each network has the kernel of a job, [networks, m]."""
    open: npt.NDArray[np.bool_]
    """Whether a job may be timed: no kernel of a watched or held-out network is, [m]."""
    seed: int

    def corners(self, count: int) -> list[KernelJob]:
        """What to time before there is a model.

        The same rule as `batch`, under a process that knows nothing: as far from each other as
        features can be, most where networks spend their time.
        """
        nothing = np.zeros(len(self.jobs))
        spread = np.full(len(self.jobs), CORNER_DEVIATION)
        return self._picked(prior_belief(self.rows), nothing, spread, frozenset(), count)

    def batch(self, model: RatioModel, tried: Collection[str], count: int) -> list[KernelJob]:
        """What to time next, other than the jobs whose keys are in ``tried``."""
        mean, deviation = model.predict(self.rows)
        belief = Belief(center=model.center, scale=model.scale, process=model.process)
        return self._picked(belief, mean, deviation, tried, count)

    def _picked(
        self, belief: Belief, mean: Vector, deviation: Vector, tried: Collection[str], count: int
    ) -> list[KernelJob]:
        log_seconds = np.log(self.bounds) + mean
        chance = chances(log_seconds, deviation, self.starts, self.seed)
        likely = chance >= LEAST_CHANCE
        weights = self.counts * (chance * np.exp(log_seconds))
        weights = weights / weights.sum(1, keepdims=True)
        untried = np.array([job.key not in tried for job in self.jobs])
        candidates = np.flatnonzero(self.open & untried & likely)
        picked = pick(belief, self.rows[candidates], self.rows[likely], weights[:, likely], count)
        return [self.jobs[candidates[i]] for i in picked]


def draw_candidates(
    sample: NetworkSampler, target: Target, secret: Collection[str], *, seed: int
) -> Candidates:
    """Draws the pool from the plan's seed; about a second."""
    kernels: dict[Kernel, int] = {}
    networks: list[list[int]] = []
    rows: list[Matrix] = []
    bounds: list[Vector] = []
    jobs: list[KernelJob] = []
    starts: list[int] = []
    drawn = distinct_networks(sample, target, np.random.default_rng([seed, 2]))
    while len(networks) < NETWORKS and len(jobs) < LARGEST:
        try:
            steps = next(drawn).steps
        except InputError:  # a small space: what it has is what there is to know
            break
        networks.append([kernels.setdefault(step.kernel, len(kernels)) for step in steps])
        for kernel in list(kernels)[len(starts) :]:
            schedules = points(kernel, target)
            nests = [describe(kernel, schedule, target) for schedule in schedules]
            features, rooflines = rows_and_bounds(nests, target, kernel.flops)
            starts.append(len(jobs))
            rows.append(features)
            bounds.append(rooflines)
            jobs += [KernelJob(kernel, schedule, target) for schedule in schedules]
    counts = np.zeros((len(networks), len(kernels)))
    for network, members in enumerate(networks):
        np.add.at(counts[network], members, 1.0)
    return Candidates(
        jobs=tuple(jobs),
        rows=np.concatenate(rows),
        bounds=np.concatenate(bounds),
        starts=np.array(starts),
        counts=np.repeat(counts, np.diff([*starts, len(jobs)]), axis=1),
        open=np.array([job.kernel.key not in secret for job in jobs]),
        seed=seed,
    )
