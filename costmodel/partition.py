"""Cuts a network into kernels, fused as far as TVM would fuse them.

On targets with a schedule for it, the pool over a whole map goes with the dense layer behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

from costmodel.kernels import (
    ChannelsKernel,
    ConvKernel,
    ElementwiseKernel,
    ElementwiseName,
    EpilogueName,
    Kernel,
    LayoutKernel,
    Operand,
    PooledDenseKernel,
    PoolKernel,
    SoftmaxKernel,
    TvmKernel,
)
from costmodel.network import Network
from costmodel.operators import (
    Activation,
    BatchNorm,
    Bias,
    ChannelShuffle,
    Combine,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    GlobalAveragePool,
    Operator,
    Pool2d,
    Shape,
    Softmax,
    TvmOperator,
)
from costmodel.schedules.registry import families_of
from costmodel.target import GpuTarget, Target


@dataclass(frozen=True)
class Step:
    """One kernel of a network: what it reads, and the nodes fused into it."""

    kernel: Kernel
    sources: tuple[str, ...]
    """Values it reads: a step's ``output``, or the network's input."""
    output: str
    """Value it writes: the name of the last fused node, or of a change of layout."""
    nodes: tuple[str, ...]
    """Names of the network's nodes it stands for, in order."""


def partition(network: Network, target: Target) -> tuple[Step, ...]:
    """The network as kernels in execution order.

    A convolution takes what follows it number by number (batch norm, bias, activations, sum or
    product with a value known by then), as long as each value has one reader; so does a chain of
    such operators by itself. A pool over a whole map takes the dense layer that alone reads it, and
    the softmax of that, where a family of schedules handles them as one.
    Raises InputError, naming the node, for what no kernel can stand for.
    """
    return tuple(_Partition(network, target).steps())


