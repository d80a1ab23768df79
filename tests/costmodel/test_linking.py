"""What becomes of a program when some of its objects are no good."""

from dataclasses import replace

import pytest
from runner_contract import FAST, kernel_jobs, network_job

from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError
from costmodel.runners.command import CommandTransport
from costmodel.runners.linking import LinkedProgram
from costmodel.runners.object_pool import ObjectPool
from costmodel.runners.programs import ProgramLane


class SpoilingPool(ObjectPool):
    """Whose compiler makes garbage of the jobs with these keys."""

    spoilt = ()

    def build(self, jobs, folder):
        found = super().build(jobs, folder)
        for key in self.spoilt:
            found[key].path.write_bytes(b"garbage")
        return found


def test_an_object_that_cannot_be_linked_costs_one_kernel(target):
    jobs, pool = kernel_jobs(target, 5), SpoilingPool(1)
    pool.spoilt = [jobs[1].key]
    lane = ProgramLane(CommandTransport("{program} {args}"), target, pool=pool)
    try:
        errors = lane.build(jobs)
        assert list(errors) == [jobs[1].key]
        assert len(errors[jobs[1].key].splitlines()) == 1
        good = [job.key for job in jobs if job.key not in errors]
        assert [answer.error for answer in lane.time(good, FAST)] == [None] * 4
        pool.spoilt = []
        assert lane.build([network_job(target)]) == {}
        keys = [*good, network_job(target).key]
        assert [answer.error for answer in lane.time(keys, FAST)] == [None] * 5
    finally:
        lane.close()


def test_objects_that_clash_cost_only_themselves(target):
    jobs, pool = kernel_jobs(target, 3), SpoilingPool(1)
    lane = ProgramLane(CommandTransport("{program} {args}"), target, pool=pool)
    try:
        assert lane.build(jobs[:1]) == {}
        built = pool.build(jobs[1:], lane._program.path.parent)
        first, second = (built[job.key] for job in jobs[1:])
        twins = {"one": first, "two": replace(second, path=first.path)}
        assert list(lane._program.add(twins)) == ["two"]
        twins = {"three": first, "four": first}
        assert list(lane._program.add(twins)) == ["three", "four"]
        assert [answer.error for answer in lane.time([jobs[0].key], FAST)] == [None]
    finally:
        lane.close()


def test_a_linker_that_is_missing_is_no_kernels_fault(target, tmp_path, monkeypatch):
    pool = ObjectPool(1)
    try:
        built = pool.build(kernel_jobs(target, 2), tmp_path)
    finally:
        pool.close()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    program = LinkedProgram(tmp_path / "program", platform_of(target), Toolchain())
    with pytest.raises(DeviceError, match=r"pip install 'ponas\[boards\]'"):
        program.add(built)


def test_a_program_without_kernels_can_be_had(target, tmp_path):
    program = LinkedProgram(tmp_path / "program", platform_of(target), Toolchain())
    program.ensure()
    assert program.path.stat().st_size < 200_000
    assert program.add({}) == {}
    program.clear()
    program.clear()
    assert list(tmp_path.iterdir()) == []
