"""What the cost model knows with less: operations alone, a layer's settings, its scheduled loops.

One regressor and one split for all three, so that only the features differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from costmodel.features import NAMES, rows_and_bounds
from costmodel.kernels import Kernel
from costmodel.loopnest import LoopNest
from costmodel.regressor import NORMAL_80, Matrix, Vector, fit
from costmodel.target import Target


@dataclass(frozen=True)
class Timed:
    """A kernel under a schedule, and its time."""

    kernel: Kernel
    nest: LoopNest
    seconds: float


@dataclass(frozen=True)
class Table:
    """Timed kernels as numbers."""

    names: tuple[str, ...]
    rows: Matrix
    """Features, [n, f]."""
    bounds: Vector
    """Seconds that predictions are ratios to, [n]."""
    seconds: Vector
    """Measured, [n]."""

    @property
    def log_ratios(self) -> Vector:
        """What is predicted, [n]."""
        ratios: Vector = np.log(self.seconds / self.bounds)
        return ratios

    def part(self, chosen: npt.NDArray[np.bool_]) -> Table:
        """The kernels where ``chosen`` [n] is true."""
        return Table(self.names, self.rows[chosen], self.bounds[chosen], self.seconds[chosen])


def lowered(timed: Sequence[Timed], target: Target) -> Table:
    """Features of the scheduled loops, over the roofline."""
    parts = [rows_and_bounds([t.nest], target, t.kernel.flops) for t in timed]
    return Table(
        NAMES,
        np.concatenate([rows for rows, _ in parts]),
        np.concatenate([bounds for _, bounds in parts]),
        _seconds(timed),
    )


def operations(timed: Sequence[Timed], target: Target) -> Table:
    """The number of operations, over the time they take at the processor's peak."""
    return Table(("log_flops",), _at_peak(timed, target)[:, None], *_peaked(timed, target))


def settings(timed: Sequence[Timed], target: Target) -> Table:
    """Every number of the layer's settings and its logarithm, over the time at the peak."""
    flat = [dict(_flat(t.kernel)) for t in timed]
    names = tuple(sorted({name for row in flat for name in row}))
    rows = np.array([[row.get(name, 0.0) for name in names] for row in flat])
    rows = np.concatenate([rows, _at_peak(timed, target)[:, None]], axis=1)
    return Table((*names, "log_flops"), rows, *_peaked(timed, target))


@dataclass(frozen=True)
class LeftOut:
    """Predictions of kernels by models that never saw them."""

    errors: Vector
    """Relative, |predicted / measured - 1|, [repeats x n]."""
    inside: float
    """Share of kernels inside their 80 % interval."""

    @property
    def mape(self) -> float:
        """Mean relative error."""
        return round(float(self.errors.mean()), 4)


def left_out(table: Table, groups: Sequence[object], *, folds: int, repeats: int) -> LeftOut:
    """Cross-validation; kernels of one group are never on both sides of a split."""
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    places = np.array([number[group] for group in groups])
    errors, inside = [], []
    for repeat in range(repeats):
        fold_of = np.random.default_rng(repeat).permutation(len(number)) % folds
        for fold in range(folds):
            out = fold_of[places] == fold
            train, test = table.part(~out), table.part(out)
            model = fit(train.rows, train.log_ratios, table.names)
            means, deviations = model.predict(test.rows)
            misses = np.abs(means - test.log_ratios)
            errors.append(np.abs(np.exp(means - test.log_ratios) - 1))
            inside.append(misses <= NORMAL_80 * deviations)
    return LeftOut(np.concatenate(errors), float(np.concatenate(inside).mean()))


def ablate(
    timed: Sequence[Timed], target: Target, *, folds: int = 10, repeats: int = 1
) -> dict[str, float]:
    """Mean relative error on kernels left out, by what the model knows of them."""
    groups = [t.kernel.key for t in timed]
    tables = {"operations": operations, "settings": settings, "lowered": lowered}
    return {
        name: left_out(table(timed, target), groups, folds=folds, repeats=repeats).mape
        for name, table in tables.items()
    }


def _seconds(timed: Sequence[Timed]) -> Vector:
    return np.array([t.seconds for t in timed])


def _at_peak(timed: Sequence[Timed], target: Target) -> Vector:
    """Logarithm of the operations."""
    del target
    return np.array([math.log(max(t.kernel.flops, 1)) for t in timed])


def _peaked(timed: Sequence[Timed], target: Target) -> tuple[Vector, Vector]:
    peak = target.peak_gflops * 1e9
    return np.array([max(t.kernel.flops, 1) / peak for t in timed]), _seconds(timed)


def _flat(kernel: Kernel) -> Iterator[tuple[str, float]]:
    yield f"kind={type(kernel).__name__}", 1.0
    for name, value in asdict(kernel).items():
        values = value if isinstance(value, tuple | list) else (value,)
        for i, part in enumerate(values):
            if isinstance(part, int | float):
                yield f"{name}{i}", math.log1p(abs(part))
            else:
                yield f"{name}{i}={part}", 1.0
