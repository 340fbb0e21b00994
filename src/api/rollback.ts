/**
 * Going back: the model of an earlier generation is made the stored one, as a change of its own.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { RolledBack } from "../change/edit.ts";
import { ifRevision } from "./conditional.ts";
import { ApiProblem } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import {
  BASE,
  changeCounts,
  conditionalWrite,
  generationNumber,
  json,
  problems,
  type Routes,
  writeHeaders,
  writeQuery,
} from "./route.ts";
import { originOf } from "./origin.ts";
import { answerWith, isDryRun, settle, SETTLE_MODEL_MS, termsOf } from "./write.ts";

const RolledBackSchema = z.object({
  generation: z.int().min(0).meta({
    description: "The generation after it; the old one when nothing differs",
  }),
  changed: z.boolean().meta({ description: "Whether anything differs" }),
  to: z.int().min(0).meta({ description: "The generation whose model it is" }),
  objects: changeCounts.meta({
    description: "How many objects of each kind come back, are as they were, or are gone again",
  }),
}).openapi("RolledBack");

const routes = {
  rollBack: {
    operationId: "rollBack",
    method: "post",
    path: `${BASE}/rollback`,
    scope: "write",
    summary: "Go back to the model of an earlier generation",
    description:
      "In one transaction, with the ids and the order of members of then. It is a change like any other, with an " +
      "entry in the history, and can be rolled back. Overrides stay, but for those of what is deleted, and none comes " +
      "back. A large one takes its place among the applies.",
    request: {
      headers: conditionalWrite,
      query: writeQuery.extend({
        to: generationNumber("to").optional().meta({
          description:
            "Whose model is to be the stored one again, 0 being the empty one; when it is left out, the " +
            "last change of the model is undone, and changes of overrides alone are passed over",
        }),
      }),
    },
    responses: {
      200: {
        description: "It is done, or would be (dry run)",
        headers: writeHeaders,
        content: json(RolledBackSchema),
      },
      ...problems(400, 404, 409, 410, 412, 415, 422),
    },
  },
} satisfies Routes;

/** Going back, as the API serves it. */
export const rollback: Resource = {
  tag: "Rollback",
  description: "Undo changes of the model.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, parts: ResourceParts): void {
  app.openapi(routes.rollBack, async (c) => {
    const { to } = c.req.valid("query");
    const { commit: { generation }, changed, to: target, objects, plan } = await rollBack(
      c,
      parts,
      to ?? null,
    );
    c.header("Pleiades-Generation", String(parts.store.generation()));
    if (plan) answerWith(c, plan);
    else await settle(c, parts, { generation, timeoutMs: SETTLE_MODEL_MS });
    return c.json({ generation, changed, to: target, objects }, 200);
  });
}

async function rollBack(
  c: Context,
  { changes, store }: ResourceParts,
  to: number | null,
): Promise<RolledBack> {
  const { signal } = c.req.raw;
  try {
    const { ifRevision: seen } = ifRevision(c, store.generation());
    return await changes.rollback({
      to,
      ...(seen !== undefined && { ifGeneration: seen }),
      origin: originOf(c),
      dryRun: isDryRun(c),
      ...termsOf(c),
      signal,
    });
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new ApiProblem(400, "The client ended the call before the commit: nothing is changed");
  }
}
