import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws.clip_audio import create, keep_rows, load, to_int16, write_rows


def clip_of(value):
    return np.full(16000, value, np.int16)


def test_sixteen_bit_samples_come_back_exactly():
    every = np.arange(-32768, 32768, dtype=np.int16)
    assert np.array_equal(to_int16(every.astype(np.float32) / 32768), every)


@given(st.floats(-1, 32767 / 32768, width=32))
def test_rounding_is_off_by_half_a_step_at_most(value):
    (sample,) = to_int16(np.array([value], np.float32))
    assert abs(float(sample) / 32768 - value) <= 1 / 65536


@pytest.mark.parametrize(("loud", "clipped"), [(1.0, 32767), (7.5, 32767), (-1.5, -32768)])
def test_what_is_too_loud_is_clipped(loud, clipped):
    assert to_int16(np.array([loud], np.float32)) == [clipped]


def test_rows_are_written_in_any_order_and_the_others_are_zeros(tmp_path):
    path = tmp_path / "audio.npy"
    create(path, 5)
    write_rows(path, {3: clip_of(33), 0: clip_of(-7)})
    write_rows(path, {4: clip_of(4)})
    assert load(path)[:, 0].tolist() == [-7, 0, 0, 33, 4]
    assert load(path)[:, -1].tolist() == [-7, 0, 0, 33, 4]
    assert np.array_equal(np.load(path), load(path))


def test_rows_that_are_not_kept_are_gone_from_the_file(tmp_path):
    path = tmp_path / "audio.npy"
    create(path, 20)
    write_rows(path, {row: clip_of(row) for row in range(20)})
    keep_rows(path, [1, 7, 19])
    assert load(path)[:, 5].tolist() == [1, 7, 19]
    assert path.stat().st_size < 4 * 32000
    keep_rows(path, [])
    assert load(path).shape == (0, 16000)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 16000), np.float32), np.zeros((2, 8000), np.int16), np.zeros(16000)]
)
def test_another_array_is_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=r"a.npy has samples of shape"):
        load(tmp_path / "a.npy")
