"""Extents and loops of the spatial-pack convolution; see `costmodel.schedules.spatial_pack`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

from costmodel.kernels import ConvKernel
from costmodel.loopnest import LoopKind, LoopNest, Statement, statement
from costmodel.schedules import epilogue
from costmodel.schedules.cpu_limits import PARALLEL_FLOPS
from costmodel.schedules.family import Schedule
from costmodel.target import CpuTarget

OuterAxis = Literal["block", "row_tile", "column_tile"]
TileAxis = Literal["row", "column", "vector", "lane"]


@dataclass(frozen=True)
class TileLoop:
    """A loop over the outputs of a register tile."""

    axis: TileAxis
    extent: int
    kind: LoopKind


@dataclass(frozen=True)
class Geometry:
    """Extents of a kernel under one schedule."""

    filter_block: int
    """VC: filters of a tile."""
    tile_rows: int
    """VH."""
    tile_columns: int
    """VW."""
    lanes: int
    """Filters in a turn of the loop over lanes; divides VC."""
    input_lanes: int
    """Channels that the padded copy moves at once."""
    blocks: int
    """Blocks of VC filters."""
    row_tiles: int
    column_tiles: int
    output: tuple[int, int, int]
    """(OH, OW, padded M)."""
    source: Literal["x", "pad", "pack"]
    """What the tiles read: the input, a padded copy of it, or one copied tile by tile."""
    source_shape: tuple[int, ...]
    """[rows, columns, channels]; of ``pack`` [row tiles, column tiles, channels, rows, columns]."""
    tile: tuple[TileLoop, ...]
    """Loops of a register tile, outermost first."""
    kernel_kinds: tuple[LoopKind, LoopKind]
    """How kernel rows and kernel columns are run."""
    order: tuple[OuterAxis, ...]
    """Loops over tiles, outermost first."""
    parallel: bool
    """Whether the first of them is shared out to the cores."""

    @property
    def extents(self) -> dict[OuterAxis, int]:
        """Turns of each loop over tiles."""
        return {
            "block": self.blocks,
            "row_tile": self.row_tiles,
            "column_tile": self.column_tiles,
        }

    @property
    def output_tile(self) -> tuple[TileLoop, ...]:
        """Loops that store a tile; TVM left them as they are where the input is packed."""
        if self.source != "pack":
            return self.tile
        extents = {loop.axis: loop.extent for loop in self.tile}
        axes: tuple[TileAxis, ...] = ("row", "column", "vector", "lane")
        return tuple(TileLoop(axis, extents[axis], LoopKind.SERIAL) for axis in axes)

    @property
    def is_ragged(self) -> bool:
        """Whether the last tiles reach over the output's edge."""
        rows, columns, filters = self.output
        covered = self.row_tiles * self.tile_rows, self.column_tiles * self.tile_columns
        return (*covered, self.blocks * self.filter_block) != (rows, columns, filters)


def geometry_of(kernel: ConvKernel, schedule: Schedule, core: CpuTarget) -> Geometry:
    """Extents of ``kernel`` under ``schedule``."""
    (height, width), filters = kernel.output_size, core.padded(kernel.filters)
    vh, vw, vc = (schedule[name] for name in ("tile_oh", "tile_ow", "tile_co"))
    row_tiles, column_tiles = math.ceil(height / vh), math.ceil(width / vw)
    blocks = math.ceil(filters / vc)
    packed = bool(schedule["packed"])
    parallel = core.cores > 1 and (packed or kernel.flops >= PARALLEL_FLOPS)
    extents: dict[OuterAxis, int] = {
        "block": blocks, "row_tile": row_tiles, "column_tile": column_tiles,
    }  # fmt: skip
    tile = _tile(schedule, core.vector_lanes)
    source, shape = _source(kernel, (row_tiles, vh), (column_tiles, vw), packed=packed)
    return Geometry(
        filter_block=vc,
        tile_rows=vh,
        tile_columns=vw,
        lanes=next(loop.extent for loop in tile if loop.axis == "lane"),
        input_lanes=core.vector_lanes if kernel.input_stride % core.vector_lanes == 0 else 1,
        blocks=blocks,
        row_tiles=row_tiles,
        column_tiles=column_tiles,
        output=(height, width, filters),
        source=source,
        source_shape=shape,
        tile=tile,
        kernel_kinds=cast(tuple[LoopKind, LoopKind], _kinds(schedule["ann_reduce"], loops=2)),
        order=_order(extents, core.cores if parallel and not packed else 1),
        parallel=parallel,
    )


