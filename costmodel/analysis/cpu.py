"""What a CPU core must do for a scheduled kernel: instructions, cycles, bytes.

Counts are over one run of the kernel, all cores together. They are what the loops ask for; that
the compiler does nothing worse is what the regressor learns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from costmodel.analysis.footprint import Footprint, distinct
from costmodel.loopnest import Access, Loop, LoopKind, LoopNest, Statement
from costmodel.target import CpuTarget

LINE_BYTES = 64
"""Cache line: assumed for every core, though a Cortex-A9 has 32 bytes."""
MAXIMUM_WRITTEN_OUT = 64
"""LLVM writes out short loops of constant extent (the limit is assumed): serial loops over
the sums of a tile count as written out while the body has at most this many turns of them."""
LOOP_INSTRUCTIONS = 3
"""Counting, comparing and branching, and moving a pointer on."""
START_CYCLES = 12
"""Of a mispredicted branch, which the last of a short loop is: assumed. Its scale is the
regressor's to learn."""

_BODY = (LoopKind.UNROLLED, LoopKind.VECTORIZED)


@dataclass(slots=True)
class Work:
    """Instructions of one statement."""

    body_start: int
    """Loops around the straight code (the body)."""
    sum_start: int
    """Loops around the sums that the body adds to; `body_start` where it adds to none."""
    trips: int
    """Times that the body is run."""
    starts: int
    """Times that the innermost loop around the body is started."""
    arithmetic: float
    """Multiply-adds (or single operations) of vectors, or of scalars where nothing is a vector."""
    loads: float
    stores: float
    spills: float
    """Loads and stores of sums that find no register."""
    scalar_loads: float
    """Those of `loads` that read one number, for all lanes or for one."""
    gathered: float
    """Those of `loads` and `stores` that move single numbers for a vector."""
    chain: float
    """Additions that wait for each other, one after another."""
    accumulators: float
    """Registers that hold the sums of a body."""
    operands: float
    """Loads of one body."""
    is_vector: bool

    @property
    def instructions(self) -> float:
        """All that is issued, loops included."""
        moved = self.loads + self.stores + self.spills
        return self.arithmetic + moved + LOOP_INSTRUCTIONS * self.trips


def work(statement: Statement, target: CpuTarget) -> Work:
    """Counts the instructions of a statement."""
    loops, store = statement.loops, statement.store
    sums = any(load.buffer == store.buffer for load in statement.loads)
    body_start = _body_start(statement, MAXIMUM_WRITTEN_OUT if sums else 1)
    sum_start = body_start
    limit = store.private_depth or 0
    while sums and sum_start > limit and store.strides[sum_start - 1] == 0:
        sum_start -= 1
    body = range(body_start, len(loops))
    lanes = target.vector_lanes
    vector = next((i for i in body if loops[i].kind is LoopKind.VECTORIZED), None)
    trips = math.prod([loop.extent for loop in loops[:body_start]])
    operations = 1
    for i in body:
        operations *= math.ceil(loops[i].extent / lanes) if i == vector else loops[i].extent
    arithmetic = trips * operations * (statement.flops / 2 if statement.flops > 1 else
                                       statement.flops)  # fmt: skip
    accumulators, store_gathers = _moves(loops, store, body, vector, lanes)
    operands = loads = gathered = scalars = 0.0
    for load in statement.loads:
        if load.buffer == store.buffer:
            continue
        count, gathers = _moves(loops, load, body, vector, lanes)
        operands += count
        loads += trips * count
        gathered += trips * count if gathers else 0.0
        if vector is None or load.strides[vector] != 1:
            scalars += trips * count
    tiles = math.prod([loop.extent for loop in loops[:sum_start]])
    stores, chain, spills = float(tiles * accumulators), 0.0, 0.0
    if sums:
        loads += stores
        chain = trips * operations / max(accumulators, 1)
        wanted = accumulators + min(operands, 2) - target.vector_registers
        spills = 2.0 * trips * max(0.0, min(wanted, accumulators))
    return Work(
        body_start=body_start,
        sum_start=sum_start,
        trips=trips,
        starts=trips // (loops[body_start - 1].extent if body_start else 1),
        arithmetic=arithmetic,
        loads=loads,
        stores=stores,
        spills=spills,
        scalar_loads=scalars,
        gathered=gathered + (stores if store_gathers else 0.0),
        chain=chain,
        accumulators=accumulators,
        operands=operands,
        is_vector=vector is not None and lanes > 1,
    )


