"""The mode `time` of static programs, their threads, their memory and their errors."""

import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from boards import ONE_OF_EACH_PLATFORM, board_target, emulator_of
from handmade import matmul
from kernels_in_c import linked

from costmodel.crossbuild.link import build
from costmodel.crossbuild.messages import TimeSettings, fault_of, parse_timing
from costmodel.crossbuild.run import check, run, time_kernels
from costmodel.errors import DeviceError

MODES_LINE = "the first argument is list, check, time, files or remove"
CPU_LINE = "--cpu takes processors such as 4 or 4,5 or 4-7, at most 64"


@pytest.fixture(scope="module", params=ONE_OF_EACH_PLATFORM)
def in_c(request, tmp_path_factory):
    return linked(request.param, tmp_path_factory.mktemp("in_c"))


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    return linked("x86-64", tmp_path_factory.mktemp("native"))


def test_a_simulator_is_asked_for_exactly_one_run(in_c):
    program, emulator = in_c
    settings = TimeSettings(repeats=1, min_repeat_ms=0, warm_up_runs=0)
    (timing,) = time_kernels(program, ["count"], settings, emulator=emulator)
    assert timing.output_peak == 1
    assert (len(timing.seconds), timing.runs, timing.warm_up_runs) == (1, (1,), 0)


@pytest.mark.parametrize("flush_kb", [0, 64])
def test_every_run_is_accounted_for(in_c, flush_kb):
    program, emulator = in_c
    settings = TimeSettings(repeats=6, min_repeat_ms=1, warm_up_runs=3, flush_kb=flush_kb)
    (timing,) = time_kernels(program, ["count"], settings, emulator=emulator)
    assert len(timing.seconds) == 6
    assert timing.output_peak == sum(timing.runs) + timing.warm_up_runs
    assert timing.warm_up_runs >= 3
    for seconds, runs in zip(timing.seconds, timing.runs, strict=True):
        assert seconds * runs >= 0.999e-3


def test_a_known_time_is_measured(native):
    program, emulator = native
    settings = TimeSettings(repeats=3, min_repeat_ms=10, warm_up_ms=20)
    start = time.perf_counter()
    (timing,) = time_kernels(program, ["nap"], settings, emulator=emulator)
    whole = time.perf_counter() - start
    assert all(seconds >= 0.002 for seconds in timing.seconds)
    assert np.dot(timing.seconds, timing.runs) < whole
    assert whole > 0.020 + 3 * 0.010
    assert timing.output_peak >= 3 * 3  # no more than five runs of 2 ms fit, three are sure


@pytest.mark.parametrize(("stable", "least", "most"), [(0, 20, 1e9), (1e6, 3, 8)])
def test_a_warm_up_goes_on_until_its_halves_agree(native, stable, least, most):
    """At most so often as allowed; each half has a run that counts, and some to find out."""
    program, emulator = native
    settings = TimeSettings(repeats=1, min_repeat_ms=0, warm_up_ms=8, warm_ups=10, stable=stable)
    (timing,) = time_kernels(program, ["nap"], settings, emulator=emulator)
    assert least <= timing.warm_up_runs <= most
    assert timing.runs == (1,)


def test_both_clocks_are_told_and_hold_all_samples(in_c):
    program, emulator = in_c
    settings = TimeSettings(repeats=3, min_repeat_ms=1, warm_up_ms=2)
    (timing,) = time_kernels(program, ["nap"], settings, emulator=emulator)
    assert not timing.clock_jumped
    assert timing.elapsed >= np.dot(timing.seconds, timing.runs)
    assert fault_of(timing, settings) is None


def test_a_kernel_that_takes_too_long_ends_the_program(in_c):
    program, emulator = in_c
    settings = TimeSettings(repeats=1, min_repeat_ms=100_000, timeout_s=1)
    with pytest.raises(DeviceError, match="kernel 'nap' took more than 1 s"):
        time_kernels(program, ["nap"], settings, emulator=emulator)


def test_the_time_limit_is_each_kernels_own(native):
    program, emulator = native
    settings = TimeSettings(repeats=1, min_repeat_ms=250, timeout_s=2)
    asked = ["nap"] * 5
    assert len(time_kernels(program, asked, settings, emulator=emulator)) == 5


def test_arrays_without_numbers_and_without_axes_are_arguments_too(in_c):
    program, emulator = in_c
    x, scalar = np.zeros((0, 3), np.float32), np.float32(2.5).reshape(())
    (found,) = check(program, [("odd", [x, scalar])], emulator=emulator)
    assert found == 5
    settings = TimeSettings(repeats=1, min_repeat_ms=0)
    (timing,) = time_kernels(program, ["odd"], settings, emulator=emulator)
    assert 0 < timing.output_peak <= 2


def test_weights_are_small_enough_for_deep_networks(in_c):
    """`norm` puts out the sum of its second argument's squares: a third of its largest."""
    program, emulator = in_c
    settings = TimeSettings(repeats=1, min_repeat_ms=0)
    (timing,) = time_kernels(program, ["norm"], settings, emulator=emulator)
    assert timing.output_peak == pytest.approx(1 / 3, rel=0.2)


def test_kernels_are_timed_in_the_order_asked_for(native):
    program, emulator = native
    settings = TimeSettings(repeats=2, min_repeat_ms=0)
    asked = ["count", "nap", "count", "scratch"]
    assert [t.kernel for t in time_kernels(program, asked, settings, emulator=emulator)] == asked


