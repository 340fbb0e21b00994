/**
 * The part that warns of pools to which a commit gave an algorithm, or geo rules, that lack what they go by.
 *
 * @module
 */
import type { Pool } from "../model/model.ts";
import { remarkOnRules, remarkOnSteering, type SteeringSettings } from "../model/steering.ts";
import type { Store } from "../store/store.ts";
import { partOf, type Start } from "./part.ts";

/** Warns in the log, once for each commit of this process. */
export const poolRemarks: Start = ({ store, changes, settings, log }) => {
  const listening = changes.subscribe(({ everything, poolIds, generation }) => {
    if (everything || poolIds.length === 0) return;
    for (const remark of remarksOn(store, { generation, settings: settings() })) log.warn(remark);
  });
  return partOf("remarks on pools", { end: () => listening[Symbol.dispose]() });
};

/** What is to be said of the pools that one generation touched. */
export function remarksOn(
  store: Pick<Store, "history" | "pools" | "geoRules">,
  { generation, settings }: { readonly generation: number; readonly settings: SteeringSettings },
): readonly string[] {
  const pools: Pool[] = [];
  const ruled = new Map<string, Pool>();
  for (const { kind, id, before, after } of store.history.listed(generation)) {
    if (kind === "geoRule" && after !== null) {
      const pool = store.pools.whole(store.geoRules.get(id)?.poolId ?? "");
      if (pool) ruled.set(pool.id, pool);
    }
    if (kind !== "pool" || algorithmIn(before) === algorithmIn(after)) continue;
    const pool = store.pools.whole(id);
    if (pool) pools.push(pool);
  }
  return [remarkOnSteering(pools, settings), remarkOnRules(ruled.values(), settings)]
    .filter((remark) => remark !== null);
}

function algorithmIn(fields: unknown): unknown {
  return fields !== null && typeof fields === "object" && "algorithm" in fields ? fields.algorithm : null;
}
