"""What is asked of a TVM RPC tracker, each with a deadline: which boards there are, and for one.

TVM's own client waits for ever where no board is free. The protocol is that of
``tvm/rpc/tracker.py``: a magic number, then JSON behind its length.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from costmodel.runners.rpc_address import Address, complaint
from costmodel.runners.transport import TransportError

_MAGIC, _SERVER_MAGIC = 0x2F271, 0xFF271
_SUCCESS, _REQUEST, _SUMMARY = 0, 4, 6
_LONGEST_MESSAGE = 1 << 24
_ANSWER_SECONDS = 10.0
"""Until a tracker that says nothing counts as gone."""
_TURN_SECONDS = 2.0
"""Of waiting for any board, before what other lanes have been given is looked at."""
_PAUSE_SECONDS = 0.3
"""After a board that has been given back, which then is at the end of the tracker's queue."""
_GRANT_SECONDS = 3.0
"""That a grant is good for: after 4 to 6 s a server that has not been used changes its key."""


@dataclass(frozen=True)
class Grant:
    """A board that waits for a client with this key."""

    address: Address
    key: str


class Tracker:
    """Asks the tracker at ``address``. Methods raise TransportError where it does not answer."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def boards(self) -> dict[str, list[Address]]:
        """Every board that the tracker knows, busy or free, by key."""
        found: dict[str, list[Address]] = {}
        try:
            with self._asked([_SUMMARY], time.monotonic() + _ANSWER_SECONDS) as answer:
                for server in answer["server_info"]:
                    host, port = server["addr"]
                    key = str(server["key"]).removeprefix("server:")
                    found.setdefault(key, []).append(Address(str(host), int(port)))
        except TimeoutError:
            raise TransportError(f"the tracker {self.address} does not answer") from None
        return {key: sorted(addresses) for key, addresses in found.items()}

    def request(self, key: str, until: float) -> Grant | None:
        """A free board of ``key``; None where there is none ``until`` then (monotonic seconds)."""
        try:
            with self._asked([_REQUEST, key, "", 1], until) as answer:
                host, port, match = answer
                return Grant(Address(str(host), int(port)), str(match))
        except TimeoutError:
            return None

    @contextmanager
    def _asked(self, message: Sequence[Any], until: float) -> Iterator[Any]:
        """The tracker's answer; what goes wrong in taking it apart is the tracker's fault, too.

        TimeoutError where a tracker that is there has no answer ``until`` then.
        """
        try:
            with self._greeted() as connection:
                text = json.dumps(message).encode()
                connection.sendall(struct.pack("<i", len(text)) + text)
                (length,) = struct.unpack("<i", _received(connection, 4, until))
                if not 0 < length <= _LONGEST_MESSAGE:
                    raise ValueError
                status, value = json.loads(_received(connection, length, until))
            if status != _SUCCESS:
                raise ValueError
            yield value
        except TimeoutError:
            raise
        except (OSError, ValueError, TypeError, KeyError):
            raise TransportError(
                f"{self.address} does not answer as a TVM RPC tracker does; one is started with: "
                f"{self._start}"
            ) from None

    def _greeted(self) -> socket.socket:
        """A connection, after the exchange of magic numbers; a tracker that hangs says nothing."""
        connection = self._connected()
        try:
            connection.settimeout(_ANSWER_SECONDS)
            connection.sendall(struct.pack("<i", _MAGIC))
            answer = _received(connection, 4, time.monotonic() + _ANSWER_SECONDS)
            if struct.unpack("<i", answer)[0] != _MAGIC:
                raise ValueError
        except TimeoutError:
            connection.close()
            raise TransportError(
                f"the tracker {self.address} does not answer; start it again: {self._start}"
            ) from None
        except (OSError, ValueError):
            connection.close()
            raise
        return connection

    @property
    def _start(self) -> str:
        return f"python -m tvm.exec.rpc_tracker --port {self.address.port}"

    def _connected(self) -> socket.socket:
        place = (self.address.host, self.address.port)
        try:
            return socket.create_connection(place, _ANSWER_SECONDS)
        except OSError:
            raise TransportError(
                f"the tracker {self.address} cannot be reached: "
                f"{complaint(self.address) or 'it was away'}; it is started with: {self._start}"
            ) from None


class Farm:
    """Boards of one key that are ours to use. Used from several threads.

    A tracker gives whichever board is free; each lane keeps to one, so that times can be compared
    with those of another day.
    """

    def __init__(self, tracker: Tracker, key: str, boards: Sequence[Address]) -> None:
        self.tracker = tracker
        self.key = key
        self._boards = frozenset(boards)
        self._kept: dict[Address, tuple[Grant, float]] = {}
        self._lock = threading.Lock()

    def grant(self, board: Address, until: float) -> Grant:
        """``board``, as soon as it is free; TransportError where it is not ``until`` then."""
        while (left := until - time.monotonic()) > 0:
            with self._lock:
                kept, born = self._kept.pop(board, (None, 0.0))
            if kept is not None and time.monotonic() - born < _GRANT_SECONDS:
                return kept
            grant = self.tracker.request(self.key, time.monotonic() + min(left, _TURN_SECONDS))
            if grant is None:
                continue
            if grant.address == board:
                return grant
            if grant.address in self._boards:
                with self._lock:
                    self._kept[grant.address] = (grant, time.monotonic())
            else:
                give_back(grant)
            time.sleep(_PAUSE_SECONDS)
        raise TransportError(self._why_not(board))

    def _why_not(self, board: Address) -> str:
        known = self.tracker.boards().get(self.key, [])
        if board in known:
            return (
                f"the board {board} is not free at the tracker {self.tracker.address}: others use "
                "it, or it hangs; see with: python -m tvm.exec.query_rpc_tracker --host "
                f"{self.tracker.address.host} --port {self.tracker.address.port}"
            )
        return (
            f"the board {board} has left the tracker {self.tracker.address}: a crash ends TVM's "
            f"server; start it there again: {server_command(self.tracker.address, self.key)}"
        )


def server_command(tracker: Address, key: str) -> str:
    """What starts a board's server."""
    return f"python -m tvm.exec.rpc_server --tracker {tracker} --key {key}"


def give_back(grant: Grant) -> None:
    """Begins and ends a session, so that its board is free again at once."""
    place = (grant.address.host, grant.address.port)
    with suppress(OSError), socket.create_connection(place, _GRANT_SECONDS) as connection:
        key = f"client:{grant.key}".encode()
        connection.sendall(struct.pack("<ii", _SERVER_MAGIC, len(key)) + key)
        until = time.monotonic() + _GRANT_SECONDS
        _, length = struct.unpack("<ii", _received(connection, 8, until))
        _received(connection, min(length, _LONGEST_MESSAGE), until)  # else it takes us for broken


def _received(connection: socket.socket, count: int, until: float) -> bytes:
    """So many bytes; TimeoutError ``until`` then, OSError where the other end is gone."""
    parts = b""
    while len(parts) < count:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(count - len(parts))
        if not part:
            raise ConnectionResetError
        parts += part
    return parts
