"""The shared libraries for boards, loaded here: what they hold and what they do."""

import os
import struct

import numpy as np
import pytest
import tvm
import tvm_ffi
from handmade import mirrored_sum, normal

from costmodel.crossbuild.objects import write_object
from costmodel.crossbuild.platforms import PLATFORMS, platform_of
from costmodel.crossbuild.shared import board_library, link_shared
from costmodel.errors import DeviceError

_MACHINES = {"armv7": 40, "aarch64": 183, "x86_64": 62}
"""ELF's numbers of them (elf.h)."""


@pytest.fixture(scope="module")
def board(target):
    return tvm.runtime.load_module(str(board_library(platform_of(target))))


def bytes_of(text):
    return tvm.runtime.tensor(np.frombuffer(text.encode() + b"\0", np.uint8).copy())


def read(board, pattern, room=1 << 16):
    """Text by path, as the board tells it; None where there was no room for it."""
    answer = tvm.runtime.empty((room,), "uint8")
    count = board["ponas_read"](bytes_of(pattern), answer)
    if count < 0:
        return None
    given, found = answer.numpy().tobytes()[:count], {}
    while given:
        path, _, rest = given.partition(b"\0")
        (length,) = struct.unpack_from("<q", rest)
        found[path.decode()] = rest[8 : 8 + length].decode()
        given = rest[8 + length :]
    return found


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
def test_the_library_is_for_the_platform_and_needs_no_other(platform, target):  # noqa: ARG001
    data = board_library(platform).read_bytes()
    assert data[:4] == b"\x7fELF"
    kind, machine = struct.unpack_from("<HH", data, 16)
    assert (kind, machine) == (3, _MACHINES[platform.name])
    assert b"libc.so" not in data


def test_arrays_are_filled_with_numbers_of_the_asked_size(board):
    array = tvm.runtime.empty((10, 1000), "float32")
    assert board["ponas_fill"](array, 3, 0.5) == 10000
    numbers = array.numpy()
    assert np.abs(numbers).max() == pytest.approx(0.5, rel=1e-3)
    assert abs(numbers.mean()) < 0.02
    assert numbers.std() == pytest.approx(0.5 / np.sqrt(3), rel=0.03)
    other = tvm.runtime.empty((10, 1000), "float32")
    board["ponas_fill"](other, 4, 0.5)
    assert abs(np.corrcoef(numbers.ravel(), other.numpy().ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_counted(board, strange):
    numbers = np.zeros((3, 5), np.float32)
    assert board["ponas_strange"](tvm.runtime.tensor(numbers)) == 0
    numbers[1, 2] = numbers[2, 4] = strange
    assert board["ponas_strange"](tvm.runtime.tensor(numbers)) == 2


def test_files_are_read_by_pattern_whatever_is_in_them(board, tmp_path):
    texts = {"a1": "one\n", "a2": "", "a3": "nul\0in it", "b": "no"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "a4").mkdir()
    found = read(board, f"{tmp_path}/a*")
    assert found == {f"{tmp_path}/{name}": texts[name] for name in ("a1", "a2", "a3")}
    assert read(board, f"{tmp_path}/none*") == {}
    assert "processor" in read(board, "/proc/cpuinfo", 1 << 20)["/proc/cpuinfo"]


@pytest.mark.parametrize("room", [1, 8, 40, 100, 1000])
def test_too_little_room_is_said_and_never_exceeded(board, tmp_path, room):
    (tmp_path / "file").write_text("x" * 1200)
    memory = np.full(room + 64, 7, np.uint8)
    answer = tvm_ffi.from_dlpack(memory[:room])
    assert board["ponas_read"](bytes_of(f"{tmp_path}/file"), answer) == -1
    assert (memory[room:] == 7).all()


def test_threads_are_kept_to_processors(board):
    before = os.sched_getaffinity(0)
    try:
        one = min(before)
        assert board["ponas_pin"](one) == 0
        assert os.sched_getaffinity(0) == {one}
        assert board["ponas_pin"](*before) == 0
        assert board["ponas_pin"](1000) != 0
        assert board["ponas_pin"](100000) != 0
        assert board["ponas_pin"](-1) != 0
        assert os.sched_getaffinity(0) == before
    finally:
        os.sched_setaffinity(0, before)


def test_several_kernels_are_in_one_library(target, tmp_path):
    objects = []
    for index, rows in enumerate((5, 9)):
        objects.append(tmp_path / f"{index}.o")
        write_object(mirrored_sum(rows, parallel=False), f"k{index}", target, objects[-1])
    link_shared(objects, platform_of(target), tmp_path / "new" / "library.so")
    library = tvm.runtime.load_module(str(tmp_path / "new" / "library.so"))
    for index, rows in enumerate((5, 9)):
        x, output = normal(rows, 64), tvm.runtime.empty((rows, 64), "float32")
        library[f"k{index}"](tvm.runtime.tensor(x), output)
        np.testing.assert_allclose(output.numpy(), (2 * x + 1) + x[::-1], rtol=1e-6)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"library.so"}


def test_what_cannot_be_linked_is_a_line_and_leaves_what_was_there(target, tmp_path):
    (tmp_path / "no.o").write_text("no object")
    (tmp_path / "library.so").write_text("old")
    with pytest.raises(DeviceError, match="zig cannot build for x86_64"):
        link_shared([tmp_path / "no.o"], platform_of(target), tmp_path / "library.so")
    assert (tmp_path / "library.so").read_text() == "old"
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="cannot write the library"):
        link_shared([], platform_of(target), tmp_path / "file" / "library.so")
