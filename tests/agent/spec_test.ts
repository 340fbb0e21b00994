/** @module The list of the system that the agent continues, line by line: what a faithful implementation must show. */
import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import { block, formatBlock, Lock } from "../../src/agent/block.ts";
import { rollingReplace } from "../../src/agent/rolling_replace.ts";
import { rfc3339 } from "../../src/clock.ts";
import { connectionProbe } from "../../src/agent/peer_probe.ts";
import { nextValues, pauseMs } from "../../src/agent/round.ts";
import { nameAndPort } from "../../src/agent/setup.ts";
import { loadSettings } from "../../src/settings/settings.ts";
import { BLOCK, draws, FQDN, World } from "./world.ts";

const [A, B, C] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];

/** The block `agent` of a file, read as any start reads it. */
function settingsOf(...lines: readonly string[]) {
  const file = Deno.makeTempFileSync({ prefix: "pleiades-agent-", suffix: ".yaml" });
  try {
    Deno.writeTextFileSync(file, ["agent:", ...lines.map((line) => `  ${line}`), ""].join("\n"));
    return loadSettings({ file, env: {} });
  } finally {
    Deno.removeSync(file);
  }
}

Deno.test("spec line 1: an interval of 1 s behaves as 5 s", async () => {
  const { settings, notes } = settingsOf("check_interval: 1s");
  match(notes.map(({ message }) => message).join(), /agent\.checkInterval 1s counts as 5s/);
  const world = new World();
  const stop = new AbortController();
  const loop = world.loop(A, { intervalMs: settings!.agent.checkInterval, rng: () => 0 });
  const running = loop.run(stop.signal);
  await world.clock.advance(3_749);
  const reads = world.records.callsOf(FQDN).length;
  equal(world.records.memory.at(FQDN, "A").ttl, 5);
  await world.clock.advance(1);
  equal(world.records.callsOf(FQDN).length, reads + 1);
  stop.abort();
  await running;
});

Deno.test("spec line 1: a missing name, or port, or port 0 refuses to start", () => {
  const { settings: nameless } = settingsOf("tcp_port: 443");
  throws(() => nameAndPort(nameless!.agent), /no FQDN specified/);
  const { settings: portless } = settingsOf(`fqdn: ${FQDN}`);
  throws(() => nameAndPort(portless!.agent), /no port specified/);
  const { settings: zero, problems } = settingsOf(`fqdn: ${FQDN}`, "tcp_port: 0");
  equal(zero, null);
  match(problems.map(({ message }) => message).join(), /agent\.tcpPort must be 1–65535, is 0/);
});

Deno.test("spec line 2: a server that isn't in the set adds itself in its first round, the others in order, TTL = interval", async () => {
  const world = new World([C, B]);
  const round = await world.round(world.loop(A));
  deepEqual(world.records.memory.at(FQDN, "A"), { values: [C, B, A], ttl: 5 });
  equal(round.added, true);
});

Deno.test("spec line 2, where there is no set at all, and over IPv6", async () => {
  const world = new World();
  await world.round(world.loop("2001:db8::1"));
  deepEqual(world.addresses("AAAA"), ["2001:db8::1"]);
  deepEqual(world.addresses("A"), []);
});

Deno.test("spec line 3: a server never probes or removes its own address, even when its port is closed", async () => {
  const world = new World([A, B]);
  world.down.set(A, "connection refused");
  const loop = world.loop(A, { limits: { minimumFailures: 1, maximumFailures: 2 } });
  for (let i = 0; i < 5; i++) await world.round(loop);
  deepEqual([...new Set(world.probed)], [B]);
  deepEqual(world.addresses(), [A, B]);
});

Deno.test("spec line 4: a dead peer is there after 2 failed rounds and gone after the 3rd; a good probe resets the count", async () => {
  const world = new World([A, B]);
  const loop = world.loop(A);
  world.down.set(B, "connection refused");
  for (let i = 0; i < 2; i++) await world.round(loop);
  deepEqual(world.addresses(), [A, B]);
  world.down.clear();
  await world.round(loop);
  world.down.set(B, "connection refused");
  for (let i = 0; i < 2; i++) await world.round(loop);
  deepEqual(world.addresses(), [A, B]);
  deepEqual((await world.round(loop)).removed, [B]);
  deepEqual(world.addresses(), [A]);
});

