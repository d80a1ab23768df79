"""NAS-Bench-201's cells against the benchmark's published counts, and as runtimes execute them."""

from collections import Counter
from pathlib import Path

import pytest

from costmodel.errors import InputError
from costmodel.host import host_target
from costmodel.operations import flops_table2, params
from costmodel.partition import partition
from tools.nas_bench_201 import CELLS, EXECUTIONS, is_cell, network_of, parse_cell

FORM = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
REDUCTIONS_AND_STEM = 7_782_400
"""Multiply-adds of what is no cell: the stem and two residual blocks."""
CONV3, CONV1 = 16 * 16 * 9 * 32 * 32, 16 * 16 * 32 * 32
"""Of a convolution in a cell: alike in all stages, channels double where rows and columns halve."""
BUSY = ("nor_conv_3x3", "avg_pool_3x3", "skip_connect", "nor_conv_1x1", "skip_connect",
        "avg_pool_3x3")  # fmt: skip


def cell(*operations):
    return parse_cell(FORM.format(*operations))


def macs(operations, execution):
    return flops_table2(network_of(cell(*operations), execution)) // 2


def kernels(operations, execution):
    network = network_of(cell(*operations), execution)
    return Counter(step.kernel.key for step in partition(network, host_target(1)))


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize(
    ("operation", "millions"), [("nor_conv_3x3", 220.12), ("skip_connect", 7.78)]
)
def test_the_largest_and_the_smallest_network_have_the_published_operations(
    operation, millions, execution
):
    """Dong and Yang 2020: from 7.78 to 220.12 million multiply-adds."""
    assert round(macs([operation] * 6, execution) / 1e6, 2) == millions


def test_every_convolution_of_a_cell_counts_fifteen_times():
    one = ["skip_connect", *["nor_conv_1x1"] * 2, "skip_connect", "nor_conv_3x3", "skip_connect"]
    assert macs(one, "eager") == REDUCTIONS_AND_STEM + 3 * CELLS * (2 * CONV1 + CONV3)


def test_weights_are_those_of_the_convolutions():
    network = network_of(cell(*["nor_conv_3x3"] * 6), "eager")
    stages = sum(6 * CELLS * 9 * c * c for c in (16, 32, 64))
    reductions = sum(c * 2 * c * 9 + 4 * c * c * 9 + 2 * c * c for c in (16, 32))
    assert params(network) == 3 * 16 * 9 + stages + reductions


@pytest.mark.parametrize("operations", [["nor_conv_3x3"] * 6, ["skip_connect"] * 6, BUSY])
def test_runtimes_agree_about_cells_without_none(operations):
    assert kernels(operations, "eager") == kernels(operations, "compiled")
    assert kernels(operations, "eager") == kernels(operations, "tflite")


def test_what_nothing_needs_runs_eagerly_and_is_compiled_away():
    """Node 1 is read by 'none' alone."""
    unread = ["nor_conv_3x3", "nor_conv_1x1", "none", "skip_connect", "none", "skip_connect"]
    assert macs(unread, "eager") == REDUCTIONS_AND_STEM + 15 * (CONV3 + CONV1)
    assert macs(unread, "compiled") == REDUCTIONS_AND_STEM + 15 * CONV1


def test_a_convolution_of_zeros_runs_everywhere_but_in_a_compiler():
    """Node 1 is all zeros, and a convolution reads it."""
    zeros = ["none", "nor_conv_1x1", "nor_conv_3x3", "skip_connect", "none", "skip_connect"]
    assert macs(zeros, "eager") == REDUCTIONS_AND_STEM + 15 * (CONV3 + CONV1)
    assert macs(zeros, "tflite") == REDUCTIONS_AND_STEM + 15 * (CONV3 + CONV1)
    assert macs(zeros, "compiled") == REDUCTIONS_AND_STEM + 15 * CONV1


def test_an_edge_none_is_a_pass_over_its_map_in_an_eager_runtime():
    short = ["skip_connect", "none", "skip_connect", "none", "none", "skip_connect"]
    assert macs(short, "eager") == macs(short, "compiled") == REDUCTIONS_AND_STEM
    assert kernels(short, "eager").total() >= kernels(short, "compiled").total() + 3 * CELLS


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_cell_that_none_cuts_off_is_still_a_network(execution):
    network = network_of(cell(*["none"] * 6), execution)
    assert flops_table2(network) // 2 == REDUCTIONS_AND_STEM


@pytest.mark.parametrize(
    "text",
    [
        "|nor_conv_1x1~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|avg_pool_3x3~2|",
        "|none~0|+|skip_connect~0|avg_pool_3x3~1|+|nor_conv_3x3~0|none~1|nor_conv_1x1~2|",
    ],
)
def test_compiled_cells_have_the_kernels_of_the_module_in_torch(text, monkeypatch):
    """A second description of the same networks, brought in through torch.export."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "costmodel"))
    import models

    from costmodel.frontends.torch_export import from_torch

    module = models.nas_bench_201(text, cells=1)
    imported, _ = from_torch(module, (1, 3, 32, 32))
    ours = network_of(parse_cell(text), "compiled", cells=1)
    assert without_sums(ours) == without_sums(imported)


def without_sums(network):
    """Kernels, whichever of the two that are summed does the sum: the one that comes last."""
    steps = partition(network, host_target(1))
    return Counter(step.kernel.key.replace(" add", "") for step in steps)


def test_cells_are_told_from_other_networks():
    assert is_cell(" " + FORM.format(*BUSY))
    assert not is_cell("3x3,40")
    assert not is_cell("kws7")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("|skip_connect~0|", r"has 3 nodes joined by '\+', '\|skip_connect~0\|' 1"),
        (FORM.format(*["conv_9x9"] * 6), "unknown NAS-Bench-201 operation 'conv_9x9'; known: non"),
        (FORM.format(*BUSY).replace("~2", "~1"), r"node 3 .* is written \|operation~0\|operatio"),
        (FORM.format(*BUSY).replace("~2|", "~2"), r"node 3 .* is written"),
        (FORM.format(*BUSY).replace("|+|", "|+"), r"node 2 .* is written"),
        ("|a~0|+||+|", "unknown NAS-Bench-201 operation 'a'"),
    ],
)
def test_what_is_no_cell_is_said(text, message):
    with pytest.raises(InputError, match=message):
        parse_cell(text)