def test_an_output_that_is_no_number_is_told(in_c):
    program, emulator = in_c
    settings = TimeSettings(repeats=1, min_repeat_ms=0)
    (timing,) = time_kernels(program, ["nothing"], settings, emulator=emulator)
    assert timing.output_peak is None


def test_inputs_come_from_the_seed(tmp_path):
    target = board_target("x86-64")
    emulator = emulator_of(target)
    program = build({"m": matmul(1, 1, 64)}, target, tmp_path / "program")

    def peak(seed):
        settings = TimeSettings(repeats=1, min_repeat_ms=0, seed=seed)
        return time_kernels(program, ["m"], settings, emulator=emulator)[0].output_peak

    assert peak(1) == peak(1) != peak(2)
    assert 0 < peak(1) <= 1  # products of two numbers in [-1, 1)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_parallel_tasks_meet_at_every_barrier(in_c, threads):
    program, emulator = in_c
    settings = TimeSettings(repeats=50, min_repeat_ms=0, threads=threads)
    (timing,) = time_kernels(program, ["together"], settings, emulator=emulator)
    assert timing.output_peak == threads


def test_workers_that_fell_asleep_are_woken(native):
    program, emulator = native
    settings = TimeSettings(repeats=3, min_repeat_ms=0, threads=2)
    kernels = ["together", "nap", "together", *["nap"] * 20, "together"]
    timings = time_kernels(program, kernels, settings, emulator=emulator)
    assert [t.output_peak for t in timings if t.kernel == "together"] == [2, 2, 2]


def test_threads_stay_on_the_processors_they_are_given(native):
    program, emulator = native
    settings = TimeSettings(repeats=5, min_repeat_ms=0, cpus=(0,))
    said = run(program.path, settings.arguments(["together"]), emulator=emulator)
    assert json.loads(said)["cpus"] == [0]
    assert parse_timing(said.decode()).output_peak == 1


def test_scratch_memory_is_aligned_and_kept_between_runs(in_c):
    program, emulator = in_c
    settings = TimeSettings(repeats=5, min_repeat_ms=0)
    (timing,) = time_kernels(program, ["scratch"], settings, emulator=emulator)
    assert timing.output_peak == 1


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        ([], 2, f"{MODES_LINE}, got ''"),
        (["sing"], 2, f"{MODES_LINE}, got 'sing'"),
        (["time"], 2, "time needs at least one --kernel NAME; see them with: list"),
        (["time", "--kernel"], 2, "option '--kernel' takes a value"),
        (
            ["time", "--kernel", "nil"],
            2,
            "unknown kernel 'nil'; this program has 9, from 'count' to 'scratch'; "
            "see them with: list",
        ),
        (["time", "--repeats", "0"], 2, "--repeats takes a number from 1 to 100000, got '0'"),
        (["time", "--repeats", "2.5"], 2, "--repeats takes a whole number, got '2.5'"),
        (
            ["time", "--min-repeat-ms", "nan"],
            2,
            "--min-repeat-ms takes a number from 0 to 1e+06, got 'nan'",
        ),
        (["time", "--cpu", "3-1"], 2, f"{CPU_LINE}, got '3-1'"),
        (["time", "--cpu", "0-99"], 2, f"{CPU_LINE}, got '0-99'"),
        (["time", "--cpu", "1,"], 2, f"{CPU_LINE}, got '1,'"),
        (
            ["time", "--cpu", "0", "--threads", "2"],
            2,
            "--threads 2 needs as many processors, --cpu names 1",
        ),
        (
            ["time", "--kernel", "count", "--cpu", "1000"],
            2,
            "cannot run on cpu 1000: Invalid argument; see which are online: "
            "/sys/devices/system/cpu/online",
        ),
        (["time", "--kernel", "refuse"], 1, "kernel 'refuse' failed: too many cooks"),
        (["check", "--input", "/none"], 1, "cannot open '/none': No such file or directory"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(in_c, arguments, status, line):
    program, emulator = in_c
    command = [*emulator, str(program.path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"ponas error: {line}\n")
    with pytest.raises(DeviceError, match=r"^program: ponas error: ") as raised:
        run(program.path, arguments, emulator=emulator)
    assert str(raised.value) == f"program: ponas error: {line}"


def test_a_task_that_fails_fails_the_kernel(native):
    program, emulator = native
    settings = TimeSettings(repeats=1, min_repeat_ms=0, threads=2)
    with pytest.raises(DeviceError, match="kernel 'broken' failed"):
        time_kernels(program, ["broken"], settings, emulator=emulator)


def test_a_full_disk_is_told(native):
    program, emulator = native
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    words = ["check", "--output", "/dev/full"]
    with pytest.raises(DeviceError, match="cannot write the output: No space left on device"):
        run(program.path, words, emulator=emulator, given=b"count\n")


def test_a_hanging_program_is_ended(native):
    program, emulator = native
    settings = TimeSettings(repeats=1000, min_repeat_ms=1000)
    with pytest.raises(DeviceError, match=r"took more than 0.5 s"):
        time_kernels(program, ["nap"], settings, emulator=emulator, timeout_s=0.5)


def test_a_program_for_another_machine_cannot_start(tmp_path):
    (tmp_path / "program").write_bytes(b"\x7fELF")
    (tmp_path / "program").chmod(0o755)
    with pytest.raises(DeviceError, match=r"cannot start .*program: Exec format error"):
        run(tmp_path / "program", ["list"])
