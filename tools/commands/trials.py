"""`ponas trials`: the trials of a study, on a terminal or for other programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from search.study import Study

STANDARD_OUTPUT = "-"

_WIDTH = 160
"""Characters of a line of the table where there is no terminal to tell."""
_LEAST_WIDTH = 90
"""On a terminal that is narrower than this, lines are broken rather than columns left out."""
_NUMBER_WIDTH = 10
"""Characters of the longest numbers: ``12,300,000``."""


@click.command("trials", short_help="The trials of a study: table, CSV, JSON, Optuna.")
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--csv",
    "csv",
    metavar="FILE",
    help="CSV to write, a row for each trial; -: to standard output.",
)
@click.option(
    "--optuna",
    metavar="FILE|URL",
    help="Write an Optuna study, for optuna-dashboard: into an SQLite file, a file named .journal "
    "(much quicker) or a database.",
)
@click.option("--replace", is_flag=True, help="Replace what --optuna wrote there earlier.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="All of the study as one JSON document on standard output.",
)
def command(study: Path, csv: str | None, optuna: str | None, replace: bool, as_json: bool) -> None:
    """Show the trials of STUDY, or hand them to other programs; also while it is searched."""
    from search.study import Study
    from tools.destinations import check_file

    if csv == STANDARD_OUTPUT and as_json:
        raise click.UsageError(
            "--csv - and --json both write to standard output; give --csv a file"
        )
    if replace and optuna is None:
        raise click.UsageError("--replace goes with --optuna")
    if csv not in (None, STANDARD_OUTPUT):
        check_file(Path(str(csv)), "--csv")
    if optuna is not None and "://" not in optuna and not Path(optuna).exists():
        check_file(Path(optuna), "--optuna")
    with Study.open(study) as found:
        if csv is not None:
            _write_csv(found, csv)
        if optuna is not None:
            _write_optuna(found, optuna, replace=replace)
        if as_json:
            _print_json(found)
        if csv is None and optuna is None and not as_json:
            _print_table(found)


def _write_csv(study: Study, destination: str) -> None:
    from search.export import print_csv, write_csv
    from tools.console import say

    if destination == STANDARD_OUTPUT:
        print_csv(study, sys.stdout)
        return
    write_csv(study, Path(destination))
    say(f"trials: {destination}")


def _write_optuna(study: Study, storage: str, *, replace: bool) -> None:
    from search.optuna_export import export_to_optuna
    from search.optuna_storage import address
    from tools.console import say, stages

    count = len(study.trials())
    with stages() as shown:
        name = export_to_optuna(
            study, storage, replace=replace,
            progress=lambda done: shown.update("trials", done, max(done, count)),
        )  # fmt: skip
    say(f"Optuna's study {name!r}: optuna-dashboard {address(storage)}")


def _print_json(study: Study) -> None:
    from search.export import document
    from tools.console import print_json
    from tools.job import MEASURED

    print_json(document(study, annotations=(MEASURED,)))


def _print_table(study: Study) -> None:
    """Objectives' names and error texts give way on a narrow terminal, numbers do not."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    title = f"Trials of {study.path.name}"
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("trial", "phase"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("state", no_wrap=True)
    shown.add_column("front", justify="center", no_wrap=True)
    for each in study.objectives:
        label = f"{each.name} ({each.unit})" if each.unit else each.name
        shown.add_column(label, justify="right", min_width=_NUMBER_WIDTH)
    shown.add_column("seconds", justify="right", no_wrap=True)
    shown.add_column("host", no_wrap=True)
    shown.add_column("error", min_width=_NUMBER_WIDTH)
    for row in _rows(study):
        shown.add_row(*row)
    console = Console(highlight=False)
    console.width = max(console.width, _LEAST_WIDTH) if console.is_terminal else _WIDTH
    console.print(shown)


def _rows(study: Study) -> Iterator[tuple[str, ...]]:
    from rich.markup import escape

    from search.study import front
    from tools.page_text import MISSING, number

    trials, objectives = study.trials(), study.objectives
    members = {trial.number for trial in front(trials, objectives)}
    for trial in trials:
        values = [trial.values.get(each.name) for each in objectives]
        yield (
            str(trial.number),
            str(trial.phase),
            trial.state,
            "*" if trial.number in members else "",
            *(number(value) for value in values),
            MISSING if trial.seconds is None else f"{trial.seconds:,.1f}",
            escape(trial.host),
            escape(trial.error or ""),
        )
