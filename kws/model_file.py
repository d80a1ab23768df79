"""A trained network in one file, with all that is needed to use it on a second of sound."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from kws.architecture import Architecture, Bounds
from kws.checkpoint import load_torch, save_torch
from kws.errors import InputError
from kws.features import FeatureSet, Normalisation
from kws.mfcc import MfccSettings
from kws.module import KeywordNet, to_module

VERSION = 1

_ANY = Bounds(filters=999_999, first_kernel=(999, 999), later_kernel=(999, 999), stride=(999, 999))


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedModel:
    """A network with the words it knows and the features it takes."""

    architecture: Architecture
    module: KeywordNet
    words: tuple[str, ...]
    settings: MfccSettings
    normalisation: Normalisation


def save_model(
    path: Path, *, architecture: Architecture, module: KeywordNet, data: FeatureSet
) -> None:
    """Writes a trained network with the words, settings and normalisation of its data.

    Raises:
        StorageError: where it cannot be written; an older file is then untouched.

    """
    save_torch(
        path,
        {
            "version": VERSION,
            "architecture": str(architecture),
            "words": list(data.words),
            "settings": asdict(data.settings),
            "mean": torch.from_numpy(np.array(data.normalisation.mean)),
            "std": data.normalisation.std,
            "state": {name: value.cpu() for name, value in module.state_dict().items()},
        },
    )


def load_model(path: Path) -> SavedModel:
    """The network that `save_model` wrote, on the CPU and in evaluation mode.

    Raises:
        InputError: for a file that is not there, damaged, or of another version.

    """
    mend = "give a file that ponas export wrote"
    document = load_torch(path, mend)
    if document.get("version") != VERSION:
        raise InputError(f"{path} is no model of this version of ponas; {mend}")
    try:
        architecture = Architecture.parse(document["architecture"], bounds=_ANY)
        settings = MfccSettings(**document["settings"])
        words = tuple(map(str, document["words"]))
        module = to_module(architecture, len(words), input_shape=(*settings.shape, 1))
        module.load_state_dict(document["state"])
        normalisation = Normalisation(document["mean"].numpy(), float(document["std"]))
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path} is a damaged model ({reason}); {mend}") from None
    return SavedModel(
        architecture=architecture,
        module=module.eval(),
        words=words,
        settings=settings,
        normalisation=normalisation,
    )
