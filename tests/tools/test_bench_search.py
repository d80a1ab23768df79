import math
from itertools import pairwise

import numpy as np
import pytest

from costmodel.operations import flops
from kws.architecture import Architecture, to_network
from search import pareto
from search.space import candidate_key
from tools.bench_search import compared, evaluations_to, volumes
from tools.bench_search_problems import KERNEL_REFERENCE, kernel_error, table, zdt
from tools.bench_search_rivals import RIVALS
from tools.bench_search_table import SPACE, architecture_of, load_table

TABLE = load_table()
WIDE = {
    f"conv{unit}_{key}": value
    for unit in range(1, 7)
    for key, value in (("kh", 5), ("kw", 5), ("m", 100))
}


def test_the_table_holds_each_network_of_its_space_once():
    assert set(TABLE) == {candidate_key(each) for each in SPACE.candidates()}
    assert len(TABLE) == SPACE.size() >= 200


@pytest.mark.parametrize("row", list(TABLE.values())[::40])
def test_a_row_says_what_its_architecture_says(row):
    architecture = architecture_of(row.parameters)
    assert Architecture.parse(row.architecture) == architecture
    assert row.flops == flops(to_network(architecture))
    assert round(row.error * row.clips, 3) == pytest.approx(round(row.error * row.clips))


def test_the_table_has_networks_that_learnt_and_a_front_of_several():
    errors = [row.error for row in TABLE.values()]
    assert min(errors) < 0.5
    assert max(errors) < 0.95
    assert len({row.data for row in TABLE.values()}) == 1


def test_zdt3_has_its_known_front_where_all_but_the_first_are_zero():
    problem = zdt(10, parameters=4)
    for first in range(16):
        f1 = first / 15
        expected = 1 - math.sqrt(f1) - f1 * math.sin(10 * math.pi * f1)
        best = {"x0": first, "x1": 0, "x2": 0, "x3": 0}
        assert problem.error(best) == pytest.approx(expected)
        assert problem.cost(best) == f1
        assert problem.error({**best, "x2": 3}) > expected


@pytest.mark.parametrize("name", list(WIDE))
def test_the_made_up_error_is_least_for_the_widest_network(name):
    low = kernel_error({**WIDE, name: 1 if not name.endswith("_m") else 10})
    assert kernel_error(WIDE) < low < KERNEL_REFERENCE[0]


@pytest.mark.parametrize("rival", RIVALS)
def test_every_sampler_answers_with_candidates_of_the_space_by_its_seed_alone(rival):
    if rival.startswith("optuna"):
        pytest.importorskip("optuna")
    problem = table(12)
    answer = RIVALS[rival](problem, 3)
    assert len(answer) == 12
    assert all(SPACE.validate(each) == each for each in answer)
    assert RIVALS[rival](problem, 3) == answer
    assert RIVALS[rival](problem, 4) != answer


def test_the_volume_grows_to_that_of_the_whole_table():
    problem = table(10)
    found = list(volumes(problem, list(SPACE.candidates())))
    assert all(after >= before for before, after in pairwise(found))
    points = [(row.error, row.latency_ms) for row in TABLE.values()]
    assert found[-1] == pytest.approx(pareto.hypervolume(points, problem.reference))


def test_the_volume_of_one_candidate_is_its_box():
    problem = zdt(1, parameters=2)
    assert list(volumes(problem, [{"x0": 0, "x1": 0}])) == pytest.approx([(8 - 1) * 1.1])


def test_what_is_needed_is_the_first_evaluation_whose_median_reaches_the_level():
    curves = np.array([[1, 2, 3], [1, 3, 3], [0, 2, 4]], dtype=float)
    assert evaluations_to(curves, 2.0) == 2
    assert evaluations_to(curves, 3.0) == 3
    assert evaluations_to(curves, 3.5) is None


def test_a_better_rival_is_named_and_a_worse_one_is_not():
    rng = np.random.default_rng(0)
    level = {"ours": 5.0, "worse": 3.0, "alike": 5.0, "better": 7.0}
    curves = {name: rng.normal(mean, 0.1, (20, 4)) for name, mean in level.items()}
    curves["alike"] = curves["ours"][::-1]
    found = compared(curves)
    assert found["best_rival"] == "better"
    assert found["needed_for_best_rival"] is None
    assert found["significantly_worse_than"] == ["better"]
    assert found["p"]["alike"] == 1.0
    assert found["p"]["worse"] < 0.001
