/* What the files of an exported library know of each other. */
#ifndef PONAS_LIBRARY_H
#define PONAS_LIBRARY_H

#include "program.h"

typedef int Entry(void *self, Any *arguments, int32_t count, Any *result);

typedef struct {
  Entry *entry;
  Any *arguments; /* in place: a part reads and writes memory of the library alone */
  int32_t count;
} Part;

/* table, generated for each library: sound -> features -> logits -> probabilities */
extern const Part parts[];       /* part i takes value i to value i + 1 */
extern float *const values[];
extern const uint32_t sizes[];   /* numbers of each value, padding left out */

enum { DONE, BUSY, FAILED };

/* library.c: from a value to a later one */
int run(int first, int last, const float *given, float *answer);

#endif
