"""`ponas compare`: the two objectives side by side, measured on the device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tools.commands.search import search_options

if TYPE_CHECKING:
    from costmodel.profile import Profile
    from tools.comparison import Point
    from tools.job import Request

OBJECTIVES = ("flops", "latency")


@click.command("compare", short_help="The two objectives side by side, measured on the device.")
@click.argument("studies", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
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
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@search_options
def command(
    studies: tuple[Path, ...],
    seeds: int,
    output: Path,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Compare the search for operations with the search for latency.

    With two STUDIES, of the one and the other objective, their fronts are measured and compared.
    Without, both are searched first, from the same seed, budget, space, data and start; run the
    same command again to go on after an interruption.
    """
    from tools.job import Request

    if len(studies) not in (0, 2):
        raise click.UsageError(f"give two studies or none, got {len(studies)}")
    if studies:
        paths = {_objective_of(path): [path] for path in studies}
        if set(paths) != set(OBJECTIVES):
            raise click.UsageError(
                f"the two studies must be one of each objective; both are of '{next(iter(paths))}'"
            )
    else:
        request = Request(objective="latency", max_latency_ms=None, **options)
        paths = _search_all(request, seeds, output)
    _compare(paths, output, as_json=as_json)


def _objective_of(path: Path) -> str:
    from search.study import Study
    from tools.job import request_of

    with Study.open(path) as study:
        return request_of(study).objective


def _search_all(request: Request, seeds: int, output: Path) -> dict[str, list[Path]]:
    """One study for each objective and seed, begun or gone on with."""
    from dataclasses import replace

    from tools import job as jobs
    from tools.commands.search import calibrate_if_needed
    from tools.console import say, stages
    from tools.narrate import Narrator

    with stages() as progress:
        calibrate_if_needed(request.profile, progress)
    paths: dict[str, list[Path]] = {name: [] for name in OBJECTIVES}
    for seed in range(request.seed, request.seed + seeds):
        for objective in OBJECTIVES:
            path = output / f"{objective}-{seed}.study"
            asked = replace(request, objective=objective, seed=seed)
            say(f"searching for {objective}, seed {seed}: {path}")
            with stages() as progress:
                if path.exists():
                    job, recorder = jobs.resume(path, progress)
                    _check_asked(path, jobs.request_of(recorder), asked)
                else:
                    job = jobs.open_job(asked, progress)
                    recorder = jobs.create(job, path)
                with recorder:
                    done = sum(t.state in ("finished", "failed") for t in recorder.trials())
                    narrator = Narrator(progress, candidates=asked.candidates, done=done)
                    jobs.run_job(
                        job, recorder, on_event=narrator, on_iteration=narrator.on_iteration
                    )
            paths[objective].append(path)
    return paths


def _check_asked(path: Path, kept: Request, asked: Request) -> None:
    from search.errors import InputError

    changed = [name for name, value in vars(asked).items() if getattr(kept, name) != value]
    if changed:
        raise InputError(
            f"study {path} was begun with another {', '.join(changed)}; "
            "give another --output, or the same options as then"
        )


def _compare(paths: dict[str, list[Path]], output: Path, *, as_json: bool) -> None:
    from tools.comparison import compare, measured_front, verdict
    from tools.console import print_json, print_table, say
    from tools.report import write_comparison_page

    profile, seeds = _measure_all(paths)
    points = {
        objective: [p for path in paths[objective] for p in _points(path)] for objective in paths
    }
    fronts = {objective: measured_front(points[objective]) for objective in points}
    result = compare(fronts)
    result["rank"] = compare(points)["rank"]
    document = {
        "profile": profile.name,
        "seeds": seeds,
        "fronts": {o: [vars(p) for p in fronts[o]] for o in fronts},
        "members": {o: [vars(p) for p in points[o]] for o in points},
        **result,
        "verdict": verdict(result),
    }
    page = output / "compare.html"
    write_comparison_page(paths, fronts, result, profile, page)
    if as_json:
        print_json(document)
    else:
        for objective, members in fronts.items():
            print_table(
                f"Front of the search for {objective}, in measured time",
                ("architecture", "error", "measured ms", "predicted ms", "MFLOP"),
                [
                    (p.architecture, f"{p.error:.1%}", f"{p.measured_ms:.3f}",
                     f"{p.predicted_ms:.3f}", f"{p.flops / 1e6:.1f}")
                    for p in members
                ],
            )  # fmt: skip
        for objective, volume in result["hypervolume"].items():
            click.echo(f"hypervolume, error x measured ms, {objective}: {volume:.4f}")
        _print_rank(result["rank"])
    say(verdict(result))
    say(f"page: {page.resolve()}")


def _print_rank(rank: dict[str, Any]) -> None:
    for what in ("operations", "predicted"):
        if rank["all"].get(what, {}).get("spearman") is not None:
            figures = rank["all"][what]
            click.echo(
                f"{what} against measured time, {rank['all']['n']} networks: Spearman "
                f"{figures['spearman']:.3f}, Kendall {figures['kendall']:.3f}"
            )
        if what in rank["narrow"]:
            click.echo(
                f"  among {rank['narrow']['pairs']} pairs within {rank['narrow']['band']:.0%} in "
                f"operations: {rank['narrow'][what]['ordered_rightly']:.0%} ordered rightly"
            )


def _measure_all(paths: dict[str, list[Path]]) -> tuple[Profile, int]:
    """Times every member of every front in one run and keeps the times in the studies."""
    from contextlib import ExitStack

    from kws.architecture import SEED, to_network
    from search.errors import InputError
    from search.recorder import StudyRecorder
    from tools.console import say
    from tools.front import measure_on_device
    from tools.job import MEASURED, request_of
    from tools.places import open_estimator, profile_store
    from tools.task import architecture_of

    with ExitStack() as stack:
        recorders = [
            stack.enter_context(StudyRecorder.open(path)) for group in paths.values()
            for path in group
        ]  # fmt: skip
        names = {request_of(recorder).profile for recorder in recorders}
        if len(names) > 1:
            raise InputError(
                f"the studies are for different devices ({', '.join(sorted(names))}); "
                "compare studies of one profile"
            )
        profile = profile_store().get(names.pop())
        fronts = [
            [architecture_of(trial.parameters) for trial in recorder.front()]
            for recorder in recorders
        ]
        say("timing every member of the fronts on the device")
        every = {str(a): a for members in fronts for a in members}
        times = measure_on_device(
            {str(a): to_network(a) for a in (SEED, *every.values())},
            open_estimator(profile),
            profile,
        )
        for recorder, members in zip(recorders, fronts, strict=True):
            kept = {str(a): times[str(a)] for a in (SEED, *members)}
            recorder.annotate(MEASURED, kept)
    return profile, max(len(group) for group in paths.values())


def _points(path: Path) -> list[Point]:
    from search.study import Study
    from tools.comparison import Point
    from tools.front import members
    from tools.job import request_of
    from tools.places import open_estimator, profile_store

    with Study.open(path) as study:
        estimator = open_estimator(profile_store().get(request_of(study).profile))
        return [
            Point(
                architecture=member.architecture,
                error=member.error,
                search_error=member.search_error,
                tuned=member.test_error is not None,
                predicted_ms=member.latency_ms,
                measured_ms=member.measured_ms,
                flops=member.flops_table2,
            )
            for member in members(study, estimator)
            if member.error is not None and member.measured_ms is not None
        ]
