"""Features of a scheduled kernel: one list, each with its unit and its reason.

They are computed from the loops (`costmodel.loopnest`) and the facts of the core
(`costmodel.target`), never from a layer's settings alone. Counts are over one run of the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from costmodel.loopnest import Access, Loop, LoopKind, LoopNest, Statement
from costmodel.target import FLOAT_BYTES, CpuTarget

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """A number read from a scheduled kernel."""

    name: str
    unit: str
    reason: str
    compute: Callable[[Analysis], float]


class Analysis:
    """What the features share about one nest on one target."""

    def __init__(self, nest: LoopNest, target: CpuTarget, useful_flops: int) -> None:
        self.nest = nest
        self.target = target
        self.useful_flops = useful_flops
        self.hot = nest.hot
        self.tile_start = _tile_start(self.hot)

    @cached_property
    def tile(self) -> tuple[Loop, ...]:
        """Innermost loops of the hot statement that are unrolled or vectorised."""
        return self.hot.loops[self.tile_start :]

    @cached_property
    def trips(self) -> float:
        """Times that the register tile's body is run."""
        return math.prod(loop.extent for loop in self.hot.loops[: self.tile_start])

    @cached_property
    def accumulate_start(self) -> int:
        """Loops of the hot statement outside the tile's accumulators."""
        depth = self.hot.store.private_depth
        return self.tile_start if depth is None else min(depth, self.tile_start)

    @cached_property
    def tiles(self) -> float:
        """Register tiles computed."""
        return math.prod(loop.extent for loop in self.hot.loops[: self.accumulate_start])

    @cached_property
    def reduction_loops(self) -> tuple[Loop, ...]:
        """Serial loops that a tile is accumulated over."""
        return self.hot.loops[self.accumulate_start : self.tile_start]

    @cached_property
    def fmas_per_trip(self) -> float:
        """Vector instructions of arithmetic in one run of the body."""
        return self._vectors(self.hot, None)

    @cached_property
    def accumulators(self) -> float:
        """Vector registers that hold the tile's sums."""
        return self._vectors(self.hot, self.hot.store)

    @cached_property
    def loads_per_trip(self) -> float:
        """Vector or broadcast loads in one run of the body."""
        return sum(self._vectors(self.hot, load) for load in self._streams(self.hot))

    @cached_property
    def fma_cycles(self) -> float:
        """Cycles that the arithmetic takes at least."""
        return self.trips * self.fmas_per_trip / self.target.fma_per_cycle

    @cached_property
    def load_cycles(self) -> float:
        """Cycles that the loads of the hot statement take at least."""
        return self.trips * self.loads_per_trip / self.target.loads_per_cycle

    @cached_property
    def latency_cycles(self) -> float:
        """Cycles that the chain of multiply-adds into one accumulator takes at least."""
        return self.trips * self.target.fma_latency

    @cached_property
    def core_cycles(self) -> float:
        """Cycles that the hot statement takes at least when all it reads is in the first cache."""
        return max(self.fma_cycles, self.load_cycles, self.latency_cycles)

    @cached_property
    def fill_cycles(self) -> float:
        """Cycles that filling the first cache from the second takes at least."""
        return self.traffic_bytes(self.target.l1_bytes) / self.target.l2_bytes_per_cycle

    @cached_property
    def side_vectors(self) -> float:
        """Vector loads and stores of all other statements: padding, initialisation, output."""
        return sum(
            math.prod(loop.extent for loop in s.loops[: _tile_start(s)])
            * sum(self._vectors(s, access) for access in (s.store, *s.loads))
            for s in self.nest.statements
            if s is not self.hot
        )

    @cached_property
    def bound_cycles(self) -> float:
        """Roofline of the core: the slowest of what must be done, and what follows it."""
        return self.core_cycles + self.side_vectors / self.target.loads_per_cycle

    @cached_property
    def parallel_tasks(self) -> float:
        """Turns of the parallel loop over cores."""
        loops = self.hot.loops
        turns = math.prod(loop.extent for loop in loops if loop.kind is LoopKind.PARALLEL)
        return turns / self.target.cores

    def touched_bytes(self, depth: int) -> dict[str, float]:
        """Bytes of each buffer that one turn of the loops inside ``depth`` touches."""
        return {
            access.buffer: FLOAT_BYTES * _distinct(self.hot, access, depth)
            for access in self._streams(self.hot)
        }

    def traffic_bytes(self, cache_bytes: float) -> float:
        """Bytes that the hot statement fetches from beyond a cache of this size.

        The loops inside the outermost level whose data fit the cache fetch each byte once; a
        loop around them fetches again what it moves over.
        """
        depths = range(len(self.hot.loops) + 1)
        level = next(
            d
            for d in depths
            if sum(self.touched_bytes(d).values()) <= cache_bytes or d == len(self.hot.loops)
        )
        turns = math.prod(loop.extent for loop in self.hot.loops[:level])
        return turns * sum(self.touched_bytes(level).values())

    def _streams(self, statement: Statement) -> tuple[Access, ...]:
        return tuple(a for a in statement.loads if a.buffer != statement.store.buffer)

    def _vectors(self, statement: Statement, access: Access | None) -> float:
        """Vector operations of one run of a statement's tile; ``access`` None is arithmetic."""
        count = 1.0
        for index in range(_tile_start(statement), len(statement.loops)):
            loop = statement.loops[index]
            if access is not None and access.strides[index] == 0:
                continue
            vector = loop.kind is LoopKind.VECTORIZED
            count *= math.ceil(loop.extent / self.target.vector_lanes) if vector else loop.extent
        return count


