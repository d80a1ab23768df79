"""Cells of NAS-Bench-201 compute what torch does; `check_nas_bench_201` goes through all."""

import random
from dataclasses import replace

import check_nas_bench_201 as check
import models
import numpy as np
import pytest

from costmodel.frontends.torch_export import from_torch

CELLS = list(models.nas_bench_201_cells())
DRAWN = random.Random(201).sample(CELLS, 40)
CUT_OFF = models.nas_bench_201_text(["none"] * 6)
IDENTITY = "|skip_connect~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
DOUBLED = "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|"
SHARED = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|"
BUSY = models.nas_bench_201_text(
    ["nor_conv_3x3", "avg_pool_3x3", "skip_connect", "nor_conv_1x1", "skip_connect", "avg_pool_3x3"]
)


def with_operation(operation, edge):
    """A cell with ``operation`` on one edge, others than 'none' on the rest."""
    operations = random.Random(edge).choices(models.NAS_BENCH_201_OPERATIONS[1:], k=6)
    operations[edge] = operation
    return models.nas_bench_201_text(operations)


def agrees(text):
    found = check.check_cell(text)
    assert not found.failure, f"{text}: {found.failure}"
    return found


@pytest.mark.parametrize("operation", models.NAS_BENCH_201_OPERATIONS)
def test_a_cell_with_this_operation_on_any_edge_computes_what_torch_does(operation):
    for edge in range(6):
        assert agrees(with_operation(operation, edge)).peak > 0


def test_cells_drawn_at_random_compute_what_torch_does():
    for text in DRAWN:
        is_cut_off = not models.nas_bench_201_canonical(text)
        assert (agrees(text).peak == 0) == is_cut_off


@pytest.mark.parametrize("text", [IDENTITY, DOUBLED, SHARED], ids=["identity", "doubled", "shared"])
def test_a_cell_that_reads_one_value_twice_or_does_nothing_computes_what_torch_does(text):
    assert agrees(text).peak > 0


def test_a_cell_that_none_cuts_off_puts_out_zeros():
    assert agrees(CUT_OFF).peak == 0


def test_there_are_15625_cells_each_once():
    assert len(CELLS) == len(set(CELLS)) == 15_625


def test_running_step_by_step_is_running_the_compiled_program():
    network, weights = from_torch(check.cell_module(BUSY), (1, 3, check.SIDE, check.SIDE))
    x = np.random.default_rng(0).standard_normal((check.SIDE, check.SIDE, 3), dtype=np.float32)
    in_steps = check.run_in_steps(network, weights, x)
    assert in_steps.any()
    np.testing.assert_array_equal(in_steps, check.run_assembled(network, weights, x))


def test_one_wrong_weight_is_a_failure():
    def spoiled(network, weights, x):
        name = next(name for name in weights if name.startswith("2."))
        changed = {key: value.copy() for key, value in weights[name].items()}
        changed["weight"][0, 0] *= 1.1
        return check.run_in_steps(network, {**weights, name: changed}, x)

    error, _ = check.compare(check.cell_module(BUSY), check.SIDE, spoiled)
    assert error > check.TOLERANCE


def test_a_value_that_is_read_before_it_is_written_is_a_failure():
    def swapped(network, weights, x):
        program = check.runner().program(network)
        exchanged = {
            name: (values[1], values[0], *values[2:])
            for name, values in {"steps": program.steps, "schedules": program.schedules}.items()
        }
        return check.runner().run(replace(program, **exchanged), network, weights, x)

    module = check.cell_module(BUSY)
    found = check.checked(BUSY, lambda: check.compare(module, check.SIDE, swapped))
    assert found.failure.startswith("largest relative error")
