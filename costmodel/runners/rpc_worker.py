"""The child process that holds a session with a board: nothing else can be given up when it hangs.

TVM's client has no deadlines. What goes wrong with a request becomes a `Failure`.
"""

from __future__ import annotations

import gc
import os
from multiprocessing.connection import Connection
from typing import Any

from costmodel.runners.rpc_messages import BoardError, Close, Failure, Open, Request
from costmodel.runners.rpc_remote import RemoteBoard

_TIMED_OUT = "RPCSessionTimeoutError"
"""What a server says of a session that it has ended because its time was over."""


def serve(pipe: Connection) -> None:
    """Answers requests until the other end is gone."""
    board: RemoteBoard | None = None
    while True:
        try:
            request: Request = pipe.recv()
        except (EOFError, OSError):
            return
        answer: Any = None
        try:
            if isinstance(request, Close | Open):
                _import_tvm()
                board = None
                gc.collect()  # a session ends with the last array that knows it
            if isinstance(request, Open):
                board = RemoteBoard(request)
                answer = board.version()
            elif board is not None and not isinstance(request, Close):
                answer = board.answer(request)
        except Exception as error:  # whatever it is, it is this request's outcome
            answer = _failure(error, board)
        try:
            pipe.send(answer)
        except OSError:  # nobody is there to hear it
            return


def _import_tvm() -> None:
    """TVM without its compiler: 0.6 s, after every board that has hung."""
    os.environ["TVM_USE_RUNTIME_LIB"] = "1"
    import tvm.rpc  # noqa: F401


def _failure(error: Exception, board: RemoteBoard | None) -> Failure:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, ImportError):
        return Failure(f"{lines[-1]}: pip install 'ponas[rpc]'", "board")
    if isinstance(error, BoardError):
        return Failure(lines[-1], "board")
    if _TIMED_OUT in f"{type(error).__name__} {error}":
        return Failure(lines[-1], "overdue")
    if board is None or not board.lives():
        return Failure(lines[-1], "lost")
    return Failure(lines[-1], "call")
