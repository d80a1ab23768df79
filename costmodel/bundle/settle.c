/* Which jobs of a batch have to be timed once more: `settle RESULTS BATCH PASSES MAX_ROUNDS
 * AGREEMENT DRIFT` prints their names, one a line.
 *
 * RESULTS is what `run.sh` has written so far. Timings between two sentinels of which one differs
 * from its first times by more than DRIFT do not count. Of those that count, a job needs PASSES,
 * and goes on until the two smallest medians agree within AGREEMENT or there are MAX_ROUNDS:
 * `Protocol.settled`. Status 0: done. 1: something failed here. 2: bad arguments. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 65

typedef struct {
  char name[NAME_BYTES];
  int batch, watch, counts;
  double median; /* seconds; negative where the timing failed */
} Timing;

static Timing *timings;
static size_t timing_count;

static void *grown(void *memory, size_t bytes) {
  void *more = realloc(memory, bytes);
  if (more) return more;
  fputs("ponas error: out of memory\n", stderr);
  exit(1);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Median of the numbers that `text` lists until a bracket; -1 where there is none. */
static double median_of(const char *text) {
  static double *values;
  size_t count = 0;
  for (char *end; *text && *text != ']'; text = *end == ',' ? end + 1 : end) {
    double value = strtod(text, &end);
    if (end == text || !(value >= 0 && value < INFINITY)) return -1;
    values = grown(values, (count + 1) * sizeof *values);
    values[count++] = value;
  }
  if (!count) return -1;
  qsort(values, count, sizeof *values, ascending);
  return 0.5 * (values[(count - 1) / 2] + values[count / 2]);
}

static int number_after(const char *line, const char *key) {
  const char *at = strstr(line, key);
  return at ? atoi(at + strlen(key)) : -1;
}

static void take(const char *line) {
  static const char kernel[] = "\"kernel\":\"", seconds[] = "\"seconds\":[";
  const char *name = strstr(line, kernel), *times = strstr(line, seconds);
  size_t length = strlen(line), named;
  if (length < 10 || strncmp(line, "{\"step\":", 8) || !name) return;
  if (strcmp(line + length - 2, "}}") && strcmp(line + length - 2, "\"}")) return; /* torn */
  name += sizeof kernel - 1;
  named = strcspn(name, "\"");
  if (named >= NAME_BYTES) return;
  Timing timing = {.batch = number_after(line, "\"batch\":"),
                   .watch = number_after(line, "\"watch\":") == 1,
                   .median = times ? median_of(times + sizeof seconds - 1) : -1};
  memcpy(timing.name, name, named);
  if (!(timing_count & (timing_count - 1)))
    timings = grown(timings, (timing_count ? 2 * timing_count : 1) * sizeof *timings);
  timings[timing_count++] = timing;
}

/* What a sentinel took in the batch of this timing: mean of the two smallest medians. */
static double at_first(const Timing *sentinel) {
  double first = INFINITY, second = INFINITY;
  for (size_t i = 0; i < timing_count; ++i) {
    const Timing *t = &timings[i];
    if (!t->watch || t->batch != sentinel->batch || t->median < 0) continue;
    if (strcmp(t->name, sentinel->name)) continue;
    if (t->median < first) second = first, first = t->median;
    else if (t->median < second) second = t->median;
  }
  return second < INFINITY ? 0.5 * (first + second) : first;
}

/* Whether a sentinel takes as long as in the first batch that timed it. */
static int undisturbed(const Timing *sentinel, double drift) {
  if (sentinel->median < 0) return 1; /* one that fails says nothing */
  for (size_t i = 0; i < timing_count; ++i) {
    const Timing *t = &timings[i];
    if (!t->watch || t->median < 0 || strcmp(t->name, sentinel->name)) continue;
    return fabs(sentinel->median / at_first(t) - 1) <= drift;
  }
  return 1;
}

static void mark(double drift) {
  size_t start = 0;
  int watched = 0, before = 0;
  for (size_t i = 0; i < timing_count; ++i) {
    if (!timings[i].watch) continue;
    int now = undisturbed(&timings[i], drift);
    for (size_t k = start; k < i; ++k) timings[k].counts = before && now;
    start = i, before = now, watched = 1;
  }
  for (size_t i = 0; i < timing_count && !watched; ++i) timings[i].counts = 1;
}

/* Whether the timings that count are enough, or were before the last ones came. */
static int is_settled(const Timing *job, int passes, int max_rounds, double agreement) {
  double first = INFINITY, second = INFINITY;
  int count = 0;
  for (size_t i = 0; i < timing_count; ++i) {
    const Timing *t = &timings[i];
    if (t->watch || !t->counts || t->median < 0 || strcmp(t->name, job->name)) continue;
    if (t->median < first) second = first, first = t->median;
    else if (t->median < second) second = t->median;
    if (++count < passes) continue;
    if (count >= max_rounds || passes == 1 || second <= first * (1 + agreement)) return 1;
  }
  return 0;
}

/* Whether this is the first timing of a job of the batch that has never failed. */
static int is_candidate(size_t index, int batch) {
  const Timing *job = &timings[index];
  if (job->batch != batch || job->watch) return 0;
  for (size_t i = 0; i < timing_count; ++i) {
    const Timing *t = &timings[i];
    if (t->watch || strcmp(t->name, job->name)) continue;
    if (t->median < 0 || i < index) return 0;
  }
  return 1;
}

int main(int count, char **words) {
  char *line = NULL;
  size_t capacity = 0;
  FILE *file;
  if (count != 7) {
    fputs("usage: settle RESULTS BATCH PASSES MAX_ROUNDS AGREEMENT DRIFT\n", stderr);
    return 2;
  }
  file = fopen(words[1], "r");
  if (!file) return perror(words[1]), 1;
  for (ssize_t length; (length = getline(&line, &capacity, file)) > 0;) {
    if (line[length - 1] != '\n') break; /* the last one, torn */
    line[length - 1] = 0;
    take(line);
  }
  mark(atof(words[6]));
  for (size_t i = 0; i < timing_count; ++i)
    if (is_candidate(i, atoi(words[2])) &&
        !is_settled(&timings[i], atoi(words[3]), atoi(words[4]), atof(words[5])))
      puts(timings[i].name);
  return fflush(stdout) || ferror(stdout);
}