Deno.test("spec line 5: a peer of another region survives 60 failures and goes with the 61st", async () => {
  const world = new World([A, B]);
  world.down.set(B, "connection refused");
  const loop = world.loop(A, { region: { filter: () => Promise.resolve([]) } });
  for (let i = 0; i < 60; i++) await world.round(loop);
  deepEqual(world.addresses(), [A, B]);
  await world.round(loop);
  deepEqual(world.addresses(), [A]);
});

Deno.test("spec line 5, with a maximum that isn't above the minimum: never", async () => {
  const world = new World([A, B]);
  world.down.set(B, "connection refused");
  const limits = { minimumFailures: 3, maximumFailures: 3 };
  const loop = world.loop(A, { limits, region: { filter: () => Promise.resolve([]) } });
  for (let i = 0; i < 10; i++) await world.round(loop);
  deepEqual(world.addresses(), [A, B]);
});

Deno.test("spec line 6: a peer that can't be destroyed stays until its count is above the maximum", async () => {
  const world = new World([A, B]);
  world.down.set(B, "connection refused");
  const asked: (readonly string[])[] = [];
  const loop = world.loop(A, {
    limits: { minimumFailures: 3, maximumFailures: 5 },
    destroyer: {
      destroy: (addresses) => {
        asked.push(addresses);
        return Promise.reject(new Error("not permitted"));
      },
    },
  });
  for (let i = 0; i < 5; i++) await world.round(loop).catch(() => {});
  deepEqual([world.addresses(), asked.length], [[A, B], 3]);
  await world.round(loop);
  deepEqual(world.addresses(), [A]);
});

Deno.test("spec line 7: a quick round with nothing bad has exactly one read and no write", async () => {
  const world = new World([A, B]);
  const loop = world.loop(A);
  equal((await world.round(loop)).outcome, "quiet");
  deepEqual(world.records.calls.map(({ call }) => call), ["read"]);
});

Deno.test("spec line 7: a round that took a sixteenth of the interval reads again", async () => {
  const world = new World([A, B]);
  const slow = world.loop(A, { probe: () => world.clock.sleep(312.5, world.signal).then(() => null) });
  await world.round(slow);
  deepEqual(world.records.calls.map(({ call }) => call), ["read", "read"]);
});

Deno.test("spec line 8: before any write there is a second read, and what is written derives from that", async () => {
  const world = new World([B]);
  world.records.before = ({ call }) => {
    if (call === "read" && world.records.callsOf(FQDN).length === 2) {
      world.records.memory.put(FQDN, "A", { values: [C, B], ttl: 5 });
    }
  };
  await world.round(world.loop(A));
  deepEqual(world.records.callsOf(FQDN), ["read", "read", "write"]);
  deepEqual(world.addresses(), [C, B, A]);
});

Deno.test("spec line 9: a blocked server doesn't add itself until IpExpires passes", async () => {
  const world = new World([B]);
  const now = world.clock.unixMs();
  world.putBlock(formatBlock({
    address: A,
    addressUntilMs: now + 10_000,
    owner: "0a1b2c3d",
    ownerUntilMs: now + 25_000,
  }));
  const loop = world.loop(A);
  await world.round(loop);
  deepEqual(world.addresses(), [B]);
  await world.clock.advance(10_000);
  await world.round(loop);
  deepEqual(world.addresses(), [B, A]);
});

Deno.test("spec line 9: a blocked server whose peers are all bad leaves them, since nothing else would be left", async () => {
  const world = new World([B]);
  world.down.set(B, "connection refused");
  world.putBlock(formatBlock({
    ...{ address: A, addressUntilMs: world.clock.unixMs() + 600_000, owner: "bbbbbbbb" },
    ownerUntilMs: world.clock.unixMs() + 600_000,
  }));
  const loop = world.loop(A);
  for (let failures = 0; failures < 70; failures++) equal((await world.round(loop)).outcome, "unchanged");
  deepEqual(world.addresses(), [B]);
  deepEqual(world.records.callsOf(FQDN).filter((call) => call === "write"), []);
});

