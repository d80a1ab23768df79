"""Read back with Optuna itself, and with optuna-dashboard's own server."""

import io
import json
import random
import shutil
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna_dashboard import wsgi
from sample_study import BROKEN, FRONT, SPECS, STATES, sample_study

from search.creation import create_study
from search.errors import InputError, StudyError
from search.objective import ObjectiveSpec
from search.optuna_export import export_to_optuna
from search.optuna_storage import address
from search.settings import Settings
from search.space import Choice, Integer, Space
from search.study import Study


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The sample as a study, and as an SQLite file and a journal of Optuna's."""
    folder = tmp_path_factory.mktemp("made")
    with Study.open(sample_study(folder / "sample.study")) as study:
        for name in ("sample.db", "sample.journal"):
            assert export_to_optuna(study, str(folder / name)) == "sample"
    return folder


@pytest.fixture
def copied(made, tmp_path):
    """The same, to be changed."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def opened(path):
    if path.suffix == ".journal":
        return JournalStorage(JournalFileBackend(str(path)))
    return RDBStorage(f"sqlite:///{path}")


@pytest.fixture(params=["sample.db", "sample.journal"])
def found(request, made):
    return optuna.load_study(study_name="sample", storage=opened(made / request.param))


@pytest.fixture
def study(made):
    with Study.open(made / "sample.study") as study:
        yield study


# What Optuna reads.


def test_optuna_finds_the_same_front(found, study):
    assert sorted(trial.number for trial in found.best_trials) == FRONT
    assert sorted(trial.number for trial in study.front()) == FRONT


def test_objectives_keep_their_direction_name_and_unit(found):
    assert found.directions == [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]
    assert found.metric_names == ["latency [ms]", "top1 [%]"]
    assert found.user_attrs["units"] == {"latency": "ms", "top1": "%"}
    assert found.user_attrs["origins"] == {"latency": "profile a15 1234", "top1": "data 99"}
    assert found.user_attrs["constraints"] == {"latency": 5.0}
    assert found.user_attrs["frozen"] == {"pool": "mean"}
    assert Settings.from_json(found.user_attrs["settings"]).seed == 3


def test_states_say_what_became_of_each_trial(found):
    names = {
        "finished": "COMPLETE", "infeasible": "PRUNED", "stopped": "PRUNED",
        "failed": "FAIL", "running": "RUNNING",
    }  # fmt: skip
    assert [trial.state.name for trial in found.trials] == [names[state] for state in STATES]
    assert [trial.user_attrs["state"] for trial in found.trials] == STATES


def test_parameters_come_with_the_settings_they_may_take(found, study):
    for trial, ours in zip(found.trials, study.trials(), strict=True):
        assert (trial.number, trial.params) == (ours.number, ours.parameters)
        assert trial.distributions == {
            "kernel": IntDistribution(1, 9, step=2),
            "pool": CategoricalDistribution(("max", "mean")),
            "m": IntDistribution(1, 99),
        }


def test_values_times_and_attributes_are_ours(found, study):
    for trial, ours in zip(found.trials, study.trials(), strict=True):
        finished = ours.state == "finished"
        assert trial.values == ([ours.values[each.name] for each in SPECS] if finished else None)
        for theirs, text in (
            (trial.datetime_start, ours.started), (trial.datetime_complete, ours.finished),
        ):  # fmt: skip
            told = None if theirs is None else theirs.astimezone(UTC)
            assert told == (None if text is None else datetime.fromisoformat(text))
        told = {key: trial.user_attrs[key] for key in ("phase", "seed", "host", "attempts")}
        assert told == {key: getattr(ours, key) for key in told}
        assert trial.user_attrs["on_front"] == (trial.number in FRONT)
    assert found.trials[4].user_attrs["error"] == BROKEN
    assert found.trials[2].user_attrs["latency [ms]"] == 7.5
    assert found.trials[1].user_attrs["finetuned"] == {"top1": 97.5}


def test_curves_are_intermediate_values_and_rungs_are_where_there_is_none(found):
    values = [trial.intermediate_values for trial in found.trials]
    assert values[0] == {20: 0.5, 40: 0.25}
    assert values[1] == {25: 60.0, 50: 75.0}
    assert values[3] == {25: 20.0}
    assert values[4][20] != values[4][20]
    assert values[7] == {20: 0.75}


def test_a_bound_is_a_constraint_that_holds_up_to_zero(found):
    excess = [list(trial.constraints.values()) for trial in found.trials]
    assert excess[:4] == [[0.1 + 0.2 - 5], [-4.0], [2.5], [-2.0]]
    assert excess[6:] == [[0.0], []]


@pytest.mark.parametrize("seed", range(5))
def test_fronts_agree_whatever_is_found(tmp_path, seed):
    chance = random.Random(seed)
    directions = [chance.choice(("minimize", "maximize")) for _ in range(1 + seed % 3)]
    specs = [
        ObjectiveSpec(f"o{i}", "", needs_training=True, direction=direction)
        for i, direction in enumerate(directions)
    ]
    space = Space((Integer("x", 0, 99),))
    with create_study(
        tmp_path / "a.study", space=space, objectives=specs, settings=Settings()
    ) as study:
        study.start_phase(30)
        for x in range(30):
            trial = study.start_trial(0, {"x": x}, seed=1)
            # Few different values, so that some trials are equal and some tie in one of them.
            values = {each.name: float(chance.randrange(6)) for each in specs}
            study.finish_trial(trial, chance.choice(("finished", "failed")), values)
        export_to_optuna(study, str(tmp_path / "a.journal"))
        ours = sorted(trial.number for trial in study.front())
    theirs = optuna.load_study(study_name="a", storage=opened(tmp_path / "a.journal")).best_trials
    assert sorted(trial.number for trial in theirs) == ours


def test_options_that_python_holds_for_equal_stay_apart(tmp_path):
    options = (1, 1.0, True, "1", 2)
    space = Space((Choice("c", options), Choice("d", ("1", 2.5, False))))
    specs = (ObjectiveSpec("o", "", needs_training=True),)
    with create_study(
        tmp_path / "a.study", space=space, objectives=specs, settings=Settings()
    ) as study:
        study.start_phase(5)
        for option in options:
            trial = study.start_trial(0, {"c": option, "d": False}, seed=1)
            study.finish_trial(trial, "finished", {"o": 1.0})
        export_to_optuna(study, str(tmp_path / "a.db"))
    trials = optuna.load_study(study_name="a", storage=opened(tmp_path / "a.db")).trials
    assert [json.loads(trial.params["c"]) for trial in trials] == list(options)
    assert [type(json.loads(trial.params["c"])) for trial in trials] == list(map(type, options))
    assert trials[0].distributions["d"] == CategoricalDistribution(("1", 2.5, False))


# What optuna-dashboard reads.


def asked(server, path):
    """The dashboard's answer to a request, without a network."""
    status = []
    environment = {
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "after=0",
        "SERVER_NAME": "dashboard", "SERVER_PORT": "80", "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr, "wsgi.url_scheme": "http",
    }  # fmt: skip
    body = b"".join(server(environment, lambda line, *_: status.append(line)))
    assert status == ["200 OK"]
    return json.loads(body)


