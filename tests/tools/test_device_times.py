"""Features and network, timed on one device."""

from contextlib import nullcontext

import pytest

import tools.device_times
from costmodel.errors import DeviceError
from costmodel.measure import measure_parts
from costmodel.network import Network
from costmodel.protocol import Protocol
from costmodel.runners.contract import KernelJob, Outcome
from kws.architecture import Architecture, to_network
from tools.device_times import measure_end_to_end
from tools.places import open_estimator, profile_store

SMALL = "3x3,4 1x1,3"


class Clock:
    """A runner on which features take 2 ms, or fail, and every network 5 ms."""

    def __init__(self, error=None):
        self.error, self.kernels = error, []

    def measure(self, jobs, protocol, on_outcome):
        for job in jobs:
            features = isinstance(job, KernelJob)
            if features:
                self.kernels.append(job.kernel.title)
            if features and self.error:
                on_outcome(Outcome(key=job.key, error=self.error))
            else:
                rounds = ((0.002 if features else 0.005,) * protocol.samples,) * protocol.rounds
                on_outcome(Outcome(key=job.key, rounds=rounds))


@pytest.fixture
def measured(home, monkeypatch):  # noqa: ARG001
    """Times of networks on a clock."""
    profile = profile_store().get("odroid-xu3-a15")

    def measure(clock, **networks):
        monkeypatch.setattr(tools.device_times, "open_runner", lambda _: nullcontext(clock))
        return measure_end_to_end(networks, open_estimator(profile), profile)

    return measure


def small():
    return to_network(Architecture.parse(SMALL))


def other():
    network = Network((20, 10, 3))
    network.dense(network.global_average_pool(Network.INPUT), units=2)
    return network


def test_a_second_of_sound_takes_features_and_network(measured):
    clock = Clock()
    times = measured(clock, small=small(), twice=small(), other=other())
    assert clock.kernels == ["mfcc 40x32x1"]
    assert times.network_ms == pytest.approx({"small": 5, "twice": 5, "other": 5})
    assert times.features_ms["small"] == times.features_ms["twice"] == pytest.approx(2)
    assert times.total_ms("small") == pytest.approx(7)
    assert times.features_ms["other"] is times.total_ms("other") is times.no_features is None


def test_no_features_are_timed_for_networks_of_other_inputs(measured):
    clock = Clock()
    measured(clock, other=other())
    assert clock.kernels == []


def test_features_that_cannot_be_timed_cost_no_network_its_time(measured):
    times = measured(Clock(error="it crashed"), small=small())
    assert times.network_ms == pytest.approx({"small": 5})
    assert times.features_ms == {"small": None}
    assert times.no_features == "'mfcc 40x32x1' could not be measured: it crashed"


def test_the_command_shows_both_and_their_sum(ponas_json):
    quick = ("--repeats", 2, "--min-repeat-ms", 1, "--warm-up-ms", 1, "--rounds", 1,
             "--max-rounds", 1, "--no-sentinel")  # fmt: skip
    (row,) = ponas_json("measure", SMALL, "--profile", "host-cpu", *quick)
    assert row["architecture"] == SMALL
    assert row["features_ms"] > 0
    assert row["total_ms"] == pytest.approx(row["features_ms"] + row["measured_ms"])


class Dying(Clock):
    """Is gone after so many kernels; networks are timed before them."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def measure(self, jobs, protocol, on_outcome):
        for job in jobs:
            if isinstance(job, KernelJob) and len(self.kernels) == self.after:
                raise DeviceError("the board is gone")
            super().measure([job], protocol, on_outcome)


def programs():
    estimator = open_estimator(profile_store().get("odroid-xu3-a15"))
    return {name: estimator.estimate(small()).program for name in ("one", "same")}


def test_a_kernel_that_networks_share_is_timed_once_by_itself(home):  # noqa: ARG001
    clock = Clock()
    found = measure_parts(programs(), clock, Protocol())
    assert len(found) == len(clock.kernels) == len(set(clock.kernels)) == 4
    assert all(us == pytest.approx(2e3) for us in found.values())


def test_of_a_device_that_dies_the_kernels_timed_so_far_are_kept(home):  # noqa: ARG001
    assert len(measure_parts(programs(), Dying(after=3), Protocol())) == 3
    assert measure_parts(programs(), Clock(error="no"), Protocol()) == {}
