/**
 * The repository that the model comes from: how the model stands to it, a look at it at once, and the webhook that asks
 * for one.
 *
 * @module
 */
import { rfc3339 } from "../clock.ts";
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { GITOPS, type GitopsPort, type GitopsStatus } from "../gitops/gitops.ts";
import type { Halted } from "../gitops/sync_result.ts";
import { isSigned, WEBHOOK_BYTES_MAX } from "../gitops/webhook_signature.ts";
import { strictObject } from "../input/strict_object.ts";
import { formatProblem } from "../input/yaml_source.ts";
import type { Problem } from "../change/edit.ts";
import { credentialOf } from "./access.ts";
import { originOf } from "./origin.ts";
import { ApiProblem } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import { BASE, idempotencyKey, json, problems, type Routes, writeHeaders, writeQuery } from "./route.ts";
import { settle, SETTLE_MODEL_MS, termsOf } from "./write.ts";

/** How long a caller waits for a look at most, milliseconds; the look itself goes on. */
const SYNC_MAX_MS = 110_000;
/** Problems of a model that are listed. */
const PROBLEMS_MAX = 100;

const commit = z.string().nullable().meta({
  description: "Id of the commit; null = it isn't known",
  examples: ["f2d43b5e1f1d3f4c4b2d8f1c0a9e8d7c6b5a4f3e"],
});

const state = z.enum(["off", "starting", "synced", "drifted", "refused", "failing"]).meta({
  description:
    "off = no repository is set; starting = it hasn't been looked at yet; synced = its head is the model; " +
    "drifted = objects were changed by another way since; refused = its head isn't accepted; failing = it can't be " +
    "reached, or its head can't be applied now",
});

const GitopsSchema = z.object({
  state,
  repository: z.string().nullable().meta({ description: "Address, without credentials; null = off" }),
  branch: z.string().nullable().meta({ description: "Branch that is followed" }),
  pathPrefix: z.string().nullable().meta({ description: "Folder of the model; empty = all of it" }),
  applied: z.object({
    commit: z.string(),
    signer: z.string().meta({ description: "Who signed it; empty = that wasn't asked for" }),
    fingerprint: z.string().meta({ description: "Of the key; empty like signer" }),
    generation: z.int().min(0).meta({ description: "Of the model that was made of it" }),
    at: z.iso.datetime(),
  }).nullable().meta({ description: "The commit that the model was made of last" }),
  head: z.string().nullable().meta({ description: "The head that was seen last" }),
  fetchedAt: z.iso.datetime().nullable().meta({ description: "When the branch was reached last" }),
  problem: z.object({
    kind: z.enum(["refused", "failed"]),
    step: z.enum(["fetch", "ancestry", "verify", "read", "apply"]),
    commit,
    message: z.string(),
    since: z.iso.datetime(),
    problems: z.array(z.string()).meta({
      description: "What is wrong with the model: file:line:column: message",
    }),
    guards: z.array(z.object({ guard: z.string(), message: z.string() })),
  }).nullable().meta({ description: "What is wrong; null = nothing" }),
  drift: z.object({
    objects: z.int().min(0).meta({ description: "How many differ from the commit" }),
    more: z.boolean().meta({ description: "Whether there may be more than that" }),
    changes: z.array(z.object({
      kind: z.string(),
      name: z.string(),
      action: z.enum(["created", "changed", "deleted"]),
      git: z.unknown().meta({ description: "As the commit has it; null = it has none" }),
      now: z.unknown().meta({ description: "As it is; null = it is gone" }),
    })).meta({ description: "Some of them" }),
  }).meta({ description: "What was changed by another way than Git since" }),
}).openapi("Gitops");

const SyncSchema = z.object({
  result: z.enum(["applied", "restored", "unchanged"]).meta({
    description: "unchanged = the branch has no other commit than the one that is applied",
  }),
  commit: z.string().meta({ description: "Its id" }),
  signer: z.string().meta({ description: "Who signed it; empty = that isn't known here" }),
  generation: z.int().min(0).meta({ description: "Of the model now" }),
  changed: z.boolean().meta({ description: "Whether anything of the model differs from before" }),
}).openapi("GitopsSync");

const routes = {
  status: {
    operationId: "getGitops",
    method: "get",
    path: `${BASE}/gitops`,
    scope: "read",
    summary: "How the model stands to its repository",
    responses: { 200: { description: "The state", content: json(GitopsSchema) }, ...problems(404) },
  },
  sync: {
    operationId: "syncGitops",
    method: "post",
    path: `${BASE}/gitops/sync`,
    scope: "operate",
    summary: "Look at the repository at once",
    description:
      "Answers when that has been done. With force=true a head that guards refuse, or that doesn't come " +
      "after the commit that is applied, is applied all the same, and what was changed by another way is undone; that " +
      "needs the scope admin. No force passes over a signature.",
    request: {
      headers: idempotencyKey,
      query: strictObject({ force: writeQuery.shape.force, reason: writeQuery.shape.reason }),
    },
    responses: {
      200: { description: "What came of it", headers: writeHeaders, content: json(SyncSchema) },
      ...problems(400, 404, 409, 415, 422, 503),
    },
  },
  webhook: {
    operationId: "receiveGitopsWebhook",
    method: "post",
    path: `${BASE}/gitops/webhook`,
    scope: "open",
    bodyBytesMax: "counted",
    summary: "Told of a push by the host of the repository",
    description:
      "Has the repository looked at, whatever the body says. Signed with `gitops.webhook.secret`: " +
      "`X-Hub-Signature-256` (GitHub, Gitea), `X-Gitlab-Token` (GitLab), or `X-Signature-256` (HMAC-SHA256 of the " +
      "body, hexadecimal).",
    request: {
      body: {
        required: true,
        content: { "application/json": { schema: {} } },
      },
    },
    responses: { 202: { description: "The repository will be looked at" }, ...problems(404, 413, 415) },
  },
} satisfies Routes;

