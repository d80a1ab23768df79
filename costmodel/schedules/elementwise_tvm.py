"""The chains of `costmodel.schedules.elementwise`, written in TVM."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tvm

from costmodel.kernels import ElementwiseKernel
from costmodel.schedules import epilogue
from costmodel.schedules.loops_tvm import argument, module, nest, store

if TYPE_CHECKING:
    from costmodel.schedules.elementwise import Geometry


def written(
    kernel: ElementwiseKernel, g: Geometry, shapes: Sequence[tuple[int, ...]]
) -> tvm.IRModule:
    """Module with one PrimFunc ``main(x0, ..., scale0, shift0, ..., out)``.

    Pixels are counted through: an index of channels goes on into the next pixel.
    """
    affine = range(kernel.operations.count("affine"))
    names = [f"x{i}" for i in range(kernel.inputs)]
    names += [name for i in affine for name in (f"scale{i}", f"shift{i}")]
    parameters = [argument(name, shape) for name, shape in zip(names, shapes[:-1], strict=True)]
    operands, constants = parameters[: kernel.inputs], parameters[kernel.inputs :]
    out = argument("out", shapes[-1])

    def numbers(pixel: Any, block: Any, vector: Any, lane: Any) -> Any:
        channel = (block * g.vectors + vector) * g.lanes + lane

        def operand(i: int) -> Any:
            if kernel.operands[i].is_vector:
                return operands[i][0, 0, channel]
            return operands[i][0, 0, pixel * kernel.operands[i].stride + channel]

        value = epilogue.apply(
            operand(0),
            kernel.operations,
            lambda i: operand(i + 1),
            lambda i: (constants[2 * i][channel], constants[2 * i + 1][channel]),
        )
        return store(out, value, 0, 0, pixel * g.output_pixel + channel)

    return module([*parameters, out], nest(g.loops, numbers))
