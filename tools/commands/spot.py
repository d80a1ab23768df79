"""`ponas spot`: the keywords in a recording, or at a microphone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tools.number_types import Number

if TYPE_CHECKING:
    from kws.detection import Detection
    from kws.sound import Samples
    from kws.spotting import Spotter

ALWAYS_A_KEYWORD = (
    "this model knows its {words} keywords alone, so any other word, and noise, is taken for one "
    "of them; a model that can say that it heard none comes from: ponas search --labels twelve"
)


@click.command("spot", short_help="The keywords in a recording, or at a microphone.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("recording", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.option("--microphone", is_flag=True, help="Listen until Ctrl-C instead of reading a file.")
@click.option(
    "--seconds",
    type=Number(min=0, min_open=True),
    help="End of listening at a microphone. [default: Ctrl-C]",
)
@click.option(
    "--threshold",
    type=Number(0, 1, min_open=True),
    help="Averaged confidence from which a word is heard: lower hears more, also what was not "
    "said. [default: 0.7]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    model: Path,
    recording: Path | None,
    microphone: bool,
    seconds: float | None,
    threshold: float | None,
    as_json: bool,
) -> None:
    """Hear the keywords of MODEL, a .pt or .onnx file, in FILE or at a microphone.

    FILE is a WAV, FLAC, OGG or MP3 file of any length, sample rate and number of channels. A line
    each tells the time of a word's middle, the word and the confidence.
    """
    from kws.detection import DetectionSettings
    from kws.spotting import Spotter, SpottingSettings
    from tools.console import print_json, say
    from tools.engines import open_engine

    if (recording is None) is not microphone:
        raise click.UsageError("give the FILE of a recording, or --microphone")
    if seconds is not None and not microphone:
        raise click.UsageError("--seconds is for --microphone; a file is heard to its end")
    detection = DetectionSettings() if threshold is None else DetectionSettings(threshold=threshold)
    engine = open_engine(model)
    spotter = Spotter(
        engine.logits, engine.words, engine.settings, SpottingSettings(detection=detection)
    )
    spotter.warm_up()
    found: list[Detection] = []

    def tell(detection: Detection) -> None:
        found.append(detection)
        if not as_json:
            click.echo(f"{detection.time_s:8.2f} s  {detection.word}  {detection.confidence:.2f}")

    notes = () if spotter.knows_none else (ALWAYS_A_KEYWORD.format(words=len(engine.words)),)
    with _sound(recording, seconds) as (sound, adjustments):
        blocks = _after_lines(sound, notes)
        for adjustment in adjustments:
            say(f"{recording}: {adjustment}")
        # Ctrl-C ends listening as it should; a file that it ends was not heard.
        busy_s = _hear(spotter, blocks, tell, (KeyboardInterrupt,) if microphone else ())
    factor = busy_s / spotter.seconds if spotter.seconds else 0.0
    if as_json:
        print_json(
            {
                "model": str(model),
                "file": None if recording is None else str(recording),
                "seconds": spotter.seconds,
                "adjusted": list(adjustments),
                "knows_none": spotter.knows_none,
                "threshold": detection.threshold,
                "detections": [asdict(each) for each in found],
                "real_time_factor": factor,
            }
        )
        return
    say(
        f"heard {spotter.seconds:.2f} s, {len(found)} keywords; real-time factor {factor:.4f} "
        "(time of features and network over that of the sound)"
    )


def _after_lines(blocks: Iterable[Samples], lines: Sequence[str]) -> Iterator[Samples]:
    """The same blocks; the lines are said once there is sound at all."""
    from tools.console import say

    for number, block in enumerate(blocks):
        if number == 0:
            for line in lines:
                say(line)
        yield block


def _hear(
    spotter: Spotter,
    blocks: Iterable[Samples],
    tell: Callable[[Detection], None],
    ends: tuple[type[BaseException], ...],
) -> float:
    """Hears all blocks, or until one of ``ends``.

    Returns the seconds spent on it, without those of waiting for sound.
    """
    busy_s = 0.0
    with suppress(*ends):
        for block in blocks:
            began = time.perf_counter()
            detections = spotter.hear(block)
            busy_s += time.perf_counter() - began
            for detection in detections:
                tell(detection)
    began = time.perf_counter()
    detections = spotter.finish()
    busy_s += time.perf_counter() - began
    for detection in detections:
        tell(detection)
    return busy_s


@contextmanager
def _sound(
    recording: Path | None, seconds: float | None
) -> Iterator[tuple[Iterable[Samples], tuple[str, ...]]]:
    """Blocks of mono sound at 16 kHz, and what is done to get them."""
    from tools.console import say

    if recording is not None:
        from kws.sound import open_sound

        with open_sound(recording) as sound:
            yield sound.blocks(), sound.adjustments
    else:
        from tools.microphone import listen

        yield listen(seconds=seconds, on_loss=lambda: say("sound was lost: too slow here")), ()
