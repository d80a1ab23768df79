"""Architectures: what the search chooses, in the notation of the paper's Table II.

An architecture is a list of units; each is a convolution with 'same' padding, batch
normalisation and ReLU. In text, ``3x3,40`` is a unit of 40 filters with a kernel of 3 rows
(frequency) by 3 columns (time). ``/2x2`` after it sets the stride; without it the first
unit strides 1x2 and the others 1x1, which is what reproduces Table II's counts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from costmodel.network import Network
from kws.errors import InputError

INPUT_SHAPE = (40, 32, 1)
"""H coefficients x W frames x one channel: the MFCC of one second (section 4 of the paper)."""

FIRST_STRIDE = (1, 2)
"""Stride of the first unit that reproduces all thirteen counts of Table II."""

LATER_STRIDE = (1, 1)

_UNIT = re.compile(r"(\d{1,6})[x×](\d{1,6})(?:,(\d{1,6}))?(?:/(\d{1,6})[x×](\d{1,6}))?", re.ASCII)


@dataclass(frozen=True)
class Unit:
    """One convolution: kernel (kh, kw), number of filters M, stride (Sh, Sw)."""

    kernel: tuple[int, int]
    filters: int
    stride: tuple[int, int] = LATER_STRIDE


@dataclass(frozen=True)
class Architecture:
    """Units in the order in which data passes through them; at least one.

    Raises:
        InputError: for no units, or a kernel, filter count or stride below 1.

    """

    units: tuple[Unit, ...]

    def __post_init__(self) -> None:
        if not self.units:
            raise InputError("an architecture has at least one unit, such as 3x3,40")
        for number, unit in enumerate(self.units, start=1):
            for label, value in _values(unit):
                if type(value) is not int or value < 1:
                    raise InputError(
                        f"unit {number} has {label} {value!r}; a whole number from 1 is needed"
                    )

    @classmethod
    def parse(cls, text: str, *, bounds: Bounds | None = None) -> Self:
        """The architecture that ``text`` names (``seed``, ``kws1`` .. ``kws12``) or spells out.

        Raises:
            InputError: for text that is neither, or that leaves ``bounds`` (default: `Bounds()`).

        """
        text = text.strip()
        units = _parse_units(PUBLISHED_TEXT.get(text.lower(), text))
        (bounds or Bounds()).check_units(units)
        return cls(units)

    def __str__(self) -> str:
        return " ".join(_unit_text(unit, number) for number, unit in enumerate(self.units, 1))


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The largest settings an architecture may have; the smallest is always 1.

    The paper's text bounds the first kernel by 4x10 and its Table II has 5x5 there, so the
    default allows both.

    Raises:
        InputError: for a bound below 1.

    """

    filters: int = 100
    """Most filters M of any unit."""

    first_kernel: tuple[int, int] = (5, 10)
    """Largest kernel (kh, kw) of the first unit."""

    later_kernel: tuple[int, int] = (5, 5)
    """Largest kernel (kh, kw) of every unit after the first."""

    stride: tuple[int, int] = (4, 4)
    """Largest stride (Sh, Sw) of any unit."""

    def __post_init__(self) -> None:
        for label, value in vars(self).items():
            numbers = value if isinstance(value, tuple) else (value,)
            if any(type(number) is not int or number < 1 for number in numbers):
                raise InputError(f"the bound '{label}' must be whole and at least 1, got {value}")

    def kernel(self, number: int) -> tuple[int, int]:
        """Largest kernel of unit ``number``, counted from 1."""
        return self.first_kernel if number == 1 else self.later_kernel

    def check(self, architecture: Architecture) -> None:
        """Raises InputError, naming the unit, for the first setting outside these bounds."""
        self.check_units(architecture.units)

    def check_units(self, units: tuple[Unit, ...]) -> None:
        """As `check`, for units that are not yet an architecture."""
        for number, unit in enumerate(units, start=1):
            if not 1 <= unit.filters <= self.filters:
                raise InputError(
                    f"unit {number} has {unit.filters} filters; 1 to {self.filters} are allowed"
                )
            _check_pair(f"unit {number} kernel", unit.kernel, self.kernel(number))
            _check_pair(f"unit {number} stride", unit.stride, self.stride)

    def ranges(self, units: int = 6) -> dict[str, tuple[int, int]]:
        """Lowest and highest value of every parameter that the search chooses.

        The names are those of `parameters_of`; strides are not searched.
        """
        ranges: dict[str, tuple[int, int]] = {}
        for number in range(1, units + 1):
            kh, kw = self.kernel(number)
            ranges[f"conv{number}_kh"] = (1, kh)
            ranges[f"conv{number}_kw"] = (1, kw)
            ranges[f"conv{number}_m"] = (1, self.filters)
        return ranges


