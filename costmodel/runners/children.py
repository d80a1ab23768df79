"""Child processes of the runners: started quickly, and ended when nobody listens to them.

TVM's calling layer imports torch where there is one, for arrays that no runner has: three of the
four seconds that a child takes to start. In a child there is no torch.
"""

from __future__ import annotations

import importlib
import multiprocessing
import signal
import sys
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any


def start_child(module: str, function: str, *arguments: object) -> tuple[SpawnProcess, Connection]:
    """Starts ``module.function(pipe, *arguments)`` in a process of its own.

    Both are names, so that the child decides what is imported. Gives the process and this end of
    the pipe.
    """
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_run, args=(module, function, theirs, arguments), daemon=True)
    process.start()
    theirs.close()
    return process, mine


def _run(module: str, function: str, pipe: Connection, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the parent's to handle
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    getattr(importlib.import_module(module), function)(pipe, *arguments)
