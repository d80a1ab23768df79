import numpy as np
import pytest
from drawing import make_target, sample_network, small_network
from formula_runner import SETTINGS, FormulaRunner

from costmodel import operations
from costmodel.calibration.calibrate import calibrate
from costmodel.calibration.store import save_calibration
from costmodel.errors import InputError
from costmodel.estimate import Estimator
from costmodel.network import Network
from costmodel.program import assemble
from costmodel.protocol import Protocol

NETWORK = small_network()


@pytest.fixture
def estimator(saved):
    return Estimator(saved)


@pytest.fixture
def uncalibrated(profile):
    return Estimator(profile)


def test_latency_is_the_sum_of_kernels_and_overhead(estimator):
    found = estimator.estimate(NETWORK)
    kernels_ms = sum(1e3 * kernel.seconds for kernel in found.kernels)
    assert found.overhead_ms > 0
    assert found.latency_ms == pytest.approx(kernels_ms + found.overhead_ms)
    assert found.latency_ms == pytest.approx(estimator.latency_ms(NETWORK))
    assert len(found.kernels) == 4


def test_a_calibrated_estimate_says_so_and_its_interval_is_at_least_that_of_the_card(estimator):
    found = estimator.estimate(NETWORK)
    error = estimator.profile.calibration().error.interval
    low, high = found.latency_interval_ms
    assert found.calibrated
    assert found.profile == "odroid-xu3-a15"
    spread = sum(k.seconds * k.log_deviation for k in found.kernels) / (found.latency_ms / 1e3)
    factor = np.exp(1.2816 * spread)
    assert low == pytest.approx(found.latency_ms / max(1 + error, factor), rel=1e-4)
    assert high == pytest.approx(found.latency_ms * max(1 / (1 - error), factor), rel=1e-4)


def test_a_network_unlike_those_that_were_timed_has_a_wider_interval(store, profile, tmp_path):
    journal = tmp_path / "journal.jsonl"
    uneven = FormulaRunner(ripple=lambda kernel: 1 + 0.2 * np.sin(2 * np.log2(kernel.flops)))
    result = calibrate(
        profile.target(), uneven, sample_network, protocol=Protocol(), settings=SETTINGS,
        journal_path=journal,
    )  # fmt: skip
    saved = save_calibration(store, profile, result, space="test", journal=journal)
    strange = Network((56, 56, 256))
    strange.conv2d(Network.INPUT, filters=256, kernel=(1, 9), stride=(3, 1))
    alike = [sample_network(np.random.default_rng(seed))[1] for seed in range(4)]
    found = [Estimator(saved).estimate(network) for network in (*alike, strange)]
    *widths, widest = (e.latency_interval_ms[1] / e.latency_interval_ms[0] for e in found)
    assert all(width < widest for width in widths)


def test_an_uncalibrated_estimate_says_so_and_adds_nothing_to_the_rooflines(uncalibrated):
    found = uncalibrated.estimate(NETWORK)
    assert not found.calibrated
    assert found.overhead_ms == pytest.approx(0, abs=1e-12)
    assert found.latency_ms == pytest.approx(sum(1e3 * k.roofline_seconds for k in found.kernels))


@pytest.mark.parametrize("kind", ["estimator", "uncalibrated"])
def test_the_interval_contains_the_estimate(kind, request):
    estimator = request.getfixturevalue(kind)
    for seed in range(2):
        _, network = sample_network(np.random.default_rng(seed))
        found = estimator.estimate(network)
        low, high = found.latency_interval_ms
        assert 0 < low <= found.latency_ms <= high


def test_counts_are_those_of_the_network(uncalibrated):
    found = uncalibrated.estimate(NETWORK)
    assert found.flops == operations.flops(NETWORK)
    assert found.flops_table2 == operations.flops_table2(NETWORK)
    assert found.params == operations.params(NETWORK)


def test_what_is_estimated_is_what_would_be_compiled(estimator):
    found = estimator.estimate(NETWORK)
    assert found.program.schedules == tuple(kernel.schedule for kernel in found.kernels)
    assert found.program.target == make_target(8)
    assert found.peak_memory_bytes == found.program.peak_memory_bytes()
    assert "main" in {var.name_hint for var in assemble(found.program).functions}


def test_a_damaged_calibration_is_refused_before_any_estimate(saved):
    (saved.folder / "model.npz").write_bytes(b"")
    with pytest.raises(InputError, match="missing or damaged"):
        Estimator(saved)


def test_another_calibration_is_another_digest(saved, profile):
    assert saved.digest != profile.digest
