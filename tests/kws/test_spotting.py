import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from kws.detection import DetectionSettings
from kws.errors import InputError
from kws.mfcc import MfccSettings, mfcc
from kws.spotting import Spotter, SpottingSettings, level_dbfs

RATE_HZ = 16_000
WORDS = ("_silence_", "low", "high")


def tones(seconds, *bursts):
    """Quiet noise with bursts of 0.3 s: (middle in seconds, frequency in hertz)."""
    samples = 1e-3 * np.random.default_rng(0).normal(size=round(seconds * RATE_HZ))
    for middle, frequency_hz in bursts:
        burst = 0.3 * np.sin(2 * np.pi * frequency_hz * np.arange(4_800) / RATE_HZ)
        start = round(middle * RATE_HZ) - 2_400
        inside = slice(max(0, -start), len(samples) - start)
        samples[max(0, start) : start + 4_800] += burst[inside]
    return samples.astype(np.float32)


def tone_engine(features):
    """Loud in the middle half second, and then by the slope of the spectrum: low or high."""
    middle = features[:, :2, 8:24].max(axis=2) + features[:, :2, 8:24].min(axis=2) * 0
    loud, slope = middle[:, 0] > -250, features[:, 1, 8:24].sum(axis=1)
    return np.stack([~loud, loud & (slope > 0), loud & (slope <= 0)], axis=1).astype(
        np.float32
    ) * np.float32(9)


def spotter(engine=tone_engine, words=WORDS, **settings):
    return Spotter(engine, words, MfccSettings(), SpottingSettings(**settings))


def heard(sound, sizes=(16_000,), **settings):
    listener, found, start, turn = spotter(**settings), [], 0, 0
    while start < len(sound):
        size = sizes[turn % len(sizes)]
        found += listener.hear(sound[start : start + size])
        start, turn = start + size, turn + 1
    return found + listener.finish()


def test_words_are_heard_once_at_the_time_of_their_middle():
    found = heard(tones(6, (1.1, 300), (2.4, 3_000), (4.03, 300)))
    assert [each.word for each in found] == ["low", "high", "low"]
    assert [each.time_s for each in found] == pytest.approx([1.1, 2.4, 4.03], abs=0.1)


@pytest.mark.parametrize("middle", [0.15, 2.85])
def test_words_at_the_edges_are_heard(middle):
    (found,) = heard(tones(3, (middle, 3_000)))
    assert (found.word, found.time_s) == ("high", pytest.approx(middle, abs=0.2))


@pytest.mark.parametrize("sizes", [(100_000,), (16_000, 1, 7), (333,)])
def test_how_the_sound_is_cut_into_blocks_changes_nothing(sizes):
    sound = tones(5, (0.9, 300), (3.2, 3_000))
    assert heard(sound, sizes) == heard(sound, (2_000,))


def test_windows_go_through_the_network_as_clips_do():
    seen = []

    def engine(features):
        seen.append(features)
        return np.zeros((len(features), 3), np.float32)

    listener = spotter(engine, step_samples=4_000)
    sound = tones(2, (1.0, 300))
    listener.hear(sound)
    listener.finish()
    around = np.pad(sound, 8_000)
    with threadpool_limits(limits=1):  # as clips are read
        expected = [mfcc(around[start : start + 16_000]) for start in range(0, 32_000, 4_000)]
    assert np.array_equal(np.concatenate(seen), np.stack(expected))
    assert listener.seconds == 2


def test_silence_is_not_shown_to_the_network():
    def never(_features):
        raise AssertionError("shown")

    listener = spotter(never, words=("low", "high"))
    assert listener.hear(np.full(48_000, 1e-4, np.float32)) == []
    assert listener.finish() == []
    assert listener.seconds == 3


def test_a_window_is_as_loud_as_its_loudest_moment():
    windows = np.zeros((3, 16_000), np.float32)
    windows[0, 5_000:5_500] = 1.0  # one of 32 moments, in full
    windows[1] = 0.01
    assert level_dbfs(windows) == pytest.approx([0, -40, -200], abs=1e-3)


def test_nothing_at_all_has_no_words():
    assert spotter().finish() == []


@pytest.mark.parametrize(
    ("words", "known"),
    [(("yes", "no"), False), (("_silence_", "yes", "no"), True), (("_unknown_", "yes"), True)],
)
def test_a_network_of_keywords_alone_is_told_apart(words, known):
    assert spotter(words=words).knows_none is known


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"step_samples": 0}, "step_samples is 0; 1 to 16000 are allowed"),
        ({"step_samples": 16_001}, "1 to 16000 are allowed"),
        ({"gate_dbfs": 1.0}, "-200 to 0 are allowed"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        SpottingSettings(**wrong)


def test_a_higher_threshold_hears_no_more():
    sound = tones(6, (1.1, 300), (2.4, 3_000), (4.03, 300))

    def unsure(features):
        return tone_engine(features) / 9

    counts = [
        len(heard_by(unsure, sound, DetectionSettings(threshold=t))) for t in (0.3, 0.45, 0.9)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] >= 3
    assert counts[-1] == 0


def heard_by(engine, sound, detection):
    listener = spotter(engine, detection=detection)
    return listener.hear(sound) + listener.finish()
