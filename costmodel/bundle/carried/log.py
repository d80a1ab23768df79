"""The results on the device: what is in them and what is added; and what people are told."""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

FILES = ("/proc/cpuinfo", "/proc/loadavg", "/proc/meminfo", "/proc/version")
NVIDIA_SMI = ("nvidia-smi", "-q")

Record = dict[str, Any]
"""A step's outcome: step, batch, round, watch, and timing, or kernel and error."""


class Log:
    """The results: what is in them and what is added."""

    def __init__(self, path: Path, manifest: Path) -> None:
        self.path = path
        header = manifest.read_text(encoding="utf-8")
        self.manifest: Record = json.loads(header)
        self.records: list[Record] = []
        mine = f'{{"bundle":"{self.manifest["bundle"]}",'
        self._file = path.open("a", encoding="utf-8")
        self._hold()
        text = path.read_text(encoding="utf-8", errors="replace")
        first, feed, rest = text.partition("\n")
        if first and not first.startswith(mine):
            die(f"{path} is of another bundle; give another file: run.py RESULTS")
        if not feed:  # none, or it was cut off within the first line
            path.write_text(header, encoding="utf-8")
        self.write("")  # after a line that was cut off
        for line in rest.split("\n")[:-1]:
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict) and "step" in record:
                    self.records.append(record)

    def _hold(self) -> None:
        """Keeps the file from a second run: the times of both would be mixed, and disturbed."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            die(f"{self.path} is being written by another run; wait for it to end, or stop it")
        except OSError:  # a file system that knows no locks
            return

    def add(self, record: Record) -> None:
        """Keeps the outcome of a step."""
        self.records.append(record)
        self.write(json.dumps(record))

    def write(self, line: str) -> None:
        """Appends a line; it is on its way to the disk when this returns."""
        self._file.write(f"{line}\n")
        self._file.flush()

    def facts(self, moment: str) -> None:
        """Keeps what the machine says of itself."""
        self.write(json.dumps({"session": moment}))
        for name in FILES:
            with contextlib.suppress(OSError):
                text = Path(name).read_text(errors="replace")
                self.write(json.dumps({"path": name, "text": text}))
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(  # noqa: PLW1510 - what it has said is kept
                NVIDIA_SMI, capture_output=True, text=True, errors="replace", timeout=60
            )
            self.write(json.dumps({"path": "nvidia-smi", "text": done.stdout}))


def say(text: str) -> None:
    """Tells the person who started this."""
    sys.stderr.write(f"{text}\n")


def die(text: str) -> NoReturn:
    """Ends everything with one line."""
    sys.exit(f"ponas: {text}")
