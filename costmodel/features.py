"""Features of a scheduled kernel: one list for every target, each with its unit and its reason.

They are computed from the loops (`costmodel.loopnest`) and the facts of the processor
(`costmodel.target`), never from a layer's settings. What does not apply to a kind of processor is
zero there. `costmodel.analysis.cpu` and `costmodel.analysis.gpu` say how the loops are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from costmodel.analysis.cpu import CpuAnalysis
from costmodel.analysis.gpu import GpuAnalysis
from costmodel.analysis.launch import SECTOR_BYTES
from costmodel.loopnest import LoopKind, LoopNest
from costmodel.target import CpuTarget, GpuTarget, Target

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Analysis = CpuAnalysis | GpuAnalysis


@dataclass(frozen=True)
class Feature:
    """A number read from a scheduled kernel."""

    name: str
    unit: str
    reason: str
    cpu: Callable[[CpuAnalysis], float] | None = None
    """None where it says nothing about a CPU."""
    gpu: Callable[[GpuAnalysis], float] | None = None
    """None where it says nothing about a GPU."""


def _log(value: float) -> float:
    return math.log(max(value, 1e-9))


FEATURES: tuple[Feature, ...] = (
    # Work
    Feature("bound_cycles", "log cycles", "roofline of the processor: what must be paid at least",
            lambda a: _log(a.bound_cycles), lambda a: _log(a.bound_cycles)),
    Feature("operations", "log count", "arithmetic that the result needs, whatever the schedule",
            lambda a: _log(max(a.useful_flops, 1)), lambda a: _log(max(a.useful_flops, 1))),
    Feature("useful_share", "ratio", "useful arithmetic over arithmetic with padding",
            lambda a: a.useful_flops / max(a.total_flops, a.useful_flops, 1),
            lambda a: a.useful_flops / max(a.total_flops, a.useful_flops, 1)),
    Feature("fma_share", "ratio", "arithmetic over the roofline: 1 when multiply-adds bind",
            lambda a: a.fma_cycles / a.bound_cycles, lambda a: a.fma_cycles / a.bound_cycles),
    Feature("issue_share", "ratio", "instructions over issue slots: 1 when the front end binds",
            lambda a: a.issue_cycles / a.bound_cycles, lambda a: a.issue_cycles / a.bound_cycles),
    Feature("latency_share", "log ratio", "waiting (dependent sums; memory) over the roofline",
            lambda a: _log(max(a.latency_cycles / a.bound_cycles, 1e-3)),
            lambda a: _log(max(a.latency_cycles / a.bound_cycles, 1e-3))),
    Feature("statements", "count", "copies before and after the hot loops",
            lambda a: float(len(a.nest.statements)), lambda a: float(len(a.nest.statements))),
    Feature("guarded", "0 or 1", "output stores under a condition: ragged tiles",
            lambda a: float(any(s.guarded for s in a.nest.statements)),
            lambda a: float(any(s.guarded for s in a.nest.statements))),
    # Instruction mix of a CPU
    Feature("load_share", "ratio", "loads over the roofline: 1 when load ports bind",
            lambda a: a.load_cycles / a.bound_cycles),
    Feature("side_share", "ratio", "padding, packing, initialisation, output over the roofline",
            lambda a: a.side_cycles / a.bound_cycles),
    Feature("loads_per_fma", "ratio", "operands fetched anew: what the register tile saves",
            lambda a: (a.hot_work.loads + a.hot_work.spills) / max(a.hot_work.arithmetic, 1)),
    Feature("scalar_loads_per_fma", "ratio", "loads of one number for all lanes",
            lambda a: a.hot_work.scalar_loads / max(a.hot_work.arithmetic, 1)),
    Feature("stores_per_fma", "ratio", "sums that are written back before they are complete",
            lambda a: a.hot_work.stores / max(a.hot_work.arithmetic, 1)),
    Feature("vector_fill", "ratio", "lanes used over lanes there: 1 / lanes in scalar code",
            lambda a: a.vector_fill),
    Feature("gathered_share", "ratio", "single numbers moved for a vector, over all moves",
            lambda a: a.hot_work.gathered / max(a.hot_work.loads + a.hot_work.stores, 1)),
    # Register tile
    Feature("accumulators", "registers", "size of the register tile",
            lambda a: min(a.hot_work.accumulators, 256.0), lambda a: a.main.accumulators),
    Feature("register_share", "ratio", "registers wanted over registers there: spills above 1",
            lambda a: min(a.hot_work.accumulators + a.hot_work.operands, 256.0)
            / a.target.vector_registers,
            lambda a: a.main.registers / a.target.registers_per_thread),
    Feature("spills_per_fma", "ratio", "sums that find no register",
            lambda a: a.hot_work.spills / max(a.hot_work.arithmetic, 1)),
    Feature("tile_columns", "log count", "broadcast operands of a tile: accumulators a vector",
            lambda a: _log(a.hot_work.accumulators * a.target.vector_lanes
                           / a.extent_of(LoopKind.VECTORIZED))),
    Feature("body", "log instructions", "straight code: too long a body leaves the fast fetch",
            lambda a: _log(a.hot_work.instructions / a.hot_work.trips)),
    # Loops
    Feature("tiles", "log count", "starts and ends of a register tile",
            lambda a: _log(a.hot_work.stores / max(a.hot_work.accumulators, 1))),
    Feature("innermost_extent", "log count", "turns of the innermost loop: its exit mispredicts",
            lambda a: _log(a.innermost_extent)),
    Feature("trips_per_tile", "log count", "turns that a tile's start and end are spread over",
            lambda a: _log(a.hot_work.trips * a.hot_work.accumulators
                           / max(a.hot_work.stores, 1))),
    Feature("reduction_depth", "loops", "loops that a tile is accumulated over",
            lambda a: float(a.hot_work.body_start - a.hot_work.sum_start)),
    Feature("starts_share", "log ratio", "starts of the innermost loop over the roofline",
            lambda a: _log(max(a.start_cycles / a.bound_cycles, 1e-4))),
    Feature("tiles_per_cycle", "log ratio", "tile starts over the roofline",
            lambda a: _log(max(a.hot_work.stores / max(a.hot_work.accumulators, 1)
                               / a.bound_cycles, 1e-6))),
    # Memory
    Feature("l1_traffic", "log bytes", "what the hot loops fetch from beyond the first cache",
            lambda a: _log(a.l1_traffic),
            lambda a: _log(a.main.sectors * SECTOR_BYTES)),
    Feature("l2_traffic", "log bytes", "what the hot loops fetch from beyond the second cache",
            lambda a: _log(a.l2_traffic), lambda a: _log(a.main.dram_bytes)),
    Feature("fill_ratio", "log ratio", "filling the first cache over the processor's own work",
            lambda a: _log(max(a.fill_cycles / a.core_cycles, 1e-3)),
            lambda a: _log(max(a.l2_cycles / a.bound_cycles, 1e-3))),
    Feature("memory_ratio", "log ratio", "filling the second cache over the processor's own work",
            lambda a: _log(max(a.memory_cycles / a.core_cycles, 1e-2)),
            lambda a: _log(max(a.memory_cycles / a.bound_cycles, 1e-2))),
    Feature("touched_bytes", "log bytes", "everything the hot loops touch",
            lambda a: _log(a.footprint.total[0])),
    Feature("smaller_operand", "log bytes", "what the hot loops read of the smaller buffer",
            lambda a: _log(max(a.footprint.operands[:1], default=1.0))),
    Feature("larger_operand", "log bytes", "what the hot loops read of the larger buffer",
            lambda a: _log(max(a.footprint.operands, default=1.0))),
    Feature("output_operations", "log count", "arithmetic for each number that is written last",
            lambda a: _log(a.useful_flops / a.outputs), lambda a: _log(a.useful_flops / a.outputs)),
    Feature("tile_bytes", "log ratio", "what one register tile touches over the first cache",
            lambda a: _log(a.footprint.total[a.hot_work.sum_start] / a.target.l1_bytes)),
    Feature("row_bytes", "log ratio", "what the loop around the tiles touches over the first cache",
            lambda a: _log(a.footprint.total[max(a.hot_work.sum_start - 1, 0)]
                           / a.target.l1_bytes)),
    Feature("l2_share", "log ratio", "everything touched over the second cache",
            lambda a: _log(a.footprint.total[0] / a.target.l2_bytes),
            lambda a: _log(a.main.dram_bytes / a.target.l2_bytes)),
    Feature("side_bytes", "ratio", "bytes of copies over those of the hot loops",
            lambda a: _log(max(a.side_bytes / max(a.footprint.total[0], 1.0), 1e-3))),
    # Cores
    Feature("busy_share", "ratio", "cores at work until the last is done, over cores: balance",
            lambda a: a.busy_cores / a.target.cores, lambda a: a.balance),
    Feature("tasks_per_core", "log ratio", "turns of the parallel loop, or blocks, a core",
            lambda a: _log(a.parallel_turns / a.target.cores),
            lambda a: _log(a.main.blocks / a.target.multiprocessors)),
    Feature("task_cycles", "log cycles", "work of a core between two wake-ups: what those cost",
            lambda a: _log(a.bound_cycles / a.busy_cores)),
    # Launches of a GPU
    Feature("launches", "count", "CUDA kernels, each of which is started",
            gpu=lambda a: float(len(a.launches))),
    Feature("launch_share", "log ratio", "time of the starts over the roofline",
            gpu=lambda a: _log(len(a.launches) * a.target.launch_seconds / a.roofline_seconds)),
    Feature("work_over_start", "log ratio", "time of the work over that of the starts",
            gpu=lambda a: _log(a.bound_cycles / (a.target.frequency_mhz * 1e6)
                               / (len(a.launches) * a.target.launch_seconds))),
    Feature("other_launches", "ratio", "cycles of all launches but the main one over the roofline",
            gpu=lambda a: 1 - a.main_cycles / a.bound_cycles),
    Feature("blocks", "log count", "blocks of the main launch",
            gpu=lambda a: _log(a.main.blocks)),
    Feature("threads", "log count", "threads of a block",
            gpu=lambda a: _log(a.main.threads)),
    Feature("warp_fill", "ratio", "threads over those of whole warps",
            gpu=lambda a: a.main.threads / (a.main.warps * a.target.warp_size)),
    Feature("occupancy", "ratio", "threads an SM holds over those it could: hides waiting",
            gpu=lambda a: a.occupancy),
    Feature("active_warps", "log count", "warps at work on an SM: too few cannot fill its units",
            gpu=lambda a: _log(a.active_warps)),
    Feature("waves", "log count", "blocks over those held at once",
            gpu=lambda a: _log(a.waves)),
    Feature("tail", "ratio", "whole waves over waves: how idle the last one is",
            gpu=lambda a: min(math.ceil(a.waves) / a.waves, 4.0)),
    Feature("shared_bytes", "log bytes", "shared memory of a block",
            gpu=lambda a: _log(max(a.main.shared_bytes, 1))),
    Feature("shared_share", "ratio", "requests to shared memory over the roofline",
            gpu=lambda a: a.shared_cycles / a.bound_cycles),
    Feature("conflicts", "ratio", "turns that an access to shared memory takes: banks in conflict",
            gpu=lambda a: a.main.shared_loads / max(a.main.shared_requests, 1.0)),
    Feature("fma_per_shared", "log ratio", "arithmetic for each load from shared memory: reuse",
            gpu=lambda a: _log(max(a.main.arithmetic / max(a.main.shared_requests, 1.0), 1e-3))),
    Feature("coalescing", "ratio", "sectors fetched over those that the numbers would fill",
            gpu=lambda a: a.main.sectors / max(a.main.ideal_sectors, 1.0)),
    Feature("fma_per_sector", "log ratio", "arithmetic for each sector fetched: reuse in a block",
            gpu=lambda a: _log(a.main.flops_per_sector)),
    Feature("steps", "log count", "loads from global memory that a thread waits for in turn",
            gpu=lambda a: _log(max(a.main.steps, 1.0))),
    # Facts of the processor: constant for one device, they carry what is learnt to another.
    Feature("frequency", "log MHz", "memory is further away, in cycles, from a faster core",
            lambda a: _log(a.target.frequency_mhz), lambda a: _log(a.target.frequency_mhz)),
    Feature("fma_per_cycle", "log ratio", "vector multiply-adds started a cycle; threads on an SM",
            lambda a: _log(a.target.fma_per_cycle),
            lambda a: _log(a.target.fma_per_multiprocessor / a.target.warp_size)),
    Feature("fma_latency", "log cycles", "sums needed to fill the units",
            lambda a: _log(a.target.fma_latency)),
    Feature("loads_per_cycle", "log ratio", "operands that can be had beside the arithmetic",
            lambda a: _log(a.target.loads_per_cycle)),
    Feature("issue_width", "log ratio", "room for loops and addresses beside the arithmetic",
            lambda a: _log(a.target.issue_width)),
    Feature("in_order", "0 or 1", "whether a core stops at the first instruction that must wait",
            lambda a: float(not a.target.out_of_order)),
    Feature("vector_registers", "log count", "largest tile that does not spill",
            lambda a: _log(a.target.vector_registers)),
    Feature("lanes", "log count", "numbers in a vector",
            lambda a: _log(a.target.vector_lanes), lambda a: _log(a.target.warp_size)),
    Feature("l1_size", "log bytes", "first cache; shared memory of an SM",
            lambda a: _log(a.target.l1_bytes),
            lambda a: _log(a.target.shared_bytes_per_multiprocessor)),
    Feature("l2_size", "log bytes", "second cache",
            lambda a: _log(a.target.l2_bytes), lambda a: _log(a.target.l2_bytes)),
    Feature("fill_rate", "log bytes/cycle", "what the second cache gives the first",
            lambda a: _log(a.target.l2_bytes_per_cycle)),
    Feature("memory_rate", "log bytes/cycle", "what memory gives",
            lambda a: _log(a.target.memory_gb_per_s * 1e3 / a.target.frequency_mhz),
            lambda a: _log(a.target.memory_gb_per_s * 1e3 / a.target.frequency_mhz)),
    Feature("cores", "log count", "cores, or multiprocessors, that a kernel may use",
            lambda a: _log(a.target.cores), lambda a: _log(a.target.multiprocessors)),
)  # fmt: skip
"""Order is part of a stored model: append, never reorder (the model records the names)."""

NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)


def analyse(nest: LoopNest, target: Target, useful_flops: int) -> Analysis:
    """Reads the loops for a target; its features and its roofline share the reading."""
    if isinstance(target, GpuTarget):
        return GpuAnalysis(nest, target, useful_flops)
    return CpuAnalysis(nest, cast(CpuTarget, target), useful_flops)


def row(analysis: Analysis) -> list[float]:
    """The features, in the order of `NAMES`."""
    if isinstance(analysis, CpuAnalysis):
        return [0.0 if f is None else f(analysis) for f in _CPU]
    return [0.0 if f is None else f(analysis) for f in _GPU]


def extract(nest: LoopNest, target: Target, useful_flops: int) -> Vector:
    """The features of one scheduled kernel, in the order of `NAMES`."""
    return np.array(row(analyse(nest, target, useful_flops)), np.float64)


def roofline_seconds(nest: LoopNest, target: Target) -> float:
    """Least time of the kernel on this processor: the bound that predictions are ratios to."""
    return analyse(nest, target, useful_flops=1).roofline_seconds


def rows_and_bounds(
    nests: Sequence[LoopNest], target: Target, useful_flops: int
) -> tuple[Matrix, Vector]:
    """Features [n, f] and rooflines in seconds [n] of one kernel under n schedules."""
    analyses = [analyse(nest, target, useful_flops) for nest in nests]
    bounds = np.array([analysis.roofline_seconds for analysis in analyses])
    return np.array([row(analysis) for analysis in analyses]), bounds


_CPU: tuple[Callable[[Any], float] | None, ...] = tuple(feature.cpu for feature in FEATURES)
_GPU: tuple[Callable[[Any], float] | None, ...] = tuple(feature.gpu for feature in FEATURES)
