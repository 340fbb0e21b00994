/** @module Half an hour of five servers on a manual clock: killed, hung, cut off, and a provider that misbehaves. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { block } from "../../src/agent/block.ts";
import type { RecordManager, WriteResult } from "../../src/agent/records.ts";
import { rollingReplace } from "../../src/agent/rolling_replace.ts";
import { FQDN, World } from "./world.ts";
import { Simulation } from "./simulation.ts";

const FIVE = Array.from({ length: 5 }, (_, i) => `192.0.2.${i + 1}`);
const [A, B, C, D, E] = FIVE as [string, string, string, string, string];
const HALF_HOUR_MS = 1_800_000;

/** Third failed round, 18.75 s at most, and a second for what it takes. */
const KILLED_MAX_MS = 18_750 + 1_000;
/** The same, with the time that each hung probe takes. */
const HUNG_MAX_MS = 22_500 + 1_000;

function clean(simulation: Simulation): void {
  equal(simulation.judged.withoutSelf, 0, "a server left itself out");
  ok(simulation.judged.smallest >= 1, "an empty set was written");
}

Deno.test("five servers join, and are quiet: one read a round, no write", async () => {
  await using simulation = new Simulation({ addresses: FIVE });
  await simulation.until(() => simulation.addresses.length === 5, 20_000);
  deepEqual(simulation.addresses, FIVE);
  const { records } = simulation.world;
  records.calls.length = 0;
  await simulation.world.clock.advance(500_000);
  const kinds = new Set(records.callsOf(FQDN));
  deepEqual([...kinds], ["read"]);
  // Half a thousand seconds of five servers whose rounds are some 5 s apart.
  ok(records.calls.length > 480 && records.calls.length < 530, String(records.calls.length));
  clean(simulation);
});

Deno.test("a killed server goes at its third failed round, a hung one a little later; others stay for half an hour", async () => {
  await using simulation = new Simulation({ addresses: FIVE });
  await simulation.until(() => simulation.addresses.length === 5, 20_000);
  simulation.kill(B);
  const killedMs = await simulation.until(() => !simulation.addresses.includes(B), 60_000);
  ok(killedMs !== null && killedMs >= 7_500 && killedMs <= KILLED_MAX_MS, `killed: ${killedMs}`);
  // Its agent lives, and adds it again: a hung server is removed each time.
  simulation.hang(C);
  const hungMs = await simulation.until(() => !simulation.addresses.includes(C), 60_000);
  ok(hungMs !== null && hungMs <= HUNG_MAX_MS, `hung: ${hungMs}`);
  await simulation.world.clock.advance(HALF_HOUR_MS);
  ok([A, D, E].every((address) => simulation.addresses.includes(address)));
  ok(!simulation.addresses.includes(B));
  clean(simulation);
});

Deno.test("cut into 2 and 3 without regions: sides remove each other and come back, never an empty set", async () => {
  await using simulation = new Simulation({ addresses: FIVE });
  await simulation.until(() => simulation.addresses.length === 5, 20_000);
  simulation.cut([A, B], [C, D, E]);
  await simulation.world.clock.advance(HALF_HOUR_MS);
  simulation.cut();
  const healedMs = await simulation.until(() => simulation.addresses.length === 5, 60_000);
  ok(healedMs !== null && healedMs <= 6_250 + 1_250 + 1_000, `healed: ${healedMs}`);
  await simulation.world.clock.advance(60_000);
  deepEqual(simulation.addresses, FIVE);
  clean(simulation);
});

Deno.test("cut into 2 and 3 regions: nothing foreign goes before failure 61, and it is back within a round", async () => {
  const regionOf = (address: string) => [A, B].includes(address) ? "fra" : "nyc";
  await using simulation = new Simulation({ addresses: FIVE, regionOf });
  await simulation.until(() => simulation.addresses.length === 5, 20_000);
  simulation.cut([A, B], [C, D, E]);
  const firstMs = await simulation.until(() => simulation.addresses.length < 5, HALF_HOUR_MS);
  // 60 pauses of 3.75 s at least, and as many hung probes.
  ok(
    firstMs !== null && firstMs >= 60 * (3_750 + 1_250) && firstMs <= 61 * 7_500 + 5_000,
    `first: ${firstMs}`,
  );
  await simulation.world.clock.advance(HALF_HOUR_MS - firstMs);
  simulation.cut();
  const healedMs = await simulation.until(() => simulation.addresses.length === 5, 60_000);
  ok(healedMs !== null && healedMs <= 7_500 + 1_000, `healed: ${healedMs}`);
  clean(simulation);
});

