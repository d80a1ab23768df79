import os
import signal
import time
from dataclasses import dataclass

import psutil
import pytest
from runner_contract import FAST, RunnerContract, impossible_job, kernel_jobs, measure, network_job

from costmodel.errors import DeviceError
from costmodel.host import host_target
from costmodel.measure import measure_networks
from costmodel.runners import local
from costmodel.runners.contract import KernelJob
from costmodel.runners.local import LocalRunner


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


@pytest.fixture(scope="module")
def following():
    with LocalRunner(workers=1, follow_pace=True) as runner:
        yield runner


class TestLocalRunnerThatFollowsThePace(RunnerContract):
    @pytest.fixture
    def runner(self, following):
        following._has_built = False
        return following


def test_the_first_batch_of_a_runner_sets_the_pace_of_those_that_follow(target):
    with LocalRunner(workers=1, follow_pace=True) as runner:
        jobs = kernel_jobs(target, 2)
        assert {o.pace for o in measure(runner, jobs).values()} == {1.0}
        second = {o.pace for o in measure(runner, jobs).values()}
        assert len(second) == 1
        assert second.pop() > 0


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


def test_a_child_killed_while_timing_costs_one_job(warm, target, monkeypatch):
    jobs = kernel_jobs(target, 3)
    victim = jobs[1].key
    send = LocalRunner._send

    def killing(runner, index, request):
        sent = send(runner, index, request)
        if (request.action, request.key) == ("time", victim):
            runner._children[index].process.kill()
            runner._children[index].process.join()
        return sent

    # Such that the kill comes first: the kernel itself would be done in no time.
    slow = type(FAST)(repeats=50, min_repeat_ms=100, rounds=1, max_rounds=1)
    monkeypatch.setattr(LocalRunner, "_send", killing)
    monkeypatch.setattr(
        LocalRunner,
        "_time",
        lambda self, job, _, timed=LocalRunner._time: timed(
            self, job, slow if job.key == victim else FAST
        ),
    )
    outcomes = measure(warm, jobs)
    assert "crashed" in outcomes[victim].error
    assert [outcomes[job.key].error for job in (jobs[0], jobs[2])] == [None, None]


def test_a_child_that_hangs_costs_one_job(warm, target, monkeypatch):
    jobs = kernel_jobs(target, 3)
    measure(warm, jobs[:1])
    victim = jobs[1].key
    send = LocalRunner._send

    def freezing(runner, index, request):
        frozen = (request.action, request.key) == ("time", victim)
        if frozen:
            os.kill(runner._children[index].process.pid, signal.SIGSTOP)
        monkeypatch.setattr(local, "TIME_TIMEOUT_SECONDS", 0.5 if frozen else 60.0)
        return send(runner, index, request)

    monkeypatch.setattr(LocalRunner, "_send", freezing)
    started = time.monotonic()
    outcomes = measure(warm, jobs)
    assert time.monotonic() - started < 30
    assert "gave no answer in 0.5 s" in outcomes[victim].error
    assert [outcomes[job.key].error for job in (jobs[0], jobs[2])] == [None, None]


def test_a_batch_of_nothing_but_failures_costs_no_other_batch(warm, target, monkeypatch):
    monkeypatch.setattr(local, "BATCH", 1)
    good, impossible = kernel_jobs(target, 2), impossible_job(target)
    outcomes = measure(warm, [good[0], impossible, good[1]])
    assert [key for key, outcome in outcomes.items() if outcome.error] == [impossible.key]


def test_children_forget_what_was_measured(warm, target):
    measure(warm, kernel_jobs(target, 2))
    assert all(not child.built for child in warm._children.values())


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
    monkeypatch.setattr(LocalRunner, "_build", lambda _, jobs: {job.key: "no" for job in jobs})
    with pytest.raises(DeviceError, match="network 'one' could not be measured: no"):
        measure_networks({"one": network_job(target).program}, warm, FAST)
