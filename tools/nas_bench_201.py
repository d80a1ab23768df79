"""Networks of NAS-Bench-201 from the benchmark's own cell strings, as a runtime executes them.

A cell is ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``: what nodes 1, 2 and 3 read; skeleton and
operations follow Dong and Yang 2020. Runtimes disagree about an edge 'none' and about nodes that
nothing needs, so one cell is a different network in each `Execution`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from costmodel.errors import InputError
from costmodel.network import Network

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0,), (0, 1), (0, 1, 2))
"""The nodes that nodes 1, 2 and 3 of a cell read."""
INPUT_SHAPE = (32, 32, 3)
CELLS, CHANNELS, STAGES, CLASSES = 5, 16, 3, 10
"""Cells a stage, channels of the first stage, stages, classes of CIFAR-10."""
_CONVOLUTIONS: Mapping[str, int] = MappingProxyType({"nor_conv_1x1": 1, "nor_conv_3x3": 3})

Cell = tuple[tuple[tuple[str, int], ...], ...]
"""For nodes 1, 2, 3: (operation, node read) each."""
Execution = Literal["eager", "compiled", "tflite"]
"""eager: every edge runs, needed or not, and 'none' multiplies by zero (PyTorch's modules).
compiled: what adds nothing and what nothing needs is gone (TVM, ONNX Runtime's optimiser).
tflite: as compiled, but a convolution of a map of zeros runs, and one that only 'none' reads runs
if nothing else does, for its weights are what is multiplied by zero. Inferred from measurements of
a Raspberry Pi 4, not from a converter's code.
"""
EXECUTIONS: tuple[Execution, ...] = get_args(Execution)


def is_cell(text: str) -> bool:
    """Whether ``text`` is meant to be a cell: nothing else begins with a bar."""
    return text.strip().startswith("|")


def parse_cell(text: str) -> Cell:
    """The cell that ``text`` writes; InputError, naming what is wrong, where it is none."""
    nodes = text.strip().split("+")
    if len(nodes) != len(EDGES):
        raise InputError(f"a NAS-Bench-201 cell has 3 nodes joined by '+', '{text}' {len(nodes)}")
    return tuple(
        _parse_node(node, number, sources)
        for number, (node, sources) in enumerate(zip(nodes, EDGES, strict=True), 1)
    )


def executed(cell: Cell, execution: Execution) -> Cell:
    """What of a cell runs; cells of which the same runs have equal networks."""
    return _EDGES_OF[execution](cell)


def network_of(cell: Cell, execution: Execution, *, cells: int = CELLS) -> Network:
    """The network of a cell: [32, 32, 3] to 10 classes, ``cells`` cells in each of 3 stages."""
    network = Network(INPUT_SHAPE)
    value = _convolution(network, Network.INPUT, CHANNELS, 3)
    edges = executed(cell, execution)
    for stage in range(STAGES):
        if stage:
            value = _reduction(network, value)
        for _ in range(cells):
            value = _cell(network, value, edges)
    value = network.relu(network.batch_norm(value))
    network.dense(network.global_average_pool(value), units=CLASSES)
    return network


def _parse_node(text: str, number: int, sources: tuple[int, ...]) -> tuple[tuple[str, int], ...]:
    form = "|" + "|".join(f"operation~{source}" for source in sources) + "|"
    edges = text.split("|")[1:-1]
    if text.strip("|") != "|".join(edges) or len(edges) != len(sources):
        raise InputError(f"node {number} of a NAS-Bench-201 cell is written {form}, got '{text}'")
    read = []
    for edge, source in zip(edges, sources, strict=True):
        operation, _, place = edge.partition("~")
        if operation not in OPERATIONS:
            raise InputError(
                f"unknown NAS-Bench-201 operation '{operation}'; known: {', '.join(OPERATIONS)}"
            )
        if place != str(source):
            raise InputError(
                f"node {number} of a NAS-Bench-201 cell is written {form}, got '{text}'"
            )
        read.append((operation, source))
    return tuple(read)


ZERO = -1
"""As a node read: a map of zeros."""


def _eager(cell: Cell) -> Cell:
    return cell


def _compiled(cell: Cell) -> Cell:
    """Without edges that add nothing; a node that none reads keeps no edges."""
    nodes: list[tuple[tuple[str, int], ...]] = []
    for node in cell:
        live = [(name, s) for name, s in node if name != "none" and (s == 0 or nodes[s - 1])]
        nodes.append(tuple(live))
    return _needed(nodes)


def _tflite(cell: Cell) -> Cell:
    """As `_compiled`, with what the converter leaves behind; see `Execution`."""
    nodes: list[tuple[tuple[str, int], ...]] = []
    for node in cell:
        kept = []
        for name, source in node:
            is_zero = source > 0 and not nodes[source - 1]
            if name == "none":
                if _only_scaled(cell, nodes, source):
                    kept.append(("skip_connect", source))
            elif not is_zero:
                kept.append((name, source))
            elif name != "skip_connect":
                kept.append((name, ZERO))
        nodes.append(tuple(kept))
    return _needed(nodes)


def _only_scaled(cell: Cell, nodes: list[tuple[tuple[str, int], ...]], source: int) -> bool:
    """Whether a node is the value of one convolution, and only 'none' reads it."""
    if source == 0 or len(nodes[source - 1]) != 1:
        return False
    if any(name != "none" and read == source for node in cell for name, read in node):
        return False
    ((name, _),) = nodes[source - 1]
    return name in _CONVOLUTIONS


def _needed(nodes: list[tuple[tuple[str, int], ...]]) -> Cell:
    """Nodes that the last one does not need keep no edges."""
    needed = {len(nodes)}
    for number in range(len(nodes), 0, -1):
        if number in needed:
            needed.update(source for _, source in nodes[number - 1])
    return tuple(node if n in needed else () for n, node in enumerate(nodes, 1))


_EDGES_OF = MappingProxyType({"eager": _eager, "compiled": _compiled, "tflite": _tflite})


def _cell(network: Network, value: str, edges: Cell) -> str:
    values = {0: value, ZERO: value}  # a map of zeros is read like any other
    for number, node in enumerate(edges, 1):
        terms = [_edge(network, name, values[source]) for name, source in node]
        for place, term in enumerate(terms):
            values[number] = term if place == 0 else network.sum(values[number], term)
    if len(edges) in values:
        return values[len(edges)]
    return network.batch_norm(value)  # all zeros: one pass over the map


def _edge(network: Network, name: str, value: str) -> str:
    if name == "skip_connect":
        return value
    if name == "none":
        return network.batch_norm(value)  # a product by zero: one pass over the map
    if name == "avg_pool_3x3":
        return network.pool2d(value, function="average", window=(3, 3), padding=(1, 1, 1, 1))
    channels = network.shape(value)[-1]
    return _convolution(network, network.relu(value), channels, _CONVOLUTIONS[name])


def _reduction(network: Network, value: str) -> str:
    """The residual block between two stages: twice the channels, half the rows and columns."""
    channels = 2 * network.shape(value)[-1]
    first = _convolution(network, network.relu(value), channels, 3, stride=2)
    second = _convolution(network, network.relu(first), channels, 3)
    pooled = network.pool2d(value, function="average", window=(2, 2), stride=(2, 2))
    short = network.conv2d(pooled, filters=channels, kernel=(1, 1))
    return network.sum(short, second)


def _convolution(network: Network, value: str, channels: int, size: int, *, stride: int = 1) -> str:
    half = size // 2
    convolved = network.conv2d(
        value, filters=channels, kernel=(size, size), stride=(stride, stride),
        padding=(half, half, half, half),
    )  # fmt: skip
    return network.batch_norm(convolved)
