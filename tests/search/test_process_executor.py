import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import executor_tasks as tasks
import pytest
from executor_contract import WorkersContract, heard, killed_at_the_end, lives, until
from executor_tasks import work

from search.errors import InputError, StudyError
from search.executors.processes import ProcessExecutor

HERE = Path(__file__).parent


class TestProcesses(WorkersContract):
    def opened(self, make_task, slots):
        return ProcessExecutor(make_task, slots)

    def test_a_death_is_told_with_its_signal_or_status(self, executor, tmp_path):
        executor.start(work(0, "die once", folder=tmp_path))
        assert heard(executor)[0].evaluation.error == "worker died (signal 9)"
        executor.start(work(1, "leave", folder=tmp_path))
        assert heard(executor)[0].evaluation.error == "worker died (exit status 3)"

    def test_an_idle_worker_that_was_killed_is_replaced(self, executor, tmp_path):
        executor.start(work(0, folder=tmp_path))
        heard(executor)
        (pid,) = executor.pids
        os.kill(pid, signal.SIGKILL)
        until(lambda: not lives(pid))
        executor.start(work(1, folder=tmp_path))
        assert heard(executor)[0].evaluation.state == "finished"
        assert executor.pids != [pid]

    def test_no_process_is_started_before_there_is_work(self, executor):
        assert executor.pids == []


def start_parent(folder):
    return subprocess.Popen(
        [sys.executable, HERE / "executor_parent.py", "processes", folder],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def pids_of(folder):
    files = [folder / f"search-{number}" / "pid" for number in range(2)]
    until(lambda: all(file.exists() and file.read_text() for file in files))
    return [int(file.read_text()) for file in files]


def beats(folder):
    return [(folder / f"search-{number}" / "beat").read_text() for number in range(2)]


def test_workers_end_when_the_search_is_killed_and_write_no_more(tmp_path):
    with killed_at_the_end(start_parent(tmp_path)) as parent:
        pids = pids_of(tmp_path)
        parent.kill()
        parent.communicate()
        until(lambda: not any(lives(pid) for pid in pids), seconds=5)
        before = beats(tmp_path)
        time.sleep(0.1)
        assert beats(tmp_path) == before


def test_an_interrupt_of_the_whole_group_is_the_searchs_to_handle(tmp_path):
    with killed_at_the_end(start_parent(tmp_path)) as parent:
        pids = pids_of(tmp_path)
        os.killpg(parent.pid, signal.SIGINT)
        output, _ = parent.communicate(timeout=30)
        assert output.endswith("closed\n")
        assert parent.returncode == 0
        assert not any(lives(pid) for pid in pids)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_each_worker_has_cores_of_its_own_among_those_of_the_search(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    allowed = os.sched_getaffinity(0)
    few = set(sorted(allowed)[-2:])
    os.sched_setaffinity(0, few)
    try:
        with ProcessExecutor(tasks.make_task, 2) as executor:
            for number in range(2):
                executor.start(work(number, "write", folder=tmp_path))
            for _ in range(2):
                heard(executor)
    finally:
        os.sched_setaffinity(0, allowed)
    told = [(tmp_path / f"worker-{number}").read_text().split("\n") for number in range(2)]
    assert {cores for _, cores, *_ in told} == {str(cpu) for cpu in few}
    assert [(threads, temporary) for *_, threads, _, temporary in told] == [
        ("1", str(tmp_path))
    ] * 2


def test_too_few_cores_are_shared_and_threads_are_as_many_as_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    allowed = os.sched_getaffinity(0)
    with ProcessExecutor(tasks.make_task, 1, threads=len(allowed) + 1) as executor:
        executor.start(work(0, "write", folder=tmp_path))
        heard(executor)
    _, cores, threads, *_ = (tmp_path / "worker-0").read_text().split("\n")
    assert set(map(int, cores.split())) == allowed
    assert threads == str(len(allowed) + 1)
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_workers_that_die_before_the_task_is_made_are_not_started_for_ever(tmp_path):
    with ProcessExecutor(tasks.make_death, 1) as executor:
        for _ in range(2):
            executor.start(work(folder=tmp_path))
            assert heard(executor)[0].evaluation.state == "lost"
        executor.start(work(folder=tmp_path))
        with pytest.raises(StudyError, match=r"exit status 5.*before the task was made"):
            heard(executor)


def test_a_task_of_the_script_itself_is_found(tmp_path):
    """And what the script keeps below its guard is not run again in a worker."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "import executor_tasks as tasks\n"
        "from search.executors.processes import ProcessExecutor\n"
        "def make(): return tasks.make_task()\n"
        "if __name__ == '__main__':\n"
        "    print('once')\n"
        "    with ProcessExecutor(make, 1) as executor:\n"
        "        executor.start(tasks.work(folder='.'))\n"
        "        print(executor.wait(lambda _: None).evaluation.state)\n"
    )
    output = subprocess.run(
        [sys.executable, script], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert output == "once\nfinished\n"


@pytest.mark.parametrize(("workers", "threads"), [(0, 1), (1, 0)])
def test_fewer_than_one_is_refused(workers, threads):
    with pytest.raises(InputError, match="1 is the least"):
        ProcessExecutor(tasks.make_task, workers, threads)
