"""Benchmark `training`: clips trained a second, by this project and by a plain PyTorch loop.

The plain loop is the one in every tutorial: a DataLoader over the features, the network and Adam
as torch makes them, all cores. Ours is `kws.training.train` as the search runs it: a training in
one thread on each core at a time; beside it, one training on all cores. All do the same iterations
of the same batch size on the same features. ``ours_augmented`` changes the sound of every clip and
computes its features while it trains. Each way runs in processes of its own, in turn, round after
round, and is timed after a few iterations. Since a DataLoader mostly computes features while it
loads, that loop is timed too, with a loading process a core (``plain_with_features``).
``accuracy`` is that of a longer training by both. ``cuda`` is what `tools.gpu_trainings` measures
where there is a GPU, with what follows for the paper's experiment: an extrapolation.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from statistics import mean, median
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from kws.architecture import PUBLISHED
from kws.augmentation import AUGMENTATIONS
from kws.clip_audio import FULL_SCALE
from kws.labels import TEN
from kws.number_format import bfloat16_pays
from kws.training_settings import TrainingSettings
from tools.bench import print_line, quick
from tools.console import stages
from tools.gpu_trainings import on_gpu
from tools.speech import GENERATED, load

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Barrier

    from kws.features import FeatureSet
    from kws.module import KeywordNet

    Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]
    Speeds = SimpleQueue[float]

NETWORKS = ("seed", "kws1", "kws7", "kws12")
BATCH = 25
WARM_UP = 3
"""Iterations before the clock starts."""
LEARNING_RATE = 1e-3
CORES = os.cpu_count() or 1


def main() -> None:
    """Runs the benchmark."""
    hasty = quick(__doc__)
    with stages() as shown:
        data = load(GENERATED, TEN, shown)
    networks = NETWORKS[-1:] if hasty else NETWORKS
    rounds, iterations = (1, 8) if hasty else (3, 12)
    figures: dict[str, Any] = {"batch": BATCH, "rounds": rounds, "iterations": iterations}
    figures["clips_per_second"] = {
        name: _compare(name, data, rounds, iterations) for name in networks
    }
    if not hasty:
        figures["accuracy"] = _accuracy("kws12", data, iterations=300, seeds=10)
    figures["cuda"] = on_gpu(networks, data, hasty=hasty)
    print_line("training", figures)


def _compare(name: str, data: FeatureSet, rounds: int, iterations: int) -> dict[str, Any]:
    ways: dict[str, Callable[[], float]] = {
        "plain": lambda: _at_once(_plain, 1, name, data, iterations),
        "plain_with_features": lambda: _at_once(_plain_with_features, 1, name, data, iterations),
        "ours": lambda: _at_once(_ours, CORES, name, data, iterations),
        "ours_alone": lambda: _at_once(_ours, 1, name, data, iterations),
        "ours_augmented": lambda: _at_once(_ours_augmented, CORES, name, data, iterations),
    }
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, measure in ways.items():
            found[way].append(measure())
            sys.stderr.write(f"{name}, {way}: {found[way][-1]:.0f} clips/s\n")
    plain = found["plain"]
    return {
        **{way: round(median(values), 1) for way, values in found.items()},
        **{
            f"{way}_over_plain": round(
                median(a / b for a, b in zip(found[way], plain, strict=True)), 3
            )
            for way in ways
            if way != "plain"
        },
    }


def _at_once(
    work: Callable[..., None], count: int, name: str, data: FeatureSet, iterations: int
) -> float:
    """Clips a second that ``count`` processes train together, all threads shared among them."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(count), context.SimpleQueue()
    arguments = (name, data, iterations, CORES // count, start, results)
    children = [context.Process(target=work, args=arguments) for _ in range(count)]
    for child in children:
        child.start()
    speeds = [results.get() for _ in children]
    for child in children:
        child.join()
    return float(sum(speeds))


def _ours_augmented(
    name: str, data: FeatureSet, iterations: int, threads: int, start: Barrier, results: Speeds
) -> None:
    _ours(name, data, iterations, threads, start, results, augmentation="sound")


def _ours(
    name: str,
    data: FeatureSet,
    iterations: int,
    threads: int,
    start: Barrier,
    results: Speeds,
    augmentation: str = "none",
) -> None:
    from kws.training import Progress, train

    settings = TrainingSettings(
        learning_rate=LEARNING_RATE,
        batch=BATCH,
        iterations=WARM_UP + iterations,
        curve_iterations=1,
        evaluate_iterations=WARM_UP + iterations,
        bfloat16=bfloat16_pays("cpu"),
        augmentation=AUGMENTATIONS[augmentation],
    )
    began = 0.0

    def on_progress(progress: Progress) -> None:
        nonlocal began
        if progress.iteration == WARM_UP:
            start.wait()
            began = time.perf_counter()
        if progress.iteration == WARM_UP + iterations - 1:  # the last one evaluates, too
            results.put((iterations - 1) * BATCH / (time.perf_counter() - began))

    train(PUBLISHED[name], data, settings, seed=0, threads=threads, on_progress=on_progress)


def _plain(
    name: str, data: FeatureSet, iterations: int, threads: int, start: Barrier, results: Speeds
) -> None:
    torch.set_num_threads(threads)
    features = torch.from_numpy(data.normalised("training"))[:, None]
    clips = TensorDataset(features, torch.from_numpy(data.labels("training").copy()))
    _time_plain(name, DataLoader(clips, BATCH, shuffle=True), iterations, start, results)


def _plain_with_features(
    name: str, data: FeatureSet, iterations: int, threads: int, start: Barrier, results: Speeds
) -> None:
    torch.set_num_threads(threads)
    loader = DataLoader(_SoundClips(data), BATCH, shuffle=True, num_workers=CORES)
    _time_plain(name, loader, iterations, start, results)


class _SoundClips(Dataset[tuple[Any, int]]):
    """A data set as torch wants it, whose features are computed clip by clip."""

    def __init__(self, data: FeatureSet) -> None:
        self._data, self._labels = data, data.labels("training")
        self._sound = data.audio("training")

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        from kws.mfcc import mfcc

        features = mfcc(self._sound[row].astype("float32") / FULL_SCALE, self._data.settings)
        return self._data.normalisation.apply(features[None]), int(self._labels[row])


def _time_plain(
    name: str, loader: Batches, iterations: int, start: Barrier, results: Speeds
) -> None:
    began = 0.0
    start.wait()
    for done, _ in enumerate(_plain_iterations(name, loader, WARM_UP + iterations), start=1):
        if done == WARM_UP:
            began = time.perf_counter()
    results.put(iterations * BATCH / (time.perf_counter() - began))


def _plain_iterations(
    name: str, loader: Batches, count: int, seed: int = 0
) -> Iterator[KeywordNet]:
    """Trains as tutorials do; yields the network after each iteration."""
    module = _plain_network(name, seed)
    optimiser = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE)
    criterion = torch.nn.CrossEntropyLoss()
    done = 0
    while True:
        for batch, labels in loader:
            optimiser.zero_grad()
            loss = criterion(module(batch), labels)
            loss.backward()
            optimiser.step()
            loss.item()  # as tutorials do, for the running loss
            yield module
            done += 1
            if done == count:
                return


