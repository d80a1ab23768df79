"""Benchmark `plan`: kernels to time for the same error, chosen against drawn at random.

Kernels and whole networks are timed once on this machine; then both plans are replayed from these
times, with several seeds. The random plan draws kernels of the paper's space under random
schedules. The chosen one has others to choose from: kernels of random networks, drawn by
the chance that their schedule is the fastest. The networks are drawn apart, none of their kernels
is timed by itself, and they are predicted under the schedules that they were timed with. What
networks take beyond their kernels is fitted once, to a model of all kernels, for both plans.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from costmodel.calibration.acquisition import chances
from costmodel.calibration.candidates import Candidates, draw_candidates
from costmodel.calibration.card import make_card
from costmodel.calibration.overhead import fit_overhead
from costmodel.calibration.plan import draw_networks, random_jobs
from costmodel.calibration.session import network_protocol
from costmodel.calibration.settings import CalibrationSettings
from costmodel.calibration.whole import chosen_parts, predicted_seconds, whole_work
from costmodel.errors import InputError
from costmodel.features import NAMES
from costmodel.predictor import Overhead, Predictor, measured_rows
from costmodel.protocol import Protocol
from costmodel.regressor import RatioModel, fit
from costmodel.runners.contract import Job, KernelJob, Outcome, Runner
from costmodel.runners.local import LocalRunner
from costmodel.target import Target
from tools.bench import print_line, quick
from tools.places import profile_store
from tools.task import sample_paper_space

BATCH = 24
KEPT = 0.85
"""Share of the timed kernels that the chosen plan of each seed may choose from."""
Times = dict[str, float]
"""Seconds by job."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is timed and replayed."""

    random: int
    """Kernels timed for the random plan to draw from."""
    likely: int
    """Kernels timed for the chosen plan to choose from."""
    networks: int
    checks: tuple[int, ...]
    """Kernels after which the error is looked at."""
    seeds: int
    protocol: dict[str, Any]
    """Changes to the profile's."""


FULL = Size(
    random=420, likely=480, networks=40, checks=(40, 60, 80, 120, 160, 240), seeds=6,
    protocol={"min_repeat_ms": 10},
)  # fmt: skip
QUICK = Size(
    random=64, likely=110, networks=8, checks=(40, 60), seeds=2,
    protocol={"min_repeat_ms": 2, "repeats": 4, "rounds": 2, "max_rounds": 2},
)  # fmt: skip


def main() -> None:
    """Runs the benchmark."""
    size = QUICK if quick(__doc__) else FULL
    profile = profile_store().get("host-cpu")
    started = time.perf_counter()
    with LocalRunner() as runner:
        replay = _timed(profile.target(), runner, replace(profile.protocol, **size.protocol), size)
    minutes = (time.perf_counter() - started) / 60
    seeds = range(size.seeds)
    errors = {
        "random": np.array([replay.of_random(seed, size.checks) for seed in seeds]),
        "chosen": np.array([replay.of_chosen(seed, size.checks) for seed in seeds]),
    }
    means = {plan: found.mean(0) for plan, found in errors.items()}
    print_line(
        "plan",
        {
            "minutes_of_timing": round(minutes, 2),
            "kernels_timed": len(replay.times),
            "networks": size.networks,
            "error_of_all": round(replay.error(_fit(replay.all, replay.times, replay.target)), 4),
            "error_after": {
                plan: dict(zip(size.checks, np.round(mean, 4).tolist(), strict=True))
                for plan, mean in means.items()
            },
            "error_by_seed": {plan: np.round(e, 4).tolist() for plan, e in errors.items()},
            "times_fewer": {
                n: _ratio(n, size.checks, means["random"], means["chosen"])
                for n in size.checks
                if n >= 120 or size is QUICK
            },
            "seconds_to_choose": round(max(replay.choosing), 3),
        },
    )


