"""What torch computes for a network: the independent truth of these tests."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from costmodel.operators import BatchNorm, Bias, Conv2d, Dense, GlobalAveragePool


def torch_output(network, weights, x):
    """Output [..., channels last] for x [H, W, C] or [C], extents of one dropped."""
    given = torch.from_numpy(np.ascontiguousarray(x))
    values = {network.INPUT: (given.permute(2, 0, 1) if given.ndim == 3 else given)[None]}
    for node in network.nodes():
        (source,) = network.sources(node)
        given = {k: torch.from_numpy(v) for k, v in weights.get(node, {}).items()}
        values[node] = _apply(network.operator(node), values[source], given)
    value = values[network.output][0]
    return (value.permute(1, 2, 0) if value.ndim == 3 else value).squeeze().numpy()


def _apply(operator, value, w):
    if isinstance(operator, Conv2d):
        top, left, bottom, right = operator.padding
        padded = F.pad(value, (left, right, top, bottom))
        return F.conv2d(padded, w["weight"], stride=operator.stride)
    if isinstance(operator, BatchNorm):
        return F.batch_norm(
            value, w["mean"], w["variance"], w["gamma"], w["beta"], eps=operator.epsilon
        )
    if isinstance(operator, Bias):
        return value + w["bias"].reshape(1, -1, *[1] * (value.ndim - 2))
    if isinstance(operator, GlobalAveragePool):
        return value.mean((2, 3))
    if isinstance(operator, Dense):
        return F.linear(value, w["weight"], w["bias"])
    return torch.relu(value)


def largest_relative_error(found, expected):
    """Largest difference over the largest magnitude expected."""
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-6)
