"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from boltons.fileutils import atomic_save

from kws.errors import InputError, StorageError


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes its name, replacing an older one, when the block ends well.

    Raises:
        StorageError: where it cannot be written; the older file is then untouched.

    """
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    with _storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with atomic_save(str(path), part_file=partial.name) as file:
                yield file
        finally:
            with suppress(OSError):
                partial.unlink()  # where the disk was full as it was closed


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` that becomes ``path`` when the block ends well.

    Where another process made ``path`` first, its folder stays and this one is dropped.

    Raises:
        StorageError: where it cannot be written; nothing of it is left then.

    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with _storage_errors(path):
            partial.mkdir(parents=True)
            yield partial
            if not path.exists():
                partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_json(path: Path, document: object) -> None:
    """Writes one JSON document, whole or not at all."""
    with new_file(path) as file:
        file.write(json.dumps(document, indent=1, ensure_ascii=False).encode())


def read_json(path: Path) -> Any:  # noqa: ANN401 (the caller knows its schema)
    """The JSON document in ``path``; InputError, naming the file, where it is not one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({error}); delete it to have it made again") from None


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Writes an array as ``.npy``, whole or not at all."""
    with new_file(path) as file:
        np.save(file, array, allow_pickle=False)


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        cure = "free some room there or name another place" if is_full else "name another place"
        raise StorageError(f"cannot write {path}: {error.strerror or error}; {cure}") from error
