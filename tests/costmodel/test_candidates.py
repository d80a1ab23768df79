import numpy as np
import pytest
from drawing import make_target, sample_network
from formula_runner import seconds_of_kernel

from costmodel.calibration.candidates import draw_candidates
from costmodel.calibration.plan import draw_networks, random_jobs
from costmodel.calibration.settings import CalibrationSettings
from costmodel.features import NAMES, extract, roofline_seconds
from costmodel.predictor import Overhead, Predictor, measured_rows
from costmodel.regressor import fit
from costmodel.schedules.registry import describe, points

TARGET = make_target(8)


@pytest.fixture(scope="module")
def secret():
    return draw_networks(sample_network, TARGET, CalibrationSettings()).secret


@pytest.fixture(scope="module")
def pool(secret):
    return draw_candidates(sample_network, TARGET, secret, seed=0)


@pytest.fixture(scope="module")
def model(secret):
    jobs = random_jobs(sample_network, TARGET, secret, count=60, seed=3)
    measured = {(j.kernel, j.schedule): seconds_of_kernel(*parts(j)) for j in jobs}
    return fit(*measured_rows(measured, TARGET), NAMES)


def parts(job):
    return job.kernel, job.schedule, job.target


def test_every_schedule_of_a_kernel_is_there_side_by_side(pool):
    ends = [*pool.starts[1:], len(pool.jobs)]
    for start, end in zip(pool.starts, ends, strict=True):
        kernel = pool.jobs[start].kernel
        schedules = tuple(job.schedule for job in pool.jobs[start:end])
        assert schedules == points(kernel, TARGET)
        assert {job.kernel for job in pool.jobs[start:end]} == {kernel}


def test_features_and_rooflines_are_those_of_the_jobs(pool):
    for index in range(0, len(pool.jobs), 97):
        job = pool.jobs[index]
        nest = describe(*parts(job))
        assert pool.rows[index] == pytest.approx(extract(nest, TARGET, job.kernel.flops))
        assert pool.bounds[index] == pytest.approx(roofline_seconds(nest, TARGET))


def test_each_network_has_its_kernels(pool):
    """Three units, a pooling and a dense layer each."""
    assert (pool.counts[:, pool.starts].sum(1) == 5).all()


def test_no_secret_kernel_is_ever_picked(pool, model, secret):
    known = {job.kernel.key for job in pool.jobs}
    assert known & secret
    for picked in (pool.corners(60), pool.batch(model, set(), 60)):
        assert len({job.key for job in picked}) == 60
        assert not {job.kernel.key for job in picked} & secret


def test_what_was_tried_is_not_picked_again(pool, model):
    first = {job.key for job in pool.batch(model, set(), 24)}
    assert not first & {job.key for job in pool.batch(model, first, 24)}


def test_schedules_that_would_never_be_chosen_are_not_picked(pool, model):
    predictor = Predictor(TARGET, model, Overhead())
    behind = []
    for job in pool.batch(model, set(), 24):
        ranked = predictor.rank(job.kernel)
        behind.append(dict(ranked)[job.schedule] / ranked[0][1])
    assert np.median(behind) < 1.02
    assert max(behind) < 1.3


def test_corners_reach_further_than_random_kernels(pool, secret):
    """The mean distance to the nearest corner, over features of what networks spend time in."""
    scale = np.where(pool.rows.std(0) > 1e-12, pool.rows.std(0), 1)
    heavy = pool.rows[pool.bounds > np.median(pool.bounds)]

    def covering(jobs):
        rows, _ = measured_rows({(j.kernel, j.schedule): 1.0 for j in jobs}, TARGET)
        gaps = np.linalg.norm((heavy[:, None] - rows) / scale, axis=2)
        return gaps.min(1).mean()

    random = [
        covering(random_jobs(sample_network, TARGET, secret, count=40, seed=seed))
        for seed in range(4)
    ]
    assert covering(pool.corners(40)) < np.mean(random)


def test_a_pool_comes_from_its_seed(pool, secret):
    again = draw_candidates(sample_network, TARGET, secret, seed=0)
    assert again.jobs == pool.jobs
    assert again.corners(24) == pool.corners(24)
    assert draw_candidates(sample_network, TARGET, secret, seed=1).jobs != pool.jobs


def test_a_small_space_is_a_small_pool():
    def few(generator):
        return sample_network(np.random.default_rng(generator.integers(3)))

    found = draw_candidates(few, TARGET, set(), seed=0)
    assert len(found.counts) == 3
    assert found.corners(1000)
