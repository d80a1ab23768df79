"""One calibration of a profile at a time: two would time at once and disturb each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from costmodel.errors import InputError
from costmodel.profile import ProfileStore


@contextmanager
def calibrating(store: ProfileStore, name: str) -> Iterator[None]:
    """Holds the profile's lock for the block; the system frees it when the process dies.

    It lies beside the profile's folder, ``NAME.lock``: a calibration that is refused leaves none.

    Raises InputError where another process holds it.
    """
    folder = store.folder(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"profile '{name}' is being calibrated by another process; wait for it to end, or stop "
            "it: what it has measured is kept"
        ) from None
    try:
        yield
    finally:
        lock.release()
