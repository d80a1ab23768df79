"""The direct convolution of `costmodel.schedules.direct`, written and scheduled in TVM."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tvm
from tvm import te, tirx
from tvm.s_tir import Schedule as TvmSchedule

from costmodel.kernels import ConvKernel
from costmodel.schedules import epilogue

if TYPE_CHECKING:
    from costmodel.schedules.direct import Geometry


def scheduled(kernel: ConvKernel, g: Geometry) -> tvm.IRModule:
    """Module with one PrimFunc ``main(x, e0, ..., w, b, out)``; see `DirectConvolution.shapes`."""
    schedule = TvmSchedule(_definition(kernel, g))
    output, convolution = schedule.get_sblock("out"), schedule.get_sblock("acc")
    row, column, filters = schedule.get_loops(output)
    block, vector, lane = schedule.split(filters, [None, g.vectors, g.lanes])
    tile, pixel = schedule.split(column, [None, g.columns])
    loops = {"block": block, "row": row, "tile": tile}
    outer = [loops[axis] for axis in g.order]
    schedule.reorder(*outer, pixel, vector, lane)
    if g.parallel:
        schedule.parallel(outer[0])  # while all below is one block: TVM refuses later on one row
    _tile(schedule, pixel, vector, lane)
    schedule.compute_at(convolution, outer[-1], preserve_unit_loops=True)
    *_, pixel, filters, kh, kw, channel = schedule.get_loops(convolution)
    vector, lane = schedule.split(filters, [None, g.lanes])
    schedule.reorder(kh, kw, channel, pixel, vector, lane)
    _tile(schedule, pixel, vector, lane)
    schedule.decompose_reduction(convolution, kh)
    schedule.set_scope(convolution, 0, "local")
    if g.has_pad:
        _schedule_pad(schedule, kernel, g)
    return schedule.mod


def _definition(kernel: ConvKernel, g: Geometry) -> Any:
    (kh, kw), (sh, sw), (dh, dw) = kernel.kernel, kernel.stride, kernel.dilation
    top, left = kernel.padding[:2]
    height, width, block = kernel.height, kernel.width, g.filter_block
    group_channels, group_filters = kernel.group_channels, kernel.group_filters
    written = (g.rows, g.output_columns, g.blocks * block)
    x = te.placeholder((height, width, kernel.input_stride), name="x")
    others = [te.placeholder(written, name=n) for n in epilogue.combining(kernel.epilogue)]
    w = te.placeholder((g.blocks, kh, kw, group_channels, block), name="w")
    b = te.placeholder((g.blocks * block,), name="b")
    source = x
    if g.has_pad:
        source = te.compute(
            (g.padded_height, g.padded_width, kernel.input_stride),
            lambda i, j, c: tirx.if_then_else(
                tirx.all(i >= top, i < height + top, j >= left, j < width + left),
                x[i - top, j - left, c],
                tirx.const(0, "float32"),
            ),
            name="pad",
        )
    r, s = te.reduce_axis((0, kh), name="r"), te.reduce_axis((0, kw), name="s")
    c = te.reduce_axis((0, group_channels), name="c")

    def first_channel(o: Any) -> Any:
        """Of the group that block ``o`` of filters lies in."""
        return 0 if kernel.groups == 1 else o * block // group_filters * group_channels

    acc = te.compute(
        (g.blocks, g.rows, g.column_tiles * g.columns, block),
        lambda o, i, j, v: te.sum(
            source[i * sh + r * dh, j * sw + s * dw, first_channel(o) + c] * w[o, r, s, c, v],
            axis=[r, s, c],
        ),
        name="acc",
    )

    def final(i: Any, j: Any, m: Any) -> Any:
        value = acc[m // block, i, j, m % block] + b[m]
        return epilogue.apply(value, kernel.epilogue, lambda n: others[n][i, j, m])

    out = te.compute(written, final, name="out")
    return te.create_prim_func([x, *others, w, b, out]).with_attr("global_symbol", "main")


def _tile(schedule: Any, pixel: Any, vector: Any, lane: Any) -> None:
    schedule.unroll(pixel)
    schedule.unroll(vector)
    schedule.vectorize(lane)


def _schedule_pad(schedule: Any, kernel: ConvKernel, g: Geometry) -> None:
    row, _, channel = schedule.get_loops(schedule.get_sblock("pad"))
    if kernel.input_stride % g.lanes == 0:
        _, lane = schedule.split(channel, [None, g.lanes])
        schedule.vectorize(lane)
    if g.parallel:
        schedule.parallel(row)
