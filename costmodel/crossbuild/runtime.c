/* What generated code calls: scratch memory and error messages. */
#include "program.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS 32 /* scratch buffers that one thread may hold at a time */

static struct { const char *kind; char text[512]; } raised;
static atomic_flag has_raised = ATOMIC_FLAG_INIT;

void *allocate(uint64_t bytes) {
  void *memory = NULL;
  if (bytes > SIZE_MAX / 2 || posix_memalign(&memory, ALIGNMENT, bytes ? bytes : 1)) return NULL;
  return memory;
}

/* Each thread keeps what it was given: from the second run on, a kernel allocates nothing. */
static _Thread_local struct { void *memory; uint64_t bytes; int taken; } slots[SLOTS];

static void *take_workspace(int device, int id, uint64_t bytes, int code, int bits) {
  (void)device, (void)id, (void)code, (void)bits;
  int best = -1;
  for (int i = 0; i < SLOTS; ++i) {
    if (slots[i].taken) continue;
    int fits = slots[i].bytes >= bytes;
    int best_fits = best >= 0 && slots[best].bytes >= bytes;
    if (best < 0 || (fits && (!best_fits || slots[i].bytes < slots[best].bytes))) best = i;
  }
  if (best < 0) return NULL;
  if (!slots[best].memory || slots[best].bytes < bytes) {
    free(slots[best].memory);
    slots[best].memory = allocate(bytes);
    slots[best].bytes = slots[best].memory ? bytes : 0;
    if (!slots[best].memory) return NULL;
  }
  slots[best].taken = 1;
  return slots[best].memory;
}

static int give_workspace(int device, int id, void *memory) {
  (void)device, (void)id;
  for (int i = 0; i < SLOTS; ++i) {
    if (slots[i].taken && slots[i].memory == memory) {
      slots[i].taken = 0;
      return 0;
    }
  }
  return -1;
}

/* Generated code defines these pointers weakly, as null. */
void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = take_workspace;
int (*__TVMBackendFreeWorkspace)(int, int, void *) = give_workspace;

void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
  if (atomic_flag_test_and_set(&has_raised)) return;
  int length = 0;
  for (int i = 0; i < count && length < (int)sizeof raised.text; ++i)
    length += snprintf(raised.text + length, sizeof raised.text - length, "%s", parts[i]);
  raised.kind = kind;
}

void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message) {
  TVMFFIErrorSetRaisedFromCStrParts(kind, &message, 1);
}

const char *raised_error(void) {
  return raised.kind ? raised.text : "no reason given; perhaps out of memory";
}

#if defined(__arm__)
/* LLVM divides with these where a triple of three parts (armv7l-linux-gnueabihf) hides the EABI
 * from it and the core has no instruction to divide (Cortex-A9); zig's library has __aeabi_*. That
 * of GCC has these too. */
#define WEAK __attribute__((weak))
WEAK int32_t __divsi3(int32_t a, int32_t b) { return a / b; }
WEAK uint32_t __udivsi3(uint32_t a, uint32_t b) { return a / b; }
#endif
