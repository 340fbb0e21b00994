/**
 * The account of one answer, as the API gives it and the command line prints it.
 *
 * @module
 */
import type { MemberView } from "../health/node_health.ts";
import type { HealthState } from "../health/verdict.ts";

/** Largest answer over UDP that is asked for by default, bytes. */
export const UDP_SIZE_DEFAULT = 1232;

/** What is to be explained. */
export interface Asked {
  /** Presentation form; complete with or without a final dot. */
  readonly name: string;
  /** The type's number. */
  readonly type: number;
  /** Who sends the query: 4 or 16 bytes. */
  readonly client: Uint8Array;
  /** The client subnet that the query carries (RFC 7871); `null` = none. */
  readonly ecs: { readonly family: 4 | 6; readonly bytes: Uint8Array; readonly length: number } | null;
  /** Bytes of the largest answer over UDP; 0 = a query without EDNS. */
  readonly udpSize: number;
}

/** Why the next answer to a question is what it is. */
export interface Explanation {
  /** When, RFC 3339. */
  readonly at: string;
  /** Of the model that is answered. */
  readonly generation: number;
  /** What was asked. */
  readonly question: {
    readonly name: string;
    readonly type: string;
    /** The client subnet sent along; `null` = none. */
    readonly ecs: string | null;
    /** The packet, in hex: whoever sends it gets this answer. */
    readonly wire: string;
  };
  /** The client. */
  readonly client: ExplainedClient;
  /** What was decided, in the order in which it was. */
  readonly steps: ExplainedStep[];
  /** Every member of the pools that were looked at. */
  readonly candidates: ExplainedCandidate[];
  /** The turns of members that are equals; `null` = there are none. */
  readonly rotation: ExplainedRotation | null;
  /** What is sent. */
  readonly answer: ExplainedAnswer;
}

/** The client the answer is for, and what is known of it; nothing where the answer doesn't depend on it. */
export interface ExplainedClient {
  /** The address that was decided by; of a subnet its first one. */
  readonly address: string;
  /** Who said so: the packet's sender, or the client subnet in it. */
  readonly source: "address" | "ecs";
  /** What is known of the address. */
  readonly prefix: string;
  /** Two letters. */
  readonly country: string | null;
  /** Two letters. */
  readonly continent: string | null;
  /** Number of the autonomous system. */
  readonly asn: number | null;
  /** Degrees. */
  readonly latitude: number | null;
  /** Degrees. */
  readonly longitude: number | null;
  /** The geo rule that matched, such as `country DE`. */
  readonly geoRule: string | null;
  /** The line of the map file that matched. */
  readonly mapFile: { readonly prefix: string; readonly line: number } | null;
}

/** What a step is about. */
export const STEP_KINDS = [
  "limit",
  "name",
  "health",
  "pool",
  "client",
  "allDown",
  "chosen",
  "ttl",
  "scope",
] as const;

/** One step, in words. */
export interface ExplainedStep {
  /** What it is about. */
  readonly kind: (typeof STEP_KINDS)[number];
  /** A sentence without a final stop. */
  readonly text: string;
}

/** A member, and what became of it. */
export interface ExplainedCandidate {
  /** Name of its pool; `(fallback)` = the static fallback. */
  readonly pool: string;
  /** Its id; `null` = it has none. */
  readonly memberId: string | null;
  /** As `192.0.2.1:443`. */
  readonly member: string;
  /** What is answered for it; `null` = its name isn't resolved. */
  readonly address: string | null;
  /** Whether it can be answered to this client as things are: `dropped` never is, `kept` is when its turn comes. */
  readonly outcome: "kept" | "dropped";
  /** Why, in words. */
  readonly reason: string;
  /** Its place in the answer from 1 on; `null` = it isn't in this answer. */
  readonly rank: number | null;
  /** From the client to the member. */
  readonly distanceKm: number | null;
  /** Among its equals. */
  readonly weight: number;
  /** Tier of `failover`; 0 = the last one. */
  readonly priority: number;
  /** What is believed of it; `null` = it isn't probed. */
  readonly health: ExplainedHealth | null;
  /** The override that rules it. */
  readonly override: ExplainedOverride | null;
}

/** What is believed of a member, and since when. Times are RFC 3339. */
export interface ExplainedHealth {
  /** As probed. */
  readonly state: HealthState;
  /** Whether it may be answered, as far as health goes. */
  readonly eligible: boolean;
  /** Why it is out, or in although it is down. */
  readonly why: string | null;
  /** When the state became what it is. */
  readonly since: string | null;
  /** Why the last probe failed. */
  readonly lastError: string | null;
  /** Of the last probe that succeeded. */
  readonly latencyMs: number | null;
  /** When it was last probed. */
  readonly checkedAt: string | null;
  /** Who finds what, of each of its checks; absent where nodes don't share what they find. */
  readonly views?: MemberView[];
}

/** An override. Times are RFC 3339. */
export interface ExplainedOverride {
  /** What it does. */
  readonly state: "up" | "down" | "drain";
  /** Why. */
  readonly reason: string;
  /** Who answers for it. */
  readonly owner: string;
  /** Name of the token or login that created it; empty when unknown. */
  readonly createdBy: string;
  /** When it ends. */
  readonly expiresAt: string;
}

/** Whose turn it is. */
export interface ExplainedRotation {
  /** The number drawn; the next answer draws the next one. */
  readonly ticket: number;
  /** Members that rotate. */
  readonly members: number;
  /** This answer's turn, from 1 on. */
  readonly turn: number;
  /** Length of the cycle; more than members where weights differ. */
  readonly cycle: number;
  /** With what the next answers begin, this one first. */
  readonly next: string[];
}

/** The answer. */
export interface ExplainedAnswer {
  /** Such as `NOERROR`. */
  readonly rcode: string;
  /** Whether it didn't fit, so that the client has to come back over TCP. */
  readonly truncated: boolean;
  /** The answer section. */
  readonly records: ExplainedRecord[];
  /** Seconds; the lowest of the records, `null` = there are none. */
  readonly ttl: number | null;
  /** Bits of the client subnet for which it holds; `null` = the answer carries no subnet. */
  readonly scope: number | null;
  /** Bytes, in hex. */
  readonly wire: string;
  /** The same as `dig` prints it. */
  readonly text: string;
}

/** A resource record. */
export interface ExplainedRecord {
  /** Its owner. */
  readonly name: string;
  /** Such as `A`. */
  readonly type: string;
  /** Seconds. */
  readonly ttl: number;
  /** Presentation form. */
  readonly data: string;
}
