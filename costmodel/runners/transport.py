"""How a static program gets to a device and is started there."""

from __future__ import annotations

import errno
import os
import queue
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from costmodel.errors import DeviceError

_LINE_BYTES = 1 << 20
"""Longest line that is read in one piece; `files` writes some 400 KB at most."""
_KEPT_BYTES = 8192
"""Of what a program or its command says on standard error: the end."""
_MOST_LINES = 100_000
"""Then what a program says is not listened to any more."""
_NOISE_LINES = 1000
"""Lines that are no answer, until no answer is expected any more."""
_FOREIGN = (
    "; it is for another processor: start it on that device, or by an emulator such as "
    "qemu-arm-static, or take a profile of this machine's processor"
)
_OWN = "ponas error: "
"""What the program's own messages begin with; see `program.c`."""


class TransportError(DeviceError):
    """The device cannot be reached, or does not take what it is sent."""

    def __init__(self, line: str, *, lasting: bool = False) -> None:
        """``lasting``: trying again without doing something about it is of no use."""
        super().__init__(line)
        self.lasting = lasting


class Started:
    """A process here that stands for a program on the device: its lines as they come."""

    def __init__(self, words: Sequence[str], *, keep_input: bool = False) -> None:
        """``keep_input``: standard input is a pipe that stays open until `end_input`, else empty.

        Raises TransportError where ``words`` cannot be started.
        """
        try:
            self._process = subprocess.Popen(
                list(words),
                stdin=subprocess.PIPE if keep_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # ctrl-C is ours to handle
            )
        except OSError as error:
            cure = _FOREIGN if error.errno == errno.ENOEXEC else ""
            raise TransportError(
                f"cannot start {words[0]}: {error.strerror}{cure}", lasting=True
            ) from error
        self._lines: queue.SimpleQueue[tuple[str, float] | None] = queue.SimpleQueue()
        self._errors = b""
        self._readers = [
            threading.Thread(target=reader, daemon=True)
            for reader in (self._read_lines, self._read_errors)
        ]
        for reader in self._readers:
            reader.start()

    def line(self, until: float) -> tuple[str, float] | None:
        """The next line and when it came; None where there are no more.

        ``until`` and when: seconds of `time.monotonic`. Raises TimeoutError after ``until``.
        """
        if time.monotonic() > until:
            raise TimeoutError
        try:
            line = self._lines.get(timeout=max(until - time.monotonic(), 0))
        except queue.Empty:
            raise TimeoutError from None
        if line is None:
            self._lines.put(None)  # for whoever asks again
        return line

    def answer(self, until: float) -> tuple[str | None, float, str]:
        """The next line that may be JSON, when it came, and the last one before it that is not.

        Emulators and simulators have things to say, too. The line is None at the end, or where
        nothing else is said. See `line`.
        """
        noise = ""
        for _ in range(_NOISE_LINES):
            found = self.line(until)
            if found is None:
                break
            if found[0].startswith("{"):
                return *found, noise
            noise = found[0]
        return None, time.monotonic(), noise

    def finish(self, timeout_s: float) -> tuple[int | None, list[str]]:
        """Status and lines of what ends by itself; where it does not, it is killed: None."""
        until, lines = time.monotonic() + timeout_s, []
        try:
            while found := self.line(until):
                lines.append(found[0])
            return self.wait(max(until - time.monotonic(), 0)), lines
        except TimeoutError:
            return None, lines
        finally:
            self.kill()

    def wait(self, timeout_s: float) -> int | None:
        """The status of the process; None where it has not ended by then."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_s)
        return None

    def end_input(self) -> None:
        """Closes the pipe to its standard input."""
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()

    def kill(self) -> None:
        """Ends it and what it has started here."""
        if not self.ended:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.end_input()
        for reader, pipe in zip(
            self._readers, (self._process.stdout, self._process.stderr), strict=True
        ):
            reader.join(1)  # it ends unless something that got away holds the pipe
            if pipe and not reader.is_alive():
                pipe.close()

    @property
    def ended(self) -> bool:
        """Whether the process is over."""
        return self._process.poll() is not None

    @property
    def errors(self) -> str:
        """The end of what it has said on standard error."""
        if self.ended:
            self._readers[1].join(1)
        return self._errors.decode(errors="replace").strip()

    @property
    def complaint(self) -> str | None:
        """The program's own message of why it ended."""
        lines = [line for line in self.errors.splitlines() if line.startswith(_OWN)]
        return lines[-1].removeprefix(_OWN) if lines else None

    @property
    def reason(self) -> str:
        """Why it ended, in one line."""
        if self.complaint:
            return self.complaint
        status = self._process.poll()
        if status is None:
            return "it has not ended"
        number = -status if status < 0 else status - 128  # a shell says 128 and the signal
        if number in {int(s) for s in signal.Signals}:
            return f"it crashed ({signal.Signals(number).name})"
        lines = self.errors.splitlines()
        return lines[-1].strip() if lines else f"it ended with status {status}"

    def _read_lines(self) -> None:
        if self._process.stdout:
            for _ in range(_MOST_LINES):
                line = self._process.stdout.readline(_LINE_BYTES)
                if not line:
                    break
                if text := line.decode(errors="replace").strip():
                    self._lines.put((text, time.monotonic()))
        self._lines.put(None)

    def _read_errors(self) -> None:
        if self._process.stderr:
            while part := self._process.stderr.readline(_KEPT_BYTES):
                self._errors = (self._errors + part)[-_KEPT_BYTES:]


class Transport(ABC):
    """One device, and the place on it that programs are put to. Used from one thread at a time.

    Methods raise TransportError where the device cannot be reached.
    """

    @abstractmethod
    def place(self, program: Path) -> None:
        """Puts ``program`` on the device, instead of what was there; connects where need be."""

    @abstractmethod
    def start(self, arguments: Sequence[str]) -> Started:
        """Starts what was placed. ``arguments`` have no spaces and no quotes."""

    @abstractmethod
    def halt(self, started: Started) -> None:
        """Sees to it that a program has ended, here and there; without effect if it has."""

    def lost(self, started: Started) -> bool:
        """Whether it ended because the connection did."""
        del started
        return False

    def explain(self, started: Started) -> str:
        """Why the device does not run the program at all, and what mends it: one line."""
        return started.reason

    @abstractmethod
    def remove(self) -> None:
        """Leaves nothing on the device, as far as it can be reached; raises nothing."""

    @abstractmethod
    def describe(self) -> str:
        """The device in a few words, the same tomorrow."""
