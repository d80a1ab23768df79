"""`ponas data`: fetch, generate, check or describe a speech set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tools.groups import Commands
from tools.number_types import Whole

if TYPE_CHECKING:
    from tools.console import Stages


LABELS = click.option(
    "--labels",
    default="ten",
    show_default=True,
    help="What to tell apart: ten keywords, twelve (with _silence_ and _unknown_), all folders, or "
    "words with commas between.",
)


@click.group("data", cls=Commands, short_help="Fetch, generate, check or describe a speech set.")
def command() -> None:
    """Fetch, generate, check or describe a speech set.

    DATA is a folder or a tar archive in the Speech Commands layout (a folder of clips for each
    word), speech-commands-v1 or speech-commands-v2, or generated.
    """


EXAMPLES = """\b
Examples:
  ponas data prepare speech-commands-v2
  ponas data prepare my-words/ --labels all
  ponas data prepare generated --clips 1000
"""


@command.command(
    "prepare", epilog=EXAMPLES, short_help="Fetch, speak or unpack a set; compute its features."
)
@click.argument("data", default="generated")
@click.option(
    "--clips",
    type=Whole(200, 1_000_000),
    default=None,
    help="Size of a generated set. [default: 4000]",
)
@click.option(
    "--seed", type=Whole(min=0), default=None, help="Seed of a generated set. [default: 0]"
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    help="Where a generated set goes. [default: the user's cache]",
)
@click.option(
    "--mirror", metavar="URL", help="Address that a published set is fetched from instead."
)
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="Archive of a published set, where you have it; it is left as it is.",
)
@LABELS
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def prepare(
    data: str,
    clips: int | None,
    seed: int | None,
    output: Path | None,
    mirror: str | None,
    file: Path | None,
    labels: str,
    as_json: bool,
) -> None:
    """Make DATA ready: fetch, speak or unpack it, and compute its features.

    A published set that broke off is fetched from where it was.
    """
    from kws.errors import InputError
    from kws.labels import parse_labels
    from kws.published import PUBLISHED
    from tools.console import stages
    from tools.destinations import check_folder
    from tools.speech import GENERATED, load

    chosen = parse_labels(labels)
    of_generated = (clips, seed, output) != (None, None, None)
    if of_generated and data != GENERATED:
        raise InputError("--clips, --seed and --output are for the data set 'generated' only")
    if (mirror, file) != (None, None) and data not in PUBLISHED:
        raise InputError(f"--mirror and --file are for {' and '.join(PUBLISHED)} only")
    if output is not None:
        check_folder(output, "--output")
    if None not in (mirror, file):
        raise InputError("give --mirror or --file, not both")
    with stages() as progress:
        if data in PUBLISHED:
            _fetch(data, mirror, file, progress)
        if of_generated:
            data = _generate(clips, seed, output, progress)
        found = load(data, chosen, progress)
    _describe(data, found, as_json=as_json)


def _generate(clips: int | None, seed: int | None, output: Path | None, progress: Stages) -> str:
    """Speaks a set of another size, seed or place than `generated` stands for."""
    from kws.generated_speech import generate
    from tools.speech import GENERATED_CLIPS, GENERATED_SEED, generated_folder

    size, root = clips or GENERATED_CLIPS, seed or GENERATED_SEED
    folder = generate(
        output or generated_folder(size, root),
        clips=size,
        seed=root,
        on_progress=lambda done, total: progress.update("speaking clips", done, total),
    )
    return str(folder)


@command.command("info", short_help="Clips by label and split; what was left out and why.")
@click.argument("data", default="generated")
@LABELS
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def info(data: str, labels: str, as_json: bool) -> None:
    """Describe DATA: clips of each label and split, what was left out and why."""
    from kws.labels import parse_labels
    from tools.console import stages
    from tools.speech import load

    chosen = parse_labels(labels)
    with stages() as progress:
        found = load(data, chosen, progress)
    _describe(data, found, as_json=as_json)


def _fetch(data: str, mirror: str | None, file: Path | None, progress: Stages) -> None:
    """Fetches a published set where it is missing, saying every tenth where nothing is drawn."""
    from kws.published import PUBLISHED, fetch
    from tools.places import cache_dir

    told = 0

    def on_download(done: int, total: int) -> None:
        nonlocal told
        tenths = done * 10 // total
        if progress.live:
            progress.update(f"fetching {data}, MB", done // 1_000_000, total // 1_000_000)
        elif tenths > told:
            told = tenths
            progress.line(f"fetching {data}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    def on_unpack(done: int, _total: int) -> None:
        if done and done % 10_000 == 0:
            progress.line(f"unpacking {data}: {done} files")

    fetch(
        PUBLISHED[data],
        cache_dir(),
        mirror=mirror,
        file=file,
        on_download=on_download,
        on_unpack=on_unpack,
    )


def _describe(data: str, found: object, *, as_json: bool) -> None:
    import numpy as np

    from kws.features import FeatureSet
    from kws.splits import SPLITS
    from tools.console import print_json, print_table

    assert isinstance(found, FeatureSet)
    counts = {
        split: np.bincount(found.labels(split), minlength=len(found.words)) for split in SPLITS
    }
    if as_json:
        print_json(
            {
                "data": data,
                "digest": found.digest,
                "words": list(found.words),
                "clips": {s: dict(zip(found.words, map(int, c), strict=True))
                          for s, c in counts.items()},
                "left_out": [{"name": x.name, "reason": x.reason} for x in found.left_out],
                "adjusted": dict(found.adjusted),
                "origin": dict(found.origin),
            }
        )  # fmt: skip
        return
    rows = [
        (word, *(str(counts[split][index]) for split in SPLITS))
        for index, word in enumerate(found.words)
    ]
    rows.append(("all", *(str(counts[split].sum()) for split in SPLITS)))
    print_table(data, ("label", *SPLITS), rows)
    click.echo(f"left out: {len(found.left_out)} clips")
    for clip in found.left_out:
        click.echo(f"  {clip.name}: {clip.reason}")
    for what, count in found.adjusted.items():
        click.echo(f"{what}: {count} clips")
    for index, word in enumerate(found.words):
        train, validate, test = (int(counts[split][index]) for split in SPLITS)
        if not (validate and test):
            click.echo(
                f"few clips of '{word}': {train} to train, {validate} to validate and {test} to "
                "test on; its accuracy will say little"
            )
