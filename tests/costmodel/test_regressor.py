import contextlib
import io
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from costmodel.errors import InputError
from costmodel.regressor import RatioModel, fit

NAMES = ("a", "b", "c", "constant")


def samples(count, seed=0, noise=0.02):
    """A smooth function of three features of unlike scales; noise without tails."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, (count, 4)) * [1, 100, 0.01, 0] + [0, 0, 0, 7]
    y = 0.3 + 0.4 * np.sin(x[:, 0]) + 0.002 * x[:, 1] - 20 * x[:, 2] * x[:, 0]
    return x, y + generator.uniform(-noise, noise, count)


@pytest.fixture(scope="module")
def model():
    return fit(*samples(60), NAMES)


def test_it_predicts_what_it_has_not_seen(model):
    x, y = samples(50, seed=1, noise=0)
    mean, _ = model.predict(x)
    assert np.abs(mean - y).max() < 0.05


def test_stored_arrays_predict_as_scikit_learns_own_process_does(model):
    x, y = samples(60)
    kernel = WhiteKernel(model.noise)
    for variance, length in zip(model.variances, model.lengths, strict=True):
        kernel = kernel + ConstantKernel(variance) * RBF(length)
    theirs = GaussianProcessRegressor(kernel, alpha=1e-10, optimizer=None)
    theirs.fit((x - model.center) / model.scale, y - model.mean)
    fresh, _ = samples(40, seed=1)
    mean, deviation = theirs.predict((fresh - model.center) / model.scale, return_std=True)
    ours = model.predict(fresh)
    np.testing.assert_allclose(ours[0], mean + model.mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours[1], deviation, rtol=1e-5)


def test_far_from_everything_it_says_the_mean_ratio_and_that_it_does_not_know(model):
    mean, deviation = model.predict(np.array([[1e5, 1e7, 1e3, 7.0]]))
    assert mean[0] == pytest.approx(model.mean)
    assert deviation[0] == pytest.approx(np.sqrt(model.variances.sum() + model.noise))
    assert deviation[0] > 3 * model.predict(samples(60)[0])[1].max()


def test_one_row_is_as_many_rows(model):
    x, _ = samples(5, seed=2)
    together = model.predict(x)
    for i in range(5):
        alone = model.predict(x[i])
        assert alone[0][0] == pytest.approx(together[0][i])
        assert alone[1][0] == pytest.approx(together[1][i])


def test_a_measurement_that_its_neighbours_contradict_hardly_counts():
    """Held against the same data with the disturbed kernel left out."""
    x = np.zeros((60, 4))
    x[:, 0] = np.linspace(-1, 1, 60)
    y = np.sin(x[:, 0]) + np.random.default_rng(0).uniform(-0.01, 0.01, 60)
    disturbed = y.copy()
    disturbed[23] += 1.0
    without = fit(np.delete(x, 23, 0), np.delete(y, 23), NAMES).predict(x)[0]
    moved = fit(x, disturbed, NAMES).predict(x)[0] - without
    assert np.abs(moved).max() < 0.02


def test_residuals_of_those_left_out_are_what_a_fit_without_them_leaves(model):
    x, y = samples(60)
    found = model.left_out_residuals()
    for i in (0, 17, 59):
        kernel = WhiteKernel(model.noise)
        for variance, length in zip(model.variances, model.lengths, strict=True):
            kernel = kernel + ConstantKernel(variance) * RBF(length)
        others = GaussianProcessRegressor(kernel, alpha=1e-10, optimizer=None)
        points = (x - model.center) / model.scale
        others.fit(np.delete(points, i, 0), np.delete(y, i) - model.mean)
        left = y[i] - model.mean - others.predict(points[i : i + 1])[0]
        assert found[i] == pytest.approx(left, rel=1e-4, abs=1e-6)


def test_fitting_twice_gives_the_same_model(model):
    again = fit(*samples(60), NAMES)
    assert np.array_equal(again.weights, model.weights)


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_measurements_are_no_model(count):
    with pytest.raises(InputError, match=f"at least 10 measured kernels, got {count}"):
        fit(*samples(count), NAMES)


def test_saved_and_loaded_is_the_same_model(model, tmp_path):
    model.save(tmp_path / "model.npz")
    loaded = RatioModel.load(tmp_path / "model.npz", NAMES)
    for name in RatioModel.__dataclass_fields__:
        assert np.array_equal(getattr(loaded, name), getattr(model, name)), name
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def test_a_save_cut_short_before_does_not_hinder_the_next(model, tmp_path):
    (tmp_path / "model.npz.part").write_bytes(b"left by a process that was killed")
    model.save(tmp_path / "model.npz")
    assert RatioModel.load(tmp_path / "model.npz", NAMES).mean == model.mean


@pytest.mark.parametrize("names", [("a", "b", "c"), ("b", "a", "c", "constant"), ()])
def test_other_features_are_refused(model, tmp_path, names):
    model.save(tmp_path / "model.npz")
    with pytest.raises(InputError, match="another version of ponas; calibrate again"):
        RatioModel.load(tmp_path / "model.npz", names)


def test_a_missing_model_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.npz cannot be read .*; calibrate again"):
        RatioModel.load(tmp_path / "nothing.npz", NAMES)


def saved(model):
    stream = io.BytesIO()
    np.savez_compressed(
        stream, format=1, **{n: np.asarray(getattr(model, n)) for n in model.__dataclass_fields__}
    )
    return stream.getvalue()


SLOW = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SLOW
@given(st.floats(0, 0.999))
def test_a_model_cut_short_is_refused(model, tmp_path, share):
    whole = saved(model)
    (tmp_path / "m.npz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="calibrate again"):
        RatioModel.load(tmp_path / "m.npz", NAMES)


@SLOW
@given(st.floats(0, 0.999), st.integers(1, 255))
def test_a_model_with_a_wrong_byte_is_refused_or_unharmed(model, tmp_path, share, change):
    damaged = bytearray(saved(model))
    damaged[int(share * len(damaged))] ^= change
    (tmp_path / "m.npz").write_bytes(damaged)
    with contextlib.suppress(InputError):  # the only thing it may raise
        loaded = RatioModel.load(tmp_path / "m.npz", NAMES)
        assert np.array_equal(loaded.weights, model.weights)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"{}", b"\x80\x04K*."]
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(InputError, match="calibrate again"):
        RatioModel.load(tmp_path / "m.npz", NAMES)


def test_an_array_that_is_missing_or_does_not_fit_is_refused(model, tmp_path):
    arrays = {n: np.asarray(getattr(model, n)) for n in model.__dataclass_fields__}
    without = {name: array for name, array in arrays.items() if name != "inverse"}
    ragged = {**arrays, "samples": arrays["samples"][:, :2]}
    short = {**arrays, "weights": arrays["weights"][:-1]}
    for broken in (without, ragged, short):
        np.savez(tmp_path / "m.npz", format=1, **broken)
        with pytest.raises(InputError, match="calibrate again"):
            RatioModel.load(tmp_path / "m.npz", NAMES)


class Trap:
    """Unpickling it is heard of."""

    sprung = False

    def __reduce__(self):
        return (setattr, (Trap, "sprung", True))


@pytest.mark.parametrize("place", ["mean", "names", "samples"])
def test_a_pickle_is_never_read(model, tmp_path, place):
    arrays = {n: np.asarray(getattr(model, n)) for n in model.__dataclass_fields__}
    arrays[place] = np.array(Trap(), dtype=object)
    np.savez(tmp_path / "m.npz", format=1, **arrays, allow_pickle=True)
    assert zipfile.is_zipfile(tmp_path / "m.npz")
    with pytest.raises(InputError, match="calibrate again"):
        RatioModel.load(tmp_path / "m.npz", NAMES)
    assert not Trap.sprung
