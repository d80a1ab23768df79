"""What OpenSSH and a board's shell complain about, as one line that says what mends it."""

from __future__ import annotations

import re

from costmodel.runners.transport import Started, TransportError

_REFUSALS = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its host key has changed; if the board was set up anew, forget the old one: "
        "ssh-keygen -R {host}",
    ),
    (
        r"Host key verification failed|host key is known",
        "its host key is not known here; connect once by hand and compare it: ssh {host}",
    ),
    (
        r"Permission denied",
        "it refuses the login without a password; give it your key: ssh-copy-id {host}",
    ),
    (
        r"Could not resolve hostname|Name or service not known",
        "no such host is known; check its name, or name it in ~/.ssh/config",
    ),
    (
        r"No space left",
        "no space left on the device for temporary files; free some, or set TMPDIR there to "
        "another disk",
    ),
    (
        r"mktemp|Read-only file system",
        "no folder for temporary files can be made there; set TMPDIR to one that can be written",
    ),
)
"""What is said, and what it means: trying again is of no use."""
_ABSENCES = (
    (
        r"Connection refused",
        "connection refused: nothing listens for ssh there; start it on the board (systemctl "
        "start ssh), or check the port in ~/.ssh/config",
    ),
    (
        r"timed out|No route to host|unreachable|Connection reset|Connection closed",
        "no answer from it: is it on, and in the same network?",
    ),
)
"""Of a board that is perhaps just being started."""
_RUNS = {
    "armv7l": "armv7", "armv8l": "armv7", "aarch64": "aarch64", "x86_64": "x86_64",
}  # fmt: skip
"""What `uname -m` says of a board, and the platform of its programs."""
_WRONG_MACHINE = re.compile(
    r"Exec format error|cannot execute|[Ss]yntax error|not found|ELF|Illegal instruction|SIGILL"
)


def refusal(host: str, ended: Started) -> TransportError:
    """Why ``host`` did not let us in."""
    said = ended.errors
    for pattern, cure in _REFUSALS:
        if re.search(pattern, said):
            return TransportError(f"{host}: {cure.format(host=host)}", lasting=True)
    for pattern, cure in _ABSENCES:
        if re.search(pattern, said):
            return TransportError(f"{host}: {cure}")
    return TransportError(f"{host}: {ended.reason}")


def unrunnable(machine: str, folder: str, ended: Started) -> str:
    """Why no program in ``folder`` runs on a board whose `uname -m` is ``machine``."""
    if _WRONG_MACHINE.search(f"{ended.errors} {ended.reason}"):
        known = f"; its processor is an {machine}" if machine else ""
        fits = f": use a profile for {_RUNS[machine]}" if machine in _RUNS else ""
        return f"wrong architecture (Exec format error){known}{fits}"
    if "Permission denied" in ended.errors:
        return (
            f"programs must not be run from {folder} (mounted noexec?); set TMPDIR there to a "
            "folder that allows it"
        )
    return ended.reason
