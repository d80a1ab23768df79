import pytest
from drawing import make_target

from costmodel.calibration.records import read_measurements
from costmodel.calibration.store import load_predictor
from costmodel.errors import InputError
from costmodel.kernels import ConvKernel
from costmodel.predictor import Overhead

KERNEL = ConvKernel(
    height=20, width=16, channels=9, input_stride=16, filters=31, kernel=(3, 3), stride=(1, 1),
    padding=(1, 1, 1, 1), epilogue=("relu",),
)  # fmt: skip


def test_an_uncalibrated_profile_gives_rooflines(profile):
    found = load_predictor(profile).choose(KERNEL)
    assert found.seconds == found.roofline_seconds
    assert load_predictor(profile).overhead == Overhead()


def test_a_saved_calibration_predicts_as_the_one_that_was_fitted(saved, store, calibrated):
    predictor = load_predictor(store.get(saved.name))
    model = calibrated[0].model
    assert predictor.overhead == calibrated[0].overhead
    found = predictor.choose(KERNEL)
    assert found.seconds != found.roofline_seconds
    assert (predictor._model.process.weights == model.process.weights).all()
    assert predictor._model.widening == model.widening


def test_a_calibration_says_where_its_figures_come_from(saved, calibrated):
    facts = saved.calibration()
    assert "TVM 0." in facts.origin
    assert facts.measured_at.startswith("20")
    assert facts.measured_at.endswith("+00:00")
    assert (facts.space, facts.kernels) == ("test", calibrated[0].kernels)
    assert facts.error == calibrated[0].card
    name, predicted_ms, measured_ms = facts.held_out[0]
    assert (name, predicted_ms, measured_ms) == pytest.approx(
        (calibrated[0].held_out[0][0], *(1e3 * s for s in calibrated[0].held_out[0][1:]))
    )


def test_measurements_are_kept_and_the_journal_is_gone(saved, calibrated, tmp_path):
    assert read_measurements(saved.folder / "measurements.jsonl") == calibrated[0].measurements
    assert not (tmp_path / "journal.jsonl").exists()


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_model_that_is_not_the_one_calibrated_is_refused_with_the_cure(saved, damage):
    model = saved.folder / "model.npz"
    if damage == "missing":
        model.unlink()
    else:
        model.write_bytes(model.read_bytes() + b" ")
    with pytest.raises(
        InputError,
        match="model of profile 'odroid-xu3-a15' is missing or damaged; calibrate again: "
        "ponas calibrate odroid-xu3-a15",
    ):
        load_predictor(saved)


def test_a_calibration_of_another_target_is_not_used(saved, store):
    moved = store.save(saved.file.model_copy(update={"target": make_target(16)}))
    found = load_predictor(moved).choose(KERNEL)
    assert found.seconds == found.roofline_seconds
