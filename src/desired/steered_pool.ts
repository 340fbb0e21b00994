/**
 * A pool as it is declared, as answers see it. Whoever only reads the database loads this, and not what merges it with settings.
 *
 * @module
 */
import type { Pool } from "../model/model.ts";
import type { SteeredPool } from "./desired.ts";

/** A pool of the model, without any planned change. */
export function steeredPool({ name: _, members, geoRules, ...pool }: Pool): SteeredPool {
  const indexes = new Map(members.map(({ id }, i) => [id, i]));
  return {
    ...pool,
    members: members.map((member) => ({ ...member, share: 1, forcedUp: false })),
    geoRules: geoRules.map(({ id: _, memberId, ...match }) => ({ ...match, member: indexes.get(memberId)! })),
    changesAt: 0,
  };
}
