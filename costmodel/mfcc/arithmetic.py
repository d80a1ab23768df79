"""Arithmetic of features, in TVM: complex numbers as pairs, and decibels."""

# ruff: noqa: ANN401 - TVM has no types
from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from tvm import tirx

_MANTISSA_BITS = 23
"""Of float32 (IEEE 754)."""

Complex = tuple[Any, Any]
"""Real and imaginary part."""


def butterfly(x: Sequence[Complex]) -> list[Complex]:
    """The transform of two or four complex numbers."""
    if len(x) == 2:
        return [_sum(x[0], x[1]), _difference(x[0], x[1])]
    a, b = _sum(x[0], x[2]), _difference(x[0], x[2])
    c, d = _sum(x[1], x[3]), _difference(x[1], x[3])
    return [_sum(a, c), (b[0] + d[1], b[1] - d[0]), _difference(a, c), (b[0] - d[1], b[1] + d[0])]


def _sum(a: Complex, b: Complex) -> Complex:
    return a[0] + b[0], a[1] + b[1]


def _difference(a: Complex, b: Complex) -> Complex:
    return a[0] - b[0], a[1] - b[1]


def turned_by(a: Complex, cosine: Any, sine: Any) -> Complex:
    """By an angle clockwise."""
    return a[0] * cosine + a[1] * sine, a[1] * cosine - a[0] * sine


def power_of(a: Complex, b: Complex, *, plus: bool) -> Any:
    """|a + b|² / 4, or with the other sign."""
    real, imaginary = _sum(a, b) if plus else _difference(a, b)
    return (real * real + imaginary * imaginary) * tirx.const(0.25, "float32")


def decibels(value: Any) -> Any:
    """10 log10 of a positive, normal number in plain arithmetic, which vectorises.

    With the number as 2^e m, m between 1/√2 and √2: ln m = 2 artanh((m - 1) / (m + 1)), whose
    series has an error below 1e-9 after five terms, beyond the last digit of float32.
    """

    def const(number: float) -> Any:
        return tirx.const(number, "float32")

    bits, exponent = tirx.Var("bits", "int32"), tirx.Var("exponent", "int32")
    mantissa, s, s2 = (tirx.Var(name, "float32") for name in ("mantissa", "s", "s2"))
    shift = tirx.const(_MANTISSA_BITS, "int32")
    # Less the bits of 1/√2, the exponent's field counts the powers of two from there.
    base = _bits(math.sqrt(0.5))
    series = const(1 / 9)
    for odd in (7, 5, 3, 1):
        series = series * s2 + const(1 / odd)
    nepers = tirx.Cast("float32", exponent) * const(math.log(2)) + const(2) * s * series
    result = nepers * const(10 / math.log(10))
    for variable, bound in (
        (s2, s * s),
        (s, (mantissa - const(1)) / (mantissa + const(1))),
        (mantissa, tirx.reinterpret("float32", bits - (exponent << shift))),
        (exponent, (bits - tirx.const(base, "int32")) >> shift),
        (bits, tirx.reinterpret("int32", value)),
    ):
        result = tirx.Let(variable, bound, result)
    return result


def _bits(number: float) -> int:
    """A float32 as the integer of the same bits."""
    return int.from_bytes(struct.pack("<f", number), "little")