def to_network(
    architecture: Architecture,
    input_shape: tuple[int, int, int] = INPUT_SHAPE,
    classes: int = 10,
) -> Network:
    """The architecture as operators: its units, global average pooling and a dense layer.

    Unit i makes the nodes ``conv{i}``, ``bn{i}`` and ``relu{i}``; then ``pool`` and ``dense``.

    Args:
        architecture: What to lower.
        input_shape: (H, W, C) of the features.
        classes: Units of the dense layer.

    Raises:
        InputError: for fewer than two classes.
        costmodel.errors.InputError: for an input shape without positive whole extents.

    """
    if classes < 2:
        raise InputError(f"a classifier has at least 2 classes, got {classes}")
    network = Network(input_shape)
    node = Network.INPUT
    for number, unit in enumerate(architecture.units, start=1):
        node = network.conv2d(
            node,
            filters=unit.filters,
            kernel=unit.kernel,
            stride=unit.stride,
            name=f"conv{number}",
        )
        node = network.batch_norm(node, name=f"bn{number}")
        node = network.relu(node, name=f"relu{number}")
    network.dense(network.global_average_pool(node, name="pool"), units=classes, name="dense")
    return network


def parameters_of(architecture: Architecture) -> dict[str, int]:
    """The architecture as the search sees it: ``conv{i}_kh``, ``conv{i}_kw``, ``conv{i}_m``.

    ``conv{i}_sh`` and ``conv{i}_sw`` are there only for a stride other than the unit's default.
    """
    parameters: dict[str, int] = {}
    for number, unit in enumerate(architecture.units, start=1):
        values = {"kh": unit.kernel[0], "kw": unit.kernel[1], "m": unit.filters}
        if unit.stride != _default_stride(number):
            values |= {"sh": unit.stride[0], "sw": unit.stride[1]}
        parameters |= {f"conv{number}_{key}": value for key, value in values.items()}
    return parameters


def architecture_from(parameters: Mapping[str, int]) -> Architecture:
    """The architecture that `parameters_of` describes.

    Raises:
        InputError: for a missing, unknown or impossible parameter.

    """
    left = dict(parameters)
    units: list[Unit] = []
    while f"conv{len(units) + 1}_m" in left or not units:
        units.append(_take_unit(left, len(units) + 1))
    if left:
        raise InputError(
            f"parameter '{min(left)}' belongs to none of the {len(units)} units given; "
            "units are conv1, conv2, ... without a gap, each with _kh, _kw and _m"
        )
    return Architecture(tuple(units))


def _take_unit(parameters: dict[str, int], number: int) -> Unit:
    def take(key: str, default: int | None = None) -> int:
        name = f"conv{number}_{key}"
        value = parameters.pop(name, default)
        if value is None:
            raise InputError(f"parameter '{name}' is missing; every unit has _kh, _kw and _m")
        return value

    sh, sw = _default_stride(number)
    return Unit(
        kernel=(take("kh"), take("kw")), filters=take("m"), stride=(take("sh", sh), take("sw", sw))
    )