/** The repository, as the API serves it. */
export const gitops: Resource = {
  tag: "GitOps",
  description: "The repository that the model comes from (`gitops` in the settings).",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, parts: ResourceParts): void {
  const { ports, store, clock } = parts;

  app.openapi(routes.status, (c) => c.json(statusJson(found(ports.find(GITOPS)).status()), 200));

  app.openapi(routes.sync, async (c) => {
    const { force } = termsOf(c);
    if (force && !credentialOf(c).scopes.has("admin")) {
      throw new ApiProblem(403, "To force a commit the token needs the scope admin");
    }
    const { by, reason, request } = originOf(c);
    const syncing = found(ports.find(GITOPS)).sync({ force, by, reason, ...request && { request } });
    if (syncing === null) throw notSet();
    const over = new AbortController();
    const late = clock.sleep(SYNC_MAX_MS, over.signal).then(() => null);
    const result = await Promise.race([syncing, late]).finally(() => over.abort());
    if (result === null) {
      syncing.catch(() => {});
      throw new ApiProblem(503, "The look takes long, and goes on (GET /gitops says what comes of it)");
    }
    if (result.kind === "refused" || result.kind === "failed") throw haltedProblem(result);
    const generation = result.kind === "applied" ? result.generation : store.generation();
    c.header("Pleiades-Generation", String(store.generation()));
    await settle(c, parts, { generation, timeoutMs: SETTLE_MODEL_MS });
    const { commit } = result;
    if (result.kind === "unchanged") {
      return c.json({ result: "unchanged" as const, commit, signer: "", generation, changed: false }, 200);
    }
    const { signer, changed, isRestored } = result;
    return c.json({
      result: isRestored ? "restored" as const : "applied" as const,
      commit,
      signer,
      generation,
      changed,
    }, 200);
  });

  app.openapi(routes.webhook, async (c) => {
    const gitops = found(ports.find(GITOPS));
    const secret = gitops.webhookSecret;
    if (secret === null) {
      throw new ApiProblem(404, "There is no webhook for pushes (see gitops.webhook.secret in the settings)");
    }
    const { headers } = c.req.raw;
    if (!await isSigned({ headers, body: bodyOf(c), secret })) {
      throw new ApiProblem(401, "The webhook isn't signed with gitops.webhook.secret");
    }
    // What comes of it is in the log and the events.
    gitops.sync(null)?.catch(() => {});
    return c.body(null, 202);
  });
}

function found(gitops: GitopsPort | null): GitopsPort {
  if (gitops === null) throw notSet();
  return gitops;
}

function notSet(): ApiProblem {
  return new ApiProblem(404, "No repository is set (see gitops.repoURL in the settings)");
}

async function* bodyOf(c: Context): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of c.req.raw.body ?? []) {
    size += chunk.length;
    if (size > WEBHOOK_BYTES_MAX) {
      throw new ApiProblem(413, `The body has more than ${WEBHOOK_BYTES_MAX} bytes`);
    }
    yield chunk;
  }
}

/** A commit that guards refuse is answered as any change that they refuse. */
function haltedProblem({ kind, message, problems, guards }: Halted): ApiProblem {
  const errors: Problem[] = problems.slice(0, PROBLEMS_MAX).map((problem) => ({
    pointer: "",
    message: formatProblem(problem),
  }));
  if (kind === "failed") return new ApiProblem(503, message, errors);
  return new ApiProblem(guards.length > 0 ? 409 : 422, message, errors, {}, guards);
}

function statusJson(
  { applied, fetchedAt, problem, drift, ...status }: GitopsStatus,
): z.infer<typeof GitopsSchema> {
  return {
    ...status,
    applied: applied && { ...applied, at: rfc3339(applied.at) },
    fetchedAt: fetchedAt === null ? null : rfc3339(fetchedAt),
    problem: problem && {
      ...{ kind: problem.kind, step: problem.step, commit: problem.commit, message: problem.message },
      since: rfc3339(problem.since),
      problems: problem.problems.slice(0, PROBLEMS_MAX).map(formatProblem),
      guards: problem.guards.map(({ guard, message }) => ({ guard, message })),
    },
    drift: {
      objects: drift.count,
      more: drift.isMore,
      changes: drift.changes.map(({ kind, name, action, before, after }) => ({
        ...{ kind, name, action },
        git: before,
        now: after,
      })),
    },
  };
}
