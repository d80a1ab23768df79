"""Which CUDA family schedules which kernel."""

from __future__ import annotations

from typing import Any

from costmodel.kernels import ConvKernel, ElementwiseKernel, Kernel, PoolKernel, SoftmaxKernel
from costmodel.schedules.cuda_conv import CudaConvolution
from costmodel.schedules.cuda_default import CudaDefault
from costmodel.schedules.cuda_dense import CudaDense
from costmodel.schedules.cuda_depthwise import CudaDepthwise
from costmodel.schedules.cuda_elementwise import CudaElementwise
from costmodel.schedules.cuda_nest import CudaFamily
from costmodel.schedules.cuda_pool import CudaGlobalPool, CudaWindowPool
from costmodel.schedules.cuda_softmax import CudaSoftmax
from costmodel.schedules.family import ScheduleFamily

CONVOLUTION = CudaConvolution()
DEPTHWISE = CudaDepthwise()
DENSE = CudaDense()
GLOBAL_POOL = CudaGlobalPool()
WINDOW_POOL = CudaWindowPool()
ELEMENTWISE = CudaElementwise()
SOFTMAX = CudaSoftmax()
PLAIN = CudaDefault()
NEST_FAMILIES: tuple[CudaFamily[Any], ...] = (
    CONVOLUTION,
    DEPTHWISE,
    DENSE,
    GLOBAL_POOL,
    WINDOW_POOL,
    ELEMENTWISE,
    SOFTMAX,
)
CUDA_FAMILIES: tuple[ScheduleFamily[Any], ...] = (*NEST_FAMILIES, PLAIN)  # fmt: skip


def cuda_family_of(kernel: Kernel) -> ScheduleFamily[Any]:
    """The family that schedules ``kernel`` on a GPU."""
    if isinstance(kernel, ConvKernel):
        if kernel.is_dense and kernel.groups == 1:
            return DENSE
        return DEPTHWISE if kernel.is_depthwise else CONVOLUTION
    if isinstance(kernel, PoolKernel):
        return GLOBAL_POOL if kernel.is_global else WINDOW_POOL
    if isinstance(kernel, SoftmaxKernel):
        return SOFTMAX
    return ELEMENTWISE if isinstance(kernel, ElementwiseKernel) else PLAIN
