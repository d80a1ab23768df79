"""Runner `ssh`: a static program on a board with Linux, and nothing else installed there.

One connection is held for as long as the runner lives; its other end owns a folder on the board
and, when the connection ends for whatever reason, kills what runs and deletes the folder. Copying
and starting share that connection (OpenSSH's ControlMaster).
"""

from __future__ import annotations

import re
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Unpack

from costmodel.errors import InputError
from costmodel.runners.programs import LaneSettings, ProgramLane
from costmodel.runners.rounds import RoundsRunner
from costmodel.runners.ssh_errors import refusal, unrunnable
from costmodel.runners.transport import Started, Transport, TransportError
from costmodel.target import CpuTarget

_CONNECT_SECONDS = 10
"""Until a board that says nothing counts as unreachable."""
_ALIVE_SECONDS, _ALIVE_COUNT = 5, 3
"""A connection on which nothing has come back for their product is given up."""
_COMMAND_SECONDS = 60.0
"""Until copying a program, some 0.2 to 5 MB, or a short command counts as hung."""
_NO_SFTP = re.compile("sftp|subsystem|Connection closed")
"""What OpenSSH 9's scp says of a board that can only be copied to the old way."""
_SOCKET_CHARACTERS = 80
"""Of a socket's path: systems allow 104 or 108, of which ssh takes 17. Else nothing is shared."""
_LOST = 255
"""ssh's own status where the connection fails or ends."""
_HOST = re.compile(r"(?!-)[A-Za-z0-9_.@:%\[\]+-]{1,255}")
_FOLDER = re.compile(r"/(?:[A-Za-z0-9_.+-]+/)*ponas\.[A-Za-z0-9]+")
_KILL = 'test -f pid && kill -9 "$(cat pid)" 2>/dev/null; rm -f pid'
"""Ends the program that was started last, if it still runs."""
_ENGLISH = "export LC_ALL=C\n"
"""Before each script: complaints are read here."""
_FREE = "df -Pk ."
"""Whose last line has the free KB fourth (POSIX)."""
_HOLD = """
umask 077
d=$(mktemp -d "${TMPDIR:-/tmp}/ponas.XXXXXX") || exit 3
end() { test -f "$d/pid" && kill -9 "$(cat "$d/pid")"; rm -rf "$d"; }
trap end EXIT
trap "exit 1" HUP INT TERM PIPE
echo "ponas-machine $(uname -m)"
echo "ponas-folder $d"
cat >/dev/null
"""
"""What the other end does: a folder, its name, and waiting until this end is gone."""


class SshRunner(RoundsRunner):
    """See the module and `Runner`."""

    def __init__(
        self,
        target: CpuTarget,
        host: str,
        config: Path | None = None,
        *,
        seed: int = 0,
        **settings: Unpack[LaneSettings],
    ) -> None:
        """See `SshTransport` and `ProgramLane`."""
        lane = ProgramLane(SshTransport(host, config), target, **settings)
        super().__init__([lane], seed=seed)


