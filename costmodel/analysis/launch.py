"""What a CUDA kernel asks of a GPU: blocks, threads, instructions of warps, sectors, registers.

A nest may hold several launches, one after another: a statement that stores to global memory ends
one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from costmodel.analysis.footprint import distinct, touched
from costmodel.loopnest import Access, LoopKind, LoopNest, Memory, Statement
from costmodel.target import FLOAT_BYTES, GpuTarget

SECTOR_BYTES = 32
"""Smallest unit that a warp fetches (CUDA C++ best practices guide, coalesced access)."""
BANKS = 32
"""Banks of shared memory, four bytes wide, on every GPU since Fermi (CUDA C++ guide)."""
BASE_REGISTERS = 24
"""Of a thread, for addresses and loops: assumed."""
REGISTER_GRAIN = 8
"""Registers of a thread are given out in eights (CUDA occupancy calculator)."""
LOOP_INSTRUCTIONS = 2
"""Counting with comparison, and branching."""
MAXIMUM_WRITTEN_OUT = 16
"""Turns up to which CUDA's compiler is assumed to unroll loops of constant extent."""

Pattern = tuple[tuple[int, int], ...]
"""(extent, stride) of each loop over threads, slowest first."""


@dataclass(slots=True)
class Launch:
    """One CUDA kernel: instructions are of warps, counted over all of them."""

    blocks: int
    threads: int
    warps: int
    """Of a block."""
    arithmetic: float
    """Multiply-adds (or single operations)."""
    shared_loads: float
    """Requests to shared memory, a conflict of banks counted as several."""
    shared_requests: float
    """The same without conflicts."""
    sectors: float
    """32-byte sectors that warps ask of global memory."""
    ideal_sectors: float
    """The same if every warp read neighbours."""
    global_requests: float
    instructions: float
    dram_bytes: float
    """Global memory touched, each byte once."""
    shared_bytes: int
    """Of a block."""
    registers: int
    """Of a thread, as estimated."""
    accumulators: float
    steps: float
    """Loads from global memory that a thread waits for one after another."""

    @property
    def flops_per_sector(self) -> float:
        """Arithmetic (multiply-adds of single threads) for each sector asked for."""
        return self.arithmetic * 32 / max(self.sectors, 1.0)


def launches(nest: LoopNest) -> Iterator[list[Statement]]:
    """The statements of each launch, in order."""
    group: list[Statement] = []
    for statement in nest.statements:
        group.append(statement)
        if statement.store.memory is Memory.GLOBAL:
            yield group
            group = []
    if group:
        yield group


def launch_of(group: list[Statement], target: GpuTarget) -> Launch:
    """Counts what the statements of one launch ask for."""
    extents = {LoopKind.BLOCK: 1, LoopKind.THREAD: 1}
    for loop in group[-1].loops:
        if loop.kind in extents:
            extents[loop.kind] *= loop.extent
    blocks, threads = extents[LoopKind.BLOCK], extents[LoopKind.THREAD]
    warps = math.ceil(threads / target.warp_size)
    count = _Count(target.warp_size)
    for statement in group:
        count.add(statement)
    wanted = BASE_REGISTERS + count.accumulators + min(count.operands, MAXIMUM_WRITTEN_OUT)
    registers = min(math.ceil(wanted / REGISTER_GRAIN) * REGISTER_GRAIN,
                    target.registers_per_thread)  # fmt: skip
    all_warps = blocks * warps
    return Launch(
        blocks=blocks,
        threads=threads,
        warps=warps,
        arithmetic=all_warps * count.arithmetic,
        shared_loads=all_warps * count.shared,
        shared_requests=all_warps * count.shared_requests,
        sectors=all_warps * count.sectors,
        ideal_sectors=all_warps * count.ideal_sectors,
        global_requests=all_warps * count.global_requests,
        instructions=all_warps * count.instructions,
        dram_bytes=sum(count.touched.values()),
        shared_bytes=FLOAT_BYTES * sum(count.shared_elements.values()),
        registers=registers,
        accumulators=count.accumulators,
        steps=count.steps,
    )


