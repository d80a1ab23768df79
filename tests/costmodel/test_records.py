import json

import pytest
from cuda_drawing import make_gpu, pooled_dense_kernels
from drawing import conv_kernels, make_target, pool_kernels
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.calibration.records import (
    Header,
    Journal,
    KernelRecord,
    Measurement,
    read_measurements,
)
from costmodel.errors import InputError
from costmodel.kernels import PooledDenseKernel, PoolKernel
from costmodel.runners.contract import Outcome
from costmodel.schedules.family import Schedule
from costmodel.schedules.registry import points

HEADER = Header(target="t", settings="s")
POOL = KernelRecord.of(
    PoolKernel(height=2, width=2, channels=8, input_stride=8, function="average", window=(2, 2)),
    Schedule("pool", (("vectors", 1),)),
)


def measurement(key="k", **outcome):
    outcome = outcome or {"rounds": ((2.0, 1.0, 3.0), (5.0,))}
    return Measurement.of("kernel", [POOL], Outcome(key=key, **outcome))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "journal.jsonl"


def written(path, *keys, header=HEADER):
    journal = Journal(path, header)
    for key in keys:
        journal.add(measurement(key))
    journal.close()
    return path.read_text()


def keys_in(path, header=HEADER):
    journal = Journal(path, header)
    journal.close()
    return [m.key for m in journal.measurements]


@settings(deadline=None)
@given(st.one_of(conv_kernels(), pool_kernels(), pooled_dense_kernels()), st.data())
def test_a_scheduled_kernel_can_be_recorded(kernel, data):
    gpu = make_gpu(launch_seconds=1e-3)
    target = gpu if isinstance(kernel, PooledDenseKernel) else make_target()
    schedule = data.draw(st.sampled_from(points(kernel, target)))
    record = KernelRecord.of(kernel, schedule)
    again = KernelRecord.model_validate_json(record.model_dump_json())
    assert again == record
    assert again.scheduled() == (kernel, schedule)
    assert again.scheduled()[0].key == kernel.key


def test_a_measurement_and_its_outcome_have_the_same_seconds():
    outcome = Outcome(key="k", rounds=((2.0, 1.0, 3.0), (5.0,)))
    assert measurement().seconds == outcome.seconds == 3.5


def test_what_is_added_is_on_disk_at_once(path):
    journal = Journal(path, HEADER)
    journal.add(measurement("a"))
    assert [json.loads(line).get("key") for line in path.read_text().splitlines()] == [None, "a"]
    journal.close()


def test_a_journal_of_the_same_header_goes_on(path):
    written(path, "a", "b")
    written(path, "c")
    assert keys_in(path) == ["a", "b", "c"]
    assert read_measurements(path) == tuple(measurement(key) for key in "abc")


@pytest.mark.parametrize(
    "other", [Header(target="u", settings="s"), Header(target="t", settings="r")]
)
def test_a_journal_of_another_header_starts_afresh(path, other):
    written(path, "a", "b")
    assert keys_in(path, other) == []
    assert keys_in(path) == []


@pytest.mark.parametrize("torn", ['{"key": "c", "ro', '{"key"', "\N{GREEK SMALL LETTER PI}"])
def test_a_torn_last_line_is_as_if_never_written(path, torn):
    written(path, "a", "b")
    with path.open("a") as file:
        file.write(torn)
    assert keys_in(path) == ["a", "b"]
    assert written(path, "c").count("\n") == 4
    assert keys_in(path) == ["a", "b", "c"]


def test_every_place_to_tear_it_leaves_the_lines_before(path):
    whole = written(path, "a", "b").encode()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        complete = max(whole[:length].count(b"\n") - 1, 0)
        assert keys_in(path) == ["a", "b"][:complete]


@pytest.mark.parametrize("wrong", ["garbage", "{}", '{"key": 3}'])
def test_a_corrupt_line_in_the_middle_is_named(path, wrong):
    lines = written(path, "a", "b", "c").splitlines()
    lines[2] = wrong
    text = "".join(f"{line}\n" for line in lines)
    path.write_text(text)
    with pytest.raises(InputError, match=r"journal\.jsonl line 3 is not a measurement"):
        Journal(path, HEADER)
    with pytest.raises(InputError, match="line 3"):
        read_measurements(path)
    assert path.read_text() == text


def test_a_failure_is_recorded_with_its_reason(path):
    journal = Journal(path, HEADER)
    journal.add(measurement("a", error="the process crashed"))
    journal.close()
    (found,) = read_measurements(path)
    assert (found.error, found.rounds) == ("the process crashed", ())


def test_choices_and_the_reference_are_kept_beside_the_measurements(path):
    journal = Journal(path, HEADER)
    journal.choose("first", [POOL, POOL])
    journal.add(measurement("a"))
    journal.refer({"s": 1e-4})
    journal.choose("second", [])
    journal.refer({"s": 2e-4})
    journal.close()
    again = Journal(path, HEADER)
    again.close()
    assert again.choices == {"first": (POOL, POOL), "second": ()}
    assert again.reference == {"s": 2e-4}
    assert read_measurements(path) == (measurement("a"),)


def test_a_reference_that_has_not_changed_is_not_written_again(path):
    journal = Journal(path, HEADER)
    journal.refer({"s": 1e-4})
    before = path.read_text()
    journal.refer({"s": 1e-4})
    journal.close()
    assert path.read_text() == before


def test_opening_a_journal_never_leaves_less_than_there_was(path, monkeypatch):
    """A full disk while the torn line is cut off: the old file is still whole."""
    before = written(path, "a", "b")
    monkeypatch.setattr("costmodel.calibration.records.Journal._dumped", lambda _: iter([1 / 0]))
    with pytest.raises(ZeroDivisionError):
        Journal(path, HEADER)
    assert path.read_text() == before


@pytest.mark.parametrize("content", [None, ""])
def test_missing_measurements_are_an_input_error(path, content):
    if content is not None:
        path.parent.mkdir()
        path.write_text(content)
    with pytest.raises(InputError, match="missing or empty; calibrate again"):
        read_measurements(path)
