"""The published Speech Commands archives: fetched, verified and unpacked by name.

Neither archive has a folder around its words. ``_background_noise_`` holds six recordings of a
minute or more. Licence: CC BY 4.0 (Warden 2018, arXiv 1804.03209).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kws.archive import unpack_to
from kws.download import Patience, alone, download, sha256_of
from kws.errors import InputError
from kws.http_part import OnBytes, RemoteFile
from kws.leftovers import delete_leftovers
from kws.parallel import OnProgress
from kws.storage import write_json

SERVER = "https://storage.googleapis.com/download.tensorflow.org/data"


@dataclass(frozen=True, kw_only=True)
class PublishedSet:
    """An archive that anyone can fetch."""

    name: str
    file: str
    size_bytes: int
    sha256: str


PUBLISHED = {
    each.name: each
    for each in (
        PublishedSet(
            name="speech-commands-v1",
            file="speech_commands_v0.01.tar.gz",
            size_bytes=1_489_096_277,  # Content-Length of the server, as wget logs show it
            sha256="743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
            # torchaudio, datasets/speechcommands.py, _CHECKSUMS
        ),
        PublishedSet(
            name="speech-commands-v2",
            file="speech_commands_v0.02.tar.gz",
            size_bytes=2_428_923_189,
            sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            # TensorFlow Datasets, url_checksums/speech_commands.txt, gives both
        ),
    )
}


def fetched_folder(published: PublishedSet, cache_dir: Path) -> Path:
    """Where the set lies; InputError, with the command that fetches it, where it does not."""
    folder = _folder(published, cache_dir)
    if not folder.is_dir():
        raise InputError(
            f"{published.name} is not on this machine ({published.size_bytes / 1e9:.1f} GB); "
            f"fetch it with: ponas data prepare {published.name}"
        )
    return folder


def fetch(
    published: PublishedSet,
    cache_dir: Path,
    *,
    mirror: str | None = None,
    file: Path | None = None,
    patience: Patience | None = None,
    on_download: OnBytes | None = None,
    on_unpack: OnProgress | None = None,
) -> Path:
    """The folder of the set, fetched where it is missing.

    Args:
        published: Which one.
        cache_dir: Where it belongs. A fetched archive is deleted once it is unpacked.
        mirror: Another address of the file, or of a folder that has it.
        file: The archive, where a person has it; it is left as it is.
        patience: With the server.
        on_download: Told the bytes that are here and all.
        on_unpack: Told the number of files unpacked.

    Raises:
        InputError: for a file that is another one; as `download` and `unpack_to`.
        KwsError: as `download`.
        StorageError: where the cache cannot be written.

    """
    folder = _folder(published, cache_dir)
    if folder.is_dir():
        return folder
    if file is not None:
        _check_file(file, published)
    archive = cache_dir / "downloads" / published.file
    with alone(archive):
        if file is None and not archive.is_file():
            url = _address(published, mirror)
            remote = RemoteFile(url=url, size_bytes=published.size_bytes, sha256=published.sha256)
            download(remote, archive, patience=patience, on_progress=on_download)
        _unpack(published, file or archive, folder, on_unpack)
        archive.unlink(missing_ok=True)
    return folder


def _unpack(
    published: PublishedSet, archive: Path, folder: Path, on_unpack: OnProgress | None
) -> None:
    """Unpacks, when what killed processes left of it is out of the way: that may be gigabytes."""
    delete_leftovers(folder.parent, f".{folder.name}.*.part", older_s=0.0)
    unpack_to(archive, folder, on_progress=on_unpack)
    origin = {"kind": "recorded speech", "set": published.name, "licence": "CC BY 4.0"}
    write_json(folder / "origin.json", origin)


def _folder(published: PublishedSet, cache_dir: Path) -> Path:
    return cache_dir / "archives" / f"sha256-{published.sha256}"


def _address(published: PublishedSet, mirror: str | None) -> str:
    base = (mirror or SERVER).rstrip("/")
    return base if base.endswith((".tar.gz", ".tgz")) else f"{base}/{published.file}"


def _check_file(file: Path, published: PublishedSet) -> None:
    if not file.is_file():
        raise InputError(f"no file at {file}; give the path of {published.file}")
    size = file.stat().st_size
    if size != published.size_bytes:
        raise InputError(
            f"{file} is not {published.file}: it has {size:,} bytes, {published.size_bytes:,} "
            "are expected; fetch it again, or give the archive itself as the data"
        )
    found = sha256_of(file)
    if found != published.sha256:
        raise InputError(
            f"{file} is not {published.file}: its SHA-256 is {found}, {published.sha256} is "
            "expected; fetch it again"
        )
