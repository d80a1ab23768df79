import math
import os

import pytest

from kws.errors import InputError, KwsError
from kws.parallel import map_processes, worker_count


def roots(batch):
    return [math.sqrt(item) for item in batch]


def process_ids(batch):
    return [os.getpid()] * len(batch)


def refuse(batch):
    raise InputError(f"clip {batch[0]} is impossible")


def die(_batch):
    os._exit(9)


def test_results_come_in_the_order_of_the_items_with_progress():
    seen = []
    results = map_processes(
        roots, range(10), workers=2, batch=3, on_progress=lambda done, of: seen.append((done, of))
    )
    assert results == [math.sqrt(item) for item in range(10)]
    assert seen == [(3, 10), (6, 10), (9, 10), (10, 10)]


def test_work_is_never_done_in_this_process():
    assert os.getpid() not in map_processes(process_ids, range(4), workers=1, batch=1)


def test_nothing_to_do_is_done():
    assert map_processes(roots, []) == []


def test_an_error_of_the_work_arrives_as_it_was():
    with pytest.raises(InputError, match="clip 0 is impossible"):
        map_processes(refuse, range(4), workers=2, batch=1)


def test_a_process_that_dies_is_reported():
    with pytest.raises(KwsError, match="a worker process died"):
        map_processes(die, range(4), workers=2, batch=1)


def test_workers_are_the_cores_unless_said():
    assert 1 <= worker_count(None) <= (os.cpu_count() or 1)
    assert worker_count(5) == 5
    with pytest.raises(InputError, match="at least 1 worker process is needed, got 0"):
        worker_count(0)
