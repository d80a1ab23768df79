"""The operators a network is made of, each with its shape rule.

Shapes leave the batch out (it is one) and put channels last: ``(H, W, C)`` for a feature
map, ``(C,)`` after pooling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

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


def windows(
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    name: str,
) -> tuple[int, int]:
    """(OH, OW): places of a window on (H, W); InputError, naming ``name``, where there is none."""
    top, left, bottom, right = padding
    rows = (size[0] + top + bottom - window[0]) // stride[0] + 1
    columns = (size[1] + left + right - window[1]) // stride[1] + 1
    if rows < 1 or columns < 1:
        raise InputError(
            f"a {window[0]}x{window[1]} {name} does not fit a {size[0]}x{size[1]} input "
            f"padded by {padding}; use a smaller {name} or more padding"
        )
    return rows, columns


@dataclass(frozen=True, kw_only=True)
class Conv2d:
    """A convolution without bias or activation (nodes of their own).

    weight: ``[M, C / groups, kh, kw]``, as torch stores it.
    """

    filters: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ("weight",)

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns that a kernel spans, dilation counted."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    def output_shape(self, *shapes: Shape) -> Shape:
        h, w, channels = feature_map(shapes[0], "conv2d")
        if channels % self.groups or self.filters % self.groups:
            raise InputError(
                f"{self.groups} groups do not divide {channels} channels and {self.filters} filters"
            )
        return *windows((h, w), self.window, self.stride, self.padding, "kernel"), self.filters


@dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """Batch normalisation with running statistics; folded into the convolution before it.

    gamma, beta, mean, variance: ``[C]``.
    """

    epsilon: float = 1e-5

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ("gamma", "beta", "mean", "variance")

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]


@dataclass(frozen=True, kw_only=True)
class Bias:
    """One number added to each channel: bias ``[C]``."""

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ("bias",)

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]


ActivationName = Literal["relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid"]
"""relu6: min(max(x, 0), 6); hard_sigmoid: relu6(x + 3) / 6; hard_swish: x hard_sigmoid(x)."""


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A function of each number by itself."""

    function: ActivationName

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]


@dataclass(frozen=True, kw_only=True)
class Combine:
    """Sum or product of two values of one shape, or of a map (H, W, C) and a vector (C,)."""

    function: Literal["add", "multiply"]

    inputs: ClassVar[int] = 2
    parameters: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *shapes: Shape) -> Shape:
        first, second = shapes
        if first == second or (len(first) == 3 and second == first[-1:]):
            return first
        raise InputError(
            f"{self.function} takes two values of one shape, or a map and a vector of its "
            f"channels; got {first} and {second}"
        )


@dataclass(frozen=True, kw_only=True)
class Concat:
    """Values of one size (H, W) behind each other along the channels."""

    inputs: ClassVar[int | None] = None  # any number
    parameters: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *shapes: Shape) -> Shape:
        if len({shape[:-1] for shape in shapes}) != 1:
            raise InputError(f"concat takes values that differ in channels only, got {shapes}")
        return *shapes[0][:-1], sum(shape[-1] for shape in shapes)


@dataclass(frozen=True, kw_only=True)
class ChannelShuffle:
    """Channels [groups, C / groups] in the order [C / groups, groups]; as torch's."""

    groups: int

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *shapes: Shape) -> Shape:
        channels = feature_map(shapes[0], "channel_shuffle")[2]
        if channels % self.groups:
            raise InputError(f"{self.groups} groups do not divide {channels} channels")
        return shapes[0]


@dataclass(frozen=True, kw_only=True)
class Pool2d:
    """Mean or maximum over a window."""

    function: Literal["average", "max"]
    window: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    count_padding: bool = False
    """Whether the zeros around count in a mean."""

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *shapes: Shape) -> Shape:
        h, w, channels = feature_map(shapes[0], f"{self.function}_pool2d")
        return *windows((h, w), self.window, self.stride, self.padding, "window"), channels


@dataclass(frozen=True, kw_only=True)
class GlobalAveragePool:
    """Mean over rows and columns: (H, W, C) to (C,)."""

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *shapes: Shape) -> Shape:
        return (feature_map(shapes[0], "global_average_pool")[2],)


@dataclass(frozen=True, kw_only=True)
class Flatten:
    """(H, W, C) to (C H W,), channels slowest, as torch flattens [C, H, W]."""

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *shapes: Shape) -> Shape:
        return (math.prod(shapes[0]),)


@dataclass(frozen=True, kw_only=True)
class Dense:
    """A fully connected layer: weight ``[units, C]``, bias ``[units]``."""

    units: int

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes[0]) != 1:
            raise InputError(
                f"dense takes a vector, got the shape {shapes[0]}; pool or flatten first"
            )
        return (self.units,)


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """exp(x) over its sum, over the channels."""

    inputs: ClassVar[int] = 1
    parameters: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]


@dataclass(frozen=True, kw_only=True)
class TvmOperator:
    """Anything else that TVM can lower, as the function that TVM made of it.

    The function takes its inputs, then ``parameters`` in order, then the output, all float32, in
    the layout of the framework that the network came from: a map (H, W, C) as [1, C, H, W], a
    vector (C,) as [1, C].
    """

    title: str
    """TVM's name of the operation, such as ``relax.nn.gelu``."""
    function: str
    """The function as JSON (``tvm.ir.save_json``)."""
    shape: Shape
    """Shape of the output, batch left out, channels last."""
    parameters: tuple[str, ...] = ()
    parameter_shapes: tuple[Shape, ...] = ()

    inputs: ClassVar[int | None] = None

    def output_shape(self, *shapes: Shape) -> Shape:
        del shapes
        return self.shape


Operator = (
    Conv2d
    | BatchNorm
    | Bias
    | Activation
    | Combine
    | Concat
    | ChannelShuffle
    | Pool2d
    | GlobalAveragePool
    | Flatten
    | Dense
    | Softmax
    | TvmOperator
)


def feature_map(shape: Shape, name: str) -> tuple[int, int, int]:
    """``shape`` as (H, W, C); InputError, naming the operator ``name``, where it is none."""
    if len(shape) != 3:
        raise InputError(f"{name} takes a feature map (H, W, C), got the shape {shape}")
    return shape[0], shape[1], shape[2]