class SshTransport(Transport):
    """A board by its name in the user's own ssh configuration; asks no questions."""

    def __init__(self, host: str, config: Path | None = None) -> None:
        """``host``: a name, an address or an alias, with or without ``user@``.

        ``config``: a file to read instead of the user's configuration. Raises InputError for what
        cannot be a host, and without OpenSSH on this machine.
        """
        if not _HOST.fullmatch(host) or "@-" in host:
            raise InputError(
                f"'{host}' is no host: give a name, an address or an alias of your ssh "
                "configuration, as in odroid or root@192.168.1.5 (a port goes into ~/.ssh/config)"
            )
        for command in ("ssh", "scp"):
            if shutil.which(command) is None:
                raise InputError(f"there is no {command} on this machine: install openssh-client")
        self._host = host
        self._config = ("-F", str(config)) if config else ()
        self._scratch: TemporaryDirectory[str] | None = None
        self._holder: Started | None = None
        self._folder = self._machine = ""

    def place(self, program: Path) -> None:
        self._connect()
        to = f"{self._scp_host}:{self._folder}/program"
        words = ["-q", *self._options("no"), "--", str(program), to]
        copied = Started(["scp", *words])
        status, _ = copied.finish(_COMMAND_SECONDS)
        if status and _NO_SFTP.search(copied.errors):
            copied = Started(["scp", "-O", *words])
            status, _ = copied.finish(_COMMAND_SECONDS)
        if status != 0:
            self._check_space(program.stat().st_size)  # SFTP does not say what failed
            self._disconnect()  # half dead, or its folder is gone
            raise TransportError(f"{self._host}: the program cannot be copied: {copied.reason}")

    def start(self, arguments: Sequence[str]) -> Started:
        if self._holder is None or self._holder.ended:
            raise TransportError(f"{self._host}: the connection has ended")
        return self._remote(
            f"cd {self._folder} || exit 127\n{_KILL}\n"
            f"./program {shlex.join(arguments)} </dev/null &\n"
            "echo $! >pid; wait $!; s=$?; rm -f pid; exit $s"
        )

    def halt(self, started: Started) -> None:
        # There first: the shared connection keeps the local pipes open until the other end is over.
        if not started.ended and self._holder is not None and not self._holder.ended:
            self._remote(f"cd {self._folder} && {_KILL}").finish(_COMMAND_SECONDS)
        started.kill()

    def lost(self, started: Started) -> bool:
        return started.wait(0) == _LOST

    def explain(self, started: Started) -> str:
        return unrunnable(self._machine, self._folder, started)

    def remove(self) -> None:
        self._disconnect()
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def describe(self) -> str:
        return self._host

    def _connect(self) -> None:
        """Opens the connection unless it is open. Raises TransportError."""
        if self._holder is not None and not self._holder.ended:
            return
        self._disconnect()
        holder = Started(self._ssh(_HOLD, "yes"), keep_input=True)
        self._folder = self._machine = ""
        until = time.monotonic() + 2 * _CONNECT_SECONDS
        try:
            while not self._folder:
                if (found := holder.line(until)) is None:
                    holder.wait(_ALIVE_SECONDS)
                    raise refusal(self._host, holder)
                word, _, value = found[0].partition(" ")
                if word == "ponas-machine":
                    self._machine = value
                elif word == "ponas-folder":
                    self._folder = _folder(self._host, value)
        except TimeoutError:
            raise TransportError(
                f"{self._host}: no answer from its shell in {2 * _CONNECT_SECONDS} s"
            ) from None
        finally:
            if not self._folder:
                holder.kill()
        self._holder = holder

    def _disconnect(self) -> None:
        holder, self._holder = self._holder, None
        if holder is not None:
            holder.end_input()  # the other end cleans up
            holder.wait(_ALIVE_SECONDS)
            holder.kill()

    def _check_space(self, needed_bytes: int) -> None:
        """Deletes the last program. Raises TransportError where the next one does not fit."""
        asked = self._remote(f"cd {self._folder} && rm -f program && {_FREE}")
        _, lines = asked.finish(_COMMAND_SECONDS)
        words = lines[-1].split() if lines else []
        if len(words) > 3 and words[3].isdigit() and int(words[3]) * 1024 < needed_bytes:
            raise TransportError(
                f"{self._host}: no space left on the device in {self._folder}: {words[3]} KB free, "
                f"{needed_bytes // 1024} KB needed; free some, or set TMPDIR there to another disk",
                lasting=True,
            )

    def _remote(self, script: str) -> Started:
        return Started(self._ssh(script, "no"))

    def _ssh(self, script: str, master: str) -> list[str]:
        # The login shell may be any; what it sees is one quoted word.
        command = f"exec sh -c {shlex.quote(_ENGLISH + script)}"
        return ["ssh", "-T", "-x", "-a", *self._options(master), "--", self._host, command]

    def _options(self, master: str) -> list[str]:
        if self._scratch is None:
            self._scratch = TemporaryDirectory(prefix="ponas-")
        socket = f"{self._scratch.name}/c"
        settings = {
            "BatchMode": "yes",
            "ConnectTimeout": str(_CONNECT_SECONDS),
            "ServerAliveInterval": str(_ALIVE_SECONDS),
            "ServerAliveCountMax": str(_ALIVE_COUNT),
            "ControlMaster": master,
            "ControlPath": socket if len(socket) < _SOCKET_CHARACTERS else "none",
            "ControlPersist": "no",
            "ClearAllForwardings": "yes",
            "PermitLocalCommand": "no",
            "RemoteCommand": "none",
            "LogLevel": "ERROR",
        }
        return [*self._config, *(w for k, v in settings.items() for w in ("-o", f"{k}={v}"))]

    @property
    def _scp_host(self) -> str:
        """As `scp` wants it: addresses with colons in brackets."""
        user, at, host = self._host.rpartition("@")
        return f"{user}{at}[{host}]" if ":" in host and "[" not in host else self._host


def _folder(host: str, name: str) -> str:
    """What the board calls its folder, if it is one of ours: it goes into commands there."""
    if not _FOLDER.fullmatch(name):
        raise TransportError(
            f"{host}: its folder for temporary files, {name[:60]!r}, has unusual characters; "
            "set TMPDIR there to another",
            lasting=True,
        )
    return name
