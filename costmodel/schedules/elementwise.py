"""Functions number by number on maps and vectors, for CPUs: vector lanes over channels.

Where every operand lies as the output does and nothing is read by channel, the map is one line of
numbers. Else channels are turned inside pixels; they are taken in vectors where every operand has
room for whole ones, and one by one where one has not (the input of a network is not padded).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from costmodel.kernels import Array, ElementwiseKernel, Kernel
from costmodel.loopnest import LoopKind, LoopNest, PlainAccess, statement
from costmodel.schedules import epilogue
from costmodel.schedules.cpu_limits import PARALLEL_NUMBERS
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.target import CpuTarget, Target

if TYPE_CHECKING:
    import tvm

VECTORS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Geometry:
    """Extents of a kernel under one schedule."""

    pixels: int
    """One where the map is taken as a line."""
    blocks: int
    """Blocks of ``vectors`` vectors in a pixel."""
    vectors: int
    lanes: int
    output_pixel: int
    """Channels allocated for a pixel of the output."""
    parallel: bool

    @property
    def loops(self) -> list[tuple[int, LoopKind]]:
        """Pixels, blocks, vectors, lanes; the first that turns is shared out to the cores."""
        shared = LoopKind.PARALLEL if self.parallel else LoopKind.SERIAL
        return [
            (self.pixels, shared),
            (self.blocks, shared if self.pixels == 1 else LoopKind.SERIAL),
            (self.vectors, LoopKind.UNROLLED),
            (self.lanes, LoopKind.VECTORIZED),
        ]


class Elementwise(ScheduleFamily[ElementwiseKernel]):
    """Parameter: ``vectors`` computed in one turn."""

    name = "elementwise"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        """Whether this is such a chain, and for a CPU."""
        return isinstance(kernel, ElementwiseKernel) and isinstance(target, CpuTarget)

    def points(self, kernel: ElementwiseKernel, target: Target) -> tuple[Schedule, ...]:
        _, numbers, lanes = _line(kernel, cast(CpuTarget, target))
        found = [v for v in VECTORS if numbers // lanes % v == 0] if lanes > 1 else [1]
        return tuple(Schedule(self.name, (("vectors", v),)) for v in found)

    def geometry(self, kernel: ElementwiseKernel, schedule: Schedule, target: Target) -> Geometry:
        """Extents that `describe` and `module` share."""
        core = cast(CpuTarget, target)
        pixels, numbers, lanes = _line(kernel, core)
        return Geometry(
            pixels=pixels,
            blocks=numbers // lanes // schedule["vectors"],
            vectors=schedule["vectors"],
            lanes=lanes,
            output_pixel=core.padded(kernel.channels),
            parallel=core.cores > 1 and pixels * numbers >= PARALLEL_NUMBERS,
        )

    def shapes(
        self, kernel: ElementwiseKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        del schedule
        size, padded = (kernel.height, kernel.width), target.padded(kernel.channels)
        read = [
            (1, 1, operand.stride) if operand.is_vector else (*size, operand.stride)
            for operand in kernel.operands
        ]
        affine = 2 * kernel.operations.count("affine")
        return (*read, *[(padded,)] * affine, (*size, padded))

    def pack(
        self,
        kernel: ElementwiseKernel,
        schedule: Schedule,
        target: Target,
        constants: tuple[Array, ...],
    ) -> tuple[Array, ...]:
        """Scales and shifts, padded with zeros."""
        del schedule
        behind = target.padded(kernel.channels) - kernel.channels
        return tuple(np.pad(constant, (0, behind)) for constant in constants)

    def describe(self, kernel: ElementwiseKernel, schedule: Schedule, target: Target) -> LoopNest:
        g = self.geometry(kernel, schedule, target)
        inner = (g.vectors * g.lanes, g.lanes, 1)
        loads: set[PlainAccess] = {
            (f"x{i}", (0 if operand.is_vector else operand.stride, *inner), None)
            for i, operand in enumerate(kernel.operands)
        }
        for i in range(kernel.operations.count("affine")):
            loads |= {(f"scale{i}", (0, *inner), None), (f"shift{i}", (0, *inner), None)}
        written = ("out", (g.output_pixel, *inner), None)
        flops = epilogue.flops(kernel.operations, before=0)
        return LoopNest((statement(g.loops, written, sorted(loads), flops=flops),))

    def module(self, kernel: ElementwiseKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        from costmodel.schedules import elementwise_tvm

        g = self.geometry(kernel, schedule, target)
        return elementwise_tvm.written(kernel, g, self.shapes(kernel, schedule, target))


def _line(kernel: ElementwiseKernel, target: CpuTarget) -> tuple[int, int, int]:
    """Pixels, numbers in each, and lanes."""
    lanes, pixels = target.vector_lanes, kernel.height * kernel.width
    padded, whole = target.padded(kernel.channels), math.ceil(kernel.channels / lanes) * lanes
    strides = {operand.stride for operand in kernel.operands}
    by_channel = "affine" in kernel.operations or any(o.is_vector for o in kernel.operands)
    if strides == {padded} and not (by_channel and pixels > 1):
        return 1, pixels * padded, lanes
    if min(strides) >= whole:
        return pixels, whole, lanes
    return pixels, kernel.channels, 1
