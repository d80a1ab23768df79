"""`ponas compare`: the two objectives side by side, measured on the device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tools.commands.search import calibrate_if_needed, run_told
from tools.number_types import Whole
from tools.search_options import (
    asked_for,
    execution_of,
    execution_options,
    given,
    search_options,
)

if TYPE_CHECKING:
    from search.study import Study
    from tools.execution import Execution
    from tools.job import Request

OBJECTIVES = ("flops", "latency")


@click.command("compare", short_help="The two objectives side by side, measured on the device.")
@click.argument("studies", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--seeds",
    type=Whole(min=1),
    default=1,
    show_default=True,
    help="Searches of each objective, from seeds that follow --seed.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("ponas-compare"),
    show_default=True,
    help="Folder of the studies and the page.",
)
@click.option(
    "--figures",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write each figure of the page as SVG and PNG as well.",
)
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Go on with studies of other code or of a profile that was calibrated anew.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@execution_options
@search_options
@click.pass_context
def command(
    context: click.Context,
    /,
    studies: tuple[Path, ...],
    seeds: int,
    output: Path,
    figures: Path | None,
    accept_changes: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Compare the search for operations with the search for latency.

    With two STUDIES, of the one and the other objective, their fronts are measured and compared.
    Without, both are searched first, from the same seed, budget, space, data and start; run the
    same command again to go on after an interruption, or with more --seeds to add to them.
    """
    from tools.destinations import check_folder

    if studies:
        _refuse_options(context)
    if len(studies) not in (0, 2):
        raise click.UsageError(f"give two studies or none, got {len(studies)}")
    check_folder(output, "--output")
    execution = execution_of(options)
    if figures is not None:
        from tools.figure_files import check_figures

        check_figures(figures)
    if studies:
        paths = {_objective_of(path): [path] for path in studies}
        if set(paths) != set(OBJECTIVES):
            raise click.UsageError(
                f"the two studies must be one of each objective; both are of '{next(iter(paths))}'"
            )
    else:
        request = asked_for("latency", options)
        paths = _search_all(request, seeds, output, execution, accept_changes=accept_changes)
    _compare({name: paths[name] for name in OBJECTIVES}, output, figures, as_json=as_json)


_OF_TWO_STUDIES = {"studies", "output", "figures", "as_json"}
"""All that can be said where nothing is searched."""


def _refuse_options(context: click.Context) -> None:
    """Raises UsageError for an option that says something of a search which there is not."""
    for name in context.params:
        if name not in _OF_TWO_STUDIES and given(context, name):
            raise click.UsageError(
                f"--{name.replace('_', '-')} is for searches, and two studies are compared as they "
                "are; leave it out"
            )


def _objective_of(path: Path) -> str:
    from search.study import Study
    from tools.job import request_of

    with Study.open(path) as study:
        return request_of(study).objective


def _search_all(
    request: Request, seeds: int, output: Path, execution: Execution, *, accept_changes: bool
) -> dict[str, list[Path]]:
    """One study for each objective and seed, begun or gone on with, its front fine-tuned."""
    from dataclasses import replace

    from tools.asked import check_asked
    from tools.console import say, stages

    check_asked(request, execution)
    with stages() as progress:
        calibrate_if_needed(request.profile, progress)
    paths: dict[str, list[Path]] = {name: [] for name in OBJECTIVES}
    for seed in range(request.seed, request.seed + seeds):
        for objective in OBJECTIVES:
            path = output / f"{objective}-{seed}.study"
            say(f"searching for {objective}, seed {seed}: {path}")
            asked = replace(request, objective=objective, seed=seed)
            _search(path, asked, execution, accept_changes=accept_changes)
            paths[objective].append(path)
    return paths


def _search(path: Path, asked: Request, execution: Execution, *, accept_changes: bool) -> None:
    """Begins the study at ``path``, or goes on with it, to its end."""
    from tools import job as jobs
    from tools.console import stages

    with stages() as progress:
        if path.exists():
            job, recorder = jobs.resume(path, progress, accept_changes=accept_changes)
        else:
            job = jobs.open_job(asked, progress)
            recorder = jobs.create(job, path)
    with recorder:
        _check_asked(path, jobs.request_of(recorder), asked)
        run_told(job, recorder, execution)


def _check_asked(path: Path, kept: Request, asked: Request) -> None:
    from search.errors import InputError

    changed = [name for name, value in vars(asked).items() if getattr(kept, name) != value]
    if changed:
        raise InputError(
            f"study {path} was begun with another {', '.join(changed)}; "
            "give another --output, or the same options as then"
        )


