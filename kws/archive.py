"""Archives of strangers, unpacked once and safely."""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kws.errors import InputError
from kws.leftovers import delete_leftovers
from kws.parallel import OnProgress
from kws.storage import new_folder

_DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, kw_only=True)
class ArchiveBounds:
    """What an archive may unpack to; the defaults are three times Speech Commands v0.02."""

    total_bytes: int = 12 * 1024**3
    """Of all its files together."""

    file_bytes: int = 1024**3
    """Of one of its files."""

    members: int = 400_000
    """Files and folders."""


def unpack(
    archive: Path,
    cache_dir: Path,
    *,
    bounds: ArchiveBounds | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """The folder under ``cache_dir`` with the content of a tar archive, plain or compressed.

    It is named by a digest of the archive's bytes: unpacked once, and again only where the
    archive has changed. Only files and folders are unpacked, without owners or special modes.

    Args:
        archive: The file.
        cache_dir: Where unpacked archives belong.
        bounds: How much to accept.
        on_progress: Told the number of members unpacked, the total being unknown (0).

    Raises:
        InputError: for a file that is no tar archive, is cut off, leaves the bounds, or has a
            link, a device or a path that leads outside. Nothing is left of it then.
        StorageError: where it cannot be written.

    """
    destination = cache_dir / "archives" / file_digest(archive)
    if not destination.is_dir():
        delete_leftovers(destination.parent)
        unpack_to(archive, destination, bounds=bounds, on_progress=on_progress)
    return destination


def unpack_to(
    archive: Path,
    destination: Path,
    *,
    bounds: ArchiveBounds | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Unpacks to a folder that is not there yet and appears whole or not at all; see `unpack`."""
    with new_folder(destination) as folder:
        try:
            with tarfile.open(archive) as tar:
                for count, member in enumerate(_checked(tar, archive, bounds or ArchiveBounds())):
                    tar.extract(member, folder, filter="data")
                    if on_progress is not None and count % 500 == 0:
                        on_progress(count, 0)
        except tarfile.FilterError as error:
            raise InputError(f"{archive} is not safe to unpack: {error}") from None
        except (*_DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's fault: a damaged stream has no error number
            reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")
            raise InputError(
                f"{archive} cannot be unpacked ({reason}); fetch it again; a tar archive is "
                "expected, plain or compressed by gzip, bzip2 or xz"
            ) from None


def file_digest(path: Path) -> str:
    """Sixteen bytes of BLAKE2b over a file's content, in hex."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def _checked(
    tar: tarfile.TarFile, archive: Path, bounds: ArchiveBounds
) -> Iterator[tarfile.TarInfo]:
    total_bytes = 0
    for count, member in enumerate(tar, start=1):
        if not (member.isreg() or member.isdir()):
            raise InputError(
                f"{archive} is not safe to unpack: '{member.name}' is a link or a device; "
                "only files and folders are accepted"
            )
        if Path(member.name).is_absolute() or ".." in Path(member.name).parts:
            raise InputError(
                f"{archive} is not safe to unpack: '{member.name}' leads outside its folder"
            )
        total_bytes += member.size
        for label, value, bound in (
            ("members", count, bounds.members),
            ("bytes in one file", member.size, bounds.file_bytes),
            ("bytes in all", total_bytes, bounds.total_bytes),
        ):
            if value > bound:
                raise InputError(
                    f"{archive} is too large to unpack: '{member.name}' makes it {value:,} "
                    f"{label}, {bound:,} are allowed"
                )
        yield member
