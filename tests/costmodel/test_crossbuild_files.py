"""The modes `files` and `remove` of static programs: what a device without anything else needs."""

import os
import shutil
import subprocess

import pytest
from boards import ONE_OF_EACH_PLATFORM
from kernels_in_c import linked

from costmodel.crossbuild.messages import parse_file
from costmodel.crossbuild.run import run


@pytest.fixture(scope="module", params=ONE_OF_EACH_PLATFORM)
def in_c(request, tmp_path_factory):
    return linked(request.param, tmp_path_factory.mktemp("in_c"))


def texts(in_c, *patterns):
    program, emulator = in_c
    said = run(program.path, ["files", *map(str, patterns)], emulator=emulator)
    return dict(parse_file(line) for line in said.decode(errors="replace").splitlines())


@pytest.mark.parametrize(
    "text",
    ["", "one\ntwo\n", 'a "quoted" \\ word', "\0\x01\x1f\x7f\t\r\n", "21 °C – ✓", "  ", "{}\n{}"],
)
def test_text_arrives_as_it_is(in_c, tmp_path, text):
    (tmp_path / "file").write_bytes(text.encode())
    assert texts(in_c, tmp_path / "file") == {str(tmp_path / "file"): text}


def test_bytes_that_are_no_text_are_marked_and_break_nothing(in_c, tmp_path):
    (tmp_path / "file").write_bytes(b"a\xff\xc3b\xe2\x82")
    (found,) = texts(in_c, tmp_path / "file").values()
    assert found.startswith("a\ufffd\ufffdb\ufffd")


def test_patterns_find_files_and_nothing_else(in_c, tmp_path):
    for name in ("zone0", "zone1", "zone12", "other"):
        (tmp_path / name).write_text(name)
    (tmp_path / "zone_folder").mkdir()
    os.mkfifo(tmp_path / "zone_pipe")
    (tmp_path / "zone_link").symlink_to(tmp_path / "nothing")
    found = texts(in_c, tmp_path / "zone*", tmp_path / "nothing", tmp_path / "[")
    assert list(found) == [str(tmp_path / name) for name in ("zone0", "zone1", "zone12")]
    assert list(texts(in_c, tmp_path / "zone?")) == [str(tmp_path / f"zone{i}") for i in "01"]
    assert texts(in_c) == {}


def test_names_of_all_kinds_arrive(in_c, tmp_path):
    path = tmp_path / 'a "b"\\\n\tc ü'
    path.write_text("x")
    assert texts(in_c, tmp_path / "a*") == {str(path): "x"}


def test_a_large_file_is_cut(in_c, tmp_path):
    (tmp_path / "file").write_text("0123456789abcdef" * 5000)
    (found,) = texts(in_c, tmp_path / "file").values()
    assert found == "0123456789abcdef" * 4096


def test_files_that_have_no_size_are_read(in_c):
    found = texts(in_c, "/proc/versio[n]", "/sys/devices/system/cpu/online")
    assert found["/proc/version"].startswith("Linux version")


def test_a_full_disk_is_told(in_c):
    program, emulator = in_c
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        command = [*emulator, str(program.path), "files", "/proc/version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.stderr == b"ponas error: cannot write the files: No space left on device\n"


def test_a_program_removes_itself_and_nothing_else(in_c, tmp_path):
    program, emulator = in_c
    copy = tmp_path / "copy"
    shutil.copy(program.path, copy)
    assert run(copy, ["remove"], emulator=emulator) == b""
    assert list(tmp_path.iterdir()) == []
    assert program.path.exists()


def test_a_program_that_does_not_know_its_path_says_so(in_c):
    program, emulator = in_c
    if emulator or shutil.which("bash") is None:
        pytest.skip("an emulator, or no bash, names the program as it likes")
    command = ["bash", "-c", 'exec -a program "$0" remove', str(program.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "remove needs the program's path in the command, got 'program'" in done.stderr
    assert program.path.exists()
