"""The samplers that `bench_search` compares: each answers a problem with a list of candidates."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from search.errors import InputError
from search.sampler import (
    Foreseen,
    Observation,
    RandomSampler,
    Sampler,
    suggest_unseen,
)
from search.sampling.front_sampler import FrontSampler
from search.space import Integer, Parameter, Space, Value
from tools.bench_search_problems import Candidate, Problem

Answer = list[Candidate]
Rival = Callable[[Problem, int], Answer]
"""From a problem and a seed to the candidates evaluated, in order."""

OURS = "ours"


def told(problem: Problem, seed: int) -> Callable[[int, Candidate], tuple[float, float]]:
    """What a sampler is told of its evaluation ``number``: the same noise for all of them."""
    noise = np.random.default_rng([seed, 1]).normal(0.0, 1.0, problem.evaluations)

    def costs(number: int, candidate: Candidate) -> tuple[float, float]:
        error = problem.error(candidate) + problem.noise * float(noise[number])
        return error, problem.cost(candidate)

    return costs


def ours(problem: Problem, seed: int) -> Answer:
    """The sampler of `search`, as a search uses it by default."""
    return _ask(FrontSampler(), problem, seed)


def random_search(problem: Problem, seed: int) -> Answer:
    """Candidates not seen before, at random."""
    return _ask(RandomSampler(), problem, seed)


def _ask(sampler: Sampler, problem: Problem, seed: int) -> Answer:
    costs, history = told(problem, seed), list[Observation]()

    def foresee(candidate: Mapping[str, Value]) -> Foreseen:
        return Foreseen((None, problem.cost(candidate)), 0.0)

    for number in range(problem.evaluations):
        candidate = suggest_unseen(
            sampler, problem.space, history, seed=seed, number=number, start=None, foresee=foresee
        )
        history.append(Observation(candidate, costs(number, candidate)))
    return [each.parameters for each in history]


def optuna_default(problem: Problem, seed: int) -> Answer:
    """What Optuna takes for several objectives when no sampler is named."""
    return _optuna(problem, seed, None)


def optuna_nsga2(problem: Problem, seed: int) -> Answer:
    """Optuna's NSGA-II with its default population."""
    return _optuna(problem, seed, "NSGAIISampler")


def _optuna(problem: Problem, seed: int, name: str | None) -> Answer:
    try:
        import optuna
    except ImportError as error:
        raise InputError(
            "this benchmark needs optuna, which is missing; install it with: "
            "pip install 'ponas[dev]'"
        ) from error
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    default = type(optuna.create_study(directions=["minimize", "minimize"]).sampler)
    sampler = getattr(optuna.samplers, name or default.__name__)(seed=seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    costs, answer = told(problem, seed), list[Candidate]()
    for number in range(problem.evaluations):
        trial = study.ask()
        candidate = {each.name: _suggested(trial, each) for each in problem.space.parameters}
        answer.append(candidate)
        study.tell(trial, costs(number, candidate))
    return answer


def _suggested(trial: Any, parameter: Parameter) -> Value:  # noqa: ANN401
    if isinstance(parameter, Integer):
        low, high, step = parameter.low, parameter.high, parameter.step
        return int(trial.suggest_int(parameter.name, low, high, step=step))
    value: Value = trial.suggest_categorical(parameter.name, parameter.options)
    return value


HYPEROPT_STARTUP = 20
"""Random trials at first; hyperopt's default."""


def hyperopt_weighted(problem: Problem, seed: int) -> Answer:
    """Hyperopt's TPE, each time on another weighted sum of both costs, scaled to [0, 1].

    The weights are drawn anew for each trial; all losses are then computed with them.
    """
    from hyperopt import tpe

    rng = np.random.default_rng([seed, 2])
    domain, costs = hyperopt_domain(problem.space), told(problem, seed)
    seen, answer = list[tuple[float, float]](), list[Candidate]()
    for number in range(problem.evaluations):
        weight = float(rng.random())
        points = np.array(seen).reshape(-1, 2)
        if seen:
            spread = np.ptp(points, axis=0)
            points = (points - points.min(axis=0)) / np.where(spread > 0, spread, 1.0)
        trials = hyperopt_trials(problem.space, answer, points @ [weight, 1 - weight])
        [document] = tpe.suggest(
            [number], domain, trials, int(rng.integers(2**31)),
            n_startup_jobs=HYPEROPT_STARTUP, verbose=False,
        )  # fmt: skip
        values = document["misc"]["vals"]
        answer.append(
            problem.space.candidate(
                {each.name: setting(each, values[each.name][0]) for each in problem.space.free}
            )
        )
        seen.append(costs(number, answer[-1]))
    return answer


def hyperopt_domain(space: Space) -> Any:  # noqa: ANN401
    """What hyperopt sees of a space: the numbers of settings."""
    from hyperopt import hp
    from hyperopt.base import Domain

    return Domain(
        lambda _: 0.0,
        {
            each.name: hp.quniform(each.name, -0.5, each.count - 0.5, 1)
            if isinstance(each, Integer)
            else hp.randint(each.name, each.count)
            for each in space.free
        },
    )


def hyperopt_trials(space: Space, candidates: Answer, losses: np.ndarray) -> Any:  # noqa: ANN401
    """The candidates and their losses as hyperopt's documents."""
    from hyperopt.base import JOB_STATE_DONE, STATUS_OK, trials_from_docs

    documents = []
    for number, (candidate, loss) in enumerate(zip(candidates, losses.tolist(), strict=True)):
        indices = {p.name: [p.index(candidate[p.name])] for p in space.free}
        documents.append(
            {
                "tid": number,
                "state": JOB_STATE_DONE,
                "spec": None,
                "result": {"status": STATUS_OK, "loss": loss},
                "misc": {
                    "tid": number,
                    "idxs": {name: [number] for name in indices},
                    "vals": indices,
                },
                "exp_key": None,
            }
        )
    return trials_from_docs(documents, validate=False)


def setting(parameter: Parameter, drawn: float) -> int:
    """The number of a setting from hyperopt's; rounding may pass the last by one."""
    return min(max(round(float(drawn)), 0), parameter.count - 1)


RIVALS: Mapping[str, Rival] = {
    OURS: ours,
    "optuna_default": optuna_default,
    "optuna_nsga2": optuna_nsga2,
    "hyperopt_weighted": hyperopt_weighted,
    "random": random_search,
}
