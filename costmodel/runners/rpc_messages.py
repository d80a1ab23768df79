"""What is asked of the process that holds a session with a board, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from costmodel.kernels import Array
from costmodel.operators import Shape
from costmodel.protocol import Protocol


@dataclass(frozen=True)
class Open:
    """Begin a session; the answer is the version of the board's TVM, empty where it is unknown."""

    host: str
    port: int
    key: str
    seconds: int
    """After which the server ends it."""
    library: Path
    """That of `costmodel.crossbuild.shared.board_library`."""


@dataclass(frozen=True)
class Call:
    """A function of a library here, which is brought to the board when it is first needed."""

    library: Path
    name: str
    shapes: tuple[Shape, ...]
    """Of its arguments, the output last."""
    threads: int


@dataclass(frozen=True)
class Time:
    """Time a call on numbers that are made on the board; the answer is seconds of each sample."""

    call: Call
    protocol: Protocol


@dataclass(frozen=True)
class Run:
    """Call once with these arrays; the answer is the output."""

    call: Call
    arrays: tuple[Array, ...]


@dataclass(frozen=True)
class Read:
    """The board's files that match; the answer is their text by path."""

    patterns: tuple[str, ...]


@dataclass(frozen=True)
class Close:
    """End the session, if there is one. Is answered when TVM has been imported."""


Request = Close | Open | Time | Run | Read


@dataclass(frozen=True)
class Failure:
    """The answer to what went wrong."""

    line: str
    kind: Literal["call", "board", "lost", "overdue"]
    """Of the request alone; of anything on this board; the session is gone; its time was over."""


class BoardError(Exception):
    """What is wrong with the board, whatever is asked of it."""