def nest_of(kernel: ConvKernel, g: Geometry) -> LoopNest:
    """All statements of the kernel."""
    copies = {"x": None, "pad": _describe_pad, "pack": _describe_pack}
    copy = copies[g.source]
    return LoopNest((*([copy(kernel, g)] if copy else []), *_describe_tile(kernel, g)))


def _kinds(annotations: int, loops: int) -> tuple[LoopKind, ...]:
    kinds = (LoopKind.SERIAL, LoopKind.UNROLLED, LoopKind.VECTORIZED)
    return tuple(kinds[int(digit)] for digit in f"{annotations:0{loops}d}")


def _tile(schedule: Schedule, lanes: int) -> tuple[TileLoop, ...]:
    """Filters in whole vectors, where they are; a vectorised loop innermost."""
    rows, columns, filters = _kinds(schedule["ann_spatial"], loops=3)
    vc = schedule["tile_co"]
    whole = filters is LoopKind.VECTORIZED and vc % lanes == 0
    lane = lanes if whole else vc
    pixels = [
        TileLoop("row", schedule["tile_oh"], rows),
        TileLoop("column", schedule["tile_ow"], columns),
    ]
    block = [
        TileLoop("vector", vc // lane, LoopKind.UNROLLED),
        TileLoop("lane", lane, filters),
    ]
    loops = block + pixels if schedule["reorder"] else pixels + block
    return tuple(sorted(loops, key=lambda loop: loop.kind is LoopKind.VECTORIZED))


def _source(
    kernel: ConvKernel, rows: tuple[int, int], columns: tuple[int, int], *, packed: bool
) -> tuple[Literal["x", "pad", "pack"], tuple[int, ...]]:
    """What tiles read, and its shape; ``rows`` and ``columns``: (tiles, extent of one)."""
    (sh, sw), window = kernel.stride, kernel.window
    if packed:
        halo = rows[1] * sh + window[0] - 1, columns[1] * sw + window[1] - 1
        return "pack", (rows[0], columns[0], kernel.channels, *halo)
    height = (math.prod(rows) - 1) * sh + window[0]
    width = (math.prod(columns) - 1) * sw + window[1]
    if any(kernel.padding) or height > kernel.height or width > kernel.width:
        return "pad", (height, width, kernel.input_stride)
    return "x", (kernel.height, kernel.width, kernel.input_stride)


def _order(extents: dict[OuterAxis, int], cores: int) -> tuple[OuterAxis, ...]:
    """Filters outermost; on several cores, first the loop that shares out most evenly."""
    order: tuple[OuterAxis, ...] = ("block", "row_tile", "column_tile")
    if cores == 1:
        return order
    idle = {axis: math.ceil(n / cores) * cores / n for axis, n in extents.items()}
    candidates: tuple[OuterAxis, ...] = ("row_tile", "column_tile", "block")
    first = min(candidates, key=lambda axis: idle[axis])
    return (first, *(axis for axis in order if axis != first))


def _outer_kind(g: Geometry) -> LoopKind:
    return LoopKind.PARALLEL if g.parallel else LoopKind.SERIAL


def _input_strides(kernel: ConvKernel) -> tuple[int, int]:
    """Of rows and pixels in a guarded read.

    On an input of one row (or column) the guard leaves one index, which TVM writes out.
    """
    row = kernel.width * kernel.input_stride if kernel.height > 1 else 0
    return row, kernel.input_stride if kernel.width > 1 else 0


def _describe_pad(kernel: ConvKernel, g: Geometry) -> Statement:
    height, width, channels = g.source_shape
    row, pixel = _input_strides(kernel)
    lanes = g.input_lanes
    return statement(
        [(height, _outer_kind(g)), (width, LoopKind.SERIAL), (channels // lanes, LoopKind.SERIAL),
         (lanes, LoopKind.VECTORIZED)],
        ("pad", (width * channels, channels, lanes, 1), 0),
        [("x", (row, pixel, lanes, 1), None)],
        flops=0,
    )  # fmt: skip


def _describe_pack(kernel: ConvKernel, g: Geometry) -> Statement:
    row, pixel = _input_strides(kernel)
    (sh, sw), kinds = kernel.stride, [_outer_kind(g), *[LoopKind.SERIAL] * 4]
    written = tuple(math.prod(g.source_shape[i + 1 :]) for i in range(5))
    return statement(
        list(zip(g.source_shape, kinds, strict=True)),
        ("pack", written, 0),
        [("x", (g.tile_rows * sh * row, g.tile_columns * sw * pixel, 1, row, pixel), None)],
        flops=0,
    )


def _describe_tile(kernel: ConvKernel, g: Geometry) -> tuple[Statement, Statement, Statement]:
    (kh, kw), c, vc, depth = kernel.kernel, kernel.group_channels, g.filter_block, 3
    _, width, filters = g.output

    def outer(block: int, row_tile: int, column_tile: int) -> tuple[int, ...]:
        strides: dict[OuterAxis, int] = {
            "block": block, "row_tile": row_tile, "column_tile": column_tile,
        }  # fmt: skip
        return tuple(strides[axis] for axis in g.order)

    def inner(row: int, column: int, filter_: int, tile: tuple[TileLoop, ...]) -> tuple[int, ...]:
        strides: dict[TileAxis, int] = {
            "row": row, "column": column, "vector": filter_ * g.lanes, "lane": filter_,
        }  # fmt: skip
        return tuple(strides[loop.axis] for loop in tile)

    kinds = [_outer_kind(g), *[LoopKind.SERIAL] * 2]
    outer_loops = list(zip((g.extents[axis] for axis in g.order), kinds, strict=True))
    tile_loops = [(loop.extent, loop.kind) for loop in g.tile]
    store_loops = [(loop.extent, loop.kind) for loop in g.output_tile]
    reduction = [(c, LoopKind.SERIAL), (kh, g.kernel_kinds[0]), (kw, g.kernel_kinds[1])]
    within = (g.tile_columns * vc, vc, 1)
    sums = ("acc", (0,) * 6 + inner(*within, g.tile), depth)
    weights = (
        "w",
        (*outer(kh * kw * c * vc, 0, 0), kh * kw * vc, kw * vc, vc, *inner(0, 0, 1, g.tile)),
        None,
    )
    written = (
        *outer(vc, g.tile_rows * width * filters, g.tile_columns * filters),
        *inner(width * filters, filters, 1, g.output_tile),
    )
    (row_tile, column_tile, channel, row, column), (sh, sw), (dh, dw) = (
        _source_strides(kernel, g), kernel.stride, kernel.dilation,
    )  # fmt: skip
    # A block that is a whole group moves on by the group's channels; smaller ones share them.
    group = vc // kernel.group_filters * c if kernel.groups > 1 else 0
    inputs = (
        g.source,
        (*outer(group * channel, row_tile, column_tile), channel, dh * row, dw * column,
         *inner(sh * row, sw * column, 0, g.tile)),
        None if g.source == "x" else 0,
    )  # fmt: skip
    others = [(name, written, None) for name in epilogue.combining(kernel.epilogue)]
    bias = ("b", (*outer(vc, 0, 0), *inner(0, 0, 1, g.output_tile)), None)
    finished = ("acc", (0, 0, 0, *inner(*within, g.output_tile)), depth)
    return (
        statement(
            outer_loops + tile_loops, ("acc", (0, 0, 0, *inner(*within, g.tile)), depth), [],
            flops=0,
        ),
        statement(outer_loops + reduction + tile_loops, sums, [sums, inputs, weights], flops=2),
        statement(
            outer_loops + store_loops, ("out", written, None), [finished, bias, *others],
            flops=epilogue.flops(kernel.epilogue, before=1),
            guarded=g.is_ragged,
        ),
    )  # fmt: skip


def _source_strides(kernel: ConvKernel, g: Geometry) -> tuple[int, int, int, int, int]:
    """Elements from row tile to row tile, and so for column tiles, channels, rows, columns."""
    if g.source == "pack":
        _, tiles, channels, height, width = g.source_shape
        channel = height * width
        return tiles * channels * channel, channels * channel, channel, width, 1
    _, width, channels = g.source_shape
    (sh, sw), row = kernel.stride, width * channels
    return g.tile_rows * sh * row, g.tile_columns * sw * channels, 1, row, channels
