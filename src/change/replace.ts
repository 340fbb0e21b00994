/**
 * Makes the stored model equal to a given one by the fewest edits. Objects are the same when their natural keys are
 * (a pool's name, a member's address and port, a service's or zone's domain, a geo rule's content); they keep the
 * ids they have here, whatever ids the given model has. A new object keeps its given id where that has the form of
 * one and is free. The order of objects is no difference.
 *
 * What isn't in the given model goes first, so that names are free when others take them. Memory holds the given
 * model's keys; the stored model is read in pages.
 *
 * @module
 */
import type { GeoRule, Member, Model, Pool } from "../config/model.ts";
import type { MemberRow } from "../store/members.ts";
import { isId } from "../store/id.ts";
import type { Page, PageRequest } from "../store/page.ts";
import type { Draft } from "./draft.ts";

/** Applies the edits that lead to `model`; pointers are those of a model's parts, behind `at`. */
export function replaceModel(draft: Draft, model: Model, at: string): void {
  deleteOthers(draft, model);
  const poolIds = adoptPoolIds(draft, model);
  const names = new Map(model.pools.map(({ id, name }) => [id, name]));
  // A reference that leads nowhere is kept, and refused as such.
  const poolIdOf = (id: string | null) => id === null ? null : poolIds.get(names.get(id) ?? "") ?? id;
  for (
    const [i, zone] of uniqueBy(
      model.zones,
      (zone) => zone.domain,
      refuseTwice(draft, `${at}/zones`, "domain"),
    )
  ) {
    if (draft.store.zones.get(zone.domain)?.text !== zone.text) {
      draft.apply({ kind: "putZone", domain: zone.domain, text: zone.text }, `${at}/zones/${i}`);
    }
  }
  for (
    const [i, pool] of uniqueBy(model.pools, (pool) => pool.name, refuseTwice(draft, `${at}/pools`, "name"))
  ) {
    replacePool(draft, { pool, id: poolIds.get(pool.name)!, poolIdOf, at: `${at}/pools/${i}` });
  }
  const services = uniqueBy(
    model.services,
    (it) => it.domain,
    refuseTwice(draft, `${at}/services`, "domain"),
  );
  for (const [i, { id, ...given }] of services) {
    const fields = { ...given, poolId: poolIdOf(given.poolId) };
    const stored = draft.store.services.byDomain(given.domain);
    draft.apply(
      stored
        ? { kind: "updateService", id: stored.id, fields }
        : { kind: "createService", id: freeId(draft, id, draft.store.services), fields },
      `${at}/services/${i}`,
    );
  }
  draft.apply({ kind: "putFallback", fallback: model.fallback }, `${at}/fallback`);
}

/** By its name, the id under which each pool of the model is, or will be, stored. */
function adoptPoolIds(draft: Draft, { pools }: Model): Map<string, string> {
  return new Map(pools.map(({ id, name }) => [
    name,
    draft.store.pools.byName(name)?.id ?? freeId(draft, id, draft.store.pools),
  ]));
}

function replacePool(
  draft: Draft,
  { pool, id, poolIdOf, at }: {
    pool: Pool;
    id: string;
    poolIdOf: (id: string | null) => string | null;
    at: string;
  },
): void {
  const { members, healthCheck, geoRules, id: _, ...own } = pool;
  const fields = { ...own, fallbackPoolId: poolIdOf(own.fallbackPoolId) };
  const kind = draft.store.pools.get(id) ? "updatePool" : "createPool";
  if (!draft.apply({ kind, id, fields }, at)) return;
  const memberIds = replaceMembers(draft, { poolId: id, members, at: `${at}/members` });
  if (healthCheck) {
    draft.apply({ kind: "putHealthCheck", poolId: id, fields: healthCheck }, `${at}/healthCheck`);
  } else if (draft.store.healthChecks.get(id)) draft.apply({ kind: "deleteHealthCheck", poolId: id }, at);
  replaceGeoRules(draft, {
    poolId: id,
    rules: geoRules.map((rule) => ({ ...rule, memberId: memberIds.get(rule.memberId) ?? rule.memberId })),
    at: `${at}/geoRules`,
  });
}

