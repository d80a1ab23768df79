"""The constants of a network's kernels: its weights, with batch norms and biases folded in."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import dropwhile
from types import MappingProxyType
from typing import cast

import numpy as np

from costmodel.errors import InputError
from costmodel.kernels import (
    Array,
    ConvKernel,
    ElementwiseKernel,
    PooledDenseKernel,
    TvmKernel,
)
from costmodel.network import Network, Weights
from costmodel.operators import (
    BatchNorm,
    Bias,
    Dense,
    Flatten,
    GlobalAveragePool,
    Pool2d,
    TvmOperator,
)
from costmodel.partition import Step


def fold(network: Network, step: Step, weights: Weights) -> tuple[Array, ...]:
    """The constants of a step's kernel, in the layout that the kernel's class states.

    A batch norm y = γ (x - μ) / √(σ² + ε) + β is a scale s = γ / √(σ² + ε) and a shift
    β - μ s; into a convolution they fold as W' = W s and b' = b s + β - μ s.
    Raises InputError where ``weights`` lacks a parameter or has one of another shape.
    """
    kernel = step.kernel
    if isinstance(kernel, PooledDenseKernel):
        return _fold_convolution(network, step, kernel.dense, weights)
    if isinstance(kernel, ConvKernel):
        return _fold_convolution(network, step, kernel, weights)
    if isinstance(kernel, ElementwiseKernel):
        pairs = [
            _affine(network, node, weights)
            for node in step.nodes
            if isinstance(network.operator(node), BatchNorm | Bias)
        ]
        return tuple(array for pair in pairs for array in pair)
    if isinstance(kernel, TvmKernel):
        operator = cast(TvmOperator, network.operator(step.nodes[0]))
        shapes = dict(zip(operator.parameters, operator.parameter_shapes, strict=True))
        found = _parameters(network, step.nodes[0], weights, shapes)
        return tuple(found[name] for name in operator.parameters)
    return ()


def _fold_convolution(
    network: Network, step: Step, kernel: ConvKernel, weights: Weights
) -> tuple[Array, Array]:
    nodes = tuple(dropwhile(lambda node: _has_no_weights(network, node), step.nodes))
    shape = (kernel.filters, kernel.group_channels, *kernel.kernel)
    dense = isinstance(network.operator(nodes[0]), Dense)
    stored = (shape[0], int(np.prod(shape[1:]))) if dense else shape
    first = _parameters(network, nodes[0], weights, {"weight": stored})
    weight = first["weight"].reshape(shape)
    bias = first.get("bias", np.zeros(kernel.filters, np.float32))
    for node in nodes[1:]:
        if isinstance(network.operator(node), BatchNorm | Bias):
            scale, shift = _affine(network, node, weights)
            weight = weight * scale[:, None, None, None]
            bias = bias * scale + shift
    return weight, bias.astype(np.float32)


def _has_no_weights(network: Network, node: str) -> bool:
    return isinstance(network.operator(node), Pool2d | GlobalAveragePool | Flatten)


def _affine(network: Network, node: str, weights: Weights) -> tuple[Array, Array]:
    """A batch norm or bias as scale [C] and shift [C]."""
    operator, p = network.operator(node), _parameters(network, node, weights)
    if isinstance(operator, BatchNorm):
        scale = p["gamma"] / np.sqrt(p["variance"] + np.float32(operator.epsilon))
        return scale, p["beta"] - p["mean"] * scale
    return np.ones_like(p["bias"]), p["bias"]


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
