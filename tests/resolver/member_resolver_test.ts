/**
 * When names are asked for, and what is believed of them.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { AskResolver } from "../../src/resolver/lookup.ts";
import { MemberResolver } from "../../src/resolver/member_resolver.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import type { Message } from "../../src/wire/message.ts";
import { RCODE, TYPE } from "../../src/wire/record_type.ts";
import { ManualClock, settle } from "../clock.ts";

/** Addresses and TTL, an RCODE, or silence. */
type Says = { readonly a: readonly string[]; readonly ttl: number } | number | "silence";

const RESOLVERS = [{ hostname: "192.0.2.53", port: 53 }, { hostname: "192.0.2.54", port: 53 }];

/** Names with a resolver that says what it is told to; only IPv4 is there. */
class Bed implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly lines: string[] = [];
  readonly told: string[][] = [];
  readonly kept = new Map<string, readonly string[]>();
  readonly registry = new Registry({});
  /** Names asked for, IPv4 only. */
  asked: string[] = [];
  underWay = 0;
  mostUnderWay = 0;
  readonly names: MemberResolver;

  constructor(
    public says: (name: string, server: string) => Says,
    { kept = [], ask, onChange = () => {} }: {
      kept?: readonly [string, readonly string[]][];
      ask?: AskResolver;
      onChange?: () => void;
    } = {},
  ) {
    this.names = new MemberResolver({
      terms: { resolvers: RESOLVERS, minTtl: 5000, maxTtl: 300_000, timeout: 2000 },
      systemResolvers: () => {
        throw new Deno.errors.NotCapable("resolv.conf");
      },
      ask: ask ?? ((question) => this.#ask(question)),
      clock: this.clock,
      rng: () => 0,
      log: createLogger({
        level: "debug",
        format: "json",
        clock: this.clock,
        write: (line) => this.lines.push(line),
      }),
      registry: this.registry,
      memory: {
        each: () => kept,
        save: (entries) => entries.forEach(([target, addresses]) => this.kept.set(target, addresses)),
        forget: (targets) => targets.forEach((target) => this.kept.delete(target)),
      },
    });
    this.names.onChange((targets) => {
      onChange();
      this.told.push([...targets]);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.names[Symbol.asyncDispose]();
  }

  async #ask({ name, type, server, signal }: Parameters<AskResolver>[0]): Promise<Message> {
    if (type === TYPE.A) this.asked.push(name);
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    await Promise.resolve();
    this.underWay--;
    const says = this.says(name, server.hostname);
    if (says === "silence" || signal.aborted) throw new Deno.errors.TimedOut("No answer");
    return messageOf(name, typeof says === "number" ? { rcode: says } : type === TYPE.A ? says : {});
  }

  /** Lets time pass until the name was asked for once more. */
  async look(): Promise<void> {
    const { length } = this.asked;
    while (this.asked.length === length) await this.clock.advance((await this.nextMs())!);
    await settle();
  }

  /** When the name is asked for next, milliseconds from now. */
  async nextMs(): Promise<number | null> {
    for (let i = 0; i < 10; i++) await settle();
    return this.clock.nextWakeMs;
  }
}

/** Nothing stays nothing for an hour, if the resolver is believed. */
const SOA_RDATA = Uint8Array.of(0, 0, ...[1, 7200, 900, 1_209_600, 3600].flatMap(bytesOf));

function bytesOf(number: number): number[] {
  return [24, 16, 8, 0].map((shift) => number >>> shift & 255);
}

function messageOf(
  name: string,
  { a = [], ttl = 60, rcode = RCODE.NOERROR }: { a?: readonly string[]; ttl?: number; rcode?: number },
): Message {
  const soa = { name: "example.net", class: 1, type: TYPE.SOA, ttl: 3600, rdata: SOA_RDATA, data: "" };
  return {
    id: 0,
    opcode: 0,
    rcode,
    flags: { qr: true, aa: false, tc: false, rd: true, ra: true, ad: false, cd: false },
    questions: [],
    answers: a.map((data) => ({
      name,
      class: 1,
      ttl,
      type: TYPE.A,
      data,
      rdata: Uint8Array.from(data.split("."), Number),
    })),
    authorities: a.length === 0 ? [soa] : [],
    additionals: [],
    edns: null,
  };
}

const WEB = "web.example.net";

for (
  const [what, ttl, waitMs] of [
    ["when its TTL is over", 60, 60_000],
    ["no sooner than minTtl", 0, 5000],
    ["no later than maxTtl", 86_400, 300_000],
  ] as const
) {
  Deno.test(`a name is asked for again ${what}`, async () => {
    await using bed = new Bed(() => ({ a: ["192.0.2.1"], ttl }));
    bed.names.follow([WEB]);
    await bed.names.firstRound(AbortSignal.timeout(60_000));
    await bed.clock.advance(20); // changes are told of together
    equal(await bed.nextMs(), waitMs - 20);
    await bed.clock.advance(waitMs - 21);
    equal(bed.asked.length, 1);
    await bed.clock.advance(1);
    equal(bed.asked.length, 2);
  });
}

Deno.test("after the first round the addresses are there, told of and kept", async () => {
  await using bed = new Bed(() => ({ a: ["192.0.2.2", "192.0.2.1"], ttl: 60 }));
  bed.names.follow([WEB, "b.example.net"]);
  await bed.names.firstRound(AbortSignal.timeout(60_000));
  deepEqual(bed.names.addressesOf(WEB), ["192.0.2.1", "192.0.2.2"]);
  deepEqual(bed.told, [[WEB, "b.example.net"]]);
  deepEqual(bed.kept.get(WEB), ["192.0.2.1", "192.0.2.2"]);
});

Deno.test("the first round gives up when the signal fires", async () => {
  const hung = Promise.withResolvers<Message>();
  await using bed = new Bed(() => 0, { ask: () => hung.promise });
  bed.names.follow([WEB]);
  const patience = new AbortController();
  const round = bed.names.firstRound(patience.signal);
  patience.abort();
  await round;
  deepEqual(bed.names.addressesOf(WEB), []);
  hung.reject(new Error("over"));
});

for (const [what, nothing] of [["NXDOMAIN", RCODE.NXDOMAIN], ["NODATA", RCODE.NOERROR]] as const) {
  Deno.test(`${what} must be said twice to be believed, and is asked for soon in between`, async () => {
    await using bed = new Bed(() => ({ a: ["192.0.2.1"], ttl: 60 }));
    bed.names.follow([WEB]);
    await bed.clock.advance(20);
    bed.says = () => nothing;
    await bed.look();
    deepEqual(bed.names.addressesOf(WEB), ["192.0.2.1"]);
    equal(await bed.nextMs(), 5000);
    await bed.look();
    deepEqual(bed.names.addressesOf(WEB), []);
  });
}

Deno.test("failures between two empty answers don't count, nor does an empty one before a good one", async () => {
  await using bed = new Bed(() => ({ a: ["192.0.2.1"], ttl: 5 }));
  bed.names.follow([WEB]);
  await bed.clock.advance(20);
  for (const says of [RCODE.NXDOMAIN, { a: ["192.0.2.1"], ttl: 5 }, RCODE.NXDOMAIN, RCODE.SERVFAIL]) {
    bed.says = () => says;
    await bed.look();
    deepEqual(bed.names.addressesOf(WEB), ["192.0.2.1"]);
  }
});

Deno.test("the addresses stay for days while resolvers fail, and nobody is told of anything", async () => {
  await using bed = new Bed(() => ({ a: ["192.0.2.1"], ttl: 60 }));
  bed.names.follow([WEB]);
  await bed.clock.advance(20);
  bed.says = () => "silence";
  await bed.clock.advance(60_000);
  const { length } = bed.lines;
  await bed.clock.advance(600_000);
  deepEqual([bed.names.addressesOf(WEB), bed.told, bed.lines.length], [["192.0.2.1"], [[WEB]], length]);
});

Deno.test("the next resolver is asked when one fails, and the one that answered comes first from then on", async () => {
  const servers: string[] = [];
  await using bed = new Bed((_, server) => {
    servers.push(server);
    return server === "192.0.2.53" ? "silence" : { a: ["192.0.2.1"], ttl: 60 };
  });
  bed.names.follow([WEB]);
  await bed.names.firstRound(AbortSignal.timeout(60_000));
  deepEqual(servers.sort(), ["192.0.2.53", "192.0.2.53", "192.0.2.54", "192.0.2.54"]);
  servers.length = 0;
  await bed.look();
  deepEqual(servers, ["192.0.2.54", "192.0.2.54"]);
});

Deno.test("a name that goes is forgotten: not asked for, not kept, and not told of", async () => {
  await using bed = new Bed(() => ({ a: ["192.0.2.1"], ttl: 60 }));
  bed.names.follow([WEB, "b.example.net"]);
  await bed.names.firstRound(AbortSignal.timeout(60_000));
  bed.names.follow(["b.example.net"]);
  bed.asked = [];
  await bed.clock.advance(120_000);
  deepEqual([...new Set(bed.asked)], ["b.example.net"]);
  deepEqual([bed.names.addressesOf(WEB), [...bed.kept.keys()]], [[], ["b.example.net"]]);
});

Deno.test("what the last run knew is there at once, but for names that went meanwhile", async () => {
  await using bed = new Bed(() => "silence", {
    kept: [[WEB, ["192.0.2.1", "2001:db8::1"]], ["gone.example.net", ["192.0.2.2"]]],
  });
  bed.kept.set("gone.example.net", ["192.0.2.2"]);
  bed.names.follow([WEB]);
  deepEqual(bed.names.addressesOf(WEB), ["192.0.2.1", "2001:db8::1"]);
  await bed.clock.advance(10_000);
  deepEqual(bed.names.addressesOf(WEB), ["192.0.2.1", "2001:db8::1"]);
  equal(bed.kept.has("gone.example.net"), false);
});

Deno.test("so many questions are under way at most, and every name gets its turn", async () => {
  await using bed = new Bed(() => ({ a: ["192.0.2.1"], ttl: 60 }));
  const names = Array.from({ length: 500 }, (_, i) => `n${i}.example.net`);
  bed.names.follow(names);
  await bed.names.firstRound(AbortSignal.timeout(60_000));
  ok(bed.mostUnderWay <= 64, `${bed.mostUnderWay}`);
  ok(names.every((name) => bed.names.addressesOf(name).length === 1));
});

Deno.test("other resolvers are asked at once", async () => {
  await using bed = new Bed(() => ({ a: ["192.0.2.1"], ttl: 60 }));
  bed.names.follow([WEB]);
  await bed.clock.advance(20);
  bed.says = (_, server) => ({ a: [server === "192.0.2.99" ? "192.0.2.2" : "192.0.2.1"], ttl: 60 });
  const terms = { minTtl: 5000, maxTtl: 300_000, timeout: 2000 };
  bed.names.use({ ...terms, resolvers: [{ hostname: "192.0.2.99", port: 53 }] });
  await bed.clock.advance(0);
  await bed.nextMs();
  deepEqual(bed.names.addressesOf(WEB), ["192.0.2.2"]);
});

Deno.test("resolutions are counted by what came of them", async () => {
  await using bed = new Bed(() => ({ a: ["192.0.2.1"], ttl: 60 }));
  bed.names.follow([WEB]);
  await bed.names.firstRound(AbortSignal.timeout(60_000));
  deepEqual(
    bed.registry.expose().split("\n").filter((line) => line.startsWith("pleiades_names_resolutions")).sort(),
    [
      'pleiades_names_resolutions_total{result="empty"} 1',
      'pleiades_names_resolutions_total{result="found"} 1',
    ],
  );
});

Deno.test("a look that can't even begin is told to the log, and tried again", async () => {
  await using bed = new Bed(() => ({ a: ["192.0.2.1"], ttl: 60 }));
  const terms = { minTtl: 5000, maxTtl: 300_000, timeout: 2000 };
  bed.names.use({ ...terms, resolvers: [] });
  bed.names.follow([WEB]);
  await bed.names.firstRound(AbortSignal.timeout(60_000));
  equal(await bed.nextMs(), 5000);
  match(bed.lines.at(-1)!, /Looking up web\.example\.net failed; it is looked up again.*resolv\.conf/);
  bed.names.use({ ...terms, resolvers: RESOLVERS });
  await bed.nextMs();
  deepEqual(bed.names.addressesOf(WEB), ["192.0.2.1"]);
});

Deno.test("addresses that can't be taken now are told of again", async () => {
  let isBroken = true;
  await using bed = new Bed(() => ({ a: ["192.0.2.1"], ttl: 60 }), {
    onChange: () => {
      if (isBroken) throw new Error("no room");
    },
  });
  bed.names.follow([WEB]);
  await bed.clock.advance(20);
  match(bed.lines.at(-1)!, /taking them failed; it is tried again.*no room/);
  isBroken = false;
  await bed.clock.advance(5000);
  deepEqual(bed.told, [[WEB]]);
});
