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
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(study: Path, output: Path | None, as_json: bool) -> None:
    """Write one self-contained page for STUDY; also while its search is still running."""
    from search.study import Study
    from tools.console import print_json, say
    from tools.job import request_of
    from tools.places import open_estimator, profile_store
    from tools.report import write_study_page

    page = output or study.with_name(f"{study.name}.html")
    with Study.open(study) as found:
        estimator = open_estimator(profile_store().get(request_of(found).profile))
        write_study_page(found, estimator, page)
    if as_json:
        print_json({"study": str(study), "report": str(page)})
    say(f"page: {page.resolve()}")
