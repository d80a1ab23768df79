import math

import numpy as np
import pytest
from hyperopt import hp, tpe
from hyperopt.base import JOB_STATE_DONE, STATUS_OK, Domain, trials_from_docs
from scipy.stats import chisquare

from search import pareto
from search.sampler import Foreseen, Observation, RandomSampler, random_candidate, suggest_unseen
from search.sampling.past import Past
from search.sampling.tpe import LEAST_GOOD, TpeSampler, draw_codes, estimate
from search.space import Choice, Integer, Space

# ZDT1 (Zitzler, Deb and Thiele, 2000) on whole numbers: the front has g = 1, all but x0 at 0.
ZDT = Space(tuple(Integer(f"x{i}", 0, 20) for i in range(5)))
REFERENCE = (1.1, 11.0)
SPACE = Space((Integer("a", 1, 9), Choice("b", ("x", "y"))))


def zdt1(candidate):
    x = [candidate[f"x{i}"] / 20 for i in range(5)]
    g = 1 + 9 * sum(x[1:]) / 4
    return (x[0], g * (1 - math.sqrt(x[0] / g)))


def nothing_known(_):
    return Foreseen((None, None), 0.0)


def found_volume(sampler, seed, trials):
    history = []
    for number in range(trials):
        candidate = suggest_unseen(
            sampler, ZDT, history, seed=seed, number=number, start=None, foresee=nothing_known
        )
        history.append(Observation(candidate, zdt1(candidate)))
    return pareto.hypervolume([each.costs for each in history], REFERENCE)


def known_volume():
    front = [zdt1({f"x{i}": k if i == 0 else 0 for i in range(5)}) for k in range(21)]
    return pareto.hypervolume(front, REFERENCE)


def test_on_a_known_front_tpe_leaves_under_two_thirds_of_what_random_search_leaves():
    best = known_volume()
    tpe = [best - found_volume(TpeSampler(), seed, 80) for seed in range(8)]
    random = [best - found_volume(RandomSampler(), seed, 80) for seed in range(8)]
    assert min(tpe) >= 0
    assert np.mean(tpe) < np.mean(random) * 2 / 3
    better = [t < r for t in tpe for r in random]
    assert np.mean(better) > 0.9


def observe(a, b, *costs, violation=0.0):
    return Observation({"a": a, "b": b}, costs or None, violation)


def test_losses_follow_the_rank_then_the_hypervolume():
    history = [observe(i, "x", *cost) for i, cost in enumerate([(1, 4), (4, 1), (2, 2), (3, 5)], 1)]
    history.append(observe(5, "x", 1.9, 2.1))
    found = Past(SPACE, history).losses
    assert sorted(found.astype(int)) == [0, 0, 0, 0, 1]
    assert found[3] >= 1
    # (2, 2) and (1.9, 2.1) all but share their box, the ends of the front have theirs alone.
    assert max(found[0], found[1]) < min(found[2], found[4])


def test_infeasible_trials_come_after_feasible_ones_by_violation_and_failures_last():
    history = [
        observe(1, "x", violation=math.inf),
        observe(2, "x", violation=2.0),
        observe(3, "x", 9, 9),
        observe(4, "x", violation=0.1),
        observe(5, "x", 1, 1),
    ]
    assert np.argsort(Past(SPACE, history).losses).tolist() == [4, 2, 3, 1, 0]


def test_trials_that_share_the_frozen_settings_come_first():
    history = [observe(1, "y", 1, 1), observe(2, "x", 9, 9), observe(3, "x", 8, 8)]
    assert np.argsort(Past(SPACE, history).losses).tolist() == [0, 2, 1]
    assert np.argsort(Past(SPACE.freeze({"b": "x"}), history).losses).tolist() == [2, 1, 0]


@pytest.mark.parametrize("violation", [1.0, math.inf])
def test_a_history_without_a_feasible_trial_still_gives_a_candidate(violation):
    history = [observe(i, "x", violation=violation) for i in range(1, 8)]
    drawn = TpeSampler(startup=2).draw(SPACE, history, np.random.SeedSequence(0), nothing_known)
    assert SPACE.validate(drawn) == drawn


def test_pending_trials_count_as_the_worst_so_that_others_go_elsewhere():
    history = [observe(i, "x", i, i) for i in range(1, 9)]
    history.append(Observation({"a": 9, "b": "y"}, None, pending=True))
    assert Past(SPACE, history).losses.argmax() == 8


def test_a_cost_without_bound_counts_as_the_worst_of_the_others():
    history = [observe(1, "x", 1, 1), observe(2, "x", 5, 0.5), observe(3, "x", math.inf, 2)]
    assert Past(SPACE, history).costs.tolist() == [[1, 1], [5, 0.5], [5, 2]]
    assert np.isfinite(Past(SPACE, history).losses).all()


@pytest.mark.parametrize("tries", [1, 3])
def test_draws_are_those_of_hyperopt(tries):
    """400 draws of its own `suggest`, from the same trials: frequencies within chance."""
    space = Space((Integer("a", 0, 4), Choice("b", ("x", "y", "z"))))
    rng = np.random.default_rng(0)
    history = [Observation(random_candidate(space, rng), (float(rng.random()),)) for _ in range(60)]
    past = Past(space, history)
    drawn = draw_codes(space, estimate(past), rng, tries=tries, count=20_000)
    theirs = hyperopt_draws(past, tries, 400)
    for column, each in enumerate(space.parameters):
        expected = np.bincount(drawn[:, column], minlength=each.count) / 20_000
        found = np.bincount(theirs[:, column], minlength=each.count)
        assert (
            chisquare(
                found, 400 * np.maximum(expected, 1e-4) / np.maximum(expected, 1e-4).sum()
            ).pvalue
            > 1e-3
        )


def hyperopt_draws(past, tries, count):
    """Codes drawn by `hyperopt.tpe.suggest`."""
    spaces = {
        "a": hp.quniform("a", -0.5, 4.5, 1),
        "b": hp.randint("b", 3),
    }
    documents = [
        {
            "tid": number,
            "state": JOB_STATE_DONE,
            "spec": None,
            "result": {"status": STATUS_OK, "loss": float(loss)},
            "misc": {
                "tid": number,
                "idxs": {"a": [number], "b": [number]},
                "vals": {"a": [int(code[0])], "b": [int(code[1])]},
            },
            "exp_key": None,
        }
        for number, (code, loss) in enumerate(zip(past.codes, past.losses, strict=True))
    ]
    trials = trials_from_docs(documents, validate=False)
    domain = Domain(lambda _: 0.0, spaces)
    good = LEAST_GOOD / math.sqrt(len(documents))
    drawn = []
    for seed in range(count):
        [found] = tpe.suggest(
            [len(documents)], domain, trials, seed, n_startup_jobs=0, n_EI_candidates=tries,
            gamma=good, verbose=False,
        )  # fmt: skip
        values = found["misc"]["vals"]
        drawn.append([min(max(round(float(values["a"][0])), 0), 4), int(values["b"][0])])
    return np.array(drawn)


def test_a_cost_that_never_varies_is_no_obstacle():
    history = [observe(i, "x", 1, i) for i in range(1, 8)]
    assert np.isfinite(Past(SPACE, history).losses).all()
