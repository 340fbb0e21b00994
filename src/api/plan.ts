/**
 * What a change would do, as the API tells it: the answer of `/plan` and of every dry run.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { DIFFERENCES_MAX } from "../change/guard.ts";
import type { NamedChange, Plan } from "../change/plan_report.ts";
import { rfc3339 } from "../clock.ts";
import { GuardRefusalSchema } from "./problem.ts";
import { changeCounts } from "./route.ts";

/** The kinds of object that a change touches. */
const KINDS = [
  "pool",
  "member",
  "healthCheck",
  "geoRule",
  "service",
  "zone",
  "fallback",
  "override",
] as const;

const count = z.int().min(0);

/** What becomes of one object. */
export const NamedChangeSchema: z.ZodType<NamedChange> = z.object({
  kind: z.enum(KINDS).meta({ description: "What it is" }),
  id: z.string().meta({
    description: "The object's id; the pool's id for a check, the domain for a zone, empty for the fallback",
  }),
  name: z.string().meta({
    description: "What people call it",
    examples: ["web", "web/192.0.2.10:443", "www.example.com"],
  }),
  action: z.enum(["created", "changed", "deleted"]).meta({ description: "What becomes of it" }),
  with: z.string().nullable().meta({
    description: "What it goes along with; null = the change is about itself",
    examples: ["pool web"],
  }),
  before: z.unknown().meta({ description: "Its fields before; null = it didn't exist" }),
  after: z.unknown().meta({ description: "Its fields after; null = it doesn't exist any more" }),
}).openapi("NamedChange");

const share = z.number().min(0).max(1);

const shares = z.array(z.object({
  address: z.string().meta({ description: "The address, or the name that is answered in its place" }),
  share: share.meta({ description: "Of the answers, those that begin with it" }),
}));

const AnswersSchema = z.object({
  services: count.meta({ description: "Names of which some client's answers differ" }),
  movedShare: share.meta({ description: "Share of all answers that would be others" }),
  differences: z.array(z.object({
    name: z.string().meta({ description: "As it is asked for" }),
    type: z.enum(["A", "AAAA"]).meta({ description: "Record type" }),
    clients: z.string().meta({
      description: "Whose",
      examples: ["everyone", "DE", "198.51.100.0/24", "others"],
    }),
    share: share.meta({ description: "Their share of the name's clients" }),
    before: shares.meta({ description: "What they get; none = no address" }),
    after: shares.meta({ description: "What they would get" }),
    moved: share.meta({ description: "Share of their answers that would be others" }),
  })).meta({ description: `What differs, ${DIFFERENCES_MAX} at most` }),
  truncated: z.boolean().meta({ description: "Whether there is more" }),
}).openapi("AnswersForeseen");

/** What a change would do. */
export const PlanSchema: z.ZodType<Plan> = z.object({
  generation: count.meta({ description: "The generation that it was made for" }),
  changed: z.boolean().meta({ description: "Whether anything would differ" }),
  objects: changeCounts.meta({ description: "How many objects of each kind differ" }),
  changes: z.array(NamedChangeSchema).meta({ description: `Each object, ${DIFFERENCES_MAX} at most` }),
  truncated: z.boolean().meta({ description: "Whether there are more objects" }),
  answers: AnswersSchema,
  replay: z.object({
    from: z.string().meta({ description: "From when, RFC 3339" }),
    to: z.string().meta({ description: "Until when, RFC 3339" }),
    queries: count.meta({ description: "How many there were, of all names" }),
    different: count.meta({ description: "How many of them would be answered otherwise" }),
    share: share.meta({ description: "The same as a share of all" }),
    errorBar: z.number().min(0).meta({
      description:
        "How far the share may be off, where some queries stand for others: two standard deviations, and at least " +
        "what may be missed altogether",
    }),
    members: z.array(z.object({ address: z.string(), before: share, after: share })).meta({
      description: "With what answers to the names that are reached begin, before and after",
    }),
  }).nullable().meta({
    description: "What recorded queries would get; null = it wasn't asked for, or nothing is recorded",
  }),
  refusals: z.array(GuardRefusalSchema).meta({ description: "What would refuse it, unless it is forced" }),
}).openapi("Plan");

/** A plan as it is answered. */
export function shownPlan(plan: Plan): Plan {
  return { ...plan, changes: plan.changes.map(shownChange) };
}

/** An override is kept with its times in Unix milliseconds, and shown as everywhere else. */
export function shownChange({ before, after, ...change }: NamedChange): NamedChange {
  if (change.kind !== "override") return { ...change, before, after };
  return { ...change, before: withTimes(before), after: withTimes(after) };
}

function withTimes(fields: unknown): unknown {
  if (fields === null || typeof fields !== "object") return fields;
  const shown = Object.entries(fields).map(([name, value]) =>
    [name, OVERRIDE_TIMES.includes(name) && typeof value === "number" ? rfc3339(value) : value] as const
  );
  return Object.fromEntries(shown);
}

const OVERRIDE_TIMES: readonly string[] = ["startsAt", "expiresAt", "createdAt"];
