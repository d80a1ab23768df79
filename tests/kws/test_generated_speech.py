import hashlib
import json
import sys
from collections import Counter

import numpy as np
import pytest
import soundfile

from kws.errors import InputError, MissingToolError, StorageError
from kws.generated_speech import generate, render_clip
from kws.generation_plan import ACCENTS, VARIANTS, plan_clips
from kws.speech_commands import list_clips
from kws.splits import official_split
from kws.synthesis import Delivery, open_synthesiser
from kws.words import KEYWORDS, OTHER_WORDS


def content_of(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_set_is_identical_for_a_seed_whatever_the_number_of_processes(generated_set, tmp_path):
    again = generate(tmp_path / "again", clips=240, seed=3, workers=3)
    assert content_of(again) == content_of(generated_set)


def test_a_clip_does_not_depend_on_what_was_said_before():
    plan = plan_clips(clips=240, seed=3)[::6]
    forwards = [render_clip(clip, seed=3).tobytes() for clip in plan]
    backwards = [render_clip(clip, seed=3).tobytes() for clip in reversed(plan)]
    assert forwards == backwards[::-1]


def test_every_voice_says_the_same_word_twice_the_same():
    for variant in VARIANTS:
        delivery = Delivery(
            accent="en", variant=variant, pitch=50, pitch_range=50, words_per_minute=170
        )
        said = []
        for _ in range(2):
            with open_synthesiser() as synthesiser:
                said.append(synthesiser.say("stop", delivery))
        assert len(said[0]) > 1000
        assert np.array_equal(*said)


def test_another_seed_makes_another_set():
    first, second = plan_clips(clips=240, seed=3)[0], plan_clips(clips=240, seed=4)[0]
    assert first.path != second.path
    assert not np.array_equal(render_clip(first, seed=3), render_clip(first, seed=4))


def test_voices_are_many_and_in_one_split_each():
    plan = plan_clips(clips=4000, seed=0)
    assert len({(c.delivery.accent, c.delivery.variant) for c in plan}) >= 200
    for of_clip in (
        lambda clip: clip.path.split("/")[1][:8],
        lambda clip: clip.delivery.variant,
    ):
        splits = {}
        for clip in plan:
            splits.setdefault(of_clip(clip), set()).add(clip.split)
        assert all(len(found) == 1 for found in splits.values())


def test_babble_is_spoken_by_voices_of_the_same_split():
    plan = plan_clips(clips=240, seed=0)
    for clip in plan:
        own = {other.delivery.variant for other in plan if other.split == clip.split}
        assert {voice.variant for voice in clip.neighbours} <= own


def test_keywords_are_even_in_every_split():
    plan = plan_clips(clips=4000, seed=1)
    for split, size in (("training", 3200), ("validation", 400), ("testing", 400)):
        counts = Counter(clip.word for clip in plan if clip.split == split)
        assert sum(counts.values()) == size
        assert {counts[word] for word in KEYWORDS} == {size * 9 // 100}
        assert set(counts) == {*KEYWORDS, *OTHER_WORDS}


def test_the_smallest_set_has_every_keyword_in_every_split():
    plan = plan_clips(clips=120, seed=0)
    for split in ("training", "validation", "testing"):
        assert {clip.word for clip in plan if clip.split == split} >= set(KEYWORDS)


def test_names_are_unique_and_the_official_hash_agrees_with_the_split():
    plan = plan_clips(clips=1000, seed=2)
    assert len({clip.path for clip in plan}) == 1000
    assert all(official_split(clip.path.split("/")[1]) == clip.split for clip in plan)


def test_clips_are_one_second_of_sound_of_differing_loudness(generated_set):
    peaks = []
    for path in sorted(generated_set.glob("*/*_nohash_*.wav"))[::10]:
        samples, rate_hz = soundfile.read(path, dtype="int16")
        assert (rate_hz, samples.shape) == (16000, (16000,))
        peaks.append(np.abs(samples.astype(int)).max())
    assert min(peaks) > 1000
    assert max(peaks) > 3 * min(peaks)


def test_the_layout_is_that_of_speech_commands(generated_set):
    listing = list_clips(generated_set, KEYWORDS)
    assert listing.left_out == ()
    assert Counter(clip.split for clip in listing.clips)["validation"] == 22
    origin = json.loads((generated_set / "origin.json").read_text())
    assert origin["kind"] == "generated speech"
    assert (origin["clips"], origin["seed"]) == (240, 3)
    assert origin["synthesiser"].startswith("espeak-ng")
    assert len(list((generated_set / "_background_noise_").glob("*.wav"))) == 3


def test_the_same_set_is_not_made_twice_and_another_is_not_overwritten(generated_set):
    before = (generated_set / "origin.json").stat().st_mtime_ns
    assert generate(generated_set, clips=240, seed=3) == generated_set
    assert (generated_set / "origin.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="is not the generated set of 240 clips and seed 4"):
        generate(generated_set, clips=240, seed=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clips": 119}, "at least 120 clips"),
        ({"seed": -1}, "from 0, got -1"),
        ({"workers": 0}, "at least 1 worker"),
    ],
)
def test_impossible_sets_are_refused_and_nothing_is_left(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        generate(tmp_path / "set", **{"clips": 120, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        "kws.generated_speech.map_processes", lambda work, items, **_: work(items[:1])
    )
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(StorageError, match=r"cannot write .*set: No space left on device"):
        generate(tmp_path / "set", clips=120)
    assert list(tmp_path.iterdir()) == []


def test_without_the_synthesiser_its_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingToolError, match="pip install espeakng-loader"):
        generate(tmp_path / "set", clips=120)
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_does_not_load_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "espeakng_loader.get_library_path", lambda: str(tmp_path / "libespeak-ng.so")
    )
    with pytest.raises(MissingToolError, match=r"cannot be loaded .*espeakng-loader"):
        generate(tmp_path / "set", clips=120)


def test_accents_and_variants_are_named_once():
    assert len(set(ACCENTS)) == len(ACCENTS)
    assert len(set(VARIANTS)) == len(VARIANTS)
