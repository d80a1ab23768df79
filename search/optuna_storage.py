"""Optuna's storages: which one a name means, and a new file that is there whole or not at all."""

from __future__ import annotations

import os
import sqlite3
import uuid
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from search import schema
from search.errors import InputError, StudyError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

JOURNAL_SUFFIXES = (".journal", ".jsonl", ".log")
"""Names of new files that become a journal of Optuna's; all others become an SQLite database."""

_Kind = Literal["journal", "sqlite"]
_SQLITE = "sqlite:///"
_SQLITE_START = b"SQLite format 3\x00"
"""Source: the file format of SQLite, the first 16 bytes."""
_APPLICATION_ID = slice(68, 72)
"""Where the application's mark stands in such a file. Source: the same."""
_TABLES = {"studies", "trials", "version_info"}
"""Some that a database of Optuna's has."""
_JOURNAL_START = b'{"op_code"'


@contextmanager
def writable(name: str) -> Iterator[BaseStorage]:
    """One of Optuna's storages while the block writes into it.

    Args:
        name: A URL as SQLAlchemy knows them; or a file, which may exist. One that does not is
            made beside its place and put there when the block ends well.

    Raises:
        InputError: Optuna is not installed, or the file is something else.
        StudyError: The storage cannot be opened or written.

    """
    _check_installed()
    file = _file(name)
    with _translated(name):
        if file is None:
            with _closing(_database(name)) as storage:
                yield storage
        elif file.exists():
            with _closing(_opened(file, _kind(file))) as storage:
                yield storage
        else:
            with _new(file) as storage:
                yield storage


def address(name: str) -> str:
    """What optuna-dashboard is to be given to open the storage."""
    file = _file(name)
    if file is None or _kind(file) == "journal":
        return name
    return f"{_SQLITE}{file}"


@contextmanager
def _new(file: Path) -> Iterator[BaseStorage]:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{file} cannot be made: {error.strerror}; give another file") from None
    unfinished = file.with_name(f"{file.name}.{uuid.uuid4().hex}.part")
    kind: _Kind = "journal" if file.suffix in JOURNAL_SUFFIXES else "sqlite"
    try:
        with _closing(_opened(unfinished, kind)) as storage:
            _hurry(storage)
            yield storage
        _sync(unfinished)
        unfinished.replace(file)
        _sync(file.parent)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _closing(storage: BaseStorage) -> Iterator[BaseStorage]:
    try:
        yield storage
    finally:
        storage.remove_session()
        if (engine := getattr(storage, "engine", None)) is not None:
            engine.dispose()


def _hurry(storage: BaseStorage) -> None:
    """Lets a database be synced when it is whole, and not with every trial."""
    from optuna.storages import RDBStorage
    from sqlalchemy import event

    if isinstance(storage, RDBStorage):
        event.listen(
            storage.engine, "connect", lambda each, _: each.execute("PRAGMA synchronous = OFF")
        )
        storage.engine.dispose()


def _opened(file: Path, kind: _Kind) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if kind == "sqlite":
        return _database(f"{_SQLITE}{file}")
    return JournalStorage(JournalFileBackend(str(file)))


def _database(url: str) -> BaseStorage:
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        return RDBStorage(url)
    except (ArgumentError, NoSuchModuleError, ValueError, ImportError):
        raise InputError(
            f"'{url}' is no database that SQLAlchemy knows and has a driver for; give a file, or a "
            "URL such as mysql+pymysql://user@host/name with the driver's package installed"
        ) from None


def _file(name: str) -> Path | None:
    """The file that a storage is; None where it is a server's, or has options of its own."""
    if name.startswith(_SQLITE) and "?" not in name:
        return Path(name.removeprefix(_SQLITE))
    return None if "://" in name else Path(name)


def _kind(file: Path) -> _Kind:
    """InputError where the file is neither, or a study of ours."""
    if file.is_dir():
        raise InputError(f"{file} is a folder; give a file, or a new one")
    with file.open("rb") as stream:
        start = stream.read(_APPLICATION_ID.stop)
    if start.startswith(_JOURNAL_START):
        return "journal"
    if start.startswith(_SQLITE_START) and _tables(file) >= _TABLES:
        return "sqlite"
    is_ours = int.from_bytes(start[_APPLICATION_ID], "big") == schema.APPLICATION_ID
    what = "a study of ponas" if is_ours else "no storage of Optuna's"
    raise InputError(f"{file} is {what}; give another file, or a new one")


def _tables(file: Path) -> set[str]:
    address = f"{file.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return {name for (name,) in rows}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_installed() -> None:
    try:
        import optuna
    except ImportError as error:
        raise InputError(
            f"optuna cannot be imported ({error}); install it with: pip install 'ponas[optuna]'"
        ) from error
    del optuna


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Optuna's and SQLAlchemy's errors as one line, and none of their notes on what they do."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    except (
        optuna.exceptions.OptunaError, SQLAlchemyError, sqlite3.Error, ImportError, OSError
    ) as error:  # fmt: skip
        [line, *_] = str(error).splitlines() or [type(error).__name__]
        raise StudyError(
            f"Optuna's storage {name} cannot be written ({line}); "
            "see that it is there, writable and of this version of Optuna"
        ) from error
    finally:
        optuna.logging.set_verbosity(verbosity)
