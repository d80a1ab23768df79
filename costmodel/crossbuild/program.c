/* A static program of kernels: `list` them, `check` what they compute, `time` them; and what a
 * device without anything else needs: `files` that can be read, and to be rid of the program.
 *
 *   list    one JSON line a kernel: its name and the shapes of its arguments
 *   check   reads records from --input (else standard input): a kernel's name, a line feed, and
 *           all its arguments but the last as raw float32; writes each last argument, raw, to
 *           --output (else standard output)
 *   time    one JSON line for each --kernel, in the order given: every sample, in seconds
 *   files   one JSON line for each file that the shell patterns after it match: its path and text
 *   remove  deletes the program's own file
 *
 * Status 0: done. 1: something failed here. 2: bad arguments. An error is one line on stderr. */
#define _GNU_SOURCE
#include "program.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_REPEATS 100000

void fail(int status, const char *format, ...) {
  va_list values;
  va_start(values, format);
  fflush(stdout);
  fputs("ponas error: ", stderr); /* nobody else says so: not adb, not a shell */
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  _Exit(status);
}

static const Kernel *find(const char *name) {
  for (int i = 0; i < kernel_count; ++i)
    if (!strcmp(kernels[i].name, name)) return &kernels[i];
  if (!kernel_count) fail(2, "unknown kernel '%s'; this program has none", name);
  fail(2, "unknown kernel '%s'; this program has %d, from '%s' to '%s'; see them with: list", name,
       kernel_count, kernels[0].name, kernels[kernel_count - 1].name);
}

static FILE *opened(const char *path, const char *mode, FILE *otherwise) {
  FILE *file = path ? fopen(path, mode) : otherwise;
  if (!file) fail(1, "cannot open '%s': %s", path, strerror(errno));
  return file;
}

static void check(const Options *options) {
  FILE *input = opened(options->input, "rb", stdin);
  FILE *output = opened(options->output, "wb", stdout);
  char *name = NULL;
  size_t capacity = 0;
  ssize_t length;
  while ((length = getline(&name, &capacity, input)) > 0) {
    name[strcspn(name, "\n")] = 0;
    Call call = prepare(find(name));
    int last = call.kernel->count - 1;
    for (int i = 0; i < last; ++i) {
      size_t count = elements(&call.kernel->shapes[i]);
      if (fread(call.tensors[i].data, FLOAT_BYTES, count, input) != count)
        fail(2, "the input ends within argument %d of kernel '%s'", i, name);
    }
    uint64_t count = elements(&call.kernel->shapes[last]);
    float *values = output_of(&call)->data;
    for (uint64_t i = 0; i < count; ++i) values[i] = NAN; /* what is not written shows */
    call_kernel(&call);
    if (fwrite(values, FLOAT_BYTES, count, output) != count)
      fail(1, "cannot write the output: %s", strerror(errno));
    release(&call);
  }
  if (fclose(output)) fail(1, "cannot write the output: %s", strerror(errno));
}

static double number(const char *option, const char *text, double least, double most) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end || !(value >= least && value <= most))
    fail(2, "%s takes a number from %g to %g, got '%s'", option, least, most, text);
  return value;
}

static double whole(const char *option, const char *text, double least, double most) {
  double value = number(option, text, least, most);
  if (value != floor(value)) fail(2, "%s takes a whole number, got '%s'", option, text);
  return value;
}

/* "4", "4,6" or "4-7": thread i of a kernel runs on the i-th of them. */
static void parse_cpus(Options *options, const char *text) {
  for (const char *at = text;;) {
    char *end;
    long first = strtol(at, &end, 10), last = first;
    int valid = end != at && *at >= '0' && *at <= '9';
    if (valid && *end == '-') {
      at = end + 1;
      last = strtol(at, &end, 10);
      valid = end != at && *at >= '0' && *at <= '9';
    }
    valid = valid && (*end == ',' || !*end) && first <= last && last < CPU_SETSIZE;
    if (!valid || last - first >= MAX_THREADS - options->cpu_count)
      fail(2, "--cpu takes processors such as 4 or 4,5 or 4-7, at most %d, got '%s'", MAX_THREADS,
           text);
    while (first <= last) options->cpus[options->cpu_count++] = (int)first++;
    if (!*end) return;
    at = end + 1;
  }
}

