/** @module The licence gate where packets come: what is refused and how it reads, what costs nothing, which window counts. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { seededRng } from "../../src/clock.ts";
import { COUNTER } from "../../src/dns/counters.ts";
import { Exchange, NamedClient } from "../../src/dns/exchange.ts";
import { Allowance, type AllowanceTerms } from "../../src/license/allowance.ts";
import { LicenseGate } from "../../src/license/gate.ts";
import { askTcp, UdpClient } from "./clients.ts";
import { Loopback } from "./loopback.ts";
import { query, show } from "./packets.ts";
import { type Declared, PLAIN, World } from "./world.ts";

const DECLARED: Declared = {
  pools: [{ name: "web", members: ["192.0.2.10"] }],
  services: { "www.example.com": "web" },
};
const WWW = query("www.example.com", "A", { id: 0xabcd });
const OK = "NOERROR aa\nan www.example.com 30 A 192.0.2.10";
/** Nothing is ever left. */
const NO_TOKEN: AllowanceTerms = { limit: 10, expiresAt: null, standing: "missing" };

function licensed(terms: AllowanceTerms) {
  const allowance = Allowance.create();
  allowance.set(terms);
  const world = new World(DECLARED);
  const clock = { unixMs: 1_767_225_600_000 };
  /** At the clock. */
  const looks = { count: 0 };
  const exchange = new Exchange(PLAIN, {
    samplesPerSecond: 0,
    sampleEvery: 1,
    rng: seededRng(1),
    fault: ({ reason }) => ok(false, reason),
  }, new LicenseGate(allowance, () => (looks.count++, clock.unixMs)));
  exchange.use(world.snapshot, world.board);
  const [udp, tcp] = [new NamedClient("udp"), new NamedClient("tcp")];
  const out = new Uint8Array(65_535);
  const ask = (packet: Uint8Array) => out.slice(0, exchange.answerDatagram(packet, packet.length, udp, out));
  const askOverTcp = (packet: Uint8Array) => out.slice(0, exchange.answerMessage(packet, tcp, out));
  return { ask, askOverTcp, clock, allowance, exchange, looks, lane: world.board.lane(0) };
}

Deno.test("with a secret and no token the 11th answer of a second is REFUSED, and counted with its reason", () => {
  const { ask, lane, clock } = licensed(NO_TOKEN);
  for (let i = 0; i < 10; i++) equal(show(ask(WWW)), OK);
  equal(show(ask(WWW)), "REFUSED");
  equal(lane[COUNTER.overLicense + 1], 1);
  equal(lane[COUNTER.rcode + 5], 1);
  equal(lane[COUNTER.queriesUdp], 11);
  clock.unixMs += 1000;
  equal(show(ask(WWW)), OK);
});

Deno.test("UDP and TCP take from one window", () => {
  const { ask, askOverTcp } = licensed(NO_TOKEN);
  for (let i = 0; i < 5; i++) deepEqual([show(ask(WWW)), show(askOverTcp(WWW))], [OK, OK]);
  deepEqual([show(ask(WWW)), show(askOverTcp(WWW))], ["REFUSED", "REFUSED"]);
});

Deno.test("messages of a turn take together, and what they don't use is others' when it ends", () => {
  const { askOverTcp, exchange, looks, allowance } = licensed({ ...NO_TOKEN, limit: 1_100 });
  const turn = (messages: number) => {
    exchange.beginTurn();
    for (let i = 0; i < messages; i++) equal(show(askOverTcp(WWW)), OK);
  };
  turn(10);
  exchange.endTurn();
  looks.count = 0;
  turn(3);
  equal(looks.count, 1);
  equal(allowance.takePeak(), 20, "as many as the turn before had are taken at once");
  exchange.endTurn();
  equal(allowance.takePeak(), 13);
  askOverTcp(WWW);
  equal(looks.count, 2, "a message outside of a turn is a batch of its own");
  equal(allowance.takePeak(), 14);
});

Deno.test("in turns of streams, too, each second has what it has, and no more", () => {
  const { askOverTcp, exchange, clock } = licensed({ ...NO_TOKEN, limit: 1_100 });
  for (let second = 0; second < 3; second++) {
    let answered = 0;
    for (let turn = 0; turn < 100; turn++) {
      exchange.beginTurn();
      for (let i = 0; i < 50; i++) if (show(askOverTcp(WWW)) === OK) answered++;
      exchange.endTurn();
      clock.unixMs += 10;
    }
    equal(answered, 1_100);
  }
});

