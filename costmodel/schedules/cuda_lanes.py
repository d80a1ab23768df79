"""Reductions that the threads of a row share out: dense layers, pools over a whole map, softmax.

A block is rows of threads, a row an output or several one after another; the ``lanes`` of a row go
over what is reduced side by side, leave their shares in shared memory, and each joins the row's.
"""

# ruff: noqa: ANN401 - an index is an integer or an expression of TVM, which has no types
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from costmodel.loopnest import LoopKind, Memory
from costmodel.schedules.cuda_limits import Block
from costmodel.schedules.cuda_nest import (
    Assign,
    Buffer,
    Index,
    Place,
    Ref,
    Repeat,
    Turn,
    ravel,
    shared_bytes,
)
from costmodel.schedules.cuda_statements import LOWEST, below, const, maximum, select
from costmodel.schedules.family import Schedule
from costmodel.target import FLOAT_BYTES, GpuTarget

LANES = (8, 16, 32, 64, 128)
ROWS = (1, 2, 4, 8, 16, 32)
BLOCK_THREADS = (32, 512)
ACC = Buffer("acc", (1,), Memory.LOCAL)
"""A lane's own share of a reduction."""
TOTAL = "total"
"""Name of a kernel's only reduction."""


@dataclass(frozen=True)
class Fold:
    """How a reduction makes one value of two."""

    combine: Callable[[Any, Any], Any]
    start: float
    """What changes no value that it is combined with."""


SUM = Fold(lambda one, other: one + other, 0)
MAXIMUM = Fold(maximum, LOWEST)


