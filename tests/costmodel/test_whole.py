import pytest
from drawing import make_target, sample_network

from costmodel.calibration.plan import draw_networks
from costmodel.calibration.settings import CalibrationSettings
from costmodel.calibration.whole import card_of, chosen_parts, predicted_seconds, whole_work
from costmodel.predictor import Overhead, Predictor

TARGET = make_target(8)


@pytest.fixture(scope="module")
def network():
    return draw_networks(sample_network, TARGET, CalibrationSettings()).held_out[0]


def test_under_its_chosen_schedules_a_network_takes_what_the_predictor_says(calibrated, network):
    model = calibrated[0].model
    predictor = Predictor(TARGET, model, Overhead())
    parts = chosen_parts(network, predictor)
    assert predicted_seconds(parts, model, TARGET) == pytest.approx(
        predictor.predict(network.steps)[1]
    )


def test_the_record_of_a_network_is_of_its_program(network):
    parts = chosen_parts(network, Predictor(TARGET, None, Overhead()))
    job, records = whole_work(network, parts, TARGET)
    assert job.key == network.name
    assert [record.scheduled() for record in records] == parts
    assert job.program.schedules == tuple(schedule for _, schedule in parts)


def test_a_card_of_two_networks():
    card = card_of([("a", 1.1, 1.0), ("b", 0.9, 1.0)])
    assert (card.mape, card.networks) == (pytest.approx(0.1), 2)
