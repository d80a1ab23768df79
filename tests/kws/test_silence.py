from collections import Counter

import numpy as np
import pytest
import soundfile

from kws.clip_audio import FULL_SCALE, load
from kws.clip_features import compute_batch, create_audio
from kws.errors import InputError
from kws.mfcc import MfccSettings
from kws.silence import silence_clips
from kws.speech_commands import Listing
from kws.splits import official_split

WANTED = {"training": 300, "validation": 40, "testing": 40}


@pytest.fixture
def noise(tmp_path):
    folder = tmp_path / "_background_noise_"
    folder.mkdir()

    def write(name, samples, rate_hz=16000):
        soundfile.write(folder / name, samples, rate_hz, subtype="PCM_16")

    write.root, write.folder = tmp_path, folder
    return write


def draw(root, wanted=WANTED):
    return silence_clips(root, wanted, label="_silence_", seed=1)


def test_as_many_pieces_as_wanted_from_anywhere_in_any_long_recording(noise):
    noise("tap.wav", np.zeros(16000 * 60))
    noise("cat.flac", np.zeros(8000 * 30), 8000)
    clips = draw(noise.root)
    assert Counter(clip.split for clip in clips) == WANTED
    assert {clip.label for clip in clips} == {"_silence_"}
    for split in WANTED:
        names = {clip.name for clip in clips if clip.split == split}
        assert names == {"_background_noise_/tap.wav", "_background_noise_/cat.flac"}
    starts = [clip.part.start for clip in clips if clip.name.endswith("tap.wav")]
    assert 0 <= min(starts) < 16000 * 3
    assert 16000 * 56 < max(starts) < 16000 * 59
    assert max(c.part.start for c in clips if c.name.endswith("cat.flac")) < 16000 * 29
    volumes = [clip.part.volume for clip in clips]
    assert 0 <= min(volumes) < 0.05
    assert 0.95 < max(volumes) <= 1
    assert np.mean(volumes) == pytest.approx(0.5, abs=0.06)


def test_a_recording_of_one_second_belongs_to_one_split(noise):
    for number in range(60):
        noise(f"{number:08x}_nohash_0.wav", np.zeros(16000))
    clips = draw(noise.root)
    assert Counter(clip.split for clip in clips) == WANTED
    for clip in clips:
        assert clip.part.start == 0
        assert official_split(clip.name.split("/")[1]) == clip.split


def test_a_single_short_recording_serves_all_splits(noise):
    noise("only.wav", np.zeros(4000))
    assert Counter(clip.split for clip in draw(noise.root)) == WANTED


def test_the_draw_does_not_depend_on_other_files(noise):
    noise("tap.wav", np.zeros(16000 * 60))
    before = draw(noise.root)
    (noise.folder / "README.md").touch()
    (noise.folder / "broken.wav").write_bytes(b"not a sound")
    (noise.folder / "._tap.wav").write_bytes(b"left by another system")
    assert draw(noise.root) == before


def test_a_clip_is_the_piece_that_was_drawn_at_its_volume(noise, tmp_path):
    ramp = (np.arange(16000 * 3) // 2).astype(np.int16)
    noise("ramp.wav", ramp)
    clips = draw(noise.root, {"training": 4, "validation": 1, "testing": 1})
    rows = create_audio(tmp_path, Listing(noise.root, tuple(clips), ()))
    (computed, *_) = results = compute_batch(
        rows, root=noise.root, folder=tmp_path, settings=MfccSettings()
    )
    assert computed.features.shape == (40, 32)
    assert all(result.adjustments == () and not result.fault for result in results)
    audio = load(tmp_path / "training_audio.npy")
    for clip, row in rows[:4]:
        piece = ramp[clip.part.start : clip.part.start + 16000] * clip.part.volume
        np.testing.assert_allclose(audio[row], piece, atol=0.51)
    assert np.abs(audio).max() < FULL_SCALE


@pytest.mark.parametrize("prepare", [lambda _: None, lambda folder: folder.mkdir()])
def test_silence_without_noise_is_refused_with_its_cure(tmp_path, prepare):
    prepare(tmp_path / "_background_noise_")
    with pytest.raises(InputError, match="put some there, or choose labels without it"):
        draw(tmp_path)
