from dataclasses import replace

import pytest
from drawing import make_target

from costmodel.errors import InputError
from costmodel.target import GpuTarget, freeze_tvm_target


def make_gpu(tvm=None, **facts):
    """A GTX 1080 Ti."""
    given = {
        "frequency_mhz": 1582.0,
        "l2_bytes": 2816 * 1024,
        "memory_gb_per_s": 484.0,
        "multiprocessors": 28,
        "fma_per_multiprocessor": 128,
        "threads_per_multiprocessor": 2048,
        "blocks_per_multiprocessor": 32,
        "shared_bytes_per_multiprocessor": 96 * 1024,
        "launch_seconds": 3e-6,
    }
    tvm = freeze_tvm_target({"kind": "cuda", "arch": "sm_61", **(tvm or {})})
    return GpuTarget(tvm=tvm, **{**given, **facts})


def test_channels_are_padded_to_whole_blocks():
    target = make_target(lanes=4)  # blocks of 8
    assert [target.padded(n) for n in (1, 8, 9, 100)] == [8, 8, 16, 104]


def test_a_gpu_pads_no_channels():
    assert [make_gpu().padded(n) for n in (1, 9, 100)] == [1, 9, 100]


def test_peak_by_hand():
    """8 lanes, two multiply-adds a cycle of two operations each, 1 GHz, two cores."""
    assert make_target(lanes=8, cores=2).peak_gflops == 2 * 8 * 2 * 1 * 2


def test_peak_of_a_gpu_is_the_vendors():
    """NVIDIA states 11.3 TFLOP/s for the GTX 1080 Ti."""
    assert make_gpu().peak_gflops == pytest.approx(11_300, rel=0.01)


@pytest.mark.parametrize("fact", ["vector_lanes", "frequency_mhz", "cores", "memory_gb_per_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_facts_are_positive(fact, value):
    with pytest.raises(InputError, match=f"target fact '{fact}' must be positive"):
        replace(make_target(), **{fact: value})


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"filter_block": 12}, r"'filter_block' \(12\) is not a multiple of 'vector_lanes' \(8\)"),
        ({"l1_bytes": 2**20}, r"'l2_bytes' \(524288\) is below 'l1_bytes' \(1048576\)"),
        ({"issue_width": 1.0}, r"'fma_per_cycle' \(2\) is above 'issue_width' \(1\)"),
    ],
)
def test_facts_of_a_core_do_not_contradict_each_other(facts, told):
    with pytest.raises(InputError, match=told):
        make_target(**facts)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"threads_per_multiprocessor": 512}, r"'threads_per_block' \(1024\) is above"),
        ({"shared_bytes_per_multiprocessor": 1024}, r"'shared_bytes_per_block' \(49152\) is above"),
        ({"warp_size": 2048}, r"'warp_size' \(2048\) is above 'threads_per_block' \(1024\)"),
    ],
)
def test_facts_of_a_gpu_do_not_contradict_each_other(facts, told):
    with pytest.raises(InputError, match=told):
        make_gpu(**facts)


def test_the_digest_is_of_what_decides_the_code():
    digest = make_target().digest
    assert make_target().digest == digest
    for same in ({"frequency_mhz": 1.0}, {"memory_gb_per_s": 1.0}, {"l1_bytes": 1}):
        assert make_target(**same).digest == digest
    for other in ({"vector_registers": 32}, {"filter_block": 16}, {"cores": 2}, {"lanes": 4}):
        assert make_target(**other).digest != digest
    assert make_gpu(multiprocessors=1).digest == make_gpu().digest
    assert make_gpu({"arch": "sm_70"}).digest != make_gpu().digest


def test_a_tvm_target_can_be_frozen_and_thawed():
    given = {"kind": "llvm", "mattr": ["+neon", "+vfp4"], "num-cores": 4}
    target = make_target(tvm=freeze_tvm_target(given))
    assert hash(target)
    assert target.tvm_dict() == given
