"""A small study in which everything has happened that can."""

import math

from search.creation import create_study
from search.freeze import Judged
from search.objective import Constraint, ObjectiveSpec
from search.recorder import FineTuned
from search.settings import Settings
from search.space import Choice, Integer, Space

SPACE = Space((Integer("kernel", 1, 10, 2), Choice("pool", ("max", "mean")), Integer("m", 1, 99)))
SPECS = (
    ObjectiveSpec("latency", "ms", needs_training=False, origin="profile a15 1234"),
    ObjectiveSpec("top1", "%", needs_training=True, direction="maximize", origin="data 99"),
)
BOUNDS = (Constraint("latency", 5.0),)
SETTINGS = Settings(seed=3, rungs=(0.25, 0.5), budgets=({"iterations": 40},))
JUDGED = (
    Judged(
        "pool", "mean", count=9, front=12, runner_up=3, chance=0.001, frozen=True,
        reason="9 of 12 on the front, next 3: chance alone would do that in 0.1 % of cases",
    ),
    Judged(
        "kernel", 3, count=4, front=12, runner_up=4, chance=1.0, frozen=False,
        reason="4 of 12 on the front, next 4: no more than chance",
    ),
)  # fmt: skip
BROKEN = 'ValueError: "no", it said, and no more'

STATES = [
    "finished", "finished", "infeasible", "stopped", "failed", "finished", "finished", "running",
]  # fmt: skip
FRONT = [0, 1, 6]
"""Those finished that no other one dominates; by number."""


def sample_study(path):
    """Eight trials, a phase that has ended and one that goes on, a fine-tuning."""
    with create_study(
        path,
        space=SPACE,
        objectives=SPECS,
        constraints=BOUNDS,
        settings=SETTINGS,
        start={"kernel": 5, "pool": "max", "m": 40},
        metadata={"data": {"digest": "99"}},
    ) as study:
        study.start_phase(6)
        _end(study, 0, 1, "max", 10, "finished", {"latency": 0.1 + 0.2, "top1": 80.0})
        _end(study, 0, 3, "max", 20, "finished", {"latency": 1.0, "top1": 90.0})
        _end(study, 0, 9, "max", 90, "infeasible", {"latency": 7.5})
        _end(study, 0, 5, "max", 30, "stopped", {"latency": 3.0})
        _end(study, 0, 7, "max", 31, "failed", {"latency": 2.0}, BROKEN, "Traceback ...")
        _end(study, 0, 5, "mean", 40, "finished", {"latency": 2.0, "top1": 85.0})
        study.finish_phase(0, JUDGED)
        study.start_phase(10, "architecture", {"m": 40})
        _end(study, 1, 9, "mean", 41, "finished", {"latency": 5.0, "top1": 95.0})
        study.start_trial(1, {"kernel": 1, "pool": "mean", "m": 42}, seed=7)
        for number, curve in {0: {20: 0.5, 40: 0.25}, 4: {20: math.nan}, 7: {20: 0.75}}.items():
            for step, value in curve.items():
                study.record_point(number, "search", step, value)
        study.record_point(1, "finetune", 100, 0.125)
        study.record_rung(1, 0.25, 60.0)
        study.record_rung(1, 0.5, 75.0)
        study.record_rung(3, 0.25, 20.0)
        now = study.trials()[0].finished
        study.record_finetuned(FineTuned(1, "finished", {"top1": 97.5}, now, "board"))
        study.annotate("measured_ms", {"0": 0.31})
    return path


def _end(study, phase, kernel, pool, m, state, values, error=None, traceback=None):
    number = len(study.trials())
    trial = study.start_trial(phase, {"kernel": kernel, "pool": pool, "m": m}, seed=number)
    if number == 5:
        trial = study.restart_trial(trial)
    study.finish_trial(trial, state, values, error, traceback, host=f"host{number}")
