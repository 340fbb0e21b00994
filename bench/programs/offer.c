/*
 * Questions at a steady rate, whatever comes back, and what came back in each whole second of the clock on the wall.
 *
 * cc -O2 -o offer offer.c && ./offer PORT NAME udp|tcp PER_SECOND SECONDS
 *
 * Asks 127.0.0.1 for the A records of NAME, on several sockets or connections in turn. Over TCP questions are pipelined;
 * those that a connection doesn't take aren't asked. Begins to ask at once, and to count at a whole second soon after;
 * prints a line for each of SECONDS whole seconds:
 * the second, questions asked in it, answers that came in it and aren't REFUSED, and those that are.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* So many that the kernel spreads them over all workers. */
#define SOCKETS 32
#define CONNECTIONS 4
#define STREAM_ROOM (1 << 20)
#define PACKET_MAX 1232
#define TICK_NS 500000
#define SECONDS_MAX 3600

struct tally {
  long asked, answered, refused;
};

static struct tally tallies[SECONDS_MAX];
static time_t first;
static int is_tcp, seconds;
static unsigned char question[300];
static unsigned question_size;
static int sockets[SOCKETS];
static struct stream {
  unsigned char *in;
  unsigned filled, unsent;
} streams[CONNECTIONS];

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

static struct tally *tally(void) {
  static struct tally outside;
  time_t at = (time_t)now() - first;
  return at < 0 || at >= seconds ? &outside : &tallies[at];
}

/* Behind the length that a stream wants (RFC 1035 §4.2.2): header and question, RD, one question, A IN. */
static void encode(const char *name) {
  unsigned char *packet = question + 2;
  memcpy(packet, (unsigned char[]){0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 12);
  unsigned at = 12;
  while (*name) {
    unsigned label = strcspn(name, ".");
    packet[at++] = label;
    memcpy(packet + at, name, label);
    at += label;
    name += label;
    if (*name == '.') name++;
  }
  memcpy(packet + at, (unsigned char[]){0, 0, 1, 0, 1}, 5);
  question_size = at + 5;
  question[0] = question_size >> 8;
  question[1] = question_size;
}

static int open_socket(int port) {
  int opened = socket(AF_INET, (is_tcp ? SOCK_STREAM : SOCK_DGRAM), 0);
  int buffer = 4 << 20, yes = 1;
  setsockopt(opened, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  if (is_tcp) setsockopt(opened, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  struct sockaddr_in address = {
    .sin_family = AF_INET,
    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    .sin_port = htons(port),
  };
  if (connect(opened, (struct sockaddr *)&address, sizeof address) != 0) perror("connect"), exit(1);
  return opened;
}

static void count(unsigned char *answer) {
  if ((answer[3] & 0x0f) == 5) tally()->refused++;
  else tally()->answered++;
}

/* Whether it was taken; of a question that was taken in part, the rest goes first the next time. */
static int ask(int i) {
  if (!is_tcp) return send(sockets[i], question + 2, question_size, MSG_DONTWAIT) > 0;
  struct stream *stream = &streams[i];
  unsigned size = question_size + 2;
  for (;;) {
    unsigned left = stream->unsent ? stream->unsent : size;
    ssize_t sent = send(sockets[i], question + size - left, left, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) perror("send"), exit(1);
    if (sent <= 0) return 0;
    int was_rest = stream->unsent != 0;
    stream->unsent = left - sent;
    if (stream->unsent) return 1;
    if (!was_rest) return 1;
  }
}

static void receive(int i) {
  static unsigned char packet[PACKET_MAX];
  if (!is_tcp) {
    while (recv(sockets[i], packet, sizeof packet, MSG_DONTWAIT) >= 12) count(packet);
    return;
  }
  struct stream *stream = &streams[i];
  for (;;) {
    ssize_t got = recv(sockets[i], stream->in + stream->filled, STREAM_ROOM - stream->filled, MSG_DONTWAIT);
    if (got == 0) fputs("a connection was closed\n", stderr), exit(1);
    if (got < 0) return;
    stream->filled += got;
    unsigned at = 0;
    while (stream->filled - at >= 2) {
      unsigned size = stream->in[at] << 8 | stream->in[at + 1];
      if (stream->filled - at - 2 < size) break;
      count(stream->in + at + 2);
      at += 2 + size;
    }
    memmove(stream->in, stream->in + at, stream->filled -= at);
  }
}

int main(int argc, char **argv) {
  if (argc != 6) return fputs("usage: offer PORT NAME udp|tcp PER_SECOND SECONDS\n", stderr), 2;
  encode(argv[2]);
  is_tcp = strcmp(argv[3], "tcp") == 0;
  double per_second = atof(argv[4]);
  seconds = atoi(argv[5]);
  if (seconds > SECONDS_MAX) return fputs("too many seconds\n", stderr), 2;
  int opened = is_tcp ? CONNECTIONS : SOCKETS;
  for (int i = 0; i < opened; i++) {
    sockets[i] = open_socket(atoi(argv[1]));
    if (is_tcp) streams[i].in = malloc(STREAM_ROOM);
  }
  double start = now();
  /* Half a second after the start at least: what was allowed before then is used up, and none of it comes in late. */
  first = (time_t)(start + 0.5) + 1;
  long due = 0;
  for (double time; (time = now()) < first + seconds + 0.2;) {
    for (long until = (time - start) * per_second; due < until; due++) {
      if (ask(due % opened)) tally()->asked++;
      /* What comes back is looked at between, so that it is counted when it came. */
      if (due % 16 == 0) for (int i = 0; i < opened; i++) receive(i);
    }
    for (int i = 0; i < opened; i++) receive(i);
    nanosleep(&(struct timespec){0, TICK_NS}, NULL);
  }
  for (int i = 0; i < seconds; i++) {
    struct tally *of = &tallies[i];
    printf("%ld %ld %ld %ld\n", (long)first + i, of->asked, of->answered, of->refused);
  }
}
