"""The pooling of `costmodel.schedules.pool`, written in TVM."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tvm
from tvm import tirx

from costmodel.kernels import PoolKernel
from costmodel.schedules import channelwise_tvm
from costmodel.schedules.pool import constant_count

if TYPE_CHECKING:
    from costmodel.schedules.channelwise import Geometry


def written(kernel: PoolKernel, g: Geometry) -> tvm.IRModule:
    """Module with one PrimFunc ``main(x, out)``."""
    is_max = kernel.function == "max"
    lowest = float(tirx.min_value("float32").value)

    def accumulate(total: Any, read: Any, *place: Any) -> Any:
        del place
        return tirx.max(total, read) if is_max else total + read

    def finish(total: Any, row: Any, column: Any, channel: Any) -> Any:
        del channel
        return total if is_max else _mean(kernel, total, row, column)

    start = lowest if is_max else 0.0
    return channelwise_tvm.written(kernel, g, (), start=start, accumulate=accumulate, finish=finish)


def _mean(kernel: PoolKernel, total: Any, row: Any, column: Any) -> Any:
    count = _count(kernel, 0, row) * _count(kernel, 1, column)
    if isinstance(count, int):
        return total if count == 1 else total * tirx.const(1 / count, "float32")
    return total * (tirx.const(1, "float32") / tirx.Cast("float32", count))


def _count(kernel: PoolKernel, axis: int, place: Any) -> Any:
    """Rows or columns that the window at ``place`` counts."""
    constant = constant_count(kernel, axis)
    if constant is not None:
        return constant
    start = place * kernel.stride[axis] - kernel.padding[axis]
    extent = (kernel.height, kernel.width)[axis]
    return tirx.min(start + kernel.window[axis], extent) - tirx.max(start, 0)
