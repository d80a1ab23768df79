"""What a network's answers to labelled clips say of it, beyond how many are right.

Shapes: N clips, K words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kws.errors import InputError
from kws.labels import SILENCE, UNKNOWN
from kws.shares import Share

NO_KEYWORDS = (SILENCE, UNKNOWN)
"""Labels by which a network says that it heard no keyword."""

Scores = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class KeywordErrors:
    """The two ways to be wrong about one keyword, at a threshold.

    A clip is *accepted* as a word where that word is the network's best guess and its confidence
    (softmax of the logits) is at least the threshold.
    """

    word: str

    false_rejects: Share
    """Clips of the word that were not accepted as it, of all clips of the word."""

    false_accepts: Share
    """Clips of anything else that were accepted as it, of all clips of anything else.

    What else there is, the set says: with `_silence_` and `_unknown_` in it, noise and other words
    are among them; without, the other keywords are all, and the share says nothing of what happens
    at a word that is no keyword.
    """


@dataclass(frozen=True, kw_only=True, eq=False)
class Metrics:
    """Everything that is told of one network on one split."""

    words: tuple[str, ...]
    threshold: float

    top: dict[int, Share]
    """k -> clips whose word is among the k best guesses."""

    confusion: npt.NDArray[np.int64]
    """[K spoken, K guessed]: clips, whatever the confidence of the guess."""

    keywords: tuple[KeywordErrors, ...]

    false_alarms: Share | None
    """Clips of `_silence_` and `_unknown_` that were accepted as any keyword; None where the
    words have neither."""


def metrics(
    logits: Scores,
    labels: Labels,
    words: Sequence[str],
    *,
    threshold: float,
    ranks: Sequence[int] = (1, 5),
) -> Metrics:
    """The metrics of logits [N, K] for labels [N].

    Args:
        logits: A network's answers.
        labels: The places of the right words in ``words``.
        words: The K words, keywords and `NO_KEYWORDS`.
        threshold: Confidence from which an answer counts, 0 to 1.
        ranks: The k of top-k; those above K are K.

    Raises:
        InputError: for an impossible threshold, or logits that are not finite.

    """
    if not 0 <= threshold <= 1:
        raise InputError(f"the threshold is {threshold}; 0 to 1 is allowed")
    if not np.isfinite(logits).all():
        raise InputError("the network answers with numbers that are not finite: it is damaged")
    guesses = logits.argmax(axis=1)
    confident = softmax(logits).max(axis=1) >= threshold
    accepted = np.where(confident, guesses, -1)
    none = [index for index, word in enumerate(words) if word in NO_KEYWORDS]
    empty = np.isin(labels, none)
    alarms = empty & ~np.isin(accepted, [-1, *none])
    return Metrics(
        words=tuple(words),
        threshold=threshold,
        top={k: _within(logits, labels, k) for k in ranks},
        confusion=confusion(guesses, labels, len(words)),
        keywords=tuple(
            _keyword(word, labels == index, accepted == index)
            for index, word in enumerate(words)
            if index not in none
        ),
        false_alarms=Share(int(alarms.sum()), int(empty.sum())) if none else None,
    )


def softmax(logits: Scores) -> npt.NDArray[np.float64]:
    """Confidences [N, K], each row with the sum 1."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    normed: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return normed


def confusion(guesses: Labels, labels: Labels, count: int) -> npt.NDArray[np.int64]:
    """Clips [K spoken, K guessed] of guesses [N] and labels [N] among ``count`` words."""
    cells = np.bincount(labels * count + guesses, minlength=count * count)
    return cells.reshape(count, count).astype(np.int64)


def _within(logits: Scores, labels: Labels, k: int) -> Share:
    """Of equal scores the first word is the better guess."""
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return Share(int((best == labels[:, None]).any(axis=1).sum()), len(labels))


def _keyword(
    word: str, spoken: npt.NDArray[np.bool_], accepted: npt.NDArray[np.bool_]
) -> KeywordErrors:
    return KeywordErrors(
        word=word,
        false_rejects=Share(int((spoken & ~accepted).sum()), int(spoken.sum())),
        false_accepts=Share(int((~spoken & accepted).sum()), int((~spoken).sum())),
    )
