"""What has no CUDA schedule of ours: plain definitions, and TVM's functions as they are.

TVM's own rule for GPUs (dlight's `Fallback`: every loop without a reduction over blocks and
threads) schedules them. One point each; the loops are read back from the module, once a kernel.
"""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from costmodel.kernels import ChannelsKernel, Kernel, LayoutKernel, TvmKernel
from costmodel.loopnest import LoopNest
from costmodel.schedules.family import Schedule, ScheduleFamily
from costmodel.target import GpuTarget, Target

if TYPE_CHECKING:
    import tvm

PlainKernel = ChannelsKernel | LayoutKernel | TvmKernel

KEPT = 1024
"""Descriptions kept: more than the kernels of any network."""


class CudaDefault(ScheduleFamily[PlainKernel]):
    """See the module. Values lie as [C, H, W], so that a change of layout is a copy."""

    name = "cuda_default"

    def handles(self, kernel: Kernel, target: Target) -> bool:
        return isinstance(target, GpuTarget) and isinstance(kernel, PlainKernel)

    def points(self, kernel: PlainKernel, target: Target) -> tuple[Schedule, ...]:
        del kernel, target
        return (Schedule(self.name, ()),)

    def shapes(
        self, kernel: PlainKernel, schedule: Schedule, target: Target
    ) -> tuple[tuple[int, ...], ...]:
        del schedule, target
        if isinstance(kernel, TvmKernel):
            return (*kernel.input_shapes, *kernel.constant_shapes, kernel.output_shape)
        size = (kernel.height, kernel.width)
        if isinstance(kernel, ChannelsKernel):
            return (*((c, *size) for c, _ in kernel.sources), (kernel.channels, *size))
        return ((kernel.channels, *size),) * 2

    def describe(self, kernel: PlainKernel, schedule: Schedule, target: Target) -> LoopNest:
        return _read(kernel, schedule, target)

    def module(self, kernel: PlainKernel, schedule: Schedule, target: Target) -> tvm.IRModule:
        import tvm
        from tvm.s_tir import dlight

        if isinstance(kernel, TvmKernel):
            function = tvm.ir.load_json(kernel.function)
        else:
            function = definition(kernel, self.shapes(kernel, schedule, target))
        module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
        with tvm.target.Target(target.tvm_dict()):
            return dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())(module)


@lru_cache(maxsize=KEPT)
def _read(kernel: PlainKernel, schedule: Schedule, target: Target) -> LoopNest:
    from costmodel.tir import read

    return read(CudaDefault().module(kernel, schedule, target))


def definition(kernel: ChannelsKernel | LayoutKernel, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """The function ``main(x0, ..., out)`` before it is scheduled."""
    from tvm import te

    sources = [te.placeholder(shape, name=f"x{i}") for i, shape in enumerate(shapes[:-1])]
    if isinstance(kernel, ChannelsKernel):
        out = _channels(kernel, sources, shapes[-1])
    else:
        out = te.compute(shapes[-1], lambda c, i, j: sources[0][c, i, j], name="out")
    return te.create_prim_func([*sources, out])


def _channels(kernel: ChannelsKernel, sources: list[Any], shape: tuple[int, ...]) -> Any:
    from tvm import te, tirx

    per_group = kernel.channels // kernel.groups

    def read(c: Any, i: Any, j: Any) -> Any:
        # Channel c of the shuffled value is channel (c % groups) * per_group + c // groups.
        place = c % kernel.groups * per_group + c // kernel.groups if kernel.groups > 1 else c
        value, start = None, kernel.channels
        for (channels, _), source in reversed(list(zip(kernel.sources, sources, strict=True))):
            start -= channels
            here = source[place - start, i, j]
            value = here if value is None else tirx.if_then_else(place < start + channels, here,
                                                                 value)  # fmt: skip
        return value

    return te.compute(shape, read, name="out")
