"""`ponas export`: what is written is read by what it is meant for, and answers as the network."""

import sys

import numpy as np
import pytest
from finetuned_study import finetuned_study
from tones import tone_place

from costmodel.frontends.onnx_file import from_onnx
from kws.model_file import load_model
from kws.onnx_model import load_onnx
from tools.job import models_dir


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tone_place(tmp_path_factory.getbasetemp())


@pytest.fixture
def study(home, place):
    return finetuned_study(home.parent / "a.study", place / "two.pt", place / "data")


def features(clips):
    return 50 * np.random.default_rng(0).normal(size=(clips, 40, 32)).astype(np.float32)


def test_onnx_answers_as_the_study_s_best_model(ponas, ponas_json, study):
    status, out, err = ponas("export", study, "--format", "onnx")
    assert status == 0
    assert err == ("trial 1 has the lowest validation error, 12.5%; name another after the study\n")
    assert out.startswith("a-trial-00001.onnx: 3x3,8 3x3,8, 2 words\n")
    found = ponas_json("export", study, "1", "--format", "onnx", "--output", "b.onnx")
    assert found["checked"]["largest_difference"] <= 1e-4 * found["checked"]["peak"]
    model = load_model(models_dir(study) / "trial-00001.pt")
    for name in ("a-trial-00001.onnx", "b.onnx"):
        loaded = load_onnx(study.parent / "work" / name)
        assert (loaded.words, loaded.batch) == (model.words, 1)
        assert np.allclose(loaded.logits(features(3)), model.logits(features(3)), atol=1e-4)
    document = {k: found[k] for k in ("format", "path", "batch", "architecture", "words", "trial")}
    assert document == {
        "format": "onnx", "path": "b.onnx", "batch": 1, "architecture": "3x3,8 3x3,8",
        "words": ["low", "high"], "trial": 1,
    }  # fmt: skip
    assert found["bytes"] == (study.parent / "work" / "b.onnx").stat().st_size


def test_a_file_for_any_number_of_clips(ponas_json, study):
    found = ponas_json("export", study, "0", "--format", "onnx", "--batch", "any")
    assert found["batch"] is None
    assert load_onnx(study.parent / "work" / found["path"]).batch is None


def test_the_exported_file_can_be_estimated(ponas_json, study):
    path = ponas_json("export", study, "--format", "onnx")["path"]
    network, _ = from_onnx(study.parent / "work" / path)
    assert len(list(network.convolutions())) == 2
    assert ponas_json("estimate", path)["latency_ms"] > 0


def test_torch_gives_the_model_file_again(ponas_json, study):
    found = ponas_json("export", study, "2x4,9 3x3,5", "--format", "torch", "--output", "c.pt")
    assert found["checked"]["largest_difference"] == 0
    again, model = (
        load_model(path)
        for path in (study.parent / "work" / "c.pt", models_dir(study) / "trial-00002.pt")
    )
    assert again.words == model.words
    assert np.array_equal(again.logits(features(3)), model.logits(features(3)))


def test_a_model_s_file_is_exported_and_never_overwritten(ponas, place):
    status, out, err = ponas("export", place / "four.pt", "--format", "onnx")
    assert (status, err) == (0, "")
    assert out.startswith("four.onnx: ")
    status, out, err = ponas(
        "export", place / "four.pt", "--format", "torch", "--output", place / "four.pt"
    )
    assert (status, out) == (2, "")
    assert "is what is read here and would be lost; name another file" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--format", "torch", "--batch", "any"), "--batch goes with --format onnx"),
        (("--format", "onnx", "--profile", "host-cpu"), "--profile goes with --format tvm"),
        ((), "Missing option '--format'"),
        (("9", "--format", "onnx"), "no fine-tuned model of trial 9"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_would_be_right(ponas, study, options, says):
    status, out, err = ponas("export", study, *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_a_missing_runtime_is_named_with_its_extra(ponas, study, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    status, out, err = ponas("export", study, "0", "--format", "onnx")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "pip install 'ponas[onnx]'" in err
    assert not (study.parent / "work" / "a-trial-00000.onnx").exists()
