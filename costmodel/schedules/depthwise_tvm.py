"""The depthwise convolution of `costmodel.schedules.depthwise`, written in TVM."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tvm

from costmodel.kernels import ConvKernel
from costmodel.schedules import channelwise_tvm, epilogue
from costmodel.schedules.loops_tvm import argument

if TYPE_CHECKING:
    from costmodel.schedules.channelwise import Geometry


def written(kernel: ConvKernel, g: Geometry, shapes: tuple[tuple[int, ...], ...]) -> tvm.IRModule:
    """Module with one PrimFunc ``main(x, e0, ..., w, b, out)``; see `DepthwiseConvolution`."""
    names = (*epilogue.combining(kernel.epilogue), "w", "b")
    *others, w, b = (argument(name, shape) for name, shape in zip(names, shapes[1:-1], strict=True))

    def accumulate(total: Any, read: Any, block: Any, r: Any, s: Any, channel: Any) -> Any:
        return total + read * w[block, r, s, channel]

    def finish(total: Any, row: Any, column: Any, channel: Any) -> Any:
        return epilogue.apply(
            total + b[channel], kernel.epilogue, lambda i: others[i][row, column, channel]
        )

    return channelwise_tvm.written(
        kernel, g, (*others, w, b), start=0.0, accumulate=accumulate, finish=finish
    )
