"""A network: operators in a directed acyclic graph, with the shape of every tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import networkx as nx
import numpy as np
import numpy.typing as npt

from costmodel.errors import InputError
from costmodel.operators import (
    BatchNorm,
    Bias,
    Conv2d,
    Dense,
    GlobalAveragePool,
    Operator,
    Padding,
    Relu,
    Shape,
    feature_map,
    same_padding,
)

Weights = Mapping[str, Mapping[str, npt.NDArray[np.float32]]]
"""Node name -> parameter name -> array, in the layouts that `costmodel.operators` states."""


class Network:
    """A feed-forward network for one input of shape (H, W, C), batch one.

    Nodes are added in order with `conv2d`, `batch_norm`, `bias`, `relu`,
    `global_average_pool` and `dense`; each takes the name of the node it reads (`Network.INPUT`
    for the network's input) and returns the new node's name. The last node is the output.
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
        name: str | None = None,
    ) -> str:
        """Adds a convolution; ``padding`` None is 'same' (see `same_padding`)."""
        for label, values in (("filters", (filters,)), ("kernel", kernel), ("stride", stride)):
            if any(value < 1 for value in values):
                raise InputError(f"{label} of a convolution must be at least 1, got {values}")
        if padding is None:
            h, w, _ = feature_map(self.shape(source), "conv2d")
            padding = same_padding((h, w), kernel, stride)
        elif min(padding) < 0:
            raise InputError(f"padding of a convolution must be at least 0, got {padding}")
        operator = Conv2d(filters=filters, kernel=kernel, stride=stride, padding=padding)
        return self._add("conv", operator, source, name)

    def batch_norm(self, source: str, *, epsilon: float = 1e-5, name: str | None = None) -> str:
        """Adds a batch normalisation with running statistics."""
        return self._add("bn", BatchNorm(epsilon=epsilon), source, name)

    def bias(self, source: str, *, name: str | None = None) -> str:
        """Adds one learned number to each channel."""
        return self._add("bias", Bias(), source, name)

    def relu(self, source: str, *, name: str | None = None) -> str:
        """Adds max(x, 0)."""
        return self._add("relu", Relu(), source, name)

    def global_average_pool(self, source: str, *, name: str | None = None) -> str:
        """Adds the mean over rows and columns."""
        return self._add("pool", GlobalAveragePool(), source, name)

    def dense(self, source: str, *, units: int, name: str | None = None) -> str:
        """Adds a fully connected layer with bias."""
        if units < 1:
            raise InputError(f"units of a dense layer must be at least 1, got {units}")
        return self._add("dense", Dense(units=units), source, name)

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
        """Names of the nodes that ``node`` reads."""
        return tuple(self._graph.predecessors(node))

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
                shapes["weight"] = (operator.filters, channels, *operator.kernel)
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

    def _add(self, kind: str, operator: Operator, source: str, name: str | None) -> str:
        shape = operator.output_shape(self.shape(source))
        order = self._graph.number_of_nodes() - 1
        node = name or f"{kind}{order}"
        if node in self._graph:
            raise InputError(f"the network already has a node '{node}'; give this one another name")
        self._graph.add_node(node, operator=operator, shape=shape, order=order)
        self._graph.add_edge(source, node)
        self._last = node
        return node
