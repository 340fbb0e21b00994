/**
 * Batches of datagrams, whoever uses them: structures that are the C compiler's, peers that outlive their slot, queues.
 *
 * @module
 */
import assert from "node:assert/strict";
import { formatIp, parseIp } from "../../src/ip.ts";
import {
  type BatchSocket,
  BatchSockets,
  closeAbandoned,
  type Readiness,
} from "../../src/sockets/batch_socket.ts";
import { BATCH, OFFSET } from "../../src/sockets/message_memory.ts";
import type { Peer } from "../../src/sockets/peer.ts";
import { testWith } from "../programs.ts";

/** Prints what the C compiler of this machine thinks of the same structures. */
const PROGRAM = `
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#define O(t, f) (int) offsetof(struct t, f)
#define S(t) (int) sizeof(struct t)
int main(void) {
  printf("{\\"mmsghdr\\":{\\"name\\":%d,\\"nameLength\\":%d,\\"vector\\":%d,\\"vectorCount\\":%d,\\"control\\":%d,"
    "\\"controlLength\\":%d,\\"flags\\":%d,\\"messageLength\\":%d,\\"size\\":%d},",
    O(mmsghdr, msg_hdr.msg_name), O(mmsghdr, msg_hdr.msg_namelen), O(mmsghdr, msg_hdr.msg_iov),
    O(mmsghdr, msg_hdr.msg_iovlen), O(mmsghdr, msg_hdr.msg_control), O(mmsghdr, msg_hdr.msg_controllen),
    O(mmsghdr, msg_hdr.msg_flags), O(mmsghdr, msg_len), S(mmsghdr));
  printf("\\"iovec\\":{\\"base\\":%d,\\"length\\":%d,\\"size\\":%d},", O(iovec, iov_base), O(iovec, iov_len), S(iovec));
  printf("\\"cmsghdr\\":{\\"length\\":%d,\\"level\\":%d,\\"type\\":%d,\\"data\\":%d},",
    O(cmsghdr, cmsg_len), O(cmsghdr, cmsg_level), O(cmsghdr, cmsg_type), (int) CMSG_LEN(0));
  printf("\\"timespec\\":{\\"seconds\\":%d,\\"nanoseconds\\":%d,\\"size\\":%d},",
    O(timespec, tv_sec), O(timespec, tv_nsec), S(timespec));
  printf("\\"sockaddrIn\\":{\\"family\\":%d,\\"port\\":%d,\\"address\\":%d,\\"size\\":%d},",
    O(sockaddr_in, sin_family), O(sockaddr_in, sin_port), O(sockaddr_in, sin_addr), S(sockaddr_in));
  printf("\\"sockaddrIn6\\":{\\"family\\":%d,\\"port\\":%d,\\"address\\":%d,\\"scope\\":%d,\\"size\\":%d},",
    O(sockaddr_in6, sin6_family), O(sockaddr_in6, sin6_port), O(sockaddr_in6, sin6_addr),
    O(sockaddr_in6, sin6_scope_id), S(sockaddr_in6));
  printf("\\"inPktinfo\\":{\\"index\\":%d,\\"source\\":%d,\\"size\\":%d},",
    O(in_pktinfo, ipi_ifindex), O(in_pktinfo, ipi_spec_dst), S(in_pktinfo));
  printf("\\"in6Pktinfo\\":{\\"address\\":%d,\\"index\\":%d,\\"size\\":%d},",
    O(in6_pktinfo, ipi6_addr), O(in6_pktinfo, ipi6_ifindex), S(in6_pktinfo));
  printf("\\"pollfd\\":{\\"fd\\":%d,\\"events\\":%d,\\"found\\":%d,\\"size\\":%d}}\\n", O(pollfd, fd), O(pollfd, events), O(pollfd, revents), S(pollfd));
  return 0;
}
`;

testWith(["cc"], "the layouts handed to C are those of the C compiler", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-offsets-" });
  try {
    await Deno.writeTextFile(`${folder}/offsets.c`, PROGRAM);
    const built = await new Deno.Command("cc", { args: ["-o", `${folder}/offsets`, `${folder}/offsets.c`] })
      .output();
    assert.ok(built.success, new TextDecoder().decode(built.stderr));
    const printed = await new Deno.Command(`${folder}/offsets`).output();
    assert.deepEqual(OFFSET, JSON.parse(new TextDecoder().decode(printed.stdout)));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** A socket, and what tests do with it. */
class Fixture implements Disposable {
  readonly socket: BatchSocket;
  readonly #sockets = new BatchSockets();
  readonly #readiness: Readiness;

  constructor(hostname: string) {
    this.socket = this.#sockets.bind({ hostname, port: 0 }, {
      reusePort: false,
      receiveMax: 512,
      sendMax: 64,
    });
    this.#readiness = this.#sockets.readiness([this.socket]);
  }

  /** Receives one datagram, into slot 0. */
  async receive(): Promise<{ readonly text: string; readonly peer: Peer }> {
    const { socket } = this;
    while (socket.receive() === 0) await this.#readiness.wait(100);
    return { text: textOf(socket.packet(0).subarray(0, socket.lengthOf(0))), peer: socket.peer(0) };
  }

  [Symbol.dispose](): void {
    this.#readiness[Symbol.dispose]();
    this.socket[Symbol.dispose]();
    this.#sockets[Symbol.dispose]();
  }
}

