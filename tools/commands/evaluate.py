"""`ponas evaluate`: how good a trained network is on clips it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from tools.number_types import Number

if TYPE_CHECKING:
    from kws.metrics import Metrics

SPLITS = ("validation", "testing")


@click.command("evaluate", short_help="Accuracy and mistakes of a trained network.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data",
    default="generated",
    show_default=True,
    help="Folder or archive in the Speech Commands layout, a published set "
    "(speech-commands-v2), or 'generated'.",
)
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="validation",
    show_default=True,
    help="Which clips; testing is for the end, once.",
)
@click.option(
    "--threshold",
    type=Number(0, 1),
    default=0.5,
    show_default=True,
    help="Confidence from which an answer is accepted as a keyword.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    model: Path,
    data: str,
    split: Literal["validation", "testing"],
    threshold: float,
    as_json: bool,
) -> None:
    """Evaluate MODEL, the .pt or .onnx file of a trained network, on labelled clips.

    It may also be the folder of a library for this machine, by ponas export --format tvm.

    Told are: how often the right word is the best guess, or one of the five best; which words are
    taken for which; and of each keyword, at the threshold, how many of its clips are rejected and
    how many other clips are accepted. Each share comes with its 95 % interval (Wilson) and the
    number of clips it is of.

    Choose models and thresholds by the validation split, and look at the testing split once, for
    the one chosen: figures that were used to choose are better than the truth.
    """
    from kws.metrics import metrics
    from tools.console import print_json, say, stages
    from tools.engines import labelled_clips, open_engine

    engine = open_engine(model)
    with stages() as progress:
        clips = labelled_clips(engine, data, split, progress)
    told = metrics(engine.logits(clips.features), clips.labels, engine.words, threshold=threshold)
    if as_json:
        print_json({"model": str(model), "data": data, "split": split, **_document(told)})
        return
    _print(told, f"{model} on the {split} split of {data}")
    if told.false_alarms is None:
        say(
            "the labels are keywords alone, so these clips do not tell what the network makes of "
            "other words and of silence"
        )
    else:
        say("'any': clips of silence and of unknown words that were accepted as a keyword")


def _print(told: Metrics, title: str) -> None:
    from tools.confusion_text import confusion_lines
    from tools.console import print_table

    click.echo(f"{title}\n")
    click.echo(f"right at the first guess   {told.top[1]}")
    click.echo(f"right among the first five {told.top[5]}\n")
    for line in confusion_lines(told.words, told.confusion):
        click.echo(line)
    click.echo()
    alarms = () if told.false_alarms is None else (("any", "", f"{told.false_alarms}"),)
    print_table(
        f"Keywords at a confidence of {told.threshold:g}",
        ("keyword", "false rejects", "false accepts"),
        [
            *((each.word, f"{each.false_rejects}", f"{each.false_accepts}")
              for each in told.keywords),
            *alarms,
        ],
    )  # fmt: skip


def _document(told: Metrics) -> dict[str, object]:
    return {
        "words": list(told.words),
        "threshold": told.threshold,
        "interval": "Wilson, 95 %",
        **{f"top{k}": share.json() for k, share in told.top.items()},
        "confusion": told.confusion.tolist(),
        "keywords": {
            each.word: {
                "false_rejects": each.false_rejects.json(),
                "false_accepts": each.false_accepts.json(),
            }
            for each in told.keywords
        },
        "false_alarms": None if told.false_alarms is None else told.false_alarms.json(),
    }
