import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from drawing import make_target, sample_network
from formula_runner import OVERHEAD, SETTINGS, FormulaRunner, seconds_of_kernel

from costmodel.calibration.calibrate import MINIMUM_KERNELS, CalibrationSettings, calibrate
from costmodel.calibration.plan import draw_networks
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


def networks():
    return draw_networks(sample_network, TARGET, SETTINGS)


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
    for network in networks().held_out:
        kernels = [step.kernel for step in network.steps]
        alone = 1e-3
        assert alone + found.seconds(kernels, TARGET) == pytest.approx(
            alone + OVERHEAD.seconds(kernels, TARGET), rel=0.02
        )


def test_whole_networks_that_were_all_disturbed_at_one_moment_do_not_change_the_overhead(tmp_path):
    timed = Counter()

    def slowed(job):
        timed[job.key] += 1
        return 1.1 if isinstance(job, NetworkJob) and timed[job.key] == 1 else 1.0

    overhead = {job.name for job in networks().overhead}
    runner = FormulaRunner(slowed=lambda job: slowed(job) if job.key in overhead else 1.0)
    found = run(runner, tmp_path / "journal.jsonl").overhead
    for network in networks().held_out:
        kernels = [step.kernel for step in network.steps]
        assert found.seconds(kernels, TARGET) == pytest.approx(
            OVERHEAD.seconds(kernels, TARGET), abs=2e-5
        )


def test_the_model_predicts_kernels_it_has_not_timed(calibrated):
    result, runner, _ = calibrated
    predictor = Predictor(TARGET, result.model, result.overhead)
    timed = {job.kernel.key for job in runner.asked if isinstance(job, KernelJob)}
    errors = []
    for network in networks().held_out:
        for step in network.steps:
            if step.kernel.flops > 100_000:
                assert step.kernel.key not in timed
                found = predictor.choose(step.kernel)
                truth = seconds_of_kernel(step.kernel, found.schedule, TARGET)
                errors.append(abs(found.seconds / truth - 1))
    assert np.mean(errors) < 0.03


def test_kernels_of_watched_and_held_out_networks_are_never_timed_by_themselves(calibrated):
    _, runner, _ = calibrated
    secret = networks().secret
    timed = {job.kernel.key for job in runner.asked if isinstance(job, KernelJob)}
    assert secret
    assert not secret & timed


def test_overhead_networks_are_timed_whole_and_in_the_same_parts(calibrated):
    _, runner, _ = calibrated
    alone = {(job.kernel, job.schedule) for job in runner.asked if isinstance(job, KernelJob)}
    programs = {job.key: job.program for job in runner.asked if isinstance(job, NetworkJob)}
    for network in networks().overhead:
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
    roles = Counter(m.role for m in measurements)
    assert roles["held_out"] == SETTINGS.held_out_networks
    assert roles["watched"] == SETTINGS.watched_networks


def test_held_out_figures_are_those_of_the_card(calibrated):
    result, _, _ = calibrated
    errors = [abs(predicted / measured - 1) for _, predicted, measured in result.held_out]
    assert np.mean(errors) == pytest.approx(result.card.mape)


@pytest.mark.parametrize("share", [0.3, 0.55, 0.75, 0.97])
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
    _, uncut, _ = calibrated
    victim = uncut.asked[5].key
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
    """Every job takes 2 s of a clock that stands still otherwise; limit 4 minutes."""
    passed, real = [0.0], time.monotonic
    start = real()
    monkeypatch.setattr(time, "monotonic", lambda: start + passed[0])

    def tick(_):
        passed[0] += 2.0

    runner = FormulaRunner(tick)
    settings = replace(SETTINGS, kernels=300, overhead_networks=2, minutes=4.0)
    seen = []
    result = run(runner, tmp_path / "journal.jsonl", settings, on_progress=seen.append)
    assert MINIMUM_KERNELS < result.kernels < 120
    assert sum(isinstance(job, NetworkJob) for job in runner.asked) == 2 * 2 + 8 + 6
    assert result.minutes == pytest.approx(2.0 * len(runner.asked) / 60, rel=0.1)
    left = [p.seconds_left for p in seen if p.seconds_left is not None]
    assert left == sorted(left, reverse=True)
    assert left[0] <= 180


def test_it_stops_once_the_watched_networks_are_predicted_well_enough(tmp_path, calibrated):
    settings = replace(SETTINGS, kernels=300, target_error=0.02)
    runner, seen = FormulaRunner(), []
    result = run(runner, tmp_path / "journal.jsonl", settings, on_progress=seen.append)
    assert result.kernels < calibrated[0].kernels
    last = [p for p in seen if p.stage == "kernels"][-1]
    assert last.error <= 0.02
    assert last.done == last.total


