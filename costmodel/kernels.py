"""Kernels: the fused operator groups of a network, the unit of scheduling and of timing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from costmodel.errors import InputError
from costmodel.network import Network, Weights
from costmodel.operators import (
    BatchNorm,
    Bias,
    Conv2d,
    Dense,
    GlobalAveragePool,
    Operator,
    Padding,
    Relu,
)
from costmodel.target import Target

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ConvKernel:
    """Convolution + folded batch norm + bias, with or without ReLU; a dense layer is one on 1x1.

    Reads ``[H, W, input_stride]`` (the first C channels count), writes ``[OH, OW, padded M]``.
    """

    height: int
    width: int
    channels: int
    input_stride: int
    """Channels allocated for each input pixel, at least ``channels``."""
    filters: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    relu: bool

    @property
    def output_size(self) -> tuple[int, int]:
        """(OH, OW)."""
        top, left, bottom, right = self.padding
        return (
            (self.height + top + bottom - self.kernel[0]) // self.stride[0] + 1,
            (self.width + left + right - self.kernel[1]) // self.stride[1] + 1,
        )

    @property
    def flops(self) -> int:
        """2 kh kw C M OH OW: useful arithmetic."""
        rows, columns = self.output_size
        return 2 * self.kernel[0] * self.kernel[1] * self.channels * self.filters * rows * columns

    @property
    def is_dense(self) -> bool:
        """Whether this is a fully connected layer."""
        return self.height == self.width == 1 and self.kernel == (1, 1)

    @property
    def key(self) -> str:
        """Text that names the workload: equal kernels have equal keys."""
        (kh, kw), (sh, sw) = self.kernel, self.stride
        pad = ",".join(map(str, self.padding))
        return (
            f"conv {self.height}x{self.width}x{self.channels}/{self.input_stride} {kh}x{kw},"
            f"{self.filters} s{sh}x{sw} p{pad}{' relu' if self.relu else ''}"
        )

    @property
    def title(self) -> str:
        """Short name for people."""
        if self.is_dense:
            return f"dense {self.channels}→{self.filters}"
        return f"conv {self.kernel[0]}x{self.kernel[1]} {self.channels}→{self.filters}"


@dataclass(frozen=True, kw_only=True)
class PoolKernel:
    """Mean over rows and columns: ``[H, W, input_stride]`` to ``[input_stride]``."""

    height: int
    width: int
    channels: int
    input_stride: int

    @property
    def flops(self) -> int:
        """H W C additions."""
        return self.height * self.width * self.channels

    @property
    def key(self) -> str:
        """Text that names the workload."""
        return f"pool {self.height}x{self.width}x{self.channels}/{self.input_stride}"

    @property
    def title(self) -> str:
        """Short name for people."""
        return f"average pool {self.height}x{self.width}x{self.channels}"


Kernel = ConvKernel | PoolKernel


@dataclass(frozen=True)
class Step:
    """One kernel of a network: what it reads, and the nodes fused into it."""

    kernel: Kernel
    source: str
    """Node whose output it reads (a step's ``output``, or the network's input)."""
    output: str
    """Node whose value it writes."""
    nodes: tuple[str, ...]
    """Names of the network's nodes it stands for, in order."""


def partition(network: Network, target: Target) -> tuple[Step, ...]:
    """The network as kernels in execution order, fused as far as TVM would fuse them.

    A convolution takes the batch norm, bias and ReLU that follow it, as long as each value has
    one reader. Raises InputError, naming the node, for what no kernel can stand for.
    """
    steps: list[Step] = []
    taken: set[str] = set()
    for node in network.nodes():
        if node in taken:
            continue
        operator = network.operator(node)
        (source,) = network.sources(node)
        nodes = (node, *_epilogue(network, node)) if _takes_epilogue(operator) else (node,)
        taken.update(nodes)
        kernel = _kernel(network, source, nodes, target)
        steps.append(Step(kernel=kernel, source=source, output=nodes[-1], nodes=nodes))
    return tuple(steps)


