"""The operators a network is made of, each with its shape rule.

Shapes leave the batch out (it is one) and put channels last: ``(H, W, C)`` for a feature
map, ``(C,)`` after pooling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from costmodel.errors import InputError

Shape = tuple[int, ...]
Padding = tuple[int, int, int, int]
"""Rows and columns of zeros added: (top, left, bottom, right)."""


def same_padding(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]
) -> Padding:
    """Zeros that make a convolution of ``size`` = (H, W) give (⌈H/Sh⌉, ⌈W/Sw⌉).

    The odd zero goes to the bottom and to the right, as TensorFlow's 'SAME' does.
    """
    before: list[int] = []
    after: list[int] = []
    for extent, k, s in zip(size, kernel, stride, strict=True):
        total = max((math.ceil(extent / s) - 1) * s + k - extent, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return before[0], before[1], after[0], after[1]


@dataclass(frozen=True, kw_only=True)
class Conv2d:
    """A convolution over all input channels, without bias or activation (nodes of their own).

    weight: ``[M, C, kh, kw]``, as torch stores it.
    """

    filters: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ("weight",)

    def output_shape(self, shape: Shape) -> Shape:
        h, w, _ = feature_map(shape, "conv2d")
        top, left, bottom, right = self.padding
        rows = (h + top + bottom - self.kernel[0]) // self.stride[0] + 1
        columns = (w + left + right - self.kernel[1]) // self.stride[1] + 1
        if rows < 1 or columns < 1:
            raise InputError(
                f"a {self.kernel[0]}x{self.kernel[1]} kernel does not fit a {h}x{w} input "
                f"padded by {self.padding}; use a smaller kernel or more padding"
            )
        return rows, columns, self.filters


@dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """Batch normalisation with running statistics; folded into the convolution before it.

    gamma, beta, mean, variance: ``[C]``.
    """

    epsilon: float = 1e-5

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ("gamma", "beta", "mean", "variance")

    def output_shape(self, shape: Shape) -> Shape:
        return shape


@dataclass(frozen=True, kw_only=True)
class Bias:
    """One number added to each channel: bias ``[C]``."""

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ("bias",)

    def output_shape(self, shape: Shape) -> Shape:
        return shape


@dataclass(frozen=True, kw_only=True)
class Relu:
    """max(x, 0)."""

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, shape: Shape) -> Shape:
        return shape


@dataclass(frozen=True, kw_only=True)
class GlobalAveragePool:
    """Mean over rows and columns: (H, W, C) to (C,)."""

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, shape: Shape) -> Shape:
        return (feature_map(shape, "global_average_pool")[2],)


@dataclass(frozen=True, kw_only=True)
class Dense:
    """A fully connected layer: weight ``[units, C]``, bias ``[units]``."""

    units: int

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise InputError(f"dense takes a vector, got the shape {shape}; pool or flatten first")
        return (self.units,)


Operator = Conv2d | BatchNorm | Bias | Relu | GlobalAveragePool | Dense


def feature_map(shape: Shape, name: str) -> tuple[int, int, int]:
    """``shape`` as (H, W, C); InputError, naming the operator ``name``, where it is none."""
    if len(shape) != 3:
        raise InputError(f"{name} takes a feature map (H, W, C), got the shape {shape}")
    return shape[0], shape[1], shape[2]
