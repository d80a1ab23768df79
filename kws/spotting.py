"""The keywords in a stream of sound: windows, features, network, detection.

Shapes: N windows, H coefficients, W frames, K words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kws.detection import Detection, DetectionSettings, Detector
from kws.errors import InputError
from kws.metrics import NO_KEYWORDS, softmax
from kws.mfcc import MfccSettings, mfcc
from kws.windows import Samples, SlidingWindows
from kws.words import CLIP_SAMPLES, SAMPLE_RATE_HZ

Engine = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""Features [N, H, W] as `mfcc` makes them to logits [N, K]."""

BATCH = 64
"""Windows through the network at once; more needs memory and gains nothing."""

_LEVEL_SAMPLES = SAMPLE_RATE_HZ // 32  # the level of a window is that of its loudest 31 ms


@dataclass(frozen=True, kw_only=True)
class SpottingSettings:
    """How a stream is listened to; the defaults are tuned by `tools.bench_spotting`.

    Raises:
        InputError: for a setting out of range.

    """

    step_samples: int = 2000
    """From window to window: 1/8 s."""

    gate_dbfs: float = -60.0
    """A window without a moment as loud as this, relative to full scale, holds no word and is not
    shown to the network."""

    detection: DetectionSettings = field(default_factory=DetectionSettings)

    def __post_init__(self) -> None:
        if type(self.step_samples) is not int or not 1 <= self.step_samples <= CLIP_SAMPLES:
            raise InputError(
                f"step_samples is {self.step_samples!r}; 1 to {CLIP_SAMPLES} are allowed"
            )
        if not -200 <= self.gate_dbfs <= 0:
            raise InputError(f"gate_dbfs is {self.gate_dbfs}; -200 to 0 are allowed")


class Spotter:
    """Hears block after block of mono sound at 16 kHz; what it keeps is one second."""

    def __init__(
        self,
        engine: Engine,
        words: Sequence[str],
        features: MfccSettings,
        settings: SpottingSettings | None = None,
    ) -> None:
        self._engine, self._words, self._features = engine, tuple(words), features
        self._settings = settings or SpottingSettings()
        self._windows = SlidingWindows(self._settings.step_samples)
        self._detector = Detector(
            words, self._settings.step_samples / SAMPLE_RATE_HZ, self._settings.detection
        )
        self._seen = 0

    @property
    def seconds(self) -> float:
        """Heard so far."""
        return self._windows.samples / SAMPLE_RATE_HZ

    @property
    def knows_none(self) -> bool:
        """Whether the network can say that it heard no keyword."""
        return any(word in NO_KEYWORDS for word in self._words)

    def warm_up(self) -> None:
        """Loads what loads at its first use, so that it is not in the time of the sound."""
        self._engine(mfcc(np.zeros(CLIP_SAMPLES, np.float32), self._features)[None])

    def hear(self, block: Samples) -> list[Detection]:
        """Detections that are certain after ``block`` [n], in -1..1."""
        return self._detect(self._windows.add(block))

    def finish(self) -> list[Detection]:
        """The last detections; nothing can be heard after it."""
        return self._detect(self._windows.finish()) + self._detector.finish()

    def _detect(self, windows: Samples) -> list[Detection]:
        found: list[Detection] = []
        for start in range(0, len(windows), BATCH):
            for row in self._confidences(windows[start : start + BATCH]):
                time_s = self._seen * self._settings.step_samples / SAMPLE_RATE_HZ
                self._seen += 1
                found += self._detector.add(time_s, row)
        return found

    def _confidences(self, windows: Samples) -> npt.NDArray[np.float64]:
        """Rows [N, K]; of a window behind the gate no word has any."""
        from threadpoolctl import threadpool_limits

        rows = np.zeros((len(windows), len(self._words)))
        loud = level_dbfs(windows) >= self._settings.gate_dbfs
        if loud.any():
            with threadpool_limits(limits=1):  # as for clips: sums keep one order
                features = np.stack([mfcc(window, self._features) for window in windows[loud]])
            rows[loud] = softmax(self._engine(features))
        return rows


def level_dbfs(windows: Samples) -> npt.NDArray[np.float64]:
    """Mean power [N] of the loudest 31 ms of each window [N, 16000], relative to full scale."""
    moments = windows.reshape(len(windows), -1, _LEVEL_SAMPLES)
    power = np.square(moments, dtype=np.float64).mean(axis=2).max(axis=1)
    level: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-20))
    return level