def _tile_start(statement: Statement) -> int:
    start = len(statement.loops)
    while start and statement.loops[start - 1].kind in (LoopKind.UNROLLED, LoopKind.VECTORIZED):
        start -= 1
    return start


def _distinct(statement: Statement, access: Access, depth: int) -> float:
    """Elements that an access touches while the loops from ``depth`` on turn."""
    inner = [
        (loop.extent, abs(stride))
        for loop, stride in zip(statement.loops[depth:], access.strides[depth:], strict=True)
        if stride
    ]
    span = 1 + sum((extent - 1) * stride for extent, stride in inner)
    return float(min(math.prod(extent for extent, _ in inner), span))


def _log(value: float) -> float:
    return math.log(max(value, 1e-9))


FEATURES: tuple[Feature, ...] = (
    Feature("bound_cycles", "log cycles", "roofline of the core: what must be paid at least",
            lambda a: _log(a.bound_cycles)),
    Feature("fma_share", "ratio", "arithmetic over the roofline: 1 when multiply-adds bind",
            lambda a: a.fma_cycles / a.bound_cycles),
    Feature("load_share", "ratio", "loads over the roofline: 1 when load ports bind",
            lambda a: a.load_cycles / a.bound_cycles),
    Feature("latency_share", "ratio", "dependent multiply-adds over the roofline",
            lambda a: a.latency_cycles / a.bound_cycles),
    Feature("fill_ratio", "ratio", "filling the first cache over the core's own work: stalls",
            lambda a: a.fill_cycles / a.core_cycles),
    Feature("side_share", "ratio", "padding, initialisation and output over the roofline",
            lambda a: a.side_vectors / a.target.loads_per_cycle / a.bound_cycles),
    Feature("useful_share", "ratio", "useful arithmetic over arithmetic with padding",
            lambda a: a.useful_flops / max(sum(s.total_flops for s in a.nest.statements), 1)),
    Feature("accumulators", "registers", "size of the register tile",
            lambda a: a.accumulators),
    Feature("register_share", "ratio", "registers wanted over registers there: spills above 1",
            lambda a: (a.accumulators + a.loads_per_trip) / a.target.vector_registers),
    Feature("loads_per_fma", "ratio", "reuse inside the register tile",
            lambda a: a.loads_per_trip / a.fmas_per_trip),
    Feature("tile_columns", "loops", "outermost unrolled extent: broadcast operands of the tile",
            lambda a: a.tile[0].extent if len(a.tile) > 1 else 1),
    Feature("tiles", "log count", "starts and ends of a register tile",
            lambda a: _log(a.tiles)),
    Feature("trips_per_tile", "log count", "turns that a tile's start and end are spread over",
            lambda a: _log(a.trips / a.tiles)),
    Feature("innermost_extent", "log count", "turns of the innermost loop: its exit mispredicts",
            lambda a: _log(a.reduction_loops[-1].extent if a.reduction_loops else 1)),
    Feature("reduction_depth", "loops", "loops that a tile is accumulated over",
            lambda a: float(len(a.reduction_loops))),
    Feature("inner_starts", "log count", "starts of the innermost loop",
            lambda a: _log(a.trips / (a.reduction_loops[-1].extent if a.reduction_loops else 1))),
    Feature("starts_per_cycle", "log ratio", "starts of the innermost loop over the roofline",
            lambda a: _log(a.trips / (a.reduction_loops[-1].extent if a.reduction_loops else 1)
                           / a.bound_cycles)),
    Feature("tiles_per_cycle", "log ratio", "tile starts over the roofline",
            lambda a: _log(a.tiles / a.bound_cycles)),
    Feature("l1_traffic", "log bytes", "what the hot loops fetch from beyond the first cache",
            lambda a: _log(a.traffic_bytes(a.target.l1_bytes))),
    Feature("l2_traffic", "log bytes", "what the hot loops fetch from beyond the second cache",
            lambda a: _log(a.traffic_bytes(a.target.l2_bytes))),
    Feature("l1_bytes_per_cycle", "bytes/cycle", "that traffic over the roofline",
            lambda a: a.traffic_bytes(a.target.l1_bytes) / a.bound_cycles),
    Feature("touched_bytes", "log bytes", "everything the hot loops touch",
            lambda a: _log(sum(a.touched_bytes(0).values()))),
    Feature("tile_bytes", "log bytes", "what one register tile touches",
            lambda a: _log(sum(a.touched_bytes(a.accumulate_start).values()))),
    Feature("statements", "count", "copies before and after the hot loops",
            lambda a: float(len(a.nest.statements))),
    Feature("guarded", "0 or 1", "output stores under a condition: ragged tiles",
            lambda a: float(any(s.guarded for s in a.nest.statements))),
    Feature("parallel_tasks", "ratio", "turns of the parallel loop over cores: balance",
            lambda a: a.parallel_tasks),
)  # fmt: skip
"""Order is part of a stored model: append, never reorder (the model records the names)."""

NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)


def roofline_seconds(nest: LoopNest, target: CpuTarget) -> float:
    """Least time of the kernel on this core: the bound that predictions are ratios to."""
    analysis = Analysis(nest, target, useful_flops=1)
    beyond = analysis.traffic_bytes(target.l2_bytes) / (target.memory_gb_per_s * 1e9)
    cycles = analysis.bound_cycles / min(target.cores, max(1.0, analysis.parallel_tasks))
    return max(cycles / (target.frequency_mhz * 1e6), beyond)


def extract(nest: LoopNest, target: CpuTarget, useful_flops: int) -> Vector:
    """The features of one scheduled kernel, in the order of `NAMES`."""
    analysis = Analysis(nest, target, useful_flops)
    return np.array([feature.compute(analysis) for feature in FEATURES], np.float64)
