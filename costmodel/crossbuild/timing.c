/* The mode `time`: every sample of every kernel, in seconds of the monotonic clock. */
#include "program.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* Uniform in [-1, 1); xorshift64* (Vigna 2016). */
static void fill(Tensor *tensor, uint64_t count, uint64_t seed) {
  float *values = tensor->data;
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (uint64_t i = 0; i < count; ++i) {
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    values[i] = (float)(int32_t)((state * 0x2545F4914F6CDD1Du) >> 32) * 0x1p-31f;
  }
}

static void flush_caches(unsigned char *memory, uint64_t bytes) {
  for (uint64_t i = 0; i < bytes; i += ALIGNMENT) ((volatile unsigned char *)memory)[i]++;
}

/* Seconds that `runs` runs take. With flushing each starts from cold caches and is timed alone. */
static double timed(const Call *call, long runs, unsigned char *flushed, uint64_t flush_bytes) {
  double total = 0, start = flushed ? 0 : now();
  for (long i = 0; i < runs; ++i) {
    if (!flushed) {
      call_kernel(call);
      continue;
    }
    flush_caches(flushed, flush_bytes);
    start = now();
    call_kernel(call);
    total += now() - start;
  }
  return flushed ? total : now() - start;
}

static long more_runs(long runs, double seconds, double wanted) {
  double factor = seconds > 0 ? 1.2 * wanted / seconds : 10;
  if (factor > 10) factor = 10; /* the first runs are slow ones: go on carefully */
  return (long)(runs * factor) + 1;
}

static void print_samples(const Options *options, const Call *call, const double *seconds,
                          const long *runs, long warm_up_runs) {
  printf("{\"kernel\":\"%s\",\"seconds\":[", call->kernel->name);
  for (int i = 0; i < options->repeats; ++i) printf("%s%.9e", i ? "," : "", seconds[i]);
  fputs("],\"runs\":[", stdout);
  for (int i = 0; i < options->repeats; ++i) printf("%s%ld", i ? "," : "", runs[i]);
  printf("],\"warm_up_runs\":%ld,\"threads\":%d,\"cpus\":[", warm_up_runs, options->threads);
  for (int i = 0; i < options->cpu_count; ++i) printf("%s%d", i ? "," : "", options->cpus[i]);
  const float *values = output_of(call)->data;
  uint64_t count = elements(&call->kernel->shapes[call->kernel->count - 1]);
  float peak = 0;
  int finite = 1;
  for (uint64_t i = 0; i < count; ++i) {
    finite &= isfinite(values[i]) != 0;
    peak = fmaxf(peak, fabsf(values[i]));
  }
  if (finite) printf("],\"output_peak\":%.9g}\n", peak);
  else fputs("],\"output_peak\":null}\n", stdout);
  if (fflush(stdout)) fail(1, "cannot write the times: %s", strerror(errno));
}

static void time_one(const Options *options, const Kernel *kernel, unsigned char *flushed) {
  Call call = prepare(kernel);
  int last = kernel->count - 1;
  for (int i = 0; i < last; ++i)
    fill(&call.tensors[i], elements(&kernel->shapes[i]), options->seed * MAX_ARGUMENTS + i);
  memset(output_of(&call)->data, 0, elements(&kernel->shapes[last]) * FLOAT_BYTES);

  double *seconds = need(options->repeats * sizeof(double));
  long *runs = need(options->repeats * sizeof(long)), warm_up_runs = 0, each = 1;
  double start = now(), wanted = options->min_repeat_ms * 1e-3;
  while (warm_up_runs < options->warm_up_runs ||
         (options->warm_up_ms > 0 && now() - start < options->warm_up_ms * 1e-3)) {
    call_kernel(&call);
    ++warm_up_runs;
  }
  for (int sample = 0; sample < options->repeats;) {
    double taken = timed(&call, each, flushed, options->flush_bytes);
    if (taken < wanted) {
      warm_up_runs += each;
      each = more_runs(each, taken, wanted);
      continue;
    }
    runs[sample] = each;
    seconds[sample++] = taken / each;
  }
  print_samples(options, &call, seconds, runs, warm_up_runs);
  free(seconds);
  free(runs);
  release(&call);
}

void time_kernels(const Options *options) {
  if (!options->chosen_count) fail(2, "time needs at least one --kernel NAME; see them with: list");
  unsigned char *flushed = options->flush_bytes ? need(options->flush_bytes) : NULL;
  if (flushed) memset(flushed, 1, options->flush_bytes);
  for (int i = 0; i < options->chosen_count; ++i) time_one(options, options->chosen[i], flushed);
}
