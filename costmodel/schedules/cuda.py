"""The CUDA families: the first that handles a kernel schedules it."""

from __future__ import annotations

from typing import Any

from costmodel.schedules.cuda_conv import CudaConvolution
from costmodel.schedules.cuda_default import CudaDefault
from costmodel.schedules.cuda_dense import CudaDense
from costmodel.schedules.cuda_depthwise import CudaDepthwise
from costmodel.schedules.cuda_elementwise import CudaElementwise
from costmodel.schedules.cuda_pool import CudaGlobalPool, CudaWindowPool
from costmodel.schedules.cuda_pooled_dense import CudaPooledDense
from costmodel.schedules.cuda_softmax import CudaSoftmax
from costmodel.schedules.family import ScheduleFamily

CONVOLUTION = CudaConvolution()
DEPTHWISE = CudaDepthwise()
DENSE = CudaDense()
GLOBAL_POOL = CudaGlobalPool()
WINDOW_POOL = CudaWindowPool()
POOLED_DENSE = CudaPooledDense()
ELEMENTWISE = CudaElementwise()
SOFTMAX = CudaSoftmax()
PLAIN = CudaDefault()
CUDA_FAMILIES: tuple[ScheduleFamily[Any], ...] = (
    DENSE, DEPTHWISE, CONVOLUTION, GLOBAL_POOL, WINDOW_POOL, POOLED_DENSE, ELEMENTWISE, SOFTMAX,
    PLAIN,
)  # fmt: skip
