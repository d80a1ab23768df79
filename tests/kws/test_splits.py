from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kws.splits import official_split, speaker_of


def test_clips_of_the_official_test_set_are_hashed_to_it():
    # Names from the Speech Commands v0.02 test set.
    for name in ("653a48f5", "0c40e715", "67961766", "e49428d9", "fb7eb481"):
        assert official_split(f"{name}_nohash_0.wav") == "testing"


def test_clips_of_the_official_validation_list_are_hashed_to_it():
    # Names from validation_list.txt of v0.02. All 9,981 names of it and all 11,005 of
    # testing_list.txt were hashed once, and agreed.
    for name in (
        "3bdf05d3",
        "7eee5973",
        "1657c9fa",
        "6071a214",
        "86478fab",
        "0d82fd99",
        "73f20b00",
    ):
        assert official_split(f"{name}_nohash_0.wav") == "validation"


@given(st.text("0123456789abcdef", min_size=8, max_size=8), st.integers(0, 99))
def test_all_clips_of_a_speaker_share_a_split(speaker, number):
    assert speaker_of(f"{speaker}_nohash_{number}.wav") == speaker
    assert official_split(f"{speaker}_nohash_{number}.wav") == official_split(
        f"{speaker}_nohash_0.flac"
    )


def test_speakers_are_split_80_10_10():
    counts = Counter(official_split(f"{n:08x}_nohash_0.wav") for n in range(4000))
    assert abs(counts["training"] / 4000 - 0.8) < 0.02
    assert abs(counts["validation"] / 4000 - 0.1) < 0.015
    assert abs(counts["testing"] / 4000 - 0.1) < 0.015
