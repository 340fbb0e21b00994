/**
 * What a model has and another one lacks: what a node brings along that followed another log, or had followed one that the
 * server has lost.
 *
 * Objects are told by their names: pools with all that is in them, services and zones. What is there by that name stays as it is
 * there, whichever of the two is newer; so nothing is overwritten, and no older state of an object comes back.
 *
 * @module
 */
import type { RecordedChange } from "../store/history_parts.ts";
import type { Store } from "../store/store.ts";
import { jsonOf, objectOf } from "./history_json.ts";

/** Of a whole model, as created, what a store lacks, so that it can be put into it. */
export function lackingIn(store: Store, model: Iterable<RecordedChange>): RecordedChange[] {
  /** Pools that come, and by which pool of the store others are known. */
  const coming = new Set<string>();
  const known = new Map<string, string>();
  const lacking: RecordedChange[] = [];
  for (const change of model) {
    const { kind, id, after } = change;
    if (after === null) continue;
    switch (kind) {
      case "pool": {
        const there = store.pools.get(id) ?? store.pools.byName(objectOf(kind, after).name);
        if (there) known.set(id, there.id);
        else coming.add(id);
        break;
      }
      case "zone":
        if (store.zones.get(id)) continue;
        break;
      case "fallback":
        if (store.fallback()) continue;
        break;
      case "service":
        if (store.services.get(id) ?? store.services.byDomain(objectOf(kind, after).domain)) continue;
    }
    lacking.push(change);
  }
  const poolOf = (poolId: string | null) => poolId === null ? null : known.get(poolId) ?? poolId;
  return lacking.flatMap((change) => {
    const { kind, id, after } = change;
    const put = (json: string) => [{ ...change, after: json }];
    switch (kind) {
      case "pool": {
        if (!coming.has(id)) return [];
        const pool = objectOf(kind, after!);
        return put(jsonOf(kind, { ...pool, fallbackPoolId: poolOf(pool.fallbackPoolId) }));
      }
      case "service": {
        const service = objectOf(kind, after!);
        return put(jsonOf(kind, { ...service, poolId: poolOf(service.poolId) }));
      }
      case "zone":
      case "fallback":
        return [change];
      default:
        // Part of a pool, or an override of one.
        return coming.has(JSON.parse(after!).poolId) ? [change] : [];
    }
  });
}

/** Changes in the smallest pieces that can be put one after the other: each pool with all that is in it, and each other object. */
export function piecesOf(changes: readonly RecordedChange[]): readonly (readonly RecordedChange[])[] {
  const poolOf = ({ kind, id, before, after }: RecordedChange): string | null =>
    kind === "pool"
      ? id
      : kind === "service" || kind === "zone" || kind === "fallback"
      ? null
      : JSON.parse((after ?? before)!).poolId;
  const byPool = Map.groupBy(changes, poolOf);
  const others = byPool.get(null) ?? [];
  byPool.delete(null);
  return [...byPool.values(), ...others.map((change) => [change])];
}
