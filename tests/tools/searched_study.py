"""A study of keyword-spotting networks, trained in no time, and the events of its search."""

from dataclasses import asdict

from kws.architecture import Architecture, parameters_of
from search.algorithm import run
from search.creation import create_study
from search.objective import Objective
from search.recorder import StudyRecorder
from search.sampler import RandomSampler
from search.settings import Settings
from search.space import Integer, Space
from search.work import Task
from tools.job import FORMAT, Request

UNITS = parameters_of(Architecture.parse("3x3,8 3x3,8"))
START = dict(UNITS)
SPACE = Space(tuple(Integer(name, 1, 9) for name in UNITS))
STEPS = 4


def cost(parameters, _context=None):
    return sum(parameters.values()) / 100


def error(parameters, context):
    for step in range(1, STEPS + 1):
        context.report(10 * step, 1.0 / step)
    return 1.0 / (1.0 + parameters["conv1_m"])


def finetune(parameters, context):
    context.report(50, 0.1)
    return {"error": 0.04 + parameters["conv2_m"] / 1000, "test_error": 0.05}


OBJECTIVES = (
    Objective("error", "share", error, needs_training=True),
    Objective("latency:host-cpu", "ms", cost, needs_training=False),
)


class Killed(BaseException):
    """The end of a process, as far as this process can have it."""


def begun(path, candidates=6):
    """A new study, open for writing."""
    request = Request(
        profile="host-cpu", objective="latency", data="none", candidates=candidates,
        iterations=10 * STEPS, finetune_iterations=100,
    )  # fmt: skip
    return create_study(
        path, space=SPACE, objectives=OBJECTIVES, start=START,
        settings=Settings(
            initial_trials=candidates - 1, refine_trials=1, max_trials=candidates,
            budgets=({"iterations": 10 * STEPS},), finetune_budget={"iterations": 100},
        ),
        metadata={"format": FORMAT, "request": asdict(request)},
    )  # fmt: skip


def searched(study, on_event, *, kill_after=None):
    """Runs the search; as if killed after so many events. Gives the events told."""
    told = []

    def tell(event):
        told.append(event)
        on_event(event)
        if len(told) == kill_after:
            raise Killed

    try:
        run(study, Task(OBJECTIVES, (), finetune), on_event=tell, sampler=RandomSampler())
    except Killed:
        study.close()
    return told


def reopened(path):
    return StudyRecorder.open(path)
