"""`ponas export`: a trained network in a form that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tools.trained_models import TrainedModel

ONE, ANY = "1", "any"
HOST = "host-cpu"
"""Profile of this machine."""


EXAMPLES = """\b
Examples:
  ponas export kws.study --format onnx
  ponas export kws.study 12 --format tvm --profile odroid-xu3-a15
"""


@click.command(
    "export", epilog=EXAMPLES, short_help="A trained network as ONNX, a TVM library, or for torch."
)
@click.argument("what", type=click.Path(path_type=Path))
@click.argument("which", metavar="[MODEL]", required=False)
@click.option(
    "--format", "form", type=click.Choice(["onnx", "tvm", "torch"]), required=True,
    help="onnx: one file for ONNX Runtime and others. tvm: a folder with the library for a device, "
    "of the kernels that were predicted. torch: state_dict, architecture and words.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path),
    help="File, or the folder of tvm. [default: named after the model, here]",
)  # fmt: skip
@click.option(
    "--batch", type=click.Choice([ONE, ANY]), default=None,
    help="Clips that an ONNX file takes at once; compilers for devices, and ponas estimate, "
    "want 1. [default: 1]",
)  # fmt: skip
@click.option(
    "--profile", metavar="NAME", help="Device of the tvm library by name. [default: host-cpu]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    what: Path,
    which: str | None,
    form: str,
    output: Path | None,
    batch: str | None,
    profile: str | None,
    as_json: bool,
) -> None:
    """Write a trained network for other programs; it is checked before it is said to be there.

    WHAT is a study, or a model's file that ponas wrote (.pt). MODEL says which of a study's
    fine-tuned models is meant: the number of its trial, or its architecture; without it, the one
    of the lowest validation error.

    The words, the settings of the features and their normalisation travel inside.
    """
    from tools.console import print_json, say
    from tools.destinations import check_file, check_folder
    from tools.trained_models import find_model

    _check_options(form, batch, profile)
    found = find_model(what, which)
    if found.trial is not None and which is None:
        say(
            f"trial {found.trial} has the lowest validation error, {found.error:.1%}; "
            "name another after the study"
        )
    path = output or _default_output(what, found, form, profile)
    if form == "tvm":
        check_folder(path, "--output")
    else:
        check_file(path, "--output", reads=what)
    if form == "onnx":
        facts = _to_onnx(found, path, batch=None if batch == ANY else 1)
    elif form == "torch":
        facts = _to_torch(found, path)
    else:
        facts = _to_tvm(found, path, profile or HOST)
    if as_json:
        document = {
            "format": form, "path": str(path), **facts,
            "architecture": str(found.model.architecture), "words": list(found.model.words),
            "trial": found.trial,
        }  # fmt: skip
        print_json(document)
        return
    _print(path, found, facts)


def _check_options(form: str, batch: str | None, profile: str | None) -> None:
    for option, given, belongs in (("--batch", batch, "onnx"), ("--profile", profile, "tvm")):
        if given is not None and form != belongs:
            raise click.UsageError(f"{option} goes with --format {belongs}")


def _default_output(what: Path, found: TrainedModel, form: str, profile: str | None) -> Path:
    """In the working directory, told apart from the exports of other studies and devices."""
    name = found.name if found.trial is None else f"{what.stem}-{found.name}"
    if form == "tvm":
        return Path(f"{name}-{profile or 'host-cpu'}")
    return Path(f"{name}.{'onnx' if form == 'onnx' else 'pt'}")


def _to_onnx(found: TrainedModel, path: Path, *, batch: int | None) -> dict[str, Any]:
    from kws.onnx_export import export_onnx

    agreed = export_onnx(path, found.model, batch=batch)
    return {"bytes": path.stat().st_size, "batch": batch, "checked": agreed.json()}


def _to_torch(found: TrainedModel, path: Path) -> dict[str, Any]:
    from kws.agreement import check_agreement
    from kws.model_file import load_model, write_model

    write_model(path, found.model)
    agreed = check_agreement(found.model, "the file, read again", load_model(path).logits)
    return {"bytes": path.stat().st_size, "checked": agreed.json()}


def _to_tvm(found: TrainedModel, path: Path, profile: str) -> dict[str, Any]:
    """The library is checked where it is for this machine."""
    from kws.agreement import check_agreement
    from tools.tvm_engine import load_engine
    from tools.tvm_export import export_tvm

    made = export_tvm(found.model, profile, path)
    agreed = None
    if profile == HOST:
        engine, normalise = load_engine(path), found.model.normalisation.apply
        agreed = check_agreement(
            found.model, "the library against torch", lambda features: engine(normalise(features))
        )
    return {
        **made.json(), "bytes": made.library_bytes, "checked": agreed.json() if agreed else None
    }  # fmt: skip


def _print(path: Path, found: TrainedModel, facts: dict[str, Any]) -> None:
    from kws.agreement import Agreement

    click.echo(f"{path}: {found.model.architecture}, {len(found.model.words)} words")
    for name in facts.get("files", ()):
        click.echo(f"  {name}")
    click.echo(f"{facts['bytes'] / 1000:.1f} kB")
    if facts["checked"]:
        click.echo(f"checked: {Agreement(**facts['checked'])}")
    else:
        click.echo(f"not checked: it is for {facts['profile']}, and this is another machine")
