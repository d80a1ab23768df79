import math
import sqlite3
import subprocess
import sys

import pytest

from search import schema
from search.creation import create_study
from search.errors import InputError, StudyError
from search.freeze import Freeze, Judged
from search.objective import Constraint, ObjectiveSpec
from search.recorder import StudyRecorder, finetuned_now
from search.settings import Settings
from search.space import Choice, Integer, Space
from search.study import Study

SPACE = Space((Integer("k", 1, 5), Choice("m", ("x", "y"))))
SPECS = (
    ObjectiveSpec("latency", "ms", needs_training=False, origin="digest 1234"),
    ObjectiveSpec("top1", "%", needs_training=True, direction="maximize"),
)


def make(path, **changes):
    parts = {"space": SPACE, "objectives": SPECS, "settings": Settings()} | changes
    return create_study(path, **parts)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.db"


@pytest.fixture
def study(path):
    with make(path) as study:
        study.start_phase(10)
        yield study


def add(study, k, m, latency, top1):
    trial = study.start_trial(0, {"k": k, "m": m}, seed=1)
    return study.finish_trial(trial, "finished", {"latency": latency, "top1": top1})


def test_a_study_gives_back_what_it_was_made_of(path):
    settings = Settings(seed=3, minutes=2.5, budgets=({"iterations": 10}, {"iterations": 20}))
    constraints = (Constraint("latency", 5.0),)
    start, metadata = {"m": "y", "k": 2}, {"data": {"digest": "ab"}, "list": [1]}
    with make(path, settings=settings, constraints=constraints, start=start, metadata=metadata):
        pass
    with Study.open(path) as study:
        assert study.space == SPACE
        assert study.objectives == SPECS
        assert study.settings == settings
        assert study.constraints == constraints
        assert study.start == start
        assert study.metadata == metadata
        assert study.elapsed_minutes == 0
        assert study.trials() == study.phases() == study.finetuned() == study.front() == []


def test_a_trial_is_read_back_as_it_was_recorded(study, path):
    done = add(study, 2, "y", 0.1 + 0.2, 93.5)
    broken = study.start_trial(0, {"k": 3, "m": "x"}, seed=4)
    broken = study.finish_trial(broken, "failed", {"latency": 1.5}, "ValueError: no", "Traceback")
    running = study.start_trial(0, {"k": 4, "m": "x"}, seed=2**32 - 1)
    with Study.open(path) as reader:
        assert reader.trials() == [done, broken, running]
        assert [trial.state for trial in reader.trials()] == ["finished", "failed", "running"]


def test_the_front_minds_directions_and_leaves_out_what_is_not_finished(study):
    add(study, 1, "x", 1.0, 80.0)
    add(study, 2, "x", 2.0, 90.0)
    add(study, 3, "x", 2.5, 85.0)
    add(study, 4, "x", 0.5, 70.0)
    trial = study.start_trial(0, {"k": 5, "m": "x"}, seed=1)
    study.finish_trial(trial, "infeasible", {"latency": 0.1})
    assert [trial.number for trial in study.front()] == [3, 0, 1]


def test_freezing_narrows_the_current_space(study, path):
    freeze = Freeze("m", "y", count=3, front=4, runner_up=1, chance=0.25)
    judged = Judged(**vars(freeze), frozen=True, reason="3 of 4")
    other = Judged("k", 2, count=1, front=4, runner_up=1, frozen=False, reason="chance")
    study.finish_phase(0, [judged, other])
    with Study.open(path) as reader:
        assert reader.current_space == SPACE.freeze({"m": "y"})
        [phase] = reader.phases()
    assert phase.frozen == (freeze,)
    assert phase.report == (judged, other)
    assert (phase.number, phase.planned, phase.trials) == (0, 10, 0)
    assert phase.finished is not None


def test_a_curve_point_reported_again_replaces_the_first(study):
    study.start_trial(0, {"k": 1, "m": "x"}, seed=1)
    for step, value in [(20, 0.5), (10, 0.9), (20, 0.4)]:
        study.record_point(0, "search", step, value)
    study.record_point(0, "finetune", 10, 0.1)
    assert study.curve(0) == [(10, 0.9), (20, 0.4)]
    assert study.curve(0, "finetune") == [(10, 0.1)]
    study.record_point(0, "search", 30, math.nan)
    assert math.isnan(study.curve(0)[-1][1])


def test_a_finetuning_takes_the_place_of_an_earlier_failure(study):
    add(study, 1, "x", 1.0, 80.0)
    study.record_finetuned(finetuned_now(0, {}, "OSError: gone", "Traceback", host="here"))
    assert study.finetuned()[0].state == "failed"
    study.record_finetuned(finetuned_now(0, {"top1": 95.5}, host="here"))
    [result] = study.finetuned()
    assert (result.state, result.values, result.error) == ("finished", {"top1": 95.5}, None)


