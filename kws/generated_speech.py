"""A speech set in the Speech Commands layout, spoken by a synthesiser: the same for a seed.

What a clip sounds like follows from the seed and its own number alone, so neither the number of
processes nor their order matters. The library is bit-identical to itself on one machine type
and version of its dependencies; ``origin.json`` says which synthesiser spoke.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kws.errors import InputError, KwsError
from kws.generation_plan import ClipPlan, derived_generator, plan_clips
from kws.noise import EXPONENTS, coloured_noise, mix, with_power_one
from kws.parallel import OnProgress, map_processes
from kws.storage import new_folder, read_json, write_json
from kws.synthesis import Delivery, Synthesiser, open_synthesiser, synthesiser_version
from kws.words import CLIP_SAMPLES, KEYWORDS, OTHER_WORDS, SAMPLE_RATE_HZ

VERSION = 1
"""Raised whenever the clips of a seed change."""

SNR_DB = (5.0, 35.0)
"""Speech over noise: from a busy room to a quiet one."""

PEAK_DBFS = (-24.0, -2.0)
"""Loudest sample of a clip under full scale."""

BABBLE_WORDS = 5
NOISES = (*EXPONENTS, "babble")
NOISE_FILE_SECONDS = 10
_MARGIN_SAMPLES = 320  # 20 ms kept before and after a word
_SILENCE = 0.01  # of the peak


def generate(
    destination: Path,
    *,
    clips: int = 4000,
    seed: int = 0,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Writes a generated speech set into the new folder ``destination`` and returns it.

    The layout is that of Speech Commands: ``<word>/<speaker>_nohash_<n>.wav`` (16 kHz, mono,
    16 bit, one second), ``validation_list.txt``, ``testing_list.txt``, noise in
    ``_background_noise_``; ``origin.json`` says how it was made. Where ``destination`` already
    holds the set of the same seed and size, nothing is done.

    Args:
        destination: A folder that is not there yet; it appears whole or not at all.
        clips: How many to make; nine of ten are keywords.
        seed: Where every random choice comes from.
        workers: Processes at once; None is one a core.
        on_progress: Told the number of clips done and of all.

    Raises:
        InputError: for a size that is too small, or a destination that holds something else.
        MissingToolError: where the synthesiser is not installed.
        StorageError: where the clips cannot be written.

    """
    plan = plan_clips(clips=clips, seed=seed)
    origin = _origin(plan, seed)
    if destination.exists():
        _check_same(destination, origin)
        return destination
    with new_folder(destination) as folder:
        for word in sorted({clip.word for clip in plan}):
            (folder / word).mkdir()
        render = functools.partial(_render_batch, folder=folder, seed=seed)
        map_processes(render, plan, workers=workers, on_progress=on_progress)
        _write_noise(folder / "_background_noise_", seed)
        for split in ("validation", "testing"):
            names = sorted(clip.path for clip in plan if clip.split == split)
            (folder / f"{split}_list.txt").write_text("".join(f"{name}\n" for name in names))
        write_json(folder / "origin.json", origin)
    return destination


def _origin(plan: Sequence[ClipPlan], seed: int) -> dict[str, object]:
    voices = {(clip.delivery.accent, clip.delivery.variant) for clip in plan}
    return {
        "kind": "generated speech",
        "version": VERSION,
        "clips": len(plan),
        "seed": seed,
        "voices": len(voices),
        "keywords": list(KEYWORDS),
        "other_words": list(OTHER_WORDS),
        "splits": {
            split: sum(clip.split == split for clip in plan)
            for split in ("training", "validation", "testing")
        },
        "snr_db": list(SNR_DB),
        "noises": list(NOISES),
        "synthesiser": synthesiser_version(),
    }


def _check_same(destination: Path, origin: dict[str, object]) -> None:
    path = destination / "origin.json"
    found = read_json(path) if path.is_file() else None
    if found != origin:
        raise InputError(
            f"{destination} exists and is not the generated set of {origin['clips']} clips and "
            f"seed {origin['seed']}; delete it or name another folder"
        )


def _render_batch(batch: Sequence[ClipPlan], *, folder: Path, seed: int) -> list[None]:
    for clip in batch:
        _write_wav(folder / clip.path, render_clip(clip, seed=seed))
    return [None] * len(batch)


def render_clip(clip: ClipPlan, *, seed: int) -> npt.NDArray[np.int16]:
    """One second of sound, [16000]: a word in its voice at a random onset, over noise."""
    generator = derived_generator(seed, "clip", clip.number)
    noise_name = NOISES[generator.integers(len(NOISES))]
    with open_synthesiser() as synthesiser:
        speech = speak(synthesiser, clip.word, clip.delivery)
        if noise_name == "babble":
            noise = _babble(synthesiser, clip, generator)
        else:
            noise = coloured_noise(noise_name, CLIP_SAMPLES, generator)
    onset = int(generator.integers(CLIP_SAMPLES - len(speech) + 1))
    mixed = mix(speech, noise, onset=onset, snr_db=generator.uniform(*SNR_DB))
    peak = 10 ** (generator.uniform(*PEAK_DBFS) / 20) * np.iinfo(np.int16).max
    samples: npt.NDArray[np.int16] = np.rint(mixed * (peak / np.abs(mixed).max())).astype(np.int16)
    return samples


def speak(synthesiser: Synthesiser, word: str, delivery: Delivery) -> npt.NDArray[np.float64]:
    """A word at 16 kHz without the silence around it, at most one second."""
    import soxr

    spoken = synthesiser.say(word, delivery).astype(np.float64)
    loud = np.flatnonzero(np.abs(spoken) > _SILENCE * np.abs(spoken).max(initial=0.0))
    if len(loud) == 0:
        raise KwsError(f"the speech synthesiser said nothing for '{word}' as {asdict(delivery)}")
    spoken = spoken[max(0, loud[0] - _MARGIN_SAMPLES) : loud[-1] + _MARGIN_SAMPLES]
    resampled: npt.NDArray[np.float64] = soxr.resample(
        spoken, synthesiser.sample_rate_hz, SAMPLE_RATE_HZ
    )
    return resampled[:CLIP_SAMPLES]


def _babble(
    synthesiser: Synthesiser, clip: ClipPlan, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Several voices of the clip's own split saying other words at once, of mean power 1."""
    noise = np.zeros(CLIP_SAMPLES)
    for _ in range(BABBLE_WORDS):
        word = OTHER_WORDS[generator.integers(len(OTHER_WORDS))]
        delivery = clip.neighbours[generator.integers(len(clip.neighbours))]
        spoken = with_power_one(speak(synthesiser, word, delivery))
        start = int(generator.integers(CLIP_SAMPLES))
        noise += np.roll(np.pad(spoken, (0, CLIP_SAMPLES - len(spoken))), start)
    return with_power_one(noise)


def _write_noise(folder: Path, seed: int) -> None:
    folder.mkdir()
    for number, color in enumerate(EXPONENTS):
        generator = derived_generator(seed, "noise", number)
        noise = coloured_noise(color, NOISE_FILE_SECONDS * SAMPLE_RATE_HZ, generator)
        samples = np.rint(noise / np.abs(noise).max() * 8192).astype(np.int16)
        _write_wav(folder / f"{color}_noise.wav", samples)


def _write_wav(path: Path, samples: npt.NDArray[np.int16]) -> None:
    import soundfile

    wav = io.BytesIO()  # written by us, as libsndfile does not say when a disk is full
    soundfile.write(wav, samples, SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
    path.write_bytes(wav.getvalue())