@pytest.mark.parametrize("name", ["sample.db", "sample.journal"])
def test_the_dashboard_opens_it_and_shows_every_trial(made, name):
    server = wsgi(opened(made / name))
    [summary] = asked(server, "/api/studies")["study_summaries"]
    assert (summary["study_name"], summary["directions"]) == ("sample", ["minimize", "maximize"])
    shown = asked(server, f"/api/studies/{summary['study_id']}")
    assert shown["objective_names"] == ["latency [ms]", "top1 [%]"]
    assert [trial["state"] for trial in shown["trials"]] == [
        "Complete", "Complete", "Pruned", "Pruned", "Fail", "Complete", "Complete", "Running",
    ]  # fmt: skip
    assert sorted(trial["number"] for trial in shown["best_trials"]) == FRONT
    assert [trial["constraints"] for trial in shown["trials"]][2] == [2.5]
    assert shown["has_intermediate_values"]
    assert {each["name"] for each in shown["union_search_space"]} == {"kernel", "pool", "m"}


# Storages.


def refused(call, said, error=InputError):
    with pytest.raises(error, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["sample.db", "sample.journal"])
def test_a_second_export_is_refused_and_replaces_when_asked_to(copied, name):
    with Study.open(copied / "sample.study") as study:
        refused(lambda: export_to_optuna(study, str(copied / name)), "already; .*--replace")
        before = optuna.load_study(study_name="sample", storage=opened(copied / name)).trials
        export_to_optuna(study, str(copied / name), replace=True)
    after = optuna.load_study(study_name="sample", storage=opened(copied / name)).trials
    assert [trial.params for trial in after] == [trial.params for trial in before]
    assert len(optuna.get_all_study_names(opened(copied / name))) == 1


