"""The server for boards, and the emulated board: what is asked of them, and that they end."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tools import emulated_board, rpc_board


@pytest.mark.parametrize("words", [["--tracker", "host:9190"], ["--tracker", "host", "--key", "k"]])
def test_a_tracker_needs_its_port_and_a_key(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["rpc_board.py", *words])
    with pytest.raises(SystemExit):
        rpc_board.main()
    assert "--tracker is HOST:PORT and needs --key" in capsys.readouterr().err


def test_an_emulated_board_needs_the_emulator(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["emulated_board", str(tmp_path)])
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(SystemExit, match="there is no qemu-aarch64-static: make system-packages"):
        emulated_board.main()


def test_an_emulated_board_has_the_versions_of_this_machine():
    assert emulated_board._pinned("apache-tvm") == "apache-tvm==0.27.0.post1"
    assert emulated_board._pinned("no-such-distribution") == "no-such-distribution"


def test_what_fails_while_the_board_is_made_is_a_line(tmp_path):
    with pytest.raises(SystemExit, match=r"^ls /none failed: ls: cannot access"):
        emulated_board._run(["ls", "/none"], tmp_path)


def test_the_server_ends_when_it_is_told_to_and_leaves_nothing_listening(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "torch.py").write_text("raise ImportError\n")  # TVM starts in a second without
    environment = {**os.environ, "TVM_USE_RUNTIME_LIB": "1", "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, rpc_board.__file__, "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    assert eventually(lambda: listens(port))
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == 0
    assert eventually(lambda: not listens(port))


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(condition):
    until = time.monotonic() + 60
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()
