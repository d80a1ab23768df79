"""A real sshd on this machine's loopback, with keys of its own: a board for the runner `ssh`."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from costmodel.errors import DeviceError

_EMULATED = """#!/bin/sh
case $SSH_ORIGINAL_COMMAND in *sftp*) exec {sftp};; esac
edit='s#^./program#{emulator} &#; s/uname -m/echo {machine}/'
words=$(printf %s "$SSH_ORIGINAL_COMMAND" | sed "$edit")
exec sh -c "$words"
"""
"""What an emulated board does with a command: its programs run under an emulator."""
_SFTP = "/usr/lib/openssh/sftp-server"


class SshBoard:
    """Its client's configuration is `config`, in which it is called ``board``."""

    def __init__(self, folder: Path, emulator: str = "", machine: str = "") -> None:
        """``emulator``: starts the board's programs; ``machine``: what its `uname -m` says.

        Raises DeviceError where there is no sshd, or where it does not start.
        """
        self.folder = folder
        self.config = folder / "ssh_config"
        self.temporary = folder / "board"
        self.temporary.mkdir()
        sshd = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/sbin")
        if sshd is None or shutil.which("ssh-keygen") is None or shutil.which("scp") is None:
            raise DeviceError("no sshd: make system-packages")
        self.port = free_port()
        for name in ("host", "user"):
            self._key(name)
        (folder / "authorized_keys").write_bytes((folder / "user.pub").read_bytes())
        kind, key, *_ = (folder / "host.pub").read_text().split()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nPidFile none\nStrictModes no\n"
            "UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\nMaxStartups 100\n"
            f"Subsystem sftp internal-sftp\nSetEnv TMPDIR={self.temporary} HOME={folder}\n"
        )
        self.write_config()
        if emulator:
            if not Path(_SFTP).exists():
                raise DeviceError("no sftp-server: make system-packages")
            shell = folder / "emulated"
            shell.write_text(_EMULATED.format(sftp=_SFTP, emulator=emulator, machine=machine))
            shell.chmod(0o755)
            with (folder / "sshd_config").open("a") as config:
                config.write(f"ForceCommand {shell}\n")
        self._command = [sshd, "-D", "-e", "-f", str(folder / "sshd_config")]
        self.server: subprocess.Popen[bytes]
        self.start()

    def write_config(self, **changes: object) -> None:
        """Writes the client's configuration."""
        settings = {
            "HostName": "127.0.0.1", "Port": self.port, "User": getpass.getuser(),
            "IdentityFile": self.folder / "user", "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.folder / "known_hosts", "GlobalKnownHostsFile": "none",
            "StrictHostKeyChecking": "yes", **changes,
        }  # fmt: skip
        lines = [f"  {name} {value}\n" for name, value in settings.items()]
        self.config.write_text("Host board\n" + "".join(lines))

    def start(self) -> None:
        """Listens from now on."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.folder / "sshd.log").open("ab") as log:
            self.server = subprocess.Popen(self._command, stderr=log)
        until = time.monotonic() + 20
        while time.monotonic() < until and self.server.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        said = (self.folder / "sshd.log").read_text()[-200:]
        raise DeviceError(f"sshd does not start here: {said}")

    def stop(self) -> None:
        """Takes no new connections; those that are there live on."""
        self.server.kill()
        self.server.wait()

    def _key(self, name: str) -> None:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
        subprocess.run(command, check=True)


def free_port() -> int:
    """A port of the loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
