/** @module For how long an answer over HTTPS may be kept, and which requests wait for which. */
import { deepEqual, equal } from "node:assert/strict";
import { freshnessOf } from "../../src/dns/doh.ts";
import { DohConnection, Unsent } from "../../src/dns/doh_connection.ts";
import { Exchange } from "../../src/dns/exchange.ts";
import { StreamTurns } from "../../src/dns/stream_turns.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { selfSigned } from "../health/certificates.ts";
import { query } from "./packets.ts";
import { PLAIN, World } from "./world.ts";

type Ttls = readonly (readonly [type: number, ttl: number])[];

/** An answer to www with these records, each of the name that was asked for. */
function answer(rcode: number, answers: Ttls, authority: Ttls = []): Uint8Array {
  const records = [...answers, ...authority].flatMap(([type, ttl]) => [
    ...[0xc0, 12, type >> 8, type & 255, 0, 1, 0, 0, ttl >> 8, ttl & 255, 0, 4, 192, 0, 2, 1],
  ]);
  const head = [0, 1, 0x84, rcode, 0, 1, 0, answers.length, 0, authority.length, 0, 0];
  return Uint8Array.of(...head, 3, 119, 119, 119, 0, 0, 1, 0, 1, ...records);
}

for (
  const [what, given, seconds] of [
    ["the least of several", answer(0, [[TYPE.A, 60], [TYPE.A, 5], [TYPE.A, 30]]), 5],
    ["the least of an alias and what it leads to", answer(0, [[TYPE.CNAME, 20], [TYPE.A, 300]]), 20],
    ["that of the answers, whatever stands beside them", answer(0, [[TYPE.A, 60]], [[TYPE.SOA, 5]]), 60],
    ["not at all of a TTL of 0", answer(0, [[TYPE.A, 0]]), 0],
    ["the SOA's of a name that isn't there", answer(3, [], [[TYPE.SOA, 900]]), 900],
    ["the SOA's of a type that isn't there", answer(0, [], [[TYPE.NS, 5], [TYPE.SOA, 900]]), 900],
    ["none of a referral", answer(0, [], [[TYPE.NS, 900]]), null],
    ["none of a failure", answer(2, [[TYPE.A, 60]]), null],
    ["none of a refusal", answer(5, [], [[TYPE.SOA, 60]]), null],
    ["none of nothing", answer(0, []), null],
  ] as const
) {
  Deno.test(`for how long an answer over HTTPS may be kept: ${what}`, () =>
    equal(freshnessOf(given), seconds));
}

const IDLE_MS = 500;

/** Has everyone wait until so many do, and for a while, and keeps how many requests each of them had before it. */
class Waiting extends StreamTurns {
  readonly before: number[] = [];
  readonly #all = Promise.withResolvers<void>();
  readonly #count: number;

  constructor(count: number) {
    super();
    this.#count = count;
  }

  override mustWait(): boolean {
    return true;
  }

  override next(answered: number): Promise<void> {
    if (this.before.push(answered) === this.#count) {
      // Time is the subject: their connection would be idle for longer than it may.
      setTimeout(this.#all.resolve, 2 * IDLE_MS);
    }
    return this.#all.promise;
  }
}

Deno.test("a request over HTTPS waits as one that came behind those that were under way then, however many come after it", async () => {
  const REQUESTS = 12;
  const identity = await selfSigned({ dnsNames: ["localhost"] });
  const world = new World({
    pools: [{ name: "web", members: ["192.0.2.1"] }],
    services: { "www.example": "web" },
  });
  const exchange = new Exchange(PLAIN, {
    ...{ samplesPerSecond: 0, sampleEvery: 1, rng: () => 0 },
    fault: ({ reason }) => {
      throw new Error(reason);
    },
  });
  exchange.use(world.snapshot, world.board);
  const turns = new Waiting(REQUESTS);
  using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, alpnProtocols: ["h2"], ...identity });
  const hooks = { onAnswered: () => {}, onStalled: () => {}, onCut: () => {} };
  const served = listener.accept().then((socket) =>
    new DohConnection(socket, {
      ...{ ...hooks, exchange, turns, path: "/dns-query", unsent: new Unsent() },
      limits: { idleTimeout: IDLE_MS, queryTimeout: 60_000 },
    })
  );
  using client = Deno.createHttpClient({ caCerts: [identity.cert], http2: true, http1: false });
  const url = `https://localhost:${listener.addr.port}/dns-query`;
  const asked = Array.from({ length: REQUESTS }, (_, i) =>
    fetch(url, {
      method: "POST",
      body: query("www.example", "A").slice().fill(i, 0, 1),
      headers: { "content-type": "application/dns-message" },
      client,
    }).then((response) => response.bytes()));
  const answers = await Promise.all(asked);
  deepEqual(answers.map((bytes) => bytes[0]), Array.from({ length: REQUESTS }, (_, i) => i));
  deepEqual(turns.before.toSorted((a, b) => a - b), Array.from({ length: REQUESTS }, (_, i) => i));
  const connection = await served;
  connection.drain();
  connection.close();
  await connection.ended;
});
