import os
import shutil
import signal
import struct
import time
from dataclasses import dataclass

import psutil
import pytest
from boards import board_target
from cuda_drawing import make_gpu
from runner_contract import impossible_job, kernel_jobs, network_job

from costmodel.runners import object_pool
from costmodel.runners.contract import KernelJob
from costmodel.runners.object_pool import BuiltObject, ObjectPool
from costmodel.schedules.registry import family_of

TARGET = board_target("cortex-a15")


@pytest.fixture(scope="module")
def pool():
    pool = ObjectPool(workers=2)
    yield pool
    pool.close()


@dataclass(frozen=True)
class CrashingJob(KernelJob):
    """Kills the process that compiles it, as a compiler's segmentation fault would."""

    def __setstate__(self, state):
        self.__dict__.update(state)
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class HangingJob(KernelJob):
    """Keeps the process that compiles it for ever."""

    def __setstate__(self, state):
        self.__dict__.update(state)
        time.sleep(1000)


def last_of(kind):
    job = kernel_jobs(TARGET, 4)[3]
    return kind(job.kernel, job.schedule, job.target)


def test_each_job_becomes_an_object_for_its_machine(pool, tmp_path):
    jobs = [*kernel_jobs(TARGET), network_job(TARGET)]
    found = pool.build(jobs, tmp_path / "new" / "folder")
    assert list(found) == [job.key for job in jobs]
    assert len({built.path for built in found.values()}) == len(jobs)
    for built in found.values():
        code = built.path.read_bytes()
        assert code[:4] == b"\x7fELF"
        assert struct.unpack_from("<HH", code, 16) == (1, 40)  # relocatable, ARM
        assert built.symbol.encode() + b"\0" in code


def test_signatures_are_those_of_the_kernels(pool, tmp_path):
    jobs, network = kernel_jobs(TARGET), network_job(TARGET)
    found = pool.build([*jobs, network], tmp_path)
    for job in jobs:
        shapes = family_of(job.schedule).shapes(job.kernel, job.schedule, TARGET)
        assert found[job.key].signature.shapes == tuple(map(tuple, shapes))
    program = network.program
    constants = [s for i in range(len(program.steps)) for s in program.constant_shapes(i)]
    workspace = (program.arena().elements,)
    assert found[network.key].signature.shapes == (
        program.input_shape, *constants, workspace, program.output_shape,
    )  # fmt: skip


def test_equal_jobs_are_compiled_into_equal_code(pool, tmp_path):
    (job,) = kernel_jobs(TARGET, 1)
    first, second = (pool.build([job], tmp_path / name)[job.key] for name in "ab")
    assert first.signature == second.signature
    assert first.path.read_bytes() == second.path.read_bytes()


def test_what_cannot_be_compiled_has_one_line_and_costs_only_itself(pool, tmp_path):
    good, impossible = kernel_jobs(TARGET, 2), impossible_job(TARGET)
    third = kernel_jobs(TARGET, 3)[2]
    gpu = KernelJob(third.kernel, third.schedule, make_gpu())
    found = pool.build([good[0], impossible, gpu, good[1]], tmp_path)
    assert all(isinstance(found[job.key], BuiltObject) for job in good)
    assert len(found[impossible.key].splitlines()) == 1
    assert "are for processors" in found[gpu.key]


def test_a_compiler_that_crashes_costs_one_job(pool, tmp_path):
    crashing, good = last_of(CrashingJob), kernel_jobs(TARGET, 3)
    found = pool.build([good[0], crashing, *good[1:]], tmp_path)
    assert found[crashing.key] == f"the process compiling {crashing.kernel.title} crashed"
    assert all(isinstance(found[job.key], BuiltObject) for job in good)


def test_a_compiler_that_hangs_costs_one_job(pool, tmp_path, monkeypatch):
    hanging, good = last_of(HangingJob), kernel_jobs(TARGET, 2)
    monkeypatch.setattr(object_pool, "COMPILE_TIMEOUT_SECONDS", 0.3)
    found = pool.build([hanging], tmp_path)
    assert found[hanging.key].endswith("gave no answer in 0.3 s")
    monkeypatch.undo()
    assert all(isinstance(built, BuiltObject) for built in pool.build(good, tmp_path).values())


def test_a_process_killed_between_two_builds_is_started_again(pool, tmp_path):
    (job,) = kernel_jobs(TARGET, 1)
    pool.build([job], tmp_path)
    for child in pool._compilers:
        if child._child:
            child._child[0].kill()
            child._child[0].join()
    assert isinstance(pool.build([job], tmp_path)[job.key], BuiltObject)


def test_a_folder_that_is_gone_is_this_builds_error(pool, tmp_path, monkeypatch):
    (job,) = kernel_jobs(TARGET, 1)
    monkeypatch.setattr(object_pool.Path, "mkdir", lambda *_, **__: None)
    shutil.rmtree(tmp_path)
    assert "cannot write the object file" in pool.build([job], tmp_path)[job.key]


def test_no_jobs_are_no_objects(pool, tmp_path):
    assert pool.build([], tmp_path) == {}


def test_nothing_runs_after_close(tmp_path):
    pool = ObjectPool(workers=1)
    (job,) = kernel_jobs(TARGET, 1)
    pool.build([job], tmp_path)
    process = pool._compilers[0]._child[0].pid
    pool.close()
    pool.close()
    assert not psutil.pid_exists(process)