def test_an_error_out_of_reach_costs_no_more_than_the_kernels(tmp_path, calibrated):
    settings = replace(SETTINGS, target_error=1e-9)
    assert run(FormulaRunner(), tmp_path / "j.jsonl", settings).kernels == calibrated[0].kernels


def test_the_card_is_of_networks_that_did_not_decide_when_to_stop(calibrated):
    result, _, _ = calibrated
    watched = {network.name for network in networks().watched}
    assert watched
    assert not watched & {name for name, _, _ in result.held_out}
    assert {m.key for m in result.measurements if m.role == "watched"} == watched


def test_the_random_plan_times_the_same_number_of_other_kernels(tmp_path, calibrated):
    runner = FormulaRunner()
    result = run(runner, tmp_path / "j.jsonl", replace(SETTINGS, plan="random"))
    assert result.kernels == pytest.approx(calibrated[0].kernels, abs=3)
    assert result.card.mape < 0.02
    assert asked_keys(runner)[:40] != asked_keys(calibrated[1])[:40]


def fails(job):
    return "it crashed" if isinstance(job, KernelJob) and "5x5" in job.key else None


def test_failures_are_told_and_survived(tmp_path):
    runner = FormulaRunner(error=fails)
    result = run(runner, tmp_path / "journal.jsonl")
    assert result.failed
    for line in result.failed:
        assert line.endswith(": it crashed")
        assert "5x5" in line
    assert result.card.mape < 0.1


def test_a_job_that_fails_is_tried_again_after_the_others_and_in_the_next_run(tmp_path):
    runner = FormulaRunner(error=fails)
    result = run(runner, tmp_path / "journal.jsonl")
    tries = Counter(job.key for job in runner.asked if fails(job))
    assert set(tries.values()) == {2}
    again = FormulaRunner(error=fails)
    assert run(again, tmp_path / "journal.jsonl").failed == result.failed
    assert Counter(job.key for job in again.asked) == dict.fromkeys(tries, 1)
    attempts = Counter(m.key for m in read_measurements(tmp_path / "journal.jsonl") if m.error)
    assert attempts == dict.fromkeys(tries, 3)


def test_a_job_that_fails_once_is_no_failure(tmp_path):
    runner = FormulaRunner()
    runner._error = lambda job: (
        "it hung" if len(runner.asked) == 7 or sum(j.key == job.key for j in runner.asked) > 9
        else None
    )  # fmt: skip
    result = run(runner, tmp_path / "journal.jsonl")
    assert result.failed == ()
    assert runner.asked[6].key == runner.asked[40].key
    assert result.kernels == pytest.approx(SETTINGS.kernels, abs=3)


def test_what_works_in_a_later_run_moves_none_of_the_other_kernels(tmp_path):
    first, second = FormulaRunner(error=fails), FormulaRunner()
    run(first, tmp_path / "journal.jsonl")
    result = run(second, tmp_path / "journal.jsonl")
    assert result.failed == ()
    kernels = {job.key for job in second.asked if isinstance(job, KernelJob)}
    assert kernels == {job.key for job in first.asked if fails(job)}


def test_the_pace_goes_on_from_the_first_run(tmp_path):
    """The sentinels' seconds of the first run are the second's reference."""
    first, second = FormulaRunner(), FormulaRunner()
    measure = first.measure

    def cut_after_one(jobs, protocol, on_outcome):
        if first.reference:
            raise CutError
        measure(jobs, protocol, on_outcome)
        first.reference = {"sentinel": 3e-5}

    first.measure = cut_after_one
    with pytest.raises(CutError):
        run(first, tmp_path / "journal.jsonl")
    run(second, tmp_path / "journal.jsonl")
    assert second.reference == {"sentinel": 3e-5}


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
        "first kernels", "networks", "kernels of networks", "networks again", "watched networks",
        "kernels", "kernels in doubt", "held-out networks",
    ]  # fmt: skip
    for steps in seen.values():
        done = [p.done for p in steps]
        assert done == sorted(done)
        assert set(done) == set(range(steps[-1].total + 1))
    assert all(p.error is not None and p.seconds_left is not None for p in seen["kernels"][1:-1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"kernels": MINIMUM_KERNELS - 1},
        {"overhead_networks": 1},
        {"watched_networks": 1},
        {"held_out_networks": 3},
        {"target_error": 0},
        {"target_error": 3},
        {"plan": "best"},
        {"ahead": True, "target_error": 0.03},
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
