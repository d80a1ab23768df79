"""A small search that a test starts as a process of its own, kills, and starts again."""

import os
import sys
import time
from pathlib import Path

from search.algorithm import run
from search.creation import create_study
from search.objective import Constraint, Objective
from search.recorder import StudyRecorder
from search.settings import Settings
from search.space import Choice, Integer, Space
from search.work import Task

SPACE = Space((Integer("a", 0, 6), Integer("b", 0, 6), Choice("c", ("x", "y", "z"))))
SETTINGS = Settings(
    seed=7, initial_trials=12, refine_trials=6, startup_trials=4, freeze_per_phase=1,
    freeze_always=True,
)  # fmt: skip
START = {"a": 6, "b": 6, "c": "x"}
CONSTRAINTS = (Constraint("cost", 10.0),)


def objectives(log=None, sleep_s=0.0):
    def cost(candidate, _):
        return candidate["a"] + candidate["b"] + 0.1

    def error(candidate, context):
        note(log, f"{context.number}")
        time.sleep(sleep_s)
        context.report(1, 0.5)
        time.sleep(sleep_s)
        noise = (context.seed % 1000) / 7000
        return (6 - candidate["a"]) ** 2 / 3 + (3 - candidate["b"]) ** 2 / 7 + noise

    return (
        Objective("cost", "ms", cost, needs_training=False),
        Objective("error", "%", error, needs_training=True),
    )


def finetune(log=None):
    def train(candidate, context):
        note(log, f"finetune {context.number}")
        return {"error": candidate["a"] / 10 + context.seed % 10}

    return train


def note(log, line):
    """One line, on disk at once, whole or not at all."""
    if log is not None:
        handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{line}\n".encode())
        os.close(handle)


def search(path, log=None, sleep_s=0.0):
    if Path(path).exists():
        study = StudyRecorder.open(path)
    else:
        study = create_study(
            path,
            space=SPACE,
            objectives=objectives(),
            settings=SETTINGS,
            constraints=CONSTRAINTS,
            start=START,
        )
    with study:
        return run(study, Task(objectives(log, sleep_s), CONSTRAINTS, finetune(log)))


if __name__ == "__main__":
    search(sys.argv[1], sys.argv[2], float(sys.argv[3]))
