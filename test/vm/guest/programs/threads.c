// threads VCPUS SPAWNERS CHAIN_US: a virtual machine's process as seen from outside. VCPUS threads that stay, and
// SPAWNERS that each start a short-lived thread every millisecond, plus as many chains in which each thread starts its
// successor after CHAIN_US and ends. Prints one JSON line, {"pid":P,"vcpus":[…]}, and runs until it is killed.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_attr_t detached;

static void start(void *(*run)(void *), void *argument) {
  pthread_t thread;
  // Where the system has no more threads to give, the next one will do.
  while (pthread_create(&thread, &detached, run, argument) != 0) usleep(1000);
}

static int vcpu_pipe[2];

static void *vcpu(void *argument) {
  pid_t tid = syscall(SYS_gettid);
  if (write(vcpu_pipe[1], &tid, sizeof tid) != sizeof tid) abort();
  for (;;) pause();
  return argument;
}

static void *short_lived(void *argument) {
  usleep(2000);
  return argument;
}

static void *spawner(void *argument) {
  for (;;) {
    start(short_lived, NULL);
    usleep(1000);
  }
  return argument;
}

static int chain_us;

static void *chain(void *argument) {
  usleep(chain_us);
  start(chain, NULL);
  return argument;
}

int main(int argc, char **argv) {
  int vcpus = argc > 1 ? atoi(argv[1]) : 0, spawners = argc > 2 ? atoi(argv[2]) : 0;
  chain_us = argc > 3 ? atoi(argv[3]) : 1000;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&detached, 64 * 1024);
  if (pipe(vcpu_pipe) != 0) return 1;
  printf("{\"pid\":%d,\"vcpus\":[", getpid());
  for (int n = 0; n < vcpus; n++) {
    pid_t tid;
    start(vcpu, NULL);
    if (read(vcpu_pipe[0], &tid, sizeof tid) != sizeof tid) return 1;
    printf("%s%d", n > 0 ? "," : "", tid);
  }
  for (int n = 0; n < spawners; n++) {
    start(spawner, NULL);
    start(chain, NULL);
  }
  printf("]}\n");
  fflush(stdout);
  for (;;) pause();
}
