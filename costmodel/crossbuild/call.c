/* One kernel with its arguments in memory, ready to be called as generated code wants it. */
#include "program.h"

#include <stdlib.h>

#define TENSOR_INDEX 7 /* kTVMFFIDLTensorPtr */

uint64_t elements(const Shape *shape) {
  uint64_t count = 1;
  for (int i = 0; i < shape->ndim; ++i) count *= (uint64_t)shape->extent[i];
  return count;
}

void *need(uint64_t bytes) {
  void *memory = allocate(bytes);
  if (!memory) fail(1, "out of memory: %llu bytes", (unsigned long long)bytes);
  return memory;
}

Tensor *output_of(const Call *call) { return &call->tensors[call->kernel->count - 1]; }

Call prepare(const Kernel *kernel) {
  Call call = {.kernel = kernel};
  size_t count = kernel->count;
  call.tensors = need(count * sizeof(Tensor));
  call.arguments = need(count * sizeof(Any));
  call.strides = need(count * MAX_DIMENSIONS * sizeof(int64_t));
  for (size_t i = 0; i < count; ++i) {
    const Shape *shape = &kernel->shapes[i];
    int64_t *strides = call.strides + i * MAX_DIMENSIONS, stride = 1;
    for (int d = shape->ndim - 1; d >= 0; --d) strides[d] = stride, stride *= shape->extent[d];
    call.tensors[i] = (Tensor){.data = need(elements(shape) * FLOAT_BYTES),
                               .device = {1, 0},
                               .ndim = shape->ndim,
                               .dtype = {2, 32, 1},
                               .shape = (int64_t *)shape->extent,
                               .strides = strides};
    call.arguments[i] = (Any){.type_index = TENSOR_INDEX, .value.tensor = &call.tensors[i]};
  }
  return call;
}

void release(Call *call) {
  for (int i = 0; i < call->kernel->count; ++i) free(call->tensors[i].data);
  free(call->tensors);
  free(call->arguments);
  free(call->strides);
}

void call_kernel(const Call *call) {
  Any result = {0};
  if (call->kernel->entry(NULL, call->arguments, call->kernel->count, &result))
    fail(1, "kernel '%s' failed: %s", call->kernel->name, raised_error());
}
