"""Spatial pack for CPUs: register tiles of several rows, columns and filters.

The schedule of TVM's old ``arm_cpu`` conv2d (Zheng and Chen, TVM blog of 2018, and AutoTVM's
``conv2d_nchw_spatial_pack.arm_cpu``). Activations are ``[H, W, C]``, weights packed
``[M/VC, C, kh, kw, VC]``. A tile of VH rows x VW columns x VC filters is accumulated over input
channel, kernel row and kernel column, in this order; then bias and epilogue are applied and the
tile is stored. A tile of several rows makes more use of each weight that it loads than one of
`costmodel.schedules.direct` has room for on maps of one or two columns (half the time on 40x1, 64
to 64 filters, on an AVX-512 core); on wider maps both reach the core's limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from costmodel.errors import InputError
from costmodel.kernels import Array, ConvKernel, Kernel
from costmodel.loopnest import LoopNest
from costmodel.schedules.cpu_limits import ENOUGH_ACCUMULATORS, MAXIMUM_WASTE
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.schedules.filter_blocks import blocked
from costmodel.schedules.spatial_pack_nest import Geometry, geometry_of, nest_of
from costmodel.target import CpuTarget, Target

if TYPE_CHECKING:
    import tvm

NAME = "spatial-pack"
ANNOTATIONS = ("none", "unroll", "vec")
"""Of a loop; as parameters their places here are the digits of a number: none unroll vec is 12."""
REORDERED = (0, 1, 2, 3, 4, 5, 6, 9, 7, 8)
"""AutoTVM's other order of loops: filters of the tile outside its rows and columns."""

MAXIMUM_ROWS = 14
"""Rows of a tile in `points`: of a map one pixel wide, all the registers' worth."""
MAXIMUM_COLUMNS = 8
"""Columns of a tile in `points`; wide maps are better served by the direct family."""
MAXIMUM_VECTORS = 4
"""Vectors of filters in `points`: beyond, few pixels share a weight that is loaded."""
MAXIMUM_PIXELS = 16
"""Pixels of a tile in `points`: 24 and more, of one vector each, took three to five times as long
as the best tile on an AVX-512 core (which has registers for them)."""
ACCUMULATOR_SHARE = 0.75
"""Of the registers, for sums: the rest hold operands."""
TILES = 12
"""Tiles that `points` offers: those with the fewest loads, edges of ragged tiles counted."""
MAXIMUM_UNROLLED = 320
"""Vector multiply-adds written out one after the other in `points`, so that their few kilobytes
of code stay in the cache nearest to the core."""


