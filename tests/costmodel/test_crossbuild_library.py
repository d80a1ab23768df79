"""What C compilers and programs see of an exported library."""

import re
import struct
import subprocess

import numpy as np
import pytest
from boards import board_target, emulator_of
from drawing import make_target

from costmodel.crossbuild.library import LibraryPlan, build_library
from costmodel.crossbuild.library_source import Interface, example, header
from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.toolchain import Toolchain
from costmodel.errors import DeviceError, InputError
from costmodel.mfcc.kernel import MfccPlan
from costmodel.network import Network
from costmodel.partition import partition
from costmodel.program import Program, constants
from costmodel.schedules.registry import points

SAMPLES, WORDS = 800, ("yes", "trigraph ??/", 'a "quote" \\', "*/", "où", "\x07" + "7")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
FREE_STANDING = {"free", "memcpy", "memset", "posix_memalign", "snprintf"}
"""What the library may ask of the process that loads it, and any C library has."""


def mfcc():
    generator = np.random.default_rng(0)
    return MfccPlan(
        samples=SAMPLES, hop=100, window=np.hanning(64).astype(np.float32),
        mel=np.abs(generator.normal(size=(8, 33))).astype(np.float32),
        cosines=generator.normal(size=(6, 8)).astype(np.float32),
        mean=np.zeros(6, np.float32), std=1.0,
    )  # fmt: skip


