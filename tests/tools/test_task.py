"""Keyword spotting as a search problem."""

import numpy as np
import pytest

from costmodel.operations import flops
from kws.architecture import SEED, Architecture, Bounds, parameters_of, to_network
from search.objective import TrialContext
from tools.task import (
    architecture_of,
    flops_objective,
    make_space,
    sample_paper_space,
    start_of,
)

CONTEXT = TrialContext(number=0, phase=0, seed=0, budget={}, directory=None, report=lambda *_: None)  # type: ignore[arg-type]


def test_the_space_has_kernel_and_filters_of_six_units_and_holds_the_seed():
    space = make_space(Bounds(), filters_low=10, filters_step=10)
    assert len(space.free) == 18
    assert architecture_of(start_of(space)) == SEED


def test_a_space_that_cannot_hold_the_seed_has_no_start():
    assert start_of(make_space(Bounds(filters=40), filters_low=8, filters_step=8)) is None


def test_every_candidate_is_an_architecture_within_the_bounds():
    bounds = Bounds(filters=30, first_kernel=(4, 10), later_kernel=(3, 3))
    space = make_space(bounds, filters_low=10, filters_step=10)
    generator = np.random.default_rng(0)
    for _ in range(50):
        candidate = {p.name: p.at(int(generator.integers(p.count))) for p in space.free}
        bounds.check(architecture_of(candidate))


def test_calibration_draws_from_the_papers_bounds():
    bounds = Bounds(first_kernel=(4, 10))
    generator = np.random.default_rng(1)
    names = set()
    for _ in range(30):
        name, network = sample_paper_space(generator)
        architecture = Architecture.parse(name)
        bounds.check(architecture)
        assert flops(network) == flops(to_network(architecture))
        names.add(name)
    assert len(names) == 30


@pytest.mark.parametrize("name", ["seed", "kws3"])
def test_the_flops_objective_is_equation_1(name):
    architecture = Architecture.parse(name)
    value = flops_objective().evaluate(parameters_of(architecture), CONTEXT)
    assert value == flops(to_network(architecture))