@dataclass(frozen=True)
class Replay:
    """What was timed once, for both plans."""

    target: Target
    times: Times
    random: tuple[KernelJob, ...]
    pool: Candidates
    """Open are the jobs that were timed."""
    networks: tuple[tuple[list[Any], float], ...]
    """Scheduled kernels and seconds of each network."""
    overhead: Overhead
    choosing: list[float]
    """Seconds that choosing a batch took."""

    def of_random(self, seed: int, checks: Sequence[int]) -> list[float]:
        """Errors after so many kernels in random order."""
        order = np.random.default_rng(seed).permutation(len(self.random))
        jobs = [self.random[i] for i in order]
        return [self.error(self._fit(jobs[:n])) for n in checks]

    def of_chosen(self, seed: int, checks: Sequence[int]) -> list[float]:
        """Errors after so many kernels that the plan chooses."""
        kept = np.random.default_rng(seed).random(len(self.pool.jobs)) < KEPT
        pool = replace(self.pool, open=self.pool.open & kept, seed=seed)
        jobs = pool.corners(checks[0])
        errors = [self.error(self._fit(jobs))]
        for check in checks[1:]:
            while len(jobs) < check:
                model = self._fit(jobs)
                started = time.perf_counter()
                batch = pool.batch(model, {job.key for job in jobs}, min(BATCH, check - len(jobs)))
                self.choosing.append(time.perf_counter() - started)
                if not batch:
                    raise InputError(f"only {len(jobs)} kernels are there to choose from")
                jobs += batch
            errors.append(self.error(self._fit(jobs)))
        return errors

    def _fit(self, jobs: Sequence[KernelJob]) -> RatioModel:
        return _fit(jobs, self.times, self.target)

    @property
    def all(self) -> list[KernelJob]:
        """Every kernel timed."""
        open_jobs = (job for job, is_open in zip(self.pool.jobs, self.pool.open, strict=True)
                     if is_open)  # fmt: skip
        return list({job.key: job for job in (*self.random, *open_jobs)}.values())

    def error(self, model: RatioModel) -> float:
        """Mean relative error on the networks."""
        predicted = [
            predicted_seconds(parts, model, self.target)
            + self.overhead.seconds([kernel for kernel, _ in parts], self.target)
            for parts, _ in self.networks
        ]
        return make_card(predicted, [seconds for _, seconds in self.networks]).mape


def _timed(target: Target, runner: Runner, protocol: Protocol, size: Size) -> Replay:
    """Times the random plan's kernels, then likely ones by a model of these, then networks."""
    settings = CalibrationSettings(held_out_networks=size.networks)
    networks = draw_networks(sample_paper_space, target, settings)
    random = random_jobs(sample_paper_space, target, networks.secret, count=size.random, seed=0)
    times = _measure(runner, random, protocol)
    random = tuple(job for job in random if job.key in times)
    model = _fit(random, times, target)
    pool = draw_candidates(sample_paper_space, target, networks.secret, seed=0)
    likely = _likely(pool, model, size.likely)
    times |= _measure(runner, [job for job in likely if job.key not in times], protocol)
    best = _fit([*random, *likely], times, target)
    predictor = Predictor(target, best, Overhead())
    parts = {n.name: chosen_parts(n, predictor) for n in networks.held_out}
    whole = [whole_work(n, parts[n.name], target)[0] for n in networks.held_out]
    totals = _measure(runner, whole, network_protocol(protocol))
    overhead = fit_overhead(
        [[kernel for kernel, _ in parts[name]] for name in totals],
        [predicted_seconds(parts[name], best, target) for name in totals],
        list(totals.values()),
        target,
    )
    timed = {job.key for job in likely if job.key in times}
    return Replay(
        target,
        times,
        random,
        replace(pool, open=pool.open & np.array([job.key in timed for job in pool.jobs])),
        tuple((parts[name], seconds) for name, seconds in totals.items()),
        overhead,
        [],
    )


def _likely(pool: Candidates, model: RatioModel, count: int) -> list[KernelJob]:
    """Jobs drawn by the chance that their schedule is the fastest."""
    mean, deviation = model.predict(pool.rows)
    chance = chances(np.log(pool.bounds) + mean, deviation, pool.starts, 0) * pool.open
    drawn = np.random.default_rng(0).choice(
        len(chance), min(count, int((chance > 0).sum())), replace=False, p=chance / chance.sum()
    )
    return [pool.jobs[i] for i in drawn]


def _measure(runner: Runner, jobs: Sequence[Job], protocol: Protocol) -> Times:
    outcomes: list[Outcome] = []
    runner.measure(jobs, protocol, outcomes.append)
    return {outcome.key: outcome.seconds for outcome in outcomes if not outcome.error}


def _fit(jobs: Sequence[KernelJob], times: Times, target: Target) -> RatioModel:
    measured = {(job.kernel, job.schedule): times[job.key] for job in jobs if job.key in times}
    return fit(*measured_rows(measured, target), NAMES)


def _ratio(n: int, checks: Sequence[int], random: Any, chosen: Any) -> float:  # noqa: ANN401 - vectors
    """Kernels that the random plan needs for its error after ``n``, over those of the chosen one.

    Interpolated over the logarithm of the number where the chosen plan first reaches that error;
    what it reaches at the first check counts as that check, so that the ratio is at least this
    much. 0 where it is not reached.
    """
    wanted = random[checks.index(n)]
    reached = [i for i, error in enumerate(chosen) if error <= wanted]
    if not reached:
        return 0.0
    last = reached[0]
    needed = float(checks[last])
    if last:
        before, after = chosen[last - 1], chosen[last]
        share = (before - wanted) / (before - after)
        needed = checks[last - 1] * (checks[last] / checks[last - 1]) ** float(share)
    return round(n / needed, 2)


if __name__ == "__main__":
    main()
