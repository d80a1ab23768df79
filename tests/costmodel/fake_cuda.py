"""CUDA's driver and runtime without a GPU: memory is memory, a launch is checked and takes 20 µs.

TVM's own CUDA part runs on them, so everything up to the launch of machine code is as it is on a
GPU: loading libraries, finding kernels in them, arguments, events.
"""

import os
import shutil
import subprocess

import pytest

COMPILER = shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler (gcc)")

_SOURCE = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
typedef struct {
  unsigned grid[3], block[3], shared;
  void *stream, *attributes;
  unsigned attribute_count;
} Launch;
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}
static int give(void **out, size_t bytes) { return posix_memalign(out, 256, bytes ? bytes : 1); }
int cudaGetDeviceCount(int *n) { return *n = 1, 0; }
int cudaGetDevice(int *id) { return *id = 0, 0; }
int cudaSetDevice(int id) { return id ? 101 : 0; }
int cudaDeviceGetAttribute(int *value, int which, int id) {
  int sm = atoi(getenv("FAKE_SM"));
  *value = which == 75 ? sm / 10 : which == 76 ? sm % 10 : 1; /* compute capability */
  return id ? 101 : 0;
}
int cudaMalloc(void **out, size_t bytes) { return give(out, bytes); }
int cudaMallocHost(void **out, size_t bytes) { return give(out, bytes); }
int cudaFree(void *memory) { return free(memory), 0; }
int cudaFreeHost(void *memory) { return free(memory), 0; }
int cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, void *s) {
  return memcpy(to, from, n), 0;
}
int cudaEventCreate(void **event) { return give(event, sizeof(double)); }
int cudaEventDestroy(void *event) { return free(event), 0; }
int cudaEventRecord(double *event, void *stream) { return *event = now(), 0; }
int cudaEventElapsedTime(float *ms, double *a, double *b) { return *ms = 1e3 * (*b - *a), 0; }
const char *cudaGetErrorName(int error) { return "a name"; }
const char *cudaGetErrorString(int error) { return "no such fake device"; }
int cuGetErrorName(int error, const char **text) { return *text = "a name", 0; }
int cuGetErrorString(int error, const char **text) { return *text = "a reason", 0; }
int cuModuleLoadData(void **module, const char *image) {
  int sm = atoi(getenv("FAKE_SM")); /* e_machine EM_CUDA, e_flags */
  if (memcmp(image, "\177ELF", 4) || image[18] != (char)190) return 200;
  if ((unsigned char)image[0x30] != sm) return 209;
  return *module = (void *)image, 0;
}
int cuModuleGetFunction(void **function, const char *image, const char *name) {
  char wanted[300];
  uint64_t sections, headers;
  int length = snprintf(wanted, sizeof wanted, ".text.%s", name) + 1;
  memcpy(&headers, image + 32, 8), memcpy(&sections, image + 40, 8);
  uint64_t size = headers > sections ? headers : sections;
  if (!memmem(image, size, wanted, length)) return 500;
  return *function = strdup(name), 0;
}
int cuLaunchKernelEx(const Launch *launch, const char *name, void **arguments, void **extra) {
  const char *log = getenv("FAKE_LOG"), *crash = getenv("FAKE_CRASH");
  const unsigned *block = launch->block, threads = block[0] * block[1] * block[2];
  if (!threads || threads > 1024 || !launch->grid[0] || !*(void **)arguments[0]) return 1;
  if (crash && !strcmp(crash, name)) raise(SIGKILL);
  FILE *file = log ? fopen(log, "a") : NULL;
  if (file) fprintf(file, "%s\n", name), fclose(file);
  for (double end = now() + 20e-6; now() < end;) {}
  return 0;
}
"""
_NOTHING = (
    "cudaEventSynchronize", "cudaGetLastError", "cudaPeekAtLastError", "cudaStreamSynchronize",
    "cudaStreamCreate", "cudaStreamCreateWithFlags", "cudaStreamDestroy", "cudaStreamWaitEvent",
    "cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphDestroy", "cudaGraphExecDestroy",
    "cudaGraphInstantiate", "cudaGraphLaunch", "cudaMemcpyPeerAsync", "cudaMemGetInfo",
    "cudaGetDeviceProperties", "cuFuncSetAttribute", "cuModuleUnload", "cuDeviceGetName",
    "cuTensorMapEncodeTiled",
)  # fmt: skip
"""Functions that do nothing here, with success."""


def build_fake_cuda(folder):
    """Puts both libraries into ``folder``."""
    source = folder / "fake.c"
    nothing = "".join(f"int {name}(void) {{ return 0; }}\n" for name in _NOTHING)
    source.write_text(_SOURCE + nothing)
    for name in ("libcudart.so.13", "libcuda.so.1"):
        (folder / "versions").write_text(f"{name} {{ global: *; }};\n")
        options = [f"-Wl,-soname,{name}"]
        if name.startswith("libcudart"):
            options.append(f"-Wl,--version-script={folder / 'versions'}")
        subprocess.run(
            [COMPILER, "-shared", "-fPIC", "-O1", "-w", *options, str(source), "-o",
             str(folder / name)],
            check=True, capture_output=True,
        )  # fmt: skip
    return folder


def fake_environment(libraries, sm, **more):
    """The variables of a process that has the fake GPU."""
    return {**os.environ, "LD_LIBRARY_PATH": str(libraries), "FAKE_SM": str(sm), **more}
