/* What the files of a static program know of each other.
 *
 * The structures are those of generated code: DLTensor of DLPack, TVMFFIAny of tvm/ffi/c_api.h. */
#ifndef PONAS_PROGRAM_H
#define PONAS_PROGRAM_H

#include <stdint.h>

#define ALIGNMENT 64       /* bytes; kTempAllocaAlignment of generated code */
#define MAX_THREADS 64
#define MAX_DIMENSIONS 8
#define FLOAT_BYTES 4
#define MAX_KERNELS 4096   /* named on one command line */
#define MAX_ARGUMENTS 1024 /* of one kernel; a whole network has two for each convolution */

typedef struct {
  void *data;
  struct { int32_t type, id; } device;
  int32_t ndim;
  struct { uint8_t code, bits; uint16_t lanes; } dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
} Tensor;

typedef struct {
  int32_t type_index;
  uint32_t zero;
  union { Tensor *tensor; int64_t integer; } value;
} Any;

typedef struct { int32_t ndim; int64_t extent[MAX_DIMENSIONS]; } Shape;

typedef struct {
  const char *name;
  int (*entry)(void *self, Any *arguments, int32_t count, Any *result);
  int32_t count;       /* of arguments; the last is the output */
  const Shape *shapes; /* one an argument; all are float32 */
} Kernel;

typedef struct {
  const Kernel *chosen[MAX_KERNELS];
  int chosen_count, repeats, warm_up_runs, threads, cpu_count;
  int warm_ups;  /* of warm_up_ms each, while their two halves differ by more than ... */
  double stable; /* ... this share */
  int timeout_s; /* that one kernel may take; 0: no limit */
  int cpus[MAX_THREADS];
  double min_repeat_ms, warm_up_ms;
  uint64_t seed, flush_bytes;
  const char *input, *output;
} Options;

typedef struct {
  const Kernel *kernel;
  Tensor *tensors;
  Any *arguments;
  int64_t *strides;
} Call;

/* table, generated for each program */
extern const Kernel kernels[];
extern const int kernel_count;

/* program.c */
_Noreturn void fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* timing.c */
void time_kernels(const Options *options);

/* files.c */
void print_files(char **patterns, int count);

/* call.c: one kernel with its arguments in memory */
void *need(uint64_t bytes); /* memory, or the end of the program */
uint64_t elements(const Shape *shape);
Tensor *output_of(const Call *call);
Call prepare(const Kernel *kernel);
void release(Call *call);
void call_kernel(const Call *call);

/* runtime.c */
void *allocate(uint64_t bytes);
const char *raised_error(void);

/* threads.c */
void pin_to(int cpu);
void start_threads(int count, const int *cpus); /* cpus: NULL where threads may run anywhere */

#endif
