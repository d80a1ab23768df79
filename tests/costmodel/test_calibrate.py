import time
from collections import Counter

import numpy as np
import pytest
from drawing import make_target, sample_network
from formula_runner import OVERHEAD, SETTINGS, FormulaRunner, seconds_of_kernel

from costmodel.calibration.calibrate import MINIMUM_KERNELS, CalibrationSettings, calibrate
from costmodel.calibration.plan import make_plan
from costmodel.calibration.records import read_measurements
from costmodel.errors import DeviceError, InputError
from costmodel.predictor import Predictor
from costmodel.protocol import Protocol
from costmodel.runners.contract import KernelJob, NetworkJob

TARGET = make_target(8)


def run(runner, journal, settings=SETTINGS, **more):
    return calibrate(
        TARGET,
        runner,
        sample_network,
        protocol=Protocol(),
        settings=settings,
        journal_path=journal,
        **more,
    )


def plan():
    return make_plan(
        sample_network,
        TARGET,
        kernels=SETTINGS.kernels,
        overhead_networks=SETTINGS.overhead_networks,
        held_out_networks=SETTINGS.held_out_networks,
        seed=SETTINGS.seed,
    )


def asked_keys(runner):
    return [(type(job).__name__, job.key) for job in runner.asked]


class CutError(Exception):
    """Someone pulls the plug."""


def test_a_smooth_device_is_learned(calibrated):
    result, _, _ = calibrated
    assert result.card.networks == SETTINGS.held_out_networks
    assert result.card.mape < 0.02
    assert result.card.within_5 == 1
    assert result.failed == ()


def test_the_overhead_is_found_again(calibrated):
    found = calibrated[0].overhead
    for network in plan().held_out:
        kernels = [step.kernel for step in network.steps]
        alone = 1e-3
        assert alone + found.seconds(kernels, TARGET) == pytest.approx(
            alone + OVERHEAD.seconds(kernels, TARGET), rel=0.02
        )


def test_the_model_predicts_kernels_it_has_not_timed(calibrated):
    result, runner, _ = calibrated
    predictor = Predictor(TARGET, result.model, result.overhead)
    timed = {job.kernel.key for job in runner.asked if isinstance(job, KernelJob)}
    errors = []
    for network in plan().held_out:
        for step in network.steps:
            if step.kernel.flops > 100_000:
                assert step.kernel.key not in timed
                found = predictor.choose(step.kernel)
                truth = seconds_of_kernel(step.kernel, found.schedule, TARGET)
                errors.append(abs(found.seconds / truth - 1))
    assert np.mean(errors) < 0.03


def test_kernels_of_held_out_networks_are_never_timed_by_themselves(calibrated):
    _, runner, _ = calibrated
    secret = set().union(*(network.kernel_keys for network in plan().held_out))
    timed = {job.kernel.key for job in runner.asked if isinstance(job, KernelJob)}
    assert secret
    assert not secret & timed


def test_overhead_networks_are_timed_whole_and_in_the_same_parts(calibrated):
    _, runner, _ = calibrated
    alone = {(job.kernel, job.schedule) for job in runner.asked if isinstance(job, KernelJob)}
    programs = {job.key: job.program for job in runner.asked if isinstance(job, NetworkJob)}
    for network in plan().overhead:
        program = programs[network.name]
        for step, schedule in zip(program.steps, program.schedules, strict=True):
            assert (step.kernel, schedule) in alone


def test_no_more_kernels_are_timed_than_asked(calibrated):
    result, _, _ = calibrated
    assert 0.9 * SETTINGS.kernels < result.kernels <= SETTINGS.kernels


def test_networks_are_gone_through_once_more_than_kernels(calibrated):
    _, runner, _ = calibrated
    for job, protocol in zip(runner.asked, runner.protocols, strict=True):
        assert protocol.rounds == Protocol().rounds + isinstance(job, NetworkJob)


def test_the_journal_has_everything(calibrated):
    result, runner, journal = calibrated
    measurements = read_measurements(journal)
    assert measurements == result.measurements
    assert len(measurements) == len(runner.asked)
    assert Counter(m.role for m in measurements)["held_out"] == SETTINGS.held_out_networks


def test_held_out_figures_are_those_of_the_card(calibrated):
    result, _, _ = calibrated
    errors = [abs(predicted / measured - 1) for _, predicted, measured in result.held_out]
    assert np.mean(errors) == pytest.approx(result.card.mape)


