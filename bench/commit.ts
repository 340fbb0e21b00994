/**
 * What a change costs: `deno task bench commit [SERVICES]`.
 *
 * The same single edits are committed, each in a transaction of its own on a real file, to a database of 1,000
 * services and to one of many. A commit costs what it touches, so both must cost about the same; the floor is the
 * bare SQLite transaction that changes one row. Then the same edits are made in turn with a guard that looks at them and
 * forced past it: what lies between is what a guard costs where it needs no forecast, and where it does (`forecast`:
 * a change of ten names where less than all of their answers would be refused).
 *
 * @module
 */
import assert from "node:assert/strict";
import { systemClock } from "../src/clock.ts";
import { Changes } from "../src/change/commit.ts";
import type { Edit } from "../src/change/edit.ts";
import { newId } from "../src/model/id.ts";
import { MEMBER_DEFAULTS, POOL_DEFAULTS, SERVICE_DEFAULTS } from "../src/model/model.ts";
import { AnswerGuard } from "../src/plan/answer_guard.ts";
import { EMPTY_GEO_DATA } from "../src/geo/geo_data.ts";
import { ownLocation } from "../src/snapshot/lists.ts";
import { Store } from "../src/store/store.ts";
import { TEST_SETTINGS } from "../tests/test_node.ts";

/** Takes some seconds, most of them to fill the larger database. */
export const quick = true;

const SMALL = 1_000;
const EDITS = 2_000;
const ORIGIN = { via: "bench", by: "", reason: "" };
/** Services of a pool. */
const SHARE = 10;
const MEMBER = { ...MEMBER_DEFAULTS, ipAddress: "192.0.2.1", port: 443 };

/** Runs the comparison; the larger database has 50,000 services unless told otherwise. */
export async function bench([services = "50000"]: string[]): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-bench-" });
  try {
    console.log(`${EDITS} single edits each, microseconds      p50      p99`);
    for (const size of [SMALL, Number(services)]) measure(`${folder}/${size}.db`, size);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function measure(path: string, size: number): void {
  using store = Store.open(path);
  const changes = new Changes({ store, clock: systemClock });
  const [poolId, memberId, serviceId] = [newId(), newId(), newId()];
  const service = (domain: string, ttl: number) => ({ ...SERVICE_DEFAULTS, domain, poolId, ttl });
  const given: Edit[] = [
    {
      kind: "createPool",
      id: poolId,
      fields: { ...POOL_DEFAULTS, name: "web" },
    },
    { kind: "createMember", id: memberId, poolId, fields: MEMBER },
    { kind: "createService", id: serviceId, fields: service("edited.example.org", 0) },
  ];
  let other = poolId;
  for (let i = 1; i < size; i++) {
    if (i % SHARE === 0) {
      other = newId();
      given.push({ kind: "createPool", id: other, fields: { ...POOL_DEFAULTS, name: `pool-${i}` } });
      given.push({ kind: "createMember", id: newId(), poolId: other, fields: MEMBER });
    }
    const fields = { ...service(`s${i}.example.org`, 30), poolId: other };
    given.push({ kind: "createService", id: newId(), fields });
  }
  changes.commit(given, ORIGIN);
  const commit = (edit: Edit) => changes.commit([edit], ORIGIN);
  const label = `${size.toLocaleString("en")} services`;
  time(
    `${label}, one bare UPDATE`,
    (i) =>
      store.database.transact(() =>
        store.database.run("UPDATE services SET ttl = ? WHERE id = ?", i, serviceId)
      ),
  );
  time(
    `${label}, member`,
    (i) => commit({ kind: "updateMember", id: memberId, fields: { ...MEMBER, weight: 2 + i } }),
  );
  time(
    `${label}, service`,
    (i) => commit({ kind: "updateService", id: serviceId, fields: service("edited.example.org", 1 + i) }),
  );
  time(
    `${label}, new service`,
    (i) =>
      commit({
        kind: "createService",
        id: newId(),
        fields: { ...service(`n${i}.example.org`, 30), poolId: null },
      }),
  );
  assert.equal(store.generation(), 1 + 3 * EDITS);
  assert.equal(store.services.count(), size + EDITS);
  assert.equal(store.members.get(memberId)!.weight, 1 + EDITS);
  const reweighed = (i: number): Edit => ({
    kind: "updateMember",
    id: memberId,
    fields: { ...MEMBER, weight: 1 + i % 2 },
  });
  for (const [kind, movedPercent] of [["guarded", 30], ["forecast", 0]] as const) {
    changes.guardBy(guardOf(movedPercent));
    const figures = inTurn(
      (i) => changes.commit([reweighed(i)], ORIGIN),
      (i) => changes.commit([reweighed(i)], ORIGIN, { force: true }),
    );
    print(`${label}, member, ${kind}`, figures[0]);
    print(`${label}, member, forced`, figures[1]);
  }
}

/** Its only member's weight moves nothing. */
function guardOf(movedPercent: number): AnswerGuard {
  return new AnswerGuard({
    settings: () => ({ ...TEST_SETTINGS, guards: { ...TEST_SETTINGS.guards, movedPercent } }),
    world: () => ({
      health: { out: new Map(), roundTripsUs: new Map() },
      geoData: EMPTY_GEO_DATA,
      locationOf: ownLocation,
    }),
    addressesOf: () => [],
    nowMs: () => systemClock.unixMs(),
    portable: () => {
      throw new Error("There is one thread");
    },
  });
}

function time(name: string, edit: (i: number) => void): void {
  const us: number[] = [];
  for (let i = 0; i < EDITS; i++) us.push(timed(() => edit(i)));
  print(name, us);
}

/** One of one kind, one of the other, so that both meet the same machine. */
function inTurn(one: (i: number) => void, other: (i: number) => void): readonly [number[], number[]] {
  const us: readonly [number[], number[]] = [[], []];
  for (let i = 0; i < EDITS; i++) {
    us[0].push(timed(() => one(2 * i)));
    us[1].push(timed(() => other(2 * i + 1)));
  }
  return us;
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) * 1_000;
}

function print(name: string, us: readonly number[]): void {
  const sorted = us.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (EDITS - 1))]!.toFixed(0).padStart(9);
  console.log(`${name.padEnd(36)}${at(0.5)}${at(0.99)}`);
}
