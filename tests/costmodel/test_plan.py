import numpy as np
import pytest
from drawing import make_target, sample_network, small_network

from costmodel.calibration.plan import make_plan
from costmodel.errors import InputError
from costmodel.schedules.registry import points

TARGET = make_target(lanes=8)


def plan(seed=0, **changes):
    counts = {"kernels": 60, "overhead_networks": 4, "held_out_networks": 5, **changes}
    return make_plan(sample_network, TARGET, seed=seed, **counts)


@pytest.mark.parametrize("seed", range(4))
def test_no_kernel_of_a_held_out_network_is_timed_by_itself(seed):
    found = plan(seed)
    secret = set().union(*(network.kernel_keys for network in found.held_out))
    assert not secret & {job.kernel.key for job in found.kernels}
    for network in found.overhead:
        assert not secret & network.kernel_keys


def test_counts_are_those_asked_for_and_networks_are_distinct():
    found = plan()
    assert (len(found.overhead), len(found.held_out)) == (4, 5)
    assert len({n.name for n in (*found.overhead, *found.held_out)}) == 9
    in_parts = set().union(*(network.kernel_keys for network in found.overhead))
    assert len(found.kernels) + len(in_parts) == 60
    assert len({job.key for job in found.kernels}) == len(found.kernels)


def test_every_job_is_a_valid_point():
    for job in plan().kernels:
        assert job.schedule in points(job.kernel, TARGET)


def test_convolutions_are_most_of_it_and_small_kernels_are_there():
    families = [job.schedule.family for job in plan(kernels=200).kernels]
    assert 0 < families.count("pool") < 0.2 * len(families)


def test_a_plan_comes_from_its_seed():
    assert plan(1).kernels == plan(1).kernels
    assert plan(1).kernels != plan(2).kernels


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(lambda _: ("one", small_network()), id="one network"),
        pytest.param(
            lambda g: (str(g.integers(2**60)), small_network(filters=int(g.integers(1, 101)))),
            id="one kernel in all of them",
        ),
    ],
)
def test_a_space_too_small_is_refused_and_not_searched_for_ever(sampler):
    with pytest.raises(InputError, match="too few networks to calibrate on; widen its bounds"):
        make_plan(sampler, TARGET, kernels=10_000, overhead_networks=2, held_out_networks=4, seed=0)


def test_drawing_is_all_that_the_sampler_is_asked():
    """The generator passed on is the plan's own: nothing global decides."""
    np.random.seed(1)  # noqa: NPY002
    first = plan()
    np.random.seed(2)  # noqa: NPY002
    assert plan().kernels == first.kernels