Deno.test("the refusal has the bytes of any other REFUSED: header, question, OPT with the client subnet and NSID", () => {
  const { ask } = licensed({ ...NO_TOKEN, limit: 1 });
  const asked = [
    {},
    { udpSize: 1232 },
    { udpSize: 4096, dnssecOk: true, nsid: true },
    { ecs: "198.51.100.0/24" },
    { ecs: "2001:db8::/48", udpSize: 1400 },
  ].map((edns) => query("WwW.not-ours.example", "A", edns));
  const before = asked.map((packet) => ask(packet));
  equal(show(ask(WWW)), OK);
  for (const [i, packet] of asked.entries()) deepEqual(ask(packet), before[i]);
});

Deno.test("without a license for it, names outside all zones and names that don't exist are refused alike", () => {
  const { ask, allowance } = licensed({ ...NO_TOKEN, limit: 1 });
  equal(show(ask(WWW)), OK);
  for (const name of ["www.not-ours.example", "nothing.www.example.com", "www.example.com"]) {
    equal(show(ask(query(name, "A"))), "REFUSED", name);
  }
  const given = allowance.takePeak();
  equal(show(ask(WWW.subarray(0, 14))), "FORMERR", "what is malformed asks for nothing");
  equal(allowance.takePeak(), 0, `of ${given} nothing is taken or given back`);
});

Deno.test("what is malformed costs nothing, before the rate is used up and after it", () => {
  const { ask, lane, allowance } = licensed(NO_TOKEN);
  const status = WWW.slice();
  status[2]! |= 0x10; // another opcode
  const malformed = [WWW.subarray(0, 14), status];
  const said = () => malformed.map((packet) => show(ask(packet)).split(/\s/)[0]);
  for (let i = 0; i < 20; i++) deepEqual(said(), ["FORMERR", "NOTIMP"]);
  for (let i = 0; i < 10; i++) equal(show(ask(WWW)), OK);
  for (let i = 0; i < 20; i++) deepEqual(said(), ["FORMERR", "NOTIMP"]);
  equal(show(ask(WWW)), "REFUSED");
  equal(lane[COUNTER.overLicense + 1], 1);
  equal(allowance.takePeak(), 10);
});

Deno.test("what is REFUSED or dropped costs nothing", () => {
  const { ask, lane } = licensed(NO_TOKEN);
  const response = WWW.slice();
  response[2]! |= 0x80;
  for (let i = 0; i < 100; i++) {
    equal(show(ask(query("www.not-ours.example", "A"))), "REFUSED");
    equal(ask(response).length + ask(WWW.subarray(0, 11)).length, 0);
  }
  for (let i = 0; i < 10; i++) equal(show(ask(WWW)), OK);
  equal(show(ask(WWW)), "REFUSED");
  equal(ask(response).length + ask(WWW.subarray(0, 11)).length, 0, "and a response is never answered");
  equal(lane[COUNTER.overLicense + 1], 1);
});

for (const transport of ["linux", "portable"] as const) {
  for (const workers of [1, 2]) {
    if (transport === "portable" && workers > 1) continue; // it has one socket, and so one worker
    Deno.test({
      name: `a fleet refuses what is too much, over UDP and TCP: ${transport}, ${workers} workers`,
      ignore: transport === "linux" && Deno.build.os !== "linux",
      fn: async () => {
        const allowance = Allowance.create();
        await using loopback = await Loopback.start(DECLARED, { transport, workers, allowance });
        const { address } = loopback;
        equal(show(await askTcp(address, WWW)), OK);
        allowance.set(NO_TOKEN);
        const startSecond = Math.floor(Date.now() / 1000);
        const rcodes: string[] = [];
        for (let i = 0; i < 100; i++) {
          using client = new UdpClient(address); // another port, and so perhaps another worker
          rcodes.push(show(await client.ask(WWW)), show(await askTcp(address, WWW)));
        }
        const seconds = Math.floor(Date.now() / 1000) - startSecond + 1;
        const answered = rcodes.filter((rcode) => rcode === OK).length;
        ok(answered >= 10 && answered <= 10 * seconds, `${answered} in ${seconds} s`);
        deepEqual(new Set(rcodes), new Set([OK, "REFUSED"]));
        allowance.set(null);
        equal(show(await askTcp(address, WWW)), OK);
      },
    });
  }
}
