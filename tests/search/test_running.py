"""A search whose candidates are trained several at a time, by an executor that is a script."""

import itertools

import pytest

from search import events
from search.algorithm import run
from search.creation import create_study
from search.errors import StudyError
from search.evaluation import Evaluation
from search.executors.contract import Ended, Executor
from search.objective import Objective
from search.running import ATTEMPTS
from search.sampler import RandomSampler
from search.settings import Settings
from search.space import Integer, Space
from search.work import Report, Task, perform

SPACE = Space((Integer("a", 0, 9), Integer("b", 0, 9)))


def error(candidate, context):
    for share in sorted(context.rungs):
        context.check(share, 1.0 + 10 * (1 - share) + candidate["b"])
    context.report(1, 0.5)
    return 1.0 + candidate["b"]


OBJECTIVES = (
    Objective("cost", "ms", lambda c, _: float(c["a"] + c["b"]), needs_training=False),
    Objective("error", "%", error, needs_training=True),
)


class Script(Executor):
    """Ends the last that was begun first; loses the worker of those that it is told to."""

    def __init__(self, task, slots, lose=()):
        self._task, self._slots, self._lose = task, slots, list(lose)
        self.out, self.most, self.begun = [], 0, []

    @property
    def slots(self):
        return self._slots

    def start(self, work):
        assert len(self.out) < self._slots
        self.out.append(work)
        self.begun.append(work)
        self.most = max(self.most, len(self.out))

    def wait(self, on_report):
        work = self.out.pop()
        if work.number in self._lose:
            self._lose.remove(work.number)
            on_report(Report(work.number, work.stage, "point", 1, 9.0))
            return Ended(work, Evaluation("lost", {}, "worker died (signal 9)"), "there")
        return Ended(work, perform(self._task, work, on_report), "there")

    def close(self):
        self.out.clear()


class Watching(RandomSampler):
    """Random, and remembers what it was told."""

    def __init__(self):
        self.told = []

    def draw(self, space, history, seed, foresee):
        self.told.append(list(history))
        return super().draw(space, history, seed, foresee)


@pytest.fixture
def study(tmp_path):
    with create_study(
        tmp_path / "study.db",
        space=SPACE,
        objectives=OBJECTIVES,
        settings=Settings(initial_trials=12, max_phases=1, freeze_always=True),
    ) as made:
        yield made


TASK = Task(OBJECTIVES, (), lambda *_: {"error": 0.25})


def test_as_many_are_trained_at_a_time_as_the_executor_takes(study):
    executor = Script(TASK, 3)
    assert run(study, TASK, executor=executor, sampler=RandomSampler()).reason == "phases"
    assert executor.most == 3
    trials = study.trials()
    assert [trial.state for trial in trials] == ["finished"] * 12
    assert len({tuple(trial.parameters.values()) for trial in trials}) == 12
    assert {trial.host for trial in trials} == {"there"}
    assert {each.trial for each in study.finetuned()} == {t.number for t in study.front()}


def test_the_sampler_is_told_of_those_being_trained(study):
    sampler = Watching()
    run(study, TASK, executor=Script(TASK, 3), sampler=sampler)
    pending = [sum(each.pending for each in history) for history in sampler.told]
    assert pending[:4] == [0, 1, 2, 2]
    assert all(each.costs is None for history in sampler.told for each in history if each.pending)


def test_what_needs_no_training_is_known_to_the_worker(study):
    executor = Script(TASK, 2)
    run(study, TASK, executor=executor, sampler=RandomSampler())
    assert all(
        work.known == {"cost": work.parameters["a"] + work.parameters["b"]}
        for work in executor.begun
    )


def test_a_trial_whose_worker_dies_is_run_again_with_its_seed_and_folder(study):
    executor = Script(TASK, 2, lose=[4, 4])
    told = []
    run(study, TASK, executor=executor, sampler=RandomSampler(), on_event=told.append)
    assert study.trials()[4].state == "finished"
    assert study.trials()[4].attempts == 3
    again = [(work.seed, work.directory) for work in executor.begun if work.number == 4][:3]
    assert len(again) == 3
    assert len(set(again)) == 1
    assert [e.again for e in told if isinstance(e, events.TrialStarted) and e.number == 4] == [
        False, True, True,
    ]  # fmt: skip
    assert study.curve(4) == [(1, 0.5)]


def test_a_candidate_that_kills_every_worker_is_given_up(study):
    run(study, TASK, executor=Script(TASK, 2, lose=[4] * 9), sampler=RandomSampler())
    trial = study.trials()[4]
    assert (trial.state, trial.error, trial.attempts) == (
        "failed", "worker died (signal 9)", ATTEMPTS,
    )  # fmt: skip
    assert len(study.trials()) == 12


def test_trials_of_a_killed_run_come_first_in_the_next(study):
    for number in range(3):
        study_phase = study.phases()[0] if study.phases() else study.start_phase(12)
        study.start_trial(study_phase.number, {"a": number, "b": 0}, seed=number)
    executor = Script(TASK, 2)
    run(study, TASK, executor=executor, sampler=RandomSampler())
    assert [work.number for work in executor.begun[:3]] == [0, 1, 2]
    assert [trial.attempts for trial in study.trials()[:4]] == [2, 2, 2, 1]
    assert len(study.trials()) == 12


