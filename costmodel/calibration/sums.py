"""A calibration from timings of whole networks in a runtime of the user's own.

Kernels of ours cannot run there, so that a schedule only describes a kernel
(`costmodel.calibration.described`). The model is the product's own, `RatioModel` and `Overhead`;
its process is fitted to sums of kernels (`costmodel.calibration.additive`). Error card: networks
left out in turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from costmodel.calibration.additive import Additive, Sums, fit_additive
from costmodel.calibration.card import ErrorCard, make_card
from costmodel.calibration.described import describing_schedule
from costmodel.errors import InputError
from costmodel.features import NAMES, rows_and_bounds
from costmodel.kernels import Kernel
from costmodel.predictor import Overhead, argument_bytes
from costmodel.regression.forest import Forest
from costmodel.regressor import COVERAGE, NORMAL_80, RatioModel
from costmodel.schedules.registry import describe
from costmodel.target import Target

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

MINIMUM_NETWORKS = 15
"""Networks that differ, below which there is no fit."""
FOLDS = 5
SPLIT = "whole networks, each left out of the fit in one of five parts"


@dataclass(frozen=True, kw_only=True)
class FromSums:
    """The result: a model, what a network adds, and how good they are."""

    model: RatioModel
    overhead: Overhead
    card: ErrorCard
    held_out: tuple[tuple[float, float], ...]
    """Predicted and measured seconds of each network, in the order given; the prediction is of a
    fit without it."""
    kernels: int
    """Distinct kernels of the networks."""

    @property
    def log_error(self) -> float:
        """Mean of |log(predicted / measured)| of the networks left out."""
        predicted, measured = np.array(self.held_out).T
        return float(np.abs(np.log(predicted / measured)).mean())


def fit_sums(
    networks: Sequence[Sequence[Kernel]], seconds: Sequence[float], target: Target
) -> FromSums:
    """Fits the additive model to whole networks: their kernels and what they take.

    The order of networks and kernels changes nothing. Raises InputError for fewer than
    `MINIMUM_NETWORKS` networks that differ, and for a time that is not positive.
    """
    _check(networks, seconds)
    table = _Table(networks, target)
    _check_enough(table.identities)
    # In an order of their own, so that the one given does not matter.
    order = sorted(range(len(networks)), key=lambda i: (table.identities[i], seconds[i]))
    counts, times = table.counts[order], np.asarray(seconds, np.float64)[order]
    folds = _folds([table.identities[i] for i in order])
    predicted, scores = np.empty(len(order)), np.empty(len(order))
    with threadpool_limits(1):  # matrices this small are slower on several threads
        for fold in range(FOLDS):
            out = folds == fold
            partial = _fitted(table, counts[~out], times[~out])
            predicted[out], spread = _predicted(partial, table, counts[out])
            scores[out] = np.abs(np.log(predicted[out] / times[out])) / spread
        model, overhead = _fitted(table, counts, times, widening=_conformal(scores) / NORMAL_80)
    pairs = {i: (float(p), float(t)) for i, p, t in zip(order, predicted, times, strict=True)}
    return FromSums(
        model=model,
        overhead=overhead,
        card=make_card(predicted.tolist(), times.tolist()).model_copy(update={"split": SPLIT}),
        held_out=tuple(pairs[i] for i in range(len(networks))),
        kernels=len(table.kernels),
    )


def fit_best(
    readings: Mapping[str, Sequence[Sequence[Kernel]]], seconds: Sequence[float], target: Target
) -> tuple[str, FromSums]:
    """Fits each reading of the same networks and keeps the one that predicts best.

    Runtimes run one description of a network as different kernels; which ones, these timings say:
    the smallest mean |log error| of networks left out is kept, the earlier reading where two are
    alike. Raises as `fit_sums` does.
    """
    fits = {name: fit_sums(networks, seconds, target) for name, networks in readings.items()}
    name = min(fits, key=lambda reading: fits[reading].log_error)
    return name, fits[name]


def predict_sums(
    model: RatioModel, overhead: Overhead, networks: Sequence[Sequence[Kernel]], target: Target
) -> Vector:
    """Seconds of each network [n], its kernels described as `fit_sums` describes them."""
    table = _Table(networks, target)
    return _predicted((model, overhead), table, table.counts)[0]


def _check(networks: Sequence[Sequence[Kernel]], seconds: Sequence[float]) -> None:
    if len(networks) != len(seconds):
        raise InputError(f"{len(networks)} networks have {len(seconds)} timings; each needs one")
    wrong = [s for s in seconds if not (np.isfinite(s) and s > 0)]
    if wrong:
        raise InputError(f"a network's time must be positive, got {wrong[0]} s")
    if not all(networks):
        raise InputError("a network without kernels has no time to learn from")


def _check_enough(identities: Sequence[object]) -> None:
    distinct = len(set(identities))
    if distinct < MINIMUM_NETWORKS:
        raise InputError(
            f"timings of {distinct} networks whose kernels differ are too few; "
            f"at least {MINIMUM_NETWORKS} are needed"
        )


class _Table:
    """Networks as counts of their distinct kernels, in the order of their keys."""

    def __init__(self, networks: Sequence[Sequence[Kernel]], target: Target) -> None:
        by_key: dict[str, Kernel] = {}
        tallies = []
        for kernels in networks:
            keys = [kernel.key for kernel in kernels]
            by_key.update(zip(keys, kernels, strict=True))
            tallies.append(Counter(keys))
        place = {key: i for i, key in enumerate(sorted(by_key))}
        self.kernels = [by_key[key] for key in place]
        self.identities = [tuple(sorted(tally.items())) for tally in tallies]
        """Equal for networks of the same kernels."""
        self.counts = np.zeros((len(networks), len(place)))
        for row, tally in zip(self.counts, tallies, strict=True):
            for key, count in tally.items():
                row[place[key]] = count
        described = [_described(kernel, target) for kernel in self.kernels]
        self.rows = np.array([row for row, _ in described])
        self.bounds = np.array([bound for _, bound in described])
        self.bytes = np.array([argument_bytes(k, target) for k in self.kernels], np.float64)


@cache
def _described(kernel: Kernel, target: Target) -> tuple[tuple[float, ...], float]:
    """Features and roofline seconds of a kernel under the schedule of the smallest roofline."""
    schedule = describing_schedule(kernel, target)
    rows, bounds = rows_and_bounds([describe(kernel, schedule, target)], target, kernel.flops)
    return tuple(rows[0]), float(bounds[0])


def _folds(identities: Sequence[object]) -> npt.NDArray[np.int64]:
    """The part that each network is left out with; networks of the same kernels share one."""
    distinct = list(dict.fromkeys(identities))
    parts = np.random.default_rng(0).permutation(len(distinct)) % FOLDS
    part = dict(zip(distinct, parts, strict=True))
    return np.array([part[identity] for identity in identities])


def _fitted(
    table: _Table, counts: Matrix, seconds: Vector, *, widening: float = 1.0
) -> tuple[RatioModel, Overhead]:
    """The model of some of a table's networks, as the product evaluates it."""
    seen = counts.any(axis=0)
    rows = table.rows[seen]
    center, scale = rows.mean(0), rows.std(0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    additive = fit_additive(
        Sums(
            counts=counts[:, seen],
            points=(rows - center) / scale,
            bounds=table.bounds[seen],
            bytes=table.bytes[seen],
            seconds=seconds,
        )
    )
    overhead = Overhead(
        seconds_per_kernel=additive.seconds_per_kernel,
        seconds_per_byte=additive.seconds_per_byte,
    )
    return _ratio_model(additive, center, scale, widening), overhead


def _ratio_model(additive: Additive, center: Vector, scale: Vector, widening: float) -> RatioModel:
    """The process alone: no kernel was timed, so there is nothing for trees to remember."""
    return RatioModel(
        names=NAMES,
        center=center,
        scale=scale,
        process=additive.process,
        forest=_NO_FOREST,
        share=0.0,
        residuals=np.full(len(additive.process.samples), np.nan),
        widening=widening,
    )


_NO_FOREST = Forest(
    roots=np.zeros(1, np.int32),
    feature=np.zeros(1, np.int32),
    threshold=np.zeros(1),
    left=np.zeros(1, np.int32),
    right=np.zeros(1, np.int32),
    value=np.zeros(1),
    depth=0,
)
"""One leaf, which has no share in a prediction."""


def _predicted(
    fitted: tuple[RatioModel, Overhead], table: _Table, counts: Matrix
) -> tuple[Vector, Vector]:
    """Seconds [n], and the deviation of their logarithm if all kernels err on the same side [n].

    Kernels of one network err against each other, because their sum is what was seen: the second
    is far too much. It is what an estimate's interval is made of, so that `RatioModel.widening`,
    which makes it right for networks left out, is far below one.
    """
    model, overhead = fitted
    log_ratios, deviations = model.predict(table.rows)
    parts = counts * (table.bounds * np.exp(log_ratios))
    between = overhead.seconds_per_kernel * counts.sum(1)
    between = between + overhead.seconds_per_byte * (counts @ table.bytes)
    seconds = parts.sum(1) + between
    return seconds, parts @ deviations / seconds


def _conformal(scores: Vector) -> float:
    """As for kernels (`costmodel.regressor`): stayed below with probability `COVERAGE`."""
    place = min(int(np.ceil((len(scores) + 1) * COVERAGE)), len(scores))
    return float(np.sort(scores)[place - 1])
