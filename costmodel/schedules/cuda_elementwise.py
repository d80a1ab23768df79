"""Chains of functions of each number by itself, for CUDA. Values are ``[C, H, W]``."""

# ruff: noqa: ANN401 - an index is an integer or an expression of TVM, which has no types
from __future__ import annotations

import math
from typing import Any

from costmodel.kernels import ElementwiseKernel, Kernel
from costmodel.loopnest import LoopKind
from costmodel.schedules import epilogue
from costmodel.schedules.cuda_flat import flat_points
from costmodel.schedules.cuda_nest import Assign, Buffer, CudaFamily, CudaNest, Ref, Turn, unravel
from costmodel.schedules.cuda_statements import below
from costmodel.schedules.family import Schedule
from costmodel.target import GpuTarget, Target


class CudaElementwise(CudaFamily[ElementwiseKernel]):
    """Parameters: ``threads`` of a block, ``per_thread`` outputs of a thread, a block apart."""

    name = "cuda_elementwise"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        return isinstance(target, GpuTarget) and isinstance(kernel, ElementwiseKernel)

    def gpu_points(self, kernel: ElementwiseKernel, target: GpuTarget) -> tuple[Schedule, ...]:
        outputs = kernel.height * kernel.width * kernel.channels
        return flat_points(self.name, outputs, target, per_thread=(1, 2, 4))

    def nest(self, kernel: ElementwiseKernel, schedule: Schedule, target: GpuTarget) -> CudaNest:
        del target
        shape = (kernel.channels, kernel.height, kernel.width)
        threads, each = schedule["threads"], schedule["per_thread"]
        outputs = math.prod(shape)
        blocks = -(-outputs // (threads * each))
        vector = (kernel.channels, 1, 1)
        names = ("x", *(f"e{n}" for n in range(len(kernel.operands) - 1)))
        operands = tuple(
            Buffer(name, vector if operand.is_vector else shape)
            for name, operand in zip(names, kernel.operands, strict=True)
        )
        affine = kernel.operations.count("affine")
        constants = tuple(
            Buffer(f"{name}{n}", (kernel.channels,))
            for n in range(affine)
            for name in ("scale", "shift")
        )
        out = Buffer("out", shape)

        def position(i: Any) -> Any:
            return (i.bx * each + i.v) * threads + i.tx

        def place(i: Any) -> tuple[Any, ...]:
            return unravel(position(i), shape)

        def channel(i: Any) -> Any:
            return place(i)[0]

        def value(_: Any, first: Any, *others: Any) -> Any:
            rest, numbers = others[: len(operands) - 1], others[len(operands) - 1 :]
            return epilogue.apply(
                first,
                kernel.operations,
                lambda n: rest[n],
                lambda n: (numbers[2 * n], numbers[2 * n + 1]),
            )

        loads = (
            *(
                Ref(b, (lambda i: (channel(i), 0, 0)) if operand.is_vector else place)
                for b, operand in zip(operands, kernel.operands, strict=True)
            ),
            *(Ref(b, lambda i: (channel(i),)) for b in constants),
        )
        return CudaNest(
            parameters=(*operands, *constants, out),
            blocks=(1, 1, blocks),
            threads=(1, 1, threads),
            scratch=(),
            body=(
                Assign(
                    (Turn("v", each, LoopKind.UNROLLED),),
                    Ref(out, place),
                    loads,
                    value,
                    flops=epilogue.flops(kernel.operations, before=0),
                    guards=lambda i: below([(position(i), outputs, blocks * threads * each)]),
                ),
            ),
        )
