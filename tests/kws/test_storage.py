import errno

import numpy as np
import pytest

from kws.errors import InputError, StorageError
from kws.storage import new_file, new_folder, read_json, write_array, write_json


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "file"
    with new_file(path) as file:
        file.write(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_older_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"older")

    def fail():
        with new_file(path) as file:
            file.write(b"newer")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_at_the_end_leaves_nothing(tmp_path, monkeypatch):
    def fail(*paths, **_):
        raise OSError(errno.ENOSPC, "No space left on device", paths[0])

    def write():
        with new_file(tmp_path / "file") as file:
            file.write(b"content")

    monkeypatch.setattr("boltons.fileutils.atomic_rename", fail)
    with pytest.raises(StorageError, match="No space left on device; free some room there"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_no_file_can_be_is_not_said_to_be_full(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match=r"/file/below: .*; name another place"),
        new_file(tmp_path / "file" / "below"),
    ):
        pass


def test_a_folder_appears_only_when_it_is_whole(tmp_path):
    def fail():
        with new_folder(tmp_path / "folder") as folder:
            (folder / "part").touch()
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"cannot write .*folder: No space left on device"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "folder") as folder:
        (folder / "part").touch()
        assert not (tmp_path / "folder").exists()
    assert (tmp_path / "folder" / "part").exists()


def test_the_first_of_two_folders_stays(tmp_path):
    with new_folder(tmp_path / "folder") as late:
        (late / "late").touch()
        with new_folder(tmp_path / "folder") as early:
            (early / "early").touch()
    assert [entry.name for entry in (tmp_path / "folder").iterdir()] == ["early"]
    assert len(list(tmp_path.iterdir())) == 1


def test_json_and_arrays_come_back(tmp_path):
    write_json(tmp_path / "a.json", {"word": "größe", "n": [1, 2.5]})
    assert read_json(tmp_path / "a.json") == {"word": "größe", "n": [1, 2.5]}
    write_array(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    assert np.array_equal(np.load(tmp_path / "a.npy"), [[0, 1, 2], [3, 4, 5]])


def test_arrays_with_objects_are_never_written(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_array(tmp_path / "a.npy", np.array([object()]))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_json_file_is_named(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff{")
    with pytest.raises(InputError, match=r"cannot read .*a\.json"):
        read_json(tmp_path / "a.json")
