/**
 * Questions about other zones, handed on to the servers of those zones, or not.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Forwarder } from "../../src/discovery/forwarder.ts";
import { decodeMessage, encodeQuery } from "../../src/wire/message.ts";
import { askUdp } from "../dns/clients.ts";
import { brief, instance, World, ZONE } from "./world.ts";

const THERE = "http.web.prod.shop.fr";
const LOOPBACK = { zone: "fr", host: "a", ips: ["127.0.0.1"] };

/** A node of `gg` that hands questions about `fr` on to a port. */
function asking(port: number): World {
  return World.start({}, { otherZones: "forward", servers: [{ ...LOOPBACK, port }] });
}

Deno.test("a question about another zone has the answer of that zone's servers, over UDP and TCP", async () => {
  const instances = Array.from({ length: 50 }, (_, i) =>
    instance(`i${i + 10}`, {
      address: i === 0 ? THERE : "http.many.prod.shop.fr",
      ...{ node: `h${i}`, ipAddress: `192.0.2.${i + 1}` },
    }));
  await using there = World.start({ "chef.json": { instances } }, { zone: "fr", servers: [] });
  await using here = asking(there.discovery.dns!.port);
  for (const tcp of [false, true]) {
    equal(brief(await here.ask(THERE, "A", { tcp })), "NOERROR|aa|5 192.0.2.1");
    equal(brief(await here.ask(THERE.toUpperCase(), "SRV", { tcp })), "NOERROR|aa|5 0 0 8080 h0.");
    equal(brief(await here.ask("http.none.prod.shop.fr", "SRV", { tcp })), "NXDOMAIN|aa");
  }
  equal((await here.ask("http.many.prod.shop.fr", "A", { tcp: true })).answers.length, 49);
  // Without EDNS the answer has 512 bytes at most, and no OPT record.
  const query = encodeQuery({ id: 77, name: `http.many.prod.shop.fr.${ZONE}`, type: 1 });
  const answer = await askUdp(here.discovery.dns!, query);
  const message = decodeMessage(answer);
  ok(answer.length <= 512 && message.flags.tc && message.id === 77, String(answer.length));
  deepEqual([answer[10], answer[11]], [0, 0]);
  equal(brief(await here.ask("http.web.prod.shop.gg", "A")), "NXDOMAIN|aa", "the own zone is answered here");
});

Deno.test("two servers that name each other don't ask each other without end", async () => {
  await using one = World.start({}, {
    zone: "fr",
    otherZones: "forward",
    servers: [{ ...LOOPBACK, zone: "de", port: 1 }],
  });
  // It has no zone fr of its own, and hands questions about it on to one that refers.
  await using two = World.start({}, { servers: [{ ...LOOPBACK, ips: ["192.0.2.53"], port: 1 }] });
  await using here = asking(two.discovery.dns!.port);
  const message = await here.ask(THERE, "A");
  equal(brief(message), "NOERROR|");
  deepEqual(message.additionals.map(({ data }) => data), ["192.0.2.53"]);
  const forward = { otherZones: "forward" } as const;
  await using looped = World.start({}, {
    ...forward,
    servers: [{ ...LOOPBACK, port: here.discovery.dns!.port }],
  });
  equal(brief(await looped.ask(THERE, "A")), "NOERROR|", "what was handed on is referred");
  equal(brief(await one.ask("http.web.prod.shop.de", "A", { tcp: true })), "SERVFAIL|");
});

Deno.test("what answers something else is passed over, and the next server asked where one can't be reached", async () => {
  using stack = new DisposableStack();
  const socket = stack.adopt(
    Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 }),
    close,
  );
  const stranger = stack.adopt(
    Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 }),
    close,
  );
  const { port } = socket.addr as Deno.NetAddr;
  const answering = (async () => {
    const [packet, from] = await socket.receive();
    const right = packet.slice();
    right[2]! |= 0x80;
    right[3] = 3;
    const changed = (at: number, bits: number) => right.map((byte, i) => i === at ? byte ^ bits : byte);
    // Another number, another question, no response, half a header; and all of it right, but not from there.
    for (const wrong of [changed(0, 1), changed(20, 1), changed(2, 0x80), right.slice(0, 6)]) {
      wrong[3] = 5;
      await socket.send(wrong, from);
    }
    const foreign = right.slice();
    foreign[3] = 5;
    await stranger.send(foreign, from);
    await socket.send(right, from);
  })();
  await using there = World.start({
    "chef.json": { instances: [instance("a", { address: THERE, ipAddress: "192.0.2.9" })] },
  }, { zone: "fr", servers: [] });
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  closed.close();
  using forwarder = new Forwarder(
    new Map([["fr", [closed.addr as Deno.NetAddr, there.discovery.dns!]], ["de", [{
      hostname: "127.0.0.1",
      port,
    }]]]),
  );
  const packet = encodeQuery({ id: 5, name: `${THERE}.${ZONE}`, type: 1 });
  const question = { packet, questionEnd: packet.length, udpSize: null };
  const answer = decodeMessage(await forwarder.ask({ ...question, zone: "de", stream: false }));
  deepEqual([brief(answer), answer.id], ["NXDOMAIN|", 5]);
  await answering;
  const next = decodeMessage(await forwarder.ask({ ...question, zone: "fr", stream: true }));
  equal(brief(next), "NOERROR|aa|5 192.0.2.9");
  const none = decodeMessage(await forwarder.ask({ ...question, zone: "zz", stream: false }));
  deepEqual([brief(none), none.id, none.questions.length], ["SERVFAIL|", 5, 1]);
});

Deno.test("so many questions are handed on at a time; others, and those that are asked at the end, are SERVFAIL", async () => {
  using stack = new DisposableStack();
  const silent = stack.adopt(
    Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 }),
    close,
  );
  using forwarder = new Forwarder(new Map([["fr", [silent.addr as Deno.NetAddr]]]));
  const packet = encodeQuery({ id: 5, name: `${THERE}.${ZONE}`, type: 1 });
  const ask = () =>
    forwarder.ask({ packet, questionEnd: packet.length, udpSize: null, stream: false, zone: "fr" });
  const asked = Array.from({ length: 256 }, ask);
  equal(decodeMessage(await ask()).rcode, 2);
  forwarder[Symbol.dispose]();
  const rcodes = (await Promise.all(asked)).map((each) => decodeMessage(each).rcode);
  deepEqual(new Set(rcodes), new Set([2]));
});

function close(socket: Deno.DatagramConn): void {
  socket.close();
}