def test_another_study_is_put_beside_what_a_storage_holds(copied):
    (copied / "sample.study").rename(copied / "other.study")
    with Study.open(copied / "other.study") as study:
        export_to_optuna(study, f"sqlite:///{copied / 'sample.db'}")
    assert sorted(optuna.get_all_study_names(opened(copied / "sample.db"))) == ["other", "sample"]


def test_a_study_of_that_name_that_is_not_ours_is_never_replaced(copied):
    path = copied / "own.db"
    optuna.create_study(study_name="sample", storage=opened(path))
    with Study.open(copied / "sample.study") as study:
        refused(
            lambda: export_to_optuna(study, str(path), replace=True), "that ponas did not export"
        )
    assert optuna.load_study(study_name="sample", storage=opened(path)).trials == []


def test_only_files_of_optunas_are_written_into(copied, study):
    with closing(sqlite3.connect(copied / "foreign.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    (copied / "text.db").write_text("a text")
    (copied / "empty.db").touch()
    for name, said in {
        "foreign.db": "no storage of Optuna's",
        "text.db": "no storage of Optuna's",
        "empty.db": "no storage of Optuna's",
        "sample.study": "is a study of ponas",
    }.items():
        before = (copied / name).read_bytes()
        refused(lambda name=name: export_to_optuna(study, str(copied / name), replace=True), said)
        assert (copied / name).read_bytes() == before


@pytest.mark.parametrize("name", ["new.db", "new.journal"])
def test_a_new_file_is_there_whole_or_not_at_all(copied, study, name):
    kept = sorted(each.name for each in copied.iterdir())

    def break_off(done):
        assert not (copied / name).exists()
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_to_optuna(study, str(copied / name), progress=break_off)
    assert sorted(each.name for each in copied.iterdir()) == kept
    told = []
    export_to_optuna(study, str(copied / name), progress=told.append)
    assert told == list(range(1, 9))
    assert sorted(each.name for each in copied.iterdir()) == sorted([*kept, name])


def test_an_export_into_an_older_file_that_breaks_off_leaves_no_half_study(copied):
    (copied / "sample.study").rename(copied / "other.study")

    def break_off(_):
        raise KeyboardInterrupt

    with Study.open(copied / "other.study") as study, pytest.raises(KeyboardInterrupt):
        export_to_optuna(study, str(copied / "sample.db"), progress=break_off)
    assert optuna.get_all_study_names(opened(copied / "sample.db")) == ["sample"]


@pytest.mark.parametrize("url", ["nodatabase://localhost/x", "://"])
def test_an_address_that_is_no_database_is_one_line(study, url):
    refused(lambda: export_to_optuna(study, url), f"'{url}' is no database that SQLAlchemy knows")


def test_a_database_that_cannot_be_opened_is_one_line(study, tmp_path):
    url = f"sqlite:///{tmp_path}?timeout=1"  # a folder
    refused(lambda: export_to_optuna(study, url), "cannot be written", StudyError)


def test_without_optuna_the_extra_is_named(study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    refused(lambda: export_to_optuna(study, str(tmp_path / "a.db")), r"'ponas\[optuna\]'")


def test_optunas_own_messages_are_as_loud_as_before(study, tmp_path, capfd):
    before = optuna.logging.get_verbosity()
    export_to_optuna(study, str(tmp_path / "a.journal"))
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


def test_the_address_of_a_storage_is_what_the_dashboard_wants(made):
    for name, start in {"sample.db": "sqlite:///", "sample.journal": ""}.items():
        assert address(str(made / name)) == f"{start}{made / name}"
    assert address("postgresql://host/db") == "postgresql://host/db"
