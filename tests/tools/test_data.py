"""`ponas data` on a small set in the layout of the published archives."""

import functools
import hashlib
import json
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile

import kws.features
from kws.published import PUBLISHED, PublishedSet

NAME = "speech-commands-v2"
MINE = "yes,no,_silence_,_unknown_"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Tones in place of words, and noise, without a folder around them."""
    root = tmp_path_factory.mktemp("speech")
    generator = np.random.default_rng(0)
    for pitch, word in enumerate(("yes", "no", "bird"), start=2):
        (root / word).mkdir()
        for speaker in range(20):
            tone = np.sin(np.arange(16000) * pitch / 20) + generator.normal(0, 0.1, 16000)
            soundfile.write(root / word / f"{speaker:08x}_nohash_0.wav", tone / 4, 16000)
    (root / "_background_noise_").mkdir()
    noise = generator.normal(0, 0.1, 48000)
    soundfile.write(root / "_background_noise_" / "tap.wav", noise, 16000)
    for split, speaker in (("validation", 18), ("testing", 19)):
        names = [f"{word}/{speaker:08x}_nohash_0.wav\n" for word in ("yes", "no", "bird")]
        (root / f"{split}_list.txt").write_text("".join(names))
    path = tmp_path_factory.mktemp("server") / "speech_commands_v9.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(root, arcname=".")
    return path


@pytest.fixture
def published(archive, monkeypatch):
    content = archive.read_bytes()
    stand_in = PublishedSet(
        name=NAME,
        file=archive.name,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    monkeypatch.setitem(PUBLISHED, NAME, stand_in)
    monkeypatch.setattr(kws.features, "map_processes", lambda work, items, **_: list(work(items)))
    return archive


@pytest.fixture
def mirror(published, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("urllib.request._opener", None)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=str(published.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_published_set_is_fetched_once_and_then_has_its_name(ponas, ponas_json, mirror, home):
    status, _, err = ponas("data", "info", NAME, "--labels", MINE)
    assert status == 2
    assert f"fetch it with: ponas data prepare {NAME}" in err

    status, out, err = ponas(
        "data", "prepare", NAME, "--mirror", mirror, "--labels", MINE, "--json"
    )
    assert status == 0, err
    found = json.loads(out)
    assert found["words"] == ["_silence_", "_unknown_", "yes", "no"]
    assert found["clips"]["training"] == {"_silence_": 4, "_unknown_": 4, "yes": 18, "no": 18}
    assert found["clips"]["testing"] == {"_silence_": 1, "_unknown_": 1, "yes": 1, "no": 1}
    assert found["origin"]["set"] == NAME
    assert f"fetching {NAME}: " in err
    assert not list((home / "cache" / "downloads").glob("*.gz"))

    again = ponas_json("data", "prepare", NAME, "--mirror", "http://127.0.0.1:9", "--labels", MINE)
    assert again == found == ponas_json("data", "info", NAME, "--labels", MINE)


def test_an_archive_at_hand_is_enough(ponas, published):
    status, out, err = ponas("data", "prepare", NAME, "--file", published, "--labels", "yes,no")
    assert status == 0, err
    assert "all" in out
    assert "fetching" not in err
    assert published.is_file()


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generated", "--mirror", "http://x"], "--mirror and --file are for speech-commands-v1"),
        ([NAME, "--mirror", "http://x", "--file", "y"], "give --mirror or --file, not both"),
        ([NAME, "--seed", "3"], "are for the data set 'generated' only"),
        ([NAME, "--labels", "some"], "'some' names no labels; write ten, twelve, all"),
        ([NAME, "--file", "gone"], "no file at gone; give the path of speech_commands_v9.tar.gz"),
        (["speech-commands-v3"], "no data at"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_fetched(
    ponas, home, arguments, message
):
    status, out, err = ponas("data", "prepare", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not home.exists()


def test_words_that_can_hardly_be_tested_are_told(ponas, archive, tmp_path, published):
    del published
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "mine", filter="data")
    (tmp_path / "mine" / "bird" / "00000013_nohash_0.wav").unlink()
    stereo = np.zeros((16000, 2)) + 0.1
    soundfile.write(tmp_path / "mine" / "bird" / "00000000_nohash_0.wav", stereo, 16000)
    status, out, err = ponas("data", "prepare", tmp_path / "mine", "--labels", "all")
    assert status == 0, err
    assert "few clips of 'bird': 18 to train, 1 to validate and 0 to test on" in out
    assert "mixed down to mono: 1 clips" in out
    assert "mixed down to mono: 1 clips" in err
    assert "left out bird/00000013_nohash_0: named in the testing list" in err
