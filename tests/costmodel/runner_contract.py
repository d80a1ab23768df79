"""What `Runner` promises, asked of every runner: inherit `RunnerContract`, give it a runner."""

from collections import Counter
from dataclasses import dataclass, replace

import pytest
from drawing import small_network

from costmodel.errors import DeviceError
from costmodel.partition import partition
from costmodel.program import Program
from costmodel.protocol import Protocol
from costmodel.runners.contract import KernelJob, NetworkJob
from costmodel.schedules.family import Schedule
from costmodel.schedules.registry import points

FAST = Protocol(repeats=2, min_repeat_ms=0, warm_up_ms=0, rounds=1, max_rounds=1, sentinel_every=0)


@dataclass(frozen=True)
class ImpossibleJob(KernelJob):
    """A kernel whose schedule does not exist: it cannot be built anywhere."""


def kernel_jobs(target, count=3):
    """Distinct jobs that every device can run."""
    kernels = dict.fromkeys(step.kernel for step in partition(small_network(), target))
    jobs = [
        KernelJob(kernel, schedule, target)
        for kernel in kernels
        for schedule in points(kernel, target)[:2]
    ]
    assert len(jobs) >= count
    return jobs[:count]


def network_job(target, key="a network"):
    network = small_network()
    steps = partition(network, target)
    schedules = tuple(points(step.kernel, target)[0] for step in steps)
    return NetworkJob(key, Program(steps, schedules, network.input_shape, target))


def impossible_job(target):
    return ImpossibleJob(
        kernel_jobs(target)[0].kernel, Schedule("direct", (("vectors", 1), ("banana", 3))), target
    )


def measure(runner, jobs, protocol=FAST):
    """Outcomes by key; each job has exactly one."""
    outcomes = []
    runner.measure(jobs, protocol, outcomes.append)
    assert Counter(o.key for o in outcomes) == Counter(job.key for job in jobs)
    return {outcome.key: outcome for outcome in outcomes}


class RunnerContract:
    """Needs the fixtures ``runner`` and ``target``."""

    def test_each_job_has_one_outcome_with_times(self, runner, target):
        jobs = [*kernel_jobs(target), network_job(target)]
        for outcome in measure(runner, jobs).values():
            assert outcome.error is None
            assert 0 < outcome.seconds < 10

    def test_samples_are_as_many_as_the_protocol_says(self, runner, target):
        protocol = replace(FAST, repeats=5, rounds=2, max_rounds=3, agreement=0)
        for outcome in measure(runner, kernel_jobs(target, 2), protocol).values():
            assert 2 <= len(outcome.rounds) <= 3
            for samples in outcome.rounds:
                assert len(samples) == 3
                assert min(samples) > 0

    def test_a_job_that_cannot_be_built_costs_only_itself(self, runner, target):
        impossible = impossible_job(target)
        good = kernel_jobs(target, 2)
        outcomes = measure(runner, [good[0], impossible, good[1]])
        assert outcomes[impossible.key].error
        assert not outcomes[impossible.key].rounds
        assert [outcomes[job.key].error for job in good] == [None, None]

    def test_a_job_alone_that_cannot_be_built_is_no_failure_of_a_runner_that_works(
        self, runner, target
    ):
        measure(runner, kernel_jobs(target, 1))
        assert measure(runner, [impossible_job(target)])[impossible_job(target).key].error

    def test_a_runner_that_can_build_nothing_says_so(self, runner, target):
        with pytest.raises(DeviceError, match=r"nothing could be built: \S"):
            runner.measure([impossible_job(target)], FAST, lambda _: None)

    def test_one_run_of_each_is_enough_where_the_protocol_says_so(self, runner, target):
        """An emulator's clock is exact: `--repeats 1 --min-repeat-ms 0 --no-sentinel`."""
        for outcome in measure(runner, kernel_jobs(target, 2), replace(FAST, repeats=1)).values():
            assert [len(samples) for samples in outcome.rounds] == [1]

    def test_sentinels_are_timed_in_between_and_remembered(self, runner, target):
        protocol = replace(FAST, sentinel_every=1, drift=1e9)
        outcomes = measure(runner, kernel_jobs(target, 2), protocol)
        assert all(outcome.error is None for outcome in outcomes.values())
        assert len(runner.reference) >= 2
        assert min(runner.reference.values()) > 0

    def test_what_the_device_says_of_itself_can_be_read(self, runner):
        found = runner.files(["/proc/cpuinfo", "/proc/nothing-of-that-name"])
        assert list(found) == ["/proc/cpuinfo"]
        assert "processor" in found["/proc/cpuinfo"].lower()

    def test_no_jobs_have_no_outcomes(self, runner):
        assert measure(runner, []) == {}

    def test_a_runner_can_be_used_again_and_measures_again(self, runner, target):
        jobs = kernel_jobs(target, 1)
        assert measure(runner, jobs).keys() == measure(runner, jobs).keys()

    def test_closing_twice_is_closing(self, runner, target):
        measure(runner, kernel_jobs(target, 1))
        runner.close()
        runner.close()

    def test_what_goes_wrong_with_an_outcome_is_the_callers_to_hear(self, runner, target):
        def full(_):
            raise OSError("no space left on device")

        with pytest.raises(OSError, match="no space left"):
            runner.measure(kernel_jobs(target, 1), FAST, full)
        assert measure(runner, kernel_jobs(target, 1))
