import os
import signal
from dataclasses import dataclass, replace

import psutil
import pytest
from runner_contract import FAST, RunnerContract, impossible_job, kernel_jobs, measure, network_job

from costmodel.errors import DeviceError
from costmodel.host import host_target
from costmodel.measure import measure_networks
from costmodel.runners import local, rounds
from costmodel.runners.contract import KernelJob
from costmodel.runners.local import LocalLane, LocalRunner


@pytest.fixture(scope="module")
def target():
    return host_target()


@pytest.fixture(scope="module")
def warm():
    """One runner whose children have imported TVM; a test that needs its own makes it."""
    with LocalRunner(workers=1) as runner:
        yield runner


@pytest.fixture
def runner(warm):
    warm._has_built = False
    return warm


class TestLocalRunner(RunnerContract):
    pass


@dataclass(frozen=True)
class CrashingJob(KernelJob):
    """Kills the process that builds it, as a compiler's segmentation fault would."""

    def __setstate__(self, state):
        self.__dict__.update(state)
        os.kill(os.getpid(), signal.SIGKILL)


def crashing_job(target):
    job = kernel_jobs(target, 4)[3]
    return CrashingJob(job.kernel, job.schedule, target)


def test_a_child_killed_while_building_costs_one_job(warm, target):
    crash, good = crashing_job(target), kernel_jobs(target, 3)
    outcomes = measure(warm, [good[0], crash, *good[1:]])
    assert "dense 7→5 crashed" in outcomes[crash.key].error
    assert [outcomes[job.key].error for job in good] == [None] * 3


def while_timing(victim, action, monkeypatch):
    """Does ``action`` to the process that is asked to time ``victim``, as soon as it is."""
    send = LocalLane._send

    def sending(lane, request):
        mine = (request.action, request.key) == ("time", victim)
        if mine:
            # Such that the action comes first: the kernel itself would be done in no time.
            request = replace(request, protocol=replace(FAST, repeats=50, min_repeat_ms=100))
        sent = send(lane, request)
        if mine:
            action(lane._child.process)
        return sent

    monkeypatch.setattr(LocalLane, "_send", sending)


def killed(process):
    process.kill()
    process.join()


def frozen(process):
    os.kill(process.pid, signal.SIGSTOP)


def test_a_child_killed_while_timing_costs_one_job(warm, target, monkeypatch):
    jobs = kernel_jobs(target, 3)
    while_timing(jobs[1].key, killed, monkeypatch)
    outcomes = measure(warm, jobs)
    assert "crashed" in outcomes[jobs[1].key].error
    assert [outcomes[job.key].error for job in (jobs[0], jobs[2])] == [None, None]


def test_a_child_that_hangs_costs_one_job(warm, target, monkeypatch):
    jobs = kernel_jobs(target, 3)
    monkeypatch.setattr(local, "TIME_TIMEOUT_SECONDS", 6.0)
    while_timing(jobs[1].key, frozen, monkeypatch)
    outcomes = measure(warm, jobs)
    assert "gave no answer in 6 s" in outcomes[jobs[1].key].error
    assert [outcomes[job.key].error for job in (jobs[0], jobs[2])] == [None, None]


def test_a_batch_of_nothing_but_failures_costs_no_other_batch(warm, target, monkeypatch):
    monkeypatch.setattr(rounds, "BATCH", 1)
    good, impossible = kernel_jobs(target, 2), impossible_job(target)
    outcomes = measure(warm, [good[0], impossible, good[1]])
    assert [key for key, outcome in outcomes.items() if outcome.error] == [impossible.key]


def test_children_forget_what_was_measured(warm, target):
    measure(warm, kernel_jobs(target, 2))
    (lane,) = warm._lanes
    assert not lane._jobs
    assert not lane._child.built


def test_nothing_is_left_running_after_close(target):
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with LocalRunner(workers=2) as runner:
        measure(runner, kernel_jobs(target, 2))
        during = {process.pid for process in psutil.Process().children(recursive=True)}
        assert len(during - before) >= 2
    after = {
        process.pid
        for process in psutil.Process().children(recursive=True)
        if process.status() != psutil.STATUS_ZOMBIE
    }
    assert not {pid for pid in after - before if "resource_tracker" not in _command(pid)}


def _command(pid):
    return " ".join(psutil.Process(pid).cmdline())


def test_networks_are_measured_in_milliseconds_by_name(warm, target):
    job = network_job(target)
    found = measure_networks({"one": job.program, "two": job.program}, warm, FAST)
    assert list(found) == ["one", "two"]
    assert 0 < found["one"] < 1000


def test_a_network_that_cannot_be_measured_is_named(warm, target, monkeypatch):
    monkeypatch.setattr(LocalLane, "build", lambda _, jobs: {job.key: "no" for job in jobs})
    with pytest.raises(DeviceError, match="network 'one' could not be measured: no"):
        measure_networks({"one": network_job(target).program}, warm, FAST)
