/** @module What the addresses of members by name make of a pool. */
import { deepEqual, equal } from "node:assert/strict";
import { checkTargetsOf } from "../../src/desired/check_target.ts";
import type { SteeredMember, SteeredPool } from "../../src/desired/desired.ts";
import { flattenedPool } from "../../src/desired/flattened.ts";
import { HEALTH_CHECK_DEFAULTS, type Member, MEMBER_DEFAULTS, POOL_DEFAULTS } from "../../src/model/model.ts";
import { derivedEligibility, eligibilityKeyOf } from "../../src/desired/eligibility.ts";
import { steeredPool } from "../../src/desired/steered_pool.ts";

const NAMES: Readonly<Record<string, readonly string[]>> = {
  "a.example.net": ["192.0.2.1", "192.0.2.2", "2001:db8::1"],
  "b.example.net": ["192.0.2.2"],
};

function pool(members: readonly Partial<Member>[], more: Partial<SteeredPool> = {}): SteeredPool {
  return {
    ...steeredPool({
      ...POOL_DEFAULTS,
      id: "pool",
      name: "web",
      healthCheck: null,
      geoRules: [],
      members: members.map((member, i) => ({ ...MEMBER_DEFAULTS, id: `m${i}`, port: 443, ...member })),
    }),
    ...more,
  };
}

function flat(pool: SteeredPool): SteeredPool {
  return flattenedPool(pool, (target) => NAMES[target] ?? []);
}

function show({ id, ipAddress, share }: SteeredMember): string {
  return `${id} ${ipAddress} ${share}`;
}

Deno.test("the addresses of a family share what their name has", () => {
  deepEqual(flat(pool([{ target: "a.example.net" }])).members.map(show), [
    "m0 192.0.2.1 0.5",
    "m0 192.0.2.2 0.5",
    "m0 2001:db8::1 1",
  ]);
});

Deno.test("what drains is shared as it is", () => {
  const { members: [member], ...rest } = pool([{ target: "a.example.net" }]);
  const draining = { ...rest, members: [{ ...member!, share: 0.5 }] };
  deepEqual(flat(draining).members.map(({ share }) => share), [0.25, 0.25, 0.5]);
});

Deno.test("everything else comes from the name: priority, region, place, whether it is enabled", () => {
  const own = { priority: 7, weight: 3, region: "fra", latitude: 50, longitude: 8, enabled: false };
  for (
    const { target, priority, weight, region, latitude, longitude, enabled } of flat(
      pool([{ target: "a.example.net", ...own }]),
    ).members
  ) {
    deepEqual({ priority, weight, region, latitude, longitude, enabled }, own);
    equal(target, "a.example.net");
  }
});

Deno.test("a pool without members by name is handed on as it is, and an unknown name is nobody", () => {
  const plain = pool([{ ipAddress: "192.0.2.9" }]);
  equal(flat(plain), plain);
  deepEqual(flat(pool([{ target: "c.example.net" }])).members, []);
});

Deno.test("an address that an enabled member has is answered once, and its rule still leads there", () => {
  const rule = { cidr: null, country: null, continent: null, asn: 64_500, member: 1 };
  const { members, geoRules } = flat(
    pool([{ ipAddress: "192.0.2.2" }, { target: "a.example.net" }, { target: "b.example.net" }], {
      geoRules: [rule],
    }),
  );
  deepEqual(members.map(show), ["m0 192.0.2.2 1", "m1 192.0.2.1 1", "m1 2001:db8::1 1"]);
  deepEqual(geoRules.map(({ member }) => members[member]!.ipAddress), [
    "192.0.2.1",
    "192.0.2.2",
    "2001:db8::1",
  ]);
});

