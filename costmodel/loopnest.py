"""A scheduled kernel as data: its loops and what each statement touches as they turn.

Schedule families describe their kernels in this form (microseconds), and `read` recovers the
same form from TVM's scheduled module (milliseconds); tests hold the two equal. Features are
computed from it and from nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class LoopKind(StrEnum):
    """How the iterations of a loop are run."""

    SERIAL = "serial"
    PARALLEL = "parallel"
    UNROLLED = "unrolled"
    VECTORIZED = "vectorized"
    BLOCK = "block"
    """Over the thread blocks of a GPU's grid."""
    THREAD = "thread"
    """Over the threads of a block. A virtual thread is an unrolled loop: so TVM resolves it."""


class Memory(StrEnum):
    """Where a buffer of a GPU's kernel lies; on a CPU all memory is one and called global."""

    GLOBAL = "global"
    SHARED = "shared"
    """Of a block of threads."""
    LOCAL = "local"
    """Of one thread: its registers, as long as they suffice."""


@dataclass(frozen=True)
class Loop:
    """A loop that turns ``extent`` times (at least twice: loops of one turn are left out)."""

    extent: int
    kind: LoopKind


@dataclass(frozen=True)
class Access:
    """A read or a write of one float32 buffer."""

    buffer: str
    strides: tuple[int, ...]
    """Elements moved by the first turn of each enclosing loop, outermost first."""
    private_depth: int | None
    """For a buffer allocated inside the kernel: the loops around its allocation; else None."""
    memory: Memory = Memory.GLOBAL


@dataclass(frozen=True)
class Statement:
    """A store, inside its loops (outermost first), with what it reads."""

    loops: tuple[Loop, ...]
    store: Access
    loads: tuple[Access, ...]
    flops: int
    """Floating-point additions, multiplications and comparisons an iteration."""
    guarded: bool
    """Whether the store runs under a condition."""

    @cached_property
    def iterations(self) -> int:
        """Number of times the store runs."""
        return math.prod(loop.extent for loop in self.loops)

    @property
    def total_flops(self) -> int:
        """Operations of all iterations, padding included."""
        return self.flops * self.iterations


@dataclass(frozen=True)
class LoopNest:
    """All statements of a kernel in program order."""

    statements: tuple[Statement, ...]

    @cached_property
    def hot(self) -> Statement:
        """The statement with the most arithmetic; where there is none, the one that runs most."""
        return max(self.statements, key=lambda s: (s.total_flops, s.iterations))


PlainAccess = (
    tuple[str, tuple[int, ...], int | None] | tuple[str, tuple[int, ...], int | None, Memory]
)


def statement(
    loops: list[tuple[int, LoopKind]],
    store: PlainAccess,
    loads: list[PlainAccess],
    *,
    flops: int,
    guarded: bool = False,
) -> Statement:
    """A statement from plain tuples, with loops of one turn left out.

    ``loops``: (extent, kind); accesses: (buffer, stride for each loop, private depth counted in
    the loops as given[, memory]).
    """
    kept = [i for i, (extent, _) in enumerate(loops) if extent > 1]

    def access(given: PlainAccess) -> Access:
        buffer, strides, depth, *memory = given
        private = None if depth is None else sum(1 for i in kept if i < depth)
        return Access(buffer, tuple(strides[i] for i in kept), private, *memory)

    return Statement(
        loops=tuple(Loop(*loops[i]) for i in kept),
        store=access(store),
        loads=tuple(sorted((access(a) for a in loads), key=lambda a: (a.buffer, a.strides))),
        flops=flops,
        guarded=guarded,
    )
