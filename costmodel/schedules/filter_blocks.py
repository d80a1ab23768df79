"""Filters of a convolution in blocks that are computed together."""

from __future__ import annotations

import numpy as np

from costmodel.kernels import Array, ConvKernel


def blocked(
    kernel: ConvKernel, blocks: int, block: int, constants: tuple[Array, ...]
) -> tuple[Array, Array]:
    """Weight ``[blocks, block, C / groups, kh, kw]`` and bias ``[blocks block]``.

    ``constants``: weight ``[M, C / groups, kh, kw]`` and bias ``[M]``; filters beyond M are zero.
    """
    weight, bias = constants
    filters, inner = blocks * block, kernel.group_channels
    padded = np.zeros((filters, inner, *kernel.kernel), np.float32)
    padded[: kernel.filters] = weight
    padded_bias = np.zeros(filters, np.float32)
    padded_bias[: kernel.filters] = bias
    return padded.reshape(blocks, block, inner, *kernel.kernel), padded_bias
