"""Where a TVM RPC server or tracker listens, and what can be told of a place without TVM."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from costmodel.errors import InputError

_HOST = re.compile(r"(?!-)[A-Za-z0-9_.:%-]{1,255}")
_KEY = re.compile(r"[^\s:]{1,100}")
"""TVM splits what is said in a handshake at white space, and keys at colons."""
_PROBE_SECONDS = 5.0
"""Until a machine that says nothing counts as unreachable."""


@dataclass(frozen=True, order=True)
class Address:
    """A TCP port of a machine."""

    host: str
    port: int

    def __str__(self) -> str:
        """As people write it, and `parse_address` reads it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, what: str) -> Address:
    """``host:port``; InputError where ``text`` is none. ``what``: an option, for the line."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""  # an IPv6 address needs its brackets
    number = int(port) if port.isascii() and port.isdigit() else 0
    if not _HOST.fullmatch(host) or not 0 < number < 65536:
        raise InputError(
            f"{what}: '{text}' is no host:port, as in 192.168.1.5:9090 (a port is 1 to 65535)"
        )
    return Address(host, number)


def check_key(key: str) -> str:
    """``key``, where servers can have it; else InputError."""
    if not _KEY.fullmatch(key):
        raise InputError(
            f"'{key}' is no device key: at most 100 characters without spaces and colons, "
            "as in odroid"
        )
    return key


def complaint(address: Address) -> str | None:
    """Why nothing can connect to ``address``; None where something listens there."""
    try:
        socket.create_connection((address.host, address.port), _PROBE_SECONDS).close()
    except TimeoutError:
        return f"no answer in {_PROBE_SECONDS:g} s; is it on, and on this network?"
    except socket.gaierror:
        return f"there is no machine '{address.host}'"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None
