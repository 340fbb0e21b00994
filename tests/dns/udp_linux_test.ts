/**
 * What only the Linux transport has: structures that are the C compiler's, and answers from the address asked.
 *
 * @module
 */
import assert from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { Exchange } from "../../src/dns/exchange.ts";
import { LinuxUdp, OFFSET } from "../../src/dns/udp_linux.ts";
import { testWith } from "../programs.ts";
import { Loopback } from "./loopback.ts";
import { addresses, query } from "./packets.ts";
import { PLAIN, World } from "./world.ts";

const WORLD = { pools: [{ name: "web", members: ["192.0.2.1"] }], services: { "www.example.com": "web" } };
const WWW = query("www.example.com", "A");

/** Prints what the C compiler of this machine thinks of the same structures. */
const PROGRAM = `
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
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
  printf("\\"sockaddrIn\\":{\\"family\\":%d,\\"port\\":%d,\\"address\\":%d,\\"size\\":%d},",
    O(sockaddr_in, sin_family), O(sockaddr_in, sin_port), O(sockaddr_in, sin_addr), S(sockaddr_in));
  printf("\\"sockaddrIn6\\":{\\"family\\":%d,\\"port\\":%d,\\"address\\":%d,\\"scope\\":%d,\\"size\\":%d},",
    O(sockaddr_in6, sin6_family), O(sockaddr_in6, sin6_port), O(sockaddr_in6, sin6_addr),
    O(sockaddr_in6, sin6_scope_id), S(sockaddr_in6));
  printf("\\"inPktinfo\\":{\\"index\\":%d,\\"source\\":%d,\\"size\\":%d},",
    O(in_pktinfo, ipi_ifindex), O(in_pktinfo, ipi_spec_dst), S(in_pktinfo));
  printf("\\"in6Pktinfo\\":{\\"address\\":%d,\\"index\\":%d,\\"size\\":%d},",
    O(in6_pktinfo, ipi6_addr), O(in6_pktinfo, ipi6_ifindex), S(in6_pktinfo));
  printf("\\"pollfd\\":{\\"fd\\":%d,\\"events\\":%d,\\"size\\":%d}}\\n", O(pollfd, fd), O(pollfd, events), S(pollfd));
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

for (const listen of ["0.0.0.0:0", "[::]:0"]) {
  Deno.test({
    name: `an answer leaves from the address that was asked, on ${listen}`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      await using node = await Loopback.start(WORLD, { listen: [listen], transport: "linux" });
      const client = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
      for (const hostname of ["127.0.0.1", "127.0.0.3", "127.1.2.3"]) {
        await client.send(WWW, { transport: "udp", hostname, port: node.address.port });
        const [answer, from] = await client.receive();
        assert.deepEqual([(from as Deno.NetAddr).hostname, addresses(answer)], [hostname, ["192.0.2.1"]]);
      }
      client.close();
    },
  });
}

/** How long the loop is watched, and how often it may read meanwhile; one that spins does so a hundred times as often. */
const WATCHED_MS = 500;
const READS_MAX = 2_000;

Deno.test({
  name: "a socket that is always ready and has nothing to give is read now and then, and no more",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const transport = new LinuxUdp(false);
    const socket = transport.bind({ hostname: "127.0.0.1", port: 0 });
    shutDownReading(socket.fd);
    const world = new World(WORLD);
    const exchange = new Exchange(PLAIN, {
      samplesPerSecond: 0,
      sampleEvery: 1,
      rng: seededRng(1),
      fault: () => {},
    });
    exchange.use(world.snapshot, world.board);
    let reads = 0;
    const answerBatch = socket.answerBatch.bind(socket);
    socket.answerBatch = (exchange) => {
      reads++;
      return answerBatch(exchange);
    };
    transport.serve([socket], exchange);
    // Time is the subject: how often the loop turns in it.
    await new Promise((resolve) => setTimeout(resolve, WATCHED_MS));
    await transport.stop();
    assert(reads > 0 && reads < READS_MAX, `${reads} reads`);
  },
});

/** From now on `poll(2)` says that there is something, and every read gets nothing. */
function shutDownReading(fd: number): void {
  const libc = Deno.dlopen("libc.so.6", { shutdown: { parameters: ["i32", "i32"], result: "i32" } });
  libc.symbols.shutdown(fd, 0);
  libc.close();
}
