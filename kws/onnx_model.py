"""A trained network in an ONNX file, with all that is needed to use it on a second of sound.

Shapes: N clips, H coefficients, W frames, K words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kws.errors import InputError, MissingToolError
from kws.evaluation import CHUNK
from kws.features import Normalisation
from kws.mfcc import MfccSettings
from kws.onnx_graph import INPUT, OUTPUT, Array, import_onnx

if TYPE_CHECKING:
    import onnx

    from kws.model_file import SavedModel

FORMAT = "1"
"""Of the entries below."""

_PREFIX = "ponas."
_MEND = "give a file that ponas export wrote"


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxModel:
    """A network of an ONNX file in ONNX Runtime, with what travels in it."""

    architecture: str
    words: tuple[str, ...]
    settings: MfccSettings

    normalisation: Normalisation
    """For information: it is a part of the graph."""

    version: str
    """Of ponas that wrote it."""

    quantised: str | None
    """How its numbers were made 8 bits wide; None where they are float32."""

    batch: int | None
    """Clips that one call of the runtime takes; None is any number."""

    session: Any
    """The ``onnxruntime.InferenceSession``."""

    def logits(self, features: Array) -> Array:
        """The answers [N, K] to features [N, H, W] as `kws.mfcc` computes them, not normalised."""
        size = self.batch or CHUNK
        if len(features) % size and self.batch:
            raise InputError(f"the file takes {size} clips at a time, not {len(features)}")
        whole = np.ascontiguousarray(features, np.float32)
        parts = [
            self.session.run([OUTPUT], {INPUT: whole[start : start + size, None]})[0]
            for start in range(0, len(features), size)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.words)), np.float32)


def load_onnx(path: Path, *, threads: int | None = None) -> OnnxModel:
    """The network in a file that `export_onnx` or `kws.quantisation` wrote.

    Args:
        path: The file.
        threads: CPU threads of an inference; None leaves them to ONNX Runtime.

    Raises:
        InputError: for a file that is not there, is damaged, or was not written by ponas.
        MissingToolError: where onnxruntime is not installed.

    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; {_MEND}") from None
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}); {_MEND}") from None
    return open_content(content, str(path), threads)


def open_content(content: bytes, name: str, threads: int | None = None) -> OnnxModel:
    """As `load_onnx`, for the content of a file that errors call ``name``."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingToolError(
            "running ONNX files needs the package onnxruntime; "
            "get it with: pip install 'ponas[onnx]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; they are raised as well
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        reason = str(error).splitlines()[0].rpartition(" : ")[2].rstrip(".")
        raise InputError(f"{name} is no ONNX file that can be run ({reason}); {_MEND}") from None
    found = session.get_modelmeta().custom_metadata_map
    facts = {key.removeprefix(_PREFIX): text for key, text in found.items()}
    if facts.get("format") != FORMAT:
        raise InputError(f"{name} is no model of this version of ponas; {_MEND}")
    try:
        return _model(session, facts)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{name} is a damaged model ({reason}); {_MEND}") from None


def content_of(graph: onnx.ModelProto, model: SavedModel, *, quantised: str | None = None) -> bytes:
    """A file's content: a graph of the model, and what belongs to it as text by name.

    ``quantised``: how, for people; see `OnnxModel`.
    """
    onnx = import_onnx()
    facts = {
        "format": FORMAT,
        "version": metadata.version("ponas"),
        "architecture": str(model.architecture),
        "words": json.dumps(model.words, ensure_ascii=False),
        "mfcc": json.dumps(asdict(model.settings)),
        "mean": json.dumps([float(value) for value in model.normalisation.mean]),
        "std": json.dumps(model.normalisation.std),
        **({} if quantised is None else {"quantised": quantised}),
    }
    whole = onnx.ModelProto()
    whole.CopyFrom(graph)
    whole.producer_name, whole.producer_version = "ponas", facts["version"]
    onnx.helper.set_model_props(whole, {_PREFIX + name: text for name, text in facts.items()})
    content: bytes = whole.SerializeToString(deterministic=True)
    return content


def _model(session: Any, facts: Mapping[str, str]) -> OnnxModel:  # noqa: ANN401
    [given], [answer] = session.get_inputs(), session.get_outputs()
    settings = MfccSettings(**json.loads(facts["mfcc"]))
    words = tuple(map(str, json.loads(facts["words"])))
    mean = np.array(json.loads(facts["mean"]), np.float32)
    if (given.shape[1:], answer.shape[1:]) != ([1, *settings.shape], [len(words)]):
        raise ValueError(f"it turns {given.shape} into {answer.shape}")
    if mean.shape != settings.shape[:1]:
        raise ValueError(f"the mean has the shape {mean.shape}")
    return OnnxModel(
        architecture=facts["architecture"],
        words=words,
        settings=settings,
        normalisation=Normalisation(mean, float(json.loads(facts["std"]))),
        version=facts["version"],
        quantised=facts.get("quantised"),
        batch=given.shape[0] if isinstance(given.shape[0], int) else None,
        session=session,
    )
