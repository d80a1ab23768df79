"""Register-tiled direct convolution for CPUs.

Activations are ``[H, W, C]``, weights packed ``[M/VC, kh, kw, C, VC]`` with VC = vectors x lanes.
A tile of ``columns`` output pixels by ``vectors`` vectors of filters is accumulated in registers
over kh, kw and C, then bias and ReLU are applied and the tile is stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costmodel.kernels import Array, ConvKernel
from costmodel.loopnest import LoopKind, LoopNest, Statement, statement
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.target import Target

if TYPE_CHECKING:
    import tvm

MAXIMUM_VECTORS = 8
"""Wider tiles of filters never won in trials, and each costs code size."""
MINIMUM_COLUMNS = 4
"""A weight that is loaded serves as many multiply-adds as a tile has columns: with fewer, weights
that do not fit the first cache come from the second too slowly (1.4 to 2 times the roofline in
measurements on an AVX-512 core, against 1.0 to 1.2 from four columns on)."""
MAXIMUM_COLUMNS = 16
"""More columns than this fit no register file together with a vector of weights."""
MAXIMUM_WASTE = 1.13
"""Columns computed over columns needed, above which a ragged tile is left out."""

ENOUGH_ACCUMULATORS = 8
"""Two multiply-adds a cycle with a latency of four cycles: with fewer sums the units wait."""


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

    @property
    def filter_block(self) -> int:
        """VC: filters computed together."""
        return self.vectors * self.lanes


class DirectConvolution(ScheduleFamily[ConvKernel]):
    """See the module. Parameters: ``vectors`` of filters and ``columns`` of a register tile."""

    name = "direct"

    def points(self, kernel: ConvKernel, target: Target) -> tuple[Schedule, ...]:
        total_vectors = target.padded(kernel.filters) // target.vector_lanes
        width = kernel.output_size[1]
        tiles = [
            (v, t)
            for v in range(1, min(total_vectors, MAXIMUM_VECTORS) + 1)
            if total_vectors % v == 0
            for t in range(min(width, MINIMUM_COLUMNS), min(width, MAXIMUM_COLUMNS) + 1)
            if math.ceil(width / t) * t <= MAXIMUM_WASTE * width
            # accumulators, the smaller side of the operands, and the other side's current one
            if v * t + min(v, t) + 1 <= target.vector_registers
        ]
        enough = min(ENOUGH_ACCUMULATORS, max(v * t for v, t in tiles))
        kept = [(v, t) for v, t in tiles if v * t >= enough]
        return tuple(Schedule(self.name, (("vectors", v), ("columns", t))) for v, t in sorted(kept))

    def geometry(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> Geometry:
        """Extents that `describe`, `module` and `shapes` share."""
        rows, width = kernel.output_size
        columns = schedule["columns"]
        tiles = math.ceil(width / columns)
        (kh, kw), (sh, sw) = kernel.kernel, kernel.stride
        height, padded_width = (rows - 1) * sh + kh, (tiles * columns - 1) * sw + kw
        block = schedule["vectors"] * target.vector_lanes
        return Geometry(
            lanes=target.vector_lanes,
            vectors=schedule["vectors"],
            columns=columns,
            blocks=target.padded(kernel.filters) // block,
            rows=rows,
            output_columns=width,
            column_tiles=tiles,
            padded_height=height,
            padded_width=padded_width,
            has_pad=any(kernel.padding) or height > kernel.height or padded_width > kernel.width,
        )

    def shapes(
        self, kernel: ConvKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        g = self.geometry(kernel, schedule, target)
        return (
            (kernel.height, kernel.width, kernel.input_stride),
            (g.blocks, *kernel.kernel, kernel.channels, g.filter_block),
            (g.blocks * g.filter_block,),
            (g.rows, g.output_columns, g.blocks * g.filter_block),
        )

    def pack(
        self, kernel: ConvKernel, schedule: Schedule, target: Target, weight: Array, bias: Array
    ) -> tuple[Array, Array]:
        """Weight ``[M, C, kh, kw]`` and bias ``[M]`` as `shapes` says, padded with zeros."""
        g = self.geometry(kernel, schedule, target)
        filters = g.blocks * g.filter_block
        padded = np.zeros((filters, kernel.channels, *kernel.kernel), np.float32)
        padded[: kernel.filters] = weight
        blocked = padded.reshape(g.blocks, g.filter_block, kernel.channels, *kernel.kernel)
        packed_bias = np.zeros(filters, np.float32)
        packed_bias[: kernel.filters] = bias
        return np.ascontiguousarray(blocked.transpose(0, 3, 4, 2, 1)), packed_bias

    def describe(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> LoopNest:
        g = self.geometry(kernel, schedule, target)
        pad = [self._describe_pad(kernel, g, target)] if g.has_pad else []
        return LoopNest((*pad, *self._describe_tile(kernel, g, target)))

    def _describe_pad(self, kernel: ConvKernel, g: Geometry, target: Target) -> Statement:
        outer = LoopKind.PARALLEL if target.cores > 1 else LoopKind.SERIAL
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

    def _describe_tile(
        self, kernel: ConvKernel, g: Geometry, target: Target
    ) -> tuple[Statement, Statement, Statement]:
        (kh, kw), (sh, sw), c = kernel.kernel, kernel.stride, kernel.channels
        block, lanes, depth = g.filter_block, g.lanes, 3
        source = "pad" if g.has_pad else "x"
        width = g.padded_width if g.has_pad else kernel.width
        pixel, row = kernel.input_stride, width * kernel.input_stride
        out_pixel = g.blocks * block

        def outer(block_: int, row_: int, tile: int) -> tuple[int, int, int]:
            return (row_, block_, tile) if target.cores > 1 else (block_, row_, tile)

        first = LoopKind.PARALLEL if target.cores > 1 else LoopKind.SERIAL
        outer_loops = [
            (extent, first if i == 0 else LoopKind.SERIAL)
            for i, extent in enumerate(outer(g.blocks, g.rows, g.column_tiles))
        ]
        tile_loops = [
            (g.columns, LoopKind.UNROLLED),
            (g.vectors, LoopKind.UNROLLED),
            (lanes, LoopKind.VECTORIZED),
        ]
        reduction = [(extent, LoopKind.SERIAL) for extent in (kh, kw, c)]
        accumulators = ("acc", (0, 0, 0, block, lanes, 1), depth)
        sums = ("acc", (0, 0, 0, 0, 0, 0, block, lanes, 1), depth)
        inputs = (
            source,
            (*outer(0, sh * row, g.columns * sw * pixel), row, pixel, 1, sw * pixel, 0, 0),
            0 if g.has_pad else None,
        )
        weights = (
            "w",
            (*outer(kh * kw * c * block, 0, 0), kw * c * block, c * block, block, 0, lanes, 1),
            None,
        )
        output = (
            "out",
            (*outer(block, g.output_columns * out_pixel, g.columns * out_pixel),
             out_pixel, lanes, 1),
            None,
        )  # fmt: skip
        bias = ("b", (*outer(block, 0, 0), 0, lanes, 1), None)
        return (
            statement(outer_loops + tile_loops, accumulators, [], flops=0),
            statement(outer_loops + reduction + tile_loops, sums, [sums, inputs, weights], flops=2),
            statement(
                outer_loops + tile_loops, output, [accumulators, bias],
                flops=2 if kernel.relu else 1,
                guarded=g.column_tiles * g.columns > g.output_columns,
            ),
        )  # fmt: skip

    def module(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        from costmodel.schedules import direct_tvm

        return direct_tvm.scheduled(kernel, self.geometry(kernel, schedule, target), target.cores)
