"""Targets as they stand in a file: the facts of `CpuTarget` or `GpuTarget` beside their kind."""

from __future__ import annotations

import difflib
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, PlainSerializer, Tag
from pydantic_core import PydanticCustomError

from costmodel.target import CpuTarget, GpuTarget, Target, freeze_tvm_target
from costmodel.target_check import check_facts

KINDS: dict[str, type[Target]] = {"cpu": CpuTarget, "gpu": GpuTarget}
HOST_KINDS = ("host", "host-all")


def facts_of(target: Target) -> tuple[str, ...]:
    """Names of the facts of a kind of target."""
    return tuple(field.name for field in fields(target))


def target_to_file(target: Target) -> dict[str, Any]:
    """The facts with their kind, as JSON takes them."""
    kind = next(name for name, of in KINDS.items() if isinstance(target, of))
    return {"kind": kind, **asdict(target), "tvm": target.stated_tvm()}


def _facts_from_file(value: object) -> object:
    """Arguments of the target's class; what is no object of a file is left to the class."""
    if not isinstance(value, dict):
        return value
    facts = {name: fact for name, fact in value.items() if name != "kind"}
    known = fields(KINDS[value["kind"]])
    for name in facts.keys() - {field.name for field in known}:
        near = difflib.get_close_matches(name, [field.name for field in known], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise PydanticCustomError("unknown_fact", f"unknown target fact '{name}'{hint}")
    if isinstance(facts.get("tvm"), dict):
        facts["tvm"] = freeze_tvm_target(facts["tvm"])
    return facts


def _checked(target: Target) -> Target:
    check_facts(target)
    return target


def _kind(value: object) -> str | None:
    if isinstance(value, str):
        return "host"
    if isinstance(value, dict):
        kind = value.get("kind")
        return kind if kind in KINDS else None
    return next((name for name, of in KINDS.items() if isinstance(value, of)), None)


_which = Discriminator(
    _kind,
    custom_error_type="target_kind",
    custom_error_message=f"a target is {' or '.join(HOST_KINDS)}, or has a kind: "
    f"{' or '.join(KINDS)}",
)
_read, _check = BeforeValidator(_facts_from_file), AfterValidator(_checked)
_write = PlainSerializer(target_to_file)
_Cpu = Annotated[CpuTarget, _read, _check, _write, Tag("cpu")]
_Gpu = Annotated[GpuTarget, _read, _check, _write, Tag("gpu")]
StatedTarget = Annotated[_Cpu | _Gpu, _which]
"""A target whose facts stand in the file."""
NamedTarget = Annotated[_Cpu | _Gpu | Annotated[Literal["host", "host-all"], Tag("host")], _which]
"""Also the machine that asks: one of its cores, or all that the process may use."""
