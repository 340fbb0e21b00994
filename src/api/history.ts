/**
 * What was changed, who changed it, and why; what the model was, and what lies between two of its generations. Read only:
 * the history is written by changing something.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { DIFFERENCES_MAX as CHANGES_MAX } from "../change/guard.ts";
import { differenceBetween, modelAt } from "../change/past.ts";
import { namedChanges } from "../change/plan_report.ts";
import { strictObject } from "../input/strict_object.ts";
import { rfc3339 } from "../clock.ts";
import { streamed } from "../model/model_export.ts";
import { inSlices, toEnd } from "../slices.ts";
import { type HistoryEntry, RECORDED_MAX } from "../store/history.ts";
import type { Store } from "../store/store.ts";
import { Turns } from "../turns.ts";
import { modelText } from "./model.ts";
import { modelAnswer } from "./model_answer.ts";
import { linkNext, numberedPageQuery, pageHeaders, pageRequest } from "./paging.ts";
import { NamedChangeSchema, shownChange } from "./plan.ts";
import { ApiProblem } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import { BASE, changeCounts, generationNumber, json, problems, type Routes } from "./route.ts";

const HistoryEntrySchema = z.object({
  generation: z.int().min(1).meta({ description: "Its number" }),
  at: z.iso.datetime().meta({ description: "When it was committed" }),
  via: z.string().meta({
    description: "The way it came: api, cli, tui, git, cluster, demo, expiry, rollback",
  }),
  by: z.string().meta({ description: "Name of the token, signer or user; empty when unknown" }),
  reason: z.string().meta({ description: "What the author gave as the reason; may be empty" }),
}).openapi("HistoryEntry");

const GenerationSchema = z.object({
  ...HistoryEntrySchema.shape,
  changes: z.array(NamedChangeSchema).meta({ description: "One for each object that was touched" }),
  summary: changeCounts.nullable().meta({
    description:
      `How many objects of each kind were touched, where there are more than ${RECORDED_MAX} of them; null = there aren't`,
  }),
  truncated: z.boolean().meta({
    description: `Whether there are more than the ${CHANGES_MAX} changes shown`,
  }),
}).openapi("Generation");

const DifferenceSchema = z.object({
  from: z.int().min(0).meta({ description: "As it was asked for" }),
  to: z.int().min(0).meta({ description: "As it was asked for" }),
  objects: changeCounts.meta({ description: "How many objects of each kind differ" }),
  changes: z.array(NamedChangeSchema).meta({
    description: "One for each object that differs: before = at `from`, after = at `to`",
  }),
  truncated: z.boolean().meta({
    description: `Whether there are more than the ${CHANGES_MAX} changes shown`,
  }),
}).openapi("Difference");

const generationParams = z.object({
  generation: z.string().regex(/^[0-9]{1,15}$/).meta({ description: "Number of the generation" }),
});

const routes = {
  list: {
    operationId: "listHistory",
    method: "get",
    path: `${BASE}/history`,
    scope: "read",
    summary: "All changes, the newest first",
    request: { query: numberedPageQuery },
    responses: {
      200: {
        description: "A page of changes",
        headers: pageHeaders,
        content: json(z.array(HistoryEntrySchema)),
      },
      ...problems(400),
    },
  },
  get: {
    operationId: "getGeneration",
    method: "get",
    path: `${BASE}/history/{generation}`,
    scope: "read",
    summary: "What one change did to each object",
    request: { params: generationParams },
    responses: {
      200: { description: "The change", content: json(GenerationSchema) },
      ...problems(404, 410),
    },
  },
  model: {
    operationId: "exportPastModel",
    method: "get",
    path: `${BASE}/history/{generation}/model`,
    scope: "read",
    summary: "The whole model as it was",
    description: "As `/model` has that of now; generation 0 is the empty one.",
    request: { params: generationParams },
    responses: {
      200: { description: "The model", content: modelText },
      ...problems(400, 404, 410, 503),
    },
  },
  diff: {
    operationId: "diffGenerations",
    method: "get",
    path: `${BASE}/diff`,
    scope: "read",
    summary: "What differs between two generations",
    description:
      "Either may be the later one: what was created between 3 and 5 is deleted between 5 and 3. Overrides " +
      "aren't part of the model.",
    request: {
      query: strictObject({
        from: generationNumber("from").meta({
          description: "Number of a generation, 0 being the empty model",
        }),
        to: generationNumber("to").meta({ description: "Likewise" }),
      }),
    },
    responses: {
      200: { description: "The difference", content: json(DifferenceSchema) },
      ...problems(400, 404, 410),
    },
  },
} satisfies Routes;

/** The history, as the API serves it. */
export const history: Resource = {
  tag: "History",
  description: "What was changed, who changed it, and why.",
  routes: Object.values(routes),
  serve,
};

function missing(generation: number, oldest: number): ApiProblem {
  if (generation === 0 || generation > oldest) {
    return new ApiProblem(404, `No generation ${generation} is in the history`);
  }
  return new ApiProblem(
    410,
    `Generation ${generation} was deleted: the history begins with ${oldest} (history.keep and history.maxBytes say how much is kept)`,
  );
}

function serve(app: OpenAPIHono, { store, clock }: ResourceParts): void {
  const turns = new Turns(READ_AT_A_TIME);

  app.openapi(routes.list, (c) => {
    const page = store.history.page(pageRequest(c.req.valid("query")));
    return c.json(linkNext(c, page).map(entryOf), 200);
  });

  app.openapi(routes.get, (c) => {
    const generation = Number(c.req.valid("param").generation);
    const entry = store.history.get(generation);
    if (!entry) throw missing(generation, store.history.oldest());
    const { changes, truncated } = namedChanges(store.history.changes(generation), store);
    const summary = store.history.summary(generation);
    return c.json({ ...entryOf(entry), changes: changes.map(shownChange), summary, truncated }, 200);
  });

  app.openapi(routes.model, (c) => {
    const generation = Number(c.req.valid("param").generation);
    return modelAnswer(c, clock, async () => {
      const model = await read(c, (store) => modelAt(store, generation));
      return { model: streamed(model), [Symbol.dispose]: () => {} };
    });
  });

  app.openapi(routes.diff, async (c) => {
    const { from, to } = c.req.valid("query");
    const difference = await read(
      c,
      ({ history }) => differenceBetween(history, { from, to, max: CHANGES_MAX }),
    );
    const { objects, changes, truncated } = difference;
    const named = namedChanges(changes, store).changes;
    return c.json({ from, to, objects, changes: named.map(shownChange), truncated }, 200);
  });

  /** What is made of the database as it is now, on a connection of its own, while others have their turns. */
  async function read<Result>(c: Context, make: (store: Store) => Generator<void, Result>): Promise<Result> {
    const { signal } = c.req.raw;
    try {
      return await turns.take(async () => {
        signal.throwIfAborted();
        const frozen = store.frozen();
        if (frozen === null) return toEnd(make(store));
        try {
          return await inSlices(make(frozen), { clock, signal });
        } finally {
          frozen.close();
        }
      });
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new ApiProblem(400, "The client ended the call before it was answered");
    }
  }
}

/** What lies between generations may be as large as the model, for each that is read at a time. */
const READ_AT_A_TIME = 2;

function entryOf({ generation, at, ...origin }: HistoryEntry): z.infer<typeof HistoryEntrySchema> {
  return { generation, at: rfc3339(at), ...origin };
}
