import itertools
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from compile_shipped import SHIPPED

from costmodel.estimate import Estimator
from costmodel.network import Network
from costmodel.profile import ProfileFile, ProfileStore
from costmodel.target import CpuTarget, GpuTarget
from costmodel.target_file import facts_of

STORE = ProfileStore([SHIPPED])
STATED = [name for name in STORE.names() if not name.startswith("host-cpu")]
CPUS = [name for name in STATED if isinstance(STORE.get(name).target(), CpuTarget)]
GPUS = [name for name in STATED if isinstance(STORE.get(name).target(), GpuTarget)]
VENDOR_TFLOPS = {
    "jetson-nano": 0.236, "jetson-tx2": 0.665, "gtx-1080ti": 11.3, "v100": 15.7, "t4": 8.1,
    "a100": 19.5, "rtx-3080": 29.8, "rtx-4090": 82.6, "h100": 66.9, "h200": 66.9,
}  # fmt: skip
"""NVIDIA's float32 peaks."""
TOPHUB_GFLOPS = {"pynq-z1-a9": 1.19, "rk3399-a72": 13.1, "kirin970-a73": 9.59, "gtx-1080ti": 6208}
"""Fastest direct convolution that was ever recorded on the board, a core: TopHub's logs,
`arm_cpu_v0.08` and `cuda_v0.10` (two cores of pynq and rk3399, four of kirin970)."""
BIG_CORES = {"raspberry-pi-3b": 4, "rk3399-a72": 2, "kirin970-a73": 4, "pynq-z1-a9": 2}
"""Boards that TopHub measured, on all of these."""
PUBLISHED = (*BIG_CORES, "gtx-1080ti", "jetson-tx2")


@pytest.fixture(scope="module")
def compiled():
    """Instructions of one small kernel for each profile."""
    program = [sys.executable, str(SHIPPED.parent / "tests/costmodel/compile_shipped.py")]
    done = subprocess.run(program, cwd=SHIPPED.parent, capture_output=True, text=True, check=True)
    assert done.stderr == "", "a shipped target has a name that LLVM does not know"
    return json.loads(done.stdout)


def test_every_architecture_that_we_promise_has_a_profile():
    targets = {name: STORE.get(name).target().tvm_dict() for name in STATED}
    cores = {t["mcpu"] for t in targets.values() if "mcpu" in t}
    assert {"x86-64-v3", "x86-64-v4"} <= cores
    for core in (7, 9, 15, 53, 55, 72, 73, 76, 78):
        assert any(re.fullmatch(rf"cortex-a{core}(ae)?", c) for c in cores)
    arches = {t["arch"] for t in targets.values() if "arch" in t}
    assert arches == {f"sm_{n}" for n in (53, 61, 62, 70, 75, 80, 86, 89, 90)}


@pytest.mark.parametrize("name", STATED)
def test_a_shipped_profile_says_where_each_number_comes_from(name):
    profile = STORE.get(name)
    assert profile.sources.keys() == set(facts_of(profile.target()))
    assert all(len(source) > 10 for source in profile.sources.values())


@pytest.mark.parametrize("name", STATED)
def test_a_target_that_is_written_and_read_is_the_same(name):
    file = STORE.get(name).file
    again = ProfileFile.model_validate_json(file.model_dump_json())
    assert again.target.digest == file.target.digest


def test_no_two_kinds_of_core_have_the_same_facts():
    for one, other in itertools.combinations(STATED, 2):
        a, b = STORE.get(one).target(), STORE.get(other).target()
        if type(a) is type(b):
            assert a != replace(b, tvm=a.tvm), f"{one} and {other}"


@pytest.mark.parametrize("name", STORE.names())
def test_a_shipped_target_compiles_to_its_own_multiply_adds(name, compiled):
    target = STORE.get(name).target()
    if isinstance(target, GpuTarget):
        assert compiled[name] == {"__global__": 1}
        return
    vectors = {
        "cortex-a9": ["vmul.f32 q", "vadd.f32 q"],  # VFPv3 has no fused multiply-add
        "cortex-a7": ["vfma.f32 q"],
        "cortex-a15": ["vfma.f32 q"],
        "x86-64-v3": ["vfmadd231ps ymm"],
        "x86-64-v4": ["vfmadd231ps zmm"],
    }
    if not name.startswith("host-cpu"):
        wanted = vectors.get(target.tvm_dict()["mcpu"], ["fmla 4s"])
        assert all(compiled[name].get(instruction, 0) >= 4 for instruction in wanted)
    elif target.vector_lanes > 4:
        assert any("fmadd" in instruction for instruction in compiled[name])


def test_peaks_are_the_vendors():
    assert set(GPUS) == set(VENDOR_TFLOPS)
    for name, tflops in VENDOR_TFLOPS.items():
        assert STORE.get(name).target().peak_gflops == pytest.approx(tflops * 1e3, rel=0.01), name


@pytest.mark.parametrize("name", TOPHUB_GFLOPS)
def test_no_board_was_ever_faster_than_its_peak(name):
    """And the good kernels come near it: a peak is no empty promise."""
    target = STORE.get(name).target()
    peak = target.peak_gflops / (target.cores if isinstance(target, CpuTarget) else 1)
    assert 0.5 < TOPHUB_GFLOPS[name] / peak < 1


def test_cpus_ship_with_one_core_but_where_all_big_ones_were_measured():
    assert {name: STORE.get(name).target().cores for name in CPUS} == {
        name: BIG_CORES.get(name, 1) for name in CPUS
    }


def test_the_devices_that_users_ask_for_have_a_profile():
    asked = "host-cpu odroid-xu3-a15 odroid-xu3-a7 raspberry-pi-3b raspberry-pi-4b rk3399-a72"
    asked += " kirin970-a73 pynq-z1-a9 gtx-1080ti jetson-tx2 h200"
    assert set(asked.split()) <= set(STORE.names())


@pytest.mark.parametrize("name", STATED)
def test_only_what_others_published_ships_calibrated_and_it_says_so(name):
    facts = STORE.get(name).calibration()
    if name not in PUBLISHED:
        assert facts is None
        return
    assert "published times of tuned TVM kernels" in facts.origin
    assert "not measured by ponas" in facts.origin
    assert facts.schedules == "roofline"
    assert facts.error.of == "kernels"
    assert "workloads" in facts.error.split
    assert facts.error.networks == facts.kernels > 100


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_shipped_calibrations_intervals_are_at_least_as_wide_as_its_card(
    name,
):
    profile = STORE.get(name)
    network = Network((40, 32, 1))
    node = network.relu(network.conv2d(Network.INPUT, filters=24, kernel=(3, 3), stride=(1, 2)))
    network.dense(network.global_average_pool(node), units=10)
    estimate = Estimator(profile).estimate(network)
    low, high = estimate.latency_interval_ms
    assert estimate.calibrated
    assert low * (1 + profile.calibration().error.interval) <= estimate.latency_ms * 1.0001
    assert 0 < low < estimate.latency_ms < high
