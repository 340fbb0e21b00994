/**
 * Who finds what of a member, where nodes share what they find.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { MemberView } from "../health/node_health.ts";
import { HEALTH_POLICIES, RULING_SOURCES } from "../health/policy.ts";

const found = z.enum(["healthy", "unhealthy"]);

/** Each check of a member, and what is made of it. */
export const ViewsSchema: z.ZodOptional<z.ZodType<MemberView[]>> = z.array(
  z.object({
    check: z.string().meta({ description: "The check", examples: ["https 443"] }),
    policy: z.enum(HEALTH_POLICIES).meta({ description: "state.healthPolicy", examples: ["global-quorum"] }),
    state: z.enum(["healthy", "unhealthy", "unknown"]).meta({
      description: "What counts, before the flip guard",
    }),
    by: z.enum(RULING_SOURCES).meta({
      description:
        "What decided: own probes, reports of peers, the share of nodes, or what was believed in the last run",
    }),
    own: found.nullable().meta({ description: "What probes of this node find; null = nothing yet" }),
    isBlind: z.boolean().meta({ description: "Whether these are set aside as this node counts as blind" }),
    reports: z.array(z.object({ node: z.string(), region: z.string(), state: found })).meta({
      description: "What other active nodes find",
    }),
    why: z.string().nullable().meta({
      description: "Why it isn't simply what own probes find; null = it is",
    }),
  }).openapi("MemberView"),
).optional().meta({
  description: "Who finds what, of each check; absent where nodes don't share what they find",
});
