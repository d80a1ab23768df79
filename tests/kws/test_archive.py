import io
import tarfile

import pytest

from kws.archive import ArchiveBounds, unpack
from kws.errors import InputError


def make_archive(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def assert_nothing_left(cache):
    assert not (cache / "archives").exists() or not list((cache / "archives").iterdir())


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_is_unpacked_once(tmp_path, mode):
    archive = make_archive(tmp_path / "a.tar", [("yes/a.wav", b"one"), ("list.txt", b"two")], mode)
    folder = unpack(archive, tmp_path / "cache")
    assert (folder / "yes" / "a.wav").read_bytes() == b"one"
    (folder / "mark").touch()
    assert unpack(archive, tmp_path / "cache") == folder
    assert (folder / "mark").exists()


def test_a_changed_archive_is_unpacked_anew(tmp_path):
    archive = make_archive(tmp_path / "a.tar", [("a", b"one")])
    first = unpack(archive, tmp_path / "cache")
    make_archive(archive, [("a", b"two")])
    second = unpack(archive, tmp_path / "cache")
    assert first != second
    assert (second / "a").read_bytes() == b"two"


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("../outside", "'../outside' leads outside"),
        ("yes/../../outside", "leads outside"),
        ("/tmp/outside", "leads outside"),  # noqa: S108
        (special("link", tarfile.SYMTYPE, "/etc/passwd"), "'link' is a link or a device"),
        (special("link", tarfile.SYMTYPE, "yes"), "is a link"),
        (special("hard", tarfile.LNKTYPE, "../secret"), "is a link"),
        (special("pipe", tarfile.FIFOTYPE), "is a link or a device"),
        (special("disk", tarfile.BLKTYPE), "is a link or a device"),
    ],
)
def test_an_archive_that_reaches_out_is_refused_whole(tmp_path, member, message):
    archive = make_archive(tmp_path / "a.tar", [("first", b"fine"), (member, b"")])
    with pytest.raises(InputError, match=message):
        unpack(archive, tmp_path / "cache")
    assert_nothing_left(tmp_path / "cache")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (ArchiveBounds(total_bytes=150), "'b' makes it 200 bytes in all, 150 are allowed"),
        (ArchiveBounds(file_bytes=99), "'a' makes it 100 bytes in one file, 99 are allowed"),
        (ArchiveBounds(members=2), "'c' makes it 3 members, 2 are allowed"),
    ],
)
def test_an_archive_beyond_the_bounds_is_refused_whole(tmp_path, bounds, message):
    archive = make_archive(tmp_path / "a.tar", [(name, bytes(100)) for name in "abc"])
    with pytest.raises(InputError, match=message):
        unpack(archive, tmp_path / "cache", bounds=bounds)
    assert_nothing_left(tmp_path / "cache")


def test_a_bomb_is_refused_before_it_is_written(tmp_path):
    info = tarfile.TarInfo("bomb")
    info.size = 1 << 50
    archive = tmp_path / "a.tar"
    archive.write_bytes(info.tobuf() + bytes(2048))
    with pytest.raises(InputError, match="too large to unpack: 'bomb'"):
        unpack(archive, tmp_path / "cache")
    assert_nothing_left(tmp_path / "cache")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_cut_off_archive_is_refused_whole(tmp_path, mode):
    content = bytes(i * 7919 % 251 for i in range(100_000))
    archive = make_archive(tmp_path / "a.tar", [("a", content), ("b", content)], mode)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 2 // 3])
    with pytest.raises(InputError, match=r"cannot be unpacked .* fetch it again"):
        unpack(archive, tmp_path / "cache")
    assert_nothing_left(tmp_path / "cache")


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_an_archive_with_flipped_bytes_is_refused(tmp_path, mode):
    content = bytes(i * i * 7919 % 251 for i in range(100_000))
    archive = make_archive(tmp_path / "a.tar", [("a", content)], mode)
    data = bytearray(archive.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 40):
        data[place] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(InputError):
        unpack(archive, tmp_path / "cache")
    assert_nothing_left(tmp_path / "cache")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04zip"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(InputError, match="a tar archive is expected"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "cache")
