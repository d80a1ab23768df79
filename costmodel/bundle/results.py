"""The file that comes back from a device: one JSON line a timing, whatever happened to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costmodel.bundle.manifest import Manifest
from costmodel.crossbuild.messages import Timing, parse_file, parse_timing
from costmodel.errors import DeviceError, InputError


@dataclass(frozen=True)
class Line:
    """One timing of one job or sentinel: what the device said, or why it said nothing."""

    step: int
    batch: int
    round: int
    watch: bool
    """Whether it is a sentinel's."""
    name: str
    timing: Timing | None = None
    error: str | None = None


@dataclass(frozen=True)
class Results:
    """Everything that is in the file and can be read."""

    path: Path
    manifest: Manifest
    lines: tuple[Line, ...]
    """By step; each step once."""
    files: Mapping[str, str]
    """Text of the device's files at the last start, by path."""
    damaged: tuple[int, ...]
    """Numbers of lines that cannot be read: cut off, or changed on the way."""


def read_results(path: Path) -> Results:
    """Reads what a bundle's run has written; lines that make no sense are left out.

    Raises InputError where the file is missing or is no such file.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"cannot read the results {path}: {error.strerror}") from error
    header, *rest = text.split("\n")
    try:
        manifest = Manifest.parse(header)
    except InputError as error:
        raise InputError(
            f"{path} is not what a bundle's run writes: {error}; "
            "bring results.jsonl from the device once more"
        ) from None
    lines: dict[int, Line] = {}
    found: dict[str, str] = {}
    damaged = []
    names = {job.name for job in (*manifest.jobs, *manifest.sentinels)}
    for number, given in enumerate(rest, 2):
        try:
            parsed = _parse(given, manifest, names)
        except DeviceError:
            damaged.append(number)
            continue
        if isinstance(parsed, Line):
            lines[parsed.step] = parsed
        elif parsed == "start":
            found.clear()
        elif isinstance(parsed, tuple):
            found.setdefault(*parsed)
    ordered = tuple(lines[step] for step in sorted(lines))
    return Results(path, manifest, ordered, found, tuple(damaged))


def _parse(line: str, manifest: Manifest, names: set[str]) -> Line | tuple[str, str] | str | None:
    """A timing, a file, the name of what begins, or None; DeviceError where it is none of them."""
    if not line.strip():
        return None
    if line.startswith('{"path":'):
        return parse_file(line)
    try:
        said = json.loads(line)
        if "session" in said:
            return str(said["session"])
        step, batch, turn, watch = (_whole(said[k]) for k in ("step", "batch", "round", "watch"))
        if "error" in said:
            name, timing, error = str(said["kernel"]), None, str(said["error"])
        else:
            timing, error = parse_timing(json.dumps(said["timing"])), None
            name = timing.kernel
            if watch and min(timing.seconds) == 0:
                raise ValueError(timing.seconds)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DeviceError(f"{line[:60]!r} is not a timing") from None
    in_range = 1 <= step <= manifest.steps and 0 <= batch < len(manifest.batches) and watch < 2
    if name not in names or not in_range or turn < 1:
        raise DeviceError(f"{line[:60]!r} is no step of this bundle")
    return Line(step, batch, turn, bool(watch), name, timing, error)


def _whole(value: Any) -> int:  # noqa: ANN401 - anything may come from a device
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(value)
    return value
