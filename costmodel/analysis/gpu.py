"""What a GPU must do for a scheduled kernel: cycles, occupancy, waves, balance.

Counts are over one run, of the whole GPU. The model of time is a roofline: arithmetic, issue,
shared memory and memory work side by side, and the slowest binds.
"""

from __future__ import annotations

import math
from functools import cached_property

from costmodel.analysis.footprint import distinct
from costmodel.analysis.launch import SECTOR_BYTES, Launch, launch_of, launches
from costmodel.loopnest import LoopNest
from costmodel.target import GpuTarget

ISSUE_PER_CYCLE = 4
"""Warp schedulers of an SM, each issuing one instruction a cycle: Maxwell to Hopper (NVIDIA's
tuning guides)."""
MEMORY_LATENCY_CYCLES = 400
"""Of a load that misses the first cache: assumed, the order of magnitude of microbenchmarks."""
L2_OVER_MEMORY = 3.0
"""Bandwidth of the second cache over that of memory: assumed."""


class GpuAnalysis:
    """What the features share about one nest on one GPU."""

    def __init__(self, nest: LoopNest, target: GpuTarget, useful_flops: int) -> None:
        self.nest = nest
        self.target = target
        self.useful_flops = useful_flops
        self.outputs = distinct(nest.statements[-1].loops, nest.statements[-1].store)
        """Numbers that the last statement writes."""
        self.hot = nest.hot
        groups = list(launches(nest))
        self.launches = [launch_of(group, target) for group in groups]
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
