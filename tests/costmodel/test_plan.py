import numpy as np
import pytest
from drawing import make_target, sample_network, small_network

from costmodel.calibration.plan import draw_networks, random_jobs
from costmodel.calibration.settings import CalibrationSettings
from costmodel.errors import InputError
from costmodel.schedules.registry import points

TARGET = make_target(lanes=8)


def networks(seed=0, sampler=sample_network, **changes):
    counts = {"overhead_networks": 4, "watched_networks": 3, "held_out_networks": 5, **changes}
    return draw_networks(sampler, TARGET, CalibrationSettings(seed=seed, **counts))


def jobs(seed=0, secret=frozenset(), count=60, sampler=sample_network):
    return random_jobs(sampler, TARGET, secret, count=count, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_no_kernel_of_a_watched_or_held_out_network_is_timed_by_itself(seed):
    found = networks(seed)
    hidden = [n.kernel_keys for n in (*found.watched, *found.held_out)]
    assert found.secret == set().union(*hidden)
    assert not found.secret & found.in_parts
    assert not found.secret & {job.kernel.key for job in jobs(seed, found.secret)}


def test_counts_are_those_asked_for_and_networks_are_distinct():
    found = networks()
    assert [len(n) for n in (found.overhead, found.watched, found.held_out)] == [4, 3, 5]
    assert len({n.name for n in (*found.overhead, *found.watched, *found.held_out)}) == 12
    drawn = jobs(count=60)
    assert len({job.key for job in drawn}) == len(drawn) == 60


def test_a_plan_made_ahead_watches_nothing():
    assert networks(ahead=True).watched == ()


def test_every_job_is_a_valid_point():
    for job in jobs():
        assert job.schedule in points(job.kernel, TARGET)


def test_convolutions_are_most_of_it_and_small_kernels_are_there():
    families = [job.schedule.family for job in jobs(count=200)]
    assert 0 < families.count("pool") < 0.2 * len(families)


def test_a_plan_comes_from_its_seed():
    assert jobs(1) == jobs(1) != jobs(2)
    assert networks(1).held_out[0].name == networks(1).held_out[0].name
    assert networks(1).held_out[0].name != networks(2).held_out[0].name


def test_more_kernels_are_the_same_ones_and_others_after_them():
    assert jobs(count=90)[:60] == jobs(count=60)


def one_network(_):
    return "one", small_network()


def one_convolution(generator):
    """Of many names and few kernels."""
    return str(generator.integers(2**60)), small_network(filters=int(generator.integers(1, 101)))


@pytest.mark.parametrize(
    ("draw", "sampler"),
    [
        (networks, one_network),
        (lambda sampler: jobs(count=10_000, sampler=sampler), one_network),
        (lambda sampler: jobs(count=10_000, sampler=sampler), one_convolution),
    ],
    ids=["one network", "kernels of one network", "few kernels"],
)
def test_a_space_too_small_is_refused_and_not_searched_for_ever(draw, sampler):
    with pytest.raises(InputError, match="too few networks to calibrate on; widen its bounds"):
        draw(sampler=sampler)


def test_drawing_is_all_that_the_sampler_is_asked():
    """The generator passed on is the plan's own: nothing global decides."""
    np.random.seed(1)  # noqa: NPY002
    first = jobs()
    np.random.seed(2)  # noqa: NPY002
    assert jobs() == first
