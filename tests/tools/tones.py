"""A language of two words, a low and a high tone, and a network that knows it."""

from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from kws.architecture import Architecture
from kws.features import prepare
from kws.labels import LabelSet
from kws.model_file import save_model
from kws.training import train
from kws.training_settings import TrainingSettings

RATE_HZ = 16_000
FREQUENCY_HZ = {"low": 300, "high": 2_500, "other": 900}
ARCHITECTURE = Architecture.parse("3x3,8/2x2 3x3,8/2x2")


FOUR = LabelSet(("low", "high"), silence=True, unknown=True)
TWO = LabelSet(("low", "high"))


@cache  # once a session, for all modules that ask for it
def tone_place(base: Path) -> Path:
    """A folder in ``base`` with ``data``, ``cache``, and the networks four.pt and two.pt."""
    root = base / "tones"
    write_tones(root / "data")
    for name, labels in (("four", FOUR), ("two", TWO)):
        _write_model(root / f"{name}.pt", root / "data", labels, root / "cache")
    return root


def tones(seconds, *bursts, rate_hz=RATE_HZ, seed=0):
    """Samples of quiet noise with bursts of 0.3 s: (middle in seconds, word)."""
    samples = 3e-3 * np.random.default_rng(seed).normal(size=round(seconds * rate_hz))
    for middle, word in bursts:
        times = np.arange(round(0.3 * rate_hz)) / rate_hz
        start = round((middle - 0.15) * rate_hz)
        samples[start : start + len(times)] += 0.3 * np.sin(2 * np.pi * FREQUENCY_HZ[word] * times)
    return samples


def write_tones(folder: Path, clips: int = 30) -> Path:
    """A speech set of these words: half of the clips to train on, and a quarter for each test."""
    generator = np.random.default_rng(1)
    names = []
    for word in FREQUENCY_HZ:
        (folder / word).mkdir(parents=True)
        for number in range(clips):
            names.append(f"{word}/{number:08x}_nohash_0.wav")
            middle = generator.uniform(0.15, 0.85)
            samples = tones(1, (middle, word), seed=int(generator.integers(2**32)))
            soundfile.write(folder / names[-1], samples, RATE_HZ)
    (folder / "_background_noise_").mkdir()
    soundfile.write(folder / "_background_noise_" / "noise.wav", tones(20), RATE_HZ)
    (folder / "validation_list.txt").write_text("\n".join(names[0::4]))
    (folder / "testing_list.txt").write_text("\n".join(names[1::4]))
    return folder


def _write_model(path: Path, data: Path, labels: LabelSet, cache_dir: Path) -> None:
    """A network trained on them until it makes no mistake worth the name."""
    found = prepare(data, cache_dir=cache_dir, labels=labels, workers=1)
    settings = TrainingSettings(iterations=120, batch=20, learning_rate=5e-3)
    result = train(ARCHITECTURE, found, settings, seed=0, threads=1)
    assert result.validation.top1 > 0.9
    save_model(path, architecture=ARCHITECTURE, module=result.module, data=found)
