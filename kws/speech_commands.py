"""A folder or archive in the Speech Commands layout: which clips there are, in which split.

A folder for each word, ``.wav`` and ``.flac`` clips in it, ``validation_list.txt`` and
``testing_list.txt`` beside the folders, or neither: then the official hash of the speaker
decides. Folders that begin with ``_`` (noise) or ``.`` are no words, and files that begin with
``.`` no clips.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from kws.archive import unpack
from kws.errors import InputError
from kws.parallel import OnProgress
from kws.splits import Split, official_split

AUDIO_SUFFIXES = (".wav", ".flac")
NOISE_FOLDER = "_background_noise_"

_LISTS: dict[str, Split] = {
    "validation_list.txt": "validation",
    "testing_list.txt": "testing",
}


@dataclass(frozen=True, order=True)
class Part:
    """One second of a longer recording."""

    start: int
    """First sample, at 16 kHz."""

    volume: float
    """What the samples are multiplied by."""

    number: int
    """Tells it from an equal one."""


@dataclass(frozen=True)
class ClipFile:
    """One clip: its path under the data folder, with slashes, and what it is to be heard as."""

    name: str
    label: str
    split: Split
    part: Part | None = None
    """None is the clip from its beginning, as it is."""

    @property
    def title(self) -> str:
        """The name, and which part of it."""
        if self.part is None:
            return self.name
        return f"{self.name}@{self.part.start}*{self.part.volume:.3f}"


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
            f"no data at {data}; give a folder or archive in the Speech Commands layout, "
            "speech-commands-v2 after: ponas data prepare speech-commands-v2, or generated"
        )
    inner = [entry for entry in root.iterdir() if not entry.name.startswith((".", "_"))]
    # Archives often hold one folder that holds everything.
    if len(inner) == 1 and inner[0].is_dir() and not _audio_files(inner[0]):
        return inner[0]
    return root


class MissingWordError(InputError):
    """A speech set has no folder for a word that is to be told apart."""

    def __init__(self, root: Path, word: str, words: Sequence[str]) -> None:
        self.root = root
        super().__init__(
            f"{root} has no folder for the keyword '{word}'; it has "
            f"{', '.join(words) or 'no word folders'}; each keyword needs a folder of its name"
        )


def list_clips(root: Path, words: Sequence[str]) -> Listing:
    """Every clip of ``words`` under ``root``, each in its split.

    Raises:
        InputError: for a word without a folder or without clips, or for one list without the
            other.

    """
    lists = _read_lists(root)
    clips: list[ClipFile] = []
    left_out: list[LeftOut] = []
    stems: set[str] = set()
    for word in words:
        found = 0
        for entry, regular in _audio_files(_word_folder(root, word)):
            found += 1
            name = f"{word}/{entry}"
            if not _is_text(name):
                left_out.append(LeftOut(repr(name), "its name is not UTF-8"))
            elif regular:
                stem = _stem(name)
                stems.add(stem)
                clips.append(ClipFile(name, word, _split(entry, stem, lists)))
            else:
                left_out.append(LeftOut(name, "not a regular file"))
        if not found:
            raise InputError(
                f"the folder of the keyword '{word}' in {root} has no .wav or .flac clip"
            )
    left_out.extend(_absent(stems, words, lists))
    clips.sort(key=lambda clip: clip.name)
    return Listing(root, tuple(clips), tuple(left_out))


def _word_folder(root: Path, word: str) -> Path:
    folder = root / word
    if re.fullmatch(r"[^/\\._][^/\\]*", word) is None or not folder.is_dir():
        raise MissingWordError(root, word, word_folders(root))
    return folder


def word_folders(root: Path) -> list[str]:
    """The names of the word folders under ``root``, sorted; InputError for one that is no text."""
    names = sorted(
        entry.name
        for entry in root.iterdir()
        if entry.is_dir() and not entry.name.startswith((".", "_"))
    )
    for name in names:
        if not _is_text(name):
            raise InputError(f"the name of the folder {name!r} in {root} is not UTF-8; rename it")
    return names


def _is_text(name: str) -> bool:
    """Whether a name, as the system gave it, is made of characters and not of stray bytes."""
    return name.isascii() or not any("\udc80" <= character <= "\udcff" for character in name)


def audio_names(folder: Path) -> list[str]:
    """The names of the recordings in a folder, sorted."""
    return sorted(name for name, regular in _audio_files(folder) if regular and _is_text(name))


def _audio_files(folder: Path) -> list[tuple[str, bool]]:
    """Names of recordings, and whether each is a regular file."""
    with os.scandir(folder) as entries:  # asks for nothing about a file that its folder knows
        return [
            (entry.name, entry.is_file())
            for entry in entries
            if entry.name.lower().endswith(AUDIO_SUFFIXES) and not entry.name.startswith(".")
        ]


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


def _split(file_name: str, stem: str, lists: dict[str, Split] | None) -> Split:
    return official_split(file_name) if lists is None else lists.get(stem, "training")


def _absent(found: Set[str], words: Sequence[str], lists: dict[str, Split] | None) -> list[LeftOut]:
    return [
        LeftOut(name, f"named in the {split} list, but there is no such file")
        for name, split in sorted((lists or {}).items())
        if name.split("/")[0] in words and name not in found
    ]


def _stem(name: str) -> str:
    """A clip's name without its suffix: lists stay right when clips become ``.flac``.

    An accented letter may be written as one character or as two, and not alike in a list and in
    the file's name.
    """
    path = name.removeprefix("./")
    if not path.isascii():
        path = unicodedata.normalize("NFC", path)
    stem, _, suffix = path.rpartition(".")
    return stem if f".{suffix.lower()}" in AUDIO_SUFFIXES else path
