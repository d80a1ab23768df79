"""What follows a kernel's main work number by number: its arithmetic, in TVM and as counts."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from costmodel.kernels import COMBINING

if TYPE_CHECKING:
    from costmodel.kernels import ElementwiseName

_FLOPS = {
    "relu": 1,
    "relu6": 2,
    "hard_sigmoid": 4,
    "hard_swish": 5,
    "sigmoid": 25,
    "add": 1,
    "multiply": 1,
    "affine": 2,
}
"""Arithmetic nodes that `apply` adds for each step."""


def apply(
    value: Any,
    operations: Sequence[ElementwiseName],
    operand: Callable[[int], Any],
    affine: Callable[[int], tuple[Any, Any]] | None = None,
) -> Any:
    """The TVM expression of ``value`` after ``operations``.

    ``operand(i)``: what the i-th combining step reads; ``affine(i)``: scale and shift of the
    i-th affine step.
    """
    from tvm import tirx

    combined, scaled = iter(range(len(operations))), iter(range(len(operations)))
    for name in operations:
        if name == "add":
            value = value + operand(next(combined))
        elif name == "multiply":
            value = value * operand(next(combined))
        elif name == "affine":
            assert affine is not None  # noqa: S101 - only kernels with affine steps have them
            scale, shift = affine(next(scaled))
            value = value * scale + shift
        else:
            value = _activation(value, name, tirx)
    return value


def flops(operations: Sequence[ElementwiseName], before: int) -> int:
    """Arithmetic nodes of the expression, ``before`` of them in the value that it starts from."""
    return before + sum(_FLOPS[name] for name in operations)


def combining(operations: Sequence[ElementwiseName]) -> Iterator[str]:
    """Names e0, e1, … of the buffers that the combining steps read."""
    count = sum(name in COMBINING for name in operations)
    return (f"e{i}" for i in range(count))


def _activation(value: Any, name: str, tirx: Any) -> Any:
    def const(number: float) -> Any:
        return tirx.const(number, "float32")

    if name == "relu":
        return tirx.max(value, const(0))
    if name == "relu6":
        return tirx.min(tirx.max(value, const(0)), const(6))
    if name == "sigmoid":
        return const(1) / (const(1) + exponential(const(0) - value))
    if name == "hard_swish":  # its argument has a name: written out twice it would grow in chains
        named = tirx.Var("y", "float32")
        return tirx.Let(named, value, named * _activation(named, "hard_sigmoid", tirx))
    return tirx.min(tirx.max(value * const(1 / 6) + const(0.5), const(0)), const(1))


_LARGEST, _SMALLEST = 88.0, -87.0
"""Between which exp is a normal float32 number; what lies outside is taken as these."""
_LOG2_E = 1.44269504088896341
_LN_2 = (0.693359375, -2.12194440e-4)
"""ln 2 as a sum whose first part has few digits, so that its multiples are exact."""
_POLYNOMIAL = (
    1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
    5.0000001201e-1,
)  # fmt: skip
"""(exp(f) - 1 - f) / f² for |f| <= ln 2 / 2, highest power first; as in Cephes, expf.c."""


def exponential(value: Any) -> Any:
    """Exponential in plain arithmetic, which vectorises: TVM calls the C library number by number.

    exp(x) = 2^n exp(f) with x = n ln 2 + f; relative error below 2e-7. 2^n is made from its bits.
    """
    from tvm import tirx

    def const(number: float) -> Any:
        return tirx.const(number, "float32")

    x, f = tirx.Var("x", "float32"), tirx.Var("f", "float32")
    exponent = tirx.Var("exponent", "int32")  # n + 127, as float32 stores it; always positive
    limited = tirx.min(tirx.max(value, const(_SMALLEST)), const(_LARGEST))
    n = tirx.Cast("float32", exponent - 127)
    polynomial = const(_POLYNOMIAL[0])
    for coefficient in _POLYNOMIAL[1:]:
        polynomial = polynomial * f + const(coefficient)
    power = (polynomial * f * f + f + const(1)) * tirx.reinterpret(
        "float32", exponent << tirx.const(23, "int32")
    )
    rest = x - n * const(_LN_2[0]) - n * const(_LN_2[1])
    rounded = tirx.Cast("int32", x * const(_LOG2_E) + const(127.5))
    return tirx.Let(x, limited, tirx.Let(exponent, rounded, tirx.Let(f, rest, power)))
