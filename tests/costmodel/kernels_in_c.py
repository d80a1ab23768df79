"""A program whose kernels are written in C: what is tested is all around them."""

from boards import board_target, emulator_of

from costmodel.crossbuild.link import StaticProgram
from costmodel.crossbuild.platforms import platform_of
from costmodel.crossbuild.signature import Signature
from costmodel.crossbuild.toolchain import Toolchain

_SOURCE = """
#include "program.h"
#include <stdatomic.h>
#include <time.h>
extern int (*__TVMBackendParallelLaunch)(void *, void *, int);
extern int (*__TVMBackendParallelBarrier)(int, void *);
extern void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int);
extern int (*__TVMBackendFreeWorkspace)(int, int, void *);
void TVMFFIErrorSetRaisedFromCStr(const char *, const char *);
typedef struct { void *handle; int32_t tasks; } Group;
static float *out(Any *a) { return a[0].value.tensor->data; }

static int count(void *s, Any *a, int32_t n, Any *r) { out(a)[0] += 1; return 0; }

static int nap(void *s, Any *a, int32_t n, Any *r) {
  struct timespec t = {0, 2000000};
  nanosleep(&t, 0);
  out(a)[0] += 1;
  return 0;
}

static int nothing(void *s, Any *a, int32_t n, Any *r) { out(a)[0] = 0.0f / 0.0f; return 0; }

static int refuse(void *s, Any *a, int32_t n, Any *r) {
  TVMFFIErrorSetRaisedFromCStr("ValueError", "too many cooks");
  return -1;
}

static atomic_int phase[2];
static int two_steps(int id, Group *group, void *data) {
  atomic_fetch_add(&phase[0], 1);
  __TVMBackendParallelBarrier(id, group);
  if (atomic_load(&phase[0]) != group->tasks) return -1;
  __TVMBackendParallelBarrier(id, group);
  atomic_fetch_add(&phase[1], 1);
  return 0;
}
static int together(void *s, Any *a, int32_t n, Any *r) {
  atomic_store(&phase[0], 0), atomic_store(&phase[1], 0);
  if (__TVMBackendParallelLaunch(two_steps, 0, 0)) return -1;
  out(a)[0] = atomic_load(&phase[1]);
  return 0;
}

static int half_fails(int id, Group *group, void *data) { return id == 1 ? -1 : 0; }
static int broken(void *s, Any *a, int32_t n, Any *r) {
  return __TVMBackendParallelLaunch(half_fails, 0, 0);
}

static int scratch(void *s, Any *a, int32_t n, Any *r) {
  static void *before[3];
  void *now[3];
  for (int i = 0; i < 3; ++i) now[i] = __TVMBackendAllocWorkspace(1, 0, 1000 << 3 * i, 2, 32);
  int good = now[0] != now[1] && now[1] != now[2] && now[0] != now[2];
  for (int i = 0; i < 3; ++i) good &= (uintptr_t)now[i] % 64 == 0;
  for (int i = 0; i < 3; ++i) good &= !before[i] || before[i] == now[i];
  for (int i = 2; i >= 0; --i) before[i] = now[i], good &= !__TVMBackendFreeWorkspace(1, 0, now[i]);
  out(a)[0] = good;
  return good ? 0 : -1;
}

static int odd(void *s, Any *a, int32_t n, Any *r) {
  Tensor *none = a[0].value.tensor, *scalar = a[1].value.tensor, *to = a[2].value.tensor;
  if (none->ndim != 2 || none->shape[0] != 0 || none->shape[1] != 3 || scalar->ndim) return -1;
  *(float *)to->data = 2 * *(float *)scalar->data;
  return 0;
}

static int norm(void *s, Any *a, int32_t n, Any *r) {
  const float *weights = a[1].value.tensor->data;
  float sum = 0;
  for (int i = 0; i < 1000; ++i) sum += weights[i] * weights[i];
  *(float *)a[2].value.tensor->data = sum;
  return 0;
}

static const Shape odd_shapes[] = {{2, {0, 3}}, {0, {1}}, {1, {1}}};
static const Shape norm_shapes[] = {{1, {1000}}, {2, {10, 100}}, {1, {1}}};
static const Shape one[] = {{1, {1}}};
#define ROW(name) {#name, name, 1, one}
const Kernel kernels[] = {ROW(count), ROW(nap), ROW(nothing), ROW(refuse), ROW(together),
                          ROW(broken), {"odd", odd, 3, odd_shapes}, {"norm", norm, 3, norm_shapes},
                          ROW(scratch)};
const int kernel_count = 9;
"""
_ONE = ((1,),)
_SHAPES = {
    "count": _ONE, "nap": _ONE, "nothing": _ONE, "refuse": _ONE, "together": _ONE, "broken": _ONE,
    "odd": ((0, 3), (), (1,)), "norm": ((1000,), (10, 100), (1,)), "scratch": _ONE,
}  # fmt: skip


def linked(processor, folder):
    """The program for a processor, and what to start it with."""
    target = board_target(processor)
    emulator = emulator_of(target)
    platform, path = platform_of(target), folder / "program"
    Toolchain().link([], _SOURCE, platform, path)
    signatures = tuple(Signature(name, shapes) for name, shapes in _SHAPES.items())
    return StaticProgram(path, platform, signatures), emulator
