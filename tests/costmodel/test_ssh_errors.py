"""Boards that cannot be entered, or that take no program: one line with a cure each."""

import os
import subprocess

import pytest
from boards import board_target
from runner_contract import FAST
from ssh_server import KeptPool, SshServer, lane_of

from costmodel.errors import DeviceError
from costmodel.runners import ssh
from costmodel.runners.object_pool import ObjectPool
from costmodel.runners.programs import ProgramLane
from costmodel.runners.ssh import SshTransport
from costmodel.runners.transport import TransportError
from tools.ssh_board import free_port


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


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"Port": "unused"}, "connection refused: nothing listens for ssh there"),
        ({"UserKnownHostsFile": "/dev/null"}, "host key is not known here; connect once by hand"),
        ({"IdentityFile": "/none"}, "refuses the login without a password; give it your key"),
        ({"HostName": "no-such-host.invalid"}, "no such host is known"),
    ],
)
def test_a_board_that_cannot_be_entered_is_one_line_with_a_cure(
    server, target, pool, changes, line
):
    if "Port" in changes:
        changes = {"Port": free_port()}
    server.write_config(**changes)
    lane, keys = lane_of(target, server, pool, 1, reach_s=1000)
    try:
        with pytest.raises(DeviceError, match=line) as raised:
            list(lane.time(keys, FAST))
        assert len(str(raised.value).splitlines()) == 1
    finally:
        server.write_config()
        lane.close()


def test_a_changed_host_key_is_told_apart(server, transport, program):
    known = server.folder / "known_hosts"
    right = known.read_text()
    key = (server.folder / "user.pub").read_text().split()[1]
    known.write_text(" ".join([*right.split()[:2], key]) + "\n")
    try:
        with pytest.raises(TransportError, match="its host key has changed") as raised:
            transport.place(program)
        assert raised.value.lasting
    finally:
        known.write_text(right)


def test_a_full_disk_is_told_though_copying_does_not_say_so(
    transport, program, tmp_path, monkeypatch
):
    (tmp_path / "scp").write_text("#!/bin/sh\necho 'scp: write remote: Failure' >&2\nexit 1\n")
    (tmp_path / "scp").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program.write_bytes(bytes(8192))
    with pytest.raises(TransportError, match="cannot be copied: scp: write remote: Failure"):
        transport.place(program)
    monkeypatch.setattr(ssh, "_FREE", "echo Filesystem; echo '/dev/x 100 90 7 90% /tmp'")
    with pytest.raises(TransportError, match=r"no space left .* 7 KB free, 8 KB needed; free some"):
        transport.place(program)


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("size=64k", "no space left on the device in .* KB free, .* free some, or set TMPDIR"),
        ("noexec", r"programs must not be run from .*\(mounted noexec\?\); set TMPDIR"),
        ("ro", "no folder for temporary files can be made there; set TMPDIR"),
    ],
)
def test_a_real_file_system_that_takes_no_programs(server, target, pool, option, line):
    """Of its own, as only root can have it; the board's folder lies on it."""
    mount = ["mount", "-t", "tmpfs", "-o", option, "none", str(server.temporary)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    lane, keys = lane_of(target, server, pool, 1)
    try:
        with pytest.raises(DeviceError, match=line):
            list(lane.time(keys, FAST))
    finally:
        lane.close()
        subprocess.run(["umount", "-l", str(server.temporary)], check=True)


def test_a_program_for_another_machine_is_told(server, pool):
    target = board_target("cortex-a53")
    lane = ProgramLane(SshTransport("board", server.config), target, pool=pool)
    try:
        if "Linux" in lane.files(["/proc/version"]).get("/proc/version", ""):
            pytest.skip("an emulator of it is registered with this machine's kernel")
    except DeviceError as error:
        said = str(error)
    finally:
        lane.close()
    assert "cannot run the program for aarch64: wrong architecture" in said
    assert "its processor is an x86_64: use a profile for x86_64" in said
