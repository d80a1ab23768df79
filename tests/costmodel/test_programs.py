"""The lane of static programs, on a device that misbehaves in every way."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import faulty_board
import psutil
import pytest
from boards import board_target
from runner_contract import FAST, kernel_jobs

from costmodel.errors import DeviceError, InputError
from costmodel.runners import programs
from costmodel.runners.command import CommandTransport
from costmodel.runners.object_pool import ObjectPool
from costmodel.runners.programs import ProgramLane
from costmodel.target import freeze_tvm_target

NAN = float("nan")


class Board:
    """The lane of a faulty board with three jobs, and what happened there."""

    def __init__(self, folder, target, pool, **settings):
        self.folder = folder
        words = [sys.executable, "-S", "-E", faulty_board.__file__, str(folder)]
        command = f"{shlex.join(words)} {{program}} {{args}}"
        self.lane = ProgramLane(CommandTransport(command), target, pool=pool, **settings)
        jobs = kernel_jobs(target, 3)
        assert self.lane.build(jobs) == {}
        self.keys = [job.key for job in jobs]
        self.spoil({})

    def spoil(self, faults):
        """``faults``: by position, what `faulty_board` does."""
        names = [self.lane._program.objects[key].signature.name for key in self.keys]
        text = json.dumps({names[i]: fault for i, fault in faults.items()})
        (self.folder / "faults.json").write_text(text)

    def be_offline(self, starts):
        (self.folder / "offline").write_text(str(starts))

    def errors(self, protocol=FAST):
        """Of each job in turn, None where it has all its samples."""
        answers = list(self.lane.time(self.keys, protocol))
        assert [answer.key for answer in answers] == self.keys
        for answer in answers:
            assert len(answer.samples) == (0 if answer.error else protocol.samples)
        return [answer.error for answer in answers]

    @property
    def starts(self):
        """First words of what the program was started with."""
        return [line.split()[0] for line in (self.folder / "starts").read_text().splitlines()]


@pytest.fixture(scope="module")
def shared(target, tmp_path_factory):
    pool = ObjectPool(1)
    board = Board(tmp_path_factory.mktemp("board"), target, pool, reach_s=1)
    yield board
    board.lane.close()


@pytest.fixture
def board(shared):
    shared.spoil({})
    shared.be_offline(0)
    (shared.folder / "left").unlink(missing_ok=True)
    (shared.folder / "starts").write_text("")
    return shared


def test_one_start_times_everything(board):
    assert board.errors() == [None, None, None]
    assert board.starts.count("time") == 1


def test_a_program_killed_in_the_middle_costs_one_kernel(board):
    board.spoil({1: "die"})
    assert board.errors() == [None, "it crashed (SIGKILL)", None]
    assert board.starts.count("time") == 2


def test_the_first_and_the_last_may_crash_too(board):
    board.spoil({0: "die", 2: "die"})
    assert board.errors() == ["it crashed (SIGKILL)", None, "it crashed (SIGKILL)"]


def test_a_program_that_hangs_costs_one_kernel_and_is_ended(board, monkeypatch):
    board.errors()
    monkeypatch.setattr(board.lane, "_kernel_timeout_s", 2.0)
    monkeypatch.setattr(programs, "GRACE_SECONDS", 0.1)
    board.spoil({1: "hang"})
    assert board.errors() == [None, "it gave no answer in 2 s", None]
    assert not [c for c in psutil.Process().children() if str(board.folder) in c.cmdline()]


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("garbage \x7f\udcff", "the device answered 'garbage"),
        ("{garbage", "the board answered '{garbage', which is not a timing"),
        ("[1, 2]", "the device answered '[1, 2]'"),
        ("cut", "which is not a timing"),
        ("silent", "the device answered 'hello from the device'"),
        ('{"kernel": "other"}', "not asked for"),
        ('{"seconds": [-1, 1]}', "no time can be like that"),
        ('{"seconds": [NaN, 1]}', "no time can be like that"),
        ('{"seconds": [1]}', "no time can be like that"),
        ('{"seconds": [1e-6], "runs": [1]}', "1 samples instead of 2"),
        ('{"seconds": [0, 1e-6]}', "too short for the board's clock"),
        ('{"output_peak": null}', "its output is not finite"),
        ('{"elapsed": 7}', "clock jumped"),
        ('{"raw_elapsed": 7}', "clock jumped"),
        ('{"elapsed": -7, "raw_elapsed": 7}', "no time can be like that"),
        ('{"seconds": [1, 1]}', "clock jumped"),
        ('{"seconds": [1, 1], "elapsed": 3600, "raw_elapsed": 3600}', "it claims 3.6e+03 s"),
        ("complain", "kernel 'x' failed: too many cooks"),
        ("flood", "the device answered 'tralala"),
    ],
)
def test_what_cannot_be_a_time_costs_one_kernel(board, monkeypatch, fault, line):
    monkeypatch.setattr(programs, "_ENDING_SECONDS", 0.5)
    board.spoil({1: fault})
    first, spoilt, last = board.errors()
    assert (first, last) == (None, None)
    assert line in spoilt
    assert len(spoilt.splitlines()) == 1


def test_samples_shorter_than_asked_for_are_refused(board):
    board.spoil({1: '{"runs": [1, 1]}'})
    _, spoilt, _ = board.errors(replace(FAST, min_repeat_ms=1))
    assert "shorter than min_repeat_ms 1" in spoilt


def test_a_device_that_goes_and_comes_back_costs_nothing(board):
    board.errors()
    board.spoil({1: "leave 1"})
    assert board.errors() == [None, None, None]


def test_a_kernel_that_the_device_is_always_lost_with_is_at_fault(board):
    board.spoil({1: "leave"})
    first, spoilt, last = board.errors()
    assert (first, last) == (None, None)
    assert spoilt == "the device was lost 2 times while it ran this kernel"


def test_a_device_that_stays_away_is_gone_but_what_it_said_counts(board):
    board.errors()
    board.spoil({1: "leave 1000"})
    answers = board.lane.time(board.keys, FAST)
    assert next(answers).error is None
    with pytest.raises(DeviceError, match=r"device offline \(for 1 s now\)"):
        next(answers)


def test_a_device_that_never_worked_is_not_waited_for(target, tmp_path, board):
    fresh = Board(tmp_path, target, board.lane._pool, reach_s=1000)
    fresh.be_offline(10)
    with pytest.raises(DeviceError, match="cannot run the program for x86_64: error: device off"):
        fresh.errors()
    fresh.lane._scratch.cleanup()


def test_files_are_read_and_an_absence_is_waited_for(board):
    board.errors()
    assert list(board.lane.files(["/proc/versio[n]", "/proc/nothing"])) == ["/proc/version"]
    board.be_offline(1)
    assert "Linux" in board.lane.files(["/proc/version"])["/proc/version"]
    board.be_offline(1000)
    with pytest.raises(DeviceError, match="device offline"):
        board.lane.files(["/proc/version"])


def test_processors_that_do_not_exist_are_nobodys_fault(board):
    with pytest.raises(DeviceError, match="cannot run on cpu 1000"):
        board.errors(replace(FAST, cpus=(1000,)))


def test_the_protocol_is_what_the_program_is_asked_for(board):
    board.errors(replace(FAST, repeats=6, rounds=2, max_rounds=2, cpus=(0, 1), flush_kb=8))
    words = (board.folder / "starts").read_text().splitlines()[-1].split()
    asked = dict(zip(words[7::2], words[8::2], strict=True))
    assert (asked["--repeats"], asked["--cpu"], asked["--threads"]) == ("3", "0", "1")
    assert (asked["--flush-kb"], asked["--warm-up-runs"], asked["--timeout-s"]) == ("8", "1", "60")


def test_what_is_built_again_replaces_what_was_there(board):
    """A sentinel may be one of the kernels that are measured."""
    assert board.lane.build(kernel_jobs(board_target("x86-64"), 2)) == {}
    assert board.errors() == [None, None, None]


def test_a_job_for_another_machine_is_told_apart(board):
    (other,) = kernel_jobs(board_target("cortex-a53"), 1)
    errors = board.lane.build([other])
    assert errors == {other.key: "it is for aarch64, this device is x86_64"}
    assert board.errors() == [None, None, None]


def test_a_target_without_programs_is_refused():
    foreign = replace(
        board_target("x86-64"),
        tvm=freeze_tvm_target({"kind": "llvm", "mtriple": "riscv64-linux-gnu"}),
    )
    with pytest.raises(InputError, match="no static program for the triple"):
        ProgramLane(CommandTransport("{program} {args}"), foreign)


def test_nothing_is_left_after_close(target):
    lane = ProgramLane(CommandTransport("{program} {args}"), target, pool=ObjectPool(1))
    lane.files(["/proc/version"])
    folder = Path(lane._scratch.name)
    assert [path.name for path in folder.iterdir()] == ["ponas-kernels"]
    lane.close()
    lane.close()
    assert not folder.exists()
