/* The calls of an exported library: one at a time, in memory of its own. */
#include "library.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_flag inside = ATOMIC_FLAG_INIT;

#if THREADS > 1
/* No thread to be had: threads.c has no way on. */
void fail(int status, const char *format, ...) {
  (void)status, (void)format;
  abort();
}

static void start_once(void) {
  static int started;
  if (!started) start_threads(THREADS, NULL);
  started = 1;
}
#else
static void start_once(void) {}
#endif

/* A linker takes runtime.c out of an archive only where something of it is asked for: generated code
 * has what it needs of it weakly, as null. */
const char *(*const reason)(void) = raised_error;

int run(int first, int last, const float *given, float *answer) {
  int status = DONE;
  if (atomic_flag_test_and_set_explicit(&inside, memory_order_acquire)) return BUSY;
  start_once();
  memcpy(values[first], given, sizes[first] * FLOAT_BYTES);
  for (int i = first; i < last && status == DONE; ++i) {
    Any result = {0};
    if (parts[i].entry(NULL, parts[i].arguments, parts[i].count, &result)) status = FAILED;
  }
  if (status == DONE) memcpy(answer, values[last], sizes[last] * FLOAT_BYTES);
  atomic_flag_clear_explicit(&inside, memory_order_release);
  return status;
}
