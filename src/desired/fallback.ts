/**
 * The static fallback as a pool: what it is for answers, for probes and for explanations alike.
 *
 * @module
 */
import { type Fallback, MEMBER_DEFAULTS, type Pool, POOL_DEFAULTS } from "../model/model.ts";

/** Id and name of the static fallback where pools have theirs; no pool has such an id. */
export const FALLBACK_POOL = "(fallback)";

/** The fallback's endpoints as members, the first one preferred where the algorithm goes by priority. */
export function poolOfFallback({ algorithm, endpoints, weights, onAllDown, healthCheck }: Fallback): Pool {
  return {
    ...POOL_DEFAULTS,
    id: FALLBACK_POOL,
    name: FALLBACK_POOL,
    algorithm,
    onAllDown,
    healthCheck,
    members: endpoints.map((ipAddress, i) => ({
      ...MEMBER_DEFAULTS,
      id: "",
      ipAddress,
      port: healthCheck?.port ?? 0,
      weight: weights[ipAddress] ?? 1,
      priority: i + 1,
    })),
    geoRules: [],
  };
}
