"""What a kernel should compute: values to give it, and torch's result in double precision.

Here values are planar, [C, H, W], and constants lie as the kernel's class states;
`arguments_of` and `computed` translate from and to the layout of a CPU's schedule.
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from costmodel.kernels import (
    ChannelsKernel,
    ConvKernel,
    ElementwiseKernel,
    LayoutKernel,
    PooledDenseKernel,
    PoolKernel,
    SoftmaxKernel,
)

SMALLEST_PEAK = 0.01
"""Inputs are of the order of one: where an output's peak is below this, what would have made one
has cancelled, and the error is taken against this."""


def values_of(kernel, generator):
    """Random inputs, wide enough to reach both ends of an activation."""
    return [2 * generator.standard_normal(s, dtype=np.float32) for s in _value_shapes(kernel)]


def constants_of(kernel, generator):
    """Random constants; sums over a window stay of the order of its inputs."""
    if isinstance(kernel, ConvKernel):
        shape = (kernel.filters, kernel.group_channels, *kernel.kernel)
        weight = generator.standard_normal(shape, dtype=np.float32)
        weight /= np.sqrt(np.float32(np.prod(shape[1:])))
        return weight, generator.standard_normal(kernel.filters, dtype=np.float32)
    if isinstance(kernel, PooledDenseKernel):
        return constants_of(kernel.dense, generator)
    if isinstance(kernel, ElementwiseKernel):
        numbers = 2 * kernel.operations.count("affine")
        return tuple(
            generator.standard_normal(kernel.channels, dtype=np.float32) for _ in range(numbers)
        )
    return ()


def torch_result(kernel, inputs, constants):
    """[C, OH, OW] for planar inputs, in double precision."""
    if isinstance(kernel, PooledDenseKernel):
        pool, dense, *softmax = kernel.parts
        value = torch_result(dense, [torch_result(pool, inputs[:1], ()), *inputs[1:]], constants)
        return torch_result(*softmax, [value], ()) if softmax else value
    values = [torch.from_numpy(value).double() for value in inputs]
    weights = [torch.from_numpy(value).double() for value in constants]
    match kernel:
        case ElementwiseKernel():
            result = _chain(values[0], kernel.operations, iter(values[1:]), iter(weights))
            result = result.expand(-1, kernel.height, kernel.width)
        case ConvKernel():
            result = F.conv2d(
                _padded(values[0], kernel.padding), *weights, stride=kernel.stride,
                dilation=kernel.dilation, groups=kernel.groups,
            )[0]  # fmt: skip
            result = _chain(result, kernel.epilogue, iter(values[1:]), iter(()))
        case PoolKernel():
            result = _pooled(values[0], kernel)
        case ChannelsKernel():
            result = F.channel_shuffle(torch.cat(values)[None], kernel.groups)[0]
        case SoftmaxKernel():
            result = torch.softmax(values[0], 0)
        case LayoutKernel():
            (result,) = values
    return result.numpy()


def arguments_of(family, kernel, schedule, target, values, constants):
    """All arguments but the output, as ``family.shapes`` says, with NaN in what is not defined."""
    shapes = family.shapes(kernel, schedule, target)
    packed = family.pack(kernel, schedule, target, constants)
    assert tuple(array.shape for array in packed) == shapes[kernel.inputs : -1]
    if isinstance(kernel, LayoutKernel) and not kernel.planar:
        return [*values, *packed]
    arguments = []
    for value, shape in zip(values, shapes[: kernel.inputs], strict=True):
        allocated = np.full(shape, np.nan, np.float32)
        rows, columns, _ = shape  # of a pointwise convolution all pixels are one row
        allocated[..., : len(value)] = value.transpose(1, 2, 0).reshape(rows, columns, -1)
        arguments.append(allocated)
    return [*arguments, *packed]


def computed(kernel, output):
    """The part of a CPU kernel's output that is defined, as [C, OH, OW]."""
    channels, *size = _output_shape(kernel)
    if isinstance(kernel, LayoutKernel) and kernel.planar:
        return output.ravel()[: channels * size[0] * size[1]].reshape(channels, *size)
    return output.reshape(*size, -1)[..., :channels].transpose(2, 0, 1)


def relative_error(found, expected):
    """Largest difference over the output's peak; NaN where a number is missing."""
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / max(np.abs(expected).max(), SMALLEST_PEAK)


def _value_shapes(kernel):
    """[C, H, W] of each input."""
    size = (kernel.height, kernel.width)
    match kernel:
        case ConvKernel():
            return [(kernel.channels, *size), *[_output_shape(kernel)] * (kernel.inputs - 1)]
        case ElementwiseKernel():
            return [(kernel.channels, *((1, 1) if o.is_vector else size)) for o in kernel.operands]
        case ChannelsKernel():
            return [(channels, *size) for channels, _ in kernel.sources]
        case _:
            return [(kernel.channels, *size)]


def _output_shape(kernel):
    channels = kernel.filters if isinstance(kernel, ConvKernel) else kernel.channels
    if isinstance(kernel, ConvKernel | PoolKernel):
        return (channels, *kernel.output_size)
    return (channels, kernel.height, kernel.width)


def _padded(value, padding, around=0.0):
    top, left, bottom, right = padding
    return F.pad(value[None], (left, right, top, bottom), value=around)


def _pooled(value, kernel):
    """A mean is a sum over the padded map, over how many numbers were summed."""
    if kernel.function == "max":
        padded = _padded(value, kernel.padding, -np.inf)
        return F.max_pool2d(padded, kernel.window, kernel.stride)[0]

    def total(padded):
        return F.avg_pool2d(padded, kernel.window, kernel.stride, divisor_override=1)[0]

    counted = _padded(torch.ones_like(value), kernel.padding, float(kernel.count_padding))
    return total(_padded(value, kernel.padding)) / total(counted)


_FUNCTIONS = {
    "relu": F.relu, "relu6": F.relu6, "hard_swish": F.hardswish, "hard_sigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid,
}  # fmt: skip


def _chain(value, operations, others, numbers):
    for name in operations:
        if name == "add":
            value = value + next(others)
        elif name == "multiply":
            value = value * next(others)
        elif name == "affine":
            scale, shift = (next(numbers)[:, None, None] for _ in range(2))
            value = value * scale + shift
        else:
            value = _FUNCTIONS[name](value)
    return value