/** Returns the stored id of each given member. */
function replaceMembers(
  draft: Draft,
  { poolId, members, at }: { poolId: string; members: readonly Member[]; at: string },
): Map<string, string> {
  const stored = new Map<string, MemberRow>();
  for (const row of draft.store.members.rowsOf(poolId)) stored.set(memberKey(row), row);
  const given = new Set(members.map(memberKey));
  for (const [key, { id }] of stored) if (!given.has(key)) draft.apply({ kind: "deleteMember", id }, at);
  const ids = new Map<string, string>();
  for (const [i, member] of uniqueBy(members, memberKey, refuseTwice(draft, at, "ipAddress"))) {
    const { id: givenId, ...fields } = member;
    const row = stored.get(memberKey(member));
    const id = row?.id ?? freeId(draft, givenId, draft.store.members);
    ids.set(givenId, id);
    draft.apply(
      row ? { kind: "updateMember", id, fields } : { kind: "createMember", id, poolId, fields },
      `${at}/${i}`,
    );
  }
  return ids;
}

/** A rule has no name: equal content is the same rule, and as many are kept as there are given. */
function replaceGeoRules(
  draft: Draft,
  { poolId, rules, at }: { poolId: string; rules: readonly GeoRule[]; at: string },
): void {
  const missing = new Map<string, number>();
  for (const rule of rules) missing.set(ruleKey(rule), (missing.get(ruleKey(rule)) ?? 0) + 1);
  for (const row of draft.store.geoRules.rowsOf(poolId)) {
    const wanted = missing.get(ruleKey(row)) ?? 0;
    if (wanted > 0) missing.set(ruleKey(row), wanted - 1);
    else draft.apply({ kind: "deleteGeoRule", id: row.id }, at);
  }
  for (const [i, rule] of rules.entries()) {
    const wanted = missing.get(ruleKey(rule))!;
    if (wanted === 0) continue;
    missing.set(ruleKey(rule), wanted - 1);
    const { id, ...fields } = rule;
    draft.apply(
      { kind: "createGeoRule", id: freeId(draft, id, draft.store.geoRules), poolId, fields },
      `${at}/${i}`,
    );
  }
}

function deleteOthers(draft: Draft, model: Model): void {
  const { store } = draft;
  const domains = new Set(model.services.map((service) => service.domain));
  for (const { id, domain } of paged((page) => store.services.page(page))) {
    if (!domains.has(domain)) draft.apply({ kind: "deleteService", id }, "");
  }
  const names = new Set(model.pools.map((pool) => pool.name));
  for (const { id, name } of paged((page) => store.pools.page(page))) {
    if (!names.has(name)) draft.apply({ kind: "deletePool", id }, "");
  }
  const zones = new Set(model.zones.map((zone) => zone.domain));
  for (const { domain } of paged((page) => store.zones.page(page))) {
    if (!zones.has(domain)) draft.apply({ kind: "deleteZone", domain }, "");
  }
}

/** Rows page by page: unlike an open cursor, this bears deletions in between. */
function* paged<Row>(read: (page: PageRequest) => Page<Row>): Generator<Row> {
  for (let cursor: string | null = null;;) {
    const page: Page<Row> = read({ limit: 1_000, cursor });
    yield* page.items;
    if (page.next === null) return;
    cursor = page.next;
  }
}

/** The items with their places; of several with the same key only the first, the others are reported. */
function* uniqueBy<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
  report: (index: number, key: string) => void,
): Generator<[number, Item]> {
  const seen = new Set<string>();
  for (const [i, item] of items.entries()) {
    const key = keyOf(item);
    if (seen.has(key)) report(i, key);
    else {
      seen.add(key);
      yield [i, item];
    }
  }
}

function refuseTwice(draft: Draft, at: string, field: string): (index: number, key: string) => void {
  return (index, key) =>
    draft.refuse("duplicate", `${at}/${index}/${field}`, `"${key}" is there twice: remove one of the two`);
}

function freeId(draft: Draft, id: string, rows: { get(id: string): unknown }): string {
  return isId(id) && rows.get(id) === null ? id : draft.newId();
}

function memberKey({ ipAddress, port }: Pick<Member, "ipAddress" | "port">): string {
  return `${ipAddress} port ${port}`;
}

function ruleKey({ cidr, country, continent, memberId }: GeoRule): string {
  return JSON.stringify([cidr, country, continent, memberId]);
}
