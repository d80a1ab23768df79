"""The convolution of `costmodel.schedules.spatial_pack`, written and scheduled in TVM."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tvm
from tvm import te, tirx
from tvm.s_tir import Schedule as TvmSchedule

from costmodel.kernels import ConvKernel
from costmodel.loopnest import LoopKind
from costmodel.schedules import epilogue

if TYPE_CHECKING:
    from costmodel.schedules.spatial_pack_nest import Geometry, TileAxis


def scheduled(kernel: ConvKernel, g: Geometry) -> tvm.IRModule:
    """Module with one PrimFunc ``main(x, e0, ..., w, b, out)``; see `shapes` of the family."""
    schedule = TvmSchedule(_definition(kernel, g))
    output, convolution = schedule.get_sblock("out"), schedule.get_sblock("acc")
    row, column, filters = schedule.get_loops(output)
    row_tile, row = schedule.split(row, [None, g.tile_rows])
    column_tile, column = schedule.split(column, [None, g.tile_columns])
    block, vector, lane = schedule.split(filters, [None, g.filter_block // g.lanes, g.lanes])
    tiles = {"block": block, "row_tile": row_tile, "column_tile": column_tile}
    outer = [tiles[axis] for axis in g.order]
    loops = _loops(row, column, vector, lane)
    schedule.reorder(*outer, *(loops[loop.axis] for loop in g.output_tile))
    if g.parallel:
        schedule.parallel(outer[0])  # while all below is one block: TVM refuses later on one row
    for loop in g.output_tile:
        _annotate(schedule, loops[loop.axis], loop.kind)
    schedule.compute_at(convolution, outer[-1], preserve_unit_loops=True)
    _accumulate(schedule, convolution, g)
    if g.source == "pad":
        _schedule_pad(schedule, g)
    if g.source == "pack" and g.parallel:
        schedule.parallel(schedule.get_loops(schedule.get_sblock("pack"))[0])
    return schedule.mod


def _accumulate(schedule: Any, convolution: Any, g: Geometry) -> None:
    *_, row, column, filters, channel, kh, kw = schedule.get_loops(convolution)
    vector, lane = schedule.split(filters, [None, g.lanes])
    loops = _loops(row, column, vector, lane)
    schedule.reorder(channel, kh, kw, *(loops[loop.axis] for loop in g.tile))
    for reduction, kind in zip((kh, kw), g.kernel_kinds, strict=True):
        _annotate(schedule, reduction, kind)
    for loop in g.tile:
        _annotate(schedule, loops[loop.axis], loop.kind)
    schedule.decompose_reduction(convolution, channel)
    schedule.set_scope(convolution, 0, "local")


def _definition(kernel: ConvKernel, g: Geometry) -> Any:
    (kh, kw), (sh, sw), (dh, dw) = kernel.kernel, kernel.stride, kernel.dilation
    block, channels = g.filter_block, kernel.group_channels
    x = te.placeholder((kernel.height, kernel.width, kernel.input_stride), name="x")
    others = [te.placeholder(g.output, name=n) for n in epilogue.combining(kernel.epilogue)]
    w = te.placeholder((g.blocks, channels, kh, kw, block), name="w")
    b = te.placeholder((g.blocks * block,), name="b")
    source = _source(kernel, g, x)
    r, s = te.reduce_axis((0, kh), name="r"), te.reduce_axis((0, kw), name="s")
    c = te.reduce_axis((0, channels), name="c")

    def first_channel(o: Any) -> Any:
        """Of the group that block ``o`` of filters lies in."""
        return 0 if kernel.groups == 1 else o * block // kernel.group_filters * channels

    def read(o: Any, i: Any, j: Any) -> Any:
        channel = first_channel(o) + c
        if g.source != "pack":
            return source[i * sh + r * dh, j * sw + s * dw, channel]
        row, column = i % g.tile_rows * sh + r * dh, j % g.tile_columns * sw + s * dw
        return source[i // g.tile_rows, j // g.tile_columns, channel, row, column]

    acc = te.compute(
        (g.blocks, g.row_tiles * g.tile_rows, g.column_tiles * g.tile_columns, block),
        lambda o, i, j, v: te.sum(read(o, i, j) * w[o, c, r, s, v], axis=[c, r, s]),
        name="acc",
    )

    def final(i: Any, j: Any, m: Any) -> Any:
        value = acc[m // block, i, j, m % block] + b[m]
        return epilogue.apply(value, kernel.epilogue, lambda n: others[n][i, j, m])

    out = te.compute(g.output, final, name="out")
    return te.create_prim_func([x, *others, w, b, out]).with_attr("global_symbol", "main")


def _source(kernel: ConvKernel, g: Geometry, x: Any) -> Any:
    """What the tiles read: see `Geometry.source`."""
    top, left = kernel.padding[:2]
    sh, sw = kernel.stride

    def padded(i: Any, j: Any, c: Any) -> Any:
        inside = tirx.all(i >= top, i < kernel.height + top, j >= left, j < kernel.width + left)
        return tirx.if_then_else(inside, x[i - top, j - left, c], tirx.const(0, "float32"))

    def tiled(tile_row: Any, tile_column: Any, c: Any, i: Any, j: Any) -> Any:
        return padded(tile_row * g.tile_rows * sh + i, tile_column * g.tile_columns * sw + j, c)

    if g.source == "x":
        return x
    return te.compute(g.source_shape, padded if g.source == "pad" else tiled, name=g.source)


def _loops(row: Any, column: Any, vector: Any, lane: Any) -> dict[TileAxis, Any]:
    return {"row": row, "column": column, "vector": vector, "lane": lane}


def _annotate(schedule: Any, loop: Any, kind: LoopKind) -> None:
    if kind is LoopKind.UNROLLED:
        schedule.unroll(loop)
    elif kind is LoopKind.VECTORIZED:
        schedule.vectorize(loop)


def _schedule_pad(schedule: Any, g: Geometry) -> None:
    row, _, channel = schedule.get_loops(schedule.get_sblock("pad"))
    if g.input_lanes > 1:
        _, lane = schedule.split(channel, [None, g.input_lanes])
        schedule.vectorize(lane)
    if g.parallel:
        schedule.parallel(row)
