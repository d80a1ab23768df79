"""`ponas trials`: a table for people, and the files it writes for other programs."""

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from search.creation import create_study
from search.objective import ObjectiveSpec
from search.recorder import StudyRecorder
from search.settings import Settings
from search.space import Integer, Space

SPECS = (
    ObjectiveSpec("error", "share of validation clips", needs_training=True),
    ObjectiveSpec("latency:host-cpu", "ms", needs_training=False),
)


@pytest.fixture
def study(home):
    """Three trials: on the front, dominated, failed; in the folder of the command."""
    del home
    with create_study(
        "a.study", space=Space((Integer("m", 1, 9),)), objectives=SPECS, settings=Settings()
    ) as study:
        study.start_phase(3)
        ends = [
            ("finished", {"error": 0.125, "latency:host-cpu": 1.5}, None),
            ("finished", {"error": 0.25, "latency:host-cpu": 1234.5}, None),
            ("failed", {"latency:host-cpu": 2.5}, "ValueError: [red]no[/red] number in [0, 1]"),
        ]
        for m, (state, values, error) in enumerate(ends, start=1):
            trial = study.start_trial(0, {"m": m}, seed=m)
            study.finish_trial(trial, state, values, error, host="board")
    return study.path


def lines_of(out):
    return [line.split() for line in out.splitlines() if line.strip()]


def test_a_table_shows_every_trial_and_marks_the_front(ponas, study):
    status, out, err = ponas("trials", study)
    assert (status, err) == (0, "")
    title, *rows = lines_of(out)
    assert title == ["Trials", "of", "a.study"]
    first, second, third = rows[-3:]
    assert first[:6] == ["0", "0", "finished", "*", "0.125", "1.50"]
    assert second[:5] == ["1", "0", "finished", "0.250", "1,230"]
    assert third[:5] == ["2", "0", "failed", "–", "2.50"]
    assert third[6] == "board"
    assert "ValueError: [red]no[/red] number in [0, 1]" in out
    assert "latency:host-cpu (ms)" in out


def test_csv_goes_to_a_file_or_to_the_output_and_is_the_same(ponas, study, tmp_path):
    status, out, err = ponas("trials", study, "--csv", "-")
    assert (status, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["value.latency:host-cpu [ms]"] for row in rows] == ["1.5", "1234.5", "2.5"]
    assert [row["on_front"] for row in rows] == ["true", "false", "false"]
    status, nothing, err = ponas("trials", study, "--csv", tmp_path / "deep" / "trials.csv")
    assert (status, nothing) == (0, "")
    assert "trials.csv" in err
    assert (tmp_path / "deep" / "trials.csv").read_text(encoding="utf-8") == out


def test_json_is_one_document_with_everything(ponas, study):
    with StudyRecorder.open(study) as recorder:
        recorder.annotate("measured_ms", {"3x3,40": 1.75})
    status, out, err = ponas("trials", study, "--json")
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert [each["state"] for each in document["trials"]] == ["finished", "finished", "failed"]
    assert document["front"] == [0]
    assert document["annotations"] == {"measured_ms": {"3x3,40": 1.75}}


def test_json_and_a_csv_file_can_be_had_at_once(ponas, study):
    status, out, _ = ponas("trials", study, "--json", "--csv", "t.csv")
    assert status == 0
    assert len(json.loads(out)["trials"]) == 3
    with Path("t.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 3


def test_optuna_opens_what_is_written_for_it(ponas, study):
    status, out, err = ponas("trials", study, "--optuna", "runs.db")
    assert (status, out) == (0, "")
    assert "optuna-dashboard sqlite:///runs.db" in err
    found = optuna.load_study(study_name="a", storage="sqlite:///runs.db")
    assert [trial.number for trial in found.best_trials] == [0]

    status, out, err = ponas("trials", study, "--optuna", "runs.db")
    assert (status, out) == (2, "")
    assert err == (
        "ponas: storage runs.db holds study 'a' already; "
        "replace it with --replace, or give another storage\n"
    )
    assert ponas("trials", study, "--optuna", "runs.db", "--replace")[0] == 0


def test_a_study_of_an_older_version_is_shown_and_left_as_it_is(ponas, study):
    with closing(sqlite3.connect(study)) as connection:
        connection.executescript(
            "DROP TABLE rung; ALTER TABLE phase DROP COLUMN kind; "
            "ALTER TABLE phase DROP COLUMN held; ALTER TABLE phase DROP COLUMN report; "
            "ALTER TABLE frozen DROP COLUMN chance; ALTER TABLE trial DROP COLUMN attempts; "
            "PRAGMA user_version = 1;"
        )
        before = connection.serialize()
    status, out, _ = ponas("trials", study)
    assert status == 0
    assert lines_of(out)[-1][:3] == ["2", "0", "failed"]
    with closing(sqlite3.connect(study)) as connection:
        assert connection.serialize() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--csv", "-", "--json"), "both write to standard output; give --csv a file"),
        (("--replace",), "--replace goes with --optuna"),
        (("--optuna", "a.study"), "a.study is a study of ponas; give another file"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_would_be_right(ponas, study, options, says):
    status, out, err = ponas("trials", study, *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_a_study_that_is_not_there_is_named(ponas):
    status, _, err = ponas("trials", "absent.study")
    assert status == 2
    assert err.startswith("ponas: no study at absent.study; ")
