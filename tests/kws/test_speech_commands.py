import os
from collections import Counter
from hashlib import sha1

import pytest

from kws.errors import InputError
from kws.speech_commands import LeftOut, list_clips, locate, word_folders
from kws.splits import official_split
from kws.words import KEYWORDS


@pytest.fixture
def layout(tmp_path):
    """Two words with ten speakers each; what the files hold is not looked at here."""
    for word in ("yes", "no", "_background_noise_", ".git"):
        (tmp_path / word).mkdir()
        for speaker in range(10):
            (tmp_path / word / f"{speaker:08x}_nohash_0.wav").touch()
    return tmp_path


def write_lists(root, validation, testing):
    (root / "validation_list.txt").write_text("".join(f"{name}\n" for name in validation))
    (root / "testing_list.txt").write_text("".join(f"{name}\n" for name in testing))


def test_without_lists_the_official_hash_splits(layout):
    listing = list_clips(layout, ["yes", "no"])
    assert len(listing.clips) == 20
    for clip in listing.clips:
        assert clip.split == official_split(clip.name.split("/")[1])


def test_a_name_without_a_speaker_is_hashed_whole_as_the_official_rule_does(layout):
    names = [f"recording {number}.wav" for number in range(40)]
    for name in names:
        (layout / "yes" / name).touch()
    found = {c.name: c.split for c in list_clips(layout, ["yes"]).clips if "recording" in c.name}
    for name in names:
        digest = sha1(name.encode()).hexdigest()  # noqa: S324 - the published rule
        percent = int(digest, 16) % 2**27 * (100 / (2**27 - 1))
        expected = "validation" if percent < 10 else "testing" if percent < 20 else "training"
        assert found[f"yes/{name}"] == expected
    assert set(found.values()) == {"training", "validation", "testing"}


def test_lists_decide_where_they_are_there_also_for_converted_clips(layout):
    (layout / "no" / "00000001_nohash_0.wav").rename(layout / "no" / "00000001_nohash_0.flac")
    write_lists(layout, ["yes/00000000_nohash_0.wav"], ["no/00000001_nohash_0.wav", ""])
    splits = {clip.name: clip.split for clip in list_clips(layout, ["yes", "no"]).clips}
    assert splits["yes/00000000_nohash_0.wav"] == "validation"
    assert splits["no/00000001_nohash_0.flac"] == "testing"
    assert Counter(splits.values())["training"] == 18


def test_listed_clips_that_are_not_there_are_reported(layout):
    write_lists(layout, ["yes/feed_nohash_0.wav", "bird/feed_nohash_0.wav"], [])
    (missing,) = list_clips(layout, ["yes", "no"]).left_out
    assert missing == LeftOut(
        "yes/feed_nohash_0", "named in the validation list, but there is no such file"
    )


def test_an_accented_name_in_a_list_is_found_however_it_is_written(layout):
    (layout / "Grüß Gott").mkdir()
    (layout / "Grüß Gott" / "Zo\u0308e 1.wav").touch()  # o and a dieresis: as another system writes
    (layout / "Grüß Gott" / "Zöe 2.WAV").touch()
    write_lists(layout, ["Grüß Gott/Zöe 1.wav"], ["./Grüß Gott/Zöe 2.wav"])
    listing = list_clips(layout, ["Grüß Gott"])
    assert [clip.split for clip in listing.clips] == ["validation", "testing"]
    assert listing.left_out == ()


def test_a_name_of_stray_bytes_is_left_out_and_told(layout):
    (layout / "yes" / os.fsdecode(b"caf\xe9.wav")).touch()
    (missing,) = list_clips(layout, ["yes"]).left_out
    assert missing == LeftOut("'yes/caf\\udce9.wav'", "its name is not UTF-8")
    (layout / os.fsdecode(b"caf\xe9")).mkdir()
    with pytest.raises(InputError, match=r"folder 'caf\\udce9' .* is not UTF-8; rename it"):
        word_folders(layout)


def test_files_that_other_systems_leave_are_no_clips(layout):
    for name in ("._00000000_nohash_0.wav", ".DS_Store", "Thumbs.db", "LICENSE"):
        (layout / "yes" / name).touch()
    assert len(list_clips(layout, ["yes"]).clips) == 10


def test_a_pipe_named_like_a_clip_is_reported_and_not_opened(layout):
    os.mkfifo(layout / "yes" / "pipe.wav")
    listing = list_clips(layout, ["yes"])
    assert listing.left_out == (LeftOut("yes/pipe.wav", "not a regular file"),)


@pytest.mark.parametrize("word", ["up", "_background_noise_", "..", "yes/..", ""])
def test_a_keyword_without_a_folder_is_refused_by_name(layout, word):
    with pytest.raises(InputError, match=r"no folder for the keyword .*it has no, yes;"):
        list_clips(layout, ["yes", word])


def test_a_keyword_without_clips_is_refused_by_name(layout):
    (layout / "up").mkdir()
    (layout / "up" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"keyword 'up' .* has no \.wav or \.flac clip"):
        list_clips(layout, ["yes", "up"])


def test_one_list_without_the_other_is_refused(layout):
    (layout / "testing_list.txt").touch()
    with pytest.raises(InputError, match=r"has testing_list.txt but no validation_list.txt"):
        list_clips(layout, ["yes"])


def test_a_clip_in_both_lists_is_refused(layout):
    write_lists(layout, ["yes/0.wav"], ["yes/0.wav"])
    with pytest.raises(InputError, match=r"'yes/0.wav' is in both lists"):
        list_clips(layout, ["yes"])


def test_data_inside_a_single_folder_is_found(layout, tmp_path_factory):
    outer = tmp_path_factory.mktemp("outer")
    layout.rename(outer / "speech_commands")
    assert locate(outer, outer) == outer / "speech_commands"


def test_a_folder_with_a_single_word_is_itself_the_data(tmp_path):
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes" / "a.wav").touch()
    assert locate(tmp_path, tmp_path) == tmp_path


def test_data_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no data at .*missing; give a folder or archive"):
        locate(tmp_path / "missing", tmp_path)


def test_human_speech_has_its_clips_lists_and_speakers(human_speech, tmp_path):
    root = locate(human_speech, tmp_path)
    listing = list_clips(root, KEYWORDS)
    assert listing.left_out == ()
    assert len(listing.clips) == 3154
    speakers = {
        split: {c.name.split("/")[1][:8] for c in listing.clips if c.split == split}
        for split in ("training", "validation", "testing")
    }
    assert not speakers["training"] & speakers["validation"]
    assert not speakers["training"] & speakers["testing"]
    # All of it comes from the official test set, and the official hash says so.
    assert {official_split(clip.name.split("/")[1]) for clip in listing.clips} == {"testing"}
