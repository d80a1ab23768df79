"""A folder or archive in the Speech Commands layout: which clips there are, in which split.

A folder for each word, ``.wav`` and ``.flac`` clips in it, ``validation_list.txt`` and
``testing_list.txt`` beside the folders, or neither: then the official hash of the speaker
decides. Folders that begin with ``_`` (noise) or ``.`` are no words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kws.archive import unpack
from kws.errors import InputError
from kws.parallel import OnProgress
from kws.splits import Split, official_split

AUDIO_SUFFIXES = (".wav", ".flac")

_LISTS: dict[str, Split] = {
    "validation_list.txt": "validation",
    "testing_list.txt": "testing",
}


@dataclass(frozen=True)
class ClipFile:
    """One recording of one word: its path under the data folder, with slashes."""

    name: str
    word: str
    split: Split


@dataclass(frozen=True)
class LeftOut:
    """A clip that is not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """The clips of the words asked for, in the order of their names."""

    root: Path
    clips: tuple[ClipFile, ...]
    left_out: tuple[LeftOut, ...]


def locate(data: Path, cache_dir: Path, *, on_progress: OnProgress | None = None) -> Path:
    """The folder with the word folders: ``data`` itself, or where its archive is unpacked.

    Raises:
        InputError: for a path that is not there, or an archive that `kws.archive.unpack` refuses.

    """
    if data.is_dir():
        root = data
    elif data.is_file():
        root = unpack(data, cache_dir, on_progress=on_progress)
    else:
        raise InputError(
            f"no data at {data}; give a folder or archive in the Speech Commands layout, or "
            "generate one with: ponas data prepare generated"
        )
    inner = [entry for entry in root.iterdir() if not entry.name.startswith((".", "_"))]
    # Archives often hold one folder that holds everything.
    if len(inner) == 1 and inner[0].is_dir() and not _audio_files(inner[0]):
        return inner[0]
    return root


def list_clips(root: Path, words: Sequence[str]) -> Listing:
    """Every clip of ``words`` under ``root``, each in its split.

    Raises:
        InputError: for a word without a folder or without clips, or for one list without the
            other.

    """
    lists = _read_lists(root)
    clips: list[ClipFile] = []
    left_out: list[LeftOut] = []
    for word in words:
        entries = _audio_files(_word_folder(root, word))
        if not entries:
            raise InputError(
                f"the folder of the keyword '{word}' in {root} has no .wav or .flac clip"
            )
        for entry in entries:
            name = f"{word}/{entry.name}"
            if entry.is_file():
                clips.append(ClipFile(name, word, _split(name, lists)))
            else:
                left_out.append(LeftOut(name, "not a regular file"))
    left_out.extend(_absent(clips, words, lists))
    clips.sort(key=lambda clip: clip.name)
    return Listing(root, tuple(clips), tuple(left_out))


def _word_folder(root: Path, word: str) -> Path:
    folder = root / word
    if re.fullmatch(r"[^/\\._][^/\\]*", word) is None or not folder.is_dir():
        there = sorted(
            entry.name
            for entry in root.iterdir()
            if entry.is_dir() and not entry.name.startswith((".", "_"))
        )
        raise InputError(
            f"{root} has no folder for the keyword '{word}'; it has "
            f"{', '.join(there) or 'no word folders'}; each keyword needs a folder of its name"
        )
    return folder


def _audio_files(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if entry.suffix.lower() in AUDIO_SUFFIXES]


def _read_lists(root: Path) -> dict[str, Split] | None:
    """Clip name without suffix -> split, for the clips listed; None where there are no lists."""
    there = [name for name in _LISTS if (root / name).is_file()]
    if not there:
        return None
    for name in _LISTS:
        if name not in there:
            raise InputError(f"{root} has {there[0]} but no {name}; give both lists or neither")
    lists: dict[str, Split] = {}
    for name, split in _LISTS.items():
        try:
            lines = (root / name).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read {root / name}: {error}") from None
        for line in filter(None, map(str.strip, lines)):
            if lists.setdefault(_stem(line), split) != split:
                raise InputError(f"'{line}' is in both lists of {root}; a clip has one split")
    return lists


def _split(name: str, lists: dict[str, Split] | None) -> Split:
    if lists is None:
        return official_split(PurePosixPath(name).name)
    return lists.get(_stem(name), "training")


def _absent(
    clips: Iterable[ClipFile], words: Sequence[str], lists: dict[str, Split] | None
) -> list[LeftOut]:
    found = {_stem(clip.name) for clip in clips}
    return [
        LeftOut(name, f"named in the {split} list, but there is no such file")
        for name, split in sorted((lists or {}).items())
        if name.split("/")[0] in words and name not in found
    ]


def _stem(name: str) -> str:
    """A clip's name without its suffix: lists stay right when clips become ``.flac``."""
    return str(PurePosixPath(name.removeprefix("./")).with_suffix(""))
