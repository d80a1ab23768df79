import dataclasses
import errno
import itertools

import pytest

from search import events
from search.algorithm import run
from search.creation import create_study
from search.errors import InputError, StudyError
from search.objective import Constraint, Objective
from search.recorder import StudyRecorder
from search.sampler import RandomSampler
from search.settings import Settings
from search.space import Choice, Integer, Space
from search.work import Task

SPACE = Space((Integer("a", 0, 5), Integer("b", 0, 5), Choice("c", ("x", "y"))))


def cost(candidate, _):
    return float(candidate["a"] + candidate["b"])


def error(candidate, _):
    return float((5 - candidate["a"]) ** 2 + candidate["b"] + (candidate["c"] == "y"))


OBJECTIVES = (
    Objective("cost", "ms", cost, needs_training=False),
    Objective("error", "%", error, needs_training=True),
)


def with_error(evaluate):
    return (OBJECTIVES[0], dataclasses.replace(OBJECTIVES[1], evaluate=evaluate))


@pytest.fixture
def make(tmp_path):
    opened = []

    def make_study(*, constraints=(), start=None, **settings):
        usual = {"initial_trials": 10, "refine_trials": 4}
        chosen = Settings(**(usual | {"freeze_always": True, "freeze_per_phase": 1} | settings))
        study = create_study(
            tmp_path / f"study-{len(opened)}.db",
            space=SPACE,
            objectives=OBJECTIVES,
            settings=chosen,
            constraints=constraints,
            start=start,
        )
        opened.append(study)
        return study

    yield make_study
    for study in opened:
        study.close()


def go(study, objectives=OBJECTIVES, finetune=None, **options):
    task = Task(objectives, study.constraints, finetune)
    return run(study, task, sampler=RandomSampler(), **options)


def test_phases_go_on_until_every_parameter_is_frozen(make):
    study = make()
    outcome = go(study)
    assert outcome.reason == "frozen"
    phases = study.phases()
    assert [phase.trials for phase in phases] == [10, 4, 4]
    assert sorted(f.parameter for phase in phases for f in phase.frozen) == ["a", "b", "c"]
    assert study.current_space.free == ()
    assert outcome.front == tuple(study.front())


def test_a_phase_tries_only_candidates_that_share_what_was_frozen_before_it(make):
    study = make()
    go(study)
    fixed = {}
    for phase in study.phases():
        for trial in study.trials():
            if trial.phase == phase.number:
                assert fixed.items() <= trial.parameters.items()
        fixed |= {freeze.parameter: freeze.value for freeze in phase.frozen}
    assert len(fixed) == 3


def test_what_is_frozen_is_the_most_common_setting_of_the_front(make):
    study = make(max_phases=1)
    assert go(study).reason == "phases"
    [phase] = study.phases()
    [freeze] = phase.frozen
    members = [trial.parameters[freeze.parameter] for trial in study.front()]
    assert freeze.count == members.count(freeze.value) == max(map(members.count, members))
    assert freeze.front == len(members)


def test_what_is_clear_is_frozen_at_once_and_no_more_than_is_asked_for(make):
    def flat(candidate, _):
        return float(candidate["a"] != 5) + (candidate["b"] != 0) + (candidate["c"] == "y") * 5

    frozen = {}
    for at_most in (None, 1):
        study = make(
            initial_trials=72, max_phases=1, freeze_per_phase=at_most, freeze_always=False,
            constraints=(Constraint("cost", 99.0),),
        )  # fmt: skip
        go(study, with_error(flat))
        [phase] = study.phases()
        frozen[at_most] = [each.parameter for each in phase.frozen]
        assert all(each.chance < 0.05 for each in phase.frozen)
    assert frozen[1] == frozen[None][:1]