static void choose(Options *options, const char *name) {
  if (options->chosen_count == MAX_KERNELS) fail(2, "more than %d --kernel", MAX_KERNELS);
  options->chosen[options->chosen_count++] = find(name);
}

static void take(Options *o, const char *option, const char *text) {
  if (!strcmp(option, "--kernel")) choose(o, text);
  else if (!strcmp(option, "--cpu")) o->cpu_count = 0, parse_cpus(o, text);
  else if (!strcmp(option, "--threads")) o->threads = whole(option, text, 1, MAX_THREADS);
  else if (!strcmp(option, "--repeats")) o->repeats = whole(option, text, 1, MAX_REPEATS);
  else if (!strcmp(option, "--min-repeat-ms")) o->min_repeat_ms = number(option, text, 0, 1e6);
  else if (!strcmp(option, "--warm-up-runs")) o->warm_up_runs = whole(option, text, 0, 1e6);
  else if (!strcmp(option, "--warm-up-ms")) o->warm_up_ms = number(option, text, 0, 1e6);
  else if (!strcmp(option, "--warm-ups")) o->warm_ups = whole(option, text, 0, 1e6);
  else if (!strcmp(option, "--stable")) o->stable = number(option, text, 0, 1e6);
  else if (!strcmp(option, "--timeout-s")) o->timeout_s = whole(option, text, 0, 1e8);
  else if (!strcmp(option, "--flush-kb")) o->flush_bytes = 1024 * whole(option, text, 0, 1e6);
  else if (!strcmp(option, "--seed")) o->seed = whole(option, text, 0, 4294967295.0);
  else if (!strcmp(option, "--input")) o->input = text;
  else if (!strcmp(option, "--output")) o->output = text;
  else
    fail(2, "unknown option '%s'; known: --kernel --cpu --threads --repeats --min-repeat-ms "
            "--warm-up-runs --warm-up-ms --warm-ups --stable --timeout-s --flush-kb --seed --input "
            "--output", option);
}

static void list(void) {
  for (int k = 0; k < kernel_count; ++k) {
    printf("{\"kernel\":\"%s\",\"shapes\":[", kernels[k].name);
    for (int i = 0; i < kernels[k].count; ++i) {
      const Shape *shape = &kernels[k].shapes[i];
      fputs(i ? ",[" : "[", stdout);
      for (int d = 0; d < shape->ndim; ++d)
        printf("%s%lld", d ? "," : "", (long long)shape->extent[d]);
      fputs("]", stdout);
    }
    puts("]}");
  }
  if (fflush(stdout) || ferror(stdout)) fail(1, "cannot write the list: %s", strerror(errno));
}

/* Only what the command line names: /proc/self/exe may be the emulator. */
static void remove_itself(const char *path) {
  if (!strchr(path, '/')) fail(2, "remove needs the program's path in the command, got '%s'", path);
  if (unlink(path) && errno != ENOENT) fail(1, "cannot remove '%s': %s", path, strerror(errno));
}

int main(int count, char **words) {
  static Options options = {
      .repeats = 10, .min_repeat_ms = 20, .warm_up_runs = 1, .warm_ups = 1, .stable = 0.03};
  const char *mode = count > 1 ? words[1] : "";
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* a crash shall not fill the device */
  if (!strcmp(mode, "files")) return print_files(words + 2, count - 2), 0;
  if (!strcmp(mode, "remove")) return remove_itself(words[0]), 0;
  if (strcmp(mode, "list") && strcmp(mode, "check") && strcmp(mode, "time"))
    fail(2, "the first argument is list, check, time, files or remove, got '%s'", mode);
  for (int i = 2; i < count; i += 2) {
    if (i + 1 == count) fail(2, "option '%s' takes a value", words[i]);
    take(&options, words[i], words[i + 1]);
  }
  if (!options.threads) options.threads = options.cpu_count ? options.cpu_count : 1;
  if (options.cpu_count && options.threads > options.cpu_count)
    fail(2, "--threads %d needs as many processors, --cpu names %d", options.threads,
         options.cpu_count);
  if (options.cpu_count) pin_to(options.cpus[0]);
  start_threads(options.threads, options.cpu_count ? options.cpus : NULL);
  if (!strcmp(mode, "list")) list();
  else if (!strcmp(mode, "check")) check(&options);
  else time_kernels(&options);
  return 0;
}
