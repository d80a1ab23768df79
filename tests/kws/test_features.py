import os
import pickle
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import kws.features
from kws.audio import read_clip
from kws.errors import InputError, StorageError
from kws.features import prepare
from kws.labels import ALL, LabelSet
from kws.mfcc import MfccSettings, mfcc
from kws.words import KEYWORDS


@pytest.fixture
def small_set(tmp_path):
    """Two words, three splits, sounds that differ; small enough to be computed in a test."""
    root = tmp_path / "data"
    generator = np.random.default_rng(0)
    for word in ("yes", "no"):
        (root / word).mkdir(parents=True)
        for speaker in "abcdef":
            sound = generator.uniform(-0.5, 0.5, 16000)
            soundfile.write(root / word / f"{speaker}_nohash_0.wav", sound, 16000)
    (root / "validation_list.txt").write_text("yes/e_nohash_0.wav\nno/e_nohash_0.wav\n")
    (root / "testing_list.txt").write_text("yes/f_nohash_0.wav\nno/f_nohash_0.wav\n")
    return root


def prepare_small(root, **changes):
    arguments = {
        "cache_dir": root.parent / "cache",
        "labels": LabelSet(("yes", "no")),
        "workers": 1,
    }
    return prepare(root, **{**arguments, **changes})


@pytest.fixture
def in_process(monkeypatch):
    """Computes features in this process and counts the times."""
    calls = []

    def map_here(work, items, **_):
        calls.append(len(items))
        return list(work(items))

    monkeypatch.setattr(kws.features, "map_processes", map_here)
    return calls


def test_a_generated_set_becomes_features_of_the_papers_shape(feature_set):
    assert feature_set.words == KEYWORDS
    sizes = {split: part.features.shape for split, part in feature_set.splits.items()}
    assert sizes == {
        "training": (173, 40, 32),
        "validation": (22, 40, 32),
        "testing": (22, 40, 32),
    }
    for part in feature_set.splits.values():
        assert part.features.dtype == np.float32
        assert part.labels.dtype == np.int64
        assert isinstance(part.features, np.memmap)
        assert set(part.labels) == set(range(10))
    assert feature_set.left_out == ()
    assert feature_set.origin["kind"] == "generated speech"


def test_rows_labels_and_names_belong_together(feature_set, generated_set):
    part = feature_set.splits["testing"]
    for row in (0, 7, 21):
        assert part.names[row].split("/")[0] == feature_set.words[part.labels[row]]
        samples = read_clip(generated_set / part.names[row]).samples
        np.testing.assert_allclose(part.features[row], mfcc(samples), rtol=1e-4, atol=1e-3)


def test_each_coefficient_has_mean_0_and_all_together_deviation_1_in_training(feature_set):
    normalised = feature_set.normalised("training")
    np.testing.assert_allclose(normalised.mean(axis=(0, 2)), 0, atol=1e-3)
    assert normalised.std() == pytest.approx(1, abs=1e-3)


def test_normalisation_comes_from_training_alone(feature_set):
    raw = feature_set.splits["validation"].features
    mean = feature_set.splits["training"].features.mean(axis=(0, 2), dtype=np.float64)
    shifted = raw - mean.astype(np.float32)[:, None]
    np.testing.assert_allclose(
        feature_set.normalised("validation") * feature_set.normalisation.std, shifted, atol=1e-2
    )


def test_features_do_not_depend_on_the_number_of_processes(small_set, tmp_path):
    one = prepare_small(small_set, workers=1)
    two = prepare_small(small_set, workers=2, cache_dir=tmp_path / "other")
    assert one.digest == two.digest
    for split, part in one.splits.items():
        assert np.array_equal(part.features, two.splits[split].features)


def test_what_is_cached_is_not_computed_again(small_set, in_process):
    first = prepare_small(small_set)
    second = prepare_small(small_set)
    assert in_process == [12]
    assert np.array_equal(first.normalised("training"), second.normalised("training"))


@pytest.mark.usefixtures("in_process")
def test_a_copy_elsewhere_is_the_same_data(small_set, tmp_path):
    copy = shutil.copytree(small_set, tmp_path / "copy")
    assert prepare_small(small_set).digest == prepare_small(copy).digest


