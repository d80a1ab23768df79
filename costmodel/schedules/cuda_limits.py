"""What a block of threads takes of a GPU, whether it may, and how well it fills it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from costmodel.schedules.cuda_nest import MAXIMUM_YZ_BLOCKS, MAXIMUM_Z_THREADS
from costmodel.target import GpuTarget

MAXIMUM_SUMS = 64
"""Accumulators of a thread in the points we offer; 303 of TopHub's 318 tuned convolutions keep to
it."""
OTHER_REGISTERS = 40
"""Addresses, counters and loads under way: what a thread needs at least beside its sums and their
operands. ptxas takes up to 230 more where they are free, to start loads early (234 kernels
assembled for nine architectures)."""
COPY_COST = 8
"""Multiply-adds that could be started while an element is addressed and copied to shared memory."""
FMA_LATENCY = 5
"""Cycles from a multiply-add to one that needs its result: 6 on Maxwell and Pascal, 4 from Volta
on (Jia et al., arXiv 1804.06826, table 4.1)."""


@dataclass(frozen=True)
class Block:
    """A block of threads and the grid it is one of."""

    grid: tuple[int, int, int]
    """Blocks: z, y, x."""
    threads: tuple[int, int, int]
    """Threads of a block: z, y, x."""
    shared_bytes: int = 0
    sums: int = 1
    """Accumulators of a thread."""
    operands: int = 2
    """Values that a thread holds beside them at a time."""

    @property
    def size(self) -> int:
        """Threads of a block."""
        return math.prod(self.threads)

    @property
    def count(self) -> int:
        """Blocks of the grid."""
        return math.prod(self.grid)

    @property
    def registers(self) -> int:
        """Registers that a thread will want, about."""
        return self.sums + self.operands + OTHER_REGISTERS

    def fits(self, target: GpuTarget) -> bool:
        """Whether it can be launched on ``target`` and keeps its values in registers."""
        return (
            self.size <= target.threads_per_block
            and self.threads[0] <= MAXIMUM_Z_THREADS
            and max(self.grid[:2]) <= MAXIMUM_YZ_BLOCKS
            and self.shared_bytes <= target.shared_bytes_per_block
            and self.registers <= target.registers_per_thread
            and self.registers * self.size <= target.registers_per_multiprocessor
        )

    def cycles(self, work: float, target: GpuTarget) -> float:
        """A rough count of cycles where a block does ``work`` multiply-adds; only for ranking.

        The busiest multiprocessor does its blocks one after another, at the speed of its units
        or, with few threads, at that of chains of dependent multiply-adds.
        """
        size = self.size
        blocks = -(-self.count // target.multiprocessors)
        room = max(
            1,
            min(
                target.blocks_per_multiprocessor,
                target.threads_per_multiprocessor // size,
                target.registers_per_multiprocessor // (self.registers * size),
                target.shared_bytes_per_multiprocessor // max(self.shared_bytes, 1),
            ),
        )
        lanes = -(-size // target.warp_size) * target.warp_size
        chains = min(blocks, room) * lanes * min(self.sums, FMA_LATENCY)
        speed = min(target.fma_per_multiprocessor, chains / FMA_LATENCY)
        return blocks * work * (lanes / size) / speed  # a warp's idle lanes take their turn too