def _plain_network(name: str, seed: int) -> KeywordNet:
    from kws.module import to_module

    module = to_module(PUBLISHED[name], seed=seed)
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return module.train()


def _accuracy(name: str, data: FeatureSet, *, iterations: int, seeds: int) -> dict[str, Any]:
    """Of the validation clips, after the same iterations of the plain loop and of ours."""
    from kws.evaluation import evaluate
    from kws.training import train

    features = torch.from_numpy(data.normalised("training"))[:, None]
    clips = TensorDataset(features, torch.from_numpy(data.labels("training").copy()))
    settings = TrainingSettings(
        learning_rate=LEARNING_RATE, batch=BATCH, iterations=iterations,
        evaluate_iterations=iterations, bfloat16=bfloat16_pays("cpu"),
    )  # fmt: skip
    plain, ours = [], []
    for seed in range(seeds):
        torch.manual_seed(seed)
        loader = DataLoader(clips, BATCH, shuffle=True)
        *_, module = _plain_iterations(name, loader, iterations, seed)
        plain.append(round(evaluate(module, data, "validation").top1, 4))
        result = train(PUBLISHED[name], data, settings, seed=seed)
        ours.append(round(result.validation.top1, 4))
    means = {"plain_mean": round(mean(plain), 4), "ours_mean": round(mean(ours), 4)}
    return {"network": name, "iterations": iterations, **means, "plain": plain, "ours": ours,
            "clips": len(data.labels("validation"))}  # fmt: skip


if __name__ == "__main__":
    main()
