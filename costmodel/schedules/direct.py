"""Register-tiled direct convolution for CPUs.

Activations are ``[H, W, C]``, weights packed ``[M/VC, kh, kw, C, VC]`` with VC = vectors x lanes.
A tile of ``columns`` output pixels by ``vectors`` vectors of filters is accumulated in registers
over kh, kw and C, then bias and epilogue are applied and the tile is stored. A filter of a grouped
convolution reads the C / groups channels of its group; a block of VC filters lies in one group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from costmodel.kernels import Array, ConvKernel, Kernel
from costmodel.loopnest import LoopKind, LoopNest, Statement, statement
from costmodel.schedules import epilogue
from costmodel.schedules.cpu_limits import ENOUGH_ACCUMULATORS, MAXIMUM_WASTE, PARALLEL_FLOPS
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.schedules.filter_blocks import blocked
from costmodel.target import CpuTarget, Target

if TYPE_CHECKING:
    import tvm

MAXIMUM_VECTORS = 8
"""Wider tiles of filters never won in trials, and each costs code size."""
MINIMUM_COLUMNS = 4
"""A weight that is loaded serves as many multiply-adds as a tile has columns: with fewer, weights
that do not fit the first cache come from the second too slowly (1.4 to 2 times the roofline in
measurements on an AVX-512 core, against 1.0 to 1.2 from four columns on)."""
WIDE_VECTORS, WIDE_MINIMUM_COLUMNS = 7, 2
"""From so many vectors of filters on, two columns suffice: the sums fill the registers. 50 filters
are seven vectors of eight lanes; their kernels took 0.89 to 0.97 times the time of the fastest of
one vector (znver4)."""
MAXIMUM_COLUMNS = 16
"""More columns than this fit no register file together with a vector of weights."""


Axis = Literal["block", "row", "tile"]


@dataclass(frozen=True)
class Geometry:
    """Extents of a kernel under one schedule."""

    lanes: int
    vectors: int
    columns: int
    blocks: int
    """Blocks of VC filters."""
    rows: int
    output_columns: int
    column_tiles: int
    padded_height: int
    padded_width: int
    has_pad: bool
    order: tuple[Axis, ...]
    """Loops over tiles, outermost first."""
    parallel: bool
    """Whether the first of them is shared out to the cores."""

    @property
    def filter_block(self) -> int:
        """VC: filters computed together."""
        return self.vectors * self.lanes

    @property
    def extents(self) -> dict[Axis, int]:
        """Turns of each loop over tiles."""
        return {"block": self.blocks, "row": self.rows, "tile": self.column_tiles}


class DirectConvolution(ScheduleFamily[ConvKernel]):
    """See the module. Parameters: ``vectors`` of filters and ``columns`` of a register tile."""

    name = "direct"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        """Whether whole vectors of filters lie in one group of a convolution, on a CPU."""
        if not isinstance(kernel, ConvKernel) or not isinstance(target, CpuTarget):
            return False
        return kernel.groups == 1 or kernel.group_filters % target.vector_lanes == 0

    def points(self, kernel: ConvKernel, target: Target) -> tuple[Schedule, ...]:
        core = cast(CpuTarget, target)
        total_vectors = core.padded(kernel.filters) // core.vector_lanes
        if kernel.groups > 1:
            total_vectors = kernel.group_filters // core.vector_lanes
        width = kernel.output_size[1]
        tiles = [
            (v, t)
            for v in range(1, min(total_vectors, MAXIMUM_VECTORS) + 1)
            if total_vectors % v == 0
            for t in range(min(width, _least_columns(v)), min(width, MAXIMUM_COLUMNS) + 1)
            if math.ceil(width / t) * t <= MAXIMUM_WASTE * width
            # accumulators, the smaller side of the operands, and the other side's current one
            if v * t + min(v, t) + 1 <= core.vector_registers
        ]
        enough = min(ENOUGH_ACCUMULATORS, max(v * t for v, t in tiles))
        kept = [(v, t) for v, t in tiles if v * t >= enough]
        return tuple(Schedule(self.name, (("vectors", v), ("columns", t))) for v, t in sorted(kept))

    def geometry(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> Geometry:
        """Extents that `describe`, `module` and `shapes` share."""
        core = cast(CpuTarget, target)
        rows, width = kernel.output_size
        columns = schedule["columns"]
        tiles = math.ceil(width / columns)
        (sh, sw), window = kernel.stride, kernel.window
        height, padded_width = (rows - 1) * sh + window[0], (tiles * columns - 1) * sw + window[1]
        lanes = core.vector_lanes
        blocks = core.padded(kernel.filters) // lanes // schedule["vectors"]
        parallel = core.cores > 1 and kernel.flops >= PARALLEL_FLOPS
        extents: dict[Axis, int] = {"block": blocks, "row": rows, "tile": tiles}
        return Geometry(
            lanes=lanes,
            vectors=schedule["vectors"],
            columns=columns,
            blocks=blocks,
            rows=rows,
            output_columns=width,
            column_tiles=tiles,
            padded_height=height,
            padded_width=padded_width,
            has_pad=any(kernel.padding) or height > kernel.height or padded_width > kernel.width,
            order=_order(extents, core.cores if parallel else 1),
            parallel=parallel,
        )

    def shapes(
        self, kernel: ConvKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        g = self.geometry(kernel, schedule, target)
        output = (g.rows, g.output_columns, g.blocks * g.filter_block)
        return (
            (kernel.height, kernel.width, kernel.input_stride),
            *[output] * (kernel.inputs - 1),
            (g.blocks, *kernel.kernel, kernel.group_channels, g.filter_block),
            (g.blocks * g.filter_block,),
            output,
        )

    def pack(
        self,
        kernel: ConvKernel,
        schedule: Schedule,
        target: Target,
        constants: tuple[Array, ...],
    ) -> tuple[Array, ...]:
        """Filters in blocks of VC, padded with zeros."""
        g = self.geometry(kernel, schedule, target)
        weight, bias = blocked(kernel, g.blocks, g.filter_block, constants)
        return np.ascontiguousarray(weight.transpose(0, 3, 4, 2, 1)), bias

    def scratch_elements(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> int:
        g = self.geometry(kernel, schedule, target)
        return g.padded_height * g.padded_width * kernel.input_stride if g.has_pad else 0

    def describe(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> LoopNest:
        g = self.geometry(kernel, schedule, target)
        pad = [_describe_pad(kernel, g)] if g.has_pad else []
        return LoopNest((*pad, *_describe_tile(kernel, g)))

    def module(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        from costmodel.schedules import direct_tvm

        return direct_tvm.scheduled(kernel, self.geometry(kernel, schedule, target))


class PointwiseConvolution(ScheduleFamily[ConvKernel]):
    """A 1x1 convolution as a matrix product: the direct one over all pixels as one row.

    Register tiles run across the ends of rows, so that narrow maps waste nothing.
    """

    name = "pointwise"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        """Whether every output pixel reads the input pixel at its own place."""
        if not isinstance(kernel, ConvKernel) or not _DIRECT.handles(kernel, target):
            return False
        plain = kernel.kernel == (1, 1) and kernel.stride == (1, 1) and not any(kernel.padding)
        return plain and kernel.height > 1

    def points(self, kernel: ConvKernel, target: Target) -> tuple[Schedule, ...]:
        flat = _DIRECT.points(_flat(kernel), target)
        return tuple(replace(schedule, family=self.name) for schedule in flat)

    def shapes(
        self, kernel: ConvKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        return _DIRECT.shapes(_flat(kernel), schedule, target)

    def pack(
        self,
        kernel: ConvKernel,
        schedule: Schedule,
        target: Target,
        constants: tuple[Array, ...],
    ) -> tuple[Array, ...]:
        return _DIRECT.pack(_flat(kernel), schedule, target, constants)

    def scratch_elements(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> int:
        return _DIRECT.scratch_elements(_flat(kernel), schedule, target)

    def describe(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> LoopNest:
        return _DIRECT.describe(_flat(kernel), schedule, target)

    def module(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        return _DIRECT.module(_flat(kernel), schedule, target)


_DIRECT = DirectConvolution()


def _least_columns(vectors: int) -> int:
    return WIDE_MINIMUM_COLUMNS if vectors >= WIDE_VECTORS else MINIMUM_COLUMNS


def _flat(kernel: ConvKernel) -> ConvKernel:
    return replace(kernel, height=1, width=kernel.height * kernel.width)


def _order(extents: dict[Axis, int], cores: int) -> tuple[Axis, ...]:
    """Filters outermost; on several cores, first the loop that shares out most evenly."""
    order: tuple[Axis, ...] = ("block", "row", "tile")
    if cores == 1:
        return order
    idle: dict[Axis, float] = {a: math.ceil(extents[a] / cores) * cores / extents[a] for a in order}
    candidates: tuple[Axis, ...] = ("row", "tile", "block")
    first = min(candidates, key=lambda axis: idle[axis])
    return (first, *(axis for axis in order if axis != first))


def _describe_pad(kernel: ConvKernel, g: Geometry) -> Statement:
    outer = LoopKind.PARALLEL if g.parallel else LoopKind.SERIAL
    channels = kernel.input_stride
    inner = [(channels, LoopKind.SERIAL)]
    steps: tuple[int, ...] = (1,)
    if channels % g.lanes == 0:
        inner = [(channels // g.lanes, LoopKind.SERIAL), (g.lanes, LoopKind.VECTORIZED)]
        steps = (g.lanes, 1)
    # On an input of one row (or column) the guard leaves one index, which TVM writes out.
    row = kernel.width * channels if kernel.height > 1 else 0
    pixel = channels if kernel.width > 1 else 0
    return statement(
        [(g.padded_height, outer), (g.padded_width, LoopKind.SERIAL), *inner],
        ("pad", (g.padded_width * channels, channels, *steps), 0),
        [("x", (row, pixel, *steps), None)],
        flops=0,
    )


def _describe_tile(kernel: ConvKernel, g: Geometry) -> tuple[Statement, Statement, Statement]:
    (kh, kw), (sh, sw), (dh, dw) = kernel.kernel, kernel.stride, kernel.dilation
    c, block, lanes, depth = kernel.group_channels, g.filter_block, g.lanes, 3
    width = g.padded_width if g.has_pad else kernel.width
    pixel, row = kernel.input_stride, width * kernel.input_stride
    out_pixel = g.blocks * block

    def outer(block_: int, row_: int, tile: int) -> tuple[int, ...]:
        strides: dict[Axis, int] = {"block": block_, "row": row_, "tile": tile}
        return tuple(strides[axis] for axis in g.order)

    kinds = [LoopKind.PARALLEL if g.parallel else LoopKind.SERIAL, *[LoopKind.SERIAL] * 2]
    outer_loops = list(zip((g.extents[axis] for axis in g.order), kinds, strict=True))
    tile_loops = [
        (g.columns, LoopKind.UNROLLED),
        (g.vectors, LoopKind.UNROLLED),
        (lanes, LoopKind.VECTORIZED),
    ]
    reduction = [(extent, LoopKind.SERIAL) for extent in (kh, kw, c)]
    accumulators = ("acc", (0, 0, 0, block, lanes, 1), depth)
    sums = ("acc", (0, 0, 0, 0, 0, 0, block, lanes, 1), depth)
    # A block that is a whole group moves on by the group's channels; smaller ones share them.
    group = block // kernel.group_filters * c if kernel.groups > 1 else 0
    inputs = (
        "pad" if g.has_pad else "x",
        (*outer(group, sh * row, g.columns * sw * pixel), dh * row, dw * pixel, 1, sw * pixel,
         0, 0),
        0 if g.has_pad else None,
    )  # fmt: skip
    weights = (
        "w",
        (*outer(kh * kw * c * block, 0, 0), kw * c * block, c * block, block, 0, lanes, 1),
        None,
    )
    written = (
        *outer(block, g.output_columns * out_pixel, g.columns * out_pixel), out_pixel, lanes, 1,
    )  # fmt: skip
    bias = ("b", (*outer(block, 0, 0), 0, lanes, 1), None)
    others = [(name, written, None) for name in epilogue.combining(kernel.epilogue)]
    return (
        statement(outer_loops + tile_loops, accumulators, [], flops=0),
        statement(outer_loops + reduction + tile_loops, sums, [sums, inputs, weights], flops=2),
        statement(
            outer_loops + tile_loops, ("out", written, None), [accumulators, bias, *others],
            flops=epilogue.flops(kernel.epilogue, before=1),
            guarded=g.column_tiles * g.columns > g.output_columns,
        ),
    )  # fmt: skip
