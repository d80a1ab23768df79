import dataclasses
import subprocess
import sys

import numpy as np
import onnx
import pytest
from trained import WORDS, lived_model, random_features

from kws.errors import InputError, MissingToolError
from kws.onnx_graph import build_graph
from kws.onnx_model import content_of, load_onnx

TEXT = "3x3,6 2x4,5/2x2"


@pytest.fixture(scope="module")
def model():
    return lived_model(TEXT)


@pytest.fixture
def file(model, tmp_path):
    path = tmp_path / "größer model.onnx"
    path.write_bytes(content_of(build_graph(model, batch=None), model))
    return path


def test_everything_that_belongs_to_the_network_travels_in_the_file(model, file):
    found = load_onnx(file)
    assert found.words == WORDS
    assert found.architecture == TEXT
    assert found.settings == model.settings
    assert found.normalisation.std == model.normalisation.std
    assert np.array_equal(found.normalisation.mean, model.normalisation.mean)
    assert found.quantised is None


def test_onnx_runtime_alone_reads_what_was_written(file):
    """As on a device: neither torch nor onnx is needed for an answer."""
    program = (
        "import json, sys, numpy, onnxruntime\n"
        "session = onnxruntime.InferenceSession(sys.argv[1])\n"
        "words = json.loads(session.get_modelmeta().custom_metadata_map['ponas.words'])\n"
        "logits, = session.run(None, {'mfcc': numpy.zeros((1, 1, 40, 32), numpy.float32)})\n"
        "assert not {'torch', 'onnx', 'kws'} & set(sys.modules)\n"
        "print(words[logits.argmax()])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, file],
        capture_output=True, check=True, encoding="utf-8",
    )  # fmt: skip
    expected = load_onnx(file).logits(np.zeros((1, 40, 32), np.float32))
    assert done.stdout.strip() == WORDS[int(expected.argmax())]


@pytest.mark.parametrize("clips", [0, 1, 5, 300])
def test_any_number_of_clips_is_answered_clip_by_clip_alike(model, file, clips):
    features = random_features(model, clips)
    answers = load_onnx(file, threads=1).logits(features)
    assert answers.shape == (clips, len(WORDS))
    assert np.allclose(answers, model.logits(features), atol=1e-5)


def test_a_file_of_one_clip_at_a_time_answers_many(model, tmp_path):
    path = tmp_path / "one.onnx"
    path.write_bytes(content_of(build_graph(model, batch=1), model))
    found, features = load_onnx(path), random_features(model, 3)
    assert found.batch == 1
    assert np.allclose(found.logits(features), model.logits(features), atol=1e-5)


def test_a_larger_fixed_batch_takes_multiples_of_it(model, tmp_path):
    path = tmp_path / "four.onnx"
    path.write_bytes(content_of(build_graph(model, batch=4), model))
    found, features = load_onnx(path), random_features(model, 8)
    assert np.allclose(found.logits(features), model.logits(features), atol=1e-5)
    with pytest.raises(InputError, match="4 clips at a time, not 3"):
        found.logits(features[:3])


def test_the_same_network_gives_the_same_bytes(model):
    first = content_of(build_graph(model), model)
    assert first == content_of(build_graph(lived_model(TEXT)), lived_model(TEXT))
    other = dataclasses.replace(model, words=(*WORDS[:3], "halt"))
    assert first != content_of(build_graph(other), other)


def edited(file, change):
    whole = onnx.load(str(file))
    facts = {entry.key: entry.value for entry in whole.metadata_props}
    del whole.metadata_props[:]
    onnx.helper.set_model_props(whole, change(facts))
    onnx.save(whole, str(file))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: {}, "no model of this version of ponas"),
        (lambda facts: {**facts, "ponas.format": "2"}, "no model of this version of ponas"),
        (lambda facts: {**facts, "ponas.words": "[1, "}, "damaged model"),
        (lambda facts: {**facts, "ponas.mfcc": '{"bands": 0}'}, "damaged model"),
        (lambda facts: {**facts, "ponas.mfcc": '{"colour": 1}'}, "damaged model"),
        (lambda facts: {k: v for k, v in facts.items() if k != "ponas.std"}, "damaged model"),
        (lambda facts: {**facts, "ponas.mean": "[0.5]"}, "damaged model"),
        (lambda facts: {**facts, "ponas.words": '["a", "b"]'}, "damaged model"),
    ],
)
def test_a_file_with_other_facts_is_refused_by_name(file, change, message):
    edited(file, change)
    with pytest.raises(InputError, match=message) as caught:
        load_onnx(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_refused(file, tmp_path):
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(InputError, match="no ONNX file that can be run"):
        load_onnx(file)
    with pytest.raises(InputError, match="there is no file"):
        load_onnx(tmp_path / "missing.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    model, file, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingToolError, match=r"pip install 'ponas\[onnx\]'"):
        load_onnx(file) if package == "onnxruntime" else build_graph(model)
