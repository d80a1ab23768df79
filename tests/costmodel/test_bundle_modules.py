"""Bundles for GPUs: TVM's own CUDA part runs them, on a driver without a GPU."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import tvm
from boards import board_target, emulator_of
from cuda_drawing import make_gpu
from fake_cuda import build_fake_cuda, fake_environment, needs_compiler
from runner_contract import FAST, impossible_job, kernel_jobs, measure, network_job
from test_cuda_families import needs_toolkit

from costmodel.bundle.carried.log import Log
from costmodel.bundle.device_code import with_machine_code, write_host_code
from costmodel.bundle.manifest import Manifest
from costmodel.bundle.modules import ModulesContents
from costmodel.bundle.results import read_results
from costmodel.bundle.stages import Stage
from costmodel.bundle.write import write_bundle
from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.shared import link_shared
from costmodel.errors import DeviceError, InputError
from costmodel.lowering import compile_module, lower
from costmodel.runners.bundle import BundleRunner
from costmodel.schedules.registry import family_of

pytestmark = needs_toolkit
PROTOCOL = replace(
    FAST, repeats=6, rounds=3, max_rounds=4, min_repeat_ms=0.2, sentinel_every=2, drift=1e9
)
TARGET = make_gpu("sm_61")


@pytest.fixture(scope="module")
def jobs():
    return [*kernel_jobs(TARGET, 2), network_job(TARGET)]


@pytest.fixture(scope="module")
def written(jobs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu") / "a bundle"
    stage = Stage((*jobs, impossible_job(TARGET)), PROTOCOL)
    report = write_bundle([stage], TARGET, folder, title="two kernels and a network")
    assert (report.jobs, set(report.failed)) == (3, {impossible_job(TARGET).key})
    return folder


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    return build_fake_cuda(tmp_path_factory.mktemp("fake cuda"))


@pytest.fixture
def results(tmp_path):
    return tmp_path / "the results.jsonl"


def words(folder, *more):
    return [sys.executable, str(folder / "run.py"), *map(str, more)]


def run(folder, *more, status=0, **options):
    done = subprocess.run(
        words(folder, *more), capture_output=True, text=True, timeout=300, check=False, **options
    )
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    return done.stderr


def errors(path, jobs):
    outcomes = measure(BundleRunner(path, TARGET), jobs, PROTOCOL)
    return [outcomes[job.key].error for job in jobs]


def test_a_library_of_each_job_has_machine_code_and_no_source(written):
    names = {path.stem for path in (written / "modules").iterdir()}
    manifest = Manifest.parse((written / "manifest.json").read_text())
    assert names == {job.name for job in (*manifest.jobs, *manifest.sentinels)}
    for path in (written / "modules").iterdir():
        code = path.read_bytes()
        assert b"__global__" not in code
        start = code.index(struct.pack("<Q", 5) + b"cubin")
        cubin = code.index(b"\x7fELF", start)
        assert code[cubin + 18] == 190  # EM_CUDA
        assert code[cubin + 0x30] == 61
        with pytest.raises(RuntimeError, match=r"ffi\.Module\.load_from_bytes\.cuda"):
            tvm.runtime.load_module(str(path))
    text = (written / "README.txt").read_text()
    assert "python3 run.py" in text
    assert f"apache-tvm=={tvm.__version__}" in text
    assert "@" not in text


def test_the_host_code_is_for_the_machine_that_has_the_gpu(tmp_path, jobs):
    stage = [Stage(tuple(jobs[:1]), FAST)]
    write_bundle(stage, TARGET, tmp_path / "arm", title="t", host="aarch64")
    (library,) = (tmp_path / "arm" / "modules").iterdir()
    assert library.read_bytes()[18] == 183  # EM_AARCH64
    jetson = make_gpu("sm_53")
    assert ModulesContents(jetson)._platform.name == "aarch64"
    with pytest.raises(InputError, match="unknown host 'riscv' of a GPU; known: x86_64, aarch64"):
        write_bundle(stage, TARGET, tmp_path / "b", title="t", host="riscv")


def test_packed_bytes_of_another_form_are_refused(tmp_path, jobs):
    module = lower(jobs[0].kernel, jobs[0].schedule, TARGET).module
    packed = write_host_code(module, TARGET, "x86_64-linux-gnu", tmp_path / "o.o")
    changed = with_machine_code(packed, b"\x7fELF")
    assert struct.unpack_from("<Q", changed)[0] == len(changed) - 8
    for bad in (b"", packed[:40], packed[:-1], packed + b"x", packed.replace(b"_lib", b"_bil"),
                changed):  # fmt: skip
        with pytest.raises(DeviceError, match=r"another form than that of release 0\.27"):
            with_machine_code(bad, b"\x7fELF")


@needs_compiler
def test_kernels_and_networks_are_launched_and_timed(written, libraries, results, jobs, tmp_path):
    log = tmp_path / "log"
    run(written, results, env=fake_environment(libraries, 61, FAKE_LOG=str(log)))
    found = measure(BundleRunner(results, TARGET), [*jobs, impossible_job(TARGET)], PROTOCOL)
    assert found.pop(impossible_job(TARGET).key).error
    for outcome in found.values():
        assert outcome.error is None
        assert 20e-6 <= outcome.seconds < 1
        assert all(len(samples) == 2 for samples in outcome.rounds)
    launched = log.read_text().split()
    kernels = [name for name in launched if name != "main_kernel"]
    each = len(jobs[2].program.steps)
    assert kernels[: 2 * each] == kernels[:each] * 2
    with BundleRunner(results, TARGET) as runner:
        runner.measure([], PROTOCOL, lambda _: None)
        assert len(runner.reference) >= 2
        assert list(runner.files(["/proc/cpuinfo"])) == ["/proc/cpuinfo"]


@needs_compiler
def test_a_run_that_is_stopped_goes_on_where_it_was(written, libraries, results, jobs):
    environment = fake_environment(libraries, 61)
    with subprocess.Popen(
        words(written, results), env=environment, stderr=subprocess.PIPE, text=True
    ) as running:
        wait_for(results, 3)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.endswith("stopped; start it again to go on\n")
    with results.open("a") as file:
        file.write('{"step": 9, "bat')
    before = [line.step for line in read_results(results).lines]
    assert f"going on after step {before[-1]}" in run(written, results, env=environment)
    kept = [text for text in results.read_text().splitlines() if text.startswith('{"step": ')]
    numbers = [json.loads(text)["step"] for text in kept if text.endswith("}}")]
    assert len(numbers) == len(set(numbers)) == len(read_results(results).lines)
    assert errors(results, jobs) == [None] * 3


def wait_for(path, count):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if path.exists() and path.read_text().count('"timing"') >= count:
            return
        time.sleep(0.005)
    raise AssertionError("nothing is timed")


@needs_compiler
def test_a_second_run_into_the_same_file_is_refused(written, results):
    first = Log(results, written / "manifest.json")
    first.write("kept")
    with pytest.raises(SystemExit, match="is being written by another run; wait for it to end"):
        Log(results, written / "manifest.json")
    assert results.read_text().endswith("kept\n")


def test_a_kernel_that_kills_its_process_costs_only_itself(written, libraries, results, jobs):
    environment = fake_environment(libraries, 61, FAKE_CRASH="kernel1_kernel")
    said = run(written, results, env=environment)
    assert said.count("crashed (status -9)") == 1
    assert errors(results, jobs) == [None, None, "it crashed (status -9)"]


@needs_compiler
def test_a_gpu_of_another_kind_is_told_at_once(written, libraries, results):
    said = run(written, results, env=fake_environment(libraries, 90), status=1)
    assert said == (
        "ponas: the device cuda:0 cannot be used: this GPU is of sm_90, the bundle is for sm_61\n"
    )


def test_a_machine_without_a_gpu_is_told_at_once(written, results):
    said = run(written, results, status=1, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert "ponas: the device cuda:0 cannot be used: " in said
    assert len(said.splitlines()) == 1
    assert read_results(results).lines == ()


def test_the_scripts_time_what_runs_on_a_processor_too(written, results, tmp_path):
    """The libraries of the bundle in their places, compiled for this machine."""
    here = board_target("x86-64")
    if emulator_of(here):
        pytest.skip("this machine is no x86-64")
    folder = tmp_path / "b"
    shutil.copytree(written, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    kernels = {job["name"]: job for job in (*manifest["jobs"], *manifest["sentinels"])}
    candidate = kernel_jobs(here, 1)[0]
    schedule, code = candidate.schedule, tmp_path / "k.o"
    compile_module(lower(candidate.kernel, schedule, here).module, here).write_to_file(str(code))
    for name in kernels:
        link_shared([code], platform_of(here), folder / "modules" / f"{name}.so")
    shapes = family_of(schedule).shapes(candidate.kernel, schedule, here)
    for job in (*manifest["jobs"], *manifest["sentinels"]):
        job["shapes"] = shapes
    (folder / "manifest.json").write_text(json.dumps(manifest, separators=(",", ":")) + "\n")
    run(folder, results, "--device", "cpu")
    lines = [json.loads(text) for text in results.read_text().splitlines() if '"timing"' in text]
    assert {line["timing"]["kernel"] for line in lines} == set(kernels)
    assert all(line["timing"]["output_peak"] > 0 for line in lines)
    assert all(min(line["timing"]["seconds"]) > 0 for line in lines)
