import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax as scipy_softmax
from sklearn.metrics import confusion_matrix, top_k_accuracy_score

from kws.errors import InputError
from kws.metrics import metrics, softmax
from kws.shares import Share

TWELVE = ("_silence_", "_unknown_", "yes", "no", "up", "down")
TEN = ("yes", "no", "up", "down")


def answers(seed, words, clips=200):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(words), clips)
    logits = generator.normal(0, 2, (clips, len(words))).astype(np.float32)
    logits[np.arange(clips), labels] += 2
    return logits, labels


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_is_scikit_learns(k):
    logits, labels = answers(k, TWELVE)
    found = metrics(logits, labels, TWELVE, threshold=0.5, ranks=(k,)).top[k]
    theirs = top_k_accuracy_score(labels, logits, k=k, normalize=False, labels=range(6))
    assert found == Share(int(theirs), 200)


def test_of_equal_scores_the_first_word_is_guessed():
    found = metrics(np.zeros((3, 4), np.float32), np.array([0, 1, 3]), TEN, threshold=0.5)
    assert found.top[1] == Share(1, 3)
    assert found.confusion[:, 0].tolist() == [1, 1, 0, 1]


@given(st.integers(0, 2**32 - 1))
def test_the_confusion_matrix_is_scikit_learns(seed):
    logits, labels = answers(seed, TWELVE, clips=30)
    found = metrics(logits, labels, TWELVE, threshold=0.5)
    theirs = confusion_matrix(labels, logits.argmax(axis=1), labels=range(6))
    assert np.array_equal(found.confusion, theirs)
    assert found.top[1].count == np.trace(found.confusion)


def test_softmax_is_scipys_and_survives_large_logits():
    logits, _ = answers(0, TEN)
    assert softmax(logits) == pytest.approx(scipy_softmax(logits.astype(float), axis=1))
    assert softmax(np.array([[1e30, 0.0]], np.float32)).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("words", [TEN, TWELVE])
@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.9, 1.0])
def test_accepts_and_rejects_are_what_counting_clip_by_clip_gives(words, threshold):
    logits, labels = answers(9, words)
    found = metrics(logits, labels, words, threshold=threshold)
    confidences = scipy_softmax(logits.astype(float), axis=1)
    accepted = [words[row.argmax()] if row.max() >= threshold else None for row in confidences]
    spoken = [words[label] for label in labels]
    assert [each.word for each in found.keywords] == [w for w in words if w[0] != "_"]
    for each in found.keywords:
        pairs = [(s == each.word, a == each.word) for s, a in zip(spoken, accepted, strict=True)]
        assert each.false_rejects == Share(
            pairs.count((True, False)), sum(said for said, _ in pairs)
        )
        assert each.false_accepts == Share(
            pairs.count((False, True)), sum(not said for said, _ in pairs)
        )


def test_false_alarms_are_of_clips_without_a_keyword():
    #          silence  unknown  yes     no      up      down
    logits = [
        [9, 0, 0, 0, 0, 0],  # silence heard as silence
        [0, 9, 0, 0, 0, 0],  # silence heard as another word: no keyword, no alarm
        [0, 0, 9, 0, 0, 0],  # silence heard as yes: an alarm
        [0, 0, 0, 1, 1, 1],  # an unknown word heard as no, below the threshold
        [0, 0, 0, 0, 9, 0],  # an unknown word heard as up: an alarm
        [0, 0, 0, 9, 0, 0],
    ]  # yes heard as no: a false accept of no, but no alarm
    found = metrics(
        np.array(logits, np.float32), np.array([0, 0, 0, 1, 1, 2]), TWELVE, threshold=0.5
    )  # fmt: skip
    assert found.false_alarms == Share(2, 5)
    assert found.keywords[1].false_accepts == Share(1, 6)
    assert found.keywords[0].false_rejects == Share(1, 1)
    assert found.keywords[0].false_accepts == Share(1, 5)
    assert found.keywords[3].false_rejects == Share(0, 0)


def test_a_set_of_keywords_alone_says_nothing_of_false_alarms():
    logits, labels = answers(1, TEN)
    assert metrics(logits, labels, TEN, threshold=0.5).false_alarms is None


def test_a_higher_threshold_rejects_more_and_accepts_less():
    logits, labels = answers(2, TWELVE)
    rows = [metrics(logits, labels, TWELVE, threshold=t) for t in (0.0, 0.3, 0.6, 0.9)]
    for lower, higher in itertools.pairwise(rows):
        assert lower.false_alarms.count >= higher.false_alarms.count
        for a, b in zip(lower.keywords, higher.keywords, strict=True):
            assert a.false_rejects.count <= b.false_rejects.count
            assert a.false_accepts.count >= b.false_accepts.count


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_impossible_thresholds_are_refused(threshold):
    logits, labels = answers(0, TEN)
    with pytest.raises(InputError, match="0 to 1 is allowed"):
        metrics(logits, labels, TEN, threshold=threshold)


def test_answers_that_are_no_numbers_are_refused():
    logits, labels = answers(0, TEN)
    logits[3, 2] = np.nan
    with pytest.raises(InputError, match="not finite"):
        metrics(logits, labels, TEN, threshold=0.5)
