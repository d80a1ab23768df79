"""A session with one board, in a child process that is given up when the board says nothing."""

from __future__ import annotations

import time
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from costmodel.runners import rpc_worker
from costmodel.runners.children import start_child
from costmodel.runners.rpc_address import Address, complaint
from costmodel.runners.rpc_messages import Close, Failure, Open, Request
from costmodel.runners.transport import TransportError

CONNECT_SECONDS = 30.0
"""Until a server that takes a connection and then says nothing counts as deaf; a session begins
within 0.1 s, or 2 s on a slow board."""
IMPORT_SECONDS = 120.0
"""Until a child process that imports TVM, within 3 s, counts as hung."""
GRACE_SECONDS = 10.0
"""That a server may take, when a session's time is over, to say so."""


class SessionLostError(Exception):
    """The session has ended before its answer: the server died or the line broke."""


class SilentError(SessionLostError):
    """Nobody has spoken for too long."""


class Session:
    """At most one session at a time."""

    def __init__(self) -> None:
        self._child: tuple[SpawnProcess, Connection] | None = None
        self._ends = 0.0

    @property
    def seconds_left(self) -> float:
        """Until the server ends the session; 0 without one."""
        return max(0.0, self._ends - time.monotonic())

    def prepare(self) -> None:
        """Has a child process without a session. Raises TransportError where none starts."""
        self._ends = 0.0
        try:
            answer = self._answer(Close(), IMPORT_SECONDS)
        except SessionLostError as error:
            raise TransportError(f"the process that speaks to boards: {error}") from error
        if isinstance(answer, Failure):
            raise TransportError(answer.line, lasting=True)

    def open(self, address: Address, key: str, seconds: int, library: Path) -> str:
        """Begins a session of ``seconds``; the version of the board's TVM, or empty.

        Raises TransportError, which says what is to be done. Call `prepare` first.
        """
        self._ends = 0.0
        request = Open(address.host, address.port, key, seconds, library)
        begin = time.monotonic()
        try:
            answer = self._answer(request, CONNECT_SECONDS)
        except SilentError:
            raise TransportError(_refusal(address, None)) from None
        except SessionLostError as error:
            raise TransportError(_refusal(address, str(error))) from None
        if isinstance(answer, Failure) and answer.kind == "board":
            raise TransportError(f"{address}: {answer.line}", lasting=True)
        if isinstance(answer, Failure):
            raise TransportError(_refusal(address, answer.line))
        self._ends = begin + seconds
        return str(answer)

    def ask(self, request: Request, timeout_s: float) -> Any:  # noqa: ANN401 - as the request
        """The answer within ``timeout_s``, and in any case within the session's own time.

        It may be a `Failure` of kind ``call``, ``board`` or ``overdue``. Raises SessionLostError.
        """
        limit_s = min(timeout_s, self.seconds_left) + GRACE_SECONDS
        answer = self._answer(request, limit_s)
        if isinstance(answer, Failure) and answer.kind in {"lost", "overdue"}:
            self._ends = 0.0
            if answer.kind == "lost":
                raise SessionLostError(answer.line)
        return answer

    def end(self) -> None:
        """Ends the session, if there is one, and keeps the process."""
        if self.seconds_left:
            with suppress(TransportError):
                self.prepare()

    def close(self) -> None:
        """Ends the session and the process; the server notices."""
        child, self._child, self._ends = self._child, None, 0.0
        if child is not None:
            process, pipe = child
            process.kill()
            process.join()
            pipe.close()

    def _answer(self, request: Request, timeout_s: float) -> Any:  # noqa: ANN401
        _, pipe = self._child = self._child or start_child(
            rpc_worker.__name__, rpc_worker.serve.__name__
        )
        try:
            pipe.send(request)
            if pipe.poll(timeout_s):
                return pipe.recv()
        except (EOFError, OSError):
            self.close()
            raise SessionLostError("our own process died") from None
        self.close()
        raise SilentError(f"no answer in {timeout_s:.0f} s")


def _refusal(address: Address, line: str | None) -> str:
    """Why there is no session, with the cure. ``line``: what TVM says, None where it hangs."""
    cure = f"python -m tvm.exec.rpc_server --port {address.port} --port-end {address.port + 1}"
    if reason := complaint(address):
        return f"{address}: {reason}; TVM's server is started there with: {cure}"
    if line is None:
        return (
            f"{address} takes connections but serves none: another client has it, or a crash has "
            f"ended TVM's server, which does not recover by itself; start it there again: {cure}"
        )
    return f"{address} begins no session: {line}"