def test_what_is_no_more_than_chance_is_not_frozen_and_the_next_phase_has_the_same_space(make):
    study = make(freeze_always=False, max_phases=2, initial_trials=6)
    assert go(study).reason == "phases"
    first, second = study.phases()
    assert (first.frozen, first.trials, second.trials) == ((), 6, 4)
    assert first.report


def test_no_candidate_is_evaluated_twice(make):
    seen = []
    study = make(initial_trials=60, refine_trials=50)

    def count(candidate, context):
        seen.append(tuple(candidate.values()))
        return error(candidate, context)

    go(study, with_error(count))
    assert len(seen) == len(set(seen)) == len(study.trials())
    assert SPACE.size() == 72


def test_a_phase_whose_space_is_exhausted_ends_early(make):
    study = make(initial_trials=100)
    assert go(study).reason == "frozen"
    assert [phase.trials for phase in study.phases()] == [72, 0, 0]


def test_the_start_is_the_first_trial(make):
    start = {"a": 5, "b": 0, "c": "x"}
    study = make(start=start)
    go(study)
    assert study.trials()[0].parameters == start


def test_the_number_of_trials_has_a_limit_and_can_be_raised(make):
    study = make(max_trials=12)
    assert go(study).reason == "trials"
    assert len(study.trials()) == 12
    study.extend(max_trials=None)
    assert go(study).reason == "frozen"
    unlimited = make()
    go(unlimited)
    assert [t.parameters for t in study.trials()] == [t.parameters for t in unlimited.trials()]


def test_time_stops_a_search_and_counts_over_resumes(make):
    study = make(minutes=5)
    ticks = itertools.count()
    now = {"s": 0.0}

    def slow(candidate, context):
        next(ticks)
        now["s"] += 60
        return error(candidate, context)

    assert go(study, with_error(slow), clock=lambda: now["s"]).reason == "time"
    assert len(study.trials()) == 5
    assert study.elapsed_minutes == pytest.approx(5)
    assert go(study, with_error(slow), clock=lambda: now["s"]).reason == "time"
    assert len(study.trials()) == 5
    study.extend(minutes=7)
    now["s"] = 1e6
    assert go(study, with_error(slow), clock=lambda: now["s"]).reason == "time"
    assert len(study.trials()) == 7


def test_infeasible_candidates_are_recorded_not_trained_and_count_for_no_budget(make):
    trained = []

    def count(candidate, context):
        trained.append(context.number)
        return error(candidate, context)

    study = make(constraints=(Constraint("cost", 4.0),), max_phases=1)
    go(study, with_error(count))
    finished = [trial for trial in study.trials() if trial.state == "finished"]
    infeasible = [trial for trial in study.trials() if trial.state == "infeasible"]
    assert [trial.number for trial in finished] == trained
    assert len(finished) == 10
    assert infeasible
    assert all(trial.values["cost"] <= 4 for trial in finished)
    assert all(trial.values.keys() == {"cost"} and trial.values["cost"] > 4 for trial in infeasible)
    assert {trial.state for trial in study.front()} == {"finished"}


def test_a_candidate_found_infeasible_by_training_has_used_its_budget(make):
    study = make(constraints=(Constraint("error", 5.0),), max_phases=1)
    go(study)
    states = [trial.state for trial in study.trials()]
    assert len(states) == 10
    assert set(states) == {"finished", "infeasible"}
    assert all(trial.values.keys() == {"cost", "error"} for trial in study.trials())


def test_a_bound_that_nothing_meets_ends_the_search_without_a_front(make):
    study = make(constraints=(Constraint("cost", -1.0),), initial_trials=2)
    outcome = go(study)
    assert (outcome.reason, outcome.front) == ("no front", ())
    assert len(study.trials()) == 40


