"""`ponas evaluate` on networks and clips that are known through and through."""

import json

import numpy as np
import pytest
import torch
from tones import FOUR, tone_place, write_tones

from kws.features import prepare
from kws.model_file import load_model
from kws.onnx_export import export_onnx
from tools.engines import open_engine


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tone_place(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True)
def cache(place, home, monkeypatch):
    """Features are computed once: they lie in ``place``, and not in each test's own home."""
    assert not home.exists()
    monkeypatch.setenv("PONAS_HOME", str(place))


@pytest.mark.parametrize("split", ["validation", "testing"])
def test_it_counts_what_the_network_answers(place, ponas_json, split):
    found = ponas_json("evaluate", place / "four.pt", "--data", place / "data", "--split", split)
    data = prepare(place / "data", cache_dir=place / "cache", labels=FOUR, workers=1)
    model = load_model(place / "four.pt")
    with torch.inference_mode():
        logits = model.module(torch.from_numpy(data.normalised(split))[:, None]).numpy()
    labels = data.labels(split)
    assert found["words"] == ["_silence_", "_unknown_", "low", "high"]
    assert found["top1"]["count"] == (logits.argmax(axis=1) == labels).sum()
    assert found["top1"]["of"] == np.sum(found["confusion"]) == len(labels)
    assert np.sum(found["confusion"], axis=1).tolist() == np.bincount(labels).tolist()
    assert found["false_alarms"]["of"] == (labels < 2).sum()
    assert list(found["keywords"]) == ["low", "high"]


def test_the_page_tells_shares_with_their_number_and_interval(place, ponas):
    status, out, err = ponas("evaluate", place / "four.pt", "--data", place / "data")
    assert status == 0
    assert "four.pt on the validation split" in out
    assert "% (" in out.split("right at the first guess")[1].splitlines()[0]
    assert "spoken" in out
    assert "silence" in out
    assert "false rejects" in out
    assert "'any': clips of silence and of unknown words" in err
    assert max(map(len, out.splitlines()[1:])) <= 100


def test_of_keywords_alone_it_says_what_is_not_known(place, ponas):
    status, out, err = ponas("evaluate", place / "two.pt", "--data", place / "data")
    assert status == 0
    assert "any" not in out
    assert "do not tell what the network makes of other words" in err


def test_a_threshold_that_nothing_reaches_rejects_everything(place, ponas_json):
    where = ("evaluate", place / "four.pt", "--data", place / "data")
    for word, errors in ponas_json(*where, "--threshold", "1")["keywords"].items():
        assert errors["false_rejects"]["share"] == 1.0, word
        assert errors["false_accepts"]["count"] == 0
    sure = ponas_json(*where, "--threshold", "0")
    assert sum(each["false_rejects"]["count"] for each in sure["keywords"].values()) < 5


def test_onnx_files_answer_as_torch_does(place, ponas_json):
    export_onnx(place / "four.onnx", load_model(place / "four.pt"))
    features = np.random.default_rng(0).normal(0, 50, (5, 40, 32)).astype(np.float32)
    ours, theirs = (open_engine(place / f"four.{kind}") for kind in ("pt", "onnx"))
    assert (ours.words, ours.settings) == (theirs.words, theirs.settings)
    assert np.abs(ours.logits(features) - theirs.logits(features)).max() < 1e-3
    documents = [
        ponas_json("evaluate", place / f"four.{kind}", "--data", place / "data")
        for kind in ("pt", "onnx")
    ]
    assert documents[0]["confusion"] == documents[1]["confusion"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("absent.pt",), "absent.pt"),
        (("four.pt", "--data", "absent"), "no data at"),
        (("four.pt", "--split", "training"), "'training' is not one of"),
        (("four.pt", "--threshold", "2"), "allowed: 0 to 1"),
    ],
)
def test_mistakes_are_told_in_one_line(place, ponas, monkeypatch, arguments, says):
    monkeypatch.chdir(place)
    status, out, err = ponas("evaluate", *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert says in err


def test_data_without_the_words_is_refused(place, ponas, tmp_path):
    write_tones(tmp_path / "data", clips=8)
    for folder in (tmp_path / "data").iterdir():
        if folder.name == "low":
            folder.rename(tmp_path / "data" / "bass")
    status, _, err = ponas("evaluate", place / "two.pt", "--data", tmp_path / "data")
    assert status == 2
    assert "low" in json.dumps(err)
