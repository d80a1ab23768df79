"""Where a command is to write: looked at before the work is done that would be written there."""

from __future__ import annotations

import os
from pathlib import Path

from kws.errors import InputError
from search.schema import APPLICATION_ID


def check_file(path: Path, option: str, *, reads: Path | None = None) -> None:
    """Raises InputError where no file can be written at ``path``, which ``option`` names.

    A file that is there already may be replaced; a folder, a device or a pipe may not, nor a study
    or ``reads``: what the command reads.
    """
    if path.is_dir():
        raise InputError(f"{option}: {path} is a folder; name a file")
    if path.exists() and not path.is_file():
        raise InputError(f"{option}: {path} is a device or a pipe; name a file")
    if path.exists() and (is_study(path) or (reads is not None and _same(path, reads))):
        what = "a study" if is_study(path) else "what is read here"
        raise InputError(f"{option}: {path} is {what} and would be lost; name another file")
    _check_parent(path, option)


def check_folder(path: Path, option: str) -> None:
    """Raises InputError where no folder can be at ``path``, which ``option`` names."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{option}: {path} is a file; name a folder")
    _check_parent(path / "in it", option)


def is_study(path: Path) -> bool:
    """Whether there is a study's file at ``path``, by its first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(_APPLICATION_ID.stop)
    except OSError:
        return False
    return start[_APPLICATION_ID] == APPLICATION_ID.to_bytes(4)


_APPLICATION_ID = slice(68, 72)
"""Where an SQLite file has its application's mark. Source: the file format of SQLite."""


def _same(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)


def _check_parent(path: Path, option: str) -> None:
    """Folders that are missing are made later; the nearest that is there must take them."""
    for folder in path.absolute().parents:
        if folder.is_dir():
            if not os.access(folder, os.W_OK | os.X_OK):
                raise InputError(
                    f"{option}: nothing can be written in {folder}; name another place"
                )
            return
        if folder.exists():
            raise InputError(
                f"{option}: {folder} is a file, so nothing can be below it; name another place"
            )
