"""A folder of everything that can be wrong with a file: what `mistakes` names on command lines."""

import io
import pickle
import shutil
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile
import torch
from finetuned_study import finetuned_study

from kws.architecture import Architecture
from kws.features import Normalisation
from kws.mfcc import MfccSettings
from kws.model_file import SavedModel, write_model
from kws.module import to_module

_CELL = "|bogus~0|+|none~0|none~1|+|none~0|none~1|none~2|"
TIMINGS = {
    "no-header.csv": "kws7,3.0\nkws8,4.0\n",
    "semicolons.csv": "network;latency_ms\nkws7;3\n",
    "few.csv": "network,latency_ms\nkws7,3.0\nkws8,4.0\n",
    "words.csv": "network,latency_ms\nkws7,three\n",
    "negative.csv": "network,latency_ms\nkws7,-3\n",
    "unknown.csv": "network,latency_ms\nkws99,3\n",
    "cell.csv": f"network,latency_ms\n{_CELL},3\n",
    "gone.csv": "network,latency_ms\ngone.onnx,3\n",
}


def make(place: Path) -> None:
    """Writes everything into ``place``; PONAS_HOME is its ``home``."""
    for name in ("folder", "folder.wav", "folder.study", "folder.onnx", "folder.pt"):
        (place / name).mkdir()
    for ending in ("study", "pt", "pt2", "onnx", "wav", "tar.gz", "jsonl"):
        (place / f"text.{ending}").write_text("hello\n")
    for ending in ("study", "csv", "pt", "wav"):
        (place / f"empty.{ending}").write_bytes(b"")
    for name, text in TIMINGS.items():
        (place / name).write_text(text)
    (place / "net.tflite").write_bytes(bytes(100))
    (place / "latin.csv").write_bytes("network,latency_ms\ngrößer,3\n".encode("latin-1"))
    (place / "zeros.csv").write_bytes(bytes(100))
    _sound(place)
    _models(place)
    _networks(place)
    _profiles(place / "home" / "profiles")


def _sound(place: Path) -> None:
    for word in ("low", "high"):
        (place / "data" / word).mkdir(parents=True)
        soundfile.write(place / "data" / word / "a_nohash_0.wav", np.zeros(16_000), 16_000)
    soundfile.write(place / "good.wav", np.zeros(16_000), 16_000)
    soundfile.write(place / "nothing.wav", np.zeros(0), 16_000)
    soundfile.write(place / "nan.wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    (place / "cut.wav").write_bytes((place / "good.wav").read_bytes()[:30])


def _models(place: Path) -> None:
    settings, architecture = MfccSettings(), Architecture.parse("3x3,4")
    model = SavedModel(
        architecture=architecture,
        module=to_module(architecture, 2, seed=0).eval(),
        words=("low", "high"),
        settings=settings,
        normalisation=Normalisation(np.zeros(settings.shape[0], np.float32), 1.0),
    )
    write_model(place / "model.pt", model)
    content = (place / "model.pt").read_bytes()
    (place / "cut.pt").write_bytes(content[: len(content) // 2])
    torch.save({"weights": torch.zeros(3)}, place / "weights.pt")
    stream = io.BytesIO()
    pickle.dump(sys.exit, stream)
    (place / "pickle.pt").write_bytes(stream.getvalue())
    write_model(place / "others.pt", replace(model, words=("yes", "no")))
    finetuned_study(place / "kws.study", place / "model.pt", place / "data")
    finetuned_study(place / "plain.study", place / "model.pt", place / "data", finetuned=False)
    shutil.copy(place / "kws.study", place / "moved.study")
    (place / "cut.study").write_bytes((place / "kws.study").read_bytes()[:5000])


def _networks(place: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.zeros((4, 1, 3, 3), np.float32), "w")
    two = numpy_helper.from_array(np.array([2], np.int64), "k")
    conv = helper.make_node("Conv", ["x", "w"], ["y"], name="conv1")

    def save(name, node, given, answer, constant):
        inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in given.items()]
        outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, answer)]
        graph = helper.make_graph([node], "g", inputs, outputs, constant)
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("my.domain", 1)]
        onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), place / name)

    image, maps = [1, 1, 8, 8], [1, 4, 6, 6]
    save("good.onnx", conv, {"x": image}, maps, [weight])
    content = (place / "good.onnx").read_bytes()
    (place / "cut.onnx").write_bytes(content[: len(content) // 2])
    save("dynamic.onnx", conv, {"x": ["n", 1, 8, 8]}, ["n", 4, 6, 6], [weight])
    save("batch.onnx", conv, {"x": [2, 1, 8, 8]}, [2, 4, 6, 6], [weight])
    add = helper.make_node("Add", ["x", "z"], ["y"])
    save("two-inputs.onnx", add, {"x": image, "z": image}, image, [])
    top = helper.make_node("TopK", ["x", "k"], ["y", "i"], name="best")
    save("sorted.onnx", top, {"x": image}, [1, 1, 8, 2], [two])
    own = helper.make_node("Magic", ["x"], ["y"], domain="my.domain", name="magic")
    save("magic.onnx", own, {"x": image}, image, [])
    torch.save(torch.nn.Conv2d(1, 2, 3).state_dict(), place / "weights.pt2")


def _profiles(home: Path) -> None:
    """Two of the user's own: one whose file is cut off, one without its model."""
    shipped = Path(str(files("hw_profiles")))
    for name in ("t4", "raspberry-pi-3b"):
        shutil.copytree(shipped / name, home / name)
    text = (home / "t4" / "profile.json").read_text()
    (home / "t4" / "profile.json").write_text(text[: len(text) // 2])
    (home / "raspberry-pi-3b" / "model.npz").unlink()
