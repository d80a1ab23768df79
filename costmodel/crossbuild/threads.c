/* A persistent pool of threads for kernels with parallel loops.
 *
 * Waiting threads spin first: between the runs of a timed kernel a sleeping core would cost
 * tens of microseconds to wake. */
#define _GNU_SOURCE
#include "program.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define SPINS 100000        /* some 0.3 ms on a core of 1 to 2 GHz */
#define BARRIER_SPINS 1000  /* then the core goes to whoever else waits for it */
#define STACK_BYTES 8388608 /* what Linux gives the main thread */

typedef struct { void *sync_handle; int32_t num_task; } Group;
typedef int (*Task)(int id, Group *group, void *data);

static struct {
  int threads;
  const int *cpus;
  Task task;
  void *data;
  Group group;
  atomic_uint generation;            /* counts launches: a new number starts the workers */
  atomic_int remaining, failed;      /* workers not done with this launch; whether one failed */
  atomic_int sleeping, launcher_sleeps;
  atomic_int arrived;                /* at the barrier */
  atomic_uint barriers;
  pthread_mutex_t lock;
  pthread_cond_t start, done;
} pool = {.threads = 1,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .start = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

static _Thread_local int inside; /* a launch: one within it runs on its own thread alone */

static void relax(void) {
#if defined(__x86_64__)
  __asm__ volatile("pause");
#else
  __asm__ volatile("yield");
#endif
}

static void run(int id) {
  if (id >= pool.group.num_task) return;
  inside = 1;
  if (pool.task(id, &pool.group, pool.data)) atomic_store(&pool.failed, 1);
  inside = 0;
}

/* Spins, then sleeps, until another launch than `seen`. The counter of sleepers is raised before
 * the generation is read again, and the launcher does it the other way round: one sees the other. */
static unsigned wait_for_launch(unsigned seen) {
  for (int i = 0; i < SPINS; ++i) {
    if (atomic_load(&pool.generation) != seen) return atomic_load(&pool.generation);
    relax();
  }
  atomic_fetch_add(&pool.sleeping, 1);
  pthread_mutex_lock(&pool.lock);
  while (atomic_load(&pool.generation) == seen) pthread_cond_wait(&pool.start, &pool.lock);
  pthread_mutex_unlock(&pool.lock);
  atomic_fetch_sub(&pool.sleeping, 1);
  return atomic_load(&pool.generation);
}

static void *worker(void *argument) {
  int id = (int)(intptr_t)argument;
  if (pool.cpus) pin_to(pool.cpus[id]);
  for (unsigned seen = 0;;) {
    seen = wait_for_launch(seen);
    run(id);
    if (atomic_fetch_sub(&pool.remaining, 1) == 1 && atomic_load(&pool.launcher_sleeps)) {
      pthread_mutex_lock(&pool.lock);
      pthread_cond_signal(&pool.done);
      pthread_mutex_unlock(&pool.lock);
    }
  }
  return NULL;
}

static void wait_for_workers(void) {
  for (int i = 0; i < SPINS; ++i) {
    if (!atomic_load(&pool.remaining)) return;
    relax();
  }
  atomic_store(&pool.launcher_sleeps, 1);
  pthread_mutex_lock(&pool.lock);
  while (atomic_load(&pool.remaining)) pthread_cond_wait(&pool.done, &pool.lock);
  pthread_mutex_unlock(&pool.lock);
  atomic_store(&pool.launcher_sleeps, 0);
}

static int launch(Task task, void *data, int count) {
  if (inside || pool.threads == 1 || count == 1) {
    Group alone = {.num_task = 1};
    return task(0, &alone, data);
  }
  pool.task = task;
  pool.data = data;
  pool.group.num_task = count <= 0 || count > pool.threads ? pool.threads : count;
  atomic_store(&pool.failed, 0);
  atomic_store(&pool.remaining, pool.threads - 1);
  atomic_fetch_add(&pool.generation, 1);
  if (atomic_load(&pool.sleeping)) {
    pthread_mutex_lock(&pool.lock);
    pthread_cond_broadcast(&pool.start);
    pthread_mutex_unlock(&pool.lock);
  }
  run(0);
  wait_for_workers();
  return atomic_load(&pool.failed) ? -1 : 0;
}

static int barrier(int id, Group *group) {
  (void)id;
  if (group->num_task == 1) return 0;
  unsigned seen = atomic_load(&pool.barriers);
  if (atomic_fetch_add(&pool.arrived, 1) == group->num_task - 1) {
    atomic_store(&pool.arrived, 0);
    atomic_fetch_add(&pool.barriers, 1);
    return 0;
  }
  for (int i = 0; atomic_load(&pool.barriers) == seen; ++i)
    i < BARRIER_SPINS ? relax() : (void)sched_yield();
  return 0;
}

/* Generated code defines these pointers weakly, as null. */
int (*__TVMBackendParallelLaunch)(Task, void *, int) = launch;
int (*__TVMBackendParallelBarrier)(int, Group *) = barrier;

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set))
    fail(2, "cannot run on cpu %d: %s; see which are online: /sys/devices/system/cpu/online", cpu,
         strerror(errno));
}

void start_threads(int count, const int *cpus) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pool.threads = count;
  pool.cpus = cpus;
  for (intptr_t id = 1; id < count; ++id) {
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, worker, (void *)id);
    if (error) fail(1, "cannot start %d threads: %s", count, strerror(error));
  }
}
