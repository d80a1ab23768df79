"""An exported C library in a program of its own, for this machine or under qemu."""

import platform
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.toolchain import Toolchain
from tools.places import profile_store
from tools.tvm_export import DEFAULT_NAME

_QEMU = {"armv7": "arm", "aarch64": "aarch64", "x86_64": "x86_64"}
_STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
_MANY = """
#include <stdio.h>
#include <string.h>
#include "keywords.h"
/* Answers to arrays on standard input, one after the other, until there are no more. */
typedef int Function(const float *, float *);
static float given[KEYWORDS_SAMPLES], answer[KEYWORDS_FEATURES + KEYWORDS_WORDS];
int main(int argc, char **words) {
  const char *what = argc > 1 ? words[1] : "listen";
  int features = !strcmp(what, "features"), classify = !strcmp(what, "classify");
  Function *call = features ? keywords_features : classify ? keywords_classify : keywords_listen;
  size_t read = classify ? KEYWORDS_FEATURES : KEYWORDS_SAMPLES;
  size_t written = features ? KEYWORDS_FEATURES : KEYWORDS_WORDS;
  while (fread(given, sizeof *given, read, stdin) == read) {
    if (call(given, answer) != KEYWORDS_DONE) return 1;
    fwrite(answer, sizeof *answer, written, stdout);
  }
  return 0;
}
"""


def emulator(profile_name):
    """What to put before a program for the profile; skips the test where there is none."""
    if find_spec("ziglang") is None:
        pytest.skip("no cross-linker: pip install 'ponas[boards]'")
    name = platform_of(profile_store().get(profile_name).target()).name
    if platform.machine() == name:
        return ()
    command = f"qemu-{_QEMU[name]}-static"
    if shutil.which(command) is None:
        pytest.skip(f"no {command}: make system-packages")
    return (command,)


def link(folder, profile_name, source, output):
    """A static program of a C file and the exported archive, compiled as strictly as C99 can be."""
    target = platform_of(profile_store().get(profile_name).target())
    library = folder / f"lib{DEFAULT_NAME}.a"
    words = ["-static", "-s", *_STRICT, "-I", str(folder), str(source), str(library)]
    Toolchain().cc(target, [*words, "-o", str(output)])
    return output


def answers(folder, profile_name, what, arrays):
    """``features``, ``classify`` or ``listen`` of each array, all in one start of the program."""
    before = emulator(profile_name)
    with TemporaryDirectory() as scratch:
        source = Path(scratch) / "many.c"
        source.write_text(_MANY)
        program = link(folder, profile_name, source, Path(scratch) / "many")
        given = np.ascontiguousarray(arrays, "<f4").tobytes()
        done = subprocess.run(
            [*before, str(program), what], input=given, capture_output=True, check=True
        )
    return np.frombuffer(done.stdout, "<f4").reshape(len(arrays), -1)
