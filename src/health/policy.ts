/**
 * What a node makes of its own probes and of its peers' reports on one target: the policies of `state.healthPolicy`, as
 * one pure function.
 *
 * @module
 */
import { countOf } from "../input/count.ts";
import type { HealthState } from "./verdict.ts";

/** Whose probes count. */
export type HealthPolicy = (typeof HEALTH_POLICIES)[number];

/** Every policy. */
export const HEALTH_POLICIES = ["prefer-local", "local-only", "global-any-healthy", "global-quorum"] as const;

/** Which policy a node goes by. */
export interface PolicyTerms {
  /** `state.healthPolicy` */
  readonly policy: HealthPolicy;
  /** With `global-quorum`: of all active nodes, so many per cent must find a target healthy; 1–100. */
  readonly quorumMinPercent: number;
}

/** A state that probes have found. */
export type Found = Exclude<HealthState, "unknown">;

/** What is known of one target. */
export interface Evidence {
  /** What this node's probes have found in this run; `null` = nothing yet. */
  readonly own: Found | null;
  /** What was believed at the end of the last run, or before there were peers. */
  readonly kept: HealthState;
  /** Peers that find it healthy. */
  readonly healthy: number;
  /** Peers that find it unhealthy. */
  readonly unhealthy: number;
  /** Active peers that have had time to find something and don't report it; counted where the policy is `global-quorum`. */
  readonly silent: number;
  /** Whether this node itself has had that time. */
  readonly isOwnDue: boolean;
  /** Whether this node counts as blind: then its own probes say nothing, as long as peers say something. */
  readonly isBlind: boolean;
}

/** What a policy makes of the evidence. */
export interface Ruling {
  /** `unknown` = nothing is known; it counts as up. */
  readonly state: HealthState;
  /** What decided: this node's probes, reports of peers, the share of nodes, or nothing but what was believed before. */
  readonly by: RulingSource;
}

/** What may decide. */
export const RULING_SOURCES = ["own", "peers", "quorum", "kept"] as const;

/** One of `RULING_SOURCES`. */
export type RulingSource = (typeof RULING_SOURCES)[number];

/**
 * The state of a target.
 *
 * | policy               | state                                                                                          |
 * | -------------------- | ---------------------------------------------------------------------------------------------- |
 * | `local-only`         | what this node finds; reports are never looked at                                              |
 * | `prefer-local`       | what this node finds; while that is nothing, healthy where a peer finds it so, else unhealthy  |
 * | `global-any-healthy` | healthy where this node or a peer finds it so, else unhealthy                                  |
 * | `global-quorum`      | healthy where enough of the active nodes find it so, else unhealthy                            |
 *
 * Where none of them has found anything, what was kept counts.
 */
export function rule({ policy, quorumMinPercent }: PolicyTerms, evidence: Evidence): Ruling {
  const { kept, healthy, unhealthy } = evidence;
  const reported = policy === "local-only" ? 0 : healthy + unhealthy;
  const own = evidence.isBlind && reported > 0 ? null : evidence.own;
  if (own === null && reported === 0) return { state: kept, by: "kept" };
  const ownRuling: Ruling | null = own && { state: own, by: "own" };
  const peersRuling: Ruling = { state: healthy > 0 ? "healthy" : "unhealthy", by: "peers" };
  switch (policy) {
    case "local-only":
      return ownRuling!;
    case "prefer-local":
      return ownRuling ?? peersRuling;
    case "global-any-healthy":
      return own === "healthy" || (healthy === 0 && ownRuling) ? ownRuling! : peersRuling;
    case "global-quorum": {
      const { found, of } = quorumOf(evidence);
      if (of === 1 && own) return ownRuling!;
      return { state: found * 100 >= quorumMinPercent * of ? "healthy" : "unhealthy", by: "quorum" };
    }
  }
}

/** How many nodes find it healthy, of how many that count. */
export function quorumOf(evidence: Evidence): { readonly found: number; readonly of: number } {
  const { own, healthy, unhealthy, silent, isOwnDue, isBlind } = evidence;
  const counts = !(isBlind && healthy + unhealthy > 0) && (own !== null || isOwnDue);
  return {
    found: healthy + Number(counts && own === "healthy"),
    of: healthy + unhealthy + silent + Number(counts),
  };
}

/**
 * Why a ruling isn't simply what this node's probes find, for people.
 *
 * @param finders ids of the peers that report the state that was ruled
 */
export function rulingWords(
  terms: PolicyTerms,
  evidence: Evidence,
  { ruling, finders }: { readonly ruling: Ruling; readonly finders: readonly string[] },
): string | null {
  switch (ruling.by) {
    case "own":
      return null;
    case "kept":
      return ruling.state === "unknown"
        ? null
        : `${ruling.state} in the last run; no node has probed it since`;
    case "peers":
      return `${namesOf(finders)} ${
        finders.length === 1 ? "finds" : "find"
      } it ${ruling.state} (${terms.policy})`;
    case "quorum": {
      const { found, of } = quorumOf(evidence);
      return `${found} of ${countOf(of, "node")} ${found === 1 ? "finds" : "find"} it healthy, ` +
        `${terms.quorumMinPercent} % needed (${terms.policy})`;
    }
  }
}

/** More nodes than these aren't named one by one. */
const NAMED_MAX = 5;

function namesOf(nodes: readonly string[]): string {
  const more = nodes.length - NAMED_MAX;
  const named = nodes.slice(0, NAMED_MAX).join(", ");
  return more > 0 ? `${named} and ${more} more` : named;
}