def _compare(
    paths: dict[str, list[Path]], output: Path, figures: Path | None, *, as_json: bool
) -> None:
    from search.study import Study
    from tools.comparison import at_one_stage
    from tools.comparison_document import comparison_document
    from tools.console import print_json, say
    from tools.job import request_of
    from tools.measured_fronts import measure_all, measured_points
    from tools.report import write_page
    from tools.report_comparison import comparison_page

    say("timing every member of the fronts on the device")
    profile = measure_all([path for group in paths.values() for path in group])
    runs, left_out = at_one_stage(measured_points(paths, profile))
    with Study.open(paths["latency"][0]) as study:
        clips = study.metadata["data"]["clips"]
        notes = [*_notes(study), *_left_out(left_out)]
    seeds = []
    for path in paths["latency"]:
        with Study.open(path) as study:
            seeds.append(request_of(study).seed)
    document = comparison_document(
        runs, profile=profile.name, seeds=seeds, clips=clips, left_out=left_out
    )
    page = output / "compare.html"
    data = comparison_page(runs, document, profile, notes)
    write_page(data, page)
    if figures is not None:
        from tools.figure_files import write_figures

        say(f"figures: {len(write_figures(data, figures))} files in {figures.resolve()}")
    if as_json:
        print_json(document)
    else:
        _print(document)
    for judged in (document, *([document["test"]] if document["test"] else [])):
        say(f"{judged['clips']}: {judged['verdict']}")
    say(f"page: {page.resolve()}")


def _notes(study: Study) -> list[str]:
    """The data and the budget, which are the same for all studies."""
    from tools.job import request_of

    data, request = study.metadata["data"], request_of(study)
    clips = data["clips"]
    finetuned = (
        f"; every member of a front was then trained from the start with "
        f"{request.finetune_iterations:,} iterations of {request.finetune_batch} clips"
        if request.finetune_iterations
        else ""
    )
    return [
        f"Data: {data['origin']}, {len(data['words'])} words; {clips['training']:,} clips to "
        f"train, {clips['validation']:,} to validate, {clips['testing']:,} to test.",
        f"Each search: {request.candidates:,} candidates, {request.iterations:,} iterations of "
        f"{request.batch} clips{finetuned}.",
    ]


def _left_out(count: int) -> list[str]:
    if not count:
        return []
    return [f"Left out, since they were not fine-tuned as the others: {count} members of fronts."]


def _print(document: dict[str, Any]) -> None:
    from tools.console import print_table

    for objective, members in document["fronts"].items():
        print_table(
            f"Front of the search for {objective}, in measured time",
            ("architecture", "error", "test", "measured ms", "predicted ms", "MFLOP"),
            [
                (p["architecture"], f"{p['error']:.1%}",
                 "-" if p["test_error"] is None else f"{p['test_error']:.1%}",
                 f"{p['measured_ms']:.3f}", f"{p['predicted_ms']:.3f}", f"{p['flops'] / 1e6:.1f}")
                for p in members
            ],
        )  # fmt: skip
    print_table(
        "Latency at equal accuracy, median over seeds",
        ("error at most", "operations ms", "latency ms", "times as fast", "seeds"),
        [
            (f"{row['error']:.1%}", f"{row['flops']:.3f}", f"{row['latency']:.3f}",
             _extent(row["ratio"], 2), str(row["ratio"]["n"]))
            for row in document["latency_at_equal_accuracy"]
        ],
    )  # fmt: skip
    for name, volume in document.get("hypervolume_runs", {}).items():
        click.echo(f"hypervolume, error x measured ms, {name}: {_extent(volume, 4)}")
    _print_rank(document["rank"])


def _extent(spread: dict[str, Any], places: int) -> str:
    median = f"{spread['median']:.{places}f}"
    if spread["n"] == 1:
        return median
    return f"{median} ({spread['low']:.{places}f} to {spread['high']:.{places}f})"


def _print_rank(rank: dict[str, Any]) -> None:
    for what in ("operations", "predicted"):
        if rank.get("all", {}).get(what, {}).get("spearman") is not None:
            figures = rank["all"][what]
            click.echo(
                f"{what} against measured time, {rank['all']['n']} networks: Spearman "
                f"{figures['spearman']:.3f}, Kendall {figures['kendall']:.3f}"
            )
        if what in rank.get("narrow", {}):
            click.echo(
                f"  among {rank['narrow']['pairs']} pairs within {rank['narrow']['band']:.0%} in "
                f"operations: {rank['narrow'][what]['ordered_rightly']:.0%} ordered rightly"
            )