def test_a_trial_that_raises_is_recorded_and_the_search_goes_on(make):
    def sometimes(candidate, context):
        if candidate["c"] == "y":
            raise RuntimeError("no y today\nreally")
        return error(candidate, context)

    study = make()
    assert go(study, with_error(sometimes)).reason == "frozen"
    failed = [trial for trial in study.trials() if trial.state == "failed"]
    assert failed
    assert {trial.error for trial in failed} == {"RuntimeError: no y today"}
    assert all("in sometimes" in trial.traceback for trial in failed)
    assert all(trial.parameters["c"] == "x" for trial in study.front())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_finite_number_fails_the_trial(make, value):
    study = make(max_phases=1)
    go(study, with_error(lambda c, _: value if c["c"] == "y" else 1.0))
    failed = [trial for trial in study.trials() if trial.state == "failed"]
    assert failed[0].error == f"ValueError: objective 'error' gave {value}, no finite number"


def test_the_same_error_on_the_first_three_trials_stops_the_search_until_it_is_mended(make):
    def broken(_, context):
        raise FileNotFoundError(f"no data for {context.directory}")

    study = make(max_phases=1)
    with pytest.raises(StudyError, match="first 3 trials failed with FileNotFoundError: no data"):
        go(study, with_error(broken))
    assert len(study.trials()) == 3
    first = [trial.parameters for trial in study.trials()]
    assert go(study).reason == "phases"
    assert {trial.state for trial in study.trials()} == {"finished"}
    assert [trial.parameters for trial in study.trials()][:3] == first
    assert all(trial.error is None for trial in study.trials())


def test_a_first_phase_of_which_every_trial_fails_is_no_search_without_a_front(make):
    def broken(*_):
        raise RuntimeError("no device")

    study = make(max_phases=1, initial_trials=1)
    with pytest.raises(StudyError, match="the first trial failed with RuntimeError: no device"):
        go(study, with_error(broken))
    assert go(study).reason == "phases"
    assert [trial.state for trial in study.trials()] == ["finished"]


def test_a_full_disk_stops_the_search_and_the_trial_runs_again(make):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    study = make(max_phases=1)
    with pytest.raises(StudyError, match=r"disk is full.*make room"):
        go(study, with_error(full))
    assert [trial.state for trial in study.trials()] == ["running"]


def test_an_interrupted_trial_goes_on_in_its_folder_with_its_number_and_seed(make):
    contexts = []

    def interrupted(candidate, context):
        contexts.append(context)
        checkpoint = context.directory / "checkpoint"
        if context.number == 4 and not checkpoint.exists():
            checkpoint.write_text("half")
            raise KeyboardInterrupt
        return error(candidate, context)

    study = make()
    with pytest.raises(KeyboardInterrupt):
        go(study, with_error(interrupted))
    study.close()
    told = []
    with StudyRecorder.open(study.path) as again:
        go(again, with_error(interrupted), on_event=told.append)
        trials = again.trials()
    before, after = (context for context in contexts if context.number == 4)
    assert (before.seed, before.directory) == (after.seed, after.directory)
    assert [event.number for event in told if getattr(event, "again", False)] == [4]
    undisturbed = make()
    go(undisturbed)
    assert [(t.parameters, t.values, t.seed) for t in trials] == [
        (t.parameters, t.values, t.seed) for t in undisturbed.trials()
    ]


def test_budgets_follow_the_phase_and_fine_tuning_has_its_own(make):
    budgets = ({"iterations": 10}, {"iterations": 20})
    seen = {}

    def note(candidate, context):
        seen.setdefault(context.phase, context.budget["iterations"])
        return error(candidate, context)

    def finetune(_, context):
        seen["tuned"] = (context.phase, context.budget["iterations"])
        return {"error": 1}

    study = make(budgets=budgets, finetune_budget={"iterations": 99})
    go(study, with_error(note), finetune=finetune)
    assert seen == {0: 10, 1: 20, 2: 20, "tuned": (3, 99)}


