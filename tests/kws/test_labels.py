import math
from collections import Counter

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from kws.errors import InputError
from kws.features import prepare
from kws.labels import ALL, NAMED, TEN, TWELVE, LabelSet, labelled_clips, parse_labels
from kws.speech_commands import list_clips, locate
from kws.splits import SPLITS
from kws.words import KEYWORDS, OTHER_WORDS

MINE = "yes,no,_unknown_,_silence_"


def write_noise(root, name, seconds, value=0.25):
    folder = root / "_background_noise_"
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / name, np.full(int(16000 * seconds), value), 16000)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Two wanted words and three others of 60 speakers each, empty files, and noise."""
    root = tmp_path_factory.mktemp("words")
    for word in ("yes", "no", "bird", "cat", "Grüß Gott"):
        (root / word).mkdir()
        for speaker in range(60):
            (root / word / f"{speaker:08x}_nohash_0.wav").touch()
    write_noise(root, "a tap.wav", 3)
    write_noise(root, "bus.wav", 10)
    return root


def by_label(listing):
    return Counter((clip.label, clip.split) for clip in listing.clips)


def test_the_named_sets_are_the_papers_and_the_benchmarks():
    assert parse_labels("ten") == TEN == LabelSet(KEYWORDS)
    assert parse_labels("all") == ALL
    assert parse_labels(" twelve ").labels(None) == ("_silence_", "_unknown_", *KEYWORDS)
    assert set(NAMED) == {"ten", "twelve", "all"}


def test_words_keep_their_order_behind_silence_and_unknown():
    assert parse_labels("no, yes").labels(None) == ("no", "yes")
    assert parse_labels(MINE).labels(None) == ("_silence_", "_unknown_", "yes", "no")
    assert parse_labels("yes,_unknown_").labels(None) == ("_unknown_", "yes")


@given(
    st.lists(st.sampled_from(OTHER_WORDS), min_size=2, unique=True), st.booleans(), st.booleans()
)
def test_labels_of_a_network_give_the_set_they_came_from(words, silence, unknown):
    labels = LabelSet(tuple(words), silence=silence, unknown=unknown)
    assert LabelSet.of(labels.labels(None)) == labels


@pytest.mark.parametrize("labels", [("yes", "_silence_"), ("_unknown_", "_silence_", "yes")])
def test_labels_of_a_network_in_another_order_are_refused(labels):
    with pytest.raises(InputError, match="out of order: '_silence_' comes first"):
        LabelSet.of(labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' names no labels; write ten, twelve, all, or two words or more"),
        ("eleven", "'eleven' names no labels"),
        ("yes,,no", "names no labels"),
        ("yes,no,yes", "the word 'yes' is given 2 times"),
        ("yes,_silence_,_silence_", "'_silence_' is given 2 times"),
    ],
)
def test_what_names_no_labels_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_labels(text)


def test_one_label_is_not_enough():
    with pytest.raises(InputError, match="at least 2 labels are needed to tell apart, got 1"):
        LabelSet(("yes",))


def test_silence_and_unknown_are_a_tenth_of_the_words_in_each_split_rounded_up(words):
    counts = by_label(labelled_clips(words, parse_labels(MINE)))
    assert len(counts) == 12
    for split in SPLITS:
        keywords = counts["yes", split] + counts["no", split]
        assert keywords > 0
        expected = math.ceil(keywords / 10)
        assert counts["_unknown_", split] == counts["_silence_", split] == expected


def test_unknown_clips_are_of_other_words_and_of_their_own_split(words):
    everything = {c.name: c.split for c in labelled_clips(words, ALL).clips}
    drawn = [c for c in labelled_clips(words, parse_labels(MINE)).clips if c.label == "_unknown_"]
    assert {clip.name.split("/")[0] for clip in drawn} <= {"bird", "cat", "Grüß Gott"}
    assert all(everything[clip.name] == clip.split for clip in drawn)
    assert len({clip.name for clip in drawn}) == len(drawn)


def test_the_draw_is_that_of_the_benchmark(words):
    """A second implementation, step by step as the reference has it."""
    import random

    found = labelled_clips(words, parse_labels(MINE))
    random.seed(59185)
    others = list_clips(words, ["bird", "cat", "Grüß Gott"]).clips
    for split in ("validation", "testing", "training"):
        unknown = sorted(clip.name for clip in others if clip.split == split)
        random.shuffle(unknown)
        size = sum(c.split == split and c.label in ("yes", "no") for c in found.clips)
        expected = unknown[: math.ceil(size * 10 / 100)]
        drawn = {c.name for c in found.clips if (c.label, c.split) == ("_unknown_", split)}
        assert drawn == set(expected)


def test_the_same_folder_gives_the_same_clips(words):
    assert labelled_clips(words, parse_labels(MINE)) == labelled_clips(words, parse_labels(MINE))


def test_every_folder_is_a_label_where_all_are_asked_for(words):
    listing = labelled_clips(words, ALL)
    assert ALL.labels(words) == ("Grüß Gott", "bird", "cat", "no", "yes")
    assert set(by_label(listing)) == {(w, s) for w in ALL.labels(words) for s in SPLITS}


def test_a_folder_with_one_word_is_refused(tmp_path):
    (tmp_path / "yes").mkdir()
    with pytest.raises(InputError, match="has 1 folders of words; at least 2"):
        labelled_clips(tmp_path, ALL)


def test_unknown_without_other_words_is_refused(tmp_path):
    for word in ("yes", "no"):
        (tmp_path / word).mkdir()
        (tmp_path / word / "a.wav").touch()
    with pytest.raises(InputError, match="no folder of another word, of which '_unknown_'"):
        labelled_clips(tmp_path, parse_labels("yes,no,_unknown_"))


def test_fewer_other_clips_than_wanted_are_all_taken(tmp_path):
    for word, clips in (("yes", 200), ("no", 200), ("bird", 5)):
        (tmp_path / word).mkdir()
        for number in range(clips):
            (tmp_path / word / f"{number:08x}_nohash_0.wav").touch()
    counts = by_label(labelled_clips(tmp_path, parse_labels("yes,no,_unknown_")))
    assert sum(n for (label, _), n in counts.items() if label == "_unknown_") == 5


def test_a_set_of_twelve_is_prepared_with_its_silence(generated_set, tmp_path):
    data = prepare(generated_set, cache_dir=tmp_path, labels=TWELVE, workers=1)
    assert data.words == ("_silence_", "_unknown_", *KEYWORDS)
    for split, part in data.splits.items():
        keywords = sum(part.labels >= 2)
        assert sum(part.labels == 0) == math.ceil(keywords / 10)
        assert 0 < sum(part.labels == 1) <= math.ceil(keywords / 10)
        silence = data.audio(split)[part.labels == 0]
        assert silence.any(axis=1).all()
    again = prepare(generated_set, cache_dir=tmp_path, labels=TWELVE, workers=1)
    assert again.digest == data.digest


def test_the_test_set_of_human_speech_has_the_benchmarks_sizes(human_speech, tmp_path):
    root = locate(human_speech, tmp_path)
    counts = by_label(labelled_clips(root, TWELVE))
    for split in SPLITS:
        keywords = sum(counts[word, split] for word in KEYWORDS)
        assert counts["_silence_", split] == math.ceil(keywords / 10)
        assert 0 < counts["_unknown_", split] <= math.ceil(keywords / 10)
    assert math.ceil(4074 / 10) == 408  # keyword clips and unknown ones of the whole test set
