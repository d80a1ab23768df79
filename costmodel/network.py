"""A network: operators in a directed acyclic graph, with the shape of every tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

import networkx as nx
import numpy as np
import numpy.typing as npt

from costmodel.errors import InputError
from costmodel.operators import (
    Activation,
    ActivationName,
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
    Padding,
    Pool2d,
    Shape,
    Softmax,
    TvmOperator,
    feature_map,
    same_padding,
)

Weights = Mapping[str, Mapping[str, npt.NDArray[np.float32]]]
"""Node name -> parameter name -> array, in the layouts that `costmodel.operators` states."""


class Network:
    """A feed-forward network for one input, batch one, channels last.

    Nodes are added in order with one method an operator; each takes the names of the nodes it
    reads (`Network.INPUT` for the network's input) and returns the new node's name. The last node
    added is the output.
    """

    INPUT = "input"

    def __init__(self, input_shape: Shape) -> None:
        """Raises InputError unless every extent of ``input_shape`` is a positive integer."""
        if not input_shape or any(not isinstance(n, int) or n < 1 for n in input_shape):
            raise InputError(f"an input shape has positive whole extents, got {input_shape}")
        self._graph: nx.DiGraph[str] = nx.DiGraph()
        self._graph.add_node(self.INPUT, operator=None, shape=tuple(input_shape))
        self._last = self.INPUT

    def conv2d(
        self,
        source: str,
        *,
        filters: int,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        padding: Padding | None = None,
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        name: str | None = None,
    ) -> str:
        """Adds a convolution; ``padding`` None is 'same' (see `same_padding`)."""
        _at_least_one("a convolution", filters=(filters,), kernel=kernel, stride=stride,
                      dilation=dilation, groups=(groups,))  # fmt: skip
        operator = Conv2d(
            filters=filters, kernel=kernel, stride=stride, padding=(0, 0, 0, 0),
            dilation=dilation, groups=groups,
        )  # fmt: skip
        padding = self._padding(source, operator.window, stride, padding, "a convolution")
        return self.add(replace(operator, padding=padding), source, name=name)

    def batch_norm(self, source: str, *, epsilon: float = 1e-5, name: str | None = None) -> str:
        """Adds a batch normalisation with running statistics."""
        return self.add(BatchNorm(epsilon=epsilon), source, name=name)

    def bias(self, source: str, *, name: str | None = None) -> str:
        """Adds one learned number to each channel."""
        return self.add(Bias(), source, name=name)

    def relu(self, source: str, *, name: str | None = None) -> str:
        """Adds max(x, 0)."""
        return self.activation(source, "relu", name=name)

    def activation(self, source: str, function: ActivationName, *, name: str | None = None) -> str:
        """Adds a function of each number by itself."""
        return self.add(Activation(function=function), source, name=name)

    def sum(self, first: str, second: str, *, name: str | None = None) -> str:
        """Adds first + second, see `Combine`."""
        return self.add(Combine(function="add"), first, second, name=name)

    def product(self, first: str, second: str, *, name: str | None = None) -> str:
        """Adds first × second, see `Combine`."""
        return self.add(Combine(function="multiply"), first, second, name=name)

    def concat(self, *sources: str, name: str | None = None) -> str:
        """Adds values behind each other along the channels."""
        return self.add(Concat(), *sources, name=name)

    def channel_shuffle(self, source: str, *, groups: int, name: str | None = None) -> str:
        """Adds the channels' new order, see `ChannelShuffle`."""
        _at_least_one("a channel shuffle", groups=(groups,))
        return self.add(ChannelShuffle(groups=groups), source, name=name)

    def pool2d(
        self,
        source: str,
        *,
        function: Literal["average", "max"],
        window: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        padding: Padding | None = None,
        count_padding: bool = False,
        name: str | None = None,
    ) -> str:
        """Adds a pooling; ``padding`` None is 'same'."""
        _at_least_one("a pooling", window=window, stride=stride)
        padding = self._padding(source, window, stride, padding, "a pooling")
        operator = Pool2d(
            function=function, window=window, stride=stride, padding=padding,
            count_padding=count_padding,
        )  # fmt: skip
        return self.add(operator, source, name=name)

    def global_average_pool(self, source: str, *, name: str | None = None) -> str:
        """Adds the mean over rows and columns."""
        return self.add(GlobalAveragePool(), source, name=name)

    def flatten(self, source: str, *, name: str | None = None) -> str:
        """Adds the map as one vector, channels slowest."""
        return self.add(Flatten(), source, name=name)

    def dense(self, source: str, *, units: int, name: str | None = None) -> str:
        """Adds a fully connected layer with bias."""
        _at_least_one("a dense layer", units=(units,))
        return self.add(Dense(units=units), source, name=name)

    def softmax(self, source: str, *, name: str | None = None) -> str:
        """Adds exp(x) over its sum."""
        return self.add(Softmax(), source, name=name)

    def add(self, operator: Operator, *sources: str, name: str | None = None) -> str:
        """Adds any operator.

        Raises InputError, naming the node, for a source that is not there, for shapes that do
        not go together and for a name that is taken.
        """
        order = self._graph.number_of_nodes() - 1
        node = name or f"{_PREFIXES[type(operator)]}{order}"
        if node in self._graph:
            raise InputError(f"the network already has a node '{node}'; give this one another name")
        if operator.inputs is not None and len(sources) != operator.inputs:
            raise InputError(
                f"node '{node}' takes {operator.inputs} values, {len(sources)} are given"
            )
        try:
            shape = operator.output_shape(*(self.shape(source) for source in sources))
        except InputError as error:
            raise InputError(f"node '{node}': {error}") from None
        self._graph.add_node(node, operator=operator, shape=shape, order=order, sources=sources)
        self._graph.add_edges_from((source, node) for source in sources)
        self._last = node
        return node

    @property
    def output(self) -> str:
        """Name of the node added last."""
        return self._last

    @property
    def input_shape(self) -> Shape:
        """Shape of the network's input."""
        return self.shape(self.INPUT)

    def shape(self, node: str) -> Shape:
        """Shape of what ``node`` puts out; InputError for a name that is not in the network."""
        if node not in self._graph:
            raise InputError(f"no node '{node}' in this network; it has {', '.join(self._graph)}")
        shape: Shape = self._graph.nodes[node]["shape"]
        return shape

    def operator(self, node: str) -> Operator:
        """The operator of a node other than the input; InputError for a name it does not have."""
        self.shape(node)
        operator: Operator | None = self._graph.nodes[node]["operator"]
        if operator is None:
            raise InputError("the input of a network has no operator")
        return operator

    def sources(self, node: str) -> tuple[str, ...]:
        """Names of the nodes that ``node`` reads, in the order of its operator."""
        self.shape(node)
        sources: tuple[str, ...] = self._graph.nodes[node].get("sources", ())
        return sources

    def users(self, node: str) -> tuple[str, ...]:
        """Names of the nodes that read ``node``."""
        return tuple(self._graph.successors(node))

    def nodes(self) -> Iterator[str]:
        """Names of all nodes but the input, each after what it reads."""
        return (
            node
            for node in nx.lexicographical_topological_sort(self._graph, key=self._order)
            if node != self.INPUT
        )

    def convolutions(self) -> Iterator[tuple[Conv2d, Shape, Shape]]:
        """Every convolution with its input and output shape."""
        for node in self.nodes():
            operator = self.operator(node)
            if isinstance(operator, Conv2d):
                yield operator, self.shape(self.sources(node)[0]), self.shape(node)

    def random_weights(self, seed: int) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
        """Weights drawn from one seed, scaled to keep activations near one (for timing, tests)."""
        generator = np.random.default_rng(seed)
        weights: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
        for node in self.nodes():
            operator = self.operator(node)
            channels = self.shape(self.sources(node)[0])[-1]
            shapes: dict[str, tuple[int, ...]] = {}
            if isinstance(operator, Conv2d):
                inner = channels // operator.groups
                shapes["weight"] = (operator.filters, inner, *operator.kernel)
            elif isinstance(operator, TvmOperator):
                shapes = dict(zip(operator.parameters, operator.parameter_shapes, strict=True))
            elif isinstance(operator, Dense):
                shapes = {"weight": (operator.units, channels), "bias": (operator.units,)}
            else:
                shapes = dict.fromkeys(operator.parameters, (channels,))
            drawn = {
                name: generator.standard_normal(shape, dtype=np.float32)
                / np.float32(max(1.0, np.sqrt(np.prod(shape[1:]))))
                for name, shape in shapes.items()
            }
            if "variance" in drawn:
                drawn["variance"] = np.abs(drawn["variance"]) + np.float32(0.5)
            if drawn:
                weights[node] = drawn
        return weights

    def _order(self, node: str) -> int:
        order: int = self._graph.nodes[node].get("order", -1)
        return order

    def _padding(
        self,
        source: str,
        window: tuple[int, int],
        stride: tuple[int, int],
        padding: Padding | None,
        name: str,
    ) -> Padding:
        if padding is None:
            h, w, _ = feature_map(self.shape(source), name)
            return same_padding((h, w), window, stride)
        if min(padding) < 0:
            raise InputError(f"padding of {name} must be at least 0, got {padding}")
        return padding


_PREFIXES: Mapping[type[Operator], str] = {
    Conv2d: "conv",
    BatchNorm: "bn",
    Bias: "bias",
    Activation: "act",
    Combine: "combine",
    Concat: "concat",
    ChannelShuffle: "shuffle",
    Pool2d: "window",
    GlobalAveragePool: "pool",
    Flatten: "flatten",
    Dense: "dense",
    Softmax: "softmax",
    TvmOperator: "tvm",
}


def _at_least_one(name: str, **settings: tuple[int, ...]) -> None:
    for label, values in settings.items():
        if any(value < 1 for value in values):
            got = values[0] if len(values) == 1 else values
            raise InputError(f"{label} of {name} must be at least 1, got {got}")
