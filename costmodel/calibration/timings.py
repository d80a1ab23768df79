"""Reads timings of whole networks, as people have them: a table with one network a row.

What a row's text names is the caller's to say, so that this room knows no notation.
"""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

from costmodel.calibration.sums import MINIMUM_NETWORKS
from costmodel.errors import InputError

NETWORK = ("network", "architecture", "file")
"""The names that the column of networks may have."""
LATENCY, REPEAT = "latency_ms", "repeat"
EXAMPLE = f"{NETWORK[0]},{LATENCY}"

T = TypeVar("T")
Resolver = Callable[[str, Path], tuple[str, T]]
"""The full name of the network that a text names, and the network; paths start at the folder
given. InputError where the text names none."""


@dataclass(frozen=True, kw_only=True)
class Timing(Generic[T]):
    """One network and what it took."""

    name: str
    network: T
    latency_ms: float
    """Median of the repeats."""
    repeats: int


@dataclass(frozen=True)
class _Row:
    line: int
    column: str
    """What the file calls the column of networks."""
    text: str
    latency_ms: float


def read_timings(
    path: Path, resolve: Resolver[T], on_progress: Callable[[int, int], None] = lambda *_: None
) -> tuple[Timing[T], ...]:
    """The networks of a table in comma-separated values, in the order of their first rows.

    The first row names the columns: ``network`` (or ``architecture``, or ``file``), ``latency_ms``
    and, where networks were timed more than once, ``repeat``, a whole number; others are left
    alone. ``on_progress`` is told how many networks of how many have been read.

    Raises InputError, in one line that names file, line and column and says the cure, for anything
    that is not that, and for fewer than `MINIMUM_NETWORKS` networks.
    """
    rows = list(_rows(path))
    by_text: dict[str, tuple[str, T]] = {}
    latencies: dict[str, list[float]] = {}
    networks: dict[str, T] = {}
    total = len({row.text for row in rows})
    for row in rows:
        if row.text not in by_text:
            by_text[row.text] = _resolved(path, row, resolve)
            on_progress(len(by_text), total)
        name, network = by_text[row.text]
        networks.setdefault(name, network)
        latencies.setdefault(name, []).append(row.latency_ms)
    if len(networks) < MINIMUM_NETWORKS:
        raise InputError(
            f"{path} has timings of {len(networks)} different networks; "
            f"add some: at least {MINIMUM_NETWORKS} are needed, 50 and more are better"
        )
    return tuple(
        Timing(
            name=name,
            network=network,
            latency_ms=statistics.median(latencies[name]),
            repeats=len(latencies[name]),
        )
        for name, network in networks.items()
    )


def _resolved(path: Path, row: _Row, resolve: Resolver[T]) -> tuple[str, T]:
    try:
        return resolve(row.text, path.parent)
    except InputError as error:
        raise _wrong(path, row.line, row.column, str(error)) from None


def _rows(path: Path) -> Iterator[_Row]:
    lines = _lines(path)
    _, header = next(lines, (1, []))
    if not header:
        raise InputError(f"{path} is empty; its first line names the columns: {EXAMPLE}")
    places = _places(path, header)
    for line, cells in lines:
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {line}: {len(cells)} columns where the first line names "
                f"{len(header)}; put a network that has commas in double quotes"
            )
        by_column = {column: cells[place] for column, place in places.items()}
        column = next(name for name in by_column if name in NETWORK)
        if not by_column[column]:
            raise _wrong(path, line, column, "it is empty; say which network was timed")
        _check_repeat(path, line, by_column)
        latency_ms = _milliseconds(path, line, by_column[LATENCY])
        yield _Row(line, column, by_column[column], latency_ms)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped cells of every row that is not blank."""
    try:
        # A byte order mark is what spreadsheets write before UTF-8.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                cells = [cell.strip() for cell in row]
                if any("\0" in cell for cell in cells):
                    raise InputError(f"{path} is not text; save the table as 'CSV UTF-8'")
                if any(cells):
                    yield reader.line_num, cells
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; save it as 'CSV UTF-8'") from None
    except csv.Error as error:
        line = reader.line_num
        raise InputError(
            f"{path}, line {line}: not comma-separated values ({error}); save the table as CSV"
        ) from None
    except OSError as error:
        raise InputError(
            f"the timings {path} cannot be read: {error.strerror}; "
            f"name a CSV file with the columns {EXAMPLE}"
        ) from None


def _places(path: Path, header: list[str]) -> Mapping[str, int]:
    """Column -> its place, for the columns that are read."""
    names = [name.lower() for name in header]
    if len(names) == 1:
        for separator, word in ((";", "semicolons"), ("\t", "tabs")):
            if separator in names[0]:
                raise InputError(
                    f"{path}, line 1: columns are separated by {word}; separate them by commas: "
                    f"{EXAMPLE}"
                )
    found = [name for name in NETWORK if name in names]
    for column, present in ((NETWORK[0], bool(found)), (LATENCY, LATENCY in names)):
        if not present:
            raise InputError(
                f"{path}, line 1: there is no column '{column}' among {', '.join(header)}; "
                f"the first line names the columns: {EXAMPLE}"
            )
    if len(found) > 1:
        raise InputError(
            f"{path}, line 1: columns '{found[0]}' and '{found[1]}' both name the network; keep one"
        )
    read = [*found, LATENCY, *([REPEAT] if REPEAT in names else [])]
    for column in read:
        if names.count(column) > 1:
            raise InputError(f"{path}, line 1: there are two columns '{column}'; keep one")
    return MappingProxyType({column: names.index(column) for column in read})


def _milliseconds(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        what = f"'{text}' is not a number" if text else "it is empty"
        raise _wrong(
            path, line, LATENCY, f"{what}; write milliseconds as in 12.5, or leave the row out"
        ) from None
    if not (math.isfinite(value) and value > 0):
        raise _wrong(
            path, line, LATENCY, f"{text} is no time above zero; correct it, or leave the row out"
        )
    return value


def _check_repeat(path: Path, line: int, by_column: Mapping[str, str]) -> None:
    text = by_column.get(REPEAT, "")
    if text and not (text.isascii() and text.isdigit()):
        raise _wrong(
            path, line, REPEAT, f"'{text}' is not a whole number; number repeats 1, 2, 3 or leave "
            "the column out",
        )  # fmt: skip


def _wrong(path: Path, line: int, column: str, what: str) -> InputError:
    return InputError(f"{path}, line {line}, column '{column}': {what}")
