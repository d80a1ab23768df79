"""TVM's RPC server for a board, started again whenever a kernel that crashes has ended it.

    python rpc_board.py --port 9090 [--tracker HOST:PORT --key KEY]

Copy this file to the board: it needs the wheel of TVM and nothing else. TVM's own
``python -m tvm.exec.rpc_server`` stays up after a crash but never serves again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from typing import NoReturn

_PAUSE_SECONDS = 0.5


def main() -> None:
    """Serves until it is ended."""
    options = _options()
    import tvm.rpc.server  # noqa: F401 - once, and not again after each crash

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        child = os.fork()
        if child == 0:
            _serve(options)
        try:
            os.waitpid(child, 0)
        except (KeyboardInterrupt, SystemExit):
            os.kill(child, signal.SIGKILL)
            return
        print("the server has ended, starting it again", flush=True)
        time.sleep(_PAUSE_SECONDS)


def _serve(options: argparse.Namespace) -> NoReturn:
    """One life of the server: until its thread dies, as it does when a session crashes."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        from tvm.rpc.server import PopenRPCServerState

        host, _, port = options.tracker.rpartition(":")
        state = PopenRPCServerState(
            options.host,
            options.port,
            options.port + 1,
            tracker_addr=(host.strip("[]"), int(port)) if options.tracker else None,
            key=options.key,
        )
        state.thread.join()
    except Exception as error:  # as where the port is taken
        print(f"no server: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="TVM's RPC server that recovers from crashes")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen at")  # noqa: S104
    parser.add_argument("--port", type=int, default=9090)
    parser.add_argument("--tracker", default="", help="HOST:PORT of a tracker")
    parser.add_argument("--key", default="", help="key of this kind of board at the tracker")
    options = parser.parse_args()
    if options.tracker and not (options.key and options.tracker.rpartition(":")[2].isdigit()):
        parser.error("--tracker is HOST:PORT and needs --key, as in --key odroid")
    return options


if __name__ == "__main__":
    main()
