/**
 * Overrides: what an operator says about members for a while, whatever their checks say. One is forced up, forced
 * down or drained, with a reason, an owner and an end; it ends by itself, so that nothing that was done at night is
 * found years later.
 *
 * A target is a member, a pool or a region. What lies narrower wins (a member before its pool before its region), and
 * among equals what was said last.
 *
 * @module
 */
import { rfc3339 } from "../clock.ts";
import { canonicalIp } from "../ip.ts";
import { formatDuration } from "../input/duration.ts";
import { isId } from "./id.ts";
import { holdsToken } from "./token.ts";

/** What an override does to the members that it covers. */
export type OverrideState = (typeof OVERRIDE_STATES)[number];

/**
 * Every state: always answered, even disabled or unhealthy · never answered · answered less and less over the drain
 * time, then never.
 */
export const OVERRIDE_STATES = ["up", "down", "drain"] as const;

/** One override. Times are Unix milliseconds. */
export interface Override {
  /** 32 lower-case hex digits. */
  readonly id: string;
  /** `member:<id>`, `pool:<id>` or `region:<name>`. */
  readonly target: string;
  /** What it does. */
  readonly state: OverrideState;
  /** Why; never blank. */
  readonly reason: string;
  /** Who answers for it; never blank. */
  readonly owner: string;
  /** When it begins. */
  readonly startsAt: number;
  /** When its effect is gone; it is removed then. */
  readonly expiresAt: number;
  /** How long the share of a drained member takes from 1 to 0; 0 for other states. */
  readonly drainMs: number;
  /** When it was said; among overrides of equal width the last one rules. */
  readonly createdAt: number;
}

/** What an author says of an override. */
export type OverrideFields = Omit<Override, "id" | "createdAt">;

/** What an override is about, as it is stored. */
export type OverrideTarget =
  | { readonly kind: "member" | "pool"; readonly id: string }
  | { readonly kind: "region"; readonly name: string };

/** What an override is about, as people write it: by id or by name. */
export type TargetReference =
  | { readonly kind: "region"; readonly name: string }
  | { readonly kind: "pool"; readonly pool: string }
  | { readonly kind: "member"; readonly id: string }
  | { readonly kind: "member"; readonly pool: string; readonly host: string; readonly port: number | null };

/** One wrong field. */
export interface OverrideFault {
  /** Its JSON name. */
  readonly field: keyof OverrideFields;
  /** What is wrong, with the value, and the fix. */
  readonly message: string;
}

/** Overrides that a database may hold: each pool of ten thousand may have its own. */
export const OVERRIDES_MAX = 20_000;
/** Longest time from now to the end of an override; who needs longer wants the model to be different. */
export const LIFE_MAX_MS = 30 * 24 * 3_600_000;
/** Longest reason and owner, characters. */
export const WORDS_MAX = 1_000;
/** How far in the past a start may lie: the author's clock and ours differ, and a request takes its time. */
const START_SLACK_MS = 60_000;

