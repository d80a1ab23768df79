"""A network under construction, spoken to in the terms of the frameworks: [1, C, H, W] and [1, C].

Shape letters: C channels, H and W rows and columns, M filters, kh and kw rows and columns of a
kernel. Every method returns None for what no operator of `costmodel.operators` can say, so that
the caller can fall back on TVM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from costmodel.errors import InputError
from costmodel.frontends.windows import ceil_padding
from costmodel.network import Network
from costmodel.operators import (
    ActivationName,
    Flatten,
    Operator,
    Padding,
    Shape,
    TvmOperator,
)

Array = npt.NDArray[np.float32]

NO_PADDING: Padding = (0, 0, 0, 0)


@dataclass(frozen=True)
class Value:
    """A tensor of the framework, and the node of the network that computes it.

    ``shape`` is the framework's: (1, C, H, W) or (1, C). A tensor (1, C, 1, 1) is either a map
    (1, 1, C) in the network or, after a global pooling, a vector (C,).
    """

    node: str
    shape: Shape


Operand = Value | Array | None
"""A value, a constant, or something that the network cannot hold."""


def network_shape(shape: Sequence[int]) -> Shape:
    """(1, C, H, W) as (H, W, C), (1, C) as (C,)."""
    return (*shape[2:], shape[1])


class Assembly:
    """A network and its weights, grown one operator at a time."""

    def __init__(self, input_shape: Shape) -> None:
        """``input_shape``: (1, C, H, W) or (1, C)."""
        self.network = Network(network_shape(input_shape))
        self.weights: dict[str, dict[str, Array]] = {}
        self.input = Value(Network.INPUT, input_shape)
        self._taken = {Network.INPUT}

    def conv2d(
        self,
        value: Value,
        weight: Array,
        bias: Array | None,
        *,
        stride: tuple[int, int],
        padding: Padding,
        dilation: tuple[int, int],
        groups: int,
        name: str,
    ) -> Value | None:
        """A convolution; weight: [M, C / groups, kh, kw], bias: [M]."""
        channels = value.shape[1]
        if weight.shape[1] * groups != channels:
            raise InputError(
                f"its weight {list(weight.shape)} with {groups} groups takes "
                f"{weight.shape[1] * groups} channels, its input has {channels}"
            )
        if not self._is_map(value):
            tap = _middle_tap(weight, stride, padding, dilation, groups)
            if tap is None:
                return None
            dense = self.dense(value, tap, bias, name)
            return dense and Value(dense.node, (*dense.shape, 1, 1))
        node = self.network.conv2d(
            value.node, filters=weight.shape[0], kernel=(weight.shape[2], weight.shape[3]),
            stride=stride, padding=padding, dilation=dilation, groups=groups,
            name=self._name(name),
        )  # fmt: skip
        self.weights[node] = {"weight": _array(weight)}
        if bias is not None:
            node = self._add_bias(node, bias, f"{node}.bias")
        return self._value(node)

    def dense(self, value: Value, weight: Array, bias: Array | None, name: str) -> Value | None:
        """A fully connected layer; weight: [units, C], bias: [units]."""
        if self._is_map(value):
            return None
        if weight.shape[1] != value.shape[1]:
            raise InputError(
                f"its weight {list(weight.shape)} takes {weight.shape[1]} numbers, "
                f"its input has {value.shape[1]}"
            )
        units = weight.shape[0]
        node = self.network.dense(value.node, units=units, name=self._name(name))
        shift = np.zeros(units, np.float32) if bias is None else np.broadcast_to(bias, (units,))
        self.weights[node] = {"weight": _array(weight), "bias": _array(shift)}
        return Value(node, (1, units))

    def batch_norm(
        self, value: Value, parameters: Mapping[str, Array], epsilon: float, name: str
    ) -> Value:
        """Batch normalisation; parameters: gamma, beta, mean, variance, each [C]."""
        node = self.network.batch_norm(value.node, epsilon=epsilon, name=self._name(name))
        self.weights[node] = {key: _array(array) for key, array in parameters.items()}
        return Value(node, value.shape)

    def scale(self, value: Value, factor: Array, name: str) -> Value | None:
        """Product with a number, or with one a channel: a batch norm of variance one."""
        gamma = per_channel(factor, value.shape)
        if gamma is None:
            return None
        zeros = np.zeros_like(gamma)
        parameters = {"gamma": gamma, "beta": zeros, "mean": zeros, "variance": zeros + 1}
        return self.batch_norm(value, parameters, 0.0, name)

    def shift(self, value: Value, offset: Array, name: str) -> Value | None:
        """Sum with a number, or with one a channel."""
        bias = per_channel(offset, value.shape)
        return None if bias is None else Value(self._add_bias(value.node, bias, name), value.shape)

    def activation(self, value: Value, function: ActivationName, name: str) -> Value:
        """A function of each number by itself."""
        node = self.network.activation(value.node, function, name=self._name(name))
        return Value(node, value.shape)

    def clip(self, value: Value, low: float | None, high: float | None, name: str) -> Value | None:
        """min(max(x, low), high), where that is relu or relu6."""
        if low == 0 and (high is None or high >= np.finfo(np.float32).max):
            return self.activation(value, "relu", name)
        return self.activation(value, "relu6", name) if (low, high) == (0, 6) else None

    def silu(self, value: Value, name: str) -> Value | None:
        """The product x sigmoid(x)."""
        gate = self.activation(value, "sigmoid", f"{name}.sigmoid")
        return self.combine("multiply", value, gate, name)

    def combine(
        self, function: Literal["add", "multiply"], first: Value, second: Value, name: str
    ) -> Value | None:
        """Sum or product of two values of one shape, or of a map and a (1, C, 1, 1)."""
        if math.prod(second.shape) > math.prod(first.shape):
            first, second = second, first
        vector = second.shape == (1, first.shape[1], 1, 1)
        if first.shape != second.shape and not (vector and len(first.shape) == 4):
            return None
        if vector and self._is_map(second) and first.shape != second.shape:
            second = self._as_vector(second, name)
        elif self._is_map(first) != self._is_map(second) and first.shape == second.shape:
            first, second = self._as_vector(first, name), self._as_vector(second, name)
        operation = self.network.sum if function == "add" else self.network.product
        return Value(operation(first.node, second.node, name=self._name(name)), first.shape)

    def add(
        self, first: Operand, second: Operand, name: str, *, factor: float = 1.0
    ) -> Value | None:
        """The sum first + factor × second."""
        if isinstance(second, Value) and factor != 1:
            second = self.scale(second, np.asarray(factor, np.float32), f"{name}.scale")
        elif isinstance(second, np.ndarray):
            second = np.asarray(np.float32(factor) * second, np.float32)
        if isinstance(first, Value):
            if isinstance(second, Value):
                return self.combine("add", first, second, name)
            return None if second is None else self.shift(first, second, name)
        if isinstance(second, Value) and first is not None:
            return self.shift(second, first, name)
        return None

    def multiply(self, first: Operand, second: Operand, name: str) -> Value | None:
        """The product of two values, or of a value and a constant."""
        if isinstance(first, Value) and isinstance(second, Value):
            return self.combine("multiply", first, second, name)
        value, factor = (first, second) if isinstance(first, Value) else (second, first)
        if not isinstance(value, Value) or factor is None or isinstance(factor, Value):
            return None
        return self.scale(value, factor, name)

    def concat(self, values: Sequence[Value], axis: int, name: str) -> Value | None:
        """Values behind each other along the channels."""
        ranks = {len(value.shape) for value in values}
        if len(ranks) != 1 or axis % ranks.copy().pop() != 1:
            return None
        if len({self._is_map(value) for value in values}) != 1:
            values = [self._as_vector(value, name) for value in values]
        node = self.network.concat(*(value.node for value in values), name=self._name(name))
        channels = sum(value.shape[1] for value in values)
        return Value(node, (1, channels, *values[0].shape[2:]))

    def channel_shuffle(self, value: Value, groups: int, name: str) -> Value | None:
        """Channels [groups, C / groups] in the order [C / groups, groups]."""
        if not self._is_map(value):
            return None
        name = self._name(name)
        return self._value(self.network.channel_shuffle(value.node, groups=groups, name=name))

    def pool(
        self,
        value: Value,
        *,
        function: Literal["average", "max"],
        window: tuple[int, int],
        stride: tuple[int, int],
        padding: Padding,
        count_padding: bool,
        round_up: bool,
        name: str,
    ) -> Value | None:
        """Mean or maximum over a window; the mean over all is a global pooling.

        ``round_up``: the frameworks' ``ceil_mode``. None where the zeros that it adds would have
        to count otherwise than those of ``padding``.
        """
        if round_up:
            added = ceil_padding((value.shape[2], value.shape[3]), window, stride, padding)
            if count_padding and added != padding:
                return None
            padding = added
        if not self._is_map(value):
            return value if window == (1, 1) and padding == NO_PADDING else None
        if function == "average" and window == value.shape[2:] and padding == NO_PADDING:
            return self.mean(value, keep=True, name=name)
        node = self.network.pool2d(
            value.node, function=function, window=window, stride=stride, padding=padding,
            count_padding=count_padding and padding != NO_PADDING, name=self._name(name),
        )  # fmt: skip
        return self._value(node)

    def adaptive_pool(
        self,
        value: Value,
        function: Literal["average", "max"],
        size: Sequence[int | None],
        name: str,
    ) -> Value | None:
        """A pooling to ``size`` (None: as it is), where that divides (H, W)."""
        given = value.shape[2:]
        wanted = [given[i] if size[i] is None else size[i] for i in range(2)]
        if len(given) != 2 or any(g % (w or 1) for g, w in zip(given, wanted, strict=True)):
            return None
        window = (given[0] // (wanted[0] or 1), given[1] // (wanted[1] or 1))
        return self.pool(
            value, function=function, window=window, stride=window, padding=NO_PADDING,
            count_padding=False, round_up=False, name=name,
        )  # fmt: skip

    def mean(self, value: Value, *, keep: bool, name: str) -> Value:
        """Mean over rows and columns of (1, C, H, W): (1, C, 1, 1) where ``keep``, else (1, C)."""
        node = value.node
        if self._is_map(value):
            node = self.network.global_average_pool(node, name=self._name(name))
        return Value(node, (1, value.shape[1], 1, 1) if keep else (1, value.shape[1]))

    def reshape(self, value: Value, shape: Shape, name: str) -> Value | None:
        """(1, C, H, W) as the vector (1, C H W), or a vector with extents of one more or less."""
        if shape == value.shape:
            return value
        if math.prod(shape) != shape[min(1, len(shape) - 1)] or len(shape) not in {2, 4}:
            return None
        if shape[0] != 1 or (len(shape) == 4 and value.shape[1] != shape[1]):
            return None
        return Value(self._as_vector(value, name).node, shape)

    def softmax(self, value: Value, axis: int, name: str) -> Value | None:
        """exp(x) over its sum, over the channels."""
        if axis % len(value.shape) != 1:
            return None
        return Value(self.network.softmax(value.node, name=self._name(name)), value.shape)

    def tvm(
        self,
        operator: TvmOperator,
        parameters: Mapping[str, Array],
        sources: Sequence[Value],
        shape: Shape,
        name: str,
    ) -> Value:
        """An operator that TVM lowers, from ``sources`` to a tensor of ``shape``."""
        node = self._add(operator, sources, name)
        if parameters:
            self.weights[node] = dict(parameters)
        return Value(node, shape)

    def argument_shape(self, value: Value) -> Shape:
        """Shape of ``value`` as an argument of a `TvmOperator`: [1, C, H, W] or [1, C]."""
        return value.shape if self._is_map(value) else value.shape[:2]

    def _add(self, operator: Operator, sources: Sequence[Value], name: str) -> str:
        nodes = (source.node for source in sources)
        return self.network.add(operator, *nodes, name=self._name(name))

    def _add_bias(self, node: str, bias: Array, name: str) -> str:
        channels = self.network.shape(node)[-1]
        added = self.network.bias(node, name=self._name(name))
        self.weights[added] = {"bias": _array(np.broadcast_to(bias, (channels,)))}
        return added

    def _as_vector(self, value: Value, name: str) -> Value:
        if not self._is_map(value):
            return value
        return Value(self._add(Flatten(), [value], f"{name}.flatten"), value.shape)

    def _is_map(self, value: Value) -> bool:
        return len(self.network.shape(value.node)) == 3

    def _value(self, node: str) -> Value:
        *size, channels = self.network.shape(node)
        return Value(node, (1, channels, *size))

    def _name(self, wanted: str) -> str:
        name, count = wanted, 0
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name


def per_channel(array: Array, shape: Shape) -> Array | None:
    """``array`` as [C] where it is one number a channel when broadcast to ``shape``."""
    vector = (1, shape[1], *[1] * (len(shape) - 2))
    if array.ndim > len(shape):
        return None
    try:
        return _array(np.broadcast_to(array, vector).reshape(shape[1]))
    except ValueError:
        return None


def _middle_tap(
    weight: Array,
    stride: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int],
    groups: int,
) -> Array | None:
    """[M, C] of a convolution that sees one pixel and gives one: the tap that meets the pixel."""
    if groups != 1:
        return None
    place: list[int] = []
    for i in range(2):
        before, after = padding[i], padding[i + 2]
        free = before + after - (weight.shape[2 + i] - 1) * dilation[i]
        if not 0 <= free < stride[i] or before % dilation[i]:
            return None
        place.append(before // dilation[i])
    return weight[:, :, place[0], place[1]]


def _array(array: npt.ArrayLike) -> Array:
    """A copy of its own, in rows."""
    return np.array(array, np.float32, order="C", copy=True)
