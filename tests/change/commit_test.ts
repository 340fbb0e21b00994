/**
 * What a commit accepts, what it refuses and in which words, and what it leaves behind.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { ChangeRefused, type Commit, type Edit, type RefusalKind } from "../../src/change/edit.ts";
import { Store } from "../../src/store/store.ts";
import { dump } from "../store/dump.ts";
import { MANUAL_START_UNIX_MS, ManualClock } from "../clock.ts";
import {
  createMember,
  createPool,
  createService,
  geoRuleFields,
  healthCheck,
  id,
  memberFields,
  ORIGIN,
  poolFields,
  serviceFields,
  zoneText,
} from "./samples.ts";

/** An empty store, or one that holds what the edits make. */
function open(...edits: readonly Edit[]): { store: Store; changes: Changes; [Symbol.dispose](): void } {
  const store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock() });
  if (edits.length > 0) changes.commit(edits, ORIGIN);
  return { store, changes, [Symbol.dispose]: () => store.close() };
}

function manyMembers(count: number): Edit[] {
  return Array.from({ length: count }, (_, i) => createMember(1_000 + i, 1, { port: 1_000 + i }));
}

function createRule(number: number, asn: number): Edit {
  return {
    kind: "createGeoRule",
    id: id(number),
    poolId: id(1),
    fields: geoRuleFields({ asn: asn || null, memberId: id(2) }),
  };
}

function manyRules(count: number): Edit[] {
  return Array.from({ length: count }, (_, i) => createRule(10_000 + i, 1 + i));
}

interface Refused {
  readonly name: string;
  readonly given?: readonly Edit[];
  readonly edits: readonly Edit[];
  readonly kind: RefusalKind;
  readonly pointer: string;
  readonly message: RegExp;
}

