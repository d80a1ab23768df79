/* The mode `time`: every sample of every kernel, in seconds of the monotonic clock. */
#define _GNU_SOURCE
#include "program.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double clock_of(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t)) clock_gettime(CLOCK_MONOTONIC, &t); /* a simulator may have one */
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static double now(void) { return clock_of(CLOCK_MONOTONIC); }

/* What the clock that times are taken with says, and the one that nobody corrects: where they
 * disagree on how long something took, one has jumped. */
typedef struct { double monotonic, raw; } Moment;

static Moment moment(void) {
  Moment best = {0};
  double gap = INFINITY;
  for (int i = 0; i < 10 && gap > 20e-6; ++i) { /* again where something came in between */
    double before = now(), raw = clock_of(CLOCK_MONOTONIC_RAW), after = now();
    if (after - before >= gap) continue;
    gap = after - before;
    best = (Moment){0.5 * (before + after), raw};
  }
  return best;
}

/* Uniform in [-peak, peak); xorshift64* (Vigna 2016). */
static void fill(Tensor *tensor, uint64_t count, uint64_t seed, float peak) {
  float *values = tensor->data;
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (uint64_t i = 0; i < count; ++i) {
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    values[i] = peak * (float)(int32_t)((state * 0x2545F4914F6CDD1Du) >> 32) * 0x1p-31f;
  }
}

/* The first argument has numbers up to 1. The others' squares sum up to 1 at most: then no layer
 * is larger than what it read by more than its bias, and a deep network's output is finite; the
 * biases keep it from becoming so small that arithmetic is slow (denormal numbers). */
static void fill_inputs(const Call *call, uint64_t seed) {
  for (int i = 0; i < call->kernel->count - 1; ++i) {
    uint64_t count = elements(&call->kernel->shapes[i]);
    float peak = i ? 1 / sqrtf(fmaxf(1, (float)count)) : 1;
    fill(&call->tensors[i], count, seed * MAX_ARGUMENTS + i, peak);
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

/* Seconds of one run: the mean over runs that fill `wanted` seconds. `each`: how many runs those
 * are, as far as is known; `all` counts every run, also of tries that were too short. */
static double sample(const Call *call, const Options *options, unsigned char *flushed,
                     double wanted, long *each, long *all) {
  for (;;) {
    double taken = timed(call, *each, flushed, options->flush_bytes);
    *all += *each;
    if (taken >= wanted) return taken / *each;
    *each = wanted > 0 ? more_runs(*each, taken, wanted) : 1;
  }
}

/* Runs before the first sample that counts, until two halves of a warm-up agree; returns how many
 * runs a sample should need. */
static long warm_up(const Call *call, const Options *options, unsigned char *flushed, long *all) {
  for (int i = 0; i < options->warm_up_runs; ++i, ++*all) call_kernel(call);
  double half = 0.5e-3 * options->warm_up_ms, wanted = 1e-3 * options->min_repeat_ms;
  long each = 1;
  for (int i = 0; half > 0 && i < options->warm_ups; ++i) {
    double first = sample(call, options, flushed, half, &each, all);
    double second = sample(call, options, flushed, half, &each, all);
    if (fabs(first - second) <= options->stable * fmin(first, second)) break;
  }
  return half > wanted ? (long)(each * wanted / half) + 1 : each;
}

static void print_samples(const Options *options, const Call *call, const double *seconds,
                          const long *runs, long warm_up_runs, Moment start) {
  Moment end = moment();
  printf("{\"kernel\":\"%s\",\"seconds\":[", call->kernel->name);
  for (int i = 0; i < options->repeats; ++i) printf("%s%.9e", i ? "," : "", seconds[i]);
  fputs("],\"runs\":[", stdout);
  for (int i = 0; i < options->repeats; ++i) printf("%s%ld", i ? "," : "", runs[i]);
  printf("],\"warm_up_runs\":%ld,\"elapsed\":%.9e,\"raw_elapsed\":%.9e", warm_up_runs,
         end.monotonic - start.monotonic, end.raw - start.raw);
  printf(",\"threads\":%d,\"cpus\":[", options->threads);
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
  if (fflush(stdout) || ferror(stdout)) fail(1, "cannot write the times: %s", strerror(errno));
}

/* A kernel that runs for ever ends the program, whether or not somebody still listens. */
static struct { char text[160]; int length; } late;

static void end_late(int signal) {
  (void)signal;
  if (write(STDERR_FILENO, late.text, late.length)) {}
  _exit(1);
}

static void limit(const Options *options, const char *name) {
  late.length = snprintf(late.text, sizeof late.text, "ponas error: kernel '%s' took more than %d s\n",
                         name, options->timeout_s);
  signal(SIGALRM, end_late);
  alarm(options->timeout_s);
}

static void time_one(const Options *options, const Kernel *kernel, unsigned char *flushed) {
  limit(options, kernel->name);
  Call call = prepare(kernel);
  fill_inputs(&call, options->seed);
  memset(output_of(&call)->data, 0, elements(&kernel->shapes[kernel->count - 1]) * FLOAT_BYTES);

  double *seconds = need(options->repeats * sizeof(double)), wanted = 1e-3 * options->min_repeat_ms;
  long *runs = need(options->repeats * sizeof(long)), all = 0, counted = 0;
  Moment start = moment();
  long each = warm_up(&call, options, flushed, &all);
  for (int i = 0; i < options->repeats; ++i) {
    seconds[i] = sample(&call, options, flushed, wanted, &each, &all);
    counted += runs[i] = each;
  }
  print_samples(options, &call, seconds, runs, all - counted, start);
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
