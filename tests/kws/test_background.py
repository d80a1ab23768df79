import shutil

import numpy as np
import soundfile

from kws import clip_audio
from kws.background import noise_files, write_noise
from kws.features import prepare
from kws.splits import official_split

TONE = np.linspace(-0.5, 0.5, 40_000)


def folder_with(tmp_path, recordings):
    folder = tmp_path / "_background_noise_"
    folder.mkdir()
    for name, samples in recordings.items():
        soundfile.write(folder / name, samples, 16_000, subtype="PCM_16")
    return tmp_path


def test_long_recordings_are_cut_into_whole_seconds(tmp_path):
    root = folder_with(tmp_path, {"hum.wav": TONE})
    write_noise(tmp_path / "noise.npy", root)
    clips = clip_audio.load(tmp_path / "noise.npy")
    assert clips.shape == (2, 16_000)
    written, _ = soundfile.read(root / "_background_noise_" / "hum.wav", dtype="int16")
    assert np.array_equal(clips.reshape(-1), written[:32_000])


def test_short_recordings_of_other_splits_are_left_out(tmp_path):
    names = [f"noise{number}.wav" for number in range(40)]
    root = folder_with(tmp_path, dict.fromkeys(names, TONE[:16000]))
    kept = [path.name for path, _ in noise_files(root)]
    assert kept == sorted(name for name in names if official_split(name) == "training")
    assert 0 < len(kept) < len(names)


def test_without_noise_there_is_none(tmp_path):
    write_noise(tmp_path / "noise.npy", tmp_path)
    assert clip_audio.load(tmp_path / "noise.npy").shape == (0, 16_000)


def test_what_cannot_be_read_is_passed_over(tmp_path):
    root = folder_with(tmp_path, {"hum.wav": TONE})
    (root / "_background_noise_" / "broken.wav").write_bytes(b"no sound")
    assert [path.name for path, _ in noise_files(root)] == ["hum.wav"]


def test_a_set_has_the_noise_of_its_folder_and_is_another_with_other_noise(
    generated_set, feature_set, tmp_path
):
    there = noise_files(generated_set)
    assert len(feature_set.noise()) == sum(samples // 16_000 for _, samples in there)
    assert len(there) > 0
    changed = tmp_path / "changed"
    shutil.copytree(generated_set, changed)
    soundfile.write(changed / "_background_noise_" / "more.wav", TONE, 16_000)
    other = prepare(changed, cache_dir=tmp_path / "cache", workers=1)
    assert other.digest != feature_set.digest
    assert len(other.noise()) == len(feature_set.noise()) + 2
