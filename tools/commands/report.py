"""`ponas report`: one page for a study."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report", short_help="One HTML page: fronts, trials, kernels, calibration.")
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page's file. [default: STUDY.html]",
)
@click.option(
    "--figures",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write each figure of the page as SVG and PNG as well.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(study: Path, output: Path | None, figures: Path | None, as_json: bool) -> None:
    """Write one self-contained page for STUDY; also while its search is still running."""
    from search.study import Study
    from tools.console import print_json, say
    from tools.destinations import check_file
    from tools.job import request_of
    from tools.places import open_estimator, profile_store
    from tools.report import study_page, write_page

    if figures is not None:
        from tools.figure_files import check_figures

        check_figures(figures)
    page = output or study.with_name(f"{study.name}.html")
    check_file(page, "--output")
    with Study.open(study) as found:
        estimator = open_estimator(profile_store().get(request_of(found).profile))
        data = study_page(found, estimator)
    write_page(data, page)
    drawn = []
    if figures is not None:
        from tools.figure_files import write_figures

        drawn = write_figures(data, figures)
        say(f"figures: {len(drawn)} files in {figures.resolve()}")
    if as_json:
        print_json({"study": str(study), "report": str(page), "figures": [str(p) for p in drawn]})
    say(f"page: {page.resolve()}")