/** Everything that is wrong with the fields themselves; the target's existence isn't looked at. */
export function overrideFaults(fields: OverrideFields, nowMs: number): OverrideFault[] {
  const { state, reason, owner, startsAt, expiresAt, drainMs } = fields;
  const faults: OverrideFault[] = [];
  const fault = (field: keyof OverrideFields, message: string) => void faults.push({ field, message });
  if (!OVERRIDE_STATES.includes(state)) {
    fault("state", `state must be one of ${OVERRIDE_STATES.join(", ")}, is ${JSON.stringify(state)}`);
  }
  if (reason.trim() === "") {
    fault("reason", "reason is required: say why, for the next reader of the override");
  }
  if (owner.trim() === "") fault("owner", "owner is required: say who can be asked about the override");
  for (const [field, text] of [["reason", reason], ["owner", owner]] as const) {
    if (holdsToken(text)) fault(field, `${field} must not have a token in it: everyone who may read sees it`);
  }
  if (expiresAt <= nowMs) {
    fault("expiresAt", `expiresAt ${rfc3339(expiresAt)} has passed: choose a time in the future`);
  } else if (expiresAt <= startsAt) {
    fault(
      "expiresAt",
      `expiresAt ${rfc3339(expiresAt)} isn't after startsAt ${rfc3339(startsAt)}: choose a later time`,
    );
  } else if (expiresAt - nowMs > LIFE_MAX_MS) {
    fault(
      "expiresAt",
      `expiresAt ${
        rfc3339(expiresAt)
      } is more than 30 days away: choose an earlier time, or change the model`,
    );
  }
  if (startsAt < nowMs - START_SLACK_MS) {
    fault("startsAt", `startsAt ${rfc3339(startsAt)} has passed: leave it out to begin now`);
  }
  if (drainMs > 0 && state !== "drain") {
    fault("drainMs", `drain is for the state drain, and state is ${state}: leave it out`);
  } else if (drainMs > 0 && expiresAt > startsAt && startsAt + drainMs > expiresAt) {
    fault(
      "drainMs",
      `drain ${formatDuration(drainMs)} is longer than the override lasts ` +
        `(${formatDuration(Math.max(0, expiresAt - startsAt))}): drain faster, or let it last longer`,
    );
  }
  return faults;
}

/** The parts of a stored target. */
export function targetOf({ target }: Pick<Override, "target">): OverrideTarget {
  const colon = target.indexOf(":");
  const kind = target.slice(0, colon);
  const rest = target.slice(colon + 1);
  return kind === "member" || kind === "pool" ? { kind, id: rest } : { kind: "region", name: rest };
}

/** A target as it is stored. */
export function formatTarget(target: OverrideTarget): string {
  return target.kind === "region" ? `region:${target.name}` : `${target.kind}:${target.id}`;
}

/** The forms that {@linkcode parseTarget} reads, for messages and help. */
export const TARGET_FORMS = "region:NAME, pool:NAME, member:POOL/ADDRESS[:PORT], or an id in place of a name";

/**
 * Reads a target as people write it: `member:<id>`, `member:<pool>/<address or host>[:port]` (also without `member:`),
 * `pool:<id or name>`, `region:<name>`. An IPv6 address with a port stands in brackets.
 *
 * @throws {SyntaxError} with the forms that are read
 */
export function parseTarget(text: string): TargetReference {
  const [, kind = "member", rest = ""] = /^(?:(member|pool|region):)?(.*)$/s.exec(text) ?? [];
  const reference = kind === "region"
    ? (NAME.test(rest) ? { kind, name: rest } as const : null)
    : kind === "pool"
    ? (POOL.test(rest) ? { kind, pool: rest } as const : null)
    : memberReference(rest);
  if (reference === null) {
    throw new SyntaxError(`Cannot read the target ${JSON.stringify(text)}: it must be ${TARGET_FORMS}`);
  }
  return reference;
}

/** Names of regions. */
const NAME = /^[A-Za-z0-9_-]+$/;
/** Names and ids of pools. */
const POOL = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

function memberReference(text: string): TargetReference | null {
  if (isId(text)) return { kind: "member", id: text };
  const slash = text.indexOf("/");
  const pool = text.slice(0, slash);
  if (slash < 0 || !POOL.test(pool)) return null;
  const place = hostAndPort(text.slice(slash + 1));
  return place && { kind: "member", pool, ...place };
}

/** `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]:PORT`, `host.name:PORT`; in canonical form. */
function hostAndPort(text: string): { readonly host: string; readonly port: number | null } | null {
  const bare = canonicalIp(text);
  if (bare !== null) return { host: bare, port: null };
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const name = bracketed ?? plain;
  if (name === undefined) return null;
  const port = digits === undefined ? null : Number(digits);
  if (port !== null && (port < 1 || port > 65_535)) return null;
  const ip = canonicalIp(name);
  if (bracketed !== undefined && ip === null) return null;
  return { host: ip ?? name.toLowerCase().replace(/\.$/, ""), port };
}
