import executor_tasks as tasks
import pytest
from executor_contract import ExecutorContract, heard
from executor_tasks import work

from search.executors.inline import InlineExecutor


class TestInline(ExecutorContract):
    def opened(self, make_task, slots):
        assert slots == 1
        return InlineExecutor(make_task())

    def test_there_is_room_for_one(self, executor):
        assert executor.slots == 1

    def test_a_candidate_that_ends_the_process_ends_the_search(self, executor, tmp_path):
        executor.start(work(0, "leave", folder=tmp_path))
        with pytest.raises(SystemExit):
            heard(executor)

    def test_a_report_is_heard_while_the_training_runs(self, executor, tmp_path):
        given = work(0, "value", folder=tmp_path)
        executor.start(given)
        there = []
        executor.wait(lambda _: there.append((given.directory / "model").exists()))
        assert there == [False] * 4


def test_closing_forgets_what_was_given_out(tmp_path):
    executor = InlineExecutor(tasks.make_task())
    executor.start(work(folder=tmp_path))
    executor.close()
    executor.start(work(1, folder=tmp_path))
    assert heard(executor)[0].work.number == 1
