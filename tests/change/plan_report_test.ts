/** @module The names of the objects of a change, and what they go along with. */
import { deepEqual } from "node:assert/strict";
import { namedChanges } from "../../src/change/plan_report.ts";
import type { ObjectChange, ObjectKind } from "../../src/store/history.ts";

const POOL = "1".repeat(32);
const MEMBER = "2".repeat(32);
const KINDS: readonly (readonly [ObjectKind, id: string, fields: object, name: string])[] = [
  ["service", "8", { domain: "www.example.com", poolId: POOL }, "www.example.com"],
  ["pool", POOL, { name: "web" }, "web"],
  ["member", MEMBER, { poolId: POOL, ipAddress: "192.0.2.10", port: 443 }, "web/192.0.2.10:443"],
  ["member", "3", { poolId: POOL, ipAddress: "2001:db8::1", port: 53 }, "web/[2001:db8::1]:53"],
  [
    "member",
    "4",
    { poolId: POOL, ipAddress: null, target: "lb.example.net", port: 80 },
    "web/lb.example.net:80",
  ],
  ["healthCheck", POOL, { poolId: POOL, type: "tcp" }, "web"],
  ["geoRule", "5", { poolId: POOL, memberId: MEMBER, cidr: "192.0.2.0/24" }, "web cidr 192.0.2.0/24"],
  ["zone", "example.com", { domain: "example.com" }, "example.com"],
  ["fallback", "", { ttl: 30 }, "static fallback"],
  ["override", "9", { state: "down", target: "region:fra" }, "down region fra"],
];
const created = KINDS.map(([kind, id, after]): ObjectChange => ({ kind, id, before: null, after }));
const deleted = created.map(({ kind, id, after }): ObjectChange => ({
  kind,
  id,
  before: after,
  after: null,
}));

Deno.test("objects of a change have the names that people know them by, services first", () => {
  const { changes } = namedChanges(created.toReversed(), storeOf({}));
  deepEqual(changes.map(({ name }) => name), KINDS.map(([, , , name]) => name));
  deepEqual(new Set(changes.map(({ action }) => action)), new Set(["created"]));
});

Deno.test("a pool that the change doesn't tell of is looked up, and one that is gone goes by its id", () => {
  const members = created.filter(({ id }) => id === MEMBER);
  const name = (store: Store) => namedChanges(members, store).changes[0]!.name;
  deepEqual(name(storeOf({ [POOL]: { name: "known" } })), "known/192.0.2.10:443");
  deepEqual(name(storeOf({})), `${POOL}/192.0.2.10:443`);
});

Deno.test("what a pool takes along says so, services and overrides of regions don't", () => {
  const along = namedChanges(deleted, storeOf({})).changes.map(({ kind, with: owner }) => [kind, owner]);
  const parts = ["member", "healthCheck", "geoRule"];
  deepEqual(along, KINDS.map(([kind]) => [kind, parts.includes(kind) ? "pool web" : null]));
});

Deno.test("what goes while its pool stays goes by itself", () => {
  const member = deleted.find(({ id }) => id === MEMBER)!;
  const renamed: ObjectChange = { kind: "pool", id: POOL, before: { name: "old" }, after: { name: "web" } };
  const { changes } = namedChanges([renamed, member], storeOf({}));
  deepEqual(changes.map(({ name, action, with: owner }) => [name, action, owner]), [
    ["web", "changed", null],
    ["web/192.0.2.10:443", "deleted", null],
  ]);
});

type Store = Parameters<typeof namedChanges>[1];

function storeOf(pools: Readonly<Record<string, { readonly name: string }>>): Store {
  const nothing = () => undefined;
  return { pools: { get: (id: string) => pools[id] }, members: { get: nothing } } as unknown as Store;
}
