/*
 * TCP clients that never stop asking: each connection has up to 256 questions under way, and throws the answers
 * away.
 *
 * cc -O2 -o pipeline pipeline.c && ./pipeline PORT NAME CONNECTIONS SECONDS
 *
 * Each question is NAME A (RFC 1035 §4), behind its length (RFC 7766 §8). The connections come from addresses
 * 127.0.1.1 and up, a hundred each, as different clients do. Prints the number of answers, the seconds they took, and how many
 * connections were lost on the way.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PER_CLIENT 100
/* Questions that are written at once, and those that may be under way. */
#define PIPELINED 64
#define UNDER_WAY_MAX 256
#define EVENTS 256

struct connection {
  int fd;
  /* Bytes of the batch that aren't written yet; 0 = it is written. */
  size_t unsent;
  /* Questions without an answer, those of the batch included. */
  int under_way;
  /* Where in an answer the stream is: bytes of the length that have been read, the length, and what is left of it. */
  unsigned prefix, length, left;
};

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

static unsigned char batch[PIPELINED * (2 + 12 + 256 + 4)];
static size_t batch_size;

static void prepare(const char *name) {
  unsigned char message[2 + 12 + 256 + 4] = {0, 0, 0x12, 0x34, 1, 0, 0, 1};
  unsigned at = 14;
  while (*name) {
    unsigned label = strcspn(name, ".");
    message[at++] = label;
    memcpy(message + at, name, label);
    at += label;
    name += label + (name[label] == '.');
  }
  message[at++] = 0;
  memcpy(message + at, "\0\1\0\1", 4);
  at += 4;
  message[0] = (at - 2) >> 8;
  message[1] = at - 2;
  for (int i = 0; i < PIPELINED; i++) memcpy(batch + i * at, message, at);
  batch_size = PIPELINED * at;
}

static int dial(int port, int number) {
  struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  from.sin_addr.s_addr = htonl(0x7f000101 + number / PER_CLIENT);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (void *)&from, sizeof from) || connect(fd, (void *)&to, sizeof to)) {
    perror("pipeline");
    exit(1);
  }
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

static unsigned long long answers;

/* Counts the answers in what was read. */
static void count(struct connection *c, const unsigned char *bytes, size_t size) {
  while (size > 0) {
    if (c->prefix < 2) {
      c->length = c->length << 8 | *bytes++;
      size--;
      if (++c->prefix == 2) c->left = c->length & 0xffff;
      continue;
    }
    size_t taken = size < c->left ? size : c->left;
    bytes += taken;
    size -= taken;
    c->left -= taken;
    if (c->left == 0) {
      answers++;
      c->under_way--;
      c->prefix = c->length = 0;
    }
  }
}

/* Reads and writes what goes; whether the connection is still there. */
static int serve(struct connection *c) {
  static unsigned char received[65536];
  for (;;) {
    ssize_t size = read(c->fd, received, sizeof received);
    if (size < 0 && errno == EAGAIN) break;
    if (size <= 0) return 0;
    count(c, received, size);
    if ((size_t)size < sizeof received) break;
  }
  for (;;) {
    if (c->unsent == 0) {
      if (c->under_way + PIPELINED > UNDER_WAY_MAX) return 1;
      c->under_way += PIPELINED;
      c->unsent = batch_size;
    }
    ssize_t size = write(c->fd, batch + batch_size - c->unsent, c->unsent);
    if (size < 0) return errno == EAGAIN;
    c->unsent -= size;
  }
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  int port = atoi(argv[1]), connections = atoi(argv[3]), lost = 0;
  double seconds = atof(argv[4]);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  signal(SIGPIPE, SIG_IGN);
  prepare(argv[2]);
  int poll = epoll_create1(0);
  struct connection *all = calloc(connections, sizeof *all);
  for (int i = 0; i < connections; i++) {
    all[i].fd = dial(port, i);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &all[i]};
    epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
  }
  double start = now(), end = start + seconds;
  while (now() < end) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poll, events, EVENTS, 100);
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (serve(c)) continue;
      lost++;
      close(c->fd);
    }
  }
  printf("%llu %f %d\n", answers, now() - start, lost);
  return 0;
}
