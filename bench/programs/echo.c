/*
 * The floor under any DNS server on this machine: a UDP echo that does what every server must — receive and send,
 * 64 packets a call — and nothing else. It sets QR, so that dnsperf takes what comes back for an answer.
 *
 * cc -O2 -o echo echo.c && ./echo PORT     answers on 127.0.0.1; ends with its stdin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64
#define PACKET_MAX 1232

static unsigned char packets[BATCH][PACKET_MAX];
static struct sockaddr_in names[BATCH];
static struct iovec vectors[BATCH];
static struct mmsghdr messages[BATCH];

int main(int argc, char **argv) {
  if (argc != 2) return fputs("usage: echo PORT\n", stderr), 2;
  int udp = socket(AF_INET, SOCK_DGRAM, 0);
  int buffer = 4 << 20;
  setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  struct sockaddr_in address = {
    .sin_family = AF_INET,
    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    .sin_port = htons(atoi(argv[1])),
  };
  if (bind(udp, (struct sockaddr *)&address, sizeof address) != 0) return perror("bind"), 1;

  for (int i = 0; i < BATCH; i++) {
    messages[i].msg_hdr.msg_name = &names[i];
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  struct pollfd waited[2] = {{.fd = udp, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
  for (;;) {
    for (int i = 0; i < BATCH; i++) {
      messages[i].msg_hdr.msg_namelen = sizeof names[i];
      vectors[i].iov_base = packets[i];
      vectors[i].iov_len = PACKET_MAX;
    }
    int count = recvmmsg(udp, messages, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0) {
      poll(waited, 2, -1);
      if (waited[1].revents != 0) return 0;
      continue;
    }
    for (int i = 0; i < count; i++) {
      vectors[i].iov_len = messages[i].msg_len;
      packets[i][2] |= 0x80;
    }
    for (int sent = 0; sent < count;) {
      int more = sendmmsg(udp, messages + sent, count - sent, 0);
      sent += more > 0 ? more : 1;
    }
  }
}
