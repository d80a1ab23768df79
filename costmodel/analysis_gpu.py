"""What a GPU must do for a scheduled kernel: launches, blocks, warps, instructions, bytes.

A nest may hold several launches, one after another: a statement that stores to global memory ends
one. Counts are over one run, of the whole GPU. The model of time is Hong and Kim's (An Analytical
Model for a GPU Architecture, ISCA 2009) in its simplest form: arithmetic, issue, shared memory,
second cache and memory work side by side, and the slowest binds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from costmodel.footprint import distinct, touched
from costmodel.loopnest import Access, LoopKind, LoopNest, Memory, Statement
from costmodel.target import FLOAT_BYTES, GpuTarget

SECTOR_BYTES = 32
"""Smallest unit that a warp fetches (CUDA C++ best practices guide, coalesced access)."""
BANKS = 32
"""Banks of shared memory, four bytes wide, on every GPU since Fermi (CUDA C++ guide)."""
ISSUE_PER_CYCLE = 4
"""Warp schedulers of an SM, each issuing one instruction a cycle: Maxwell to Hopper (NVIDIA's
tuning guides)."""
MEMORY_LATENCY_CYCLES = 400
"""Of a load that misses the first cache: 200 to 600 on Maxwell to Ampere (Jia et al., Dissecting
the NVIDIA Volta GPU Architecture via Microbenchmarking, arXiv 1804.06826, table 3.1)."""
L2_OVER_MEMORY = 3.0
"""Bandwidth of the second cache over that of memory: 2 to 4 (the same)."""
BASE_REGISTERS = 24
"""Of a thread, for addresses and loops, in kernels that ptxas reported on."""
REGISTER_GRAIN = 8
"""Registers of a thread are given out in eights (CUDA occupancy calculator)."""
LOOP_INSTRUCTIONS = 2
"""Counting with comparison, and branching."""
MAXIMUM_WRITTEN_OUT = 16
"""CUDA's compiler unrolls loops of constant extent up to about this many turns."""


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


class GpuAnalysis:
    """What the features share about one nest on one GPU."""

    def __init__(self, nest: LoopNest, target: GpuTarget, useful_flops: int) -> None:
        self.nest = nest
        self.target = target
        self.useful_flops = useful_flops
        self.hot = nest.hot
        groups = list(_launches(nest))
        self.launches = [_launch(group, target) for group in groups]
        self.main = self.launches[
            next(i for i, group in enumerate(groups) if any(s is self.hot for s in group))
        ]

    @cached_property
    def total_flops(self) -> float:
        """Arithmetic with padding."""
        return float(sum(s.total_flops for s in self.nest.statements))

    @cached_property
    def blocks_per_multiprocessor(self) -> int:
        """Blocks of the main launch that an SM holds at once; at least one."""
        return resident_blocks(self.main, self.target)

    @cached_property
    def occupancy(self) -> float:
        """Threads that an SM holds over those that it could."""
        held = self.blocks_per_multiprocessor * self.main.threads
        return min(1.0, held / self.target.threads_per_multiprocessor)

    @cached_property
    def waves(self) -> float:
        """Blocks over those that the GPU holds at once."""
        return self.main.blocks / (self.target.multiprocessors * self.blocks_per_multiprocessor)

    @cached_property
    def balance(self) -> float:
        """Share of the SMs that work, on average, until the last block is done."""
        return balance(self.main, self.target)

    @cached_property
    def fma_cycles(self) -> float:
        """Cycles of arithmetic on all SMs."""
        return fma_cycles(self.main, self.target)

    @cached_property
    def shared_cycles(self) -> float:
        """Cycles of shared memory on all SMs: one request of a warp a cycle."""
        return self.main.shared_loads / self.target.multiprocessors

    @cached_property
    def issue_cycles(self) -> float:
        """Cycles of issuing on all SMs."""
        return self.main.instructions / (self.target.multiprocessors * ISSUE_PER_CYCLE)

    @cached_property
    def latency_cycles(self) -> float:
        """Cycles that blocks wait for global memory, one wave after another."""
        return self.main.steps * MEMORY_LATENCY_CYCLES * math.ceil(self.waves)

    @cached_property
    def l2_cycles(self) -> float:
        """Cycles in which the second cache gives what warps ask for."""
        return self.main.sectors * SECTOR_BYTES / (L2_OVER_MEMORY * bytes_per_cycle(self.target))

    @cached_property
    def memory_cycles(self) -> float:
        """Cycles in which memory gives all that is touched."""
        return self.main.dram_bytes / bytes_per_cycle(self.target)

    @cached_property
    def active_warps(self) -> float:
        """Warps at work on an SM at once: of the blocks that it holds, or that there are."""
        there = self.main.blocks / self.target.multiprocessors
        return self.main.warps * min(self.blocks_per_multiprocessor, max(there, 1.0))

    @cached_property
    def main_cycles(self) -> float:
        """Cycles of the launch with the hot statement."""
        return launch_cycles(self.main, self.target)

    @cached_property
    def bound_cycles(self) -> float:
        """Cycles of all launches."""
        return sum(launch_cycles(launch, self.target) for launch in self.launches)

    @cached_property
    def roofline_seconds(self) -> float:
        """Least time: each launch's work, or its start where that takes longer."""
        hertz = self.target.frequency_mhz * 1e6
        return sum(
            max(launch_cycles(launch, self.target) / hertz, self.target.launch_seconds)
            for launch in self.launches
        )


def launch_cycles(launch: Launch, target: GpuTarget) -> float:
    """Cycles of the slowest of what a launch must do; at least one."""
    shares = balance(launch, target)
    multiprocessors = target.multiprocessors * shares
    return max(
        fma_cycles(launch, target) / shares,
        launch.shared_loads / multiprocessors,
        launch.instructions / (multiprocessors * ISSUE_PER_CYCLE),
        launch.dram_bytes / bytes_per_cycle(target),
        1.0,
    )


def fma_cycles(launch: Launch, target: GpuTarget) -> float:
    """Cycles of a launch's arithmetic on all SMs."""
    warps_per_cycle = target.fma_per_multiprocessor / target.warp_size
    return launch.arithmetic / (warps_per_cycle * target.multiprocessors)


def balance(launch: Launch, target: GpuTarget) -> float:
    """Share of the SMs that work, on average, until the last block is done."""
    return launch.blocks / (
        math.ceil(launch.blocks / target.multiprocessors) * target.multiprocessors
    )


def bytes_per_cycle(target: GpuTarget) -> float:
    """Bandwidth of memory."""
    return target.memory_gb_per_s * 1e3 / target.frequency_mhz


def resident_blocks(launch: Launch, target: GpuTarget) -> int:
    """Blocks that an SM holds at once; at least one (CUDA occupancy calculator)."""
    warps = launch.warps * target.warp_size
    limits = (
        target.blocks_per_multiprocessor,
        target.threads_per_multiprocessor // warps,
        target.registers_per_multiprocessor // (warps * launch.registers),
        target.shared_bytes_per_multiprocessor // max(launch.shared_bytes, 1),
    )
    return max(1, min(limits))


def _launches(nest: LoopNest) -> Iterator[list[Statement]]:
    group: list[Statement] = []
    for statement in nest.statements:
        group.append(statement)
        if statement.store.memory is Memory.GLOBAL:
            yield group
            group = []
    if group:
        yield group


def _launch(group: list[Statement], target: GpuTarget) -> Launch:
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
            operands = math.prod([loops[i].extent for i in body if access.strides[i]])
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
