/**
 * What an entry of the log makes of the model that it meets: the objects that it touched, as they are to be.
 *
 * An entry has each object as its author found it and as it left it. Where the model is still as it was found, it becomes
 * what it was left as. Where others were faster, only the fields that the author changed are taken over, and what goes
 * along with a deletion goes along today: the members that a pool has now, and not those that it had. An object that was
 * deleted is never brought back by a change of it.
 *
 * @module
 */
import type { ObjectKind } from "../store/history.ts";
import type { RecordedChange } from "../store/history_parts.ts";
import type { ModelKind, PastChange } from "../store/past.ts";
import type { Store } from "../store/store.ts";
import type { RefusalKind } from "./edit.ts";
import { fallbackJson, jsonOf, objectOf, recordedText, storedJson } from "./history_json.ts";

/** Told of what doesn't fit any more; throws when there is too much. */
export type Refuse = (kind: RefusalKind, pointer: string, message: string) => void;

/** The objects of a model that an entry touches, each once; `before` is what each is to be. */
export function objectsWanted(
  store: Store,
  changes: readonly RecordedChange[],
  refuse: Refuse,
): PastChange[] {
  return new Wanted(store, refuse).of(changes.filter((change) => change.kind !== "override"));
}

/** The text of an object as it is stored at this moment. */
export function nowOf(store: Store, kind: ModelKind, id: string): string | null {
  if (kind !== "fallback") return storedJson(store, { kind, id, poolId: null });
  const fallback = store.fallback();
  return fallback && fallbackJson(fallback);
}

/** What people call a kind. */
export const NOUNS: Readonly<Record<ModelKind, string>> = {
  pool: "pool",
  member: "member",
  healthCheck: "health check of pool",
  geoRule: "geo rule",
  service: "service",
  zone: "zone",
  fallback: "static fallback",
};

class Wanted {
  readonly #store: Store;
  readonly #refuse: Refuse;
  readonly #wanted = new Map<string, PastChange>();

  constructor(store: Store, refuse: Refuse) {
    this.#store = store;
    this.#refuse = refuse;
  }