def _parse_units(text: str) -> tuple[Unit, ...]:
    words = text.split()
    if not words:
        raise InputError(
            f"an architecture is a name ({_NAMES}) or units such as '3x3,40 1x1,30'; got nothing"
        )
    if len(words) == 1 and words[0].isalnum() and _UNIT.fullmatch(words[0]) is None:
        close = difflib.get_close_matches(words[0].lower(), PUBLISHED_TEXT, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise InputError(
            f"unknown architecture '{words[0]}'; {hint}known are {_NAMES}, "
            "or write units such as '3x3,40 1x1,30'"
        )
    return tuple(_parse_unit(word, number) for number, word in enumerate(words, start=1))


def _parse_unit(word: str, number: int) -> Unit:
    match = _UNIT.fullmatch(word)
    if match is None:
        raise InputError(
            f"unit {number} '{word}' is not kernel, filters and perhaps a stride; "
            "write it as 3x3,40 or 3x3,40/1x2"
        )
    kh, kw, filters, sh, sw = match.groups()
    if filters is None:
        raise InputError(
            f"unit {number} '{word}' has no filter count; write kernel and filters as {kh}x{kw},40"
        )
    stride = (int(sh), int(sw)) if sh else _default_stride(number)
    return Unit(kernel=(int(kh), int(kw)), filters=int(filters), stride=stride)


def _unit_text(unit: Unit, number: int) -> str:
    text = f"{unit.kernel[0]}x{unit.kernel[1]},{unit.filters}"
    if unit.stride == _default_stride(number):
        return text
    return f"{text}/{unit.stride[0]}x{unit.stride[1]}"


def _default_stride(number: int) -> tuple[int, int]:
    return FIRST_STRIDE if number == 1 else LATER_STRIDE


def _values(unit: Unit) -> tuple[tuple[str, int], ...]:
    return (
        ("kernel height", unit.kernel[0]),
        ("kernel width", unit.kernel[1]),
        ("filter count", unit.filters),
        ("stride height", unit.stride[0]),
        ("stride width", unit.stride[1]),
    )


def _check_pair(label: str, value: tuple[int, int], bound: tuple[int, int]) -> None:
    text, limit = f"{value[0]}x{value[1]}", f"{bound[0]}x{bound[1]}"
    if min(value) < 1:
        raise InputError(f"{label} {text} has an extent below 1; 1x1 to {limit} are allowed")
    if value[0] > bound[0] or value[1] > bound[1]:
        raise InputError(f"{label} {text} is larger than the bound {limit}")


PUBLISHED_TEXT: Mapping[str, str] = {
    "seed": "4x10,100 3x3,100 3x3,100 3x3,100 3x3,100 3x3,100",
    "kws1": "3x3,40 3x3,30 1x1,30 5x5,50 5x5,50 5x5,50",
    "kws2": "5x5,40 3x3,50 1x1,30 5x5,40 3x3,50 5x5,50",
    "kws3": "5x5,50 1x1,30 5x5,40 3x3,20 5x5,30 3x3,50",
    "kws4": "5x5,50 3x3,40 5x5,20 1x1,20 5x5,30 3x3,50",
    "kws5": "5x5,20 1x1,40 5x5,30 3x3,20 5x5,30 3x3,30",
    "kws6": "5x5,20 3x3,40 3x3,40 3x3,20 3x3,40 3x3,40",
    "kws7": "3x3,50 1x1,30 3x3,20 5x5,20 3x3,50 3x3,40",
    "kws8": "5x5,50 1x1,50 3x3,20 3x3,40 3x3,30 3x3,20",
    "kws9": "5x5,50 1x1,20 1x1,50 3x3,20 5x5,20 3x3,40",
    "kws10": "3x3,40 1x1,20 1x1,20 3x3,20 5x5,20 3x3,30",
    "kws11": "5x5,30 1x1,20 1x1,20 1x1,20 3x3,20 5x5,20",
    "kws12": "5x5,50 1x1,40 1x1,50 1x1,20 3x3,20 3x3,20",
}
"""Table II of the paper: the hand-made seed and the twelve models its search found."""

_NAMES = "seed, kws1 to kws12"

PUBLISHED: Mapping[str, Architecture] = {
    name: Architecture.parse(text) for name, text in PUBLISHED_TEXT.items()
}
"""The models of Table II by name."""

SEED = PUBLISHED["seed"]
"""The hand-made network from which the paper's search starts."""
