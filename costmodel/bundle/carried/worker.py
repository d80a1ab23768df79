"""The process that holds the device, as the one that asks it sees it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

from .log import Record, die

STARTING_SECONDS = 300.0
"""Until TVM must have been imported and the device reached."""
GRACE_SECONDS = 10.0
"""Beyond a kernel's time limit, until the process counts as hung."""


class Worker:
    """The process that holds the device: it may crash or hang without harm."""

    def __init__(self, folder: Path, device: str) -> None:
        """``folder``: the bundle's."""
        self._folder = folder
        self._device = device
        self._process: subprocess.Popen[bytes] | None = None
        self._said = b""

    def start(self) -> None:
        """Starts it; ends everything where the device cannot be used."""
        self._said = b""
        words = [sys.executable, str(self._folder / "run.py"), "--serve", "--device"]
        self._process = subprocess.Popen(
            [*words, self._device], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        answer = self._line(STARTING_SECONDS)
        if "ready" not in answer:
            self.stop()
            die(f"the device {self._device} cannot be used: {answer['error']}")

    def ask(self, request: Record, timeout_s: float) -> Record:
        """A timing, or why there is none (``error``)."""
        pipe = self._process and self._process.stdin
        try:
            if not pipe:
                raise OSError
            pipe.write(json.dumps(request).encode() + b"\n")
            pipe.flush()
        except OSError:
            return {"error": "the measuring process has ended"}
        return self._line(timeout_s + GRACE_SECONDS)

    def stop(self) -> None:
        """Ends it, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _line(self, timeout_s: float) -> Record:
        process = self._process
        if process is None or process.stdout is None:
            return {"error": "the measuring process does not run"}
        until = time.monotonic() + timeout_s
        pipe = process.stdout.fileno()
        while b"\n" not in self._said:
            if not select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
                return {"error": f"it gave no answer in {timeout_s:g} s"}
            more = os.read(pipe, 65536)
            if not more:
                return {"error": f"it crashed (status {process.wait()})"}
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return dict(json.loads(line))