class SpatialPackConvolution(ScheduleFamily[ConvKernel]):
    """See the module. The parameters are AutoTVM's knobs.

    ``tile_oh``, ``tile_ow``, ``tile_co``: VH, VW and VC. ``ann_reduce`` (kernel rows, kernel
    columns) and ``ann_spatial`` (rows, columns, filters of the tile): see `ANNOTATIONS`; a
    vectorised loop is innermost whatever the order. ``reorder`` 1: filters outside rows and
    columns. ``packed`` 1: the input is copied tile by tile, with the halo of each, blocks of
    filters are shared out to the cores and outputs are stored one by one: what AutoTVM measured
    (described exactly from two rows and columns of input on: of one, TVM drops indices).
    """

    name = NAME

    def handles(self, kernel: Kernel, target: Target) -> bool:
        """Whether tiles of several rows are possible, and whole vectors lie in one group."""
        if not isinstance(kernel, ConvKernel) or not isinstance(target, CpuTarget):
            return False
        in_group = kernel.groups == 1 or kernel.group_filters % target.vector_lanes == 0
        return in_group and kernel.output_size[0] > 1

    def points(self, kernel: ConvKernel, target: Target) -> tuple[Schedule, ...]:
        core = cast(CpuTarget, target)
        lanes, (height, width) = core.vector_lanes, kernel.output_size
        vectors = core.padded(kernel.filters) // lanes
        if kernel.groups > 1:
            vectors = kernel.group_filters // lanes
        tiles = [
            (rows, columns, v)
            for v in range(1, min(vectors, MAXIMUM_VECTORS) + 1)
            if vectors % v == 0
            for rows in range(min(height, 2), min(height, MAXIMUM_ROWS) + 1)
            for columns in range(1, min(width, MAXIMUM_COLUMNS) + 1)
            if rows * columns <= MAXIMUM_PIXELS
            and rows * columns * v <= ACCUMULATOR_SHARE * core.vector_registers
            and _waste(kernel, rows, columns) <= MAXIMUM_WASTE
        ]
        enough = min(ENOUGH_ACCUMULATORS, max(math.prod(tile) for tile in tiles))
        large = [tile for tile in tiles if math.prod(tile) >= enough]
        best = sorted(large, key=lambda tile: (_loads(kernel, *tile), tile))[:TILES]
        return tuple(
            _schedule(rows, columns, v * lanes, ann_reduce)
            for rows, columns, v in sorted(best)
            for ann_reduce in sorted({0, _unrolled(kernel, rows * columns * v)})
        )

    def geometry(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> Geometry:
        """Extents that `describe`, `module` and `shapes` share."""
        return geometry_of(kernel, schedule, cast(CpuTarget, target))

    def shapes(
        self, kernel: ConvKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        g = self.geometry(kernel, schedule, target)
        return (
            (kernel.height, kernel.width, kernel.input_stride),
            *[g.output] * (kernel.inputs - 1),
            (g.blocks, kernel.group_channels, *kernel.kernel, g.filter_block),
            (g.blocks * g.filter_block,),
            g.output,
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
        return np.ascontiguousarray(weight.transpose(0, 2, 3, 4, 1)), bias

    def scratch_elements(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> int:
        g = self.geometry(kernel, schedule, target)
        return 0 if g.source == "x" else math.prod(g.source_shape)

    def describe(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> LoopNest:
        return nest_of(kernel, self.geometry(kernel, schedule, target))

    def module(self, kernel: ConvKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        from costmodel.schedules import spatial_pack_tvm

        return spatial_pack_tvm.scheduled(kernel, self.geometry(kernel, schedule, target))


def schedule_of(knobs: Mapping[str, object]) -> Schedule:
    """The schedule that AutoTVM's knobs of an ARM ``direct_conv2d`` record stand for.

    ``tile_*``: extents (outer, inner); ``ann_*``: names of annotations; ``reorder_0``: order of
    the ten loops. Raises InputError for knobs that this schedule has not.
    """
    tiles = {name: _inner(name, knobs.get(name)) for name in ("tile_co", "tile_oh", "tile_ow")}
    order = knobs.get("reorder_0")
    if order not in (tuple(range(10)), REORDERED):
        raise InputError(f"knob 'reorder_0' is {order}; spatial pack has 0 to 9 and {REORDERED}")
    annotations = {
        name: _digits(name, knobs.get(name), loops)
        for name, loops in (("ann_reduce", 2), ("ann_spatial", 3))
    }
    reorder = int(order == REORDERED)
    return Schedule(
        NAME, (*tiles.items(), *annotations.items(), ("reorder", reorder), ("packed", 1))
    )


def _schedule(rows: int, columns: int, filters: int, ann_reduce: int) -> Schedule:
    return Schedule(
        NAME,
        (
            ("tile_co", filters), ("tile_oh", rows), ("tile_ow", columns),
            ("ann_reduce", ann_reduce), ("ann_spatial", 112), ("reorder", 0), ("packed", 0),
        ),
    )  # fmt: skip


def _inner(name: str, split: object) -> int:
    if not isinstance(split, Sequence) or len(split) != 2 or not isinstance(split[1], int):
        raise InputError(f"knob '{name}' must be a split into two, got {split}")
    return split[1]


def _digits(name: str, given: object, loops: int) -> int:
    names = tuple(given) if isinstance(given, Sequence) else ()
    most_vectorised = 1 if loops == 3 else 0
    if (
        len(names) != loops
        or not set(names) <= set(ANNOTATIONS)
        or names.count("vec") > most_vectorised
    ):
        raise InputError(
            f"knob '{name}' must give {loops} of {', '.join(ANNOTATIONS)} "
            f"(vec {most_vectorised} times at most), got {given}"
        )
    return int("".join(str(ANNOTATIONS.index(annotation)) for annotation in names))


def _waste(kernel: ConvKernel, rows: int, columns: int) -> float:
    """Pixels computed over pixels needed."""
    height, width = kernel.output_size
    tiles = math.ceil(height / rows) * math.ceil(width / columns)
    return tiles * rows * columns / (height * width)


def _loads(kernel: ConvKernel, rows: int, columns: int, vectors: int) -> float:
    """Loads of weights and inputs for a multiply-add that is needed, each loaded once a tap."""
    pixels = rows * columns
    return (pixels + vectors) / (pixels * vectors) * _waste(kernel, rows, columns)


def _unrolled(kernel: ConvKernel, accumulators: int) -> int:
    """Annotations of the kernel's loops: both written out, or columns alone, or none."""
    kh, kw = kernel.kernel
    if 1 < kh * kw <= MAXIMUM_UNROLLED / accumulators:
        return 11
    return 1 if 1 < kw <= MAXIMUM_UNROLLED / accumulators else 0
