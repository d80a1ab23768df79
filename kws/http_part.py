"""One connection to a server, from where a file ends here, and what can be wrong with it.

The file's name ends in ``.part``; beside it, ``.part.json`` keeps what the server said to tell this
version of the file from others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from kws.errors import InputError, StorageError
from kws.storage import write_json

CURE = "name another address with --mirror, or a file that you have with --file"
"""What a person can do about a server."""

OnBytes = Callable[[int, int], None]
"""Called with the number of bytes that are here and of all."""

_CHUNK_BYTES = 256 * 1024
_PASSING = {408, 425, 429}
"""Client errors that may be gone the next time; so may all of the server's own (from 500)."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """What to fetch."""

    url: str
    size_bytes: int
    sha256: str


class BrokenOffError(Exception):
    """A connection has failed; the next may go on from there."""


class ChangedError(Exception):
    """What is here does not belong to what the server has; the next begins anew."""


def fetch_rest(
    remote: RemoteFile, part: Path, *, silence_s: float, on_progress: OnBytes | None
) -> None:
    """Fetches what is missing of a file, or all of it where the server cannot go on from there.

    Raises:
        BrokenOffError: where not all of it came, or nothing for ``silence_s``.
        ChangedError: where the file here is of no use.
        InputError: for an address without the file, or with another one by its size.
        StorageError: where it cannot be written.

    """
    here = size_of(part)
    headers = {"User-Agent": "ponas"}
    validator = _validator(part, remote.url) if here else None
    if here:
        headers["Range"] = f"bytes={here}-"
    if validator:
        headers["If-Range"] = validator
    request = Request(remote.url, headers=headers)  # noqa: S310 - the scheme was looked at
    try:
        with urlopen(request, timeout=silence_s) as response:  # noqa: S310
            if response.status != HTTPStatus.PARTIAL_CONTENT:
                here = 0
            _check_offer(response, remote, here, validator)
            _note_validator(part, remote.url, response, here)
            with _opened(part, here) as file:
                _copy(response, file, part, remote, on_progress)
    except HTTPError as error:
        raise _refusal(error, remote, resumed=here > 0) from None
    except StorageError:
        raise
    except TimeoutError:
        raise BrokenOffError(f"silent for {silence_s:g} seconds") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            reason = f"no answer within {silence_s:g} seconds"
        raise BrokenOffError(str(reason) or type(error).__name__) from None


def _refusal(error: HTTPError, remote: RemoteFile, *, resumed: bool) -> Exception:
    if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and resumed:
        return ChangedError("the server knows no such part of the file")
    if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _PASSING:
        return BrokenOffError(f"the server answers {error.code} {error.reason}")
    return InputError(f"{remote.url}: the server answers {error.code} {error.reason}; {CURE}")


def _check_offer(
    response: HTTPResponse, remote: RemoteFile, here: int, validator: str | None
) -> None:
    """Refuses what cannot be the file before it is fetched."""
    if response.headers.get_content_type() == "text/html":
        raise InputError(
            f"{remote.url}: a web page came and not the file; look at it in a browser (a network "
            f"may ask to log in), or {CURE}"
        )
    length = response.headers.get("Content-Length", "")
    offered = here + int(length) if length.isdecimal() else None
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(
            r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip()
        )
        if found is None or int(found[1]) != here:
            raise ChangedError("the server sends another part than was asked for")
        sent = {response.headers.get("ETag"), response.headers.get("Last-Modified")} - {None}
        if validator and sent and validator not in sent:
            raise ChangedError("the file has changed on the server")
        offered = None if found[2] == "*" else int(found[2])
    if offered is not None and offered != remote.size_bytes:
        raise InputError(
            f"{remote.url} is another file: it has {offered:,} bytes, {remote.size_bytes:,} are "
            f"expected; {CURE}"
        )


@contextmanager
def _opened(part: Path, here: int) -> Iterator[IO[bytes]]:
    try:
        file = part.open("r+b" if part.exists() else "wb")
    except OSError as error:
        raise StorageError(f"cannot write {part}: {error.strerror}") from error
    with file:
        file.truncate(here)
        file.seek(here)
        yield file


def _copy(
    response: HTTPResponse,
    file: IO[bytes],
    part: Path,
    remote: RemoteFile,
    on_progress: OnBytes | None,
) -> None:
    here = file.tell()
    while chunk := response.read1(_CHUNK_BYTES):
        if here + len(chunk) > remote.size_bytes:
            file.truncate(0)
            raise InputError(
                f"{remote.url} is another file: it has more than {remote.size_bytes:,} bytes; "
                f"{CURE}"
            )
        try:
            file.write(chunk)
            file.flush()
        except OSError as error:
            raise StorageError(
                f"cannot write {part}: {error.strerror}; make room and run it again, it goes on "
                "from there"
            ) from error
        here += len(chunk)
        if on_progress is not None:
            on_progress(here, remote.size_bytes)
    if here < remote.size_bytes:
        raise BrokenOffError("the connection ended early")


def size_of(part: Path) -> int:
    """Bytes that are here."""
    return part.stat().st_size if part.exists() else 0


def forget(part: Path) -> None:
    """Deletes the file and what was kept beside it."""
    part.unlink(missing_ok=True)
    forget_version(part)


def forget_version(part: Path) -> None:
    """Deletes what was kept beside the file."""
    _validator_path(part).unlink(missing_ok=True)


def _validator_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _note_validator(part: Path, url: str, response: HTTPResponse, here: int) -> None:
    """Keeps what tells this version of the file from others (RFC 9110, section 13.1.5)."""
    tag = response.headers.get("ETag")
    strong = tag if tag and not tag.startswith("W/") else None
    validator = strong or response.headers.get("Last-Modified")
    if validator or here == 0:
        write_json(_validator_path(part), {"url": url, "validator": validator})


def _validator(part: Path, url: str) -> str | None:
    """What was kept, where it is of the same address."""
    try:
        kept = json.loads(_validator_path(part).read_text(encoding="utf-8"))
        return str(kept["validator"]) if kept["url"] == url and kept["validator"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
