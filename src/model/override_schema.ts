/**
 * An override as people send it: with names or ids, an end or a duration. What needs the clock or the database is judged
 * on commit.
 *
 * @module
 */
import { z } from "zod";
import { formatDuration, parseDuration } from "../input/duration.ts";
import { choice, mustBe, refuse, together } from "../input/fields.ts";
import { LIFE_MAX_MS, OVERRIDE_STATES, type OverrideState, TARGET_FORMS, WORDS_MAX } from "./override.ts";
import { type SchemaOf, strictObject } from "../input/strict_object.ts";

/** What an author sends; exactly one of `expiresAt` and `for` is set. */
export interface OverrideRequest {
  /** As `parseTarget` reads it. */
  readonly target: string;
  /** What it does. */
  readonly state: OverrideState;
  /** Why. */
  readonly reason: string;
  /** Who answers for it. */
  readonly owner: string;
  /** RFC 3339; `null` = now. */
  readonly startsAt: string | null;
  /** RFC 3339; `null` = `for` says it. */
  readonly expiresAt: string | null;
  /** From its start, such as `30m`; `null` = `expiresAt` says it. */
  readonly for: string | null;
  /** How long a drain takes, such as `10m`; `null` = the default. */
  readonly drain: string | null;
}

/** The times of a request, Unix milliseconds. */
export interface OverrideTimes {
  /** When it begins. */
  readonly startsAt: number;
  /** When it ends. */
  readonly expiresAt: number;
  /** How long the drain takes; 0 for other states. */
  readonly drainMs: number;
}

/** How long a drain takes by default; half of the override's life where that is shorter. */
export const DRAIN_DEFAULT_MS = 300_000;

/** The body of a create. */
export const overrideRequestSchema: SchemaOf<OverrideRequest> = strictObject({
  target: words("target", TARGET_FORMS).meta({
    description:
      "What it covers: region:NAME, pool:NAME, member:POOL/ADDRESS[:PORT], or pool:ID and member:ID",
    examples: ["region:fra"],
  }),
  state: choice("state", OVERRIDE_STATES).meta({
    description:
      "up: always answered, even disabled or unhealthy; down: never answered; drain: answered less and less, then never",
    examples: ["drain"],
  }),
  reason: words("reason", "why, for those who find the override").meta({
    description: "Why, for those who find the override",
    examples: ["kernel upgrade"],
  }),
  owner: words("owner", "who can be asked about the override").meta({
    description: "Who can be asked about it",
    examples: ["alice"],
  }),
  startsAt: rfc3339Text("startsAt").nullable().default(null).meta({
    description: "When it begins (RFC 3339); null = now",
    examples: ["2026-02-01T03:00:00Z"],
  }),
  expiresAt: rfc3339Text("expiresAt").nullable().default(null).meta({
    description: "When it ends by itself, at most 30 days from now (RFC 3339); this or for",
    examples: ["2026-02-01T04:00:00Z"],
  }),
  for: lasting("for").nullable().default(null).meta({
    description: "How long it lasts from its start; this or expiresAt",
    examples: ["30m"],
  }),
  drain: lasting("drain").nullable().default(null).meta({
    description:
      "How long the share of a drained member takes to fall to nothing; null = 5m, or half of the override's life " +
      "where that is shorter",
    examples: ["10m"],
  }),
}).check(together(["expiresAt", "for"], (payload) => {
  const { expiresAt, for: lasts } = payload.value;
  if (expiresAt === null && lasts === null) {
    refuse(
      payload,
      "expiresAt is required (a time, or for with a duration such as 30m): no override is for ever",
      [
        "expiresAt",
      ],
    );
  } else if (expiresAt !== null && lasts !== null) {
    refuse(payload, "for and expiresAt both say when it ends: give one of them", ["for"]);
  }
}));

/** The times that a request means when it comes at `nowMs`. */
export function timesOf(request: OverrideRequest, nowMs: number): OverrideTimes {
  const startsAt = request.startsAt === null ? nowMs : Date.parse(request.startsAt);
  const expiresAt = request.for === null
    ? Date.parse(request.expiresAt ?? "")
    : startsAt + (parseDuration(request.for) ?? 0);
  const drainMs = request.drain === null
    ? (request.state === "drain" ? defaultDrain(expiresAt - startsAt) : 0)
    : parseDuration(request.drain) ?? 0;
  return { startsAt, expiresAt, drainMs };
}

function defaultDrain(lifeMs: number): number {
  return Math.max(0, Math.min(DRAIN_DEFAULT_MS, Math.floor(lifeMs / 2)));
}

function words(name: string, what: string): z.ZodString {
  const error = mustBe(name, `${what} (1–${WORDS_MAX} characters)`);
  return z.string({ error }).min(1, { error }).max(WORDS_MAX, { error });
}

/** A time that people send; canonical forms only, of which `Date.parse` takes more. */
export function rfc3339Text(name: string): z.ZodString {
  const error = mustBe(name, "a time such as 2026-02-01T03:00:00Z");
  return z.string({ error }).max(40, { error }).check((payload) => {
    if (payload.issues.length > 0) return;
    if (TIME.test(payload.value) && Number.isFinite(Date.parse(payload.value))) return;
    refuse(payload, error({ input: payload.value }));
  });
}

/** RFC 3339 §5.6; `Date.parse` takes more than that. */
const TIME = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;

function lasting(name: string): z.ZodString {
  const error = mustBe(name, `a duration up to ${formatDuration(LIFE_MAX_MS)} such as 90s, 30m or 2h`);
  return z.string({ error }).max(40, { error }).check((payload) => {
    if (payload.issues.length > 0) return;
    const ms = parseDuration(payload.value);
    if (ms === null || ms === 0 || ms > LIFE_MAX_MS) refuse(payload, error({ input: payload.value }));
  });
}