/** A client of Deno's own. */
class Client implements Disposable {
  readonly #conn: Deno.DatagramConn;

  constructor(hostname = "127.0.0.1") {
    this.#conn = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  }

  get port(): number {
    return (this.#conn.addr as Deno.NetAddr).port;
  }

  async send(text: string, hostname: string, port: number): Promise<void> {
    await this.#conn.send(bytesOf(text), { transport: "udp", hostname, port });
  }

  /** As `text from hostname`. */
  async receive(): Promise<string> {
    const [bytes, from] = await this.#conn.receive();
    return `${textOf(bytes)} from ${(from as Deno.NetAddr).hostname}`;
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function testOnLinux(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: Deno.build.os !== "linux", fn });
}

for (const wildcard of ["0.0.0.0", "::"]) {
  testOnLinux(
    `a peer says who sent and to which of our addresses, and can be answered later from there (${wildcard})`,
    async () => {
      using fixture = new Fixture(wildcard);
      const { socket } = fixture;
      using client = new Client();
      const kept: Peer[] = [];
      for (const hostname of ["127.0.0.1", "127.0.0.3", "127.1.2.3"]) {
        await client.send(`to ${hostname}`, hostname, socket.port);
        const { text, peer } = await fixture.receive();
        assert.equal(text, `to ${hostname}`);
        assert.equal(formatIp(peer.address()), "127.0.0.1");
        assert.equal(peer.port, client.port);
        assert.equal(formatIp(peer.localAddress()!), hostname);
        const later = socket.createPeer();
        later.copyFrom(peer);
        kept.push(later);
      }
      for (const peer of kept.reverse()) socket.queue(peer, bytesOf("late"));
      assert.equal(socket.flush(), 0);
      for (const hostname of ["127.1.2.3", "127.0.0.3", "127.0.0.1"]) {
        assert.equal(await client.receive(), `late from ${hostname}`);
      }
    },
  );

  testOnLinux(`a datagram goes to any address, unasked (${wildcard})`, async () => {
    using fixture = new Fixture(wildcard);
    using client = new Client("127.0.0.2");
    const peer = fixture.socket.createPeer();
    peer.set(parseIp("127.0.0.2")!, client.port);
    assert.deepEqual([formatIp(peer.address()), peer.port, peer.localAddress()], [
      "127.0.0.2",
      client.port,
      null,
    ]);
    fixture.socket.queue(peer, bytesOf("unasked"));
    assert.equal(fixture.socket.flush(), 0);
    assert.match(await client.receive(), /^unasked from 127\.0\.0\./);
  });
}

testOnLinux("an IPv6 peer is answered over IPv6", async () => {
  using fixture = new Fixture("::");
  using client = new Client("::1");
  await client.send("six", "::1", fixture.socket.port);
  const { peer } = await fixture.receive();
  assert.deepEqual([formatIp(peer.address()), formatIp(peer.localAddress()!)], ["::1", "::1"]);
  fixture.socket.queue(peer, bytesOf("answer"));
  assert.equal(fixture.socket.flush(), 0);
  assert.equal(await client.receive(), "answer from ::1");
});

testOnLinux("each datagram of a batch says where it was sent, whatever was in its slot before", async () => {
  using fixture = new Fixture("::");
  const { socket } = fixture;
  using client = new Client();
  using client6 = new Client("::1");
  for (const size of [5, 1, 0, BATCH, 2, 0, 7]) {
    const sent = Array.from(
      { length: size },
      (_, i) => (i + size) % 3 === 0 ? "::1" : `127.0.${size}.${i + 1}`,
    );
    for (const hostname of sent) {
      await (hostname === "::1" ? client6 : client).send("x", hostname, socket.port);
    }
    assert.equal(socket.receive(), size);
    const told = sent.map((_, slot) => formatIp(socket.peer(slot).localAddress()!));
    assert.deepEqual(told, sent);
    for (const slot of sent.keys()) socket.queue(socket.peer(slot), bytesOf("answer"));
    assert.equal(socket.flush(), 0);
    for (const hostname of sent) {
      const answer = await (hostname === "::1" ? client6 : client).receive();
      assert.match(answer, /^answer from /);
      if (hostname === "::1") assert.equal(answer, "answer from ::1");
    }
  }
});

testOnLinux("a socket of one address tells none, and truncates what is too long", async () => {
  using fixture = new Fixture("127.0.0.1");
  using client = new Client();
  await client.send("x".repeat(600), "127.0.0.1", fixture.socket.port);
  const { text, peer } = await fixture.receive();
  assert.deepEqual([text.length, peer.localAddress()], [512, null]);
});

testOnLinux("more than a batch is sent in order, made in place or elsewhere", async () => {
  using fixture = new Fixture("127.0.0.1");
  const { socket } = fixture;
  using client = new Client();
  const peer = socket.createPeer();
  peer.set(parseIp("127.0.0.1")!, client.port);
  const elsewhere = new Uint8Array(64);
  for (let i = 0; i < 2 * BATCH + 1; i++) {
    const room = i % 2 === 0 ? socket.outgoing : elsewhere;
    const { written } = new TextEncoder().encodeInto(`number ${i}`, room);
    socket.queue(peer, room, written);
  }
  elsewhere.fill(0);
  assert.equal(socket.flush(), 0);
  for (let i = 0; i < 2 * BATCH + 1; i++) {
    assert.equal(await client.receive(), `number ${i} from 127.0.0.1`);
  }
});

testOnLinux("what can't be sent is counted once, and the rest goes", async () => {
  using fixture = new Fixture("127.0.0.1");
  const { socket } = fixture;
  using client = new Client();
  const [good, bad] = [socket.createPeer(), socket.createPeer()];
  good.set(parseIp("127.0.0.1")!, client.port);
  bad.set(parseIp("127.0.0.1")!, 0); // no port to send to
  for (const [peer, text] of [[good, "first"], [bad, "never"], [good, "last"]] as const) {
    socket.queue(peer, bytesOf(text));
  }
  assert.deepEqual([socket.flush(), socket.flush()], [1, 0]);
  assert.equal(await client.receive(), "first from 127.0.0.1");
  assert.equal(await client.receive(), "last from 127.0.0.1");
});

testOnLinux("what waits is told of, by this thread and by another", async () => {
  using sockets = new BatchSockets();
  const bind = () =>
    sockets.bind({ hostname: "127.0.0.1", port: 0 }, { reusePort: false, receiveMax: 512, sendMax: 64 });
  const both = [bind(), bind()];
  using readiness = sockets.readiness(both);
  assert.equal(readiness.nap(0), false);
  using client = new Client();
  for (const [place, socket] of both.entries()) {
    await client.send("now", "127.0.0.1", socket.port);
    await readiness.wait(10_000);
    assert.equal(readiness.nap(0), true);
    assert.deepEqual(both.map((_, each) => readiness.isReady(each)), both.map((_, each) => each === place));
    assert.equal(socket.receive(), 1);
  }
  closeAbandoned(both.map(({ fd }) => fd));
});

/** Time is the subject: how long a datagram is left to wait. */
const LEFT_MS = 40;

testOnLinux("it is known how long a datagram has waited, from the first question on", async () => {
  using fixture = new Fixture("127.0.0.1");
  using client = new Client();
  const { socket } = fixture;
  assert(socket.ageMs(Date.now()) < LEFT_MS, "before anything came");
  // The kernel begins to stamp a moment after it was asked for the first time.
  let ageMs = 0;
  while (ageMs === 0) {
    await client.send("old", "127.0.0.1", socket.port);
    for (const untilMs = Date.now() + LEFT_MS; Date.now() < untilMs;);
    await fixture.receive();
    ageMs = socket.ageMs(Date.now());
  }
  assert(ageMs > LEFT_MS - 2 && ageMs < 10_000, `${ageMs} ms`);
  await client.send("new", "127.0.0.1", socket.port);
  await fixture.receive();
  assert(socket.ageMs(Date.now()) < ageMs, "the last one counts");
  assert.equal(socket.ageMs(0), 0);
});

testOnLinux("a smaller queue keeps less, and a larger one more again", async () => {
  using fixture = new Fixture("127.0.0.1");
  using client = new Client();
  const { socket } = fixture;
  const kept = async () => {
    for (let i = 0; i < 300; i++) await client.send("x", "127.0.0.1", socket.port);
    let all = 0;
    for (let count = socket.receive(); count > 0; count = socket.receive()) all += count;
    return all;
  };
  assert.equal(await kept(), 300);
  socket.resizeQueue(32 * 1024);
  const few = await kept();
  assert(few >= BATCH && few < 150, `${few} kept`);
  socket.resizeQueue(4 << 20);
  assert.equal(await kept(), 300);
});

testOnLinux(
  "who waits for a socket is woken when it is shut down, and so is whoever waits then",
  async () => {
    using sockets = new BatchSockets();
    using socket = sockets.bind(
      { hostname: "127.0.0.1", port: 0 },
      { reusePort: false, receiveMax: 512, sendMax: 512 },
    );
    using readiness = sockets.readiness([socket]);
    const waiting = readiness.wait(10_000);
    assert.equal(readiness.nap(0), false);
    socket.shutDown();
    await waiting;
    assert.equal(readiness.nap(0), true);
  },
);