const REFUSED: readonly Refused[] = [
  {
    name: "a second pool of the same name",
    given: [createPool(1)],
    edits: [createPool(2)],
    kind: "duplicate",
    pointer: "/name",
    message: /pool named "web" exists already/,
  },
  {
    name: "a pool renamed to another pool's name",
    given: [createPool(1), createPool(2, { name: "mail" })],
    edits: [{ kind: "updatePool", id: id(2), fields: poolFields({ name: "web" }) }],
    kind: "duplicate",
    pointer: "/name",
    message: /pool named "web" exists already/,
  },
  {
    name: "an id that is taken",
    given: [createPool(1)],
    edits: [createPool(1, { name: "mail" })],
    kind: "duplicate",
    pointer: "/id",
    message: /exists already/,
  },
  {
    name: "an id of another form",
    edits: [{ kind: "createPool", id: "web", fields: poolFields() }],
    kind: "invalid",
    pointer: "/id",
    message: /"web" must be 32 lower-case hex digits/,
  },
  {
    name: "an update of a pool that isn't there",
    edits: [{ kind: "updatePool", id: id(1), fields: poolFields() }],
    kind: "not-found",
    pointer: "",
    message: /There is no pool 0{31}1/,
  },
  {
    name: "an update made for an older revision",
    given: [createPool(1)],
    edits: [{ kind: "updatePool", id: id(1), fields: poolFields({ maxAnswers: 2 }), ifRevision: 7 }],
    kind: "stale",
    pointer: "",
    message: /is at revision 1, this edit was made for 7; read it again/,
  },
  {
    name: "a member by a name and port that the pool has",
    given: [createPool(1), createMember(11, 1, { target: "lb.example.net" })],
    edits: [createMember(12, 1, { target: "lb.example.net" })],
    kind: "duplicate",
    pointer: "/target",
    message: /has a member lb\.example\.net port 443 already/,
  },
  {
    name: "a member by the name of a service that its pool answers",
    given: [createPool(1), createService(2, { domain: "www.example.com", poolId: id(1) })],
    edits: [createMember(11, 1, { target: "www.example.com" })],
    kind: "invalid",
    pointer: "/target",
    message: /"www\.example\.com" is answered by pool "web", which has this very name as a member/,
  },
  {
    name: "a service whose pool has its own name as a member",
    given: [createPool(1), createMember(11, 1, { target: "www.example.com" })],
    edits: [createService(2, { domain: "www.example.com", poolId: id(1) })],
    kind: "invalid",
    pointer: "/poolId",
    message: /"www\.example\.com" is answered by pool "web", which has this very name as a member/,
  },
  {
    name: "onAllDown fallback without a fallback pool",
    edits: [createPool(1, { onAllDown: "fallback" })],
    kind: "invalid",
    pointer: "/fallbackPoolId",
    message: /^fallbackPoolId is required \(the id of a pool\) because onAllDown is fallback$/,
  },
  {
    name: "a fallback pool that isn't there",
    edits: [createPool(1, { onAllDown: "fallback", fallbackPoolId: id(9) })],
    kind: "missing-reference",
    pointer: "/fallbackPoolId",
    message: /^pool "0{31}9" doesn't exist \(let pool "web" fall back to another one/,
  },
  {
    name: "a pool that falls back to itself",
    edits: [createPool(1, { onAllDown: "fallback", fallbackPoolId: id(1) })],
    kind: "invalid",
    pointer: "/fallbackPoolId",
    message: /in a circle: web → web \(/,
  },
  {
    name: "a circle of fallbacks over three pools",
    given: [
      createPool(1, { name: "a" }),
      createPool(2, { name: "b", fallbackPoolId: id(1) }),
      createPool(3, { name: "c", fallbackPoolId: id(2) }),
    ],
    edits: [{ kind: "updatePool", id: id(1), fields: poolFields({ name: "a", fallbackPoolId: id(3) }) }],
    kind: "invalid",
    pointer: "/fallbackPoolId",
    message: /in a circle: a → c → b → a \(/,
  },
  {
    name: "the deletion of a pool that another one needs as its fallback",
    given: [createPool(1), createPool(2, { name: "b", onAllDown: "fallback", fallbackPoolId: id(1) })],
    edits: [{ kind: "deletePool", id: id(1) }],
    kind: "missing-reference",
    pointer: "",
    message: /doesn't exist \(let pool "b" fall back to another one/,
  },
  {
    name: "a member of a pool that isn't there",
    edits: [createMember(2, 1)],
    kind: "not-found",
    pointer: "",
    message: /There is no pool 0{31}1/,
  },
  {
    name: "a second member with the same address and port in a pool",
    given: [createPool(1), createMember(2, 1)],
    edits: [createMember(3, 1)],
    kind: "duplicate",
    pointer: "/ipAddress",
    message: /has a member 192\.0\.2\.10 port 443 already/,
  },
  {
    name: "a member more than a pool may have",
    given: [createPool(1), ...manyMembers(256)],
    edits: [createMember(3, 1)],
    kind: "invalid",
    pointer: "",
    message: /^members must be at most 256 in a pool \(delete some, or divide them among several pools\)$/,
  },
  {
    name: "a geo rule more than a pool may have",
    given: [createPool(1), createMember(2, 1), ...manyRules(1000)],
    edits: [createRule(3, 0)],
    kind: "invalid",
    pointer: "",
    message: /^geoRules must be at most 1000 in a pool \(join prefixes, /,
  },
  {
    name: "a member moved to another member's address",
    given: [createPool(1), createMember(2, 1), createMember(3, 1, { port: 80 })],
    edits: [{ kind: "updateMember", id: id(3), fields: memberFields() }],
    kind: "duplicate",
    pointer: "/ipAddress",
    message: /has a member 192\.0\.2\.10 port 443 already/,
  },
  {
    name: "the deletion of a member that isn't there",
    edits: [{ kind: "deleteMember", id: id(1) }],
    kind: "not-found",
    pointer: "",
    message: /There is no member/,
  },
  {
    name: "a second service for the same domain",
    given: [createService(1)],
    edits: [createService(2)],
    kind: "duplicate",
    pointer: "/domain",
    message: /service for "www\.example\.com" exists already/,
  },
  {
    name: "a service with a pool that isn't there",
    edits: [createService(1, { poolId: id(9) })],
    kind: "missing-reference",
    pointer: "/poolId",
    message: /^pool "0{31}9" doesn't exist/,
  },
  {
    name: "a service whose domain isn't canonical",
    edits: [createService(1, { domain: "WWW.example.com." })],
    kind: "invalid",
    pointer: "/domain",
    message: /must be written "www\.example\.com"/,
  },
  {
    name: "a service whose domain is no name",
    edits: [createService(1, { domain: "a..b" })],
    kind: "invalid",
    pointer: "/domain",
    message: /a label is empty/,
  },
  {
    name: "a service strictly below a zone cut",
    given: [{ kind: "putZone", domain: "example.com", text: zoneText("sub 300 NS ns.example.net.") }],
    edits: [createService(1, { domain: "www.sub.example.com" })],
    kind: "invalid",
    pointer: "/domain",
    message: /^service "www\.sub\.example\.com" is below "sub\.example\.com", which NS records delegate/,
  },
  {
    name: "a zone with a cut above a service",
    given: [createService(1, { domain: "a.b.sub.example.com" })],
    edits: [{ kind: "putZone", domain: "example.com", text: zoneText("sub 300 NS ns.example.net.") }],
    kind: "invalid",
    pointer: "/text",
    message: /^service "a\.b\.sub\.example\.com" is below "sub\.example\.com"/,
  },
  {
    name: "the deletion of a zone whose services then lie below a cut of the zone around it",
    given: [
      { kind: "putZone", domain: "example.com", text: zoneText("sub 300 NS ns.example.net.") },
      { kind: "putZone", domain: "sub.example.com", text: zoneText() },
      createService(1, { domain: "www.sub.example.com" }),
    ],
    edits: [{ kind: "deleteZone", domain: "sub.example.com" }],
    kind: "invalid",
    pointer: "",
    message: /is below "sub\.example\.com", which NS records delegate/,
  },
  {
    name: "a zone whose text can't be read",
    edits: [{ kind: "putZone", domain: "example.com", text: zoneText("www 300 A 192.0.2.300") }],
    kind: "invalid",
    pointer: "/text",
    message: /Zone "example\.com": line 4, column \d+: /,
  },
  {
    name: "a zone without SOA",
    edits: [{ kind: "putZone", domain: "example.com", text: "@ 300 NS ns.example.net.\n" }],
    kind: "invalid",
    pointer: "/text",
    message: /SOA/,
  },
  {
    name: "a wildcard zone",
    edits: [{ kind: "putZone", domain: "*.example.com", text: zoneText() }],
    kind: "invalid",
    pointer: "/domain",
    message: /must not be a wildcard/,
  },
  {
    name: "the deletion of a health check that isn't there",
    given: [createPool(1)],
    edits: [{ kind: "deleteHealthCheck", poolId: id(1) }],
    kind: "not-found",
    pointer: "",
    message: /There is no health check of pool/,
  },
  {
    name: "a health check that was deleted since its author saw it",
    given: [createPool(1)],
    edits: [{ kind: "putHealthCheck", poolId: id(1), fields: healthCheck(), ifRevision: 1 }],
    kind: "stale",
    pointer: "",
    message: /is at revision none/,
  },
  {
    name: "a geo rule that leads to another pool's member",
    given: [createPool(1), createPool(2, { name: "b" }), createMember(3, 2)],
    edits: [{
      kind: "createGeoRule",
      id: id(4),
      poolId: id(1),
      fields: geoRuleFields({ memberId: id(3) }),
    }],
    kind: "missing-reference",
    pointer: "/memberId",
    message: /^member 0{31}3 isn't in this pool \(name one of pool 0{31}1\)/,
  },
  {
    name: "a geo rule whose member is created in another pool and goes with that pool",
    given: [createPool(1), createPool(2, { name: "b" })],
    edits: [
      { kind: "createGeoRule", id: id(4), poolId: id(1), fields: geoRuleFields({ memberId: id(3) }) },
      createMember(3, 2),
      { kind: "deletePool", id: id(2) },
    ],
    kind: "missing-reference",
    pointer: "/0/memberId",
    message: /^member 0{31}3 isn't in this pool/,
  },
  {
    name: "a geo rule that was moved to another pool's member before that member went",
    given: [
      createPool(1),
      createPool(2, { name: "b" }),
      createMember(3, 2),
      createMember(5, 1),
      { kind: "createGeoRule", id: id(4), poolId: id(1), fields: geoRuleFields({ memberId: id(5) }) },
    ],
    edits: [
      { kind: "updateGeoRule", id: id(4), fields: geoRuleFields({ memberId: id(3) }) },
      { kind: "deleteMember", id: id(3) },
    ],
    kind: "missing-reference",
    pointer: "/0/memberId",
    message: /^member 0{31}3 isn't in this pool/,
  },
  {
    name: "the second of two edits, with its place in the pointer",
    edits: [createPool(1), createPool(2)],
    kind: "duplicate",
    pointer: "/1/name",
    message: /exists already/,
  },
];

for (const { name, given = [], edits, kind, pointer, message } of REFUSED) {
  Deno.test(`commit() refuses ${name} and writes nothing`, () => {
    using opened = open(...given);
    const before = dump(opened.store);
    assert.throws(() => opened.changes.commit(edits, ORIGIN), (error) => {
      assert(error instanceof ChangeRefused);
      assert.equal(error.kind, kind);
      assert.equal(error.problems.length, 1);
      assert.equal(error.problems[0]!.pointer, pointer);
      assert.match(error.problems[0]!.message, message);
      return true;
    });
    assert.deepEqual(dump(opened.store), before);
  });
}

Deno.test("commit() names every problem of a commit, up to a hundred", () => {
  using opened = open();
  const edits = Array.from({ length: 150 }, (_, i) => createMember(i, 999));
  assert.throws(() => opened.changes.commit(edits, ORIGIN), (error) => {
    assert(error instanceof ChangeRefused);
    assert.equal(error.problems.length, 100);
    return true;
  });
});

Deno.test("a pool with more parts than it may have, from an earlier version, can be changed but not grow", () => {
  using opened = open(createPool(1), ...manyMembers(255), createMember(2, 1));
  opened.store.database.exec(
    "INSERT INTO members (id, pool_id, target, port, revision) SELECT lower(hex(randomblob(16))), pool_id, " +
      "'lb.example.net', port, 1 FROM members",
  );
  const edits: Edit[] = [
    { kind: "updateMember", id: id(2), fields: memberFields({ weight: 7 }) },
    { kind: "deleteMember", id: id(1_000) },
    { kind: "updatePool", id: id(1), fields: poolFields({ maxAnswers: 3 }) },
  ];
  opened.changes.commit(edits, ORIGIN);
  assert.equal(opened.store.members.countOf(id(1)), 511);
  assert.throws(() => opened.changes.commit([createMember(3, 1, { port: 1 })], ORIGIN), ChangeRefused);
});

Deno.test("a member may take the place of one that a later edit of the same commit deletes", () => {
  using opened = open(createPool(1), ...manyMembers(256));
  opened.changes.commit([createMember(3, 1), { kind: "deleteMember", id: id(1_000) }], ORIGIN);
  assert.equal(opened.store.members.countOf(id(1)), 256);
});

Deno.test("an edit may refer to what a later edit of the same commit creates", () => {
  using opened = open();
  opened.changes.commit([
    createService(1, { poolId: id(2) }),
    createPool(2, { onAllDown: "fallback", fallbackPoolId: id(3) }),
    createPool(3, { name: "spare" }),
  ], ORIGIN);
  assert.equal(opened.store.services.get(id(1))!.poolId, id(2));
});

Deno.test("a later edit of the same commit may mend a zone cut", () => {
  using opened = open(
    { kind: "putZone", domain: "example.com", text: zoneText("sub 300 NS ns.example.net.") },
  );
  opened.changes.commit([
    createService(1, { domain: "www.sub.example.com" }),
    { kind: "putZone", domain: "example.com", text: zoneText() },
  ], ORIGIN);
  assert.equal(opened.store.services.count(), 1);
});

Deno.test("a service at the zone cut itself, or below it in a zone of its own, is accepted", () => {
  using opened = open(
    { kind: "putZone", domain: "example.com", text: zoneText("sub 300 NS ns.example.net.") },
    { kind: "putZone", domain: "own.sub.example.com", text: zoneText() },
  );
  opened.changes.commit([
    createService(1, { domain: "sub.example.com" }),
    createService(2, { domain: "www.own.sub.example.com" }),
  ], ORIGIN);
  assert.equal(opened.store.services.count(), 2);
});

Deno.test("deleting a pool takes members, check and rules, and leaves services without pool", () => {
  using opened = open(
    createPool(1),
    createMember(2, 1),
    { kind: "putHealthCheck", poolId: id(1), fields: healthCheck() },
    { kind: "createGeoRule", id: id(3), poolId: id(1), fields: geoRuleFields({ memberId: id(2) }) },
    createService(4, { poolId: id(1) }),
    createPool(5, { name: "mentions it", fallbackPoolId: id(1) }),
  );
  const commit = opened.changes.commit([{ kind: "deletePool", id: id(1) }], ORIGIN);
  const { store } = opened;
  assert.deepEqual(commit, {
    generation: 2,
    everything: false,
    poolIds: [id(1), id(5)],
    serviceIds: [id(4)],
    zoneDomains: [],
    fallback: false,
  });
  assert.deepEqual(
    [store.members.get(id(2)), store.healthChecks.get(id(1)), store.geoRules.get(id(3))],
    [null, null, null],
  );
  assert.deepEqual(store.services.get(id(4)), { ...serviceFields(), id: id(4), revision: 2 });
  assert.equal(store.pools.get(id(5))!.fallbackPoolId, null);
  assert.deepEqual([...store.history.changes(2)].map(({ kind, after }) => [kind, after === null]), [
    ["geoRule", true],
    ["healthCheck", true],
    ["member", true],
    ["pool", true],
    ["pool", false],
    ["service", false],
  ]);
});

Deno.test("deleting a pool with thousands of services leaves none of them with it", () => {
  const services = Array.from(
    { length: 2_500 },
    (_, i) => createService(100 + i, { domain: `s${i}.example.com`, poolId: id(1) }),
  );
  using opened = open(createPool(1), ...services);
  const commit = opened.changes.commit([{ kind: "deletePool", id: id(1) }], ORIGIN);
  assert.equal(commit.serviceIds.length, 2_500);
  for (const service of opened.store.services.each()) assert.equal(service.poolId, null);
});

Deno.test("deleting a member takes the rules that lead to it", () => {
  using opened = open(
    createPool(1),
    createMember(2, 1),
    { kind: "createGeoRule", id: id(3), poolId: id(1), fields: geoRuleFields({ memberId: id(2) }) },
  );
  opened.changes.commit([{ kind: "deleteMember", id: id(2) }], ORIGIN);
  assert.equal(opened.store.geoRules.get(id(3)), null);
});

Deno.test("only the rows that an edit changes get its revision", () => {
  using opened = open(createPool(1), createMember(2, 1), createMember(3, 1, { port: 80 }));
  opened.changes.commit([{ kind: "updateMember", id: id(2), fields: memberFields({ weight: 5 }) }], ORIGIN);
  const { pools, members } = opened.store;
  assert.deepEqual(
    [pools.get(id(1))!.revision, members.get(id(2))!.revision, members.get(id(3))!.revision],
    [1, 2, 1],
  );
});

Deno.test("an edit made for the present revision is accepted, also behind another edit of the same row", () => {
  using opened = open(createPool(1));
  opened.changes.commit([
    { kind: "updatePool", id: id(1), fields: poolFields({ maxAnswers: 2 }), ifRevision: 1 },
    { kind: "updatePool", id: id(1), fields: poolFields({ maxAnswers: 3 }), ifRevision: 1 },
  ], ORIGIN);
  assert.equal(opened.store.pools.get(id(1))!.maxAnswers, 3);
});

const UNCHANGING: readonly { readonly name: string; readonly edits: readonly Edit[] }[] = [
  { name: "no edits", edits: [] },
  { name: "the fields that are there", edits: [{ kind: "updatePool", id: id(1), fields: poolFields() }] },
  {
    name: "a creation and the deletion of the same object",
    edits: [createPool(7, { name: "short-lived" }), { kind: "deletePool", id: id(7) }],
  },
  {
    name: "a change and its reverse",
    edits: [
      { kind: "updatePool", id: id(1), fields: poolFields({ name: "other" }) },
      { kind: "updatePool", id: id(1), fields: poolFields() },
    ],
  },
  { name: "the fallback that is there", edits: [{ kind: "putFallback", fallback: null }] },
];

for (const { name, edits } of UNCHANGING) {
  Deno.test(`a commit of ${name} succeeds, but makes no generation and tells nobody`, () => {
    using opened = open(createPool(1));
    const before = dump(opened.store);
    let told = 0;
    using _ = opened.changes.subscribe(() => told++);
    const commit = opened.changes.commit(edits, ORIGIN);
    assert.equal(commit.generation, 1);
    assert.equal(told, 0);
    assert.deepEqual(dump(opened.store), before);
  });
}

Deno.test("dryRun() says what commit() would say, and writes nothing", () => {
  using opened = open(createPool(1));
  const before = dump(opened.store);
  const { generation, changed, changes, objects } = opened.changes.dryRun([createMember(2, 1)], ORIGIN);
  assert.deepEqual(dump(opened.store), before);
  assert.deepEqual({ generation, changed }, { generation: 1, changed: true });
  assert.deepEqual(objects, { member: { created: 1, changed: 0, deleted: 0 } });
  const commit = opened.changes.commit([createMember(2, 1)], ORIGIN);
  const recorded = [...opened.store.history.changes(commit.generation)];
  assert.deepEqual(changes.map(({ kind, id, before, after }) => ({ kind, id, before, after })), recorded);
  assert.throws(() => opened.changes.dryRun([createMember(3, 1)], ORIGIN), ChangeRefused);
});

Deno.test("subscribers hear of each commit before commit() returns, until they are disposed of", () => {
  using opened = open();
  const heard: Commit[] = [];
  {
    using _ = opened.changes.subscribe((commit) => heard.push(commit));
    const first = opened.changes.commit([createPool(1)], ORIGIN);
    assert.deepEqual(heard, [first]);
  }
  opened.changes.commit([createPool(2, { name: "b" })], ORIGIN);
  assert.equal(heard.length, 1);
});

Deno.test("a commit leaves a history entry with who, why, when and each object before and after", () => {
  using opened = open(createPool(1));
  opened.changes.commit(
    [{ kind: "updatePool", id: id(1), fields: poolFields({ maxAnswers: 0 }) }],
    { via: "tui", by: "alice", reason: "show all" },
  );
  const { history } = opened.store;
  assert.deepEqual(history.get(2), {
    generation: 2,
    at: MANUAL_START_UNIX_MS,
    via: "tui",
    by: "alice",
    reason: "show all",
  });
  assert.deepEqual([...history.changes(2)], [{
    kind: "pool",
    id: id(1),
    before: { id: id(1), ...poolFields() },
    after: { id: id(1), ...poolFields({ maxAnswers: 0 }) },
  }]);
  assert.deepEqual(history.page({ limit: 1 }), { items: [history.get(2)], next: "2" });
  assert.deepEqual(history.page({ limit: 1, cursor: "2" }), { items: [history.get(1)], next: null });
});

Deno.test("a commit of more than 10,000 objects is told as everything", () => {
  using opened = open();
  const edits = Array.from({ length: 10_001 }, (_, i) => createService(i, { domain: `s${i}.example.com` }));
  const commit = opened.changes.commit(edits, ORIGIN);
  assert.deepEqual([commit.everything, commit.serviceIds], [true, []]);
  assert.deepEqual(opened.store.history.touchedSince(0).everything, true);
});

Deno.test("the store of a node without database refuses every change and says why", () => {
  using store = Store.none();
  const changes = new Changes({ store, clock: new ManualClock() });
  assert.throws(() => changes.commit([createPool(1)], ORIGIN), /database\.path is none/);
});
