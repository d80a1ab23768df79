"""Benchmark `spotting`: keywords in minutes of generated speech among other words, in noise.

Each minute has the ten keywords once, among 25 other words of which five are never trained on, at
known times; voices are of the testing split. Told are hits, misses and false alarms over all
minutes, with `kws.spotting`'s own settings, of a network with the ten keywords as labels and of one
with the benchmark's twelve; of both the same architecture, trained here on generated speech as
long. With --model: of that network.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kws.detection import Detection
from kws.shares import Share
from kws.spotting import Spotter
from kws.words import SAMPLE_RATE_HZ
from tools.bench import print_line
from tools.bench_spotting_scene import SECONDS, Scene, Score, held_out_voices, make_scene, score
from tools.engines import OpenEngine, open_engine, torch_engine
from tools.speech import GENERATED_SEED, generated_folder

ARCHITECTURE = "3x3,32/2x2 3x3,64/2x2 3x3,64 3x3,64"
"""Strides make it quick to train: 1,500 iterations take about 85 s of one core."""

CLIPS, CLIPS_QUICK = 4000, 1000
ITERATIONS, ITERATIONS_QUICK = 1500, 300

SCENES, SCENES_QUICK = 10, 2
"""Minutes; their seeds count from 0. The defaults of `kws.spotting` were chosen on the seeds from
1000 on."""


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within 50 seconds")
    parser.add_argument("--model", type=Path, help="a .pt or .onnx file to spot with")
    chosen = parser.parse_args()
    clips = CLIPS_QUICK if chosen.quick else CLIPS
    iterations = ITERATIONS_QUICK if chosen.quick else ITERATIONS
    voices = held_out_voices(clips, GENERATED_SEED)
    count = SCENES_QUICK if chosen.quick else SCENES
    scenes = [make_scene(seed, voices) for seed in range(count)]
    figures: dict[str, Any] = {}
    if chosen.model is not None:
        figures["model"] = spotted(open_engine(chosen.model), scenes)
    else:
        for labels in ("twelve",) if chosen.quick else ("ten", "twelve"):
            engine, facts = _trained(labels, clips=clips, iterations=iterations)
            figures[labels] = {**facts, **spotted(engine, scenes)}
    print_line("spotting", {"minutes_heard": count * SECONDS / 60, **figures})


def spotted(engine: OpenEngine, scenes: Sequence[Scene]) -> dict[str, Any]:
    """What is heard in all scenes together, and in how much of their time.

    Once by the clock and once in time of all cores, which other work on the machine disturbs less.
    """
    total = Score(0, 0, 0)
    began, used, heard_s = time.perf_counter(), time.process_time(), 0.0
    for scene in scenes:
        detections = hear(engine, scene.samples)
        heard_s += len(scene.samples) / SAMPLE_RATE_HZ
        total += score(detections, scene.spoken)
    wall_s, processor_s = time.perf_counter() - began, time.process_time() - used
    return {
        "hits": total.hits,
        "misses": total.misses,
        "false_alarms": total.false_alarms,
        "hit_rate": Share(total.hits, total.hits + total.misses).json(),
        "false_alarms_per_minute": round(60 * total.false_alarms / heard_s, 2),
        "real_time_factor": round(wall_s / heard_s, 4),
        "processor_time_factor": round(processor_s / heard_s, 4),
    }


def hear(engine: OpenEngine, samples: npt.NDArray[np.float32]) -> list[Detection]:
    """All detections in samples [n], heard a second at a time."""
    spotter = Spotter(engine.logits, engine.words, engine.settings)
    found: list[Detection] = []
    for start in range(0, len(samples), SAMPLE_RATE_HZ):
        found += spotter.hear(samples[start : start + SAMPLE_RATE_HZ])
    return found + spotter.finish()


def _trained(labels: str, *, clips: int, iterations: int) -> tuple[OpenEngine, dict[str, Any]]:
    """A network for a label set by name, trained on generated speech, and how good it is."""
    from kws.architecture import Architecture
    from kws.augmentation import Augmentation
    from kws.features import prepare
    from kws.generated_speech import generate
    from kws.labels import NAMED
    from kws.model_file import SavedModel
    from kws.training import train
    from kws.training_settings import TrainingSettings
    from tools.places import cache_dir

    folder = generate(generated_folder(clips), clips=clips, seed=GENERATED_SEED)
    data = prepare(folder, cache_dir=cache_dir(), labels=NAMED[labels])
    architecture = Architecture.parse(ARCHITECTURE)
    settings = TrainingSettings(
        iterations=iterations,
        batch=50,
        learning_rate=2e-3,
        schedule="cosine",
        warm_up_iterations=50,
        weight_decay=0.01,
        averaging=0.99,
        augmentation=Augmentation(time_shift_frames=3, time_mask_frames=3, frequency_mask=4),
    )
    result = train(architecture, data, settings, seed=0, threads=1)
    model = SavedModel(
        architecture=architecture,
        module=result.module,
        words=data.words,
        settings=data.settings,
        normalisation=data.normalisation,
    )
    accuracy = Share(result.validation.correct_top1, result.validation.clips)
    return torch_engine(model), {
        "validation_top1": accuracy.json(),
        "training_s": round(result.seconds, 1),
    }


if __name__ == "__main__":
    main()
