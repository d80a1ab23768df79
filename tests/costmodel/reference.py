"""What torch computes for a network: the independent truth of these tests."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

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
    Pool2d,
    Softmax,
    TvmOperator,
)

_ACTIVATIONS = {
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "hard_swish": F.hardswish,
}


def torch_output(network, weights, x):
    """Output [..., channels last] for x [H, W, C] or [C], extents of one dropped."""
    value = torch_values(network, weights, x)[network.output]
    return (value.permute(1, 2, 0) if value.ndim == 3 else value).squeeze().numpy()


def torch_values(network, weights, x):
    """Every node's value, [C, H, W] or [C], as torch tensors."""
    given = torch.from_numpy(np.ascontiguousarray(x))
    values = {network.INPUT: (given.permute(2, 0, 1) if given.ndim == 3 else given)[None]}
    for node in network.nodes():
        read = [values[source] for source in network.sources(node)]
        parameters = {k: torch.from_numpy(v) for k, v in weights.get(node, {}).items()}
        values[node] = _apply(network.operator(node), read, parameters)
    return {node: value[0] for node, value in values.items()}


def _apply(operator, values, w):  # noqa: C901
    value = values[0]
    match operator:
        case Conv2d():
            return F.conv2d(
                _pad(value, operator.padding), w["weight"], stride=operator.stride,
                dilation=operator.dilation, groups=operator.groups,
            )  # fmt: skip
        case BatchNorm():
            return F.batch_norm(
                value, w["mean"], w["variance"], w["gamma"], w["beta"], eps=operator.epsilon
            )
        case Bias():
            return value + w["bias"].reshape(1, -1, *[1] * (value.ndim - 2))
        case Activation():
            return _ACTIVATIONS[operator.function](value)
        case Combine():
            second = values[1] if values[1].ndim == value.ndim else values[1][:, :, None, None]
            return value + second if operator.function == "add" else value * second
        case Concat():
            return torch.cat(values, 1)
        case ChannelShuffle():
            return F.channel_shuffle(value, operator.groups)
        case Pool2d():
            return _pool(value, operator)
        case GlobalAveragePool():
            return value.mean((2, 3))
        case Flatten():
            return value.flatten(1)
        case Dense():
            return F.linear(value, w["weight"], w["bias"])
        case Softmax():
            return torch.softmax(value, 1)
        case TvmOperator():
            return _tvm(operator, values, w)


def _pad(value, padding, filler=0.0):
    top, left, bottom, right = padding
    return F.pad(value, (left, right, top, bottom), value=filler)


def _pool(value, operator):
    if operator.function == "max":
        padded = _pad(value, operator.padding, float("-inf"))
        return F.max_pool2d(padded, operator.window, operator.stride)
    area = operator.window[0] * operator.window[1]
    total = F.avg_pool2d(_pad(value, operator.padding), operator.window, operator.stride) * area
    if operator.count_padding:
        return total / area
    ones = _pad(torch.ones_like(value), operator.padding)
    return total / (F.avg_pool2d(ones, operator.window, operator.stride) * area)


def _tvm(operator, values, w):
    """The function compiled as TVM compiles what nobody scheduled."""
    import tvm

    function = tvm.ir.load_json(operator.function)
    module = tvm.compile(tvm.IRModule({"main": function}), target={"kind": "llvm"})
    shape = operator.shape
    shape = (1, shape[2], *shape[:2]) if len(shape) == 3 else (1, *shape)
    result = tvm.runtime.tensor(np.full(shape, np.nan, np.float32))
    given = [*values, *(w[name] for name in operator.parameters)]
    module["main"](*(tvm.runtime.tensor(v.contiguous().numpy()) for v in given), result)
    return torch.from_numpy(result.numpy().copy())


def largest_relative_error(found, expected):
    """Largest difference over the largest magnitude expected."""
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-6)
