"""`ponas quantize`: trained networks in whole numbers of 8 bits, compared with what they were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tools.number_types import Whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kws.features import FeatureSet
    from tools.console import Stages
    from tools.int8_table import Pair
    from tools.trained_models import TrainedModel


@click.command("quantize", short_help="Trained networks in 8 bits: errors, sizes, times.")
@click.argument("what", type=click.Path(path_type=Path))
@click.option(
    "--data", help="Speech set that scales are found on, and errors counted. [default: the study's]"
)
@click.option(
    "--output", type=click.Path(path_type=Path),
    help="Folder for the files. [default: WHAT.int8, beside it]",
)  # fmt: skip
@click.option(
    "--clips", type=Whole(min=1), default=500, show_default=True,
    help="Training clips that scales are found on.",
)  # fmt: skip
@click.option(
    "--calibration", type=click.Choice(["minmax", "entropy", "percentile"]), default="percentile",
    show_default=True,
    help="How scales are found. minmax: no number is clipped; entropy: the least information is "
    "lost; percentile: the rarest numbers are clipped.",
)  # fmt: skip
@click.option("--seed", type=Whole(min=0), default=0, show_default=True, help="Draws the clips.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    what: Path,
    data: str | None,
    output: Path | None,
    clips: int,
    calibration: str,
    seed: int,
    as_json: bool,
) -> None:
    """Write the networks of WHAT in 8 bits, as ONNX files, beside their float32 form.

    WHAT is a study, whose fine-tuned front is taken, or a model's file that ponas wrote (.pt).
    Nothing is trained: weights are rounded, and the scales of what lies between layers are found
    by running the network on training clips. Errors are counted on the test split.
    """
    from typing import cast

    from kws.quantisation import Calibration, QuantisationSettings
    from tools.console import print_json, stages
    from tools.destinations import check_folder
    from tools.int8_table import quantise_all
    from tools.trained_models import find_models

    settings = QuantisationSettings(
        calibration=cast("Calibration", calibration), clips=clips, seed=seed
    )
    models = find_models(what)
    folder = output or what.with_name(f"{what.name}.int8")
    check_folder(folder, "--output")
    with stages() as progress:
        pairs = quantise_all(
            models,
            _speech_set(models, data, progress),
            folder,
            settings,
            lambda done, total: progress.update("quantising", done, total),
        )
    if as_json:
        print_json({
            "what": str(what), "data": data or models[0].data, "calibration": calibration,
            "clips": clips, "seed": seed, "timed": _timed(), "models": [p.json() for p in pairs],
        })  # fmt: skip
        return
    _print(pairs)


def _speech_set(models: Sequence[TrainedModel], data: str | None, progress: Stages) -> FeatureSet:
    """The one that is named, else the study's; all models of a study are of one."""
    from kws.errors import InputError
    from tools.speech import known_by

    named = data or models[0].data
    if named is None:
        raise InputError(
            "a model's file does not say what it was trained on; "
            "name the speech set with --data, such as --data generated"
        )
    model = models[0].model
    return known_by(model.words, model.settings, named, progress)


def _timed() -> str:
    """On what the times were taken: not on the device that the study searched for."""
    import onnxruntime

    from costmodel.host import processor_name

    return (
        f"ONNX Runtime {onnxruntime.__version__} on this machine ({processor_name()}), one thread, "
        "one clip at a time, without features; processor time, medians of interleaved rounds"
    )


def _print(pairs: Sequence[Pair]) -> None:
    from tools.console import print_table

    print_table(
        "float32 / int8",
        ("architecture", "test error float32", "int8", "other answers", "kB float32", "int8",
         "ms float32", "int8", "int8 / float32"),
        [
            (
                pair.architecture,
                str(pair.float32.error),
                str(pair.int8.error),
                f"{pair.changed.count}",
                f"{pair.float32.bytes / 1000:.1f}",
                f"{pair.int8.bytes / 1000:.1f}",
                f"{pair.float32.latency_ms:.3f}",
                f"{pair.int8.latency_ms:.3f}",
                f"{pair.int8.latency_ms / pair.float32.latency_ms:.2f}",
            )
            for pair in pairs
        ],
    )  # fmt: skip
    click.echo("errors: of the test clips, with the 95 % interval (Wilson)")
    click.echo(f"times: {_timed()}; not on the device that was searched for")
    for pair in pairs:
        click.echo(f"{pair.int8.path}")
