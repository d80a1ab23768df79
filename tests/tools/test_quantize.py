"""`ponas quantize`: the table of a front, and one model of words that it knows for certain."""

import numpy as np
import pytest
from finetuned_study import FRONT, finetuned_study
from tones import TWO, tone_place

from kws.features import prepare
from kws.onnx_model import load_onnx

CLIPS = ("--clips", "20")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tone_place(tmp_path_factory.getbasetemp())


def test_a_network_that_is_right_stays_right(ponas_json, place, tmp_path):
    out = tmp_path / "int8"
    found = ponas_json(
        "quantize", place / "two.pt", "--data", place / "data", "--output", out, *CLIPS
    )
    [row] = found["models"]
    data = prepare(place / "data", cache_dir=place / "cache", labels=TWO, workers=1)
    labels, raw = data.labels("testing"), data.splits["testing"].features
    for form, name in (("float32", "two.onnx"), ("int8", "two.int8.onnx")):
        guesses = load_onnx(out / name).logits(raw).argmax(axis=1)
        assert row[form]["error"]["count"] == (guesses != labels).sum() <= 0.1 * len(labels)
        assert row[form]["error"]["of"] == len(labels)
        assert row[form]["bytes"] == (out / name).stat().st_size
        assert row[form]["latency_ms"] > 0
    assert row["changed"]["count"] <= row["changed"]["of"] == len(labels)
    assert load_onnx(out / "two.int8.onnx").quantised == (
        "int8, percentile over 20 training clips, seed 0"
    )


def test_of_a_study_the_whole_front_is_taken_and_its_own_data(ponas, home, place):
    path = finetuned_study(home.parent / "a.study", place / "two.pt", place / "data")
    status, out, err = ponas("quantize", path, *CLIPS, "--calibration", "minmax")
    assert status == 0, err
    assert "times: ONNX Runtime" in out
    assert "not on the device that was searched for" in out
    for number, text in enumerate(FRONT):
        assert text.split()[0] in out
        for ending in ("onnx", "int8.onnx"):
            written = load_onnx(home.parent / "a.study.int8" / f"trial-{number:05d}.{ending}")
            assert written.architecture == text
            assert np.isfinite(written.logits(np.zeros((1, 40, 32), np.float32))).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "name the speech set with --data"),
        (("--data", "{data}", "--clips", "0"), "0 is out of range"),
        (("--data", "{data}", "--calibration", "best"), "'best' is not one of"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_would_be_right(ponas, place, options, says):
    given = [option.format(data=place / "data") for option in options]
    status, out, err = ponas("quantize", place / "two.pt", *given)
    assert (status, out) == (2, "")
    assert says in err.splitlines()[-1]
