import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws.windows import SlidingWindows


@given(
    st.lists(st.integers(0, 9_000), max_size=8),
    st.integers(500, 16_000),
    st.integers(0, 2**32 - 1),
)
def test_windows_do_not_depend_on_the_blocks(sizes, step, seed):
    blocks = [np.random.default_rng(seed).normal(size=n).astype(np.float32) for n in sizes]
    cutter = SlidingWindows(step)
    windows = np.concatenate([*(cutter.add(block) for block in blocks), cutter.finish()])
    sound = np.concatenate([np.zeros(0, np.float32), *blocks])
    around = np.pad(sound, 8_000)
    expected = [around[start : start + 16_000] for start in range(0, len(sound), step)]
    assert cutter.samples == len(sound)
    assert windows.shape == (len(expected), 16_000)
    assert all(np.array_equal(a, b) for a, b in zip(windows, expected, strict=True))


def test_no_more_than_a_window_and_a_step_is_kept():
    cutter = SlidingWindows(2_000)
    for _ in range(50):
        cutter.add(np.ones(7_000, np.float32))
        assert cutter.held_samples < 16_000 + 2_000


@pytest.mark.parametrize("samples", [1, 7_999, 8_000, 16_000])
def test_the_first_window_has_its_middle_at_the_first_sample(samples):
    cutter = SlidingWindows(2_000)
    sound = np.arange(1, samples + 1, dtype=np.float32)
    first = np.concatenate([cutter.add(sound), cutter.finish()])[0]
    assert not first[:8_000].any()
    assert first[8_000] == 1