def library(target, name="heard", rows=6):
    network = Network((rows, 9, 1))
    node = network.relu(network.conv2d(Network.INPUT, filters=5, kernel=(3, 3)))
    network.dense(network.global_average_pool(node), units=len(WORDS))
    steps = partition(network, target)
    schedules = tuple(points(step.kernel, target)[0] for step in steps)
    program = Program(steps, schedules, network.input_shape, target)
    return LibraryPlan(
        name=name, title="for tests */ int oops;", words=WORDS, sample_rate_hz=8000, mfcc=mfcc(),
        program=program, constants=constants(program, network, network.random_weights(0)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def built(target, tmp_path_factory):
    """The library for this machine."""
    folder = tmp_path_factory.mktemp("library")
    return build_library(library(target), target, folder)


def run(built, target, text, folder, more=()):
    """What a strict C99 program of ``text`` and the archive prints."""
    source, program = folder / "test.c", folder / "test"
    source.write_text(f'#include <stdio.h>\n#include "heard.h"\n{text}')
    words = ["-static", "-s", *STRICT, *more, "-I", str(built.header.parent), str(source)]
    Toolchain().cc(platform_of(target), [*words, str(built.archive), "-o", str(program)])
    return subprocess.run([str(program)], capture_output=True, check=True).stdout


def test_words_of_any_letters_arrive_in_the_program(built, target, tmp_path):
    text = "int main(void) { for (int i = 0; i < HEARD_WORDS; ++i) puts(heard_words[i]); }"
    assert run(built, target, text, tmp_path).decode().splitlines() == list(WORDS)


def test_the_program_knows_what_the_library_takes(built, target, tmp_path):
    numbers = "HEARD_SAMPLES, HEARD_SAMPLE_RATE_HZ, HEARD_FEATURES"
    text = f'int main(void) {{ printf("%d %d %d", {numbers}); }}'
    assert run(built, target, text, tmp_path).split() == [b"800", b"8000", b"54"]


def test_the_confidences_are_those_of_the_two_halves(built, target, tmp_path):
    text = """
#include <math.h>
static float x[HEARD_SAMPLES], f[HEARD_FEATURES], logits[HEARD_WORDS], p[HEARD_WORDS];
int main(void) {
  double total = 0;
  for (int i = 0; i < HEARD_SAMPLES; ++i) x[i] = sinf(0.01f * (float)(i * i));
  if (heard_features(x, f) || heard_classify(f, logits) || heard_listen(x, p)) return 1;
  for (int i = 0; i < HEARD_WORDS; ++i) total += exp(logits[i]);
  for (int i = 0; i < HEARD_WORDS; ++i) printf("%.9g\\n", p[i] - exp(logits[i]) / total);
}
"""
    differences = np.array(run(built, target, text, tmp_path).split(), float)
    assert len(differences) == len(WORDS)
    assert np.abs(differences).max() < 1e-6


def test_the_library_and_its_program_may_use_the_same_names(built, target, tmp_path):
    """A program may call its own things run, values, allocate, fail or parts."""
    text = """
int run(void); int values = 1, sizes = 2, parts = 3, allocate = 4, fail = 5, constants = 6;
int run(void) { return values + sizes + parts + allocate + fail + constants; }
static float x[HEARD_SAMPLES], p[HEARD_WORDS];
int main(void) { printf("%d %d", heard_listen(x, p), run()); }
"""
    assert run(built, target, text, tmp_path) == b"0 21"


def test_the_shared_library_shows_four_names_and_needs_no_other(built):
    shown, needed = symbols(built.shared)
    assert shown == {"heard_words", "heard_features", "heard_classify", "heard_listen"}
    assert needed <= FREE_STANDING


@pytest.mark.parametrize("processor", ["cortex-a9", "cortex-a72"])
def test_on_boards_it_needs_no_more(processor, tmp_path):
    target = board_target(processor)
    emulator_of(target)
    files = build_library(library(target), target, tmp_path)
    shown, needed = symbols(files.shared)
    assert len(shown) == 4
    assert needed <= FREE_STANDING


def symbols(path):
    """Dynamic symbols of a small ELF library: those it defines, those it asks for."""
    data = path.read_bytes()
    wide = data[4] == 2
    head = struct.unpack_from("<QQQIHHHHHH" if wide else "<IIIIHHHHHH", data, 24)
    table, size, count = head[2], head[7], head[8]
    layout = "<IIQQQQIIQQ" if wide else "<10I"
    sections = [struct.unpack_from(layout, data, table + i * size) for i in range(count)]
    (dynamic,) = (s for s in sections if s[1] == 11)  # SHT_DYNSYM
    names = sections[dynamic[6]]
    defined, needed = set(), set()
    for at in range(dynamic[4], dynamic[4] + dynamic[5], dynamic[9]):
        name, *rest = struct.unpack_from("<IBBHQQ" if wide else "<IIIBBH", data, at)
        section = rest[2] if wide else rest[4]
        begin = names[4] + name
        text = data[begin : data.index(b"\0", begin)].decode()
        if text:
            (defined if section else needed).add(text)
    return defined, needed


def test_the_header_is_c_of_1999_and_cpp(tmp_path):
    interface = Interface(
        name="k", title="*/ #error", words=("a", "b"), samples=10, sample_rate_hz=1, features=(2, 3)
    )
    (tmp_path / "k.h").write_text(header(interface))
    (tmp_path / "example.c").write_text(example(interface))
    (tmp_path / "twice.cpp").write_text('#include "k.h"\n#include "k.h"\nint x = K_WORDS;\n')
    target = board_target("cortex-a72")
    emulator_of(target)

    def compile_(name, *words):
        given = [*words, "-I", str(tmp_path), "-c", str(tmp_path / name)]
        Toolchain().cc(platform_of(target), [*given, "-o", str(tmp_path / "compiled.o")])

    compile_("example.c", *STRICT)
    compile_("twice.cpp", "-std=c++98", "-Wall", "-Werror")
    (tmp_path / "other.c").write_text('#include "k.h"\nint k_words;\n')
    with pytest.raises(DeviceError, match="error: redefinition of 'k_words'"):
        compile_("other.c")


def test_the_example_is_short():
    interface = library(make_target(8)).interface
    body = re.search(r"int main\(void\) \{\n(.*)\n\}", example(interface), re.DOTALL)
    assert body is not None
    assert len(body[1].splitlines()) <= 10


def test_a_network_for_other_features_is_refused():
    with pytest.raises(InputError, match=r"takes features \(7, 9, 1\), not \(6, 9, 1\)"):
        library(make_target(8), rows=7)


def test_a_place_that_is_not_there_is_an_error(target, tmp_path):
    with pytest.raises(DeviceError, match="cannot write the library"):
        build_library(library(target), target, tmp_path / "absent")
