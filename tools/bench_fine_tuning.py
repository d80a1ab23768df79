"""Benchmark `fine_tuning`: the paper's schedule and the modern one, and what augmentation adds.

Trains architectures with the same number of iterations and the same batch by each recipe, seed
after seed, and tests each network once. The share of the test clips that is right is the mean over
the seeds; its 95 % interval is that of so many clips, to which more seeds add nothing.

    python -m tools.bench_fine_tuning --data DATA [ARCHITECTURE ...]

Without ``--data`` on generated speech. The networks are trained in one thread each, as many at a
time as there are cores.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from statistics import fmean
from typing import TYPE_CHECKING, Any

from kws.architecture import Architecture
from kws.augmentation import AUGMENTATIONS
from kws.labels import TEN
from kws.number_format import bfloat16_pays
from kws.shares import Share
from tools.bench import print_line
from tools.console import stages
from tools.recipe import FINETUNE_DROP_EVERY, Recipe, modern
from tools.speech import GENERATED, load

if TYPE_CHECKING:
    from kws.features import FeatureSet

PAPER = Recipe(
    learning_rate=1e-3, batch=50, drop_every=FINETUNE_DROP_EVERY, bfloat16=bfloat16_pays("cpu")
)
RECIPES = {
    "paper": PAPER,
    "modern": modern(PAPER),
    "modern, features": replace(modern(PAPER), augmentation=AUGMENTATIONS["features"]),
    "modern, sound": replace(modern(PAPER), augmentation=AUGMENTATIONS["sound"]),
}


@dataclass(frozen=True)
class Tested:
    """A network that was trained, and its one test."""

    architecture: str
    recipe: str
    seed: int
    correct: int
    clips: int
    validation: float


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architectures", nargs="*", default=["kws10"])
    parser.add_argument("--data", default=GENERATED)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=2_000)
    parser.add_argument("--recipes", default=",".join(RECIPES).replace(", ", "+"))
    asked = parser.parse_args()
    with stages() as shown:
        data = load(asked.data, TEN, shown)
    names = [name.replace("+", ", ") for name in asked.recipes.split(",")]
    runs = [
        (architecture, recipe, seed)
        for seed in range(asked.seeds)
        for architecture in asked.architectures
        for recipe in names
    ]
    tested: list[Tested] = []
    context = get_context("spawn")
    with ProcessPoolExecutor(
        os.cpu_count(), mp_context=context, initializer=_begin, initargs=(data, asked.iterations)
    ) as pool:
        for each in pool.map(_test, runs):
            tested.append(each)
            sys.stderr.write(
                f"{each.architecture}, {each.recipe}, seed {each.seed}: validation "
                f"{each.validation:.1%}, test {each.correct / each.clips:.1%}\n"
            )
    print_line("fine_tuning", _figures(tested, asked.iterations))


_task: tuple[FeatureSet, int]


def _begin(data: FeatureSet, iterations: int) -> None:
    global _task  # noqa: PLW0603 - a process of the pool has this one task
    _task = data, iterations


def _test(run: tuple[str, str, int]) -> Tested:
    from kws.evaluation import evaluate
    from kws.training import train

    architecture, recipe, seed = run
    data, iterations = _task
    settings = RECIPES[recipe].settings(iterations, {})
    result = train(Architecture.parse(architecture), data, settings, seed=seed, threads=1)
    test = evaluate(result.module, data, "testing")
    return Tested(architecture, recipe, seed, test.correct_top1, test.clips, result.validation.top1)


def _figures(tested: list[Tested], iterations: int) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for each in tested:
        same = [t for t in tested if (t.architecture, t.recipe) == (each.architecture, each.recipe)]
        mean = Share(round(fmean(t.correct for t in same)), each.clips)
        found.setdefault(each.architecture, {})[each.recipe] = {
            "test": mean.json(),
            "each": [round(t.correct / t.clips, 4) for t in same],
        }
    return {"iterations": iterations, "batch": PAPER.batch, "architectures": found}


if __name__ == "__main__":
    main()