Deno.test("spec line 12: a round that is stopped while it probes blames no peer", async () => {
  const world = new World([A, B]);
  world.silent.add(B);
  const stop = new AbortController();
  const running = world.loop(A).run(stop.signal);
  await world.clock.advance(1_000);
  stop.abort();
  await world.over(running);
  deepEqual([world.probed, world.lines], [[B], []]);
});

Deno.test("spec line 9: a block of another address doesn't count, nor does one that can't be read", async () => {
  const world = new World([B]);
  const now = world.clock.unixMs();
  const times = { addressUntilMs: now + 60_000, ownerUntilMs: now + 60_000 };
  world.putBlock(formatBlock({ address: C, owner: "0a1b2c3d", ...times }));
  await world.round(world.loop(A));
  deepEqual(world.addresses(), [B, A]);
  world.records.memory.put(FQDN, "A", { values: [B], ttl: 5 });
  world.putBlock(formatBlock({ address: A, owner: "0a1b2c3d", ...times }));
  world.records.before = ({ name }) => {
    if (name !== FQDN) throw new Error("SERVFAIL");
  };
  await world.round(world.loop(A));
  deepEqual(world.addresses(), [B, A]);
});

for (
  const [title, strings] of Object.entries({
    "an expired owner": (past: string, later: string) => [
      `IP=${A}`,
      `IpExpires=${later}`,
      "OwnerId=0a1b2c3d",
      `OwnerExpires=${past}`,
    ],
    "no owner": (_: string, later: string) => [`IP=${A}`, `IpExpires=${later}`],
    "one string": () => ["OwnerId=0a1b2c3d"],
    "a string without =": (_: string, later: string) => ["OwnerId", `OwnerExpires=${later}`],
    "a string with two =": (_: string, later: string) => ["OwnerId=a=b", `OwnerExpires=${later}`],
    "a bad time": () => ["OwnerId=0a1b2c3d", "OwnerExpires=tomorrow"],
  })
) {
  Deno.test(`spec line 10: a block with ${title} is deleted by the next reader`, async () => {
    const world = new World([B]);
    const now = world.clock.unixMs();
    world.putBlock(strings(rfc3339(now), rfc3339(now + 60_000)));
    await world.round(world.loop(A));
    deepEqual(world.block.values, []);
    deepEqual(world.addresses(), [B, A]);
  });
}

Deno.test("spec line 10: blanks around names and values are trimmed, unknown names ignored", async () => {
  const world = new World([B]);
  const later = rfc3339(world.clock.unixMs() + 60_000);
  const strings = [
    ` IP = ${A} `,
    `IpExpires= ${later}`,
    "OwnerId =0a1b2c3d",
    `OwnerExpires=${later}`,
    "Note=x",
  ];
  world.putBlock(strings);
  await world.round(world.loop(A));
  deepEqual([world.addresses(), world.block.values], [[B], strings]);
});

Deno.test("spec line 11: the second operator's block names the owner of the first", async () => {
  const world = new World([A, B]);
  const place = { fqdn: FQDN, records: world.records, clock: world.clock, log: world.log };
  await new Lock(place, "aaaaaaaa").take(A, 60_000, world.signal);
  await rejects(block(place, { address: B, durationMs: 60_000 }, world.signal), /BlockHeld|aaaaaaaa/);
  match(world.block.values.join(), /aaaaaaaa/);
});

Deno.test("spec line 11: the second rolling replace says that another is active", async () => {
  const world = new World([A, B]);
  const place = { fqdn: FQDN, records: world.records, clock: world.clock };
  const lock = new Lock(place, "aaaaaaaa");
  await lock.take(A, 5_000, world.signal);
  await rejects(replace(world), /Another rolling replace is active: aaaaaaaa has blocked 192\.0\.2\.1/);
  await lock.take(null, 5_000, world.signal);
  await rejects(replace(world), /belongs to another operator, aaaaaaaa/);
  deepEqual(world.addresses(), [A, B]);
});

