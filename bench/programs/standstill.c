/*
 * When each processor of this machine stood still: a thread on each of them, before all others, wakes up every millisecond.
 * What comes later than that wasn't kept by any other program, but by who runs this machine beside others.
 *
 * cc -O2 -pthread -o standstill standstill.c && ./standstill     ends with its stdin. It says `ready`, and then for each time of
 * more than 2 ms a line: when it ended (milliseconds since 1970), the processor, and how long it took (milliseconds). Without
 * the right to go before others it says `none` and nothing else.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define EACH_MS 1
#define TOLD_MS 2
#define PRIORITY 50

static double now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static void *watch(void *processor) {
  struct timespec each = { .tv_nsec = EACH_MS * 1000000 };
  for (double last = now(CLOCK_MONOTONIC);;) {
    clock_nanosleep(CLOCK_MONOTONIC, 0, &each, NULL);
    double at = now(CLOCK_MONOTONIC), late = at - last - EACH_MS;
    if (late > TOLD_MS) {
      printf("%.1f %ld %.1f\n", now(CLOCK_REALTIME), (long)processor, late);
      fflush(stdout);
    }
    last = at;
  }
}

int main(void) {
  int may = 1;
  for (long processor = 0; processor < sysconf(_SC_NPROCESSORS_ONLN); processor++) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    struct sched_param first = { .sched_priority = PRIORITY };
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof one, &one);
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
    pthread_attr_setschedparam(&attributes, &first);
    pthread_t thread;
    may = may && pthread_create(&thread, &attributes, watch, (void *)processor) == 0;
  }
  puts(may ? "ready" : "none");
  fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0);
  return 0;
}
