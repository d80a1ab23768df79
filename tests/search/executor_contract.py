"""What every executor does; the test files of executors inherit from these classes."""

import contextlib
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import executor_tasks as tasks
import numpy as np
import pytest
from executor_tasks import work

from search.errors import InputError, StudyError
from search.executors.inline import InlineExecutor
from search.work import Report


def heard(executor):
    """The next end, and what was reported before it."""
    reports = []
    return executor.wait(reports.append), reports


def alone(given, task=None):
    """The end and the reports of a work in this process."""
    with InlineExecutor(task or tasks.make_task()) as executor:
        executor.start(given)
        return heard(executor)


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def lives(pid):
    """Whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class ExecutorContract:
    """`opened(make_task, slots)` is given by the class that inherits."""

    def opened(self, make_task, slots):
        raise NotImplementedError

    @pytest.fixture
    def executor(self):
        with self.opened(tasks.make_task, 1) as executor:
            yield executor

    def test_a_result_is_that_of_the_work_done_in_this_process_to_the_bit(self, executor, tmp_path):
        given = work(folder=tmp_path)
        executor.start(given)
        ended, reports = heard(executor)
        there, reports_there = alone(given)
        assert ended == there
        assert ended.evaluation.state == "finished"
        assert ended.evaluation.values["cost"] == 0.1 + 0.2
        assert reports == reports_there
        assert [report.at for report in reports] == [10, 20, 30, 40]

    def test_one_after_the_other_each_has_its_own_seed(self, executor, tmp_path):
        values = []
        for number in range(4):
            executor.start(work(number, folder=tmp_path, seed=number // 2))
            ended, reports = heard(executor)
            assert ended.work.number == number
            assert {report.number for report in reports} == {number}
            values.append(ended.evaluation.values["error"])
        assert values[0] == values[1] != values[2] == values[3]

    def test_fine_tuning_is_work_of_a_stage_of_its_own(self, executor, tmp_path):
        executor.start(work(2, folder=tmp_path, stage="finetune", seed=7))
        ended, reports = heard(executor)
        assert ended.evaluation.values == {"error": 1.0, "phase": 1.0}
        assert reports == [Report(2, "finetune", "point", 7, 0.5)]
        executor.start(work(3, "raise", folder=tmp_path, stage="finetune"))
        ended, _ = heard(executor)
        assert ended.evaluation.state == "failed"
        assert ended.evaluation.error == "ValueError: no fine-tuning"

    def test_a_candidate_that_raises_has_failed_with_one_line(self, executor, tmp_path):
        executor.start(work(0, "raise", folder=tmp_path))
        ended, reports = heard(executor)
        assert ended.evaluation.state == "failed"
        assert ended.evaluation.error == "ValueError: no good"
        assert "in fail" in ended.evaluation.traceback
        assert not ended.evaluation.environment
        assert [report.value for report in reports] == [2.0]
        executor.start(work(1, folder=tmp_path))
        assert heard(executor)[0].evaluation.state == "finished"

    def test_a_full_disk_is_no_fault_of_the_candidate(self, executor, tmp_path):
        executor.start(work(0, "full", folder=tmp_path))
        ended, _ = heard(executor)
        assert ended.evaluation.environment
        assert "disk is full" in ended.evaluation.error

    def test_a_training_that_is_not_worth_its_end_stops_early(self, executor, tmp_path):
        given = work(folder=tmp_path, rungs={0.25: 40.0, 0.5: 20.0})
        executor.start(given)
        ended, reports = heard(executor)
        assert ended.evaluation.state == "stopped"
        assert ended.evaluation.values == {"cost": 0.1 + 0.2}
        told = [(report.kind, report.at, report.value) for report in reports]
        assert [each for each in told if each[0] == "rung"] == [
            ("rung", 0.25, 37.5),
            ("rung", 0.5, 25.0),
        ]
        assert [each[1] for each in told if each[0] == "point"] == [10, 20]

    def test_many_reports_come_each_once_in_their_order_before_the_end(self, executor, tmp_path):
        executor.start(work(0, "flood", folder=tmp_path))
        ended, reports = heard(executor)
        assert ended.evaluation.state == "finished"
        assert [(report.at, report.value) for report in reports] == [
            (step, step / 7) for step in range(500)
        ]

    def test_parameters_may_be_large(self, executor, tmp_path):
        executor.start(work(0, "length", folder=tmp_path, text="ä" * 3_000_000))
        ended, _ = heard(executor)
        assert ended.evaluation.values["error"] == 3_000_000

    def test_what_was_given_out_comes_back_as_it_was(self, executor, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        given = replace(work(folder="."), parameters={"do": "value", "x": 3})
        assert not given.directory.is_absolute()
        executor.start(given)
        ended, _ = heard(executor)
        assert ended.work == given
        assert (tmp_path / "search-0" / "model").exists()

    def test_closing_twice_is_closing_once(self, tmp_path):
        executor = self.opened(tasks.make_task, 1)
        executor.start(work(folder=tmp_path))
        executor.close()
        executor.close()


class WorkersContract(ExecutorContract):
    """Of those that train in other processes, which can be killed."""

    def pid_of(self, given):
        """Of the worker that trains a work whose act is ``beat``."""
        file = given.directory / "pid"
        until(lambda: file.exists() and file.read_text())
        return int(file.read_text())

    def test_several_are_trained_at_a_time(self, tmp_path):
        with self.opened(tasks.make_task, 2) as executor:
            assert executor.slots == 2
            executor.start(work(0, "meet", folder=tmp_path, mine="a", other="b"))
            executor.start(work(1, "meet", folder=tmp_path, mine="b", other="a"))
            ends = [heard(executor)[0] for _ in range(2)]
            assert {end.work.number for end in ends} == {0, 1}
            assert {end.evaluation.state for end in ends} == {"finished"}

    def test_the_first_to_end_comes_first_and_the_other_goes_on(self, tmp_path):
        with self.opened(tasks.make_task, 2) as executor:
            slow = work(0, "meet", folder=tmp_path, mine="a", other="b")
            executor.start(slow)
            for number in (1, 2):
                executor.start(work(number, folder=tmp_path))
                assert heard(executor)[0].work.number == number
            executor.start(work(3, "meet", folder=tmp_path, mine="b", other="a"))
            assert {heard(executor)[0].work.number for _ in range(2)} == {0, 3}

    def test_a_worker_that_dies_costs_its_work_and_is_replaced(self, executor, tmp_path, capfd):
        given = work(0, "die once", folder=tmp_path)
        executor.start(given)
        ended, reports = heard(executor)
        assert ended.evaluation.state == "lost"
        assert ended.evaluation.error.startswith("worker died")
        assert not ended.evaluation.values
        assert [report.value for report in reports] == [9.0]
        assert (given.directory / "been here").exists()
        executor.start(given)
        again, _ = heard(executor)
        assert again.evaluation == alone(given)[0].evaluation
        assert capfd.readouterr().out == ""

    def test_a_worker_that_ends_itself_is_lost_too(self, executor, tmp_path):
        executor.start(work(0, "leave", folder=tmp_path))
        ended, _ = heard(executor)
        assert ended.evaluation.state == "lost"
        assert ended.evaluation.error.startswith("worker died")

    def test_a_worker_that_is_killed_leaves_the_others_alone(self, tmp_path):
        with self.opened(tasks.make_task, 2) as executor:
            lost, other = (work(n, "beat", folder=tmp_path) for n in (0, 1))
            executor.start(lost)
            executor.start(other)
            first, second = self.pid_of(lost), self.pid_of(other)
            os.kill(first, signal.SIGKILL)
            ended, _ = heard(executor)
            assert (ended.work.number, ended.evaluation.state) == (0, "lost")
            assert lives(second)
            executor.start(work(2, folder=tmp_path))
            assert heard(executor)[0].evaluation.state == "finished"

    def test_closing_ends_trainings_in_their_middle(self, tmp_path):
        executor = self.opened(tasks.make_task, 2)
        given = [work(n, "beat", folder=tmp_path) for n in (0, 1)]
        for each in given:
            executor.start(each)
        pids = [self.pid_of(each) for each in given]
        executor.close()
        until(lambda: not any(lives(pid) for pid in pids), seconds=5)
        before = [(each.directory / "beat").read_text() for each in given]
        time.sleep(0.1)
        assert [(each.directory / "beat").read_text() for each in given] == before

    def test_the_task_is_made_once_in_each_worker(self, tmp_path):
        log = tmp_path / "log"
        with self.opened(tasks.Counted(log), 1) as executor:
            for number in range(5):
                executor.start(work(number, folder=tmp_path))
                heard(executor)
        pids = log.read_text().split()
        assert len(pids) == len(set(pids)) < 5

    def test_the_task_brings_its_data(self, tmp_path):
        values = np.random.default_rng(1).normal(size=(400, 40, 98)).astype(np.float32)
        with self.opened(tasks.WithData(values), 1) as executor:
            executor.start(work(folder=tmp_path))
            ended, _ = heard(executor)
        assert ended.evaluation.values["error"] == float(values.sum())

    def test_a_task_that_cannot_be_made_is_one_line(self, tmp_path):
        with self.opened(tasks.make_none, 1) as executor:
            executor.start(work(folder=tmp_path))
            with pytest.raises(StudyError, match=r"cannot make the task.*no data here") as caught:
                heard(executor)
        assert "\n" not in str(caught.value)

    def test_a_task_that_cannot_be_sent_is_one_line(self):
        with pytest.raises(InputError, match=r"cannot be sent.*cannot pickle") as caught:
            self.opened(tasks.Unpicklable(), 1)
        assert "\n" not in str(caught.value)

    def test_a_worker_has_the_working_directory_and_writes_no_result(
        self, tmp_path, monkeypatch, capfd
    ):
        monkeypatch.chdir(tmp_path)
        with self.opened(tasks.make_task, 1) as executor:
            executor.start(work(0, "write", folder=tmp_path))
            ended, _ = heard(executor)
        assert ended.evaluation.values["error"] != os.getpid()
        folder, _, threads, imported, _ = (tmp_path / "worker-0").read_text().split("\n")
        assert folder == str(tmp_path)
        assert threads == "1"
        assert not {"torch", "tvm", "pytest"} & set(imported.split())
        assert capfd.readouterr().out == ""

    def test_used_from_a_thread_that_is_not_the_main_one(self, tmp_path):
        found = []

        def search():
            with self.opened(tasks.make_task, 1) as executor:
                executor.start(work(folder=tmp_path))
                found.append(heard(executor)[0])

        thread = threading.Thread(target=search)
        thread.start()
        thread.join(60)
        assert [end.evaluation.state for end in found] == ["finished"]


@contextlib.contextmanager
def killed_at_the_end(process):
    """A process that a test started: gone after it, whatever happened."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()