Deno.test("spec line 12: a TLS peer that accepts and says nothing is bad within a quarter of the interval", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  const world = new World(["127.0.0.1", A]);
  const probe = connectionProbe({ port: listener.addr.port, tls: true, http: null, version: "0" });
  const round = world.loop(A, { probe }).round(world.signal);
  const connection = await accepted;
  // The client's greeting is there, and stays without an answer.
  ok(await connection.read(new Uint8Array(1024)));
  await world.clock.advance(1_249);
  deepEqual(world.lines, []);
  await world.clock.advance(1);
  equal((await round).failing, 1);
  match(world.lines.join(), /no answer within 1250 ms/);
  while (await connection.read(new Uint8Array(1024)) !== null);
  connection.close();
});

Deno.test("spec line 13: rounds are 0.75–1.25 of the interval apart, and differently for each process", () => {
  const drawn = [1, 2].map((seed) => {
    const rng = draws(seed);
    return Array.from({ length: 2_000 }, () => pauseMs(5_000, rng));
  });
  for (const pauses of drawn) {
    ok(Math.min(...pauses) >= 3_750 && Math.max(...pauses) < 6_250);
    ok(Math.min(...pauses) < 3_800 && Math.max(...pauses) > 6_200);
    ok(Math.abs(pauses.reduce((sum, each) => sum + each) / pauses.length - 4_990) < 50);
  }
  ok(drawn[0]!.some((pause, i) => pause !== drawn[1]![i]));
});

Deno.test("spec line 13: the first round comes at once, and the next after the pause", async () => {
  const world = new World();
  const stop = new AbortController();
  const running = world.loop(A, { rng: () => 0 }).run(stop.signal);
  await world.clock.advance(0);
  deepEqual(world.addresses(), [A]);
  const reads = () => world.records.callsOf(FQDN).filter((call) => call === "read").length;
  const first = reads();
  await world.clock.advance(3_749);
  equal(reads(), first);
  await world.clock.advance(1);
  equal(reads(), first + 1);
  stop.abort();
  await running;
});

Deno.test("spec line 14: a block of 59 s or of 2 h is refused", async () => {
  const world = new World([A]);
  const place = { fqdn: FQDN, records: world.records, clock: world.clock, log: world.log };
  for (const durationMs of [30_000, 59_999, 3_600_001, 7_200_000, NaN]) {
    await rejects(block(place, { address: A, durationMs }, world.signal), /from 1m to 1h/);
  }
  deepEqual(world.records.calls, []);
});

Deno.test("spec line 14: a block is refreshed every minute, and deleted on cancel and at its end", async () => {
  const world = new World([A]);
  const place = { fqdn: FQDN, records: world.records, clock: world.clock, log: world.log };
  for (const end of ["cancel", "time"]) {
    const cancel = new AbortController();
    const blocking = block(place, { address: A, durationMs: 180_000, owner: "bbbbbbbb" }, cancel.signal);
    await world.clock.advance(119_999);
    const now = world.clock.unixMs();
    deepEqual(world.block.values, [
      `IP=${A}`,
      `IpExpires=${rfc3339(now - 59_999 + 120_000)}`,
      "OwnerId=bbbbbbbb",
      `OwnerExpires=${rfc3339(now - 59_999 + 300_000)}`,
    ]);
    deepEqual([world.block.ttl, world.addresses()], [60, [A]]);
    if (end === "cancel") cancel.abort();
    else await world.clock.advance(60_001);
    await world.clock.advance(0);
    await blocking;
    deepEqual(world.block.values, []);
  }
});

Deno.test("spec line 14: a block that another operator has got ends, and says whose it is", async () => {
  const world = new World([A]);
  const place = { fqdn: FQDN, records: world.records, clock: world.clock, log: world.log };
  const blocking = block(place, { address: A, durationMs: 600_000, owner: "bbbbbbbb" }, world.signal);
  await world.clock.advance(1_000);
  const theirs = formatBlock({
    ...{ address: null, addressUntilMs: null, owner: "dddddddd" },
    ownerUntilMs: world.clock.unixMs() + 600_000,
  });
  world.putBlock(theirs);
  await rejects(world.over(blocking), /belongs to another operator, dddddddd/);
  deepEqual(world.block.values, theirs);
});