Deno.test("a disabled member keeps its address for itself only, and another port is another place", () => {
  const addresses = (...members: Partial<Member>[]) =>
    flat(pool(members)).members.map(({ ipAddress, enabled }) => `${ipAddress} ${enabled}`);
  deepEqual(addresses({ ipAddress: "192.0.2.2", enabled: false }, { target: "b.example.net" }), [
    "192.0.2.2 false",
    "192.0.2.2 true",
  ]);
  deepEqual(addresses({ ipAddress: "192.0.2.2", port: 80 }, { target: "b.example.net" }).length, 2);
});

const CHECKED = { healthCheck: { ...HEALTH_CHECK_DEFAULTS, type: "http" as const } };

Deno.test("each address is probed, by the name unless the check has a host", () => {
  const hostsOf = (pool: SteeredPool) =>
    checkTargetsOf(flat(pool)).map(({ ipAddress, check }) => `${ipAddress} ${check.httpHost}`);
  deepEqual(hostsOf(pool([{ target: "b.example.net" }, { ipAddress: "192.0.2.9" }], CHECKED)), [
    "192.0.2.2 b.example.net",
    "192.0.2.9 null",
  ]);
  const healthCheck = { ...CHECKED.healthCheck, httpHost: "www.example.com" };
  deepEqual(hostsOf(pool([{ target: "b.example.net" }], { healthCheck })), ["192.0.2.2 www.example.com"]);
});

Deno.test("who is answered as a name stands by any of its addresses, with as many checks as the pool's needs", () => {
  const plain = CHECKED.healthCheck;
  const healthCheck = {
    ...HEALTH_CHECK_DEFAULTS,
    type: "calculated" as const,
    require: 2,
    checks: [plain, { ...plain, httpPath: "/a" }, { ...plain, httpPath: "/b" }],
  };
  const named = flat(pool([{ target: "a.example.net" }], { healthCheck, flatten: false }));
  const [member] = named.named!.members;
  const rule = derivedEligibility(named).find(({ key }) => key === eligibilityKeyOf(named, member!))!;
  deepEqual([rule.targets.length, rule.perAddress, rule.atLeast], [9, 3, 2]);
});

Deno.test("who is answered as a name that has no known address is down where there is a check", () => {
  const named = flat(pool([{ target: "c.example.net" }], { ...CHECKED, flatten: false }));
  const [rule] = derivedEligibility(named);
  deepEqual([rule!.key, rule!.targets], [eligibilityKeyOf(named, named.named!.members[0]!), []]);
});

Deno.test("of very many addresses each name gives one, then each one more, until the pool is full", () => {
  const addresses = (prefix: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${prefix}.${i}`);
  const known: Record<string, readonly string[]> = {
    "big.example.net": [...addresses("10.0.1", 200), "2001:db8::1"],
    "small.example.net": addresses("10.0.2", 3),
    "other.example.net": addresses("10.0.3", 200),
  };
  const named = Object.keys(known).map((target) => ({ target }));
  const given = pool([{ ipAddress: "192.0.2.9" }, ...named, { ipAddress: "192.0.2.8" }]);
  const { members } = flattenedPool(given, (target) => known[target]!);
  const count = (target: string | null) =>
    members.filter((member) => member.target === target && !member.ipAddress!.includes(":")).length;
  deepEqual(Object.keys(known).map(count), [126, 3, 125]);
  equal(members.length, 256 + 1);
  equal(members.find(({ ipAddress }) => ipAddress === "10.0.1.0")!.share, 1 / 126);
  deepEqual(
    members.filter(({ target }) => target === "other.example.net").map(({ ipAddress }) => ipAddress),
    known["other.example.net"]!.slice(0, 125),
  );
});

Deno.test("a pool of more members than it may have keeps each, and one address of each name", () => {
  const many = Array.from({ length: 300 }, (_, i) => ({ ipAddress: `10.0.${i >> 8}.${i & 255}` }));
  const { members } = flat(pool([...many, { target: "a.example.net" }]));
  deepEqual(members.slice(300).map(show), ["m300 192.0.2.1 1", "m300 2001:db8::1 1"]);
});