Deno.test("a provider that fails, loses the set or is slow: the record heals, and no server is removed for it", async () => {
  await using simulation = new Simulation({ addresses: FIVE });
  await simulation.until(() => simulation.addresses.length === 5, 20_000);
  const { records, clock, signal } = simulation.world;
  records.before = () => Promise.reject(new Error("SERVFAIL"));
  await clock.advance(60_000);
  deepEqual(simulation.addresses, FIVE);
  records.before = () => {};
  records.memory.put(FQDN, "A", { values: [], ttl: 0 });
  ok(await simulation.until(() => simulation.addresses.length === 5, 10_000) !== null);
  records.before = () => clock.sleep(3_000, signal);
  simulation.kill(B);
  ok(await simulation.until(() => !simulation.addresses.includes(B), 60_000) !== null);
  deepEqual(simulation.addresses, [A, C, D, E]);
  clean(simulation);
});

/** What becomes of a machine that is to be destroyed, milliseconds until it ends and until another comes. */
const ENDS = [
  ["end at once", 0, 0],
  ["end after 15 s", 15_000, 15_000],
  ["end 15 s after others came", 15_000, 0],
] as const;

for (const [title, endsMs, comesMs] of ENDS) {
  Deno.test(`a rolling replacement of servers that ${title} fails no connection, and replaces each once`, async () => {
    await using simulation = new Simulation({ addresses: [A, B, C] });
    const { world } = simulation;
    await simulation.until(() => simulation.addresses.length === 3, 20_000);
    const destroyed: string[] = [];
    const lives: Promise<void>[] = [];
    const destroyer = {
      // As a service does that only takes the order: the machine ends later, and another one comes.
      destroy: ([address]: readonly string[]) => {
        destroyed.push(address!);
        const spare = `192.0.2.${100 + destroyed.length}`;
        lives.push(
          world.clock.sleep(endsMs, world.signal).then(() => simulation.kill(address!)),
          world.clock.sleep(comesMs, world.signal).then(() => simulation.start(spare)),
        );
        return Promise.resolve();
      },
    };
    const client = new Client(simulation);
    let isOver = false;
    const options = { fqdn: FQDN, type: "A", intervalMs: 5_000, owner: "cccccccc" } as const;
    const { records, probe, clock, log, signal } = world;
    const region = { filter: (addresses: readonly string[]) => Promise.resolve(addresses) };
    const replacing = rollingReplace({ ...options, records, probe, clock, log, region, destroyer }, signal)
      .finally(() => isOver = true);
    while (!isOver) {
      await clock.advance(100);
      client.connect();
    }
    await replacing;
    deepEqual(destroyed, [A, B, C]);
    deepEqual(simulation.addresses, ["192.0.2.101", "192.0.2.102", "192.0.2.103"]);
    deepEqual([client.failed, world.block.values], [[], []]);
    ok(client.connected > 150, `only ${client.connected} connections`);
    await Promise.all(lives);
    clean(simulation);
  });
}

/** Asks again when the TTL is over, and connects to one address after the other. */
class Client {
  readonly failed: string[] = [];
  connected = 0;
  readonly #simulation: Simulation;
  #known: readonly string[] = [];
  #untilMs = 0;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  connect(): void {
    const { world } = this.#simulation;
    const now = world.clock.monotonicMs();
    if (now >= this.#untilMs) {
      const { values, ttl } = world.records.memory.at(FQDN, "A");
      [this.#known, this.#untilMs] = [values, now + ttl * 1000];
    }
    const address = this.#known[this.connected++ % this.#known.length]!;
    if (world.down.has(address)) this.failed.push(`${address} at ${now}`);
  }
}