@pytest.mark.parametrize("share", [0.2, 0.85, 0.92, 0.97])
def test_cut_short_anywhere_it_goes_on_and_ends_the_same(calibrated, tmp_path, share):
    whole, uncut, _ = calibrated
    remaining = [int(share * len(uncut.asked))]

    def cut(_):
        if not remaining[0]:
            raise CutError
        remaining[0] -= 1

    first, second = FormulaRunner(cut), FormulaRunner()
    with pytest.raises(CutError):
        run(first, tmp_path / "journal.jsonl")
    result = run(second, tmp_path / "journal.jsonl")
    assert asked_keys(first) + asked_keys(second) == asked_keys(uncut)
    assert result.held_out == whole.held_out
    assert result.card == whole.card


def test_finished_it_measures_nothing_again(calibrated, tmp_path):
    _, _, journal = calibrated
    copy = tmp_path / "journal.jsonl"
    copy.write_bytes(journal.read_bytes())
    runner = FormulaRunner()
    assert run(runner, copy).card == calibrated[0].card
    assert runner.asked == []


def test_a_kernel_that_the_others_contradict_is_timed_once_more(tmp_path, calibrated):
    """Its first time is thrice too long: the smaller one counts."""
    victim = plan().kernels[5].key
    runner = FormulaRunner()
    measure = runner.measure

    def disturbed(jobs, protocol, on_outcome):
        def slower(outcome):
            first = outcome.key == victim and sum(j.key == victim for j in runner.asked) == 1
            times = 3 if first else 1
            rounds = tuple(tuple(times * s for s in samples) for samples in outcome.rounds)
            on_outcome(type(outcome)(key=outcome.key, rounds=rounds))

        measure(jobs, protocol, slower)

    runner.measure = disturbed
    result = run(runner, tmp_path / "journal.jsonl")
    assert sum(job.key == victim for job in runner.asked) == 2
    assert result.card.mape < calibrated[0].card.mape + 0.01


def test_the_time_limit_ends_the_kernels_and_not_the_networks(monkeypatch, tmp_path):
    """Every job takes 2 s of a clock that stands still otherwise; limit 2 minutes."""
    passed, real = [0.0], time.monotonic
    start = real()
    monkeypatch.setattr(time, "monotonic", lambda: start + passed[0])

    def tick(_):
        passed[0] += 2.0

    runner = FormulaRunner(tick)
    settings = CalibrationSettings(
        kernels=300, overhead_networks=2, held_out_networks=4, minutes=2.0
    )
    result = run(runner, tmp_path / "journal.jsonl", settings)
    before_networks = [type(job) for job in runner.asked].index(NetworkJob)
    assert before_networks < 150
    assert sum(isinstance(job, NetworkJob) for job in runner.asked) == 6
    assert result.minutes == pytest.approx(2.0 * len(runner.asked) / 60, rel=0.1)


def test_failures_are_told_and_survived(tmp_path):
    runner = FormulaRunner(
        error=lambda job: "it crashed" if isinstance(job, KernelJob) and "5x5" in job.key else None
    )
    result = run(runner, tmp_path / "journal.jsonl")
    assert result.failed
    for line in result.failed:
        assert line.endswith(": it crashed")
        assert "5x5" in line
    assert result.card.mape < 0.1


def test_a_device_that_measures_nothing_is_a_device_error_with_its_reason(tmp_path):
    runner = FormulaRunner(error=lambda _: "no space left")
    with pytest.raises(DeviceError, match="only 0 kernels could be measured: no space left"):
        run(runner, tmp_path / "journal.jsonl")


def test_without_whole_networks_the_error_is_not_known(tmp_path):
    runner = FormulaRunner(error=lambda job: "no" if isinstance(job, NetworkJob) else None)
    with pytest.raises(DeviceError, match="no whole network could be measured"):
        run(runner, tmp_path / "journal.jsonl")


def test_whoever_watches_sees_every_stage_come_to_its_end(tmp_path):
    seen = {}
    runner = FormulaRunner()
    run(runner, tmp_path / "j.jsonl", on_progress=lambda p: seen.setdefault(p.stage, []).append(p))
    assert list(seen) == [
        "kernels", "kernels of networks", "kernels in doubt", "networks", "held-out networks",
    ]  # fmt: skip
    for steps in seen.values():
        assert [p.done for p in steps] == list(range(steps[0].done, steps[0].total + 1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kernels": MINIMUM_KERNELS - 1},
        {"overhead_networks": 1},
        {"held_out_networks": 3},
        {"minutes": 0},
        {"minutes": float("nan")},
    ],
)
def test_impossible_settings_are_refused_when_made(wrong):
    with pytest.raises(InputError):
        CalibrationSettings(**wrong)


def test_too_few_kernels_beside_those_of_the_networks_are_refused_before_timing(tmp_path):
    runner = FormulaRunner()
    settings = CalibrationSettings(kernels=50, overhead_networks=4, held_out_networks=4)
    with pytest.raises(InputError, match=r"50 kernels are too few: the 4 overhead networks have"):
        run(runner, tmp_path / "journal.jsonl", settings)
    assert runner.asked == []
