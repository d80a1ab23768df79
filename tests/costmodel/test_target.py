from dataclasses import replace

import pytest
from drawing import make_target

from costmodel.errors import InputError
from costmodel.target import freeze_tvm_target


def test_channels_are_padded_to_whole_blocks():
    target = make_target(lanes=4)  # blocks of 8
    assert [target.padded(n) for n in (1, 8, 9, 100)] == [8, 8, 16, 104]


def test_peak_by_hand():
    """8 lanes, two multiply-adds a cycle of two operations each, 1 GHz, two cores."""
    assert make_target(lanes=8, cores=2).peak_gflops == 2 * 8 * 2 * 1 * 2


@pytest.mark.parametrize("fact", ["vector_lanes", "frequency_mhz", "cores", "memory_gb_per_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_facts_are_positive(fact, value):
    with pytest.raises(InputError, match=f"target fact '{fact}' must be positive"):
        replace(make_target(), **{fact: value})


def test_a_block_is_made_of_whole_vectors():
    with pytest.raises(InputError, match="channel_block 12 is not a multiple of vector_lanes 8"):
        make_target(lanes=8, channel_block=12)


def test_the_digest_is_of_what_decides_the_code():
    digest = make_target().digest
    assert make_target().digest == digest
    for same in ({"frequency_mhz": 1.0}, {"memory_gb_per_s": 1.0}, {"l1_bytes": 1}):
        assert make_target(**same).digest == digest
    for other in ({"vector_registers": 32}, {"channel_block": 16}, {"cores": 2}, {"lanes": 4}):
        assert make_target(**other).digest != digest


def test_a_tvm_target_can_be_frozen_and_thawed():
    given = {"kind": "llvm", "mattr": ["+neon", "+vfp4"], "num-cores": 4}
    target = make_target(tvm=freeze_tvm_target(given))
    assert hash(target)
    assert target.tvm_dict() == given
