"""The average pool of `costmodel.schedules.pool`, written and scheduled in TVM."""

from __future__ import annotations

import tvm
from tvm import te, tirx
from tvm.s_tir import Schedule as TvmSchedule

from costmodel.kernels import PoolKernel


def scheduled(kernel: PoolKernel, vectors: int, lanes: int) -> tvm.IRModule:
    """Module with one PrimFunc ``main(x, out)``; see `AveragePool.shapes`."""
    channels = kernel.input_stride
    x = te.placeholder((kernel.height, kernel.width, channels), name="x")
    i = te.reduce_axis((0, kernel.height), name="i")
    j = te.reduce_axis((0, kernel.width), name="j")
    acc = te.compute((channels,), lambda c: te.sum(x[i, j, c], axis=[i, j]), name="acc")
    scale = tirx.const(1.0 / (kernel.height * kernel.width), "float32")
    out = te.compute((1, 1, channels), lambda _i, _j, c: acc[c] * scale, name="out")
    function = te.create_prim_func([x, out]).with_attr("global_symbol", "main")
    schedule = TvmSchedule(function)
    total, output = schedule.get_sblock("acc"), schedule.get_sblock("out")
    *_, channel = schedule.get_loops(output)
    block, vector, lane = schedule.split(channel, [None, vectors, lanes])
    schedule.unroll(vector)
    schedule.vectorize(lane)
    schedule.compute_at(total, block, preserve_unit_loops=True)
    *_, channel, row, column = schedule.get_loops(total)
    vector, lane = schedule.split(channel, [None, lanes])
    schedule.reorder(row, column, vector, lane)
    schedule.unroll(vector)
    schedule.vectorize(lane)
    schedule.decompose_reduction(total, row)
    schedule.set_scope(total, 0, "local")
    return schedule.mod
