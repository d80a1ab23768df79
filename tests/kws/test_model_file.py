import dataclasses
import inspect
import textwrap

import numpy as np
import pytest
import torch
from trained import WORDS, lived_model, random_features

from kws import model_file
from kws.architecture import Architecture
from kws.checkpoint import save_torch
from kws.errors import InputError
from kws.model_file import load_model, save_model, write_model
from kws.module import to_module

WIDE = Architecture.parse("3x3,8/2x2 2x4,6")


def test_a_saved_model_answers_as_the_module_did(feature_set, tmp_path):
    module = to_module(WIDE, seed=3).eval()
    save_model(tmp_path / "model.pt", architecture=WIDE, module=module, data=feature_set)
    saved = load_model(tmp_path / "model.pt")
    assert saved.architecture == WIDE
    assert saved.words == feature_set.words
    assert saved.settings == feature_set.settings
    assert not saved.module.training
    raw = feature_set.splits["testing"].features
    normalised = saved.normalisation.apply(raw)
    assert np.array_equal(normalised, feature_set.normalised("testing"))
    with torch.inference_mode():
        x = torch.from_numpy(normalised)[:, None]
        assert torch.equal(saved.module(x), module(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "no model of this version"),
        ({"architecture": "3x3,7"}, "damaged model"),
        ({"architecture": 5}, "damaged model"),
        ({"architecture": "nonsense,"}, "damaged model"),
        ({"settings": {"bands": 40, "colour": 1}}, "damaged model"),
        ({"words": ["yes"]}, "damaged model"),
        ({"state": {}}, "damaged model"),
    ],
)
def test_a_damaged_model_is_refused_by_name(feature_set, tmp_path, change, message):
    path = tmp_path / "model.pt"
    save_model(path, architecture=WIDE, module=to_module(WIDE), data=feature_set)
    save_torch(path, {**torch.load(path, weights_only=True), **change})
    with pytest.raises(InputError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.pt").write_text("not a model")
    with pytest.raises(InputError, match="give a file that ponas export wrote"):
        load_model(tmp_path / "model.pt")
    with pytest.raises(InputError, match="there is no file"):
        load_model(tmp_path / "missing.pt")


def test_a_written_model_is_read_again(tmp_path):
    model = lived_model("3x3,8/2x2 2x4,6")
    write_model(tmp_path / "model.pt", model)
    again, features = load_model(tmp_path / "model.pt"), random_features(model, 300)
    for name in ("architecture", "words", "settings"):
        assert getattr(again, name) == getattr(model, name)
    assert np.array_equal(again.logits(features), model.logits(features))


def test_logits_are_of_features_as_they_are_computed():
    model = lived_model("3x3,8")
    features = random_features(model, 2)
    moved = dataclasses.replace(
        model,
        normalisation=dataclasses.replace(model.normalisation, mean=model.normalisation.mean + 5),
    )
    assert np.allclose(moved.logits(features + 5), model.logits(features), atol=1e-4)


@pytest.mark.parametrize("text", ["3x3,8 2x4,6", "4x10,5 3x3,4/3x2 2x2,6", "1x1,3/4x4 5x4,2"])
def test_the_program_in_the_docstring_reads_a_model_without_ponas(tmp_path, monkeypatch, text):
    model = lived_model(text)
    write_model(tmp_path / "model.pt", model)
    features = random_features(model, 3)
    _, _, program = inspect.getdoc(model_file).partition("::\n")
    assert "ponas" not in program
    names = {"mfcc": torch.from_numpy(features)}
    monkeypatch.chdir(tmp_path)
    exec(textwrap.dedent(program), names)  # noqa: S102 (it is ours)
    logits = model.logits(features)
    assert np.allclose(names["logits"].numpy(), logits, atol=1e-5)
    assert names["word"] == WORDS[int(logits[0].argmax())]
