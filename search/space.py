"""The space of a search: named parameters, each with the settings it may take."""

from __future__ import annotations

import difflib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from search.errors import InputError

Value = int | float | str | bool
"""One setting of one parameter: what JSON can carry and give back unchanged."""


@dataclass(frozen=True)
class Integer:
    """Whole numbers ``low``, ``low + step``, ... up to ``high`` at most; their order matters."""

    name: str
    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        _check_name(self.name)
        for label in ("low", "high", "step"):
            number = getattr(self, label)
            if isinstance(number, bool) or not isinstance(number, int):
                raise InputError(f"{label} of {self.name!r} must be a whole number, got {number!r}")
        if self.step < 1:
            raise InputError(f"step of {self.name!r} must be at least 1, got {self.step}")
        if self.high < self.low:
            raise InputError(
                f"bounds of {self.name!r} are upside down: low {self.low}, high {self.high}"
            )

    @property
    def ordered(self) -> bool:
        """Whether neighbouring settings are alike."""
        return True

    @property
    def count(self) -> int:
        """How many settings there are."""
        return (self.high - self.low) // self.step + 1

    def at(self, index: int) -> Value:
        """The setting number ``index``, from 0."""
        return self.low + self.step * range(self.count)[index]

    def index(self, value: object) -> int:
        """The number of a setting; InputError when it is none."""
        if isinstance(value, int) and not isinstance(value, bool):
            index, rest = divmod(value - self.low, self.step)
            if rest == 0 and 0 <= index < self.count:
                return index
        steps = "" if self.step == 1 else f" in steps of {self.step}"
        raise InputError(
            f"parameter {self.name!r} cannot be {value!r}: "
            f"a whole number from {self.low} to {self.high}{steps} is wanted"
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which `parameter_from_json` makes the same parameter."""
        kind = {"kind": "integer", "name": self.name}
        return {**kind, "low": self.low, "high": self.high, "step": self.step}


@dataclass(frozen=True)
class Choice:
    """One of ``options``, in no order."""

    name: str
    options: tuple[Value, ...]

    def __post_init__(self) -> None:
        _check_name(self.name)
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options:
            raise InputError(f"choice {self.name!r} needs at least one option")
        for option in self.options:
            if not isinstance(option, int | float | str | bool) or (
                isinstance(option, float) and not math.isfinite(option)
            ):
                raise InputError(
                    f"option {option!r} of {self.name!r} must be a number, a text or a truth value"
                )
        if len({_identity(option) for option in self.options}) < len(self.options):
            raise InputError(f"choice {self.name!r} names an option twice: {self.options}")

    @property
    def ordered(self) -> bool:
        """Whether neighbouring settings are alike."""
        return False

    @property
    def count(self) -> int:
        """How many settings there are."""
        return len(self.options)

    def at(self, index: int) -> Value:
        """The setting number ``index``, from 0."""
        return self.options[range(self.count)[index]]

    def index(self, value: object) -> int:
        """The number of a setting; InputError when it is none (1, 1.0 and True are three)."""
        for index, option in enumerate(self.options):
            if _identity(option) == _identity(value):
                return index
        allowed = ", ".join(repr(option) for option in self.options)
        raise InputError(f"parameter {self.name!r} cannot be {value!r}: it is one of {allowed}")

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which `parameter_from_json` makes the same parameter."""
        return {"kind": "choice", "name": self.name, "options": list(self.options)}


Parameter = Integer | Choice


@dataclass(frozen=True)
class Space:
    """All candidates: one setting of each parameter; ``frozen`` ones have a single setting."""

    parameters: tuple[Parameter, ...]
    frozen: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))
        object.__setattr__(self, "frozen", dict(self.frozen))
        if not self.parameters:
            raise InputError("a space needs at least one parameter")
        names = [parameter.name for parameter in self.parameters]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"parameter {name!r} stands twice in the space")
        for name, value in self.frozen.items():
            self.parameter(name).index(value)

    @property
    def free(self) -> tuple[Parameter, ...]:
        """The parameters that are still searched, in order."""
        return tuple(each for each in self.parameters if each.name not in self.frozen)

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name; InputError naming the known ones when there is none."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise InputError(f"unknown parameter {name!r}{_suggestion(name, self.parameters)}")

    def freeze(self, settings: Mapping[str, Value]) -> Space:
        """The same space with these settings fixed as well; InputError if one is not allowed."""
        return replace(self, frozen={**self.frozen, **settings})

    def validate(self, candidate: Mapping[str, object]) -> dict[str, Value]:
        """The candidate with its parameters in the order of the space.

        Raises InputError, naming the parameter, when one is missing, unknown or out of its
        bounds. Frozen settings are not asked for: a candidate found earlier stays valid.
        """
        for name in candidate:
            self.parameter(name)
        missing = [each.name for each in self.parameters if each.name not in candidate]
        if missing:
            raise InputError(f"parameter {missing[0]!r} has no setting")
        return {p.name: p.at(p.index(candidate[p.name])) for p in self.parameters}

    def holds(self, candidate: Mapping[str, Value]) -> bool:
        """Whether a valid candidate shares every frozen setting."""
        return all(
            _identity(candidate[name]) == _identity(value) for name, value in self.frozen.items()
        )

    def candidate(self, indices: Mapping[str, int]) -> dict[str, Value]:
        """The candidate with setting number ``indices[name]`` of each free parameter."""
        return {
            p.name: self.frozen[p.name] if p.name in self.frozen else p.at(indices[p.name])
            for p in self.parameters
        }

    def size(self) -> int:
        """How many candidates there are, frozen settings held."""
        return math.prod(parameter.count for parameter in self.free)

    def candidates(self) -> Iterator[dict[str, Value]]:
        """Every candidate, frozen settings held; only to be walked when `size` is small."""
        names = [parameter.name for parameter in self.free]
        for indices in itertools.product(*(range(parameter.count) for parameter in self.free)):
            yield self.candidate(dict(zip(names, indices, strict=True)))

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which `from_json` makes an equal space."""
        return {
            "parameters": [parameter.to_json() for parameter in self.parameters],
            "frozen": dict(self.frozen),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Space:
        """The space that `to_json` described; InputError when the document is no space."""
        try:
            parameters = tuple(parameter_from_json(each) for each in document["parameters"])
            return cls(parameters, document.get("frozen", {}))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not a description of a search space: {error!r}") from error


def parameter_from_json(document: Mapping[str, Any]) -> Parameter:
    """The parameter that its `to_json` described; InputError when the kind is unknown."""
    kind = document["kind"]
    if kind == "integer":
        return Integer(document["name"], document["low"], document["high"], document["step"])
    if kind == "choice":
        return Choice(document["name"], tuple(document["options"]))
    raise InputError(f"unknown kind of parameter {kind!r}: integer or choice is known")


def candidate_key(candidate: Mapping[str, Value]) -> str:
    """A text that two candidates share exactly when all their settings are the same."""
    return json.dumps(candidate, sort_keys=True, separators=(",", ":"))


def _identity(value: object) -> tuple[str, object]:
    """What makes two settings the same one: Python alone holds 1, 1.0 and True for equal."""
    return (type(value).__name__, value)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise InputError(f"a parameter needs a name, got {name!r}")


def _suggestion(name: str, parameters: tuple[Parameter, ...]) -> str:
    names = [parameter.name for parameter in parameters]
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}"