Deno.test("spec line 15: a rolling replace whose lock can't be refreshed ends before another could have it", async () => {
  const world = new World([A, B]);
  let isBroken = false;
  world.records.before = ({ call, name }) => {
    if (isBroken && call === "write" && name === BLOCK) throw new Error("SERVFAIL");
  };
  // Once it is destroyed nothing fails a probe, so that it is waited for.
  let failure: unknown = null;
  replace(world, () => void (isBroken = true)).catch((error) => failure = error);
  // An interval for clients to move on, and then no longer than a block has left.
  await world.clock.advance(5_000 + 10_000);
  match(String(failure), /SERVFAIL/);
});

Deno.test("spec line 15: a server that is back although it is blocked isn't its own replacement", async () => {
  const world = new World([A, B]);
  const { clock, signal, records, down } = world;
  const destroyedMs: number[] = [];
  const set = (change: (values: readonly string[]) => readonly string[]) =>
    records.memory.put(FQDN, "A", { values: change(world.addresses()), ttl: 5 });
  const replacing = replace(world, (address) => {
    destroyedMs.push(clock.monotonicMs());
    set((values) => [...values, address]);
    clock.sleep(15_000, signal).then(() => {
      down.set(address, "connection refused");
      set((values) => values.filter((each) => each !== address));
    });
    clock.sleep(25_000, signal).then(() =>
      set((values) => [...values, address.replace("192.0.2", "198.51.100")])
    );
  });
  await world.over(replacing);
  ok(destroyedMs[1]! - destroyedMs[0]! >= 25_000, destroyedMs.join());
  deepEqual(world.addresses(), ["198.51.100.1", "198.51.100.2"]);
});

Deno.test("spec line 15: a rolling replace refuses a region with one server", async () => {
  const world = new World([A]);
  await rejects(replace(world), /The region has one server/);
  deepEqual(world.addresses(), [A]);
});

Deno.test("spec line 15: it waits until as many as before answer, before the next", async () => {
  const world = new World([A, B, C]);
  const destroyed: string[] = [];
  const running = replace(world, (address) => {
    destroyed.push(address);
    world.down.set(address, "connection refused");
  });
  await world.clock.advance(5_000);
  deepEqual([destroyed, world.addresses()], [[A], [B, C]]);
  await world.clock.advance(60_000);
  deepEqual(destroyed, [A]);
  // A new server that doesn't answer yet is none.
  world.records.memory.put(FQDN, "A", { values: [B, C, "192.0.2.4"], ttl: 5 });
  world.down.set("192.0.2.4", "connection refused");
  await world.clock.advance(60_000);
  deepEqual(destroyed, [A]);
  world.down.delete("192.0.2.4");
  await world.clock.advance(1_250 + 5_000);
  deepEqual(destroyed, [A, B]);
  world.records.memory.put(FQDN, "A", { values: [C, "192.0.2.4", "192.0.2.5"], ttl: 5 });
  await world.clock.advance(1_250 + 5_000);
  world.records.memory.put(FQDN, "A", { values: ["192.0.2.4", "192.0.2.5", "192.0.2.6"], ttl: 5 });
  await world.over(running);
  deepEqual([destroyed, world.block.values], [[A, B, C], []]);
});

function replace(world: World, destroy: (address: string) => void = () => {}): Promise<void> {
  const replacing = rollingReplace({
    fqdn: FQDN,
    type: "A",
    intervalMs: 5_000,
    records: world.records,
    probe: world.probe,
    region: { filter: (addresses) => Promise.resolve(addresses) },
    destroyer: { destroy: ([address]) => Promise.resolve(destroy(address!)) },
    clock: world.clock,
    log: world.log,
    owner: "cccccccc",
  }, world.signal);
  replacing.catch(() => {});
  return replacing;
}

Deno.test("nextValues() keeps this server's own address whatever is to be removed", () => {
  const next = nextValues([B, A, C], { self: A, remove: [A, B], mayAdd: false });
  deepEqual(next, [A, C]);
});