def test_changed_content_of_the_same_size_and_time_is_computed_again(small_set, in_process):
    first = prepare_small(small_set)
    clip = small_set / "yes" / "a_nohash_0.wav"
    stat = clip.stat()
    data = bytearray(clip.read_bytes())
    data[-100:] = bytes(100)
    clip.write_bytes(data)
    os.utime(clip, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert prepare_small(small_set).digest != first.digest
    assert in_process == [12, 12]


@pytest.mark.usefixtures("in_process")
def test_other_settings_labels_and_lists_are_other_features(small_set):
    digests = {
        prepare_small(small_set).digest,
        prepare_small(small_set, labels=LabelSet(("no", "yes"))).digest,
        prepare_small(small_set, settings=MfccSettings(coefficients=20)).digest,
    }
    (small_set / "testing_list.txt").write_text("yes/d_nohash_0.wav\nno/d_nohash_0.wav\n")
    digests.add(prepare_small(small_set).digest)
    assert len(digests) == 4


@pytest.mark.usefixtures("in_process")
def test_a_broken_clip_is_left_out_by_name(small_set):
    (small_set / "yes" / "b_nohash_0.wav").write_bytes(b"not a sound")
    soundfile.write(small_set / "no" / "c_nohash_0.wav", np.zeros(0), 16000)
    data = prepare_small(small_set)
    assert {clip.name: clip.reason.split(":")[0] for clip in data.left_out} == {
        "yes/b_nohash_0.wav": "unreadable",
        "no/c_nohash_0.wav": "empty",
    }
    assert len(data.labels("training")) == 6
    assert prepare_small(small_set).left_out == data.left_out


@pytest.mark.usefixtures("in_process")
def test_what_was_done_to_clips_is_counted(small_set):
    soundfile.write(small_set / "yes" / "a_nohash_0.wav", np.full((4000, 2), 0.1), 8000)
    soundfile.write(small_set / "no" / "a_nohash_0.wav", np.full(16001, 0.1), 16000)
    assert prepare_small(small_set).adjusted == {
        "cut to one second": 1,
        "mixed down to mono": 1,
        "padded to one second": 1,
        "resampled to 16 kHz": 1,
    }


@pytest.mark.usefixtures("in_process")
def test_an_empty_testing_split_is_accepted(small_set):
    (small_set / "testing_list.txt").write_text("")
    assert prepare_small(small_set).normalised("testing").shape == (0, 40, 32)


@pytest.mark.usefixtures("in_process")
def test_data_without_a_needed_split_is_refused(small_set):
    (small_set / "validation_list.txt").write_text("")
    with pytest.raises(InputError, match="no usable clip is in the validation split"):
        prepare_small(small_set)
    assert not (small_set.parent / "cache" / "features").exists() or not list(
        (small_set.parent / "cache" / "features").iterdir()
    )


@pytest.mark.usefixtures("in_process")
def test_a_keyword_of_which_no_clip_can_be_read_is_refused(small_set):
    for clip in (small_set / "no").iterdir():
        clip.write_bytes(b"broken")
    with pytest.raises(
        InputError,
        match=r"keyword 'no' to train on .*; 6 clips were left out, the first: no/a_nohash",
    ):
        prepare_small(small_set)


@pytest.mark.usefixtures("in_process")
def test_a_users_own_words_with_any_names_are_labels(small_set):
    (small_set / "no").rename(small_set / "Grüß Gott")
    for name in ("validation_list.txt", "testing_list.txt"):
        text = (small_set / name).read_text(encoding="utf-8")
        (small_set / name).write_text(text.replace("no/", "Grüß Gott/"), encoding="utf-8")
    data = prepare_small(small_set, labels=ALL)
    assert data.words == ("Grüß Gott", "yes")
    assert data.labels("testing").tolist() == [0, 1]
    assert data.splits["testing"].names[0] == "Grüß Gott/f_nohash_0.wav"


@pytest.mark.usefixtures("in_process")
def test_a_word_of_three_clips_is_used_where_one_can_be_trained_on(small_set):
    for speaker in "bcd":
        (small_set / "no" / f"{speaker}_nohash_0.wav").unlink()
    labels = prepare_small(small_set).labels("training").tolist()
    assert (labels.count(0), labels.count(1)) == (4, 1)
    (small_set / "no" / "a_nohash_0.wav").unlink()
    with pytest.raises(InputError, match=r"'no' to train on \(2 are in other splits\); add some"):
        prepare_small(small_set)


@pytest.mark.usefixtures("in_process")
def test_clips_that_a_list_names_and_nobody_has_are_told(small_set):
    with (small_set / "testing_list.txt").open("a") as file:
        file.write("yes/gone_nohash_0.wav\n")
    (missing,) = prepare_small(small_set).left_out
    assert missing.name == "yes/gone_nohash_0"
    assert "named in the testing list, but there is no such file" in missing.reason


def test_a_missing_keyword_is_refused_by_name(small_set):
    with pytest.raises(InputError, match="no folder for the keyword 'up'"):
        prepare_small(small_set, labels=LabelSet(("yes", "no", "up")))


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    "damage", ["features.json", "training_features.npy", "testing_labels.npy", "training_audio.npy"]
)
def test_a_damaged_cache_is_refused_by_folder(small_set, damage):
    data = prepare_small(small_set)
    file = small_set.parent / "cache" / "features" / data.digest / damage
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match=data.digest) as caught:
        prepare_small(small_set)
    assert "delete" in str(caught.value)