  of(changes: readonly RecordedChange[]): PastChange[] {
    for (const change of changes) this.#take(change as PastChange);
    for (const { kind, id, before } of [...this.#wanted.values()]) {
      if (before !== null) continue;
      if (kind === "pool") this.#withoutPool(id);
      if (kind === "member") this.#withoutMember(id);
    }
    for (const change of this.#wanted.values()) this.#expectReferences(change);
    this.#expectFreeNames();
    return [...this.#wanted.values()];
  }

  #take({ kind, id, before, after }: PastChange): void {
    const now = nowOf(this.#store, kind, id);
    if (after === null || before === null || now === before) return this.#want(kind, id, after);
    if (now === null) {
      const name = nameOf(kind, before) ?? id;
      return this.#refuse("not-found", "", `The ${NOUNS[kind]} ${name} was deleted meanwhile`);
    }
    const [was, is] = [recordedText(kind, before), recordedText(kind, after)];
    if (now === was || now === is) return this.#want(kind, id, is);
    if (kind === "zone" || kind === "fallback") {
      return this.#refuse("stale", "", `The ${NOUNS[kind]} ${id} was changed meanwhile, as a whole`);
    }
    this.#want(kind, id, merged(kind, { was, is, now }));
  }

  /** What is in a pool goes with it, and services and pools that refer to it lose it. */
  #withoutPool(poolId: string): void {
    const store = this.#store;
    for (const { id } of store.members.rowsOf(poolId)) this.#want("member", id, null);
    for (const { id } of store.geoRules.rowsOf(poolId)) this.#want("geoRule", id, null);
    if (store.healthChecks.get(poolId)) this.#want("healthCheck", poolId, null);
    for (const service of store.services.someOf(poolId, Number.MAX_SAFE_INTEGER)) {
      if (this.#wanted.has(keyOf("service", service.id))) continue;
      this.#want("service", service.id, jsonOf("service", { ...service, poolId: null }));
    }
    for (const pool of store.pools.fallingBackTo(poolId)) {
      if (pool.onAllDown === "fallback" || this.#wanted.has(keyOf("pool", pool.id))) continue;
      this.#want("pool", pool.id, jsonOf("pool", { ...pool, fallbackPoolId: null }));
    }
  }

  #withoutMember(memberId: string): void {
    for (const { id, poolId } of this.#store.geoRules.towards(memberId)) {
      // Another pool's rule is refused when all is made.
      if (poolId === this.#store.members.get(memberId)?.poolId) this.#want("geoRule", id, null);
    }
  }

  #want(kind: ModelKind, id: string, json: string | null): void {
    this.#wanted.set(keyOf(kind, id), { kind, id, before: json, after: null });
  }

  /** Foreign keys would refuse the row before anything could be said about it. */
  #expectReferences({ kind, id, before }: PastChange): void {
    if (before === null) return;
    switch (kind) {
      case "member":
      case "geoRule":
      case "healthCheck": {
        const { poolId } = objectOf(kind, before);
        if (!this.#isThere("pool", poolId)) return this.#missing(kind, id, "pool", poolId);
        if (kind !== "geoRule") return;
        const { memberId } = objectOf(kind, before);
        if (memberId !== null && !this.#isThere("member", memberId)) {
          this.#missing(kind, id, "member", memberId);
        }
        return;
      }
      case "service": {
        const { poolId, domain } = objectOf(kind, before);
        if (poolId !== null && !this.#isThere("pool", poolId)) this.#missing(kind, domain, "pool", poolId);
        return;
      }
      case "pool": {
        const { fallbackPoolId, name } = objectOf(kind, before);
        if (fallbackPoolId !== null && !this.#isThere("pool", fallbackPoolId)) {
          this.#missing(kind, name, "pool", fallbackPoolId);
        }
      }
    }
  }

  #missing(kind: ModelKind, name: string, what: "pool" | "member", id: string): void {
    this.#refuse(
      "missing-reference",
      "",
      `The ${what} ${id} that the ${NOUNS[kind]} ${name} needs was deleted meanwhile`,
    );
  }

  #isThere(kind: "pool" | "member", id: string): boolean {
    const wanted = this.#wanted.get(keyOf(kind, id));
    if (wanted) return wanted.before !== null;
    return (kind === "pool" ? this.#store.pools.get(id) : this.#store.members.get(id)) !== null;
  }

  /** As unique keys would, but in words. */
  #expectFreeNames(): void {
    const taken = new Map<string, string>();
    for (const { kind, id, before } of this.#wanted.values()) {
      const holder = before === null ? null : this.#holder(kind, before);
      if (holder === null || before === null) continue;
      const { key, id: stored } = holder;
      const other = taken.get(key) ??
        (stored !== null && !this.#wanted.has(keyOf(kind, stored)) ? stored : null);
      taken.set(key, id);
      if (other === null || other === id) continue;
      this.#refuse(
        "duplicate",
        "",
        `There is another ${NOUNS[kind]} ${nameOf(kind, before)} by now (id ${other})`,
      );
    }
  }

  /** What must be unique of an object, and which stored one has it. */
  #holder(kind: ModelKind, json: string): { readonly key: string; readonly id: string | null } | null {
    switch (kind) {
      case "pool": {
        const { name } = objectOf(kind, json);
        return { key: `pool ${name}`, id: this.#store.pools.byName(name)?.id ?? null };
      }
      case "service": {
        const { domain } = objectOf(kind, json);
        return { key: `service ${domain}`, id: this.#store.services.byDomain(domain)?.id ?? null };
      }
      case "member": {
        const member = objectOf(kind, json);
        const key = `member ${member.poolId} ${member.ipAddress} ${member.target} ${member.port}`;
        return { key, id: this.#store.members.at(member)?.id ?? null };
      }
      default:
        return null;
    }
  }
}

function keyOf(kind: ObjectKind, id: string): string {
  return `${kind} ${id}`;
}

/** What an object is called, from its JSON. */
function nameOf(kind: ModelKind, json: string): string | null {
  const { name, domain, ipAddress, target, port } = JSON.parse(json);
  if (kind === "member") return `${ipAddress ?? target} port ${port}`;
  return name ?? domain ?? null;
}

/** The fields that an author changed, on top of what others made of the rest. */
function merged(
  kind: Exclude<ModelKind, "zone" | "fallback">,
  { was, is, now }: { readonly was: string; readonly is: string; readonly now: string },
): string {
  const [old, mine, theirs] = [was, is, now].map((json) => JSON.parse(json));
  const changed = Object.keys(mine).filter((key) => JSON.stringify(mine[key]) !== JSON.stringify(old[key]));
  return recordedText(
    kind,
    JSON.stringify({ ...theirs, ...Object.fromEntries(changed.map((key) => [key, mine[key]])) }),
  );
}