def test_the_folder_of_a_trial_goes_when_it_ends_and_stays_when_it_is_killed(study, path):
    trial = study.start_trial(0, {"k": 1, "m": "x"}, seed=1)
    folder = study.make_directory(0)
    assert folder == path.parent / "study.db.d" / "trial-00000"
    (folder / "checkpoint").write_text("half")
    study.close()
    with StudyRecorder.open(path) as again:
        assert (folder / "checkpoint").read_text() == "half"
        again.finish_trial(trial, "finished", {"latency": 1.0, "top1": 1.0})
        assert not folder.parent.exists()


def test_a_folder_left_by_a_kill_just_after_the_end_of_a_trial_is_swept(study, path):
    add(study, 1, "x", 1.0, 80.0)
    folder = study.make_directory(0)
    study.close()
    with StudyRecorder.open(path):
        assert not folder.exists()


def test_limits_can_be_raised_and_nothing_else(study):
    assert study.extend(max_trials=70, minutes=3.0).max_trials == 70
    assert study.settings.minutes == 3.0
    with pytest.raises(InputError, match="'seed' of a study cannot be changed"):
        study.extend(seed=4)
    with pytest.raises(InputError, match="max_trials must be"):
        study.extend(max_trials=0)
    assert study.settings.max_trials == 70


def test_a_candidate_has_one_trial_at_most(study):
    add(study, 1, "x", 1.0, 80.0)
    with pytest.raises(StudyError, match="UNIQUE"):
        study.start_trial(0, {"m": "x", "k": 1}, seed=1)


# Bad files: one line, and nothing is changed.


def refused(call, said):
    with pytest.raises(InputError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("open_it", [Study.open, StudyRecorder.open])
def test_a_missing_study_is_named_with_the_command_that_makes_one(open_it, path):
    refused(lambda: open_it(path), "no study at .*ponas search --study")
    assert not path.exists()


@pytest.mark.parametrize("open_it", [Study.open, StudyRecorder.open])
@pytest.mark.parametrize("content", [b"", b"# a text file\n" * 100])
def test_a_file_that_is_no_database_is_refused(open_it, path, content):
    path.write_bytes(content)
    refused(lambda: open_it(path), "is no study|is empty")
    assert path.read_bytes() == content


def test_a_database_that_is_no_study_is_refused(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    refused(lambda: Study.open(path), "no study")


@pytest.mark.parametrize(("version", "said"), [(schema.VERSION + 1, "a newer")])
def test_a_study_of_another_version_is_refused(study, path, version, said):
    study.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    refused(lambda: StudyRecorder.open(path), f"is of {said} version.*use the ponas that made it")


def test_a_second_writer_in_another_process_is_refused_and_a_reader_is_not(study, path):
    add(study, 1, "x", 1.0, 80.0)
    code = (
        "import sys\n"
        "from search.errors import InputError\n"
        "from search.recorder import StudyRecorder\n"
        "from search.study import Study\n"
        "with Study.open(sys.argv[1]) as study: print(len(study.trials()))\n"
        "try: StudyRecorder.open(sys.argv[1])\n"
        "except InputError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    trials, error = run.stdout.splitlines()
    assert trials == "1"
    assert error.startswith(f"study {path} is in use by another process; ")
    study.close()
    with StudyRecorder.open(path) as again:
        assert len(again.trials()) == 1


def test_a_new_study_does_not_take_the_place_of_a_file(study, path):
    study.close()
    before = path.read_bytes()
    refused(lambda: make(path), "exists already; resume it")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": {"k": 9, "m": "x"}}, "'k' cannot be 9"),
        ({"constraints": (Constraint("flops", 1.0),)}, "'flops', which is no objective"),
        ({"objectives": ()}, "at least one objective"),
        ({"objectives": SPECS[:1] * 2}, "'latency' is given twice"),
    ],
)
def test_parts_that_do_not_fit_leave_no_file(path, changes, said):
    refused(lambda: make(path, **changes), said)
    assert list(path.parent.iterdir()) == []


def test_a_full_disk_is_one_line_and_the_study_stays_whole(study):
    add(study, 1, "x", 1.0, 80.0)
    # What SQLite answers when it may not grow the file is what it answers on a full disk.
    [[pages]] = study._connection.execute("PRAGMA page_count")
    study._connection.execute(f"PRAGMA max_page_count = {pages}")
    trial = study.start_trial(0, {"k": 2, "m": "x"}, seed=1)
    with pytest.raises(StudyError, match=r"disk is full.*make room there and resume") as caught:
        study.finish_trial(trial, "failed", {}, "E: x", "x" * 100_000)
    assert "\n" not in str(caught.value)
    study._connection.execute("PRAGMA max_page_count = 1000000")
    assert [each.state for each in study.trials()] == ["finished", "running"]
    study.finish_trial(trial, "finished", {"latency": 1.0, "top1": 2.0})
