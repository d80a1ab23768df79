"""A search's process that a test starts, kills or interrupts while two workers train.

    python executor_parent.py KIND FOLDER

KIND is ``processes``, or ``ray`` followed by an address: ``ray:local`` starts one. Says ``closed``
on standard output where an interrupt or an error ends it in order, after the error.
"""

import sys
from pathlib import Path

import executor_tasks as tasks

from search.errors import StudyError
from search.executors.processes import ProcessExecutor
from search.executors.ray_cluster import RayExecutor


def main(kind, folder):
    try:
        with opened(kind) as executor:
            for number in range(2):
                executor.start(tasks.work(number, "beat", folder=folder))
            executor.wait(lambda _: None)
    except (KeyboardInterrupt, StudyError) as error:
        sys.stdout.write(f"{error}\nclosed\n")


def opened(kind):
    if kind == "processes":
        return ProcessExecutor(tasks.make_task, 2)
    address = kind.partition(":")[2]
    return RayExecutor(tasks.make_task, None if address == "local" else address, slots=2)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
