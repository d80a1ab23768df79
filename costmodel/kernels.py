"""Kernels: the fused operator groups of a network, the unit of scheduling and of timing.

A kernel's ``key`` is the text that names its workload: equal kernels have equal keys. A
``stride`` here is the number of channels allocated for each pixel of a value, at least its
channels; what lies between is undefined.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from costmodel.operators import ActivationName, Padding, Shape, windows

Array = npt.NDArray[np.float32]

EpilogueName = ActivationName | Literal["add", "multiply"]
"""What may follow in the same kernel; ``add`` and ``multiply`` read one value more."""
COMBINING = frozenset({"add", "multiply"})
ACTIVATIONS: frozenset[str] = frozenset(get_args(ActivationName))


@dataclass(frozen=True, kw_only=True)
class ConvKernel:
    """Convolution + folded batch norm + bias + epilogue; a dense layer is one on 1x1.

    Reads ``[H, W, input_stride]`` (the first C channels count), then one value of the output's
    shape for each combining step of the epilogue; writes ``[OH, OW, padded M]``. Constants:
    weight ``[M, C / groups, kh, kw]``, bias ``[M]``.
    """

    height: int
    width: int
    channels: int
    input_stride: int
    filters: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    epilogue: tuple[EpilogueName, ...] = ()
    """Applied in order after the bias."""

    kind: ClassVar[str] = "conv"

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns that the kernel spans, dilation counted."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    @property
    def output_size(self) -> tuple[int, int]:
        """(OH, OW)."""
        size = (self.height, self.width)
        return windows(size, self.window, self.stride, self.padding, "kernel")

    @property
    def inputs(self) -> int:
        """Values read."""
        return 1 + sum(name in COMBINING for name in self.epilogue)

    @property
    def group_channels(self) -> int:
        """Channels that one filter reads."""
        return self.channels // self.groups

    @property
    def group_filters(self) -> int:
        """Filters that read the same channels."""
        return self.filters // self.groups

    @property
    def flops(self) -> int:
        """2 kh kw (C / groups) M OH OW: useful arithmetic."""
        places = math.prod(self.output_size) * math.prod(self.kernel)
        return 2 * places * self.group_channels * self.filters

    @property
    def is_dense(self) -> bool:
        """Whether this is a fully connected layer."""
        is_vector = self.height == self.width == 1 and self.kernel == (1, 1)
        return is_vector and not any(self.padding)

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel has one filter of its own."""
        return self.groups == self.channels == self.filters and self.groups > 1

    @property
    def key(self) -> str:
        """See the module."""
        (kh, kw), (sh, sw) = self.kernel, self.stride
        parts = [
            f"conv {self.height}x{self.width}x{self.channels}/{self.input_stride} {kh}x{kw},"
            f"{self.filters} s{sh}x{sw} p{','.join(map(str, self.padding))}"
        ]
        if self.dilation != (1, 1):
            parts.append(f"d{self.dilation[0]}x{self.dilation[1]}")
        if self.groups > 1:
            parts.append(f"g{self.groups}")
        return " ".join([*parts, *self.epilogue])

    @property
    def title(self) -> str:
        """Short name for people."""
        if self.is_dense:
            return f"dense {self.channels}→{self.filters}"
        size = f"{self.kernel[0]}x{self.kernel[1]}"
        if self.is_depthwise:
            return f"depthwise {size} {self.channels}"
        grouped = f" in {self.groups} groups" if self.groups > 1 else ""
        return f"conv {size} {self.channels}→{self.filters}{grouped}"


