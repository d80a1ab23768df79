import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws.detection import Detection, DetectionSettings, Detector
from kws.errors import InputError

WORDS = ("_silence_", "_unknown_", "yes", "no")
STEP_SECONDS = 0.125


def detect(rows, settings, words=WORDS):
    """All detections, and after which window each came."""
    detector = Detector(words, STEP_SECONDS, settings)
    found, came = [], []
    for index, row in enumerate(rows):
        new = detector.add(index * STEP_SECONDS, np.asarray(row, float))
        found += new
        came += [index] * len(new)
    last = detector.finish()
    return found + last, came + [len(rows)] * len(last)


def slowly(rows, settings, words=WORDS):
    """The same from all rows at once: average, runs, then the more confident of close ones."""
    width = settings.average_windows
    nothing = np.zeros((width - 1, len(words)))
    padded = np.vstack([nothing, rows, nothing])
    count = len(rows) + width - 1
    averages = [padded[i : i + width].sum(axis=0) / width for i in range(count)]
    names = [
        words[a.argmax()]
        if a.max() >= settings.threshold and not words[a.argmax()].startswith("_")
        else None
        for a in averages
    ]
    found = []
    for name, group in itertools.groupby(range(count), key=lambda i: names[i]):
        if name is None:
            continue
        run = list(group)
        weights = [averages[i].max() for i in run]
        middle = np.average([i * STEP_SECONDS for i in run], weights=weights)
        new = Detection(middle - (width - 1) / 2 * STEP_SECONDS, name, max(weights))
        if found and new.time_s - found[-1].time_s < settings.apart_seconds - 1e-9:
            if new.confidence > found[-1].confidence:
                found[-1] = new
        else:
            found.append(new)
    return found


@st.composite
def hearings(draw):
    """Confidences that are large for a few windows now and then."""
    count = draw(st.integers(0, 60))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    best = np.repeat(generator.integers(0, 4, 60), generator.integers(1, 7, 60))[:count]
    logits = generator.normal(0, 1, (count, 4))
    logits[np.arange(count), best] += draw(st.sampled_from([2, 4, 8]))
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


settings = st.builds(
    DetectionSettings,
    average_windows=st.integers(1, 6),
    threshold=st.floats(0.3, 0.95),
    apart_seconds=st.sampled_from([0.0, 0.3, 0.51, 1.1]),
)


@given(hearings(), settings)
def test_window_by_window_is_as_all_at_once(rows, settings):
    found, _ = detect(rows, settings)
    expected = slowly(rows, settings)
    assert [each.word for each in found] == [each.word for each in expected]
    for each, other in zip(found, expected, strict=True):
        assert each.time_s == pytest.approx(other.time_s)
        assert each.confidence == pytest.approx(other.confidence)


@given(hearings(), settings)
def test_detections_are_keywords_above_the_threshold_and_apart(rows, settings):
    found, _ = detect(rows, settings)
    for each in found:
        assert each.word in {"yes", "no"}
        assert each.confidence >= settings.threshold
    for earlier, later in itertools.pairwise(found):
        assert later.time_s - earlier.time_s >= settings.apart_seconds - 1e-9


def rows_of(text):
    """A confident window for each letter: s, u, y, n; a dot is one that nothing was heard in."""
    table = dict(zip("suyn", np.eye(4), strict=True))
    return [table.get(letter, np.zeros(4)) for letter in text]


FOUR = DetectionSettings(average_windows=4, threshold=0.7, apart_seconds=0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("ssssssss", []),
        ("uuuuuuuu", []),  # other words are no detections
        ("ssyyyyss", [(0.4375, "yes")]),  # windows 2 to 5, their middle 3.5
        ("sssyssss", []),  # one window is an accident
        ("yyyyssss", [(0.1875, "yes")]),  # at the very beginning
        ("ssssyyyy", [(0.6875, "yes")]),  # at the very end
        ("ssyyyyyyyyyyss", [(0.8125, "yes")]),  # a long word is told once
        ("ssyyyysnnnnss", [(0.4375, "yes"), (1.0625, "no")]),
        ("ssyyyyuyyyyss", [(0.75, "yes")]),  # one doubtful window inside a word
    ],
)
def test_a_word_is_told_once_with_the_time_of_its_middle(text, expected):
    found, _ = detect(rows_of(text), FOUR)
    assert [(round(each.time_s, 4), each.word) for each in found] == expected


def test_of_two_words_too_close_the_more_confident_one_stays():
    rows = [*rows_of("ss"), *(0.8 * row for row in rows_of("yyy")), *rows_of("nnnnn...")]
    together = DetectionSettings(average_windows=1, threshold=0.7, apart_seconds=0.6)
    apart = DetectionSettings(average_windows=1, threshold=0.7, apart_seconds=0.4)
    assert [each.word for each in detect(rows, together)[0]] == ["no"]
    assert [each.word for each in detect(rows, apart)[0]] == ["yes", "no"]


def test_a_detection_comes_as_soon_as_nothing_can_change_it():
    found, came = detect(rows_of("ssyyyyssssssssss"), FOUR)
    assert [each.word for each in found] == ["yes"]
    # Middle 0.4375 s; windows average over 0.1875 s, and 0.5 s lie between two words.
    assert came == [9]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"average_windows": 0}, "average_windows is 0"),
        ({"average_windows": 1.5}, "average_windows is 1.5"),
        ({"threshold": 0.0}, "above 0 and up to 1 is allowed"),
        ({"threshold": float("nan")}, "above 0 and up to 1 is allowed"),
        ({"apart_seconds": -1.0}, "apart_seconds is -1.0"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        DetectionSettings(**wrong)
