"""What each ATen operation is in a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from torch import fx

from costmodel.errors import InputError
from costmodel.frontends.assembly import NO_PADDING, Array, Value
from costmodel.frontends.torch_call import (
    LAYOUT,
    Call,
    arguments,
    around,
    operator_name,
    pair,
)
from costmodel.frontends.windows import joined, shuffle_groups
from costmodel.operators import ActivationName, Padding

if TYPE_CHECKING:
    from costmodel.frontends.torch_export import TorchImporter


def take(importer: TorchImporter, node: fx.Node) -> Value | None:
    """The value of ``node``; None where no operator of a network says what it does."""
    handler = _HANDLERS.get(operator_name(node))
    result = importer.type_of(node.name)
    if handler is None or (result is not None and not result.is_float32):
        return None
    return handler(Call(importer, node))


def _convolution(call: Call) -> Value | None:
    weight, bias = call.array("weight"), call.array("bias")
    if weight is None or weight.ndim != 4 or call.flag("transposed"):
        return None
    if call["bias"] is not None and bias is None:
        return None
    value, zeros = call.padded()
    if value is None or len(value.shape) != 4:
        return None
    dilation = pair(call["dilation"])
    padding = _conv_padding(call["padding"], (weight.shape[2], weight.shape[3]), dilation)
    return call.build.conv2d(
        value, weight, bias, stride=pair(call["stride"]), padding=joined(padding, zeros),
        dilation=dilation, groups=call["groups"] or 1, name=call.name,
    )  # fmt: skip


def _conv_padding(
    given: str | Sequence[int], kernel: tuple[int, int], dilation: tuple[int, int]
) -> Padding:
    if given == "valid":
        return NO_PADDING
    if given == "same":
        total = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        return (
            total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2
        )  # fmt: skip
    return around(pair(given, (0, 0)))  # type: ignore[arg-type]


def _linear(call: Call) -> Value | None:
    return _dense(call, call.value("input"), call.array("weight"), "bias")


def _addmm(call: Call) -> Value | None:
    weight = call.array("mat2")
    if call["beta"] != 1 or call["alpha"] != 1 or weight is None:
        return None
    return _dense(call, call.value("mat1"), weight.T, "self")


def _matmul(call: Call) -> Value | None:
    weight = call.array("other") if call["other"] is not None else call.array("mat2")
    return None if weight is None else _dense(call, call.value(), weight.T, "")


def _dense(call: Call, value: Value | None, weight: Array | None, bias: str) -> Value | None:
    if value is None or weight is None or len(value.shape) != 2 or weight.ndim != 2:
        return None
    shift = call.array(bias)
    if call[bias] is not None and (shift is None or shift.ndim > 1):
        return None
    return call.build.dense(value, weight, shift, call.name)


def _batch_norm(call: Call) -> Value | None:
    value = call.value("input")
    mean, variance = call.array("running_mean"), call.array("running_var")
    if call.flag("training") or mean is None or variance is None:
        raise InputError("batch norm without running statistics; use track_running_stats=True")
    if value is None:
        return None
    gamma, beta = call.array("weight"), call.array("bias")
    parameters = {
        "gamma": np.ones_like(mean) if gamma is None else gamma,
        "beta": np.zeros_like(mean) if beta is None else beta,
        "mean": mean,
        "variance": variance,
    }
    return call.build.batch_norm(value, parameters, float(call["eps"]), call.name)


def _activation(function: ActivationName) -> Callable[[Call], Value | None]:
    def handler(call: Call) -> Value | None:
        value = call.value()
        return value and call.build.activation(value, function, call.name)

    return handler


def _clamp(low: str, high: str) -> Callable[[Call], Value | None]:
    def handler(call: Call) -> Value | None:
        value, bounds = call.value(), (call[low], call[high])
        if value is None or any(isinstance(bound, fx.Node) for bound in bounds):
            return None
        return call.build.clip(value, *bounds, call.name)

    return handler


def _silu(call: Call) -> Value | None:
    value = call.value()
    return value and call.build.silu(value, call.name)


def _add(sign: float) -> Callable[[Call], Value | None]:
    def handler(call: Call) -> Value | None:
        factor = sign * (1.0 if call["alpha"] is None else float(call["alpha"]))
        return call.build.add(call.operand(), call.operand("other"), call.name, factor=factor)

    return handler


def _subtract_from(call: Call) -> Value | None:
    factor = -1.0 if call["alpha"] is None else -float(call["alpha"])
    return call.build.add(call.operand("other"), call.operand(), call.name, factor=factor)


def _multiply(call: Call) -> Value | None:
    return call.build.multiply(call.operand(), call.operand("other"), call.name)


def _divide(call: Call) -> Value | None:
    value, divisor = call.value(), call.array("other")
    if value is None or divisor is None or call["rounding_mode"] is not None:
        return None
    return call.build.scale(value, np.float32(1) / divisor, call.name)


def _negative(call: Call) -> Value | None:
    value = call.value()
    return value and call.build.scale(value, np.asarray(-1, np.float32), call.name)


def _concat(call: Call) -> Value | None:
    values = [call.importer.value(tensor.name) for tensor in call["tensors"]]
    found = [value for value in values if value is not None]
    return call.build.concat(found, call["dim"], call.name) if len(found) == len(values) else None


def _shuffle(call: Call) -> Value | None:
    value = call.value()
    return value and call.build.channel_shuffle(value, call["groups"], call.name)


def _reshape(call: Call) -> Value | None:
    result = call.importer.type_of(call.node.name)
    if result is None:
        return None
    source = call["self"]
    while call.importer.is_deferred(source.name) and operator_name(source) in _RESHAPES:
        source = source.all_input_nodes[0]
    value = call.importer.values.get(source.name)
    if value is None:
        return _shuffled(call, call["self"], result.shape)
    return call.build.reshape(value, result.shape, call.name)


def _shuffled(call: Call, node: fx.Node, shape: tuple[int, ...]) -> Value | None:
    """A reshape of a transpose of a reshape that shuffles channels."""
    importer = call.importer
    while operator_name(node) in {"contiguous", "clone"}:
        node = node.all_input_nodes[0]
    found = importer.type_of(node.name)
    if operator_name(node) not in {"transpose", "permute"} or found is None:
        return None
    split = node.all_input_nodes[0]
    before = importer.type_of(split.name)
    if before is None or operator_name(split) not in LAYOUT or not split.all_input_nodes:
        return None
    value = importer.values.get(split.all_input_nodes[0].name)
    order = _order(node, len(before.shape))
    groups = value and shuffle_groups(value.shape, before.shape, order, shape)
    return call.build.channel_shuffle(value, groups, call.name) if value and groups else None


def _order(node: fx.Node, rank: int) -> tuple[int, ...]:
    given = arguments(node)
    if operator_name(node) == "permute":
        return tuple(d % rank for d in given["dims"])
    order = list(range(rank))
    first, second = given["dim0"] % rank, given["dim1"] % rank
    order[first], order[second] = second, first
    return tuple(order)


def _pool(function: Literal["average", "max"]) -> Callable[[Call], Value | None]:
    def handler(call: Call) -> Value | None:
        if pair(call["dilation"]) != (1, 1) or call["divisor_override"] is not None:
            return None
        counts = function == "average" and call.flag("count_include_pad")
        value, zeros = call.padded() if counts else (call.value(), NO_PADDING)
        if value is None or len(value.shape) != 4:
            return None
        window = pair(call["kernel_size"])
        stride = pair(call["stride"], window)
        padding = joined(around(pair(call["padding"], (0, 0))), zeros)
        return call.build.pool(
            value, function=function, window=window, stride=stride, padding=padding,
            count_padding=counts, round_up=bool(call.flag("ceil_mode")), name=call.name,
        )  # fmt: skip

    return handler


def _adaptive_pool(function: Literal["average", "max"]) -> Callable[[Call], Value | None]:
    def handler(call: Call) -> Value | None:
        value = call.value()
        if value is None or len(value.shape) != 4:
            return None
        return call.build.adaptive_pool(value, function, call["output_size"], call.name)

    return handler


def _mean(call: Call) -> Value | None:
    value, dims = call.value(), call["dim"]
    if value is None or len(value.shape) != 4 or dims is None or call["dtype"] is not None:
        return None
    if {d % 4 for d in dims} != {2, 3}:
        return None
    return call.build.mean(value, keep=call.flag("keepdim"), name=call.name)


def _softmax(call: Call) -> Value | None:
    value = call.value()
    return value and call.build.softmax(value, call["dim"], call.name)


def _identity(call: Call) -> Value | None:
    """What changes nothing in evaluation mode: dropout, casts of float32 to float32."""
    source = call["input"] if call["input"] is not None else call["self"]
    waits = operator_name(call.node) in LAYOUT
    value = call.importer.values.get(source.name) if waits else call.importer.value(source.name)
    result = call.importer.type_of(call.node.name)
    if call.flag("train"):
        raise InputError("dropout while training; it is left out in evaluation mode only")
    return value if value and result and result.shape == value.shape else None


def _element(call: Call) -> Value | None:
    """The first of what a batch norm or a maximum gives."""
    source = call.node.all_input_nodes[0]
    return call.importer.values.get(source.name) if call.node.args[1] == 0 else None


_RESHAPES = ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze")

_HANDLERS: dict[str, Callable[[Call], Value | None]] = {
    **dict.fromkeys(("conv2d", "convolution"), _convolution),
    "linear": _linear,
    "addmm": _addmm,
    **dict.fromkeys(("matmul", "mm"), _matmul),
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    "relu": _activation("relu"),
    "relu6": _activation("relu6"),
    "sigmoid": _activation("sigmoid"),
    "hardsigmoid": _activation("hard_sigmoid"),
    "hardswish": _activation("hard_swish"),
    "hardtanh": _clamp("min_val", "max_val"),
    **dict.fromkeys(("clamp", "clip", "clamp_min"), _clamp("min", "max")),
    "silu": _silu,
    "add": _add(1.0),
    "sub": _add(-1.0),
    "rsub": _subtract_from,
    "mul": _multiply,
    "div": _divide,
    "neg": _negative,
    **dict.fromkeys(("cat", "concat"), _concat),
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), _shuffle),
    **dict.fromkeys(_RESHAPES, _reshape),
    "max_pool2d": _pool("max"),
    "avg_pool2d": _pool("average"),
    "adaptive_avg_pool2d": _adaptive_pool("average"),
    "adaptive_max_pool2d": _adaptive_pool("max"),
    "mean": _mean,
    **dict.fromkeys(("softmax", "_softmax"), _softmax),
    **dict.fromkeys(
        ("dropout", "feature_dropout", "alpha_dropout", "contiguous", "clone", "detach", "alias",
         "to", "_to_copy", "lift_fresh_copy", "identity"),
        _identity,
    ),
    "getitem": _element,
}  # fmt: skip