@dataclass(frozen=True)
class Lanes:
    """Extents of a reduction of ``length`` numbers to each of ``outputs``."""

    outputs: int
    length: int
    rows: int
    """Outputs of a block at a time."""
    lanes: int
    """Threads of an output."""
    turns: int = 1
    """Outputs that a row does one after another; the statements are then `in_turns`."""
    threads: tuple[int, int, int] | None = None
    """Of a block along z, y and x, where they are not 1, ``rows`` and ``lanes``: those of an
    output lie along x, or along y and x."""
    room: int = 0
    """Numbers that a kernel needs `partial` to hold at least."""

    @cached_property
    def blocks(self) -> int:
        """Blocks that cover the outputs; the last may reach beyond."""
        return -(-self.outputs // (self.rows * self.turns))

    @cached_property
    def covered(self) -> int:
        """Outputs that there would be without an end."""
        return self.blocks * self.turns * self.rows

    @cached_property
    def steps(self) -> int:
        """Numbers that a lane goes over; in the last step some may be beyond ``length``."""
        return -(-self.length // self.lanes)

    @cached_property
    def block(self) -> Block:
        """What a block of threads takes."""
        return Block(
            grid=(1, 1, self.blocks),
            threads=self._threads,
            shared_bytes=shared_bytes(FLOAT_BYTES * self.partial.elements),
        )

    @cached_property
    def partial(self) -> Buffer:
        """What the lanes leave for each other, in one reduction after another."""
        return Buffer("partial", (max(self.rows * self.lanes, self.room),), Memory.SHARED)

    def scratch(self, *names: str) -> tuple[Buffer, ...]:
        """What a kernel's reductions of these names keep."""
        return (ACC, *(_result(name) for name in names), self.partial)

    def number(self, i: Any) -> Any:
        """Of a lane's number in what is reduced, where it `is_inside`."""
        return ravel(self._number(i), self.length)

    def covered_number(self, i: Any) -> Any:
        """The same, as if there were no end."""
        return ravel(self._number(i))

    def output(self, i: Any) -> Any:
        """Of a row of threads, in its turn, where it `has_output`."""
        return ravel(self._output(i), self.outputs)

    def covered_output(self, i: Any) -> Any:
        """The same, as if there were no end."""
        return ravel(self._output(i))

    def lane(self, i: Any) -> Any:
        """Of a thread in its row."""
        return ravel(self._lane(i))

    def thread(self, i: Any) -> tuple[Place, ...]:
        """Of a thread in its block: row by row."""
        return *self._row(i), *self._lane(i)

    def in_turns(self, *body: Assign | Repeat) -> Repeat:
        """``body`` for each of a row's outputs."""
        return Repeat((Turn("o", self.turns),), body)

    def is_inside(self, i: Any) -> tuple[Any, ...]:
        """The conditions under which a lane's number is one."""
        return below([(self.covered_number(i), self.length, self.steps * self.lanes)])

    def is_writer(self, i: Any) -> tuple[Any, ...]:
        """The conditions under which a thread writes an output: its row's first, and in range."""
        return below([(self.lane(i), 1, self.lanes)]) + self.has_output(i)

    def has_output(self, i: Any) -> tuple[Any, ...]:
        """The conditions under which a row of threads has an output."""
        return below([(self.covered_output(i), self.outputs, self.covered)])

    def reduction(
        self,
        loads: Sequence[Ref],
        value: Callable[..., Any],
        fold: Fold,
        flops: int,
        name: str = TOTAL,
    ) -> tuple[tuple[Assign, ...], Ref]:
        """Statements that leave ``fold`` of all ``value(i, *loads)`` in each thread of a row."""
        own = Ref(self.partial, lambda i: (ravel(self.thread(i)),))
        others = Ref(self.partial, lambda i: (ravel((*self._row(i), (i.t, self.lanes))),))
        left = self.shares(loads, value, fold, flops, own)
        joined, result = self.joined(others, fold, name)
        return (*left, *joined), result

    def shares(
        self,
        loads: Sequence[Ref],
        value: Callable[..., Any],
        fold: Fold,
        flops: int,
        left: Ref,
        guards: Index = lambda _: (),
    ) -> tuple[Assign, ...]:
        """Statements with which each lane puts ``fold`` of what it goes over at ``left``."""
        lane = Ref(ACC, lambda _: (0,))
        return (
            Assign((), lane, (), lambda _: const(fold.start)),
            Assign(
                (Turn("k", self.steps),),
                lane,
                (lane, *loads),
                lambda i, sum_, *read: fold.combine(sum_, value(i, *read)),
                flops=flops,
            ),
            Assign((), left, (lane,), lambda _, sum_: sum_, guards=guards),
        )

    def joined(
        self, shares: Ref, fold: Fold, name: str, inside: Index = lambda _: ()
    ) -> tuple[tuple[Assign, ...], Ref]:
        """Statements with which a thread makes one of all ``shares`` (i.t: their lane).

        They are read where the conditions ``inside`` hold.
        """
        result = Ref(_result(name), lambda _: (0,))
        return (
            Assign((), result, (), lambda _: const(fold.start)),
            Assign(
                (Turn("t", self.lanes, LoopKind.UNROLLED),),
                result,
                (result, shares),
                lambda i, sum_, other: fold.combine(sum_, select(inside(i), other, fold.start)),
                flops=1,
            ),
        ), result

    @property
    def _threads(self) -> tuple[int, int, int]:
        return self.threads or (1, self.rows, self.lanes)

    def _row(self, i: Any) -> tuple[Place, ...]:
        z, y, x = self._threads
        return ((i.tz, z), (i.ty, y)) if x == self.lanes else ((i.tz, z),)

    def _lane(self, i: Any) -> tuple[Place, ...]:
        _, y, x = self._threads
        return ((i.tx, x),) if x == self.lanes else ((i.ty, y), (i.tx, x))

    def _output(self, i: Any) -> tuple[Place, ...]:
        block = (i.bx, self.blocks) if self.blocks > 1 else (0, 1)
        turn = (i.o, self.turns) if self.turns > 1 else (0, 1)
        return block, turn, *self._row(i)

    def _number(self, i: Any) -> tuple[Place, ...]:
        return (i.k, self.steps), *self._lane(i)


def _result(name: str) -> Buffer:
    return Buffer(name, (1,), Memory.LOCAL)


def lane_points(name: str, outputs: int, length: int, target: GpuTarget) -> tuple[Schedule, ...]:
    """All points of a family of these reductions, with the parameters ``rows`` and ``lanes``.

    A row has no more lanes than twice what is reduced, a block no more rows than twice the
    outputs.
    """
    found = [
        Lanes(outputs, length, rows, lanes)
        for rows in ROWS
        for lanes in LANES
        if BLOCK_THREADS[0] <= rows * lanes <= BLOCK_THREADS[1]
        and (rows == 1 or rows < 2 * outputs)
        and (lanes in LANES[:3] or lanes < 2 * length)
    ]
    return tuple(
        Schedule(name, (("rows", lanes.rows), ("lanes", lanes.lanes)))
        for lanes in found
        if lanes.block.fits(target)
    )
