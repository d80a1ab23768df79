"""The state of a training run in a file, and its reading without running anything in it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from kws.errors import InputError
from kws.evaluation import Accuracy
from kws.storage import new_file

VERSION = 3


@dataclass(frozen=True)
class CurvePoint:
    """Mean training loss since the point before, and the validation accuracy where taken."""

    iteration: int
    loss: float
    validation: Accuracy | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A run between two iterations."""

    fingerprint: Mapping[str, str]
    """What the run is of: nothing else may go on from here."""

    iteration: int
    seconds: float
    module: Mapping[str, Any]
    optimiser: dict[str, Any]
    kept: Mapping[str, Any]
    """Of `kws.kept_weights.KeptWeights`."""
    loss_sum: torch.Tensor
    curve: tuple[CurvePoint, ...]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint, whole or not at all, over an older one."""
    save_torch(
        path,
        {
            **vars(checkpoint),
            "version": VERSION,
            "fingerprint": dict(checkpoint.fingerprint),
            "curve": [asdict(point) for point in checkpoint.curve],
        },
    )


def load_checkpoint(path: Path, fingerprint: Mapping[str, str]) -> Checkpoint:
    """The checkpoint in ``path``.

    Raises:
        InputError: for a damaged file, or one whose fingerprint is another.

    """
    mend = "delete it to begin this run again, or name another file"
    document = load_torch(path, mend)
    try:
        if document.pop("version") != VERSION:
            raise InputError(f"{path} is a checkpoint of another version of ponas; {mend}")
        found = document["fingerprint"]
        for key, value in fingerprint.items():
            if found[key] != value:
                raise InputError(
                    f"{path} is the checkpoint of another run: its {key} is '{found[key]}', "
                    f"not '{value}'; {mend}"
                )
        curve = tuple(_point(point) for point in document.pop("curve"))
        return Checkpoint(**document, curve=curve)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no checkpoint ({error!r}); {mend}") from None


def save_torch(path: Path, document: Mapping[str, Any]) -> None:
    """Writes tensors and plain values, whole or not at all."""
    with new_file(path) as file:
        torch.save(dict(document), file)


def load_torch(path: Path, mend: str) -> dict[str, Any]:
    """What `save_torch` wrote, on the CPU; nothing but tensors and plain values is read.

    Raises:
        InputError: for a file that is not there, is damaged or holds anything else.

    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, and a file is needed; {mend}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch thinks of a strange file is said below
            document = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; {mend}") from None
    except PermissionError:
        raise InputError(f"{path} may not be read; change its permissions, or {mend}") from None
    except Exception:  # the unpickler raises whatever a strange byte leads it to
        raise InputError(f"cannot read {path}: it is damaged, or something else; {mend}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path} holds no dictionary; {mend}")
    return document


def _point(document: Mapping[str, Any]) -> CurvePoint:
    validation = document["validation"]
    return CurvePoint(
        document["iteration"],
        document["loss"],
        None if validation is None else Accuracy(**validation),
    )
