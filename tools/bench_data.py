"""Benchmark `data`: clips a second from sound to features, and the wait for a first batch.

Cold is `kws.features.prepare` into an empty cache, with the start of its processes; the clips
themselves are in the system's memory. Warm is a fresh process that finds everything in the cache.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from kws.parallel import worker_count
from tools.bench import print_line
from tools.console import Stages, stages
from tools.speech import GENERATED, generated_folder, locate

if TYPE_CHECKING:
    from kws.features import FeatureSet

QUICK_CLIPS = 400
"""Of the generated set of a quick run."""

STEADY_CLIPS = 300
"""Computed by a process that has begun."""

BATCH = 25

WARM = """
import json, sys, time
started = time.perf_counter()
import torch
from kws.features import prepare
from kws.labels import TEN
from pathlib import Path
imported = time.perf_counter()
data = prepare(Path(sys.argv[1]), cache_dir=Path(sys.argv[2]), labels=TEN)
found = time.perf_counter()
features = torch.from_numpy(data.normalised("training"))[:, None]
rows = torch.randperm(len(features))[:int(sys.argv[3])]
batch = features.index_select(0, rows), torch.from_numpy(data.labels("training"))[rows]
assert batch[0].shape[0] == batch[1].shape[0] == int(sys.argv[3])
print(json.dumps([imported - started, found - imported, time.perf_counter() - found]))
"""
"""A fresh process, from its first import to its first normalised batch; the seconds of each part:
imports, finding and mapping the cached features, normalising and the batch."""


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="end within 50 seconds")
    parser.add_argument("--data", default=GENERATED, help="as of ponas search [default: generated]")
    arguments = parser.parse_args()
    with stages() as shown:
        root = _root(arguments.data, shown, hasty=arguments.quick)
    with tempfile.TemporaryDirectory(prefix="ponas-") as scratch:
        print_line("data", _figures(root, Path(scratch), rounds=3 if arguments.quick else 9))


def _root(data: str, shown: Stages, *, hasty: bool) -> Path:
    if data != GENERATED or not hasty:
        return locate(data, shown)
    from kws.generated_speech import generate

    return generate(generated_folder(QUICK_CLIPS), clips=QUICK_CLIPS)


def _figures(root: Path, scratch: Path, *, rounds: int) -> dict[str, Any]:
    cold_s: dict[int, float] = {}
    for workers in sorted({1, worker_count(None)}):
        cache = scratch / f"cache-{workers}"
        data, cold_s[workers] = _cold(root, cache, workers)
    warm = [_warm(root, cache) for _ in range(rounds)]
    imports_s, load_s, batch_s = (median(part) for part in zip(*warm, strict=True))
    clips = sum(len(part.labels) for part in data.splits.values())
    steady = _steady(root, cache, scratch)
    return {
        "set": data.origin.get("kind"),
        "clips": clips,
        "cold_s": {f"{n} workers": round(seconds, 1) for n, seconds in cold_s.items()},
        "cold_clips_per_s": {f"{n} workers": round(clips / s) for n, s in cold_s.items()},
        "one_process_once_started_clips_per_s": round(steady),
        "first_batch_s": round(median(sum(parts[1:]) for parts in warm), 3),
        "of_that_finding_and_mapping_s": round(load_s, 3),
        "of_that_normalising_s": round(batch_s, 3),
        "imports_before_s": round(imports_s, 3),
        "rounds": rounds,
        "cache_bytes_per_clip": sum(
            file.stat().st_size for file in (cache / "features").rglob("*.*")
        ) // clips,
    }  # fmt: skip


def _cold(root: Path, cache: Path, workers: int) -> tuple[FeatureSet, float]:
    from kws.features import prepare
    from kws.speech_commands import locate as unpacked

    unpacked(root, cache)  # no part of what is timed
    started = time.perf_counter()
    data = prepare(root, cache_dir=cache, workers=workers)
    return data, time.perf_counter() - started


def _steady(root: Path, cache: Path, scratch: Path) -> float:
    """Clips a second of one process whose libraries are loaded."""
    from kws.clip_features import compute_batch, create_audio
    from kws.labels import TEN, labelled_clips
    from kws.mfcc import MfccSettings
    from kws.speech_commands import locate as unpacked

    found = labelled_clips(unpacked(root, cache), TEN)
    rows = create_audio(scratch, found)[:STEADY_CLIPS]
    compute_batch(rows[:10], root=found.root, folder=scratch, settings=MfccSettings())
    started = time.perf_counter()
    compute_batch(rows, root=found.root, folder=scratch, settings=MfccSettings())
    return len(rows) / (time.perf_counter() - started)


def _warm(root: Path, cache: Path) -> list[float]:
    """Seconds of the three parts of `WARM`."""
    done = subprocess.run(
        [sys.executable, "-c", WARM, str(root), str(cache), str(BATCH)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    parts: list[float] = json.loads(done.stdout)
    return parts


if __name__ == "__main__":
    main()
