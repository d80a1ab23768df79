"""Files of an older version: read as they are, migrated when they are written, whole or not."""

import contextlib
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from search import schema
from search.algorithm import run
from search.errors import InputError, StudyError
from search.objective import Objective
from search.recorder import StudyRecorder
from search.study import Study
from search.work import Task

VERSION_1 = Path(__file__).parent / "data" / "version_1.sql"


@pytest.fixture
def old(tmp_path):
    """A study of version 1, killed in its third phase."""
    path = tmp_path / "old.study"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1.read_text(encoding="utf-8"))
    return path


def tables(path):
    """Every table by name: its columns, and its rows."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {
            name: (
                connection.execute(f"PRAGMA table_xinfo({name})").fetchall(),
                connection.execute(f"SELECT * FROM {name}").fetchall(),  # noqa: S608
            )
            for (name,) in names
        }


def version(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def everything(study):
    numbers = [trial.number for trial in study.trials()]
    return (
        study.space, study.settings, study.start, study.metadata, study.objectives,
        study.constraints, study.current_space, study.trials(), study.phases(), study.front(),
        study.finetuned(), [study.curve(number) for number in numbers], study.rungs(),
        study.elapsed_minutes, study.annotation("test"),
    )  # fmt: skip


def test_an_old_study_is_read_and_its_file_stays_as_it_is(old):
    before = old.read_bytes()
    old.chmod(stat.S_IREAD)
    with Study.open(old) as study:
        states = [trial.state for trial in study.trials()]
        assert {state: states.count(state) for state in set(states)} == {
            "finished": 10, "infeasible": 3, "failed": 3, "running": 1,
        }  # fmt: skip
        assert study.trials()[2].error == "ValueError: loss is not a number at step 20"
        assert {trial.attempts for trial in study.trials()} == {1}
        assert [trial.number for trial in study.front()] == [6, 14, 7, 15, 11, 12, 0]
        first, second, third = study.phases()
        assert [f.parameter for f in (*first.frozen, *second.frozen)] == ["pool", "kernel"]
        assert (first.frozen[0].count, first.frozen[0].front, first.frozen[0].chance) == (
            4,
            5,
            None,
        )
        assert (third.finished, third.kind, third.held, third.report) == (
            None, "architecture", {}, (),
        )  # fmt: skip
        assert study.current_space.frozen == {"pool": "max", "kernel": 5}
        assert study.curve(0, "finetune") == [(50, 0.01)]
        assert study.rungs() == {}
        assert study.annotation("test") == {"0": 1.5}
    assert old.read_bytes() == before
    assert [each.name for each in old.parent.iterdir()] == [old.name]


def test_an_old_study_opened_for_writing_is_migrated_and_holds_the_same(old):
    with Study.open(old) as study:
        seen = everything(study)
    with StudyRecorder.open(old) as study:
        assert version(old) == schema.VERSION == 2
        assert everything(study) == seen
    with Study.open(old) as study:
        assert everything(study) == seen


def test_a_migrated_file_has_the_tables_of_a_new_one(old, tmp_path):
    schema.connect(old, writing=True).close()
    schema.create_tables(tmp_path / "new.study")
    migrated, new = tables(old), tables(tmp_path / "new.study")
    assert {name: columns for name, (columns, _) in migrated.items()} == {
        name: columns for name, (columns, _) in new.items()
    }


def test_a_migration_keeps_every_row_of_every_table(old):
    before = tables(old)
    schema.connect(old, writing=True).close()
    after = tables(old)
    for name, (columns, rows) in before.items():
        width = len(columns)
        kept = [row[:width] for row in after[name][1]]
        assert [row for row in kept if row[0] != "settings"] == [
            row for row in rows if row[0] != "settings"
        ]


def test_a_migrated_study_freezes_as_it_did_and_trains_what_it_draws(old):
    with StudyRecorder.open(old) as study:
        assert (study.settings.freeze_always, study.settings.freeze_per_phase) == (True, 1)
        assert (study.settings.pool, study.settings.rungs) == (1, ())
        assert study.settings.seed == 5


def test_a_migrated_study_holds_its_references_and_its_states_to_the_rules(old):
    with contextlib.closing(schema.connect(old, writing=True)) as connection:
        connection.execute("UPDATE trial SET state = 'stopped' WHERE number = 16")
        connection.execute("INSERT INTO rung VALUES (16, 0.25, 0.5)")
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            connection.execute("UPDATE trial SET state = 'lost' WHERE number = 16")
        for table in ("rung", "value"):
            with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
                connection.execute(f"INSERT INTO {table} VALUES (99, 1, 0.5)")  # noqa: S608
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            connection.execute(
                "INSERT INTO trial SELECT 99, phase, candidate, state, seed, started, finished, "
                "host, error, traceback, attempts FROM trial WHERE number = 0"
            )


def test_a_search_goes_on_in_a_migrated_study(old):
    def cost(candidate, _):
        return candidate["kernel"] * candidate["filters"] / 100

    objectives = (
        Objective("cost", "ms", cost, needs_training=False, origin="profile host-cpu 1234"),
        Objective("error", "%", lambda c, _: 60 / c["filters"], needs_training=True),
    )
    with StudyRecorder.open(old) as study:
        study.extend(max_phases=3)
        before = study.trials()
        run(study, Task(objectives, study.constraints))
        after = study.trials()
    assert after[:16] == before[:16]
    assert (after[16].state, after[16].attempts, after[16].seed) == ("finished", 2, 77)
    assert len(after) > 17
    assert all(each.parameters["pool"] == "max" for each in after[17:])


@pytest.mark.parametrize("step", range(len(schema._MIGRATIONS[1])))
def test_a_migration_that_breaks_off_leaves_the_file_as_it_was(old, monkeypatch, step):
    before = tables(old)
    broken = (*schema._MIGRATIONS[1][:step], "INSERT INTO nowhere VALUES (1)")
    monkeypatch.setitem(schema._MIGRATIONS, 1, broken)
    with pytest.raises(StudyError, match="nowhere"):
        StudyRecorder.open(old)
    assert (version(old), tables(old)) == (1, before)
    monkeypatch.undo()
    with StudyRecorder.open(old) as study:
        assert len(study.trials()) == 17


def test_a_migration_on_a_full_disk_is_one_line_and_changes_nothing(old, monkeypatch):
    def connect(path, mode):
        connection = original(path, mode)
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    before, original = tables(old), schema._connect
    monkeypatch.setattr(schema, "_connect", connect)
    with pytest.raises(StudyError, match="disk is full") as caught:
        StudyRecorder.open(old)
    assert "\n" not in str(caught.value)
    assert (version(old), tables(old)) == (1, before)


def test_references_that_lead_nowhere_are_found_before_they_are_carried_over(old):
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("INSERT INTO value VALUES (99, 'cost', 1.0)")
    before = tables(old)
    with pytest.raises(StudyError, match="refer to others that are not there"):
        StudyRecorder.open(old)
    assert (version(old), tables(old)) == (1, before)


@pytest.mark.parametrize("writing", [False, True])
@pytest.mark.parametrize(
    ("number", "said"), [(schema.VERSION + 1, "a newer"), (0, "an unknown older")]
)
def test_a_version_that_is_not_known_is_refused_in_one_line(old, writing, number, said):
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.execute(f"PRAGMA user_version = {number}")
    before = tables(old)
    with pytest.raises(InputError, match=f"is of {said} version.*use the ponas that") as caught:
        schema.connect(old, writing=writing)
    assert "\n" not in str(caught.value)
    assert tables(old) == before


def test_a_copy_of_an_old_study_beside_its_journal_reads_whole(old, tmp_path):
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE trial SET host = 'elsewhere' WHERE number = 0")
        for name in ("old.study", "old.study-wal"):
            shutil.copy(tmp_path / name, tmp_path / f"copy-{name}")
        with Study.open(tmp_path / "copy-old.study") as study:
            assert study.trials()[0].host == "elsewhere"


def test_a_study_in_a_folder_that_takes_no_files_is_read(old, monkeypatch):
    with StudyRecorder.open(old) as study:
        before = everything(study)
    monkeypatch.setattr("os.access", lambda *_: False)
    opened = []
    original = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda a, **k: opened.append(a) or original(a, **k))
    with Study.open(old) as study:
        assert everything(study) == before
    assert opened[0].endswith("?mode=ro&immutable=1")
    assert not old.with_name(f"{old.name}-wal").exists()


def test_what_is_no_study_is_said_by_what_it_is(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello, hello, hello, hello")
    for name, what in (("", "is a folder"), ("empty", "is empty"), ("text", "is no study")):
        with pytest.raises(InputError, match=f"{what}; give the path of a study"):
            Study.open(tmp_path / name)
