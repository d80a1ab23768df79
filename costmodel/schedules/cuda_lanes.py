"""Reductions that the threads of a row share out: dense layers, pools over a whole map, softmax.

A block is rows of threads, a row an output; the ``lanes`` of a row go over what is reduced side
by side, leave their sums in shared memory, and each adds up the row's.
"""

# ruff: noqa: ANN401 - an index is an integer or an expression of TVM, which has no types
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from costmodel.loopnest import LoopKind, Memory
from costmodel.schedules.cuda_limits import Block
from costmodel.schedules.cuda_nest import Assign, Buffer, Ref, Turn, shared_bytes
from costmodel.schedules.cuda_statements import below, const
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
class Lanes:
    """Extents of a reduction of ``length`` numbers to each of ``outputs``."""

    outputs: int
    length: int
    rows: int
    """Outputs of a block."""
    lanes: int
    """Threads of an output."""

    @cached_property
    def blocks(self) -> int:
        """Blocks that cover the outputs; the last may reach beyond."""
        return -(-self.outputs // self.rows)

    @cached_property
    def steps(self) -> int:
        """Numbers that a lane goes over; in the last step some may be beyond ``length``."""
        return -(-self.length // self.lanes)

    @cached_property
    def block(self) -> Block:
        """What a block of threads takes."""
        return Block(
            grid=(1, 1, self.blocks),
            threads=(1, self.rows, self.lanes),
            shared_bytes=shared_bytes(FLOAT_BYTES * self.rows * self.lanes),
        )

    def scratch(self, *names: str) -> tuple[Buffer, ...]:
        """What a kernel's reductions of these names keep."""
        return (ACC, *(_result(name) for name in names), self._partial)

    def position(self, i: Any) -> Any:
        """Of a lane's number in what is reduced."""
        return i.k * self.lanes + i.tx

    def output(self, i: Any) -> Any:
        """Of a row of threads."""
        return i.bx * self.rows + i.ty

    def is_inside(self, i: Any) -> tuple[Any, ...]:
        """The conditions under which a lane's number is one."""
        return below([(self.position(i), self.length, self.steps * self.lanes)])

    def is_writer(self, i: Any) -> tuple[Any, ...]:
        """The conditions under which a thread writes an output: its row's first, and in range."""
        return below([(i.tx, 1, self.lanes)]) + self.has_output(i)

    def has_output(self, i: Any) -> tuple[Any, ...]:
        """The conditions under which a row of threads has an output."""
        return below([(self.output(i), self.outputs, self.blocks * self.rows)])

    def reduction(
        self,
        loads: Sequence[Ref],
        value: Callable[..., Any],
        combine: Callable[[Any, Any], Any],
        start: float,
        flops: int,
        name: str = TOTAL,
    ) -> tuple[tuple[Assign, ...], Ref]:
        """Statements that leave ``combine`` of all ``value(i, *loads)`` in each thread of a row."""
        lane, row = Ref(ACC, lambda _: (0,)), Ref(_result(name), lambda _: (0,))
        own = Ref(self._partial, lambda i: (i.ty, i.tx))
        others = Ref(self._partial, lambda i: (i.ty, i.t))
        return (
            Assign((), lane, (), lambda _: const(start)),
            Assign(
                (Turn("k", self.steps),),
                lane,
                (lane, *loads),
                lambda i, sum_, *read: combine(sum_, value(i, *read)),
                flops=flops,
            ),
            Assign((), own, (lane,), lambda _, sum_: sum_),
            Assign((), row, (), lambda _: const(start)),
            Assign(
                (Turn("t", self.lanes, LoopKind.UNROLLED),),
                row,
                (row, others),
                lambda _, sum_, other: combine(sum_, other),
                flops=1,
            ),
        ), row

    @property
    def _partial(self) -> Buffer:
        """What the lanes leave for each other, in one reduction after another."""
        return Buffer("partial", (self.rows, self.lanes), Memory.SHARED)


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
