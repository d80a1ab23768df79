import os
import subprocess
import sys
from pathlib import Path

import executor_tasks as tasks
import pytest
from executor_contract import WorkersContract, heard, killed_at_the_end, lives, until
from executor_tasks import work

from search.errors import InputError, StudyError
from search.executors.ray_cluster import RayExecutor

HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    """One Ray on this machine for all tests of this file: each start takes seconds."""
    with RayExecutor(tasks.make_task, None, slots=2) as executor:
        yield executor


class TestRay(WorkersContract):
    def opened(self, make_task, slots):
        return RayExecutor(make_task, None, slots=slots)

    def test_slots_are_what_the_cluster_has_room_for(self):
        cores = max(2, len(os.sched_getaffinity(0)))
        with RayExecutor(tasks.make_task, None) as executor:
            assert executor.slots == cores
        with RayExecutor(tasks.make_task, None, cpus=cores / 2) as executor:
            assert executor.slots == 2
        with RayExecutor(tasks.make_task, None, slots=10 * cores) as executor:
            assert executor.slots == cores

    def test_what_no_machine_has_is_refused(self):
        with pytest.raises(StudyError, match=r"no machine of the cluster has 1 CPU and 900 GPU"):
            RayExecutor(tasks.make_task, None, gpus=900)
        with pytest.raises(InputError, match="0 processors and 0 GPUs"):
            RayExecutor(tasks.make_task, None, cpus=0)

    def test_a_worker_uses_as_many_threads_as_it_takes_processors(self, tmp_path):
        with RayExecutor(tasks.make_task, None, cpus=2) as executor:
            executor.start(work(0, "write", folder=tmp_path))
            heard(executor)
        assert (tmp_path / "worker-0").read_text().split("\n")[2] == "2"

    def test_where_a_folder_is_not_shared_the_worker_makes_its_own(self, executor, tmp_path):
        given = work(0, folder=tmp_path)
        given.directory.rmdir()
        executor.start(given)
        ended, _ = heard(executor)
        assert ended.evaluation.state == "finished"
        assert not given.directory.exists()


def start_parent(kind, folder):
    return subprocess.Popen(
        [sys.executable, HERE / "executor_parent.py", kind, folder],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def pids_of(folder):
    files = [folder / f"search-{number}" / "pid" for number in range(2)]
    until(lambda: all(file.exists() and file.read_text() for file in files), seconds=60)
    return [int(file.read_text()) for file in files]


def test_workers_of_a_local_ray_end_when_the_search_is_killed(tmp_path):
    with killed_at_the_end(start_parent("ray:local", tmp_path)) as parent:
        pids = pids_of(tmp_path)
        parent.kill()
        parent.communicate()
        until(lambda: not any(lives(pid) for pid in pids), seconds=5)


def test_workers_of_a_cluster_end_when_the_search_is_killed(tmp_path, local_ray):
    with killed_at_the_end(start_parent(f"ray:{local_ray.address}", tmp_path)) as parent:
        pids = pids_of(tmp_path)
        parent.kill()
        parent.communicate()
        until(lambda: not any(lives(pid) for pid in pids), seconds=10)


def test_no_cluster_is_one_line(tmp_path):
    with killed_at_the_end(start_parent("ray:127.0.0.1:9", tmp_path)) as parent:
        output, _ = parent.communicate(timeout=60)
    line, last = output.splitlines()
    assert line.startswith("no Ray cluster at 127.0.0.1:9")
    assert last == "closed"
