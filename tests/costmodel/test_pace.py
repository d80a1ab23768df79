"""The pace of a machine, from kernels that are timed again and again."""

import pytest
from drawing import make_target

from costmodel.calibration.records import KernelRecord, Measurement
from costmodel.runners.contract import Outcome
from costmodel.runners.pace import Pace, sentinels
from costmodel.schedules.registry import points


def batch(pace, **seconds):
    """The pace of a batch in which each sentinel took these seconds in turn."""
    for key, values in seconds.items():
        for value in values:
            pace.note(key, [value])
    return pace.end_batch()


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_sentinels_are_distinct_kernels_under_valid_schedules(lanes):
    target = make_target(lanes)
    jobs = sentinels(target)
    assert len({job.key for job in jobs}) == len(jobs) >= 2
    assert all(job.schedule in points(job.kernel, target) for job in jobs)


def test_a_machine_that_slows_by_a_tenth_has_a_pace_of_one_and_a_tenth():
    pace = Pace({})
    assert batch(pace, a=[1.0, 1.0], b=[2.0, 2.0]) == pytest.approx(1.0)
    assert batch(pace, a=[1.1, 1.1], b=[2.2, 2.2]) == pytest.approx(1.1)


def test_a_disturbed_round_does_not_change_the_pace():
    pace = Pace({})
    batch(pace, a=[1.0, 1.0, 1.0])
    assert batch(pace, a=[1.0, 3.0, 1.0]) == pytest.approx(1.0)


def test_a_sentinel_whose_first_times_were_all_disturbed_does_not_change_the_pace():
    pace = Pace({})
    batch(pace, a=[1.0, 1.0], b=[2.0, 2.0], c=[4.5, 4.5])
    assert batch(pace, a=[1.0, 1.0], b=[2.0, 2.0], c=[4.0, 4.0]) == pytest.approx(1.0)


def test_without_sentinels_the_pace_is_one():
    assert Pace({}).end_batch() == 1.0


def test_each_timing_is_told_over_the_first():
    pace = Pace({})
    assert [pace.note("a", [s]) for s in (2.0, 2.2, 3.0)] == pytest.approx([1.0, 1.1, 1.5])


def test_a_first_timing_that_was_disturbed_is_replaced_by_a_faster_one():
    pace = Pace({})
    assert [pace.note("a", [s]) for s in (3.0, 2.0, 2.2)] == pytest.approx([1.0, 1.0, 1.1])


def test_after_the_first_batch_a_faster_machine_is_told():
    pace = Pace({})
    batch(pace, a=[2.0, 2.0])
    assert pace.note("a", [1.0]) == pytest.approx(0.5)


def test_the_reference_of_an_earlier_run_goes_on():
    pace = Pace({"a": 1.0})
    assert batch(pace, a=[1.2, 1.2]) == pytest.approx(1.2)
    assert pace.reference == {"a": 1.0}


def test_an_outcome_and_its_record_speak_of_the_time_at_the_first_pace():
    outcome = Outcome(key="k", rounds=((2.2,), (2.2,)), pace=1.1)
    assert outcome.seconds == pytest.approx(2.0)
    job = sentinels(make_target(8))[0]
    record = Measurement.of("kernel", [KernelRecord.of(job.kernel, job.schedule)], outcome)
    assert Measurement.model_validate_json(record.model_dump_json()).seconds == outcome.seconds
    assert record.rounds == outcome.rounds
