"""What a model knows of a kernel decides how well it predicts one it never saw."""

import numpy as np
import pytest

from costmodel.features import NAMES, extract, roofline_seconds
from costmodel.host import host_target
from costmodel.kernels import ConvKernel
from costmodel.schedules.registry import describe, points
from tools.ablation import Table, Timed, ablate, left_out, lowered, settings

TARGET = host_target()


@pytest.fixture(scope="module")
def timed():
    """Time follows from the schedule: loads beside the roofline."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(90):
        size, filters = generator.integers(4, 30, 2), int(generator.integers(1, 80))
        kernel = ConvKernel(
            height=int(size[0]), width=int(size[1]), channels=16, input_stride=16, filters=filters,
            kernel=(3, 3), stride=(1, 1), padding=(1, 1, 1, 1),
        )  # fmt: skip
        choices = points(kernel, TARGET)
        nest = describe(kernel, choices[generator.integers(len(choices))], TARGET)
        row = dict(zip(NAMES, extract(nest, TARGET, kernel.flops), strict=True))
        ratio = 1.2 + row["loads_per_fma"]
        found.append(Timed(kernel, nest, ratio * roofline_seconds(nest, TARGET)))
    return found


def test_the_more_is_known_the_smaller_the_error(timed):
    errors = ablate(timed, TARGET, folds=3)
    assert list(errors) == ["operations", "settings", "lowered"]
    assert errors["lowered"] < 0.02 < errors["settings"]
    assert errors["lowered"] < 0.02 < errors["operations"]


def test_settings_do_not_see_the_schedule(timed):
    kernel = timed[0].kernel
    both = [
        Timed(kernel, describe(kernel, schedule, TARGET), 1e-4)
        for schedule in points(kernel, TARGET)[:2]
    ]
    rows = settings(both, TARGET).rows
    assert np.array_equal(rows[0], rows[1])
    rows = lowered(both, TARGET).rows
    assert not np.array_equal(rows[0], rows[1])


def test_kernels_of_one_group_are_never_on_both_sides():
    """Time is noise that a group shares: nothing of it can be known from other groups."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 4)
    rows = generator.standard_normal((40, 3))[groups]
    noise = generator.standard_normal(40)[groups]
    table = Table(("a", "b", "c"), rows, np.ones(160), np.exp(noise))
    apart = left_out(table, list(groups), folds=5, repeats=1)
    together = left_out(table, list(range(160)), folds=5, repeats=1)
    assert together.mape < 0.2 * apart.mape
    assert len(apart.errors) == 160
