"""`ponas data`: generate, check or describe a speech set."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("data", short_help="Generate, check or describe a speech set.")
def command() -> None:
    """Generate, check or describe a speech set."""


@command.command("prepare")
@click.argument("data", default="generated")
@click.option(
    "--clips",
    type=click.IntRange(200, 1_000_000),
    default=None,
    help="Size of a generated set. [default: 4000]",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=None, help="Seed of a generated set. [default: 0]"
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    help="Where a generated set goes. [default: the user's cache]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def prepare(
    data: str,
    clips: int | None,
    seed: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Make DATA ready: speak a generated set or unpack an archive, and compute its features."""
    from kws.errors import InputError
    from kws.words import KEYWORDS
    from tools.console import stages
    from tools.speech import GENERATED, GENERATED_CLIPS, GENERATED_SEED, generated_folder, load

    with stages() as progress:
        if data == GENERATED and (clips, seed, output) != (None, None, None):
            from kws.generated_speech import generate

            size, root = clips or GENERATED_CLIPS, seed or GENERATED_SEED
            data = str(
                generate(
                    output or generated_folder(size, root),
                    clips=size,
                    seed=root,
                    on_progress=lambda done, all_: progress.update("speaking clips", done, all_),
                )
            )
        elif (clips, seed, output) != (None, None, None):
            raise InputError("--clips, --seed and --output are for the data set 'generated' only")
        found = load(data, KEYWORDS, progress)
    _describe(data, found, as_json=as_json)


@command.command("info")
@click.argument("data", default="generated")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def info(data: str, as_json: bool) -> None:
    """Describe DATA: clips of each word and split, what was left out and why."""
    from kws.words import KEYWORDS
    from tools.console import stages
    from tools.speech import load

    with stages() as progress:
        found = load(data, KEYWORDS, progress)
    _describe(data, found, as_json=as_json)


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
    print_table(data, ("word", *SPLITS), rows)
    click.echo(f"left out: {len(found.left_out)} clips")
    for clip in found.left_out:
        click.echo(f"  {clip.name}: {clip.reason}")
    for what, count in found.adjusted.items():
        click.echo(f"{what}: {count} clips")
