/**
 * The change path a second time, in the plainest way: copy the model, make the edits, judge the whole. It shares
 * nothing with `src/change/` but types, so that both can't be wrong in the same way.
 *
 * @module
 */
import type { GeoRule, Member, Model, Pool, Service, Zone } from "../../src/model/model.ts";
import type { Edit, RefusalKind } from "../../src/change/edit.ts";

/** What the author of a test knows of a zone text: its cuts, or `null` for one that is broken. */
export type CutsOf = (zone: Zone) => readonly string[] | null;

/** A refusal, as an exception. */
export class OracleRefusal extends Error {
  constructor(readonly kind: RefusalKind) {
    super(kind);
  }
}

/** The model in one order: order is no difference between models. */
export function sorted(model: Model): Model {
  const by = <Item>(key: (item: Item) => string) => (a: Item, b: Item) => key(a) < key(b) ? -1 : 1;
  return {
    ...model,
    pools: model.pools.toSorted(by((pool) => pool.name)).map((pool) => ({
      ...pool,
      members: pool.members.toSorted(by((member) => member.id)),
      geoRules: pool.geoRules.toSorted(by((rule) => rule.id)),
    })),
    services: model.services.toSorted(by((service) => service.domain)),
    zones: model.zones.toSorted(by((zone) => zone.domain)),
  };
}

/**
 * The model after the edits; its generation is the same as before.
 *
 * @throws {OracleRefusal}
 */
export function edited(
  model: Model,
  edits: readonly Edit[],
  cutsOf: (zone: Zone) => readonly string[] | null,
): Model {
  const draft: Mutable = structuredClone({
    pools: [...model.pools],
    services: [...model.services],
    zones: [...model.zones],
    fallback: model.fallback,
  });
  for (const edit of edits) make(draft, edit, cutsOf);
  const after = sorted({ ...draft, generation: model.generation });
  judge(after, cutsOf);
  return after;
}

interface Mutable {
  pools: Pool[];
  services: Service[];
  zones: Zone[];
  fallback: Model["fallback"];
}

function make(draft: Mutable, edit: Edit, cutsOf: CutsOf): void {
  switch (edit.kind) {
    case "createPool":
      demand(!draft.pools.some((pool) => pool.id === edit.id), "duplicate");
      draft.pools.push({ id: edit.id, ...edit.fields, members: [], healthCheck: null, geoRules: [] });
      return demandUnique(draft.pools.map((pool) => pool.name));
    case "updatePool":
      changePool(draft, edit.id, (pool) => ({ ...pool, ...edit.fields }));
      return demandUnique(draft.pools.map((pool) => pool.name));
    case "deletePool":
      changePool(draft, edit.id, (pool) => pool);
      draft.services = draft.services.map((it) => it.poolId === edit.id ? { ...it, poolId: null } : it);
      draft.pools = draft.pools.filter((pool) => pool.id !== edit.id).map((pool) =>
        pool.fallbackPoolId === edit.id && pool.onAllDown !== "fallback"
          ? { ...pool, fallbackPoolId: null }
          : pool
      );
      return;
    case "createMember":
      demand(draft.pools.some((pool) => pool.id === edit.poolId), "not-found");
      demand(!draft.pools.some((pool) => pool.members.some((member) => member.id === edit.id)), "duplicate");
      return changeMembers(draft, edit.poolId, (members) => [...members, { id: edit.id, ...edit.fields }]);
    case "updateMember":
      return changeMembers(
        draft,
        poolOf(draft, (pool) => pool.members, edit.id),
        (members) =>
          members.map((member) => member.id === edit.id ? { ...edit.fields, id: edit.id } : member),
      );
    case "deleteMember":
      return changePool(draft, poolOf(draft, (pool) => pool.members, edit.id), (pool) => ({
        ...pool,
        members: pool.members.filter((member) => member.id !== edit.id),
        geoRules: pool.geoRules.filter((rule) => rule.memberId !== edit.id),
      }));
    case "createService":
      demand(!draft.services.some((service) => service.id === edit.id), "duplicate");
      draft.services.push({ id: edit.id, ...edit.fields });
      return demandUnique(draft.services.map((service) => service.domain));
    case "updateService":
      demand(draft.services.some((service) => service.id === edit.id), "not-found");
      draft.services = draft.services.map((it) => it.id === edit.id ? { ...edit.fields, id: edit.id } : it);
      return demandUnique(draft.services.map((service) => service.domain));
    case "deleteService":
      demand(draft.services.some((service) => service.id === edit.id), "not-found");
      draft.services = draft.services.filter((service) => service.id !== edit.id);
      return;
    case "putHealthCheck":
      return changePool(draft, edit.poolId, (pool) => ({ ...pool, healthCheck: edit.fields }));
    case "deleteHealthCheck":
      return changePool(draft, edit.poolId, (pool) => {
        demand(pool.healthCheck !== null, "not-found");
        return { ...pool, healthCheck: null };
      });
    case "createGeoRule":
      demand(draft.pools.some((pool) => pool.id === edit.poolId), "not-found");
      demand(!draft.pools.some((pool) => pool.geoRules.some((rule) => rule.id === edit.id)), "duplicate");
      return changeRules(draft, edit.poolId, (rules) => [...rules, { id: edit.id, ...edit.fields }]);
    case "updateGeoRule":
      return changeRules(
        draft,
        poolOf(draft, (pool) => pool.geoRules, edit.id),
        (rules) => rules.map((rule) => rule.id === edit.id ? { ...edit.fields, id: edit.id } : rule),
      );
    case "deleteGeoRule":
      return changeRules(
        draft,
        poolOf(draft, (pool) => pool.geoRules, edit.id),
        (rules) => rules.filter((rule) => rule.id !== edit.id),
      );
    case "putZone":
      demand(cutsOf(edit) !== null, "invalid");
      draft.zones = draft.zones.filter((zone) => zone.domain !== edit.domain);
      draft.zones.push({ domain: edit.domain, text: edit.text });
      return;
    case "deleteZone":
      demand(draft.zones.some((zone) => zone.domain === edit.domain), "not-found");
      draft.zones = draft.zones.filter((zone) => zone.domain !== edit.domain);
      return;
    case "putFallback":
      draft.fallback = edit.fallback;
      return;
  }
}

