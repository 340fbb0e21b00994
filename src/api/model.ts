/**
 * The whole model: exported, and replaced in one transaction. Its `ETag` is the generation.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Applied, ApplyOptions } from "../change/edit.ts";
import type { Plan } from "../change/plan_report.ts";
import { modelFileSchema } from "../model/model_reader.ts";
import { type HeldModel, SHARED_MODEL, type SharedModel } from "../cluster/port.ts";
import { parseDuration } from "../input/duration.ts";
import { show, strictObject } from "../input/strict_object.ts";
import { type FileProblem, formatProblem, YAML_SIZE_MAX } from "../input/yaml_source.ts";
import { etagOf, ifRevision, notModified } from "./conditional.ts";
import { JSON_TYPE, modelAnswer, modelOf, NDJSON, YAML } from "./model_answer.ts";
import { PlanSchema, shownPlan } from "./plan.ts";
import { ApiProblem } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import {
  BASE,
  changeCounts,
  conditionalWrite,
  etagHeader,
  ifMatch,
  ifNoneMatch,
  json,
  problems,
  type Routes,
  updateHeaders,
  writeQuery,
} from "./route.ts";
import { originOf } from "./origin.ts";
import { answerWith, isDryRun, settle, SETTLE_MODEL_MS, termsOf } from "./write.ts";

/** Most of NDJSON that is read, bytes: some two million services. */
export const NDJSON_BYTES_MAX: number = 256 << 20;

const AppliedSchema = z.object({
  generation: z.int().min(0).meta({
    description: "The generation after it; the old one when nothing differs",
  }),
  changed: z.boolean().meta({ description: "Whether anything differs" }),
  pools: z.int().min(0).meta({ description: "Pools in the body" }),
  members: z.int().min(0).meta({ description: "Members in the body" }),
  services: z.int().min(0).meta({ description: "Services in the body" }),
  zones: z.int().min(0).meta({ description: "Zones in the body" }),
  objects: changeCounts.meta({ description: "How many objects of each kind differ" }),
}).openapi("Applied");

/** The document that YAML and JSON carry; no schema of a route, since it is read as a stream. */
function schemaOfDocument(): Readonly<Record<string, unknown>> {
  return { ...z.toJSONSchema(modelFileSchema, { io: "input" }), $schema: undefined };
}

/** What publishes models. @throws {ApiProblem} when it couldn't: better known before the model is changed */
function publisherOf({ ports }: ResourceParts): SharedModel {
  const shared = ports.find(SHARED_MODEL);
  if (shared === null) {
    throw new ApiProblem(409, "This node is in no cluster that it could publish to (state.nats.servers)");
  }
  if (!shared.isConnected) throw new ApiProblem(503, "There is no connection to NATS: nothing was applied");
  return shared;
}

async function publish(
  model: HeldModel,
  { generation, signal }: { readonly generation: number; readonly signal: AbortSignal },
): Promise<void> {
  // What another author has added meanwhile isn't in the file that was given.
  if (model.generation !== generation) {
    throw new ApiProblem(
      409,
      `Applied as generation ${generation}, and not published: the model was changed in the same moment ` +
        "(apply it again to publish it)",
    );
  }
  try {
    await model.publish({ version: String(generation), commit: "" }, signal);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ApiProblem(
      503,
      `Applied as generation ${generation}, and not published: ${reason} (apply it again to publish it)`,
    );
  }
}

const modelRef = { $ref: "#/components/schemas/Model" };

/** What a route that gives a model answers. */
export const modelText: Record<string, { schema: { $ref: string } | { type: "string" } }> = {
  [YAML]: { schema: modelRef },
  [JSON_TYPE]: { schema: modelRef },
  [NDJSON]: { schema: { type: "string" } },
};

const planQuery = strictObject({
  replay: z.string().optional().refine((text) => text === undefined || parseDuration(text) !== null, {
    error: ({ input }) => `replay ${show(input)} is no duration (write 24h)`,
  }).meta({ description: "How far back recorded queries are answered once more", examples: ["24h"] }),
});

const applyQuery = writeQuery.extend({
  cluster: z.enum(["true", "false"], { error: "cluster must be true or false" }).optional().meta({
    description: "true: publish the model as the cluster's document when it is applied",
  }),
});