class CpuAnalysis:
    """What the features share about one nest on one CPU."""

    def __init__(self, nest: LoopNest, target: CpuTarget, useful_flops: int) -> None:
        self.nest = nest
        self.target = target
        self.useful_flops = useful_flops
        self.total_flops = float(sum(s.total_flops for s in nest.statements))
        """Arithmetic with padding."""
        self.outputs = distinct(nest.statements[-1].loops, nest.statements[-1].store)
        """Numbers that the last statement writes."""
        self.hot = hot = nest.hot
        self.hot_work = hot_work = work(hot, target)
        others = [s for s in nest.statements if s is not hot]

        self.fma_cycles = hot_work.arithmetic / target.fma_per_cycle
        """Of the hot statement's arithmetic."""
        self.load_cycles = (hot_work.loads + hot_work.spills) / target.loads_per_cycle
        """Of its loads and spills."""
        self.issue_cycles = hot_work.instructions / target.issue_width
        """In which its instructions can be issued."""
        self.latency_cycles = hot_work.chain * target.fma_latency
        """Of additions that wait for each other."""
        self.core_cycles = max(
            self.fma_cycles, self.load_cycles, self.issue_cycles, self.latency_cycles, 1.0
        )
        """Of the hot statement when all that it reads is in the first cache."""
        self.side_cycles = sum(_side_cycles(work(s, target), target) for s in others)
        """Of all other statements: padding, packing, initialisation, output."""
        self.bound_cycles = self.core_cycles + self.side_cycles
        """Of all cores together: the slowest of what must be done, and what surrounds it."""
        self.start_cycles = hot_work.starts * START_CYCLES
        """That the starts of the innermost loop may take."""

        streams = tuple(a for a in hot.loads if a.buffer != hot.store.buffer)
        self.footprint = footprint = Footprint(hot, streams, LINE_BYTES)
        self.l1_traffic = footprint.traffic(target.l1_bytes)
        """Bytes that the hot loops fetch from beyond the first cache."""
        self.l2_traffic = footprint.traffic(target.l2_bytes)
        """Bytes that they fetch from beyond the second cache."""
        self.fill_cycles = self.l1_traffic / target.l2_bytes_per_cycle
        """Of filling the first cache from the second."""
        stays = footprint.total[0] <= target.l2_bytes
        bytes_per_cycle = target.memory_gb_per_s * 1e3 / target.frequency_mhz
        self.memory_cycles = 0.0 if stays else self.l2_traffic / bytes_per_cycle
        """Of filling the second cache; none where it keeps all from one run to the next."""
        self.least_memory_cycles = 0.0 if stays else footprint.total[0] / bytes_per_cycle
        """The same if each byte came once."""
        self.side_bytes = 4.0 * sum(s.iterations * (1 + len(s.loads)) for s in others)
        """Bytes read and written by all other statements."""

        parallel = [loop.extent for loop in hot.loops if loop.kind is LoopKind.PARALLEL]
        self.parallel_turns = math.prod(parallel)
        """Turns of the loop that is shared out to the cores; 1 where none is."""
        self.busy_cores = self.parallel_turns / math.ceil(self.parallel_turns / target.cores)
        """Cores that work, on average, until the last is done: turns / ceil(turns / cores)."""
        cycles = max(self.bound_cycles, self.least_memory_cycles)
        self.roofline_seconds = cycles / self.busy_cores / (target.frequency_mhz * 1e6)
        """Least time of the kernel: the bound that predictions are ratios to."""

    def extent_of(self, kind: LoopKind) -> int:
        """Extent of the hot statement's innermost loop of a kind; 1 where there is none."""
        return next((loop.extent for loop in reversed(self.hot.loops) if loop.kind is kind), 1)

    @property
    def vector_fill(self) -> float:
        """Lanes used over lanes there, in the hot statement's arithmetic."""
        if not self.hot_work.is_vector:
            return 1 / self.target.vector_lanes
        extent = self.extent_of(LoopKind.VECTORIZED)
        lanes = self.target.vector_lanes
        return extent / (math.ceil(extent / lanes) * lanes)

    @property
    def innermost_extent(self) -> int:
        """Turns of the innermost loop around the hot body."""
        start = self.hot_work.body_start
        return self.hot.loops[start - 1].extent if start else 1


def _side_cycles(side: Work, target: CpuTarget) -> float:
    moved = (side.loads + side.stores + side.spills) / target.loads_per_cycle
    return max(
        moved, side.arithmetic / target.fma_per_cycle, side.instructions / target.issue_width
    )


def _body_start(statement: Statement, written_out: int) -> int:
    """Loops around straight code: unrolled, vectorised, or so short that LLVM writes them out."""
    loops, strides = statement.loops, statement.store.strides
    start, turns = len(loops), 1
    while start:
        loop = loops[start - 1]
        if loop.kind not in _BODY:
            turns *= loop.extent
            short = loop.kind is LoopKind.SERIAL and turns <= written_out
            if not (short and strides[start - 1]):
                break
        start -= 1
    return start


def _moves(
    loops: tuple[Loop, ...], access: Access, body: range, vector: int | None, lanes: int
) -> tuple[float, bool]:
    """Loads (or stores) of one body, and whether they move single numbers for a vector."""
    count, gathers = 1.0, False
    for i in body:
        if access.strides[i] == 0:
            continue
        if i == vector and access.strides[i] == 1:
            count *= math.ceil(loops[i].extent / lanes)
        else:
            gathers = gathers or i == vector
            count *= loops[i].extent
    return count, gathers
