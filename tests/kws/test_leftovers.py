import os
import time

from kws.leftovers import delete_leftovers
from kws.storage import new_folder


def test_old_unfinished_folders_are_deleted_and_nothing_else(tmp_path):
    for name in (".old.0123.part", ".new.0123.part", "kept", ".hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    yesterday = time.time() - 25 * 3600
    for name in (".old.0123.part", "kept", ".hidden"):
        os.utime(tmp_path / name, (yesterday, yesterday))
    delete_leftovers(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == {".new.0123.part", "kept", ".hidden"}


def test_the_folders_that_are_filled_have_the_name_that_is_looked_for(tmp_path):
    with new_folder(tmp_path / "data") as partial:
        delete_leftovers(tmp_path)
        assert partial.is_dir()
        delete_leftovers(tmp_path, older_s=0.0)
        assert not partial.is_dir()
        partial.mkdir()


def test_where_there_is_no_cache_there_is_nothing_to_do(tmp_path):
    delete_leftovers(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
