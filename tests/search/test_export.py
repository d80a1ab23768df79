import csv
import io
import json
from dataclasses import asdict

import pytest
from sample_study import (
    BOUNDS,
    BROKEN,
    FRONT,
    JUDGED,
    SETTINGS,
    SPACE,
    SPECS,
    STATES,
    sample_study,
)

from search import export
from search.creation import create_study
from search.objective import ObjectiveSpec
from search.settings import Settings
from search.space import Choice, Space
from search.study import Study


@pytest.fixture
def study(tmp_path):
    with Study.open(sample_study(tmp_path / "sample.study")) as found:
        yield found


@pytest.fixture
def document(study):
    """As another program reads it: strict JSON has no NaN."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    text = json.dumps(export.document(study, ("measured_ms", "absent")))
    return json.loads(text, parse_constant=refuse)


def rows_of(study):
    text = io.StringIO()
    export.print_csv(study, text)
    return list(csv.DictReader(io.StringIO(text.getvalue())))


# JSON.


def test_the_document_gives_back_space_settings_objectives_and_what_the_caller_kept(
    study, document
):
    assert Space.from_json(document["space"]) == SPACE
    assert Settings.from_json(document["settings"]) == SETTINGS
    assert document["start"] == study.start
    assert document["metadata"] == {"data": {"digest": "99"}}
    assert document["annotations"] == {"measured_ms": {"0": 0.31}, "absent": None}
    assert document["study"] == "sample.study"
    for told, spec, bound in zip(document["objectives"], SPECS, (5.0, None), strict=True):
        assert told == {**asdict(spec), "upper_bound": bound}
    assert BOUNDS[0].upper_bound == 5.0


def test_the_document_has_every_trial_with_its_values_rungs_and_curve(study, document):
    trials = document["trials"]
    assert [each["number"] for each in trials] == list(range(8))
    assert [each["state"] for each in trials] == STATES
    assert [each["number"] for each in trials if each["on_front"]] == document["front"] == FRONT
    assert sorted(trial.number for trial in study.front()) == FRONT
    assert trials[0]["values"] == {"latency": 0.1 + 0.2, "top1": 80.0}
    assert trials[0]["curve"] == [[20, 0.5], [40, 0.25]]
    assert trials[1]["rungs"] == [{"share": 0.25, "value": 60.0}, {"share": 0.5, "value": 75.0}]
    assert trials[4]["curve"] == [[20, None]]
    assert (trials[4]["error"], trials[4]["traceback"]) == (BROKEN, "Traceback ...")
    assert (trials[5]["attempts"], trials[5]["host"], trials[5]["seed"]) == (2, "host5", 5)
    assert (trials[7]["finished"], trials[7]["seconds"], trials[7]["values"]) == (None, None, {})
    for told, trial in zip(trials, study.trials(), strict=True):
        assert told["parameters"] == trial.parameters
        assert (told["phase"], told["started"]) == (trial.phase, trial.started)
        assert told["seconds"] == trial.seconds


def test_the_document_tells_what_was_frozen_how_clear_it_was_and_what_was_not(document):
    first, second = document["phases"]
    [frozen] = first["frozen"]
    assert (frozen["parameter"], frozen["value"], frozen["chance"]) == ("pool", "mean", 0.001)
    assert (frozen["share"], frozen["margin"]) == (9 / 12, 6 / 12)
    assert first["report"] == [asdict(each) for each in JUDGED]
    assert (first["planned"], first["trials"], second["trials"]) == (6, 6, 2)
    assert (second["frozen"], second["finished"], second["held"]) == ([], None, {"m": 40})


def test_the_document_has_the_finetunings_with_their_curves(document):
    [found] = document["finetuned"]
    assert (found["trial"], found["state"], found["values"]) == (1, "finished", {"top1": 97.5})
    assert found["curve"] == [[100, 0.125]]


def test_a_study_without_trials_is_a_document_and_a_row_of_names(tmp_path):
    with create_study(
        tmp_path / "new.study", space=SPACE, objectives=SPECS, settings=SETTINGS
    ) as study:
        document = export.document(study)
        assert (document["trials"], document["front"], document["phases"]) == ([], [], [])
        assert len(list(export.table(study))) == 1


# CSV.


def test_the_table_has_a_row_a_trial_and_every_unit_in_its_columns(study):
    header, *rows = export.table(study)
    assert header == [
        "number", "phase", "state", "on_front",
        "parameter.kernel", "parameter.pool", "parameter.m",
        "value.latency [ms]", "value.top1 [%]", "rung.0.25 [%]", "rung.0.5 [%]",
        "seed", "started", "finished", "seconds", "host", "attempts", "error",
    ]  # fmt: skip
    assert len(rows) == 8
    assert {len(row) for row in rows} == {len(header)}


def test_numbers_and_texts_read_back_from_csv_as_they_were(study):
    rows = rows_of(study)
    assert [row["state"] for row in rows] == STATES
    assert [int(row["number"]) for row in rows if row["on_front"] == "true"] == FRONT
    for row, trial in zip(rows, study.trials(), strict=True):
        assert int(row["parameter.kernel"]) == trial.parameters["kernel"]
        assert row["parameter.pool"] == trial.parameters["pool"]
        assert row["error"] == (trial.error or "")
        assert (row["started"], row["finished"]) == (trial.started, trial.finished or "")
        for name, column in {"latency": "value.latency [ms]", "top1": "value.top1 [%]"}.items():
            assert (float(row[column]) if row[column] else None) == trial.values.get(name)
    assert (rows[1]["rung.0.25 [%]"], rows[1]["rung.0.5 [%]"]) == ("60.0", "75.0")
    assert (rows[3]["rung.0.25 [%]"], rows[3]["rung.0.5 [%]"]) == ("20.0", "")
    assert rows[7]["seconds"] == ""


def test_columns_stay_apart_where_a_parameter_is_called_like_one_of_ours(tmp_path):
    space = Space((Choice("state", (1, 1.0, True, "a,\nb")), Choice("error", (0.1,))))
    specs = (ObjectiveSpec("error", "", needs_training=True),)
    with create_study(
        tmp_path / "a.study", space=space, objectives=specs, settings=SETTINGS
    ) as study:
        study.start_phase(4)
        for value in space.parameters[0].options:
            trial = study.start_trial(0, {"state": value, "error": 0.1}, seed=1)
            study.finish_trial(trial, "finished", {"error": 0.25})
        header, *_ = export.table(study)
        rows = rows_of(study)
    assert len(set(header)) == len(header)
    assert [row["parameter.state"] for row in rows] == ["1", "1.0", "true", "a,\nb"]
    assert {(row["state"], row["value.error"], row["error"]) for row in rows} == {
        ("finished", "0.25", "")
    }


def test_a_csv_file_is_written_whole_over_an_older_one(study, tmp_path):
    path = tmp_path / "deep" / "trials.csv"
    for _ in range(2):
        export.write_csv(study, path)
        text = io.StringIO()
        export.print_csv(study, text)
        assert path.read_bytes() == text.getvalue().encode()
    assert [each.name for each in path.parent.iterdir()] == ["trials.csv"]
