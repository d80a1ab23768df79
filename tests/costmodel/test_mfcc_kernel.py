"""Features on a device against the formulas in double precision, here and on emulated boards."""

import numpy as np
import pytest
from boards import ONE_OF_EACH_PLATFORM, board_target, emulator_of
from cuda_drawing import make_gpu
from drawing import make_target

from costmodel.crossbuild.link import build
from costmodel.crossbuild.run import check
from costmodel.errors import InputError
from costmodel.executable import Executable
from costmodel.lowering import compile_module, lower
from costmodel.mfcc.kernel import MfccPlan, mfcc_job

SAMPLES = 4000


def plan(window=256, hop=160, bands=20, coefficients=12, **changes):
    """Overlapping triangles as bands, the last one empty, and normalised cosines."""
    generator = np.random.default_rng(window + hop)
    centres = np.linspace(1, window // 2 - 1, bands)
    frequencies = np.arange(window // 2 + 1)
    mel = np.maximum(0, 1 - np.abs(frequencies - centres[:, None]) / (1 + window / 30))
    mel[-1] = 0
    angles = np.pi / bands * (np.arange(bands) + 0.5) * np.arange(coefficients)[:, None]
    given = {
        "samples": SAMPLES, "hop": hop, "window": np.hanning(window).astype(np.float32),
        "mel": mel.astype(np.float32), "cosines": np.cos(angles).astype(np.float32),
        "mean": generator.normal(size=coefficients).astype(np.float32), "std": 3.5,
    }  # fmt: skip
    return MfccPlan(**{**given, **changes})


def truth(given, sound):
    """The same frame by frame, with NumPy's transform."""
    window = len(given.window)
    padded = np.pad(sound.astype(np.float64), window // 2 + window)
    loudness = []
    for frame in range(1 + SAMPLES // given.hop):
        begin = window + frame * given.hop
        spectrum = np.fft.rfft(padded[begin : begin + window] * given.window)
        loudness.append(given.mel.astype(np.float64) @ np.abs(spectrum) ** 2)
    decibels = 10 * np.log10(np.maximum(given.smallest_power, np.array(loudness).T))
    limited = np.maximum(decibels, decibels.max() - given.range_db)
    return (given.cosines @ limited - given.mean[:, None]) / given.std


def sounds():
    generator, time = np.random.default_rng(0), np.arange(SAMPLES)
    noise = generator.standard_normal(SAMPLES)
    tone = np.sin(0.7 * time) * np.exp(-time / 900)
    clips = (0.3 * noise, 1e-5 * noise, tone, np.zeros(SAMPLES), np.where(time < 2000, 0, tone))
    return [clip.astype(np.float32) for clip in clips]


PLANS = {
    "radix four throughout": plan(window=512, hop=200),
    "a pass of two, frames that fill no vector": plan(window=256, hop=160),
    "the smallest transform": plan(window=8, hop=300, bands=4, coefficients=3),
    "frames apart from each other": plan(window=64, hop=1000, bands=9, coefficients=5),
    "a narrow range": plan(window=128, hop=500, range_db=20.0, smallest_power=1e-3),
}


@pytest.mark.parametrize("processor", ONE_OF_EACH_PLATFORM)
def test_every_processor_computes_the_formulas(processor, tmp_path):
    target, clips = board_target(processor), sounds()
    emulator = emulator_of(target)
    names = PLANS if processor == "x86-64" else list(PLANS)[:2]  # each is compiled
    plans = {f"k{i}": PLANS[name] for i, name in enumerate(names)}
    modules = {name: module_of(given, target) for name, given in plans.items()}
    program = build(modules, target, tmp_path / "program")
    calls = [(name, given, x) for name, given in plans.items() for x in clips]
    given_arrays = [(name, [x, *given.constants()]) for name, given, x in calls]
    found = check(program, given_arrays, emulator=emulator)
    for output, (_, given, sound) in zip(found, calls, strict=True):
        expected = truth(given, sound)
        assert output.shape == (*expected.shape, 1)
        assert np.abs(output[..., 0] - expected).max() < 2e-6 * max(10, np.abs(expected).max())


def module_of(given, target):
    job = mfcc_job(given, target)
    return lower(job.kernel, job.schedule, job.target).module


@pytest.mark.parametrize("lanes", [8, 16])
def test_vectors_of_every_width_compute_the_formulas(lanes):
    given, sound = PLANS["a pass of two, frames that fill no vector"], sounds()[0]
    target = make_target(lanes)
    expected = truth(given, sound)
    shape = (*expected.shape, 1)
    arrays = [sound, *given.constants(), np.zeros(shape, np.float32)]
    executable = Executable(compile_module(module_of(given, target), target), arrays, shape)
    np.testing.assert_allclose(executable.run(sound), expected, atol=1e-4)


def test_they_are_timed_like_any_kernel():
    """On numbers that are no sound, no roots of one and no bands: what is computed is finite."""
    job = mfcc_job(PLANS["radix four throughout"], make_target(8))
    executable = Executable.of_kernel(lower(job.kernel, job.schedule, job.target))
    assert np.isfinite(executable.run(sounds()[0])).all()
    assert job.kernel.title == "mfcc 12x21x1"


@pytest.mark.parametrize("window", [4, 400, 2000, 32768])
def test_a_window_that_no_transform_is_written_for_is_refused(window):
    with pytest.raises(InputError, match=f"this model's have {window}"):
        plan(window=window)


def test_arrays_that_do_not_go_together_are_refused():
    with pytest.raises(InputError, match="do not go with a window of 256 and 12 means"):
        plan(cosines=np.zeros((12, 19), np.float32))


def test_a_gpu_computes_no_features():
    with pytest.raises(InputError, match="this target is a GPU"):
        mfcc_job(plan(), make_gpu())
