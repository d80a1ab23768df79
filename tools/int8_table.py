"""Trained networks beside their 8-bit versions: errors, sizes, and times on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kws.features import FeatureSet
from kws.onnx_export import export_onnx
from kws.onnx_graph import Array
from kws.onnx_model import OnnxModel, load_onnx
from kws.quantisation import QuantisationSettings, quantise
from kws.shares import Share
from tools.interleaved import interleaved_ms
from tools.trained_models import TrainedModel


@dataclass(frozen=True, kw_only=True)
class Version:
    """A network in one number format."""

    path: Path
    bytes: int

    error: Share
    """Test clips wrong."""

    latency_ms: float
    """Of one clip, features not counted, in ONNX Runtime on this machine with one thread."""

    def json(self) -> dict[str, object]:
        return {**vars(self), "path": str(self.path), "error": self.error.json()}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A network and its 8-bit version."""

    trial: int | None
    architecture: str
    float32: Version
    int8: Version

    changed: Share
    """Test clips that the two take for different words."""

    def json(self) -> dict[str, object]:
        """The row as `ponas quantize --json` gives it."""
        return {
            "trial": self.trial,
            "architecture": self.architecture,
            "float32": self.float32.json(),
            "int8": self.int8.json(),
            "changed": self.changed.json(),
        }


def quantise_all(
    models: Sequence[TrainedModel],
    data: FeatureSet,
    folder: Path,
    settings: QuantisationSettings,
    on_progress: Callable[[int, int], None],
) -> list[Pair]:
    """Writes each model as ``NAME.onnx`` and ``NAME.int8.onnx``, and compares the two.

    All are timed together at the end. Raises InputError of `quantise`.
    """
    opened: dict[Path, OnnxModel] = {}
    paths = [(folder / f"{each.name}.onnx", folder / f"{each.name}.int8.onnx") for each in models]
    for done, (each, (plain, small)) in enumerate(zip(models, paths, strict=True), start=1):
        export_onnx(plain, each.model)
        quantise(small, each.model, data, settings)
        opened |= {path: load_onnx(path, threads=1) for path in (plain, small)}
        on_progress(done, len(models))
    features = np.ascontiguousarray(data.splits["testing"].features)
    guesses = {path: model.logits(features).argmax(axis=1) for path, model in opened.items()}
    times = _times(opened, np.zeros((1, *data.settings.shape), np.float32))

    def version(path: Path) -> Version:
        wrong = guesses[path] != data.labels("testing")
        return Version(
            path=path,
            bytes=path.stat().st_size,
            error=Share(int(wrong.sum()), len(wrong)),
            latency_ms=times[str(path)],
        )

    return [
        Pair(
            trial=each.trial,
            architecture=str(each.model.architecture),
            float32=version(plain),
            int8=version(small),
            changed=Share(int((guesses[plain] != guesses[small]).sum()), len(features)),
        )
        for each, (plain, small) in zip(models, paths, strict=True)
    ]


def _times(opened: dict[Path, OnnxModel], clip: Array) -> dict[str, float]:
    def program(model: OnnxModel) -> Callable[[], object]:
        return lambda: model.logits(clip)

    return interleaved_ms({str(path): program(model) for path, model in opened.items()})