def test_what_is_no_fault_of_the_candidate_stops_the_search(study):
    def full(*_):
        raise OSError(28, "No space left on device")

    broken = Task((OBJECTIVES[0], Objective("error", "%", full, needs_training=True)))
    with pytest.raises(StudyError, match="disk is full"):
        run(study, broken, executor=Script(broken, 2), sampler=RandomSampler())
    assert {trial.state for trial in study.trials()} == {"running"}


def test_no_trial_begins_after_the_time_is_over_but_those_running_end(tmp_path):
    ticks = itertools.count()
    settings = Settings(initial_trials=50, minutes=0.5)
    with create_study(
        tmp_path / "timed.db", space=SPACE, objectives=OBJECTIVES, settings=settings
    ) as study:
        outcome = run(
            study, TASK, executor=Script(TASK, 2), sampler=RandomSampler(),
            clock=lambda: next(ticks),
        )  # fmt: skip
        assert outcome.reason == "time"
        assert 0 < len(study.trials()) < 50
        assert {trial.state for trial in study.trials()} == {"finished"}


def test_a_phase_of_its_own_time_is_followed_by_the_next(tmp_path):
    ticks = itertools.count()
    settings = Settings(
        initial_trials=50, refine_trials=50, phase_minutes=0.2, max_phases=2, freeze_always=True
    )
    with create_study(
        tmp_path / "timed.db", space=SPACE, objectives=OBJECTIVES, settings=settings
    ) as study:
        clock = lambda: next(ticks)  # noqa: E731
        run(study, Task(OBJECTIVES), sampler=RandomSampler(), clock=clock)
        assert [0 < phase.trials < 50 for phase in study.phases()] == [True, True]


def test_a_training_that_cannot_join_the_front_is_stopped(tmp_path):
    settings = Settings(initial_trials=40, rungs=(0.25, 0.5), max_phases=1)
    with create_study(
        tmp_path / "rungs.db", space=SPACE, objectives=OBJECTIVES, settings=settings
    ) as study:
        told = []
        sampler = Watching()
        run(study, Task(OBJECTIVES), sampler=sampler, on_event=told.append)
        stopped = [trial for trial in study.trials() if trial.state == "stopped"]
        assert stopped
        assert all(trial.values.keys() == {"cost"} for trial in stopped)
        rungs = study.rungs()
        for trial in stopped:
            error = 1.0 + trial.parameters["b"]
            better = [
                t for t in study.trials()[: trial.number]
                if t.state == "finished" and t.values["cost"] <= trial.values["cost"]
            ]  # fmt: skip
            assert min(t.values["error"] for t in better) < error
            assert max(rungs[trial.number]) in (0.25, 0.5)
        assert len([e for e in told if isinstance(e, events.TrialStopped)]) == len(stopped)
        last = {o.parameters["a"] * 10 + o.parameters["b"]: o for o in sampler.told[-1]}
        for trial in stopped[:-1]:
            key = trial.parameters["a"] * 10 + trial.parameters["b"]
            if key in last:
                assert last[key].costs == pytest.approx(
                    (trial.values["cost"], 1.0 + trial.parameters["b"])
                )


def test_the_optimisers_parameters_have_a_phase_of_their_own_and_keep_the_best(tmp_path):
    space = Space((*SPACE.parameters, Integer("rate", 0, 7)))
    objectives = (
        OBJECTIVES[0],
        Objective(
            "error", "%", lambda c, _: c["b"] + (c["rate"] - 5) ** 2 + 1.0, needs_training=True
        ),
    )
    start = {"a": 3, "b": 4, "rate": 0}
    settings = Settings(
        initial_trials=5, tuning=("rate",), tuning_trials=8, max_phases=1, budgets=({"n": 10},),
        growth=4.0,
    )  # fmt: skip
    with create_study(
        tmp_path / "tuned.db", space=space, objectives=objectives, settings=settings, start=start
    ) as study:
        seen = []
        run(study, Task(objectives), sampler=RandomSampler(), on_event=seen.append)
        tuning, refined = study.phases()
        assert (tuning.kind, refined.kind) == ("tuning", "architecture")
        first = [trial.parameters for trial in study.trials() if trial.phase == 0]
        assert first[0] == start
        assert {(p["a"], p["b"]) for p in first} == {(3, 4)}
        assert len(first) == 8
        assert [(f.parameter, f.value) for f in tuning.frozen] == [("rate", 5)]
        later = [trial.parameters for trial in study.trials() if trial.phase == 1]
        assert {p["rate"] for p in later} == {5}
        assert len({(p["a"], p["b"]) for p in later}) == 5
        budgets = {e.budget["n"] for e in seen if isinstance(e, events.TrialStarted)}
        assert budgets == {10}, "the optimiser's parameters do not narrow the space"


def test_a_search_without_limits_ends_when_the_front_never_agrees(tmp_path):
    space = Space((Integer("a", 0, 999), Integer("b", 0, 999)))
    objectives = (
        Objective("x", "", lambda c, _: float(c["a"]), needs_training=True),
        Objective("y", "", lambda c, _: float(999 - c["a"]), needs_training=True),
    )
    settings = Settings(initial_trials=5, refine_trials=3)
    with create_study(
        tmp_path / "unclear.db", space=space, objectives=objectives, settings=settings
    ) as study:
        outcome = run(study, Task(objectives), sampler=RandomSampler())
        assert outcome.reason == "nothing clear"
        assert [phase.frozen for phase in study.phases()] == [(), (), ()]
        assert all("chance" in each.reason for phase in study.phases() for each in phase.report)
