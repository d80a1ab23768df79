"""A trained network in a file, of whichever kind, ready to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kws.features import SplitFeatures
    from kws.mfcc import MfccSettings
    from kws.model_file import SavedModel
    from kws.splits import Split
    from tools.console import Stages

ONNX = ".onnx"


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenEngine:
    """A network that answers."""

    words: tuple[str, ...]
    settings: MfccSettings

    logits: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
    """Features [N, H, W] as `kws.mfcc` makes them, not normalised, to logits [N, K]."""


def open_engine(path: Path) -> OpenEngine:
    """The network in a ``.pt`` file of ponas, or in what `ponas export` wrote.

    That is an ``.onnx`` file, or the folder of a library that was built for this machine.

    Raises:
        InputError: for a file that is not there or is no such model.
        MissingToolError: for an ONNX file where its runtime is not installed.

    """
    from kws.errors import InputError
    from tools.destinations import is_study
    from tools.job import models_dir

    if path.is_dir():
        return _library_engine(path)
    if path.suffix.lower() == ONNX:
        return _onnx_engine(path)
    if is_study(path):
        raise InputError(
            f"{path} is a study; name one of its models: {models_dir(path) / 'trial-NUMBER.pt'}, "
            f"whose numbers are shown by: ponas trials {path}"
        )
    from kws.model_file import load_model

    return torch_engine(load_model(path))


def labelled_clips(engine: OpenEngine, data: str, split: Split, stages: Stages) -> SplitFeatures:
    """The clips of a split, with the features and the labels of the network's words.

    Raises:
        InputError: for data without these words, or without a clip in that split.

    """
    from kws.errors import InputError
    from tools.speech import known_by

    found = known_by(engine.words, engine.settings, data, stages)
    clips = found.splits[split]
    if not len(clips.labels):
        raise InputError(f"'{data}' has no clip in its {split} split; give data that has")
    return clips


def _onnx_engine(path: Path) -> OpenEngine:
    import numpy as np

    from kws.onnx_model import load_onnx

    model = load_onnx(path)

    def logits(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Answers; a file that takes a fixed number of clips is given zeros for those missing."""
        missing = -len(features) % (model.batch or 1)
        filled = np.pad(features, ((0, missing), (0, 0), (0, 0))) if missing else features
        return model.logits(filled)[: len(features)]

    return OpenEngine(words=model.words, settings=model.settings, logits=logits)


def _library_engine(folder: Path) -> OpenEngine:
    from tools.tvm_engine import load_engine

    engine = load_engine(folder)

    def logits(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return engine(engine.normalisation.apply(features))

    return OpenEngine(words=engine.words, settings=engine.settings, logits=logits)


def torch_engine(model: SavedModel) -> OpenEngine:
    """A network in torch, on the CPU."""
    return OpenEngine(words=model.words, settings=model.settings, logits=model.logits)
