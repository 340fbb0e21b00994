/*
 * The floor under any DNS server behind a balancer: it listens at a path, says hello, answers heartbeats, and sends every
 * datagram and every byte of a connection back. QR is set in a datagram, so that it is taken for an answer.
 *
 * cc -O2 -o frame_echo frame_echo.c && ./frame_echo PATH NUMBER
 *
 * Another name in the same folder is bound and renamed to PATH. A NUMBER above 0 is written into the last two bytes of each
 * datagram, so that clients see who has answered. It ends with its stdin.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INPUT (128 * 1024)
#define EVENTS 64

/* A connection of the balancer's: nothing is known of it, it is a session, or a stream. */
enum kind { UNKNOWN, SESSION, STREAM };

struct connection {
  int fd;
  enum kind kind;
  size_t filled;
  unsigned char input[INPUT];
};

static unsigned char output[2 * INPUT];
static unsigned number;

static uint32_t u32(const unsigned char *bytes) {
  uint32_t value;
  memcpy(&value, bytes, 4);
  return value;
}

/* Waits where the balancer doesn't read: answers to datagrams are never given up. */
static int send_all(int fd, const unsigned char *bytes, size_t size) {
  while (size > 0) {
    ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return -1;
    bytes += sent;
    size -= sent;
  }
  return 0;
}

/* Answers all whole frames; -1 = the connection is over. */
static int answer(struct connection *connection) {
  size_t at = 0, end = 0;
  while (connection->kind != STREAM && connection->filled - at >= 4) {
    unsigned char *frame = connection->input + at;
    uint32_t type = u32(frame), reply;
    if (type == 1 || type == 4) {
      connection->kind = SESSION;
      reply = type + 1000;
      memcpy(output + end, &reply, 4);
      end += 4, at += 4;
    } else if (type == 3 && connection->kind == UNKNOWN) {
      if (connection->filled - at < 12) break;
      connection->kind = STREAM;
      reply = 1003;
      memcpy(output + end, &reply, 4);
      end += 4, at += 12;
    } else if (type == 2 && connection->kind == SESSION) {
      if (connection->filled - at < 16) break;
      uint32_t size = u32(frame + 12);
      if (size > 1500) return -1;
      if (connection->filled - at < 16 + size) break;
      if (u32(frame + 4) != 0) {
        memcpy(output + end, frame, 16 + size);
        reply = 1002;
        memcpy(output + end, &reply, 4);
        if (size > 2) output[end + 16 + 2] |= 0x80;
        if (number > 0 && size >= 2) {
          output[end + 16 + size - 2] = number >> 8;
          output[end + 16 + size - 1] = number;
        }
        end += 16 + size;
      }
      at += 16 + size;
    } else return -1;
  }
  if (send_all(connection->fd, output, end) != 0) return -1;
  if (connection->kind == STREAM && connection->filled > at) {
    ssize_t sent = send(connection->fd, connection->input + at, connection->filled - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return -1;
    if (sent > 0) at += sent;
  }
  memmove(connection->input, connection->input + at, connection->filled - at);
  connection->filled -= at;
  return 0;
}

/* Of a stream nothing is read as long as its client doesn't take what it has been sent. */
static int wants(struct connection *connection) {
  return connection->kind == STREAM && connection->filled > 0 ? EPOLLOUT : EPOLLIN;
}

int main(int argc, char **argv) {
  if (argc != 3) return fputs("usage: frame_echo PATH NUMBER\n", stderr), 2;
  number = atoi(argv[2]);
  char *slash = strrchr(argv[1], '/');
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  snprintf(name.sun_path, sizeof name.sun_path, "%.*s/.%s.%d", (int)(slash - argv[1]), argv[1], slash + 1, getpid());
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&name, sizeof name) != 0) return perror("bind"), 1;
  if (listen(listener, 1024) != 0 || rename(name.sun_path, argv[1]) != 0) return perror("listen"), 1;
  int poller = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  struct connection input = {.fd = 0};
  event.data.ptr = &input;
  epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event);
  for (;;) {
    int count = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      struct connection *connection = events[i].data.ptr;
      if (connection == &input) return 0;
      if (connection == NULL) {
        connection = calloc(1, sizeof *connection);
        connection->fd = accept(listener, NULL, NULL);
        event = (struct epoll_event){.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event);
        continue;
      }
      int wanted = wants(connection);
      ssize_t got = wanted == EPOLLOUT ? 1 : recv(connection->fd, connection->input + connection->filled, INPUT - connection->filled, 0);
      if (got > 0) {
        if (wanted == EPOLLIN) connection->filled += got;
        if (answer(connection) == 0) {
          event = (struct epoll_event){.events = wants(connection), .data.ptr = connection};
          if (wants(connection) != wanted) epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event);
          continue;
        }
      }
      close(connection->fd);
      free(connection);
    }
  }
}
