/*
 * spin COUNT: threads that wait until they are realtime, and then run without ever sleeping, for a minute at most.
 * Prints {"pid": …, "vcpus": [tid, …]} once all are there.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_barrier_t ready;
static long tids[64];

static void *spin(void *index) {
  tids[(long)index] = syscall(SYS_gettid);
  pthread_barrier_wait(&ready);
  while ((sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) == SCHED_OTHER) usleep(2000);
  time_t end = time(NULL) + 60;
  for (volatile long n = 0; time(NULL) < end;)
    for (long step = 0; step < 1000000; step++) n++;
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