class _Partition:
    def __init__(self, network: Network, target: Target) -> None:
        self._network = network
        self._target = target
        self._known = {Network.INPUT}
        """Values that exist when the step in hand runs."""

    def steps(self) -> Iterator[Step]:
        taken: set[str] = set()
        for node in self._network.nodes():
            if node in taken:
                continue
            nodes = self._fused(node)
            taken.update(nodes)
            for step in self._of_group(nodes):
                self._known.add(step.output)
                yield step

    def _fused(self, node: str) -> tuple[str, ...]:
        """``node`` and what runs in the same kernel after it."""
        first = self._network.operator(node)
        if isinstance(first, Flatten) and self._readers(node) == 1:
            (user,) = self._network.users(node)
            if isinstance(self._network.operator(user), Dense):
                return (node, user, *self._chain(user, affine=True))
        if isinstance(first, Conv2d | Dense):
            return (node, *self._chain(node, affine=True))
        if isinstance(first, BatchNorm | Bias | Activation | Combine):
            return (node, *self._chain(node, affine=True, elementwise=True))
        if isinstance(first, _POOLS) and self._readers(node) == 1:
            return self._with_dense(node)
        return (node,)

    def _with_dense(self, pool: str) -> tuple[str, ...]:
        """``pool``, the dense layer that alone reads it and its softmax: as many as are one."""
        (reader,) = self._network.users(pool)
        if not isinstance(self._network.operator(reader), Conv2d | Dense | Flatten):
            return (pool,)
        head = (pool, *self._fused(reader))
        for nodes in (self._with_softmax(head), head):
            if self._is_pooled_dense(nodes):
                return nodes
        return (pool,)

    def _with_softmax(self, nodes: tuple[str, ...]) -> tuple[str, ...]:
        """``nodes`` and the softmax that alone reads the last of them, where there is one."""
        if self._readers(nodes[-1]) != 1:
            return nodes
        (reader,) = self._network.users(nodes[-1])
        is_softmax = isinstance(self._network.operator(reader), Softmax)
        return (*nodes, reader) if is_softmax else nodes

    def _is_pooled_dense(self, nodes: tuple[str, ...]) -> bool:
        """Whether a pool and what follows are one kernel that the target has a schedule for."""
        if isinstance(self._network.operator(nodes[-1]), Flatten):
            return False
        kernel = cast(PooledDenseKernel, self._kernel(nodes, self._sources(nodes)))
        is_one = kernel.pool.is_global and kernel.dense.is_dense and kernel.dense.groups == 1
        return is_one and bool(families_of(kernel, self._target))

    def _chain(self, node: str, *, affine: bool, elementwise: bool = False) -> tuple[str, ...]:
        """What follows ``node`` number by number, while each value has one reader.

        Behind a convolution a batch norm or bias can be folded only before anything else.
        """
        chain: list[str] = []
        while self._readers(node) == 1:
            (user,) = self._network.users(node)
            operator = self._network.operator(user)
            if isinstance(operator, BatchNorm | Bias):
                if not affine:
                    break
            elif isinstance(operator, Combine):
                if not self._can_combine(node, user, elementwise=elementwise):
                    break
                affine = elementwise
            elif isinstance(operator, Activation):
                affine = elementwise
            else:
                break
            chain.append(user)
            node = user
        return tuple(chain)

    def _readers(self, node: str) -> int:
        """Times that a value is read inside the network."""
        network = self._network
        return sum(network.sources(user).count(node) for user in network.users(node))

    def _can_combine(self, node: str, user: str, *, elementwise: bool) -> bool:
        """Whether the other value of a sum or product is there, and as the kernel reads it."""
        (other,) = (name for name in self._network.sources(user) if name != node)
        if other not in self._known or self._network.shape(user) != self._network.shape(node):
            return False
        if elementwise:
            return True
        whole = self._stride(other) == self._target.padded(self._network.shape(other)[-1])
        return whole and self._network.shape(other) == self._network.shape(node)

    def _stride(self, value: str) -> int:
        """Channels allocated for each pixel of a value."""
        channels = self._network.shape(value)[-1]
        return channels if value == Network.INPUT else self._target.padded(channels)

    def _of_group(self, nodes: tuple[str, ...]) -> Iterator[Step]:
        operator = self._network.operator(nodes[0])
        if isinstance(operator, TvmOperator):
            yield from self._tvm(nodes[0], operator)
            return
        if isinstance(operator, Flatten) and len(nodes) == 1:
            yield from self._flatten(nodes[0])
            return
        sources = self._sources(nodes)
        yield Step(self._kernel(nodes, sources), sources, nodes[-1], nodes)

    def _sources(self, nodes: tuple[str, ...]) -> tuple[str, ...]:
        """What a kernel of these nodes reads."""
        sources = list(self._network.sources(nodes[0]))
        for before, node in pairwise(nodes):
            sources += [name for name in self._network.sources(node) if name != before]
        return tuple(sources)

    def _kernel(self, nodes: tuple[str, ...], sources: tuple[str, ...]) -> Kernel:
        network, operator = self._network, self._network.operator(nodes[0])
        shape, stride = network.shape(sources[0]), self._stride(sources[0])
        height, width, channels = self._size(sources[0])
        if isinstance(operator, Conv2d | Dense | Flatten):
            return self._convolution(nodes, sources[0])
        if isinstance(operator, _POOLS):
            pool = self._pool(nodes[0])
            if len(nodes) == 1:
                return pool
            is_last = isinstance(network.operator(nodes[-1]), Softmax)
            dense = self._convolution(nodes[1:], nodes[0])
            return PooledDenseKernel(pool=pool, dense=dense, softmax=is_last)
        if isinstance(operator, Concat | ChannelShuffle):
            groups = operator.groups if isinstance(operator, ChannelShuffle) else 1
            read = tuple((network.shape(name)[-1], self._stride(name)) for name in sources)
            return ChannelsKernel(height=height, width=width, sources=read, groups=groups)
        if isinstance(operator, Softmax):
            return SoftmaxKernel(height=height, width=width, channels=channels, input_stride=stride)
        return ElementwiseKernel(
            height=height, width=width, channels=channels,
            operands=tuple(
                Operand(stride=self._stride(name), is_vector=network.shape(name) != shape)
                for name in sources
            ),
            operations=tuple(_operation(network.operator(node)) for node in nodes),
        )  # fmt: skip

    def _size(self, value: str) -> tuple[int, int, int]:
        """Rows, columns and channels of a value: a vector is one pixel."""
        shape = self._network.shape(value)
        return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, shape[0])

    def _pool(self, node: str) -> PoolKernel:
        (source,) = self._network.sources(node)
        height, width, channels = self._size(source)
        operator = self._network.operator(node)
        if isinstance(operator, GlobalAveragePool):
            operator = Pool2d(function="average", window=(height, width), stride=(1, 1),
                              padding=(0, 0, 0, 0))  # fmt: skip
        pool = cast(Pool2d, operator)
        return PoolKernel(
            height=height, width=width, channels=channels, input_stride=self._stride(source),
            function=pool.function, window=pool.window, stride=pool.stride,
            padding=pool.padding, count_padding=pool.count_padding,
        )  # fmt: skip

    def _convolution(self, nodes: tuple[str, ...], source: str) -> ConvKernel:
        size, stride = self._size(source), self._stride(source)
        operators = [self._network.operator(node) for node in nodes]
        first = operators[0]
        epilogue = tuple(
            cast(EpilogueName, _operation(operator))
            for operator in operators
            if isinstance(operator, Activation | Combine)
        )
        if isinstance(first, Flatten):
            first = replace(_WHOLE_MAP, filters=cast(Dense, operators[1]).units, kernel=size[:2])
        elif isinstance(first, Dense):
            first = replace(_WHOLE_MAP, filters=first.units, kernel=(1, 1))
        conv = cast(Conv2d, first)
        return ConvKernel(
            height=size[0], width=size[1], channels=size[2], input_stride=stride,
            filters=conv.filters, kernel=conv.kernel, stride=conv.stride, padding=conv.padding,
            dilation=conv.dilation, groups=conv.groups, epilogue=epilogue,
        )  # fmt: skip

    def _flatten(self, node: str) -> Iterator[Step]:
        (source,) = self._network.sources(node)
        shape = self._network.shape(source)
        yield Step(self._layout(source, shape, planar=True), (source,), node, (node,))

    def _tvm(self, node: str, operator: TvmOperator) -> Iterator[Step]:
        """The function between changes of layout, where values do not lie as it wants them."""
        network = self._network
        read: list[str] = []
        for source in network.sources(node):
            shape, value = network.shape(source), source
            if not self._is_planar(shape):
                value = f"{source}:planar"
                if value not in self._known:
                    yield Step(self._layout(source, shape, planar=True), (source,), value, ())
            read.append(value)
        kernel = TvmKernel(
            name=operator.title.removeprefix("relax.").removeprefix("nn."),
            function=operator.function,
            input_shapes=tuple(_framework_shape(network.shape(s)) for s in network.sources(node)),
            constant_shapes=operator.parameter_shapes,
            output_shape=_framework_shape(operator.shape),
        )
        planar = self._is_planar(operator.shape)
        written = node if planar else f"{node}:planar"
        yield Step(kernel, tuple(read), written, (node,))
        if not planar:
            yield Step(self._layout(node, operator.shape, planar=False), (written,), node, ())

    def _is_planar(self, shape: Shape) -> bool:
        """Whether a value of this shape lies in memory as frameworks have it."""
        return isinstance(self._target, GpuTarget) or len(shape) != 3 or shape[:2] == (1, 1)

    def _layout(self, value: str, shape: Shape, *, planar: bool) -> LayoutKernel:
        height, width, channels = shape if len(shape) == 3 else (1, 1, shape[-1])
        return LayoutKernel(
            height=height, width=width, channels=channels, stride=self._stride(value), planar=planar
        )


_POOLS = (Pool2d, GlobalAveragePool)
_WHOLE_MAP = Conv2d(filters=1, kernel=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0))
"""A dense layer as a convolution, but for filters and kernel."""


def _operation(operator: Operator) -> ElementwiseName:
    if isinstance(operator, Activation | Combine):
        return operator.function
    return "affine"


def _framework_shape(shape: Shape) -> Shape:
    """(H, W, C) as [1, C, H, W]; (C,) as [1, C]."""
    return (1, shape[2], *shape[:2]) if len(shape) == 3 else (1, *shape)
