/* What a stock TVM RPC server lacks, in a shared library that is uploaded to it: reading files that
 * have no size (/proc, /sys), choosing processors, filling arrays with numbers, looking at them.
 *
 * Linked without a C library: its few functions are those of the process that loads it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

/* Of tvm/ffi/c_api.h. */
enum { INTEGER = 1, REAL = 3, TENSOR_OBJECT = 70, OBJECT_HEADER = 24 };

static const Tensor *tensor_of(const Any *any) {
  if (any->type_index == TENSOR_OBJECT)
    return (const Tensor *)((const char *)any->value.tensor + OBJECT_HEADER);
  return any->value.tensor;
}

static char *bytes_of(const Any *any) {
  const Tensor *tensor = tensor_of(any);
  return (char *)tensor->data + tensor->byte_offset;
}

static int give(Any *result, int64_t number) {
  result->type_index = INTEGER;
  result->zero = 0;
  result->value.integer = number;
  return 0;
}

static int64_t count_of(const Tensor *tensor) {
  int64_t total = 1;
  for (int32_t i = 0; i < tensor->ndim; i++) total *= tensor->shape[i];
  return total;
}

static double real_of(const Any *any) {
  double number;
  if (any->type_index != REAL) return (double)any->value.integer;
  memcpy(&number, &any->value, sizeof number);
  return number;
}

/* Text of a file, as much of it as fits; its bytes, or -1 where it cannot be read. */
static int64_t read_text(const char *path, char *text, int64_t room) {
  int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  int64_t count = 0;
  if (file < 0) return -1;
  while (count < room) {
    ssize_t got = read(file, text + count, (size_t)(room - count));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) count = -1;
    if (got <= 0) break;
    count += got;
  }
  close(file);
  return count;
}

/* (pattern, room): writes path, NUL, bytes of the text as int64_t, text of each file into room;
 * bytes written, or -1 where the room may have been too small. */
int __tvm_ffi_ponas_read(void *self, Any *arguments, int32_t count, Any *result) {
  char *out = bytes_of(&arguments[1]);
  int64_t room = tensor_of(&arguments[1])->shape[0], used = 0;
  glob_t found;
  (void)self, (void)count;
  if (glob(bytes_of(&arguments[0]), 0, NULL, &found)) return give(result, 0);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    const char *path = found.gl_pathv[i];
    int64_t start = used + (int64_t)strlen(path) + 1, text = sizeof text;
    if (start + text >= room) { used = -1; break; }
    text = read_text(path, out + start + sizeof text, room - start - text);
    if (text < 0) continue;
    memcpy(out + used, path, (size_t)(start - used));
    memcpy(out + start, &text, sizeof text);
    used = start + (int64_t)sizeof text + text;
    if (used >= room) { used = -1; break; }
  }
  globfree(&found);
  return give(result, used);
}

/* (processor, ...): keeps this thread, and those that it starts, to them; 0 or the system's error. */
int __tvm_ffi_ponas_pin(void *self, Any *arguments, int32_t count, Any *result) {
  cpu_set_t set;
  (void)self;
  CPU_ZERO(&set);
  for (int32_t i = 0; i < count; i++) {
    int64_t cpu = arguments[i].value.integer;
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET((size_t)cpu, &set);
  }
  return give(result, sched_setaffinity(0, sizeof set, &set) ? errno : 0);
}

/* (array, seed, peak): numbers from -peak to peak (Marsaglia's xorshift, 2003); their count. */
int __tvm_ffi_ponas_fill(void *self, Any *arguments, int32_t count, Any *result) {
  int64_t total = count_of(tensor_of(&arguments[0]));
  float *numbers = (float *)(void *)bytes_of(&arguments[0]);
  uint32_t state = (uint32_t)arguments[1].value.integer * 2654435761u + 1u;
  float scale = (float)real_of(&arguments[2]) * 0x1p-31f;
  (void)self, (void)count;
  if (state == 0) state = 1;
  for (int64_t i = 0; i < total; i++) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    numbers[i] = scale * (float)(int32_t)state;
  }
  return give(result, total);
}

/* (array): how many of its numbers are not finite. */
int __tvm_ffi_ponas_strange(void *self, Any *arguments, int32_t count, Any *result) {
  int64_t total = count_of(tensor_of(&arguments[0])), strange = 0;
  const float *numbers = (const float *)(void *)bytes_of(&arguments[0]);
  (void)self, (void)count;
  for (int64_t i = 0; i < total; i++) strange += !(numbers[i] - numbers[i] == 0);
  return give(result, strange);
}
