from dataclasses import replace

import pytest
from drawing import make_target, sample_network
from formula_runner import SETTINGS, FormulaRunner

from costmodel.calibration.ahead import planned_jobs
from costmodel.calibration.calibrate import calibrate, journal_header
from costmodel.calibration.records import Journal, Measurement
from costmodel.errors import InputError
from costmodel.predictor import Overhead, Predictor
from costmodel.protocol import Protocol
from costmodel.runners.contract import NetworkJob

TARGET = make_target(8)
AHEAD = replace(SETTINGS, ahead=True)


def run(runner, journal, settings=AHEAD):
    return calibrate(
        TARGET, runner, sample_network, protocol=Protocol(), settings=settings,
        journal_path=journal,
    )  # fmt: skip


@pytest.fixture(params=["active", "random"])
def settings(request):
    return replace(AHEAD, plan=request.param)


@pytest.fixture
def planned(settings):
    return planned_jobs(TARGET, sample_network, settings)


def test_the_planned_jobs_are_those_that_are_measured(planned, settings, tmp_path):
    runner = FormulaRunner()
    result = run(runner, tmp_path / "journal.jsonl", settings)
    assert [job.key for job in runner.asked] == [job.key for _, job, _ in planned]
    assert result.card.mape < 0.02
    assert result.kernels == sum(role == "kernel" for role, _, _ in planned)


def test_with_the_results_of_another_machine_nothing_more_is_measured(planned, settings, tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, journal_header(TARGET, settings, Protocol()))
    for role, job, records in reversed(planned):
        FormulaRunner().measure(
            [job], Protocol(), lambda o, r=role, k=records: journal.add(Measurement.of(r, k, o))
        )
    journal.close()
    runner = FormulaRunner()
    result = run(runner, path, settings)
    assert runner.asked == []
    whole = run(FormulaRunner(), tmp_path / "other.jsonl", settings)
    assert result.card.mape == pytest.approx(whole.card.mape, abs=1e-4)


def test_a_failure_elsewhere_is_told_and_not_tried_here(tmp_path):
    fails = FormulaRunner(error=lambda job: "no" if "5x5" in job.key else None)
    result = run(fails, tmp_path / "journal.jsonl")
    runner = FormulaRunner()
    assert run(runner, tmp_path / "journal.jsonl").failed == result.failed
    assert result.failed
    assert runner.asked == []


def test_the_roofline_chooses_the_schedules_of_networks(planned):
    roofline = Predictor(TARGET, None, Overhead())
    for _, job, records in planned:
        if isinstance(job, NetworkJob):
            assert len(records) == len(job.program.steps)
            for step, schedule in zip(job.program.steps, job.program.schedules, strict=True):
                assert schedule == roofline.choose(step.kernel).schedule


def test_no_kernel_of_a_held_out_network_is_timed_by_itself(planned):
    held_out = {r.model_dump_json() for role, _, k in planned if role == "held_out" for r in k}
    alone = {r.model_dump_json() for role, _, k in planned if role == "kernel" for r in k}
    assert held_out
    assert not held_out & alone


def test_keys_are_distinct_within_a_role(planned):
    assert len({(role, job.key) for role, job, _ in planned}) == len(planned)


def test_jobs_are_not_known_beforehand_of_a_plan_that_adapts():
    with pytest.raises(InputError, match="only where the settings say ahead"):
        planned_jobs(TARGET, sample_network, SETTINGS)