def test_every_member_of_the_front_is_fine_tuned_once(make):
    tuned = []

    def finetune(_, context):
        tuned.append(context.number)
        if len(tuned) == 2:
            raise KeyboardInterrupt
        context.report(5, 0.25)
        return {"error": 0.5, "test_error": 0.75}

    study = make()
    with pytest.raises(KeyboardInterrupt):
        go(study, finetune=finetune)
    outcome = go(study, finetune=finetune)
    numbers = [trial.number for trial in outcome.front]
    assert tuned == [*numbers[:2], *numbers[1:]]
    assert [each.trial for each in study.finetuned()] == sorted(numbers)
    assert study.finetuned()[0].values == {"error": 0.5, "test_error": 0.75}
    assert study.curve(numbers[0], "finetune") == [(5, 0.25)]


def test_time_stops_fine_tuning_after_the_members_of_least_error(make):
    tuned = []
    now = {"s": 0.0}

    def finetune(_, context):
        tuned.append(context.number)
        now["s"] += 40
        return {"error": 0.5}

    study = make(finetune_minutes=1)
    front = go(study, finetune=finetune, clock=lambda: now["s"]).front
    assert len(front) > 4
    by_error = [t.number for t in sorted(front, key=lambda trial: trial.values["error"])]
    assert tuned == by_error[:2]
    go(study, finetune=finetune, clock=lambda: now["s"])
    assert tuned == by_error[:4], "each run goes on with the next ones"


def test_a_fine_tuning_that_raises_is_recorded_and_tried_again_on_a_resume(make):
    def broken(*_):
        raise ValueError("no")

    study = make(max_phases=1)
    go(study, finetune=broken)
    assert {each.error for each in study.finetuned()} == {"ValueError: no"}
    go(study, finetune=lambda *_: {"error": 1.0})
    assert {each.state for each in study.finetuned()} == {"finished"}


def test_events_tell_the_search_in_order(make):
    def report(candidate, context):
        context.report(1, 0.5)
        return error(candidate, context)

    told = []
    study = make(max_trials=2)
    go(study, with_error(report), on_event=told.append, finetune=lambda *_: {"error": 1.0})
    trial = ["TrialStarted", "TrialProgress", "TrialFinished"]
    tuning = ["FineTuneStarted", "FineTuneFinished"] * len(study.front())
    names = [type(event).__name__ for event in told]
    assert names == ["PhaseStarted", *trial, *trial, "SearchStopped", *tuning]
    assert told[0] == events.PhaseStarted(
        0, "architecture", planned=10, done=0, free=("a", "b", "c"), frozen={}
    )
    assert told[3].on_front


def test_a_phase_ends_with_what_it_froze(make):
    told = []
    study = make(max_phases=1)
    go(study, on_event=told.append)
    frozen, finished, stopped = told[-3:]
    [phase] = study.phases()
    assert frozen == events.Frozen(0, next(each for each in phase.report if each.frozen))
    assert frozen.freeze.parameter == phase.frozen[0].parameter
    assert {each.parameter for each in phase.report} == {"a", "b", "c"}
    assert finished == events.PhaseFinished(
        0, "architecture", trials=10, front=len(study.front()), judged=phase.report
    )
    assert stopped == events.SearchStopped("phases")


@pytest.mark.parametrize(
    ("objectives", "said"),
    [
        (OBJECTIVES[:1], "minimises cost, error, not cost"),
        (
            (dataclasses.replace(OBJECTIVES[0], origin="another profile"), OBJECTIVES[1]),
            "'cost' of study .* start a new study",
        ),
    ],
)
def test_a_study_does_not_go_on_with_other_objectives(make, objectives, said):
    with pytest.raises(InputError, match=said):
        go(make(), objectives)


def test_two_seeds_make_two_searches_and_one_seed_one(make):
    found = []
    for seed in (1, 1, 2):
        study = make(seed=seed, max_phases=1)
        run(study, Task(OBJECTIVES))
        found.append([trial.parameters for trial in study.trials()])
    assert found[0] == found[1] != found[2]
