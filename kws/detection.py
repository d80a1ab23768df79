"""From a network's answers over time to words with a time: smoothing, threshold, once a word.

The answers of overlapping windows are averaged, as Chen, Parada and Heigold (2014, "Small-footprint
keyword spotting using deep neural networks", section 2.3) smooth their posteriors; what their
decision then lacks is that a word is told once and when it was said. Shapes: K words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kws.errors import InputError
from kws.metrics import NO_KEYWORDS

Row = npt.NDArray[np.float64]
"""Confidences [K] of one window."""


@dataclass(frozen=True, kw_only=True)
class DetectionSettings:
    """When an answer is a detection; the defaults are tuned by `tools.bench_spotting`.

    Raises:
        InputError: for a setting out of range.

    """

    average_windows: int = 4
    """Windows in a row whose confidences are averaged; before the first and after the last
    nothing was heard."""

    threshold: float = 0.7
    """Averaged confidence from which a word is heard."""

    apart_seconds: float = 0.5
    """Of words heard closer than this one after another, the more confident one stays."""

    def __post_init__(self) -> None:
        if type(self.average_windows) is not int or not 1 <= self.average_windows <= 100:
            raise InputError(f"average_windows is {self.average_windows!r}; 1 to 100 are allowed")
        if not 0 < self.threshold <= 1:
            raise InputError(
                f"the threshold is {self.threshold}; above 0 and up to 1 is allowed, as in 0.7"
            )
        if not 0 <= self.apart_seconds <= 60:
            raise InputError(f"apart_seconds is {self.apart_seconds}; 0 to 60 are allowed")


@dataclass(frozen=True)
class Detection:
    """A word that was heard."""

    time_s: float
    """Of its middle."""

    word: str
    confidence: float
    """Highest averaged confidence."""


class Detector:
    """Takes one window's confidences after another; a detection comes when it is certain.

    A *run* is what lies between two windows in which a keyword is not, on average, both the most
    likely word and above the threshold. A run is one detection. Windows see a word as long before
    its middle as after, so the middle of the run, less the delay of the average, is the word's.
    """

    def __init__(
        self, words: Sequence[str], step_seconds: float, settings: DetectionSettings
    ) -> None:
        self._words = words
        self._settings = settings
        self._step_s, self._time_s = step_seconds, 0.0
        self._delay_s = (settings.average_windows - 1) / 2 * step_seconds
        self._rows: deque[Row] = deque(maxlen=settings.average_windows)
        self._run: list[tuple[float, float]] = []  # (time, averaged confidence)
        self._run_word = ""
        self._pending: Detection | None = None

    def add(self, time_s: float, row: Row) -> list[Detection]:
        """Detections that are certain after the window with its middle at ``time_s``."""
        self._time_s = time_s
        self._rows.append(row)
        average = np.sum(self._rows, axis=0) / self._settings.average_windows
        best = int(average.argmax())
        word, confidence = self._words[best], float(average[best])
        heard = confidence >= self._settings.threshold and word not in NO_KEYWORDS
        found = self._end_run() if not heard or word != self._run_word else []
        if heard:
            self._run_word = word
            self._run.append((time_s - self._delay_s, confidence))
        elif self._pending is not None and self._far_from_pending(time_s - self._delay_s):
            found += self._give_pending()
        return found

    def finish(self) -> list[Detection]:
        """What is left when the sound has ended: averages reach beyond the end as before it."""
        found: list[Detection] = []
        for _ in range(self._settings.average_windows - 1):
            found += self.add(self._time_s + self._step_s, np.zeros(len(self._words)))
        return found + self._end_run() + self._give_pending()

    def _end_run(self) -> list[Detection]:
        if not self._run:
            return []
        times, confidences = np.array(self._run).T
        middle = float(np.average(times, weights=confidences))
        new = Detection(middle, self._run_word, float(confidences.max()))
        self._run, self._run_word = [], ""
        found = self._give_pending() if self._far_from_pending(middle) else []
        if self._pending is None or new.confidence > self._pending.confidence:
            self._pending = new
        return found

    def _far_from_pending(self, time_s: float) -> bool:
        pending = self._pending
        return pending is not None and time_s - pending.time_s >= self._settings.apart_seconds

    def _give_pending(self) -> list[Detection]:
        given = [] if self._pending is None else [self._pending]
        self._pending = None
        return given
