"""The runner `ssh` over a real sshd on this machine's loopback."""

import shlex
import stat
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest
from boards import board_target, emulator_of
from runner_contract import FAST, RunnerContract, kernel_jobs, measure, network_job
from ssh_server import KeptPool, SshServer, lane_of

from costmodel.errors import DeviceError, InputError
from costmodel.runners.object_pool import ObjectPool
from costmodel.runners.ssh import SshRunner, SshTransport


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = SshServer(tmp_path_factory.mktemp("ssh"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def pool():
    pool = KeptPool(1)
    yield pool
    ObjectPool.close(pool)


@pytest.fixture(scope="module")
def warm(target, server, pool):
    """One runner whose compilers have imported TVM; a test that needs its own makes it."""
    with SshRunner(target, "board", server.config, pool=pool, reach_s=20) as runner:
        yield runner


@pytest.fixture
def runner(warm):
    warm._has_built = False
    return warm


class TestSshRunner(RunnerContract):
    pass


@pytest.fixture
def transport(server):
    transport = SshTransport("board", server.config)
    yield transport
    transport.remove()


@pytest.fixture
def program(tmp_path):
    """A script: it serves where it does not matter what the program does."""
    path = tmp_path / "program"
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$*"\n')
    path.chmod(0o755)
    return path


def folders(server):
    return list(server.temporary.iterdir())


def eventually(condition):
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def programs_running(server):
    """Those of this server's board; other tests have boards, too."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.cmdline()[:1] == ["./program"] and process.cwd().startswith(
                str(server.temporary)
            ):
                found.append(process)
    return found


def holder_of(lane):
    return psutil.Process(lane._transport._holder._process.pid)


def test_words_arrive_as_they_were_sent(transport, program):
    transport.place(program)
    words = ["files", "/sys/*/x?[a-b]", "a'b", "$(touch x)", "`id`", "; exit 7", "~", "a\\b"]
    status, lines = transport.start(words).finish(20)
    assert (status, lines) == (0, [" ".join(words)])


def test_the_folder_is_ours_alone_and_gone_in_the_end(server, transport, program):
    before = set(folders(server))
    transport.place(program)
    (folder,) = set(folders(server)) - before
    assert folder.name.startswith("ponas.")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    transport.remove()
    assert eventually(lambda: not folder.exists())


@pytest.mark.parametrize(
    "host",
    ["-oProxyCommand=x", "a b", "a\tb", "", "a\n", "\x07", "$(id)", "user@-x", "a;b", "ssh://a"],
)
def test_what_is_no_host_is_refused(host):
    with pytest.raises(InputError, match="is no host: give a name"):
        SshTransport(host)


def test_hosts_of_all_kinds_are_taken():
    for host in ("odroid", "root@192.168.1.5", "fe80::1%eth0", "user.name@board-1.local"):
        assert SshTransport(host).describe() == host
    assert SshTransport("root@fe80::1")._scp_host == "root@[fe80::1]"


def test_without_ssh_there_is_a_cure(monkeypatch):
    monkeypatch.setenv("PATH", "/none")
    with pytest.raises(InputError, match="there is no ssh on this machine: install openssh-client"):
        SshTransport("board")


def test_a_connection_that_breaks_is_made_again_and_costs_nothing(server, target, pool):
    lane, keys = lane_of(target, server, pool)
    try:
        answers = lane.time(keys, replace(FAST, min_repeat_ms=50))
        first = next(answers)
        holder_of(lane).kill()
        rest = list(answers)
        assert [a.key for a in (first, *rest)] == keys
        assert [a.error for a in (first, *rest)] == [None] * 3
    finally:
        lane.close()


def test_a_server_that_is_gone_is_waited_for_and_nothing_known_is_lost(server, target, pool):
    lane, keys = lane_of(target, server, pool, reach_s=1)
    try:
        answers = lane.time(keys, replace(FAST, min_repeat_ms=50))
        assert next(answers).error is None
        server.stop()
        holder_of(lane).kill()
        with pytest.raises(DeviceError, match=r"connection refused.* \(for 1 s now\)"):
            list(answers)
    finally:
        server.start()
    assert [a.error for a in lane.time(keys, FAST)] == [None] * 3
    lane.close()


def test_an_emulated_odroid_is_measured_over_ssh(pool, tmp_path):
    target = board_target("cortex-a15")
    server = SshServer(tmp_path, shlex.join(emulator_of(target)), "armv7l")
    try:
        with SshRunner(target, "board", server.config, pool=pool) as runner:
            jobs = [*kernel_jobs(target, 2), network_job(target)]
            assert [o.error for o in measure(runner, jobs).values()] == [None] * 3
            assert runner._lanes[0]._transport._machine == "armv7l"
        assert eventually(lambda: not folders(server))
    finally:
        server.stop()


def test_nothing_keeps_running_when_the_connection_dies(server, target, pool):
    lane, keys = lane_of(target, server, pool, 1)
    before = set(folders(server))
    lane._ready()
    (folder,) = set(folders(server)) - before
    started = lane._transport.start(["time", "--kernel", name_of(lane, keys[0]), *LONG])
    assert eventually(lambda: programs_running(server))
    holder_of(lane).kill()  # as if this process were killed
    assert eventually(lambda: not programs_running(server) and not folder.exists())
    started.kill()
    lane.close()


def test_nothing_is_left_on_the_board_when_this_process_is_killed(server, target, pool):
    lane, keys = lane_of(target, server, pool, 1)
    before = set(folders(server))
    code = (
        "import sys, time; from pathlib import Path; from costmodel.runners.ssh import SshTransport"
        "\nt = SshTransport('board', Path(sys.argv[1])); t.place(Path(sys.argv[2]))"
        "\nt.start(['time', '--kernel', *sys.argv[3:]]); time.sleep(1000)"
    )
    words = [server.config, lane._program.path, name_of(lane, keys[0]), *LONG]
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, words)])
    assert eventually(lambda: programs_running(server))
    (folder,) = set(folders(server)) - before
    process.kill()
    process.wait()
    assert eventually(lambda: not programs_running(server) and not folder.exists())
    lane.close()


LONG = ["--repeats", "1", "--min-repeat-ms", "100000"]


def name_of(lane, key):
    return lane._program.objects[key].signature.name


def test_a_program_that_hangs_is_killed_on_the_board(server, target, pool):
    lane, keys = lane_of(target, server, pool)
    lane._ready()
    try:
        started = lane._transport.start(["time", "--kernel", name_of(lane, keys[0]), *LONG])
        assert eventually(lambda: programs_running(server))
        (program,) = programs_running(server)
        program.suspend()  # so that it cannot end itself
        lane._transport.halt(started)
        assert eventually(lambda: not programs_running(server))
        assert [a.error for a in lane.time(keys, FAST)] == [None] * 3
    finally:
        lane.close()


def test_a_program_killed_on_the_board_costs_one_kernel(server, target, pool):
    lane, keys = lane_of(target, server, pool)
    try:
        answers = lane.time(keys, replace(FAST, min_repeat_ms=200))
        assert next(answers).error is None
        assert eventually(lambda: programs_running(server))
        programs_running(server)[0].kill()
        rest = [answer.error for answer in answers]
        assert sorted(rest, key=str) == [None, "it crashed (SIGKILL)"]
    finally:
        lane.close()
