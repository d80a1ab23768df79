import numpy as np
import pytest

from kws.detection import Detection
from kws.generation_plan import plan_clips
from kws.words import KEYWORDS, OTHER_WORDS
from tools.bench_spotting_scene import (
    NEW_WORDS,
    Score,
    SpokenWord,
    held_out_voices,
    make_scene,
    score,
)

VOICES = held_out_voices(240, seed=0)


def test_a_minute_has_every_word_once_in_order_and_is_the_same_for_a_seed():
    scene, again, other = make_scene(3, VOICES), make_scene(3, VOICES), make_scene(4, VOICES)
    assert np.array_equal(scene.samples, again.samples)
    assert scene.spoken == again.spoken != other.spoken
    assert scene.samples.shape == (960_000,)
    assert np.abs(scene.samples).max() == pytest.approx(0.5)
    assert sorted(each.word for each in scene.spoken) == sorted(
        [*KEYWORDS, *OTHER_WORDS, *NEW_WORDS]
    )
    times = [each.time_s for each in scene.spoken]
    assert times == sorted(times)


def test_words_are_louder_than_what_is_between_them():
    scene = make_scene(5, VOICES)
    power = np.square(scene.samples.reshape(-1, 160), dtype=np.float64).mean(axis=1)
    at_words = [power[int(100 * each.time_s) - 5 : int(100 * each.time_s) + 5].max()
                for each in scene.spoken]  # fmt: skip
    assert np.median(at_words) > 5 * np.median(power)


def test_voices_are_those_that_training_never_heard():
    trained = {c.delivery.variant for c in plan_clips(clips=240, seed=0) if c.split == "training"}
    assert {voice.variant for voice in VOICES}.isdisjoint(trained)
    assert VOICES


SPOKEN = (SpokenWord(1.0, "yes"), SpokenWord(3.0, "cat"), SpokenWord(5.0, "no"))


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ([], Score(0, 2, 0)),
        ([(1.1, "yes"), (5.4, "no")], Score(2, 0, 0)),
        ([(1.6, "yes")], Score(0, 2, 1)),  # too late
        ([(1.0, "no")], Score(0, 2, 1)),  # another word
        ([(0.9, "yes"), (1.3, "yes")], Score(1, 1, 1)),  # once a word
        ([(3.0, "yes")], Score(0, 2, 1)),  # at a word that is no keyword
    ],
)
def test_hits_misses_and_false_alarms(heard, expected):
    assert score([Detection(time, word, 0.9) for time, word in heard], SPOKEN) == expected


def test_scores_add_up():
    assert Score(1, 2, 3) + Score(10, 20, 30) == Score(11, 22, 33)
