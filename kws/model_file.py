"""A trained network in one file, with all that is needed to use it on a second of sound.

The file is read without ponas, too; torch is enough. mfcc: float32 [N, 40, 32], of each clip
``librosa.feature.mfcc(y=clip, sr=16000, n_mfcc=40, n_mels=40, n_fft=2048, hop_length=512)``, these
numbers being those in ``saved["settings"]``::

    import torch
    from torch.nn import functional as F

    saved = torch.load("model.pt", weights_only=True)
    state = saved["state"]
    x = ((mfcc - saved["mean"][:, None]) / saved["std"])[:, None]
    for i, unit in enumerate(saved["architecture"].split(), start=1):
        weight = state[f"conv{i}.weight"]
        given = [int(step) for step in unit.partition("/")[2].split("x") if step]
        stride = given or ([1, 2] if i == 1 else [1, 1])
        sizes = zip(x.shape[2:], weight.shape[2:], stride)
        h, w = (max(-(-n // step) * step - step + k - n, 0) for n, k, step in sizes)
        x = F.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2))  # 'same'
        norm = [state[f"bn{i}.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
        x = F.relu(F.batch_norm(F.conv2d(x, weight, stride=stride), *norm))
    logits = F.linear(x.mean(dim=(2, 3)), state["dense.weight"], state["dense.bias"])
    word = saved["words"][logits[0].argmax()]
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from kws.architecture import Architecture, Bounds
from kws.checkpoint import load_torch, save_torch
from kws.errors import InputError
from kws.evaluation import CHUNK
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

    def logits(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The answers [N, K] to features [N, H, W] as `kws.mfcc` computes them, not normalised."""
        normalised = torch.from_numpy(self.normalisation.apply(features))[:, None]
        with torch.inference_mode():
            answers: npt.NDArray[np.float32] = torch.cat(
                [self.module(chunk) for chunk in torch.split(normalised, CHUNK)]
            ).numpy()
        return answers


def save_model(
    path: Path, *, architecture: Architecture, module: KeywordNet, data: FeatureSet
) -> None:
    """Writes a trained network with the words, settings and normalisation of its data.

    Raises:
        StorageError: where it cannot be written; an older file is then untouched.

    """
    write_model(
        path,
        SavedModel(
            architecture=architecture,
            module=module,
            words=data.words,
            settings=data.settings,
            normalisation=data.normalisation,
        ),
    )


def write_model(path: Path, model: SavedModel) -> None:
    """Writes a network so that `load_model` gives it again.

    Raises:
        StorageError: where it cannot be written; an older file is then untouched.

    """
    save_torch(
        path,
        {
            "version": VERSION,
            "architecture": str(model.architecture),
            "words": list(model.words),
            "settings": asdict(model.settings),
            "mean": torch.from_numpy(np.array(model.normalisation.mean)),
            "std": model.normalisation.std,
            "state": {name: value.cpu() for name, value in model.module.state_dict().items()},
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
