"""Whether the user's folders can be written, what is in them and how much more fits."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tools.finding import Finding
from tools.places import HOME_VARIABLE, cache_dir, data_dir

LEAST_FREE_GB = 5.0
"""Speech Commands, its archive and its features take some 4 GB."""
COUNTED_SECONDS = 1.0
"""After which counting what lies in a folder ends: it may hold a hundred thousand clips."""


def check_folders() -> Iterator[Finding]:
    """The data folder and the cache."""
    yield check_folder("data folder", data_dir(), within=cache_dir())
    yield check_folder("cache", cache_dir())


def check_folder(topic: str, folder: Path, within: Path | None = None) -> Finding:
    """One folder, which need not be there yet; what lies in ``within`` is not counted."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Finding(
            "broken", topic, f"{folder} cannot be written ({error.strerror})",
            f"set its rights, or name another place: export {HOME_VARIABLE}=FOLDER",
        )  # fmt: skip
    free = shutil.disk_usage(there).free / 1e9
    size, whole = _size(folder, within)
    holds = f"{'' if whole else 'more than '}{_amount(size)}"
    text = f"{folder}: {holds}, {free:.0f} GB free"
    if free < LEAST_FREE_GB:
        cure = f"make room, or name another place: export {HOME_VARIABLE}=FOLDER"
        return Finding("missing", topic, text, cure)
    return Finding("fine", topic, text)


def _size(folder: Path, within: Path | None) -> tuple[int, bool]:
    """Bytes of the files below a folder, and whether there was time to count them all."""
    until, size = time.monotonic() + COUNTED_SECONDS, 0
    for where, folders, files in os.walk(folder):
        if time.monotonic() > until:
            return size, False
        folders[:] = [name for name in folders if Path(where, name) != within]
        for name in files:
            try:
                size += Path(where, name).lstat().st_size
            except OSError:
                continue  # it has just been removed
    return size, True


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
