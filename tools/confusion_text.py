"""A confusion matrix as text that fits a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

WIDTH = 100
"""Columns of text; a matrix that needs more is told by its commonest mistakes."""

MISTAKES = 20
"""Shown of a matrix that is too wide."""

_HEADING = 5  # letters of a word over its column


def confusion_lines(words: Sequence[str], confusion: npt.NDArray[np.int64]) -> list[str]:
    """Lines for a matrix [K spoken, K guessed]: itself, or its commonest mistakes where too wide.

    Nothing is written as ``.``, so that mistakes stand out.
    """
    names = [word.strip("_") for word in words]
    margin = max(len(name) for name in [*names, "spoken"])
    width = 1 + max(_HEADING, len(str(confusion.max(initial=0))))
    if margin + width * len(words) > WIDTH:
        return _mistakes(names, confusion)
    head = "".join(f"{name[:_HEADING]:>{width}}" for name in names)
    return [
        f"{'spoken':{margin}}{head}",
        *(
            f"{name:{margin}}" + "".join(f"{count or '.':>{width}}" for count in row.tolist())
            for name, row in zip(names, confusion, strict=True)
        ),
    ]


def _mistakes(names: Sequence[str], confusion: npt.NDArray[np.int64]) -> list[str]:
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    commonest = np.argsort(-wrong, axis=None, kind="stable")[:MISTAKES]
    margin = max(len(name) for name in names)
    lines = [f"the commonest mistakes ({np.count_nonzero(wrong)} pairs of words are confused):"]
    for place in commonest:
        spoken, guessed = divmod(int(place), len(names))
        if wrong[spoken, guessed]:
            lines.append(
                f"{names[spoken]:{margin}} heard as {names[guessed]:{margin}} "
                f"{wrong[spoken, guessed]:>5} of {confusion[spoken].sum()}"
            )
    return lines