def fold(network: Network, step: Step, weights: Weights) -> tuple[Array, Array]:
    """Weight ``[M, C, kh, kw]`` and bias ``[M]`` of a convolution with its batch norm folded in.

    y = γ (Wx + b - μ) / √(σ² + ε) + β, so W' = W γ / √(σ² + ε) and b' = (b - μ) γ / √(σ² + ε) + β.
    Raises InputError where ``weights`` lacks a parameter or has one of another shape.
    """
    kernel = step.kernel
    if not isinstance(kernel, ConvKernel):
        raise InputError(f"{kernel.title} has no weights")
    shape = (kernel.filters, kernel.channels, *kernel.kernel)
    dense = isinstance(network.operator(step.nodes[0]), Dense)
    first = _parameters(network, step.nodes[0], weights, {"weight": shape[:2] if dense else shape})
    weight = first["weight"].reshape(shape)
    bias = first.get("bias", np.zeros(kernel.filters, np.float32))
    for node in step.nodes[1:]:
        operator = network.operator(node)
        p = _parameters(network, node, weights)
        if isinstance(operator, BatchNorm):
            scale = p["gamma"] / np.sqrt(p["variance"] + np.float32(operator.epsilon))
            weight = weight * scale[:, None, None, None]
            bias = (bias - p["mean"]) * scale + p["beta"]
        elif isinstance(operator, Bias):
            bias = bias + p["bias"]
    return weight, bias.astype(np.float32)


def _parameters(
    network: Network,
    node: str,
    weights: Weights,
    shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> dict[str, Array]:
    """The parameters of ``node``, each of its shape: that in ``shapes``, else one per channel."""
    names = network.operator(node).parameters
    if names and node not in weights:
        raise InputError(f"no weights given for node '{node}'; given: {', '.join(weights)}")
    found: dict[str, Array] = {}
    for name in names:
        if name not in weights[node]:
            given = ", ".join(weights[node])
            raise InputError(f"the weights of node '{node}' lack '{name}'; given: {given}")
        found[name] = np.asarray(weights[node][name], np.float32)
        wanted = shapes.get(name, network.shape(node)[-1:])
        if found[name].shape != wanted:
            raise InputError(
                f"'{name}' of node '{node}' has the shape {found[name].shape}; {wanted} is needed"
            )
    return found


def _takes_epilogue(operator: Operator) -> bool:
    return isinstance(operator, Conv2d | Dense)


def _epilogue(network: Network, node: str) -> tuple[str, ...]:
    """Batch norms and biases, then at most one ReLU, that only ``node``'s value flows through."""
    fused: list[str] = []
    while len(users := network.users(node)) == 1:
        operator = network.operator(users[0])
        if not isinstance(operator, BatchNorm | Bias | Relu):
            break
        node = users[0]
        fused.append(node)
        if isinstance(operator, Relu):
            break
    return tuple(fused)


def _kernel(network: Network, source: str, nodes: tuple[str, ...], target: Target) -> Kernel:
    operator = network.operator(nodes[0])
    shape = network.shape(source)
    channels = shape[-1]
    stride = channels if source == Network.INPUT else target.padded(channels)
    relu = isinstance(network.operator(nodes[-1]), Relu)
    if isinstance(operator, Conv2d):
        return ConvKernel(
            height=shape[0], width=shape[1], channels=channels, input_stride=stride,
            filters=operator.filters, kernel=operator.kernel, stride=operator.stride,
            padding=operator.padding, relu=relu,
        )  # fmt: skip
    if isinstance(operator, Dense):
        return ConvKernel(
            height=1, width=1, channels=channels, input_stride=stride, filters=operator.units,
            kernel=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0), relu=relu,
        )  # fmt: skip
    if isinstance(operator, GlobalAveragePool):
        return PoolKernel(height=shape[0], width=shape[1], channels=channels, input_stride=stride)
    raise InputError(
        f"node '{nodes[0]}' ({type(operator).__name__}) follows nothing it can be fused with; "
        "put it right after a convolution or a dense layer"
    )
