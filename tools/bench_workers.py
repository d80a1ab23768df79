"""Benchmark `workers`: trainings an hour by one worker, by two beside it, and by two of Ray's.

The same trainings (Table II's kws7 on generated speech, each with a seed of its own, in one
thread) by each executor in turn, again and again. A turn opens its executor, has every worker
train a little first, and is timed from then on: what is compared is how a long search goes, not
how it starts. Ratios are taken within a round, since a machine's pace changes over minutes. All
executors must give the same errors, to the bit.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kws.architecture import Architecture, parameters_of
from kws.labels import TEN
from search.errors import StudyError
from search.executors.contract import Executor
from search.executors.inline import InlineExecutor
from search.executors.processes import ProcessExecutor
from search.executors.ray_cluster import RayExecutor
from search.work import Work
from tools.bench import print_line, quick
from tools.console import stages
from tools.recipe import SEARCH_DROP_EVERY, Recipe
from tools.speech import GENERATED, load
from tools.task import SpeechTask

TRAINED = "kws7"
"""In the middle of Table II: a tenth of the seed's operations."""
WORKERS = 2
WARM_UP_ITERATIONS = 2
Open = Callable[[SpeechTask], Executor]

WAYS: dict[str, Open] = {
    "inline": lambda task: InlineExecutor(task()),
    "local": lambda task: ProcessExecutor(task, WORKERS, threads=1),
    "ray": lambda task: RayExecutor(task, None, cpus=1, slots=WORKERS),
}


@dataclass(frozen=True)
class Turn:
    """What an executor made of all trainings."""

    seconds: float
    errors: Mapping[int, float]
    """By number of the training."""


def main() -> None:
    """Runs the benchmark."""
    hasty = quick(__doc__)
    rounds, trainings, iterations = (1, 2, 20) if hasty else (3, 8, 100)
    with stages() as shown:
        data = load(GENERATED, TEN, shown)
    recipe = Recipe(learning_rate=1e-3, batch=25, drop_every=SEARCH_DROP_EVERY)
    turns: dict[str, list[Turn]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        task = SpeechTask(
            data=data, costs=(), search=recipe, finetune=None, models=Path(folder), threads=1
        )
        for _ in range(rounds):
            for name, open_executor in WAYS.items():
                with closing(open_executor(task)) as executor:
                    turn = _turn(executor, Path(folder), trainings, iterations)
                turns[name].append(turn)
                sys.stderr.write(f"{name}: {trainings} trainings in {turn.seconds:.1f} s\n")
    hourly = {
        name: round(median(3600 * trainings / turn.seconds for turn in each))
        for name, each in turns.items()
    }
    figures = {
        "rounds": rounds,
        "trainings": trainings,
        "iterations": iterations,
        "workers": WORKERS,
        "trials_an_hour": hourly,
        "local_over_inline": _ratio(turns["inline"], turns["local"]),
        "ray_over_local": _ratio(turns["local"], turns["ray"]),
        "same_errors": len({tuple(t.errors.items()) for each in turns.values() for t in each}) == 1,
    }
    print_line("workers", figures)


def _ratio(before: list[Turn], after: list[Turn]) -> float:
    """Trainings an hour of one over those of the other, the median over rounds."""
    pairs = zip(before, after, strict=True)
    return round(median(one.seconds / other.seconds for one, other in pairs), 3)


def _turn(executor: Executor, folder: Path, trainings: int, iterations: int) -> Turn:
    _train(executor, folder, executor.slots, WARM_UP_ITERATIONS)
    began = time.perf_counter()
    errors = _train(executor, folder, trainings, iterations)
    return Turn(time.perf_counter() - began, dict(sorted(errors.items())))


def _train(executor: Executor, folder: Path, count: int, iterations: int) -> dict[int, float]:
    """Errors by number, all slots kept busy as long as there is work."""
    errors: dict[int, float] = {}
    given = 0
    while len(errors) < count:
        while given < count and given - len(errors) < executor.slots:
            executor.start(_work(given, iterations, folder))
            given += 1
        ended = executor.wait(lambda _: None)
        if ended.evaluation.state != "finished":
            raise StudyError(f"training {ended.work.number}: {ended.evaluation.error}")
        errors[ended.work.number] = ended.evaluation.values["error"]
    return errors


def _work(number: int, iterations: int, folder: Path) -> Work:
    directory = Path(tempfile.mkdtemp(prefix=f"{number}-", dir=folder))
    return Work(
        number=number,
        stage="search",
        phase=0,
        parameters=dict(parameters_of(Architecture.parse(TRAINED))),
        known={},
        seed=number,
        budget={"iterations": iterations},
        directory=directory,
        rungs={},
    )


if __name__ == "__main__":
    main()
