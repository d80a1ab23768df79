"""The study file: its tables, version and lock, and what SQLite's errors mean to a person."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from search.errors import InputError, StudyError

APPLICATION_ID = 0x504F4E53
"""Marks an SQLite file as a study: "PONS"."""

VERSION = 2
"""Of the tables below; raised with every change to them, which `_MIGRATIONS` then makes to a file
of the version before."""

_TABLES = """
CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE objective (
    position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, unit TEXT NOT NULL,
    needs_training INTEGER NOT NULL, origin TEXT NOT NULL, direction TEXT NOT NULL,
    upper_bound REAL
) STRICT;
CREATE TABLE phase (
    number INTEGER PRIMARY KEY, planned INTEGER NOT NULL, started TEXT NOT NULL, finished TEXT,
    kind TEXT NOT NULL DEFAULT 'architecture', held TEXT NOT NULL DEFAULT '{}', report TEXT
) STRICT;
CREATE TABLE frozen (
    position INTEGER PRIMARY KEY, phase INTEGER NOT NULL REFERENCES phase,
    parameter TEXT NOT NULL UNIQUE, value TEXT NOT NULL,
    count INTEGER NOT NULL, front INTEGER NOT NULL, runner_up INTEGER NOT NULL, chance REAL
) STRICT;
CREATE TABLE trial (
    number INTEGER PRIMARY KEY, phase INTEGER NOT NULL REFERENCES phase,
    candidate TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL
        CHECK (state IN ('running', 'finished', 'infeasible', 'stopped', 'failed')),
    seed INTEGER NOT NULL, started TEXT NOT NULL, finished TEXT, host TEXT NOT NULL,
    error TEXT, traceback TEXT, attempts INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE TABLE value (
    trial INTEGER NOT NULL REFERENCES trial, objective TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (trial, objective)
) STRICT, WITHOUT ROWID;
CREATE TABLE curve (
    trial INTEGER NOT NULL REFERENCES trial, stage TEXT NOT NULL, step INTEGER NOT NULL,
    value REAL, PRIMARY KEY (trial, stage, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE rung (
    trial INTEGER NOT NULL REFERENCES trial, share REAL NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (trial, share)
) STRICT, WITHOUT ROWID;
CREATE TABLE finetuned (
    trial INTEGER PRIMARY KEY REFERENCES trial,
    state TEXT NOT NULL CHECK (state IN ('finished', 'failed')),
    "values" TEXT NOT NULL, finished TEXT NOT NULL, host TEXT NOT NULL,
    error TEXT, traceback TEXT
) STRICT;
"""

_MIGRATIONS = {
    # To 2: trainings that stop early, phases of their own kind, what chance has to do with it.
    # A study of version 1 goes on as it was begun: one candidate drawn for each that is trained,
    # and a parameter frozen whatever its margin.
    1: (
        """CREATE TABLE trial_2 (
            number INTEGER PRIMARY KEY, phase INTEGER NOT NULL REFERENCES phase,
            candidate TEXT NOT NULL UNIQUE,
            state TEXT NOT NULL
                CHECK (state IN ('running', 'finished', 'infeasible', 'stopped', 'failed')),
            seed INTEGER NOT NULL, started TEXT NOT NULL, finished TEXT, host TEXT NOT NULL,
            error TEXT, traceback TEXT, attempts INTEGER NOT NULL DEFAULT 1
        ) STRICT""",
        "INSERT INTO trial_2 SELECT number, phase, candidate, state, seed, started, finished, "
        "host, error, traceback, 1 FROM trial",
        "DROP TABLE trial",
        "ALTER TABLE trial_2 RENAME TO trial",
        """CREATE TABLE rung (
            trial INTEGER NOT NULL REFERENCES trial, share REAL NOT NULL, value REAL NOT NULL,
            PRIMARY KEY (trial, share)
        ) STRICT, WITHOUT ROWID""",
        "ALTER TABLE phase ADD COLUMN kind TEXT NOT NULL DEFAULT 'architecture'",
        "ALTER TABLE phase ADD COLUMN held TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE phase ADD COLUMN report TEXT",
        "ALTER TABLE frozen ADD COLUMN chance REAL",
        "UPDATE study SET value = json_set(value, '$.pool', 1, '$.freeze_always', json('true')) "
        "WHERE key = 'settings'",
    ),
}
"""By version: what makes a file of it one of the next."""


def create_tables(path: Path) -> None:
    """Makes an empty study file at ``path``, which must not exist."""
    with closing(_connect(path, "rwc")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(
            f"BEGIN; {_TABLES} PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {VERSION}; COMMIT;"
        )


def connect(path: Path, *, writing: bool) -> sqlite3.Connection:
    """An open study file of this version.

    One of an older version is migrated: in place when it is opened for writing, whole or not at
    all; otherwise in a copy of it in memory, as it was when it was opened.

    Raises InputError when there is none at ``path``, or one of a newer version.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; {_CURE}")
    if not path.is_file():
        raise InputError(f"no study at {path}; start one with: ponas search --study {path}")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; {_CURE}")
    with translated(path):
        connection = _connect(path, "rw" if writing else "ro")
        try:
            version = _version(connection, path)
            if writing:
                connection.execute("PRAGMA journal_mode = WAL")
            elif version < VERSION:
                connection = _copied_to_memory(connection)
            if version < VERSION:
                _migrate(connection)
            if writing:
                connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def locked(path: Path) -> FileLock:
    """The study's lock, held; InputError when another process holds it."""
    lock = FileLock(path.with_name(path.name + ".lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        if not Path(lock.lock_file).exists():
            raise InputError(
                f"no study can be written at {path}: its folder takes no file; give another path"
            ) from None
        raise InputError(
            f"study {path} is in use by another process; "
            "wait for that search to end, stop it, or give another path"
        ) from None
    except OSError as error:
        raise InputError(
            f"no study can be written at {path}: {error.strerror}; give another path"
        ) from error
    return lock


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into ours: one line, with what to do about it."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            kept = f"study {path} is kept as it was" if path.exists() else f"no study is at {path}"
            again = "resume the search" if path.exists() else "run it again"
            raise StudyError(f"disk is full, {kept}: make room there and {again}") from error
        if code == sqlite3.SQLITE_NOTADB:
            raise InputError(f"{path} is no study; {_CURE}") from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise InputError(
                f"{path} is damaged ({error}); bring back a copy of it, or start a new study at "
                "another path"
            ) from error
        if code == sqlite3.SQLITE_BUSY:
            raise StudyError(
                f"study {path} is locked by another program; close it and try again"
            ) from error
        raise StudyError(
            f"study {path} cannot be used ({error}); see that its folder is there and writable"
        ) from error


def sync_folder(folder: Path) -> None:
    """Makes a rename in ``folder`` last through a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_CURE = "give the path of a study, or of a file that does not exist to start a new one"


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.resolve().as_uri()}?mode={mode}"
    journal = path.with_name(f"{path.name}-wal")
    if mode == "ro" and not journal.exists() and not os.access(path.parent, os.W_OK):
        address += "&immutable=1"  # nobody can write there, and SQLite could not make its own files
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=10)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of a study file; InputError where it is none that can be read here."""
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise InputError(f"{path} is an SQLite file but no study; {_CURE}")
    if version != VERSION and version not in _MIGRATIONS:
        which = "a newer" if version > VERSION else "an unknown older"
        raise InputError(
            f"study {path} is of {which} version ({version}, here {VERSION}); "
            "use the ponas that made it, or start a new study at another path"
        )
    return int(version)


def _copied_to_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The same tables in memory; closes the file."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    with closing(connection):
        connection.backup(copy)
    return copy


def _migrate(connection: sqlite3.Connection) -> None:
    """Brings the tables to this version in one transaction.

    Foreign keys must not be enforced meanwhile (they are not when a connection is new): a table
    that others refer to can only be changed by putting another in its place. They are checked
    before the end instead. Source: the procedure for schema changes in SQLite's documentation of
    ALTER TABLE.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again now that no other process can write.
        [version] = connection.execute("PRAGMA user_version").fetchone()
        for older in range(version, VERSION):
            for statement in _MIGRATIONS[older]:
                connection.execute(statement)
        if connection.execute("PRAGMA foreign_key_check").fetchall():
            raise sqlite3.IntegrityError("rows in it refer to others that are not there")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
