/*
 * spin COUNT: threads that wait until they are realtime, and then run without ever sleeping, for a minute at most.
 * Prints {"pid": …, "vcpus": [tid, …]} once all are there, and {"realtimeMs": …} when the first is realtime no more.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_barrier_t ready;
static long tids[64];

static atomic_flag told = ATOMIC_FLAG_INIT;

static int is_normal(void) { return (sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) == SCHED_OTHER; }

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *spin(void *index) {
  tids[(long)index] = syscall(SYS_gettid);
  pthread_barrier_wait(&ready);
  while (is_normal()) usleep(2000);
  long start = now_ms();
  for (volatile long n = 0; now_ms() < start + 60000;) {
    for (long step = 0; step < 1000000; step++) n++;
    if (is_normal() && !atomic_flag_test_and_set(&told)) {
      printf("{\"realtimeMs\": %ld}\n", now_ms() - start);
      fflush(stdout);
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  long count = argc > 1 ? atol(argv[1]) : 1;
  if (count < 1 || count > 64) return 2;
  pthread_barrier_init(&ready, NULL, (unsigned)count + 1);
  for (long index = 0; index < count; index++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, spin, (void *)index) != 0) return 1;
  }
  pthread_barrier_wait(&ready);
  printf("{\"pid\": %d, \"vcpus\": [", getpid());
  for (long index = 0; index < count; index++) printf("%s%ld", index ? ", " : "", tids[index]);
  printf("]}\n");
  fflush(stdout);
  pause();
}
