"""The walk from a framework's graph to a `Network`, the same for every framework.

Operators that `costmodel.operators` knows are taken directly: it is several times faster than to
decompose the graph for TVM first, and node names survive. Everything else goes through TVM's Relax
frontend of the framework, alone or with the operators around it whose tensors a network cannot
hold (five dimensions, integers), and becomes one `TvmOperator`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from costmodel.errors import InputError
from costmodel.frontends.assembly import Assembly, Value
from costmodel.frontends.relax_graph import Lowered
from costmodel.network import Network, Weights
from costmodel.operators import Shape

NodeT = TypeVar("NodeT")

SUPPORTED = (
    "float32 operators of one input of fixed shape [1, C, H, W] or [1, C] that TVM's frontend knows"
)


@dataclass(frozen=True)
class TensorType:
    """Shape and element type of a tensor of the framework."""

    shape: Shape
    is_float32: bool

    @property
    def fits(self) -> bool:
        """Whether a network can hold it: (1, C, H, W) or (1, C), float32."""
        extents = all(n >= 1 for n in self.shape)
        return self.is_float32 and len(self.shape) in {2, 4} and self.shape[0] == 1 and extents


@dataclass(frozen=True)
class Region(Generic[NodeT]):
    """Nodes that become one `TvmOperator`, what they read and the tensor they compute."""

    nodes: tuple[NodeT, ...]
    leaves: tuple[str, ...]
    output: str


class Importer(ABC, Generic[NodeT]):
    """One import; a framework says what its nodes are, tensors are known by their names."""

    def __init__(self, assembly: Assembly) -> None:
        self.assembly = assembly
        self.values: dict[str, Value] = {}
        """Tensors that the network computes."""
        self.constants: dict[str, Any] = {}
        """Tensors known now, as the framework holds them."""
        self.producers: dict[str, NodeT] = {}
        """Every tensor's node."""
        self._lowered: dict[Hashable, Lowered] = {}

    @abstractmethod
    def nodes(self) -> Sequence[NodeT]:
        """All nodes, each after what it reads."""

    @abstractmethod
    def inputs(self, node: NodeT) -> Sequence[str]:
        """Tensors that a node reads."""

    @abstractmethod
    def outputs(self, node: NodeT) -> Sequence[str]:
        """Tensors that a node computes."""

    @abstractmethod
    def type_of(self, tensor: str) -> TensorType | None:
        """Type of a tensor; None for what is no single tensor.

        Raises InputError for a shape that is not fixed.
        """

    @abstractmethod
    def label(self, node: NodeT) -> str:
        """How an error names a node: its name and its operator."""

    @abstractmethod
    def name(self, node: NodeT) -> str:
        """Name of the network's node."""

    @abstractmethod
    def convert(self, node: NodeT) -> Value | None:
        """The value of a node that the assembly can say, else None."""

    @abstractmethod
    def evaluate(self, node: NodeT) -> dict[str, Any]:
        """The constants that a node with constant inputs computes."""

    @abstractmethod
    def is_layout(self, node: NodeT) -> bool:
        """Whether a node only moves numbers, so that it is worth waiting for what reads them."""

    @abstractmethod
    def region_key(self, region: Region[NodeT]) -> Hashable | None:
        """Equal for regions that lower equally; None for a region like no other."""

    @abstractmethod
    def lower(self, region: Region[NodeT]) -> Lowered:
        """The region through TVM's frontend; any exception means that TVM cannot."""

    def run(self, output: str) -> tuple[Network, Weights]:
        """The network that computes ``output``.

        Raises InputError, naming the node, for what cannot be in a network.
        """
        live = self._live(output)
        self._readers = Counter(name for node in live for name in self.inputs(node))
        self._readers[output] += 1
        for node in live:
            try:
                self._take(node)
            except InputError as error:
                raise InputError(f"node {self.label(node)}: {error}") from None
        if output in self.constants:
            raise InputError("the output does not depend on the input; there is nothing to time")
        value = self.value(output)
        if value is None:
            found = self.type_of(output)
            held = f"the shape {list(found.shape)}" if found else "several tensors"
            raise InputError(
                f"node {self.label(self.producers[output])}: the output has {held}; "
                "a network gives float32 numbers of shape [1, C, H, W] or [1, C]"
            )
        if value.node == Network.INPUT:
            raise InputError("the output is the input itself; there is nothing to time")
        return self.assembly.network, self.assembly.weights

    def value(self, tensor: str) -> Value | None:
        """The value of a tensor, lowered by TVM now if it must be; None where it cannot be."""
        if tensor not in self.values and tensor in self.producers and self._fits(tensor):
            self._materialise(tensor)
        return self.values.get(tensor)

    def is_deferred(self, tensor: str) -> bool:
        """Whether the network does not hold the tensor (yet)."""
        return tensor not in self.values and tensor not in self.constants

    def _live(self, output: str) -> list[NodeT]:
        nodes = list(self.nodes())
        self.producers.update((name, node) for node in nodes for name in self.outputs(node))
        wanted, live = {output}, []
        for node in reversed(nodes):
            if not wanted.isdisjoint(self.outputs(node)):
                wanted.update(self.inputs(node))
                live.append(node)
        return live[::-1]

    def _take(self, node: NodeT) -> None:
        if all(name in self.constants for name in self.inputs(node)):
            self.constants.update(self.evaluate(node))
            return
        value = self.convert(node)
        if value is not None:
            self.values[self.outputs(node)[0]] = value
            return
        for name in self.outputs(node):
            if not self._readers[name] or (self.is_layout(node) and self._readers[name] == 1):
                continue
            if self._fits(name):
                self._materialise(name)

    def _fits(self, tensor: str) -> bool:
        found = self.type_of(tensor)
        return found is not None and found.fits

    def _materialise(self, tensor: str) -> None:
        region = self._region(tensor)
        key = self.region_key(region)
        found = self._lowered.get(key) if key is not None else None
        if found is None:
            try:
                found = self.lower(region)
            except InputError:
                raise
            except Exception as error:
                raise InputError(
                    f"TVM cannot lower it ({first_line(error)}); supported are {SUPPORTED}"
                ) from None
            if key is not None:
                self._lowered[key] = found
        sources = [self.values[name] for name in region.leaves]
        shape = self.type_of(tensor)
        if shape is None:
            raise InputError("it gives several tensors")
        name = self.name(self.producers[tensor])
        self.values[tensor] = self.assembly.tvm(
            found.operator, found.parameters, sources, shape.shape, name
        )

    def _region(self, tensor: str) -> Region[NodeT]:
        nodes: dict[int, NodeT] = {}
        leaves: dict[str, None] = {}

        def visit(name: str) -> None:
            if name in self.values:
                leaves[name] = None
            elif name not in self.constants:
                node = self.producers[name]
                if id(node) not in nodes:
                    for read in self.inputs(node):
                        visit(read)
                    nodes[id(node)] = node

        visit(tensor)
        return Region(tuple(nodes.values()), tuple(leaves), tensor)

    def leaf_shapes(self, region: Region[NodeT]) -> Iterator[tuple[str, Shape, Shape]]:
        """Each leaf's name, its shape as an argument of the function, and the framework's."""
        for name in region.leaves:
            value = self.values[name]
            yield name, self.assembly.argument_shape(value), value.shape


def first_line(error: BaseException) -> str:
    """What went wrong, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