function judge(model: Model, cutsOf: CutsOf): void {
  const pools = new Map(model.pools.map((pool) => [pool.id, pool]));
  for (const pool of model.pools) {
    demand(pool.onAllDown !== "fallback" || pool.fallbackPoolId !== null, "invalid");
    const seen = new Set<string>();
    for (let at: Pool | undefined = pool; at.fallbackPoolId !== null;) {
      demand(!seen.has(at.id), "invalid");
      seen.add(at.id);
      at = pools.get(at.fallbackPoolId);
      if (!at) throw new OracleRefusal("missing-reference");
    }
    for (const rule of pool.geoRules) {
      demand(pool.members.some((member) => member.id === rule.memberId), "missing-reference");
    }
  }
  for (const service of model.services) {
    demand(service.poolId === null || pools.has(service.poolId), "missing-reference");
    const [zone] = model.zones.filter((it) => isAtOrBelow(service.domain, it.domain))
      .toSorted((a, b) => b.domain.length - a.domain.length);
    for (const cut of (zone && cutsOf(zone)) ?? []) {
      demand(cut === service.domain || !isAtOrBelow(service.domain, cut), "invalid");
    }
  }
}

function isAtOrBelow(name: string, ancestor: string): boolean {
  return name === ancestor || name.endsWith(`.${ancestor}`);
}

function changePool(draft: Mutable, id: string, change: (pool: Pool) => Pool): void {
  demand(draft.pools.some((pool) => pool.id === id), "not-found");
  draft.pools = draft.pools.map((pool) => pool.id === id ? change(pool) : pool);
}

function changeMembers(draft: Mutable, id: string, change: (members: readonly Member[]) => Member[]): void {
  changePool(draft, id, (pool) => {
    const members = change(pool.members);
    demandUnique(members.map((member) => `${member.ipAddress} ${member.target} ${member.port}`));
    return { ...pool, members };
  });
}

function changeRules(draft: Mutable, id: string, change: (rules: readonly GeoRule[]) => GeoRule[]): void {
  changePool(draft, id, (pool) => ({ ...pool, geoRules: change(pool.geoRules) }));
}

function poolOf(draft: Mutable, partsOf: (pool: Pool) => readonly { id: string }[], id: string): string {
  const pool = draft.pools.find((it) => partsOf(it).some((part) => part.id === id));
  if (!pool) throw new OracleRefusal("not-found");
  return pool.id;
}

function demandUnique(keys: readonly string[]): void {
  demand(new Set(keys).size === keys.length, "duplicate");
}

function demand(holds: boolean, kind: RefusalKind): void {
  if (!holds) throw new OracleRefusal(kind);
}
