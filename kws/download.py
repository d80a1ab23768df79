"""A large file over HTTP: resumed where it broke off, taken only where size and digest match."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kws.errors import InputError, KwsError, StorageError
from kws.http_part import (
    CURE,
    BrokenOffError,
    ChangedError,
    OnBytes,
    RemoteFile,
    fetch_rest,
    forget,
    forget_version,
    size_of,
)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to bear with a server."""

    silence_s: float = 30.0
    """Without a byte, after which a connection is given up."""

    tries: int = 5
    """In a row that brought less than ``progress_bytes``, after which the download is given up."""

    progress_bytes: int = 1024 * 1024
    pause_s: float = 1.0
    """Before the second try, and twice as long before each further one."""


def download(
    remote: RemoteFile,
    destination: Path,
    *,
    patience: Patience | None = None,
    on_progress: OnBytes | None = None,
) -> None:
    """Fetches a file to ``destination``, which appears when it is complete and verified.

    Until then it is ``destination`` with ``.part``, from which the next call goes on, also from
    another address. A proxy is taken from the environment (``https_proxy``, ``no_proxy``).

    Raises:
        InputError: for an address that is none, has no such file, or has another file.
        KwsError: where the server cannot be reached, or breaks off again and again.
        StorageError: where the file cannot be written; what has come is kept.

    """
    _check_address(remote.url)
    patience = patience or Patience()
    part = destination.with_name(f"{destination.name}.part")
    with alone(part):
        _check_room(part, remote)
        whole = _complete(remote, part, patience, on_progress)
        found = sha256_of(part)
        if found != remote.sha256 and not whole:  # its pieces may be of different files
            forget(part)
            _complete(remote, part, patience, on_progress)
            found = sha256_of(part)
        if found != remote.sha256:
            forget(part)
            raise InputError(
                f"{remote.url} is another file: its SHA-256 is {found}, {remote.sha256} is "
                f"expected; {CURE}"
            )
        part.replace(destination)
        forget_version(part)


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        known = False
    if not known:
        raise InputError(f"'{url}' is no address; http:// and https:// are understood")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hex; InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keeps other processes from fetching to ``path``; InputError where one is at it."""
    from filelock import FileLock, Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=0):
            yield
    except Timeout:
        raise InputError(f"another process is fetching {path.name}; wait for it to end") from None


def _check_room(part: Path, remote: RemoteFile) -> None:
    missing = remote.size_bytes - size_of(part)
    free = shutil.disk_usage(part.parent).free
    if free < missing:
        raise StorageError(
            f"{part.parent} has room for {free / 1e9:.1f} GB, and {missing / 1e9:.1f} GB are "
            "missing; make some room there, what has come is kept"
        )


def _complete(
    remote: RemoteFile, part: Path, patience: Patience, on_progress: OnBytes | None
) -> bool:
    """Fetches what is missing in as many tries as that takes; whether one brought all of it."""
    failures = changes = 0
    if size_of(part) > remote.size_bytes:
        forget(part)
    whole = False
    while size_of(part) < remote.size_bytes:
        before = size_of(part)
        try:
            fetch_rest(remote, part, silence_s=patience.silence_s, on_progress=on_progress)
            whole = before == 0
        except (BrokenOffError, ChangedError) as reason:
            if isinstance(reason, ChangedError):
                changes += 1
                forget(part)
            grown = size_of(part) - before
            failures = 1 if grown >= patience.progress_bytes else failures + 1
            if max(failures, changes) >= patience.tries:
                raise KwsError(
                    f"{remote.url}: {reason} ({size_of(part):,} of {remote.size_bytes:,} bytes are "
                    f"here, {patience.tries} tries failed); look at the network or its proxy and "
                    f"run it again, it goes on from there, or {CURE}"
                ) from None
            time.sleep(patience.pause_s * 2 ** (failures - 1))
    return whole
