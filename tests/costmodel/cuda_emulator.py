"""Runs TVM's CUDA source on the CPU: every thread of a block a fiber, barriers as they stand.

Blocks run one after another. The threads of a block run one after another from barrier to
barrier, forwards and backwards in turn, so that a barrier too few gives wrong numbers; one that
not all threads reach is an error. Shared memory starts as NaN in the first block.
"""

import ctypes
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from costmodel.cuda.assemble import cuda_source

COMPILER = shutil.which("g++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler (g++)")

_PRELUDE = r"""
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <ucontext.h>
#include <vector>
using std::max; using std::min;
struct Dim { int x, y, z; };
static Dim threadIdx, blockIdx;
static ucontext_t scheduler, *running;
static int waiting;
static void __syncthreads() { ++waiting; swapcontext(running, &scheduler); }
#define __expf std::exp
#define __global__
#define __launch_bounds__(n)
#define __shared__ static
#define expf std::exp
"""

_RUNNER = r"""
static float** arguments;
static int finished;
static void fiber() {
  main_kernel(%(arguments)s);
  ++finished;
  swapcontext(running, &scheduler);
}
extern "C" int run(float** given, const int* grid, const int* block) {
  arguments = given;
  const int count = block[0] * block[1] * block[2], stack = 1 << 16;
  std::vector<char> stacks(size_t(count) * stack);
  std::vector<ucontext_t> fibers(count);
  for (int b = 0; b < grid[0] * grid[1] * grid[2]; ++b) {
    blockIdx = {b %% grid[0], b / grid[0] %% grid[1], b / grid[0] / grid[1]};
    for (int t = 0; t < count; ++t) {
      getcontext(&fibers[t]);
      fibers[t].uc_stack.ss_sp = &stacks[size_t(t) * stack];
      fibers[t].uc_stack.ss_size = stack;
      fibers[t].uc_link = nullptr;
      makecontext(&fibers[t], fiber, 0);
    }
    finished = 0;
    for (int phase = 0; finished < count; ++phase) {
      waiting = 0;
      for (int i = 0; i < count; ++i) {
        const int t = phase %% 2 ? count - 1 - i : i;
        threadIdx = {t %% block[0], t / block[0] %% block[1], t / block[0] / block[1]};
        running = &fibers[t];
        swapcontext(&scheduler, running);
      }
      if (waiting != count && finished != count) return 1;
    }
  }
  return 0;
}
"""


def computed(family, kernel, schedule, target, inputs, constants):
    """The output of a kernel of ``family``, constants in the layout that the kernel states."""
    nest = family.nest(kernel, schedule, target)
    packed = family.pack(kernel, schedule, target, constants)
    names = [buffer.name for buffer in nest.parameters[:-1]]
    arrays = dict(zip(names, [*inputs, *packed], strict=True))
    source = cuda_source(family.module(kernel, schedule, target), target)
    with tempfile.TemporaryDirectory() as folder:
        return run(source, nest, arrays, Path(folder))


def run(source, nest, arrays, folder):
    """The output of the one kernel in ``source``, TVM's for ``nest``, on ``arrays`` (by name)."""
    names = re.search(r"main_kernel\((.*?)\)", source).group(1).split(",")
    order = [re.search(r"(\w+)_ptr$", name.strip()).group(1) for name in names]
    # threadIdx is global here and moves on at a barrier: each thread keeps its own.
    head, body = source.split("{", 1)
    body = "const Dim threadIdx = ::threadIdx;\n" + body
    shared = r"__shared__ alignas\(64\) float (\w+)\[(\d+)\];"
    body = re.sub(shared, r"alignas(64) static float \1[\2]; NAN_ONCE(\1);", body)
    nan = (
        "#define NAN_ONCE(a) static bool a##_set = false; "
        "if (!a##_set) { a##_set = true; for (float& v : a) v = NAN; }\n"
    )
    arguments = ", ".join(f"arguments[{i}]" for i in range(len(order)))
    text = f"{_PRELUDE}{nan}{head}{{{body}{_RUNNER % {'arguments': arguments}}"
    path, library = folder / "kernel.cpp", folder / "kernel.so"
    path.write_text(text)
    command = [COMPILER, "-O1", "-std=c++17", "-w", "-shared", "-fPIC", str(path), "-o", library]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    output = np.full(nest.parameters[-1].shape, np.nan, np.float32)
    held = {**arrays, nest.parameters[-1].name: output}
    for buffer in nest.parameters:
        assert held[buffer.name].shape == buffer.shape
        assert held[buffer.name].flags["C_CONTIGUOUS"]
        assert held[buffer.name].dtype == np.float32
    pointers = (ctypes.c_void_p * len(order))(*(held[name].ctypes.data for name in order))
    grid, block = ((ctypes.c_int * 3)(*reversed(d)) for d in (nest.blocks, nest.threads))
    status = ctypes.CDLL(str(library)).run(pointers, grid, block)
    assert status == 0, "some threads of a block missed a barrier"
    return output