@dataclass(frozen=True, kw_only=True)
class PoolKernel:
    """Mean or maximum over a window: ``[H, W, input_stride]`` to ``[OH, OW, padded C]``."""

    height: int
    width: int
    channels: int
    input_stride: int
    function: Literal["average", "max"]
    window: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    count_padding: bool = False
    """Whether the zeros around count in a mean."""

    kind: ClassVar[str] = "pool"
    inputs: ClassVar[int] = 1

    @property
    def output_size(self) -> tuple[int, int]:
        """(OH, OW)."""
        size = (self.height, self.width)
        return windows(size, self.window, self.stride, self.padding, "window")

    @property
    def is_global(self) -> bool:
        """Whether there is one window, which is the whole map."""
        return self.window == (self.height, self.width) and not any(self.padding)

    @property
    def flops(self) -> int:
        """Window OH OW C additions or comparisons."""
        return math.prod(self.window) * math.prod(self.output_size) * self.channels

    @property
    def key(self) -> str:
        """See the module."""
        counted = " counted" if self.count_padding else ""
        return (
            f"pool {self.function} {self.height}x{self.width}x{self.channels}/{self.input_stride} "
            f"{self.window[0]}x{self.window[1]} s{self.stride[0]}x{self.stride[1]} "
            f"p{','.join(map(str, self.padding))}{counted}"
        )

    @property
    def title(self) -> str:
        """Short name for people."""
        if self.is_global:
            return f"{self.function} pool {self.height}x{self.width}x{self.channels}"
        return f"{self.function} pool {self.window[0]}x{self.window[1]} of {self.channels}"


@dataclass(frozen=True, kw_only=True)
class Operand:
    """A value that an `ElementwiseKernel` reads: ``[H, W, stride]``, or ``[1, 1, stride]``."""

    stride: int
    is_vector: bool = False
    """Whether each pixel reads the same numbers."""


ElementwiseName = EpilogueName | Literal["affine"]
"""affine: x scale + shift, by channel."""


@dataclass(frozen=True, kw_only=True)
class ElementwiseKernel:
    """A chain of functions of each number by itself, on a map or a vector (H = W = 1).

    Starts with the first operand; each combining step takes the next. Writes
    ``[H, W, padded C]``. Constants: scale ``[C]`` and shift ``[C]`` for each ``affine`` step.
    """

    height: int
    width: int
    channels: int
    operands: tuple[Operand, ...]
    operations: tuple[ElementwiseName, ...]

    kind: ClassVar[str] = "elementwise"

    @property
    def inputs(self) -> int:
        """Values read."""
        return len(self.operands)

    @property
    def flops(self) -> int:
        """H W C for each operation."""
        return self.height * self.width * self.channels * max(len(self.operations), 1)

    @property
    def key(self) -> str:
        """See the module."""
        read = ",".join(f"{o.stride}{'v' if o.is_vector else ''}" for o in self.operands)
        size = f"{self.height}x{self.width}x{self.channels}/{read}"
        return f"elementwise {size} {' '.join(self.operations)}"

    @property
    def title(self) -> str:
        """Short name for people."""
        size = f"{self.height}x{self.width}x{self.channels}"
        return f"{' '.join(self.operations).replace('_', '-')} {size}"


@dataclass(frozen=True, kw_only=True)
class ChannelsKernel:
    """Values behind each other along the channels, then shuffled in ``groups`` (1: as they are).

    Reads ``[H, W, stride]`` of each (channels, stride); writes ``[H, W, padded sum of C]``.
    """

    height: int
    width: int
    sources: tuple[tuple[int, int], ...]
    groups: int = 1

    kind: ClassVar[str] = "channels"

    @property
    def inputs(self) -> int:
        """Values read."""
        return len(self.sources)

    @property
    def channels(self) -> int:
        """Channels written."""
        return sum(channels for channels, _ in self.sources)

    @property
    def flops(self) -> int:
        """Numbers moved: there is no arithmetic."""
        return self.height * self.width * self.channels

    @property
    def key(self) -> str:
        """See the module."""
        read = ",".join(f"{channels}/{stride}" for channels, stride in self.sources)
        return f"channels {self.height}x{self.width} {read} g{self.groups}"

    @property
    def title(self) -> str:
        """Short name for people."""
        name = "concat" if len(self.sources) > 1 else "channel shuffle"
        return f"{name} {self.height}x{self.width}x{self.channels}"