for (const step of ["blocking", "removing", "draining", "destroying", "waiting"] as const) {
  Deno.test(`a rolling replacement that is stopped while ${step} leaves no lock, and the server comes back`, async () => {
    await using simulation = new Simulation({ addresses: [A, B, C] });
    const { records, probe, clock, log } = simulation.world;
    await simulation.until(() => simulation.addresses.length === 3, 20_000);
    const stop = new AbortController();
    const replacing = rollingReplace({
      ...{ fqdn: FQDN, type: "A", intervalMs: 5_000, records, probe, clock, log },
      region: { filter: (addresses) => Promise.resolve(addresses) },
      destroyer: { destroy: () => Promise.resolve() },
      onStep: ({ doing }) => {
        if (doing === step) clock.sleep(100, stop.signal).then(() => stop.abort());
      },
    }, stop.signal);
    await rejects(simulation.world.over(replacing), /AbortError/);
    deepEqual(simulation.world.block.values, []);
    ok(await simulation.until(() => simulation.addresses.length === 3, 10_000) !== null);
  });
}

Deno.test("a block whose operator is stopped while it is being written isn't left behind", async () => {
  const world = new World(["192.0.2.1"]);
  const { memory } = world.records;
  const stop = new AbortController();
  const records: RecordManager = {
    read: (name, type) => memory.read(name, type),
    delete: (name, type, expected) => memory.delete(name, type, expected),
    // As over a network: what was sent takes effect, whether or not its sender waits for the answer.
    write: async (name, type, values, terms, signal) => {
      const sent = world.clock.sleep(100, world.signal).then(() => memory.write(name, type, values, terms));
      const given = Promise.withResolvers<never>();
      signal.addEventListener("abort", () => given.reject(signal.reason), { once: true });
      return await Promise.race([sent, given.promise]);
    },
  };
  const place = { fqdn: FQDN, records, clock: world.clock, log: world.log };
  const blocking = block(place, { address: "192.0.2.1", durationMs: 60_000 }, stop.signal);
  await world.clock.advance(50);
  stop.abort();
  await world.over(blocking);
  await world.clock.advance(1_000);
  deepEqual(world.block.values, []);
});

Deno.test("a block that a slow provider writes only after it was given up isn't left behind", async () => {
  const world = new World(["192.0.2.1"]);
  const { clock, log, records: { memory } } = world;
  // Reads are answered at once, changes one after the other: the first one waits for a disk.
  let changes: Promise<unknown> = clock.sleep(6_000, world.signal);
  const change = (make: () => Promise<WriteResult>): Promise<WriteResult> => {
    const made = changes.then(make);
    changes = made;
    const late = clock.sleep(5_000, world.signal).then(() => Promise.reject(new Error("it didn't answer")));
    return Promise.race([made, late]);
  };
  const records: RecordManager = {
    read: (name, type) => memory.read(name, type),
    delete: (name, type, expected) => change(() => memory.delete(name, type, expected)),
    write: (name, type, values, terms) => change(() => memory.write(name, type, values, terms)),
  };
  const order = { address: "192.0.2.1", durationMs: 60_000 };
  await rejects(world.over(block({ fqdn: FQDN, records, clock, log }, order, world.signal)), /didn't answer/);
  await clock.advance(60_000);
  deepEqual(world.block.values, []);
});

Deno.test("an hour of rounds with a server that comes and goes leaves nothing behind", async () => {
  await using simulation = new Simulation({ addresses: FIVE });
  const { down, clock, probed, records, lines } = simulation.world;
  const sleepers = async () => {
    await clock.advance(10_000);
    return clock.sleeperCount;
  };
  await clock.advance(60_000);
  const before = await sleepers();
  for (let time = 0; time < 3; time++) {
    down.set(B, "connection refused");
    await clock.advance(600_000);
    down.clear();
    await clock.advance(600_000);
    for (const list of [probed, records.calls, lines]) list.length = 0;
  }
  equal(await sleepers(), before);
  deepEqual(simulation.addresses, FIVE);
  clean(simulation);
});
