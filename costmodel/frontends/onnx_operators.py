"""What each ONNX operator is in a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from costmodel.errors import InputError
from costmodel.frontends.assembly import NO_PADDING, Value
from costmodel.frontends.onnx_call import Call
from costmodel.frontends.windows import joined, shuffle_groups
from costmodel.operators import ActivationName

if TYPE_CHECKING:
    import onnx

    from costmodel.frontends.onnx_file import OnnxImporter

LAYOUT = {"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Pad"}
"""Operators that only move numbers."""


def take(importer: OnnxImporter, node: onnx.NodeProto) -> Value | None:
    """The value of ``node``; None where no operator of a network says what it does."""
    handler = _HANDLERS.get(node.op_type)
    return handler(Call(importer, node)) if handler else None


def _conv(call: Call) -> Value | None:
    weight, bias = call.array(1), call.array(2)
    if weight is None or weight.ndim != 4 or (call.tensor(2) is not None and bias is None):
        return None
    value, zeros = call.padded()
    if value is None or len(value.shape) != 4:
        return None
    stride, dilation = call.pair("strides"), call.pair("dilations")
    window = ((weight.shape[2] - 1) * dilation[0] + 1, (weight.shape[3] - 1) * dilation[1] + 1)
    size = (value.shape[2] + zeros[0] + zeros[2], value.shape[3] + zeros[1] + zeros[3])
    return call.build.conv2d(
        value, weight, bias, stride=stride,
        padding=joined(call.padding(size, window, stride), zeros),
        dilation=dilation, groups=call.attributes.get("group", 1), name=call.name,
    )  # fmt: skip


def _gemm(call: Call) -> Value | None:
    value, weight, bias = call.value(), call.array(1), call.array(2)
    known = call.tensor(2) is None or bias is not None
    if value is None or weight is None or not known or call.attributes.get("transA"):
        return None
    scale = np.float32(call.attributes.get("alpha", 1.0))
    shift = None if bias is None else np.float32(call.attributes.get("beta", 1.0)) * bias
    weight = weight if call.attributes.get("transB") else weight.T
    if shift is not None and shift.shape not in {(), (1,), (weight.shape[0],), (1, len(weight))}:
        return None
    return call.build.dense(
        value, scale * weight, shift if shift is None else shift.ravel(), call.name
    )


def _matmul(call: Call) -> Value | None:
    value, weight = call.value(), call.array(1)
    if value is None or weight is None or len(value.shape) != 2 or weight.ndim != 2:
        return None
    return call.build.dense(value, weight.T, None, call.name)


def _batch_norm(call: Call) -> Value | None:
    value = call.value()
    if call.attributes.get("training_mode"):
        raise InputError("batch norm in training mode; export the model in evaluation mode")
    found = dict(zip(("gamma", "beta", "mean", "variance"), map(call.array, range(1, 5)),
                     strict=True))  # fmt: skip
    parameters = {name: array for name, array in found.items() if array is not None}
    if value is None or len(parameters) != 4:
        return None
    epsilon = float(call.attributes.get("epsilon", 1e-5))
    return call.build.batch_norm(value, parameters, epsilon, call.name)


def _activation(function: ActivationName) -> Callable[[Call], Value | None]:
    def handler(call: Call) -> Value | None:
        value = call.value()
        return value and call.build.activation(value, function, call.name)

    return handler


def _hard_sigmoid(call: Call) -> Value | None:
    value = call.value()
    slope, offset = call.attributes.get("alpha", 0.2), call.attributes.get("beta", 0.5)
    if value is None or abs(slope - 1 / 6) > 1e-6 or offset != 0.5:
        return None
    return call.build.activation(value, "hard_sigmoid", call.name)


def _clip(call: Call) -> Value | None:
    value = call.value()
    bounds: list[float | None] = []
    for name, index in (("min", 1), ("max", 2)):
        if call.tensor(index) is None:
            bounds.append(call.attributes.get(name))
            continue
        bound = call.array(index)
        if bound is None:
            return None
        bounds.append(float(bound))
    return value and call.build.clip(value, bounds[0], bounds[1], call.name)


def _add(sign: float) -> Callable[[Call], Value | None]:
    def handler(call: Call) -> Value | None:
        return call.build.add(call.operand(0), call.operand(1), call.name, factor=sign)

    return handler


def _multiply(call: Call) -> Value | None:
    return call.build.multiply(call.operand(0), call.operand(1), call.name)


def _divide(call: Call) -> Value | None:
    value, divisor = call.value(), call.array(1)
    if value is None or divisor is None:
        return None
    return call.build.scale(value, np.float32(1) / divisor, call.name)


def _negative(call: Call) -> Value | None:
    value = call.value()
    return value and call.build.scale(value, np.asarray(-1, np.float32), call.name)


def _concat(call: Call) -> Value | None:
    values = [call.value(i) for i in range(len(call.node.input))]
    found = [value for value in values if value is not None]
    if len(found) != len(values):
        return None
    return call.build.concat(found, call.attributes["axis"], call.name)


def _pool(function: Literal["average", "max"]) -> Callable[[Call], Value | None]:
    def handler(call: Call) -> Value | None:
        counts = function == "average" and bool(call.attributes.get("count_include_pad"))
        value, zeros = call.padded() if counts else (call.value(), NO_PADDING)
        if value is None or len(value.shape) != 4 or call.pair("dilations") != (1, 1):
            return None
        window, stride = call.pair("kernel_shape"), call.pair("strides")
        size = (value.shape[2] + zeros[0] + zeros[2], value.shape[3] + zeros[1] + zeros[3])
        padding = joined(call.padding(size, window, stride), zeros)
        return call.build.pool(
            value, function=function, window=window, stride=stride, padding=padding,
            count_padding=counts, round_up=bool(call.attributes.get("ceil_mode")), name=call.name,
        )  # fmt: skip

    return handler


def _global_pool(function: Literal["average", "max"]) -> Callable[[Call], Value | None]:
    def handler(call: Call) -> Value | None:
        value = call.value()
        if value is None or len(value.shape) != 4:
            return None
        return call.build.adaptive_pool(value, function, (1, 1), call.name)

    return handler


def _mean(call: Call) -> Value | None:
    value, axes = call.value(), call.integers("axes", 1)
    if value is None or axes is None or len(value.shape) != 4 or {a % 4 for a in axes} != {2, 3}:
        return None
    keep = bool(call.attributes.get("keepdims", 1))
    return call.build.mean(value, keep=keep, name=call.name)


def _reshape(call: Call) -> Value | None:
    result = call.importer.type_of(call.node.output[0])
    if result is None:
        return None
    name, producers = call.node.input[0], call.importer.producers
    while call.importer.is_deferred(name) and producers[name].op_type in _RESHAPES:
        name = producers[name].input[0]
    value = call.importer.values.get(name)
    if value is None:
        return _shuffled(call, result.shape)
    return call.build.reshape(value, result.shape, call.name)


def _shuffled(call: Call, shape: tuple[int, ...]) -> Value | None:
    """A reshape of a transpose of a reshape that shuffles channels."""
    importer = call.importer
    swap = importer.producers.get(call.node.input[0])
    if swap is None or swap.op_type != "Transpose":
        return None
    split = importer.producers.get(swap.input[0])
    before = importer.type_of(swap.input[0])
    if split is None or split.op_type != "Reshape" or before is None:
        return None
    value = importer.values.get(split.input[0])
    order = Call(importer, swap).attributes.get("perm", range(len(before.shape))[::-1])
    groups = value and shuffle_groups(value.shape, before.shape, order, shape)
    return call.build.channel_shuffle(value, groups, call.name) if value and groups else None


def _softmax(call: Call) -> Value | None:
    value = call.value()
    newer = call.importer.opset >= 13
    if value is None or not (newer or len(value.shape) == 2):
        return None  # before opset 13 the axes behind were flattened into it
    return call.build.softmax(value, call.attributes.get("axis", -1 if newer else 1), call.name)


def _identity(call: Call) -> Value | None:
    """What changes nothing: dropout in evaluation mode, a cast of float32 to float32."""
    training = call.importer.constants.get(call.tensor(2) or "", False)
    if call.node.op_type == "Dropout" and np.any(training):
        raise InputError("dropout in training mode; export the model in evaluation mode")
    result = call.importer.type_of(call.node.output[0])
    return call.value() if result is not None and result.is_float32 else None


_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")

_HANDLERS: dict[str, Callable[[Call], Value | None]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "Relu": _activation("relu"),
    "Sigmoid": _activation("sigmoid"),
    "HardSwish": _activation("hard_swish"),
    "HardSigmoid": _hard_sigmoid,
    "Clip": _clip,
    "Add": _add(1.0),
    "Sub": _add(-1.0),
    "Mul": _multiply,
    "Div": _divide,
    "Neg": _negative,
    "Concat": _concat,
    "MaxPool": _pool("max"),
    "AveragePool": _pool("average"),
    "GlobalAveragePool": _global_pool("average"),
    "GlobalMaxPool": _global_pool("max"),
    "ReduceMean": _mean,
    **dict.fromkeys(_RESHAPES, _reshape),
    "Softmax": _softmax,
    **dict.fromkeys(("Identity", "Dropout", "Cast"), _identity),
}
