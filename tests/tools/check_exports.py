"""Exports of one model against torch on all clips of a speech set's test split, by hand.

python tests/tools/check_exports.py MODEL.pt --data ARCHIVE [--engine NAME ...]

Each engine of `ENGINES` exports the model and answers every clip. Prints one line of JSON: clips,
and of each engine how many of its answers are other words than torch's, the largest difference
between two logits, and the largest logit; ends with 1 where an answer differs.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from kws.features import prepare
from kws.labels import LabelSet
from kws.model_file import load_model
from kws.onnx_export import export_onnx
from kws.onnx_model import load_onnx
from tools.console import stages
from tools.places import cache_dir
from tools.speech import locate


def onnx_one(model, folder):
    """As it is exported by default: one clip at a time."""
    export_onnx(folder / "one.onnx", model)
    return load_onnx(folder / "one.onnx").logits


def onnx_any(model, folder):
    """Many clips at a time."""
    export_onnx(folder / "any.onnx", model, batch=None)
    return load_onnx(folder / "any.onnx").logits


def tvm_host(model, folder):
    """The library for this machine."""
    from tools.tvm_engine import load_engine
    from tools.tvm_export import export_tvm

    export_tvm(model, "host-cpu", folder / "host")
    engine = load_engine(folder / "host")
    return lambda features: engine(model.normalisation.apply(features))


def tvm_board(profile):
    """The library for a board, in a static program that qemu runs once for all clips."""

    def engine(model, folder):
        from exported import answers

        from tools.tvm_export import export_tvm

        export_tvm(model, profile, folder / profile)
        return lambda features: answers(
            folder / profile, profile, "classify", model.normalisation.apply(features)
        )

    return engine


ENGINES = {
    "onnx": onnx_one, "onnx-any": onnx_any, "tvm-host": tvm_host,
    "tvm-armv7": tvm_board("odroid-xu3-a15"), "tvm-aarch64": tvm_board("raspberry-pi-4b"),
}  # fmt: skip
"""Name -> of a model and a folder to write to, a function of features [N, H, W] as they are
computed, not normalised, to logits [N, K]."""


def compared(engine, model, features, expected):
    """What one engine gives, beside torch."""
    with tempfile.TemporaryDirectory() as folder:
        answer = engine(model, Path(folder))
        begin = time.monotonic()
        logits = answer(features)
    return {
        "other_words": int((logits.argmax(axis=1) != expected.argmax(axis=1)).sum()),
        "largest_difference": float(f"{np.abs(logits - expected).max():.2g}"),
        "seconds": round(time.monotonic() - begin, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--engine", choices=ENGINES, action="append", help="default: all")
    chosen = parser.parse_args()
    model = load_model(chosen.model)
    with stages() as progress:
        data = prepare(
            locate(chosen.data, progress), cache_dir=cache_dir(),
            labels=LabelSet.of(model.words), settings=model.settings,
        )  # fmt: skip
    features = np.ascontiguousarray(data.splits["testing"].features)
    expected = model.logits(features)
    found = {
        name: compared(ENGINES[name], model, features, expected)
        for name in chosen.engine or ENGINES
    }
    result = {
        "check": "exports",
        "architecture": str(model.architecture),
        "clips": len(features),
        "right": int((expected.argmax(axis=1) == data.labels("testing")).sum()),
        "largest_logit": round(float(np.abs(expected).max()), 3),
        "engines": found,
    }
    sys.stdout.write(json.dumps(result) + "\n")
    return int(any(each["other_words"] for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