const routes = {
  export: {
    operationId: "exportModel",
    method: "get",
    path: `${BASE}/model`,
    scope: "read",
    summary: "The whole model",
    description:
      "In the format that `Accept` asks for, JSON by default: what `/apply` reads. Objects have names " +
      "instead of ids, and defaults are left out, so that two exports differ where the models do. 503 where " +
      "eight are being sent already; each has to be taken within ten minutes.",
    middleware: notModified,
    request: { headers: ifNoneMatch },
    responses: {
      200: { description: "The model", headers: etagHeader, content: modelText },
      304: { description: "The model still has the ETag of If-None-Match" },
      ...problems(503),
    },
  },
  apply: {
    operationId: "applyModel",
    method: "post",
    path: `${BASE}/apply`,
    scope: "write",
    bodyBytesMax: "counted",
    summary: "Replace the whole model",
    description:
      "In one transaction: what isn't in the body is deleted, what is the same keeps its id. NDJSON has " +
      `an object a line (\`{"pool": …}\`, \`{"service": …}\`, \`{"zone": …}\`) and may be ${
        NDJSON_BYTES_MAX >> 20
      } MiB large, the other formats ${
        YAML_SIZE_MAX >> 20
      } MiB. Models are applied one after the other, and while ` +
      "a large one is committed, other writes are refused: 503, try again. A call that the client ends before " +
      "the commit changes nothing.",
    request: { query: applyQuery, headers: conditionalWrite, body: { required: true, content: modelText } },
    responses: {
      200: {
        description: "It is done, or would be (dry run)",
        headers: updateHeaders,
        content: json(AppliedSchema),
      },
      ...problems(400, 409, 412, 413, 415, 422, 503),
    },
  },
  plan: {
    operationId: "planModel",
    method: "post",
    path: `${BASE}/plan`,
    scope: "read",
    bodyBytesMax: "counted",
    summary: "What would differ if a model were applied, in objects and in answers",
    description:
      "Changes nothing, and doesn't keep others from changing something. Answers are predicted by the " +
      "code that gives them, for health as it is at this moment; members that are new count as healthy.",
    request: { query: planQuery, headers: ifMatch, body: { required: true, content: modelText } },
    responses: {
      200: { description: "The plan", headers: etagHeader, content: json(PlanSchema) },
      ...problems(400, 409, 412, 413, 415, 422),
    },
  },
} satisfies Routes;

/** The whole model, as the API serves it. */
export const model: Resource = {
  tag: "Model",
  description: "Everything at once: export, and replace in one transaction.",
  routes: Object.values(routes),
  // Few ask for the document of the API, and it takes 15 ms of a start.
  get schemas() {
    return { Model: schemaOfDocument() };
  },
  serve,
};

function serve(app: OpenAPIHono, parts: ResourceParts): void {
  const { store } = parts;

  app.openapi(routes.export, (c) => {
    return modelAnswer(c, parts.clock, () => {
      const reading = modelOf(store);
      c.header("ETag", etagOf(reading.generation));
      return reading;
    });
  });

  app.openapi(routes.apply, async (c) => {
    const shared = c.req.valid("query").cluster === "true" ? publisherOf(parts) : null;
    const applied = await read(c, parts, { dryRun: isDryRun(c), ...termsOf(c) });
    if (applied.kind === "invalid") throw invalidModel(applied.problems);
    if (applied.kind === "empty") throw emptyModel();
    const { commit: { generation }, changed, counts, objects, plan } = applied;
    c.header("Pleiades-Generation", String(store.generation()));
    if (plan) answerWith(c, plan);
    else {
      using model = shared?.hold() ?? null;
      await settle(c, parts, { generation, timeoutMs: SETTLE_MODEL_MS });
      c.header("ETag", etagOf(generation));
      if (model !== null) await publish(model, { generation, signal: c.req.raw.signal });
    }
    return c.json({ generation, changed, ...counts, objects }, 200);
  });

  app.openapi(routes.plan, async (c) => {
    const { replay } = c.req.valid("query");
    const replayMs = replay === undefined ? 0 : parseDuration(replay)!;
    const plan = planned(await read(c, parts, { dryRun: true, replayMs }));
    return c.json(plan, 200, { ETag: etagOf(plan.generation) });
  });
}

/** Reads the model of a request, and applies it or says what would come of it. */
async function read(
  c: Context,
  { changes, store }: ResourceParts,
  terms: Pick<ApplyOptions, "dryRun" | "force" | "replayMs">,
): Promise<Applied> {
  const { signal } = c.req.raw;
  const isNdjson = c.req.header("content-type")?.toLowerCase().startsWith(NDJSON) ?? false;
  const body = c.req.raw.body ?? ReadableStream.from([]);
  // What can be refused at once is; the transaction compares again.
  const { ifRevision: ifGeneration = null } = ifRevision(c, store.generation());
  const options: ApplyOptions = {
    file: "body",
    format: isNdjson ? "ndjson" : "yaml",
    origin: originOf(c),
    ...terms,
    ifGeneration,
    signal,
  };
  try {
    return await changes.apply(limited(body, isNdjson ? NDJSON_BYTES_MAX : YAML_SIZE_MAX), options);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new ApiProblem(400, "The client ended the call before the commit: nothing is changed");
  }
}

/** The same bytes, ending with a problem when there are too many. */
function limited(body: ReadableStream<Uint8Array>, bytesMax: number): ReadableStream<Uint8Array> {
  let size = 0;
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        size += chunk.length;
        if (size <= bytesMax) controller.enqueue(chunk);
        else controller.error(new ApiProblem(413, `The body has more than ${bytesMax} bytes`));
      },
    }),
  );
}

/** What a dry run found. @throws {ApiProblem} when the model can't be applied at all */
function planned(applied: Applied): Plan {
  if (applied.kind === "invalid") throw invalidModel(applied.problems);
  if (applied.kind === "empty") throw emptyModel();
  return shownPlan(applied.plan!);
}

/** A file of comments, or an export that failed unseen, must not wipe a node out. */
function emptyModel(): ApiProblem {
  return new ApiProblem(
    400,
    "The model is empty: applying it would delete everything (delete the objects one by one if that is meant)",
  );
}

function invalidModel(found: readonly FileProblem[]): ApiProblem {
  const errors = found.map((problem) => ({ pointer: "", message: formatProblem(problem) }));
  return new ApiProblem(
    400,
    `The model has ${errors.length} problem(s): ${errors[0]?.message ?? ""}`,
    errors,
  );
}