@pytest.mark.usefixtures("in_process")
def test_a_cache_that_cannot_be_written_is_named(small_set, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.save", full)
    with pytest.raises(StorageError, match=r"cannot write .*: No space left on device"):
        prepare_small(small_set)
    assert list((small_set.parent / "cache" / "features").iterdir()) == []


def test_human_speech_is_prepared_once_and_loaded_fast(human_speech, tmp_path_factory):
    cache = tmp_path_factory.mktemp("human")
    data = prepare(human_speech, cache_dir=cache)
    sizes = {split: len(part.labels) for split, part in data.splits.items()}
    assert sizes == {"training": 2576, "validation": 210, "testing": 368}
    assert data.left_out == ()
    began = time.monotonic()
    assert prepare(human_speech, cache_dir=cache).digest == data.digest
    assert time.monotonic() - began < 1.0
    assert Path(cache, "features", data.digest).is_dir()


def test_the_samples_of_each_clip_are_kept_beside_its_features(feature_set, generated_set):
    for split, part in feature_set.splits.items():
        audio = feature_set.audio(split)
        assert audio.shape == (len(part.labels), 16000)
        assert isinstance(audio, np.memmap)
        for row in (0, len(audio) // 2, len(audio) - 1):
            expected, _ = soundfile.read(generated_set / part.names[row], dtype="int16")
            assert np.array_equal(audio[row], expected)


@pytest.mark.usefixtures("in_process")
def test_samples_stay_with_their_features_where_clips_are_left_out(small_set):
    for name in ("no/b", "yes/a", "yes/e"):
        (small_set / f"{name}_nohash_0.wav").write_bytes(b"not a sound")
    data = prepare_small(small_set)
    for split, part in data.splits.items():
        assert len(data.audio(split)) == len(part.names) > 0
        for row, name in enumerate(part.names):
            samples = data.audio(split)[row] / np.float32(32768)
            np.testing.assert_allclose(part.features[row], mfcc(samples), rtol=1e-4, atol=1e-3)
            expected, _ = soundfile.read(small_set / name, dtype="int16")
            assert np.array_equal(data.audio(split)[row], expected)


@pytest.mark.usefixtures("in_process")
def test_samples_of_a_split_without_clips_are_none(small_set):
    (small_set / "testing_list.txt").write_text("")
    assert prepare_small(small_set).audio("testing").shape == (0, 16000)


def test_samples_are_not_carried_to_another_process(feature_set):
    whole = sum(feature_set.audio(split).nbytes for split in feature_set.splits)
    plain = {s: replace(p, features=p.features[:1]) for s, p in feature_set.splits.items()}
    sent = pickle.dumps(replace(feature_set, splits=plain))
    assert len(sent) < whole / 50
    for split in feature_set.splits:
        assert np.array_equal(pickle.loads(sent).audio(split), feature_set.audio(split))  # noqa: S301


def test_a_set_without_samples_says_so(feature_set):
    part = replace(feature_set.splits["testing"], audio=None)
    with pytest.raises(InputError, match="features alone"):
        replace(feature_set, splits={"testing": part}).audio("testing")


def test_samples_that_are_on_another_machine_are_refused_by_path(feature_set, tmp_path):
    part = replace(feature_set.splits["testing"], audio=tmp_path / "gone" / "testing_audio.npy")
    with pytest.raises(InputError, match="samples of the testing clips cannot be read"):
        replace(feature_set, splits={"testing": part}).audio("testing")
