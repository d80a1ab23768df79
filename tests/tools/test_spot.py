"""`ponas spot` on recordings of two tones, with a network that knows them."""

import re

import numpy as np
import pytest
import soundfile
from tones import tone_place, tones

from kws.detection import DetectionSettings
from tools.main import run

SAID = ((1.2, "low"), (2.6, "high"), (4.1, "other"), (5.4, "low"))
HEARD = [(1.2, "low"), (2.6, "high"), (5.4, "low")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tone_place(tmp_path_factory.getbasetemp())
    soundfile.write(root / "said.wav", tones(7, *SAID), 16_000)
    soundfile.write(root / "none.wav", np.zeros(0), 16_000)
    return root


def check(detections):
    assert [word for _, word in detections] == [word for _, word in HEARD]
    assert [time for time, _ in detections] == pytest.approx([time for time, _ in HEARD], abs=0.15)


def test_words_are_printed_with_time_and_confidence_and_then_a_summary(place, ponas):
    status, out, err = ponas("spot", place / "four.pt", place / "said.wav")
    assert status == 0
    lines = [re.fullmatch(r" *(\d+\.\d\d) s  (\w+)  (0\.\d\d|1\.00)", x) for x in out.splitlines()]
    check([(float(line[1]), line[2]) for line in lines])
    assert re.search(r"heard 7\.00 s, 3 keywords; real-time factor 0\.\d{4}", err)
    assert "knows its" not in err


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "subtype", "adjusted"),
    [
        ("8 bit.wav", 16_000, 1, "PCM_U8", []),
        ("straße.flac", 44_100, 2, "PCM_24",
         ["2 channels mixed down to mono", "resampled from 44100 Hz to 16 kHz"]),
        ("float.wav", 22_050, 1, "FLOAT", ["resampled from 22050 Hz to 16 kHz"]),
    ],
)  # fmt: skip
def test_any_recording_is_heard_alike(
    place, ponas_json, tmp_path, name, rate_hz, channels, subtype, adjusted
):
    samples = np.tile(tones(7, *SAID, rate_hz=rate_hz)[:, None], channels)
    soundfile.write(tmp_path / name, samples, rate_hz, subtype=subtype)
    found = ponas_json("spot", place / "four.pt", tmp_path / name)
    check([(each["time_s"], each["word"]) for each in found["detections"]])
    assert found["adjusted"] == adjusted
    assert found["seconds"] == pytest.approx(7)
    assert found["knows_none"] is True
    assert found["real_time_factor"] > 0


def test_a_network_of_keywords_alone_takes_other_words_for_them_and_says_so(place, ponas):
    status, out, err = ponas("spot", place / "two.pt", place / "said.wav")
    assert status == 0
    assert len(out.splitlines()) > 3
    assert "knows its 2 keywords alone" in err
    assert "--labels twelve" in err


def test_a_threshold_that_nothing_reaches_hears_nothing(place, ponas_json):
    found = ponas_json("spot", place / "four.pt", place / "said.wav", "--threshold", "1")
    assert found["detections"] == []


def test_the_help_names_the_default_threshold(ponas):
    _, out, _ = ponas("spot", "--help")
    assert f"default: {DetectionSettings().threshold}]" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("four.pt",), "give the FILE of a recording, or --microphone"),
        (("four.pt", "said.wav", "--microphone"), "give the FILE of a recording, or --microphone"),
        (("four.pt", "said.wav", "--seconds", "3"), "--seconds is for --microphone"),
        (("absent.pt", "said.wav"), "absent.pt"),
        (("said.wav", "said.wav"), "cannot read"),
        (("four.pt", "absent.wav"), "no file absent.wav"),
        (("four.pt", "four.pt"), "four.pt cannot be read as sound"),
        (("four.pt", "none.wav"), "none.wav is empty: it has no samples"),
        (("four.pt", "said.wav", "--threshold", "0"), "allowed: above 0 and at most 1"),
    ],
)
def test_mistakes_are_told_in_one_line(place, ponas, monkeypatch, arguments, says):
    monkeypatch.chdir(place)
    status, out, err = ponas("spot", *arguments)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("ponas: ")
    assert says in err.splitlines()[-1]


def test_a_microphone_is_heard_until_it_is_interrupted(place, monkeypatch, capsys):
    def listen(*, seconds, on_loss):
        assert seconds is None
        on_loss()
        sound = tones(7, *SAID).astype(np.float32)
        yield from np.split(sound, 56)
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.microphone.listen", listen)
    assert run(["spot", str(place / "four.pt"), "--microphone"]) == 0
    captured = capsys.readouterr()
    words = [line.split() for line in captured.out.splitlines()]
    check([(float(time), word) for time, _, word, _ in words])
    assert "sound was lost" in captured.err
    assert "heard 7.00 s, 3 keywords" in captured.err


def test_a_file_whose_hearing_is_interrupted_ends_the_command(place, ponas, monkeypatch):
    def blocks(_sound):
        yield np.zeros(16_000, np.float32)
        raise KeyboardInterrupt

    monkeypatch.setattr("kws.sound.Sound.blocks", blocks)
    status, out, err = ponas("spot", place / "four.pt", place / "said.wav")
    assert (status, out) == (130, "")
    assert "heard" not in err
