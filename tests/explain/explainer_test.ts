/**
 * What is explained is what is answered, and what is said of it is true.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { compileMapFile } from "../../src/geo/map_file_table.ts";
import {
  HEALTH_CHECK_DEFAULTS,
  MEMBER_DEFAULTS,
  type Pool,
  POOL_DEFAULTS,
  SERVICE_DEFAULTS,
} from "../../src/model/model.ts";
import { type Explanation, UDP_SIZE_DEFAULT } from "../../src/explain/explanation.ts";
import type { MemberView } from "../../src/health/node_health.ts";
import { UNKNOWN_VERDICT } from "../../src/health/verdict.ts";
import { parseIp, parsePrefix } from "../../src/ip.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import { flatRecord, writeMmdb } from "../geo/mmdb_writer.ts";
import { typeNumber } from "../../src/wire/record_type.ts";
import { parseZoneFile } from "../../src/wire/zone_file.ts";
import { compareStates } from "../prove/explain.ts";
import { runs } from "../property_runs.ts";
import { nightWorld } from "./night.ts";
import type { Limits } from "../../src/explain/situation.ts";
import { type Declared, NO_LIMITS, NOW_MS, type World, worldOf } from "./world.ts";

Deno.test("explained answers are byte by byte those of the engine right after, over 150 random states", () => {
  deepEqual(compareStates({ first: 1_000_000, count: runs(150) }).faults, []);
});

Deno.test("explaining again and again explains the same answer until somebody asks", () => {
  const world = worldOf(web());
  const first = explain(world, "www.example.com");
  deepEqual(explain(world, "www.example.com"), first);
  const packet = Uint8Array.fromHex(first.question.wire);
  const client = { stream: false, address: () => parseIp("192.0.2.53")! };
  world.engine.answer(packet, packet.length, client, new Uint8Array(1232), 1232);
  const second = explain(world, "www.example.com");
  equal(second.answer.records[0]!.data, first.rotation!.next[1]);
  equal(second.rotation!.turn, 2);
});

Deno.test("where nodes share what they find, an account says who found what and which policy decided", () => {
  const viewOf = (own: "healthy" | "unhealthy"): MemberView => ({
    check: "tcp 80",
    policy: "global-quorum",
    state: "healthy",
    by: "quorum",
    own,
    isBlind: false,
    reports: [{ node: "b", region: "us", state: "healthy" }, { node: "c", region: "", state: "healthy" }],
    why: "2 of 3 nodes find it healthy, 51 % needed (global-quorum)",
  });
  const world = worldOf({
    ...web(),
    peers: () => ({
      ...{ policy: "global-quorum", quorumMinPercent: 51, sight: "blind" },
      nodes: ["a", "b", "c"].map((node) => ({
        node,
        boot: "1",
        region: node === "b" ? "us" : "",
        heartbeatAgeMs: 0,
      })),
    }),
    health: (_, { ipAddress }) => ({
      ...UNKNOWN_VERDICT,
      state: "healthy",
      eligible: true,
      why: null,
      views: [viewOf(ipAddress === "192.0.2.1" ? "unhealthy" : "healthy")],
    }),
  });
  const account = explain(world, "www.example.com");
  equal(
    textOf(account, "health"),
    "health policy global-quorum of 51 % over 3 active nodes: a, b (us), c; " +
      "this node counts as blind and goes by its peers",
  );
  const [split, agreed] = account.candidates.toSorted((a, b) => a.member < b.member ? -1 : 1);
  ok(split!.reason.startsWith("up (this node unhealthy, b healthy, c healthy)"), split!.reason);
  ok(!agreed!.reason.includes("healthy"), agreed!.reason);
  equal(split!.health!.views![0]!.by, "quorum");
});

Deno.test("a planned change and the service's least TTL are why a TTL is low", () => {
  const drain = { ...DRAIN, startsAt: NOW_MS + 12_000, expiresAt: NOW_MS + 60_000, createdAt: NOW_MS };
  const planned = worldOf({ ...web(), overrides: [drain] });
  equal(
    textOf(explain(planned, "www.example.com"), "ttl"),
    "TTL 12 s instead of 30 s: the next planned change of the pool web is at 2026-01-31T03:00:12Z",
  );
  const { services, ...others } = web();
  const least = worldOf({
    ...others,
    services: services.map((service) => ({ ...service, minTtl: 20 })),
    overrides: [drain],
  });
  equal(
    textOf(explain(least, "www.example.com"), "ttl"),
    "TTL 20 s, the service's minTtl: the next planned change of the pool web is at 2026-01-31T03:00:12Z",
  );
});

const DRAIN = {
  id: "d".repeat(32),
  target: `pool:${"a".repeat(32)}`,
  state: "down" as const,
  reason: "a test",
  owner: "kim",
  drainMs: 0,
};

Deno.test("a client subnet that isn't looked at says why", () => {
  const ecs = "203.0.113.0/24";
  const off = worldOf({ ...web(), engine: { ecs: { enabled: false, trusted: [] } } });
  equal(
    textOf(explain(off, "www.example.com", { ecs }), "scope"),
    "the client subnet is ignored: dns.ecs.enabled is false",
  );
  const distrusted = worldOf({
    ...web(),
    engine: { ecs: { enabled: true, trusted: [parsePrefix("10.0.0.0/8")] } },
  });
  equal(
    textOf(explain(distrusted, "www.example.com", { ecs }), "scope"),
    "the client subnet is ignored: 192.0.2.53 isn't in dns.ecs.trustedResolvers",
  );
  const { services, ...others } = web();
  const never = worldOf({ ...others, services: services.map((service) => ({ ...service, ecs: false })) });
  equal(
    textOf(explain(never, "www.example.com", { ecs }), "scope"),
    "scope 0: this service ignores client subnets",
  );
});

Deno.test("whatever limits a client is said first, and only to the one that it limits", () => {
  const limitsOf = (limits: Partial<Limits>) =>
    textsOf(
      explain(worldOf({ ...web(), limits: () => ({ ...NO_LIMITS, ...limits }) }), "www.example.com"),
      "limit",
    );
  const rateLimit = { ...NO_LIMITS.rateLimit, enabled: true };
  deepEqual(limitsOf({}), []);
  deepEqual(limitsOf({ deny: ["198.51.100.0/24", "192.0.2.0/24"], allow: ["192.0.2.53"] }), [
    "192.0.2.53 is denied (dns.deny 192.0.2.0/24) and gets no answer: others get this one",
  ]);
  deepEqual(limitsOf({ allow: ["198.51.100.0/24"] }), [
    "192.0.2.53 isn't in dns.allow and gets REFUSED: others get this answer",
  ]);
  deepEqual(limitsOf({ allow: ["192.0.2.53"], deny: ["198.51.100.0/24"] }), []);
  deepEqual(limitsOf({ rateLimit }), [
    "over UDP and without a cookie 192.0.2.0/24 gets 20 answers a second of one name (dns.rateLimit)",
  ]);
  deepEqual(limitsOf({ rateLimit: { ...rateLimit, exempt: ["192.0.2.53/32"] } }), []);
  deepEqual(limitsOf({ amplificationMax: 1 }).length, 1);
  deepEqual(limitsOf({ amplificationMax: 10 }), []);
});

Deno.test("a name below a DNAME is explained by it, and then by what it leads to", () => {
  const text = "@ SOA ns.o. h.o. 1 1 1 1 60\n@ NS ns.o.\nold DNAME new\nwww.new A 192.0.2.1\n";
  const { records } = parseZoneFile(text, { origin: "p.test.", defaultTtl: 60 });
  const world = worldOf({ pools: [], services: [], zones: [{ domain: "p.test", records }] });
  deepEqual(textsOf(explain(world, "www.old.p.test"), "name"), [
    "www.old.p.test is below the DNAME record of old.p.test",
    "www.new.p.test has static A records",
  ]);
});

Deno.test("a map file is explained by the line that covers the client, or by its not being there", () => {
  const pool = web({ algorithm: "map-file" });
  const map = compileMapFile(new TextEncoder().encode("# sites\n192.0.2.0/24 192.0.2.2\n"));
  const mapped = explain(worldOf({ ...pool, geoData: { ...EMPTY_GEO_DATA, map } }), "www.example.com");
  deepEqual(textsOf(mapped, "client"), [
    "decided for the sender 192.0.2.53",
    "line 2 of the map file covers it: 192.0.2.0/24",
  ]);
  const elsewhere = compileMapFile(new TextEncoder().encode("198.51.100.0/24 192.0.2.2\n"));
  const unmapped = explain(
    worldOf({ ...pool, geoData: { ...EMPTY_GEO_DATA, map: elsewhere } }),
    "www.example.com",
  );
  equal(textsOf(unmapped, "client").at(-1), "no line of the map file covers it");
  const without = explain(worldOf(pool), "www.example.com");
  equal(textsOf(without, "client").at(-1), "no map file is in effect (mapFile.path)");
});

Deno.test("a geofence is told where all members stand at one place, too", () => {
  const place = { latitude: 50.1, longitude: 8.7 };
  const bytes = writeMmdb({ networks: [["192.0.2.0/24", flatRecord({ latitude: 1.35, longitude: 103.8 })]] });
  const city = new SharedArrayBuffer(bytes.length);
  new Uint8Array(city).set(bytes);
  const members = web().pools[0]!.members.map((member) => ({ ...member, ...place }));
  const pool = web({ algorithm: "geoip", geofence: true, members });
  const world = worldOf({
    ...pool,
    geoData: { ...EMPTY_GEO_DATA, edition: 1, city: [city], extents: [null] },
  });
  const told = explain(world, "www.example.com").steps.map(({ text }) => text);
  ok(told.some((text) => text.startsWith("geofence (nearest site)")), told.join("\n"));
});

Deno.test("a pool that goes by places says so when there is no database", () => {
  equal(
    textOf(explain(worldOf(web({ algorithm: "geoip" })), "www.example.com"), "client"),
    "decided for the sender 192.0.2.53: no database is in effect (geoip.database)",
  );
  equal(
    textOf(explain(worldOf(web({ algorithm: "hash" })), "www.example.com"), "client"),
    "decided for the sender 192.0.2.53",
  );
});

Deno.test("a service that has lost its pool says so to who asks for an address", () => {
  const { services } = web();
  const world = worldOf({ pools: [], services: services.map((service) => ({ ...service, poolId: null })) });
  equal(
    textOf(explain(world, "www.example.com"), "name"),
    "www.example.com is answered by the service www.example.com, which has no pool",
  );
  equal(
    textOf(explain(world, "www.example.com", { type: "TXT" }), "name"),
    "www.example.com has no TXT records",
  );
});

Deno.test("when everybody is down the account says by which policy they are answered all the same", () => {
  const world = worldOf(web());
  world.board.setHealth([...world.slots.each()].map(([, slot]) => ({ slot, up: false })), 1_000);
  const explanation = explain(world, "www.example.com");
  equal(
    textOf(explanation, "allDown"),
    "the pool counts as down; onAllDown of web is all: the answer is as if all enabled members were up",
  );
  ok(
    explanation.candidates.every(({ outcome, member }) =>
      (outcome === "kept") === (member !== "192.0.2.3:80")
    ),
  );
});

Deno.test("while the other family is up, a family that is down isn't answered, and the account says so", () => {
  const world = worldOf(web({
    members: [{ ...MEMBER, ipAddress: "192.0.2.1" }, { ...MEMBER, ipAddress: "2001:db8::1" }],
  }));
  const down = [...world.slots.each()].filter(([key]) => key.includes("192.0.2.1"));
  world.board.setHealth(down.map(([, slot]) => ({ slot, up: false })), 1_000);
  const explanation = explain(world, "www.example.com");
  deepEqual(explanation.answer.records, []);
  equal(
    textOf(explanation, "allDown"),
    "the other family has enough members that are up: no answer for this one, so that clients take the other",
  );
});

Deno.test("every member has a reason, and every step a sentence", () => {
  const world = nightWorld();
  for (const name of ["world", "tiers", "rules"]) {
    const { candidates, steps } = explain(world, `${name}.example.com`, { ecs: "203.0.113.0/24" });
    ok(candidates.length > 0);
    for (const { reason, member } of candidates) ok(reason.length > 0, member);
    for (const { text } of steps) ok(/^\S.*[^.\s]$/.test(text), text);
  }
});

const MEMBER = { ...MEMBER_DEFAULTS, id: "0".repeat(32), port: 80 };

function web(fields: Partial<Pool> = {}): Declared & Required<Pick<Declared, "services">> {
  const pool: Pool = {
    ...POOL_DEFAULTS,
    id: "a".repeat(32),
    name: "web",
    healthCheck: HEALTH_CHECK_DEFAULTS,
    geoRules: [],
    members: ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((ipAddress, i) => ({
      ...MEMBER,
      id: String(i).padStart(32, "0"),
      ipAddress,
      enabled: i < 2,
    })),
    ...fields,
  };
  return {
    pools: [pool],
    services: [{ ...SERVICE_DEFAULTS, id: "b".repeat(32), domain: "www.example.com", poolId: pool.id }],
  };
}

function explain(
  { explainer }: World,
  name: string,
  { type = "A", ecs = null }: { readonly type?: string; readonly ecs?: string | null } = {},
): Explanation {
  return explainer.explain({
    name,
    type: typeNumber(type)!,
    client: parseIp("192.0.2.53")!,
    ecs: ecs === null ? null : parsePrefix(ecs),
    udpSize: UDP_SIZE_DEFAULT,
  });
}

function textOf(explanation: Explanation, kind: string): string | undefined {
  return textsOf(explanation, kind)[0];
}

function textsOf({ steps }: Explanation, kind: string): string[] {
  return steps.filter((step) => step.kind === kind).map(({ text }) => text);
}