@dataclass(frozen=True, kw_only=True)
class LayoutKernel:
    """A map between [H, W, stride] and [C, H, W], the layout of frameworks (and of flattening)."""

    height: int
    width: int
    channels: int
    stride: int
    """Channels allocated a pixel on the side with channels last."""
    planar: bool
    """Whether [C, H, W] is written; else read."""

    kind: ClassVar[str] = "layout"
    inputs: ClassVar[int] = 1

    @property
    def flops(self) -> int:
        """Numbers moved: there is no arithmetic."""
        return self.height * self.width * self.channels

    @property
    def key(self) -> str:
        """See the module."""
        size = f"{self.height}x{self.width}x{self.channels}/{self.stride}"
        return f"layout {size} {'planar' if self.planar else 'packed'}"

    @property
    def title(self) -> str:
        """Short name for people."""
        return f"layout {self.height}x{self.width}x{self.channels}"


@dataclass(frozen=True, kw_only=True)
class SoftmaxKernel:
    """exp(x) over its sum over the channels: ``[H, W, input_stride]`` to ``[H, W, padded C]``."""

    height: int
    width: int
    channels: int
    input_stride: int

    kind: ClassVar[str] = "softmax"
    inputs: ClassVar[int] = 1

    @property
    def flops(self) -> int:
        """Maximum, difference, exponential, sum and division of each number."""
        return 5 * self.height * self.width * self.channels

    @property
    def key(self) -> str:
        """See the module."""
        return f"softmax {self.height}x{self.width}x{self.channels}/{self.input_stride}"

    @property
    def title(self) -> str:
        """Short name for people."""
        return f"softmax {self.channels}"


@dataclass(frozen=True, kw_only=True)
class PooledDenseKernel:
    """A pool over a whole map, the dense layer that alone reads it, and perhaps its softmax.

    Reads what ``pool`` reads, then what the epilogue of ``dense`` combines with; writes what
    ``dense`` does. Constants: those of ``dense``.
    """

    pool: PoolKernel
    """With ``is_global``."""
    dense: ConvKernel
    """With ``is_dense``, on the pool's channels, in one group."""
    softmax: bool = False
    """Whether exp(x) over its sum is taken of the dense layer's output."""

    kind: ClassVar[str] = "pooled_dense"

    @property
    def inputs(self) -> int:
        """Values read."""
        return self.dense.inputs

    @property
    def parts(self) -> tuple[PoolKernel | ConvKernel | SoftmaxKernel, ...]:
        """The kernels that do the same one after another."""
        units = self.dense.filters
        last = SoftmaxKernel(height=1, width=1, channels=units, input_stride=units)
        return (self.pool, self.dense, *[last] * self.softmax)

    @property
    def flops(self) -> int:
        """Those of its parts."""
        return sum(part.flops for part in self.parts)

    @property
    def key(self) -> str:
        """See the module."""
        return f"{self.kind} {', '.join(part.key for part in self.parts)}"

    @property
    def title(self) -> str:
        """Short name for people."""
        return ", ".join(part.title for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class TvmKernel:
    """A function that TVM made of an operator we have no schedule for; see `TvmOperator`."""

    name: str
    function: str
    """The function as JSON."""
    input_shapes: tuple[Shape, ...]
    """As the function declares them, batch of one included."""
    constant_shapes: tuple[Shape, ...]
    output_shape: Shape

    kind: ClassVar[str] = "tvm"

    @property
    def inputs(self) -> int:
        """Values read."""
        return len(self.input_shapes)

    @property
    def flops(self) -> int:
        """Numbers written: what they cost is TVM's affair."""
        return math.prod(self.output_shape)

    @property
    def key(self) -> str:
        """See the module."""
        return f"tvm {self.function}"

    @property
    def title(self) -> str:
        """Short name for people."""
        return f"{self.name} {'x'.join(map(str, self.output_shape))}"


Kernel = (
    ConvKernel
    | PoolKernel
    | ElementwiseKernel
    | ChannelsKernel
    | LayoutKernel
    | SoftmaxKernel
    | PooledDenseKernel
    | TvmKernel
)
