"""The same work on many items, in fresh processes, in the order of the items."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from kws.errors import InputError, KwsError

Item = TypeVar("Item")
Result = TypeVar("Result")

OnProgress = Callable[[int, int], None]
"""Called with the number of items done and the number of all, from the calling process."""


def map_processes(
    work: Callable[[Sequence[Item]], Sequence[Result]],
    items: Sequence[Item],
    *,
    workers: int | None = None,
    batch: int = 64,
    on_progress: OnProgress | None = None,
) -> list[Result]:
    """``work`` over ``items`` in batches; what one batch gives must not depend on another.

    Processes are spawned, never forked: neither torch's threads nor the synthesiser's state
    is inherited, and nothing that the work loads stays in this process. A script that leads
    here therefore needs its ``if __name__ == "__main__":``.

    Args:
        work: A function at the top of a module: a batch of items to as many results.
        items: What to work on.
        workers: Processes at once; None is one for each core this process may use.
        batch: Items handed over at once.
        on_progress: Told after each batch.

    Raises:
        InputError: for fewer than one worker.
        KwsError: where a process died.

    """
    batches = [items[start : start + batch] for start in range(0, len(items), batch)]
    processes = min(worker_count(workers), max(1, len(batches)))
    results: list[Result] = []
    for done in _run(work, batches, processes):
        results.extend(done)
        if on_progress is not None:
            on_progress(len(results), len(items))
    return results


def worker_count(workers: int | None) -> int:
    """``workers``, or the cores this process may use; InputError for fewer than one."""
    if workers is None:
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if workers < 1:
        raise InputError(f"at least 1 worker process is needed, got {workers}")
    return workers


def _run(
    work: Callable[[Sequence[Item]], Sequence[Result]],
    batches: Sequence[Sequence[Item]],
    processes: int,
) -> Iterator[Sequence[Result]]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            yield from pool.map(work, batches)
        except BrokenProcessPool:
            raise KwsError(
                "a worker process died: out of memory (run it again with fewer workers), or "
                "started by a script without: if __name__ == '__main__':"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