class _Count:
    """Instructions of one warp of a launch; see `Launch` for the names."""

    def __init__(self, warp: int) -> None:
        self.warp = warp
        self.arithmetic = self.instructions = self.accumulators = self.operands = 0.0
        self.shared = self.shared_requests = self.steps = 0.0
        self.sectors = self.ideal_sectors = self.global_requests = 0.0
        self.shared_elements: dict[str, int] = {}
        self.touched: dict[str, float] = {}

    def add(self, statement: Statement) -> None:
        loops = statement.loops
        own = tuple(i for i, loop in enumerate(loops) if loop.kind not in _LAUNCH)
        body = _body(statement, own)
        trips = math.prod([loops[i].extent for i in own if i not in body])
        operations = statement.flops / 2 if statement.flops > 1 else statement.flops
        work = trips * math.prod([loops[i].extent for i in body]) * operations
        self.arithmetic += work
        self.instructions += work + trips * LOOP_INSTRUCTIONS
        for access in (statement.store, *statement.loads):
            operands = _numbers(statement, access, body)
            if access is not statement.store:
                self.operands = max(self.operands, operands)
            elif access.memory is Memory.LOCAL:
                self.accumulators = max(self.accumulators, operands)
            if access.memory is Memory.SHARED:
                self._add_shared(statement, access, trips * operands)
            elif access.memory is Memory.GLOBAL:
                self._add_global(statement, access, trips * operands)
                self.steps += 0 if access is statement.store else trips

    def _add_shared(self, statement: Statement, access: Access, moved: int) -> None:
        self.instructions += moved
        self.shared_requests += moved
        self.shared += moved * _conflicts(_pattern(statement, access), self.warp)
        of_block = tuple(
            0 if loop.kind is LoopKind.BLOCK else stride
            for loop, stride in zip(statement.loops, access.strides, strict=True)
        )
        held = distinct(statement.loops, Access(access.buffer, of_block, None))
        self.shared_elements[access.buffer] = max(self.shared_elements.get(access.buffer, 0), held)

    def _add_global(self, statement: Statement, access: Access, moved: int) -> None:
        self.instructions += moved
        self.global_requests += moved
        sectors, ideal = _sectors(_pattern(statement, access), self.warp)
        self.sectors += moved * sectors
        self.ideal_sectors += moved * ideal
        in_all = touched(statement.loops, access, SECTOR_BYTES)[0]
        self.touched[access.buffer] = max(self.touched.get(access.buffer, 0.0), in_all)


def _numbers(statement: Statement, access: Access, body: frozenset[int]) -> int:
    """Numbers that an access names in straight code: where windows overlap, each is loaded once."""
    places = [i for i in range(len(statement.loops)) if i in body]
    return distinct(
        tuple(statement.loops[i] for i in places),
        Access(access.buffer, tuple(access.strides[i] for i in places), None),
    )


def _pattern(statement: Statement, access: Access) -> Pattern:
    """How an access moves from thread to thread."""
    return tuple(
        (loop.extent, stride)
        for loop, stride in zip(statement.loops, access.strides, strict=True)
        if loop.kind is LoopKind.THREAD
    )


_LAUNCH = (LoopKind.BLOCK, LoopKind.THREAD)


def _body(statement: Statement, own: tuple[int, ...]) -> frozenset[int]:
    """A thread's innermost loops that are straight code: operands of a body are loaded once.

    Virtual threads are unrolled loops outside the others; the compiler hoists them in.
    """
    body, turns = [], 1
    for i in reversed(own):
        loop = statement.loops[i]
        turns *= loop.extent
        if loop.kind is LoopKind.SERIAL and turns > MAXIMUM_WRITTEN_OUT:
            break
        body.append(i)
    body += [i for i in own if statement.loops[i].kind is LoopKind.UNROLLED and i not in body]
    return frozenset(body)


@lru_cache(maxsize=4096)
def _offsets(pattern: Pattern, warp: int) -> tuple[int, ...]:
    """Element that each thread of a block's first warp names."""
    offsets = [0]
    for extent, stride in reversed(pattern):
        offsets = [base + turn * stride for turn in range(extent) for base in offsets]
        if len(offsets) >= warp:
            break
    return tuple(offsets[:warp])


@lru_cache(maxsize=4096)
def _sectors(pattern: Pattern, warp: int) -> tuple[int, float]:
    """Sectors that a warp asks for, and those that its numbers would fill side by side."""
    per_sector = SECTOR_BYTES // FLOAT_BYTES
    offsets = set(_offsets(pattern, warp))
    return len({o // per_sector for o in offsets}), math.ceil(len(offsets) / per_sector)


@lru_cache(maxsize=4096)
def _conflicts(pattern: Pattern, warp: int) -> int:
    """Requests that a warp's access to shared memory takes: numbers of one bank wait in line."""
    banks: dict[int, int] = {}
    for offset in set(_offsets(pattern, warp)):
        banks[offset % BANKS] = banks.get(offset % BANKS, 0) + 1
    return max(banks.values())
