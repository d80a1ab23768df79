"""What a person sees while something runs: on standard error, live on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

ERRORS = Console(stderr=True, highlight=False)
"""Progress and messages."""


class Stages:
    """Progress of one job after another: a bar each on a terminal, a line each elsewhere."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._ended: set[str] = set()

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Says that ``done`` of ``total`` of a stage are done."""
        if not total:
            return
        text = f"{stage} {note}".strip()
        if self._progress is None:
            if done >= total and stage not in self._ended:
                self._ended.add(stage)
                self.line(f"{stage}: {total}")
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(text, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total, description=text)

    def drop(self, stage: str) -> None:
        """Takes a stage off the screen; it may come again."""
        self._ended.discard(stage)
        if self._progress is not None and stage in self._tasks:
            self._progress.remove_task(self._tasks.pop(stage))

    @property
    def live(self) -> bool:
        """Whether bars are drawn, so that a line for every step would be too much."""
        return self._progress is not None

    def line(self, text: str) -> None:
        """A line that stays."""
        console = self._progress.console if self._progress is not None else ERRORS
        console.print(text, markup=False, soft_wrap=True)


@contextmanager
def stages() -> Iterator[Stages]:
    """Progress bars while the block runs, where standard error is a terminal."""
    if not ERRORS.is_terminal:
        yield Stages(None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=ERRORS) as progress:
        yield Stages(progress)


def say(text: str) -> None:
    """A line for a person, on standard error."""
    ERRORS.print(text, markup=False, soft_wrap=True)


def print_json(document: Any) -> None:  # noqa: ANN401
    """The one JSON document of a command, on standard output."""
    sys.stdout.write(f"{json.dumps(document, indent=1)}\n")


_LONGEST_UNBROKEN = 40
"""Characters of what is kept on a line of its table; longer texts, such as a GPU's schedules, would
leave no room for the other columns."""


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output; the first column is text, the others numbers."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        longest = max((len(row[index]) for row in rows), default=0)
        table.add_column(
            column,
            justify="right" if index else "left",
            no_wrap=index > 0 and longest <= _LONGEST_UNBROKEN,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)
