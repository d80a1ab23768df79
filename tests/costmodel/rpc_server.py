"""Real TVM RPC servers and trackers on this machine's loopback: boards for the runner `rpc`."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

import tools
from costmodel.runners.object_pool import ObjectPool

TRACKER = ("-m", "tvm.exec.rpc_tracker")
SERVER = ("-m", "tvm.exec.rpc_server")
RECOVERING_SERVER = (str(Path(tools.__path__[0]) / "rpc_board.py"),)
_START_SECONDS = 90


class Served:
    """A program that listens on a port of its own, in a process group of its own."""

    def __init__(self, folder, program, *words):
        """``program``: one of this module's. Is listening only after `await_start`."""
        for needed in ("tornado", "cloudpickle", "psutil"):
            if find_spec(needed) is None:
                pytest.skip(f"no {needed}: pip install 'ponas[rpc]'")
        self.port = _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._log = folder / f"{self.port}.log"
        ends = () if program is RECOVERING_SERVER else ("--port-end", str(self.port + 1))
        command = [
            sys.executable, *program, "--host", "127.0.0.1", *words, "--port", str(self.port), *ends
        ]  # fmt: skip
        with self._log.open("wb") as log:
            environment = {**os.environ, **_quick_start(folder)}
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=environment
            )

    def await_start(self):
        until = time.monotonic() + _START_SECONDS
        while "bind to" not in self.log and time.monotonic() < until:
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        if "bind to" not in self.log:
            self.stop()
            pytest.fail(f"it does not start here: {self.log[-300:]}")
        return self

    @property
    def log(self):
        return self._log.read_text(errors="replace")

    def stop(self):
        self.signal(signal.SIGKILL)
        self._process.wait()

    def signal(self, number):
        """To all its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def session(self):
        """The process that serves a client now; None without one."""
        found = psutil.Process(self._process.pid).children(recursive=True)
        with suppress(psutil.NoSuchProcess):
            grandchildren = [p for p in found if p.ppid() != self._process.pid]
            return next((p for p in grandchildren if _runs(p)), None)
        return None


def _quick_start(folder):
    """Has TVM leave out what a server does not need: its compiler, and torch where there is one."""
    (folder / "torch.py").write_text("raise ImportError\n")
    return {"TVM_USE_RUNTIME_LIB": "1", "PYTHONPATH": str(folder)}


def _runs(process):
    return process.status() != psutil.STATUS_ZOMBIE


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class KeptPool(ObjectPool):
    """Which outlives the runners that share it: its processes take seconds to start."""

    def close(self):
        pass


def eventually(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()
