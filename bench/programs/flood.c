/*
 * Load that costs less than any answer, so that it is the server that can't keep up: questions and answers go up to
 * 64 packets a call, on four sockets, with a fixed number of questions under way. It never sleeps: a server that had to
 * wake it would pay for that.
 *
 * cc -O2 -o flood flood.c && ./flood PORT FILE SECONDS WINDOW EDNS SENDERS [RATE]
 *
 * FILE holds a question a line: a name, which is asked for its A records, the type, which is ignored, and perhaps the
 * client's /24, which goes along as a client subnet (RFC 7871). EDNS is 1 where every question has an OPT record
 * (RFC 6891), as nearly all that resolvers send have, or 0 where only those with a subnet do. With SENDERS of 1 all
 * questions of a socket come from one address and port, as a load balancer's do; of more they come from so many addresses
 * of 127.0.0.0/8 in turn, as resolvers' do: then hardly two answers of a batch go to the same one. With
 * a RATE so many questions a second are asked, each when it is due, as long as no more than WINDOW are under way. Prints the number of answers, the seconds they took, and
 * how many questions got none.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS 4
#define BATCH 64
#define ANSWER_MAX 1232
/* A server that says nothing for so long has lost what is under way. */
#define SILENCE_SECONDS 0.2

struct query {
  unsigned size;
  unsigned char *bytes;
};

static struct query *queries;
static size_t query_count;
static unsigned char answers[BATCH][ANSWER_MAX];
static struct iovec received_vectors[BATCH], sent_vectors[BATCH];
static struct mmsghdr received[BATCH], sent[BATCH];

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

/* OPT (RFC 6891) without options: UDP size 1232. */
static const unsigned char plain_opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};
/* OPT with a client subnet of 24 bits; the three bytes of the address follow. */
static const unsigned char subnet_option[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0};

/* Header and question (RFC 1035 §4.1): RD, one question, A IN. The id isn't looked at. */
static struct query encode(const char *line, int edns) {
  unsigned char packet[12 + 256 + 4 + sizeof subnet_option + 3] = {0x12, 0x34, 1, 0, 0, 1};
  unsigned at = 12;
  const char *name = line;
  while (*name > ' ') {
    unsigned label = strcspn(name, ". \n");
    packet[at++] = label;
    memcpy(packet + at, name, label);
    at += label;
    name += label;
    if (*name == '.') name++;
  }
  memcpy(packet + at, (unsigned char[]){0, 0, 1, 0, 1}, 5);
  at += 5;
  unsigned a, b, c;
  if (sscanf(line, "%*s %*s %u.%u.%u", &a, &b, &c) == 3) {
    packet[11] = 1;
    memcpy(packet + at, subnet_option, sizeof subnet_option);
    at += sizeof subnet_option;
    packet[at++] = a, packet[at++] = b, packet[at++] = c;
  } else if (edns) {
    packet[11] = 1;
    memcpy(packet + at, plain_opt, sizeof plain_opt);
    at += sizeof plain_opt;
  }
  struct query query = {at, malloc(at)};
  memcpy(query.bytes, packet, at);
  return query;
}

static void read_queries(const char *path, int edns) {
  FILE *file = fopen(path, "r");
  if (!file) perror(path), exit(1);
  char line[512];
  size_t room = 0;
  while (fgets(line, sizeof line, file)) {
    if (query_count == room) queries = realloc(queries, (room = room ? room * 2 : 1024) * sizeof *queries);
    queries[query_count++] = encode(line, edns);
  }
  fclose(file);
}

static struct sockaddr_in server = {.sin_family = AF_INET};
static struct sender {
  struct cmsghdr header;
  struct in_pktinfo info;
} senders[BATCH];

static int open_socket(int is_spread) {
  int udp = socket(AF_INET, SOCK_DGRAM, 0);
  int buffer = 4 << 20;
  setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  struct sockaddr_in any = {.sin_family = AF_INET};
  if (is_spread) {
    if (bind(udp, (struct sockaddr *)&any, sizeof any) != 0) perror("bind"), exit(1);
  } else if (connect(udp, (struct sockaddr *)&server, sizeof server) != 0) {
    perror("connect"), exit(1);
  }
  return udp;
}

/* Has the kernel send a datagram from an address of 127.0.0.0/8 (IP_PKTINFO, ip(7)). */
static void send_from(int place, unsigned number) {
  struct sender *sender = &senders[place];
  sender->header = (struct cmsghdr){CMSG_LEN(sizeof sender->info), IPPROTO_IP, IP_PKTINFO};
  sender->info.ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK + number);
  sent[place].msg_hdr.msg_name = &server;
  sent[place].msg_hdr.msg_namelen = sizeof server;
  sent[place].msg_hdr.msg_control = sender;
  sent[place].msg_hdr.msg_controllen = sizeof *sender;
}

int main(int argc, char **argv) {
  if (argc != 7 && argc != 8) {
    return fputs("usage: flood PORT FILE SECONDS WINDOW EDNS SENDERS [RATE]\n", stderr), 2;
  }
  read_queries(argv[2], atoi(argv[5]));
  double seconds = atof(argv[3]);
  int window = atoi(argv[4]) / SOCKETS;
  unsigned spread = atoi(argv[6]);
  double rate = argc == 8 ? atof(argv[7]) : 0;
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  server.sin_port = htons(atoi(argv[1]));
  int sockets[SOCKETS], under_way[SOCKETS] = {0};
  for (int i = 0; i < SOCKETS; i++) sockets[i] = open_socket(spread > 1);
  for (int i = 0; i < BATCH; i++) {
    received_vectors[i] = (struct iovec){answers[i], ANSWER_MAX};
    received[i].msg_hdr = (struct msghdr){.msg_iov = &received_vectors[i], .msg_iovlen = 1};
    sent[i].msg_hdr = (struct msghdr){.msg_iov = &sent_vectors[i], .msg_iovlen = 1};
  }
  size_t next = 0;
  long answered = 0, lost = 0;
  double start = now(), heard = start, time = start;
  while ((time = now()) - start < seconds) {
    for (int i = 0; i < SOCKETS; i++) {
      int count = recvmmsg(sockets[i], received, BATCH, MSG_DONTWAIT, NULL);
      if (count > 0) {
        answered += count;
        under_way[i] = under_way[i] > count ? under_way[i] - count : 0;
        heard = time;
      }
      int more = window - under_way[i] < BATCH ? window - under_way[i] : BATCH;
      if (rate > 0) {
        double due = (time - start) * rate - next;
        if (due < 1) continue;
        if (due < more) more = due;
      } else if (more < window && more < BATCH / 4) {
        continue; /* Few at a time would make the server's batches small, too. */
      }
      for (int j = 0; j < more; j++) {
        struct query *query = &queries[(next + j) % query_count];
        sent_vectors[j] = (struct iovec){query->bytes, query->size};
        if (spread > 1) send_from(j, (next + j) % spread);
      }
      int gone = sendmmsg(sockets[i], sent, more, 0);
      if (gone > 0) {
        next += gone;
        under_way[i] += gone;
      }
    }
    if (time - heard > SILENCE_SECONDS) {
      for (int i = 0; i < SOCKETS; i++) lost += under_way[i], under_way[i] = 0;
      heard = time;
    }
  }
  printf("%ld %.6f %ld\n", answered, now() - start, lost);
}
