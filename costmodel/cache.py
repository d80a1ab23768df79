"""Predictions that outlive a process, shared by all processes of a user.

A kernel's prediction depends on the kernel, the target's facts, the fitted model and our own
code: all four are in the key, so that nothing here can be stale. What cannot be read or written
is as if it were not there: a cache is never a reason to fail.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

_BUSY_SECONDS = 5.0
"""How long a writer waits for another."""
_KEPT = 200_000
"""Predictions kept, about 60 MB; the oldest go first."""


class PredictionCache:
    """Text by key in one SQLite file (write-ahead log: readers never wait)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = self._open()

    def get(self, key: str) -> str | None:
        """What was put under ``key``, by whichever process."""
        if self._connection is None:
            return None
        with suppress(sqlite3.Error):
            row = self._connection.execute(
                "SELECT value FROM predictions WHERE key = ?", (key,)
            ).fetchone()
            return str(row[0]) if row else None
        return None

    def put(self, key: str, value: str) -> None:
        """Keeps ``value``; the last one wins."""
        if self._connection is None:
            return
        with suppress(sqlite3.Error), self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO predictions VALUES (?, ?)", (key, value)
            )

    def close(self) -> None:
        """Closes the file."""
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> sqlite3.Connection | None:
        """The open file, made again where it is damaged; None where there can be none."""
        for _ in range(2):
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(
                    self._path, timeout=_BUSY_SECONDS, check_same_thread=False
                )
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = OFF")
                with connection:
                    connection.execute(
                        "CREATE TABLE IF NOT EXISTS predictions"
                        " (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
                    )
                    connection.execute(
                        "DELETE FROM predictions WHERE rowid <= "
                        "(SELECT max(rowid) FROM predictions) - ?",
                        (_KEPT,),
                    )
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    return None  # locked for long, a full disk, no permission: not damaged
                for path in self._path.parent.glob(f"{self._path.name}*"):
                    path.unlink(missing_ok=True)
            except OSError:
                return None
            else:
                return connection
        return None


def key_of(*parts: str) -> str:
    """A key from texts: equal parts in equal order have equal keys."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


@cache
def code_digest() -> str:
    """Short name of this package's code and the TVM below it."""
    digest = hashlib.sha256(version("apache-tvm").encode())
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
