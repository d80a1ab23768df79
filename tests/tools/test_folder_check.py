"""What the doctor says of the user's folders."""

import shutil
from collections import namedtuple

from tools import folder_check
from tools.folder_check import check_folder, check_folders


def test_a_folder_that_is_not_there_yet_is_looked_at_above_and_not_made(tmp_path):
    found = check_folder("cache", tmp_path / "a" / "b")
    assert found.level == "fine"
    assert found.text.startswith(f"{tmp_path / 'a' / 'b'}: 0.0 MB, ")
    assert list(tmp_path.iterdir()) == []


def test_what_lies_there_is_counted_and_the_cache_apart(home):
    (home / "cache").mkdir(parents=True)
    (home / "cache" / "clip").write_bytes(bytes(3_000_000))
    (home / "profile").write_bytes(bytes(1_500_000))
    data, cache = check_folders()
    assert ": 1.5 MB, " in data.text
    assert ": 3.0 MB, " in cache.text


def test_a_folder_that_cannot_be_written_is_broken(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folder_check.tempfile, "TemporaryFile", refuse)
    found = check_folder("cache", tmp_path)
    assert found.level == "broken"
    assert found.text == f"{tmp_path} cannot be written (Permission denied)"
    assert "export PONAS_HOME=" in found.cure


def test_little_room_is_told_of(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**12, 10**12, 2 * 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    found = check_folder("cache", tmp_path)
    assert found.level == "missing"
    assert found.text.endswith("2 GB free")


def test_counting_ends_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_check, "COUNTED_SECONDS", -1.0)
    assert ": more than 0.0 MB" in check_folder("cache", tmp_path).text


def test_a_link_to_nowhere_does_not_stop_the_count(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert check_folder("cache", tmp_path).level == "fine"
