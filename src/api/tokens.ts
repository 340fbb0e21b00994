/**
 * Tokens: created with a scope, a name and perhaps an end, listed without their secrets, and revoked. There is no update:
 * who wants another scope creates another token and revokes the old one.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { parseDuration } from "../input/duration.ts";
import { choice, mustBe, refuse, together } from "../input/fields.ts";
import { strictObject } from "../input/strict_object.ts";
import { TOKEN_LIFE_MAX_MS, TokenChanges } from "../change/token_changes.ts";
import { idSchema } from "../model/model_schema.ts";
import { rfc3339 } from "../clock.ts";
import { rfc3339Text } from "../model/override_schema.ts";
import { SCOPES, TOKEN_NAME_MAX, tokenNameFault } from "../model/token.ts";
import type { StoredToken } from "../store/tokens.ts";
import { aPage } from "./answers.ts";
import { linkNext, numberedPageQuery, pageRequest } from "./paging.ts";
import { notFound } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import {
  BASE,
  idempotencyKey,
  idParams,
  json,
  jsonBody,
  problems,
  type Routes,
  writeQuery,
} from "./route.ts";
import { originOf } from "./origin.ts";
import { isDryRun } from "./write.ts";

const path = `${BASE}/tokens/{id}`;

const nameError = mustBe("name", `1–${TOKEN_NAME_MAX} visible characters without spaces`);

const TokenRequestSchema = strictObject({
  name: z.string({ error: nameError }).check((payload) => {
    const fault = tokenNameFault(payload.value);
    if (fault !== null) refuse(payload, fault);
  }).meta({
    description: "What it is called in the history and the audit; unique among tokens that aren't revoked",
    examples: ["ci-deploy"],
  }),
  scope: choice("scope", SCOPES).meta({
    description:
      "read: look at everything; operate: overrides and failback, too; write: change the model, too; " +
      "admin: tokens and the audit, too",
    examples: ["write"],
  }),
  expiresAt: rfc3339Text("expiresAt").nullable().default(null).meta({
    description:
      "From when on it counts no more, at most ten years from now (RFC 3339); null = expiresIn says it",
    examples: ["2027-01-31T00:00:00Z"],
  }),
  expiresIn: z.string().check((payload) => {
    const ms = parseDuration(payload.value);
    if (ms !== null && ms > 0 && ms <= TOKEN_LIFE_MAX_MS) return;
    refuse(
      payload,
      mustBe("expiresIn", "a duration up to 3650d such as 30m, 12h or 90d")({ input: payload.value }),
    );
  }).nullable().default(null).meta({
    description: "How long it counts; null and no expiresAt = until it is revoked",
    examples: ["90d"],
  }),
}).check(together(["expiresAt", "expiresIn"], (payload) => {
  const { expiresAt, expiresIn } = payload.value;
  if (expiresAt === null || expiresIn === null) return;
  refuse(payload, "expiresIn and expiresAt both say when it ends: give one of them", ["expiresIn"]);
})).openapi("TokenRequest");

const TokenSchema = z.object({
  id: idSchema,
  name: z.string().meta({ description: "What it is called" }),
  scope: z.enum(SCOPES).meta({ description: "What it allows" }),
  state: z.enum(["valid", "expired", "revoked"]).meta({ description: "Whether it counts at this moment" }),
  createdAt: z.iso.datetime().meta({ description: "When it was created" }),
  createdBy: z.string().meta({ description: "Who created it; empty when unknown" }),
  expiresAt: z.iso.datetime().nullable().meta({ description: "When it ends; null = it has no end" }),
  lastUsedAt: z.iso.datetime().nullable().meta({
    description: "When it was used last; kept to the minute; null = never",
  }),
  revokedAt: z.iso.datetime().nullable().meta({ description: "When it was revoked; null = it isn't" }),
}).openapi("Token");

const CreatedTokenSchema = z.object({
  ...TokenSchema.shape,
  token: z.string().meta({ description: "The token itself. It is shown this once, and kept nowhere" }),
}).openapi("CreatedToken");

const tokenQuery = writeQuery.pick({ dryRun: true, reason: true });

const remarkHeader = {
  "Pleiades-Remark": {
    description:
      "What the client should know: that the API asks for a token from now on, or that none is left that may create others",
    schema: { type: "string" },
  },
} as const;

const routes = {
  list: {
    operationId: "listTokens",
    method: "get",
    path: `${BASE}/tokens`,
    scope: "admin",
    summary: "All tokens without their secrets, in the order of their creation",
    request: { query: numberedPageQuery },
    responses: { ...aPage("tokens", TokenSchema), ...problems(400) },
  },
  create: {
    operationId: "createToken",
    method: "post",
    path: `${BASE}/tokens`,
    scope: "admin",
    summary: "Create a token",
    description:
      "The answer shows the token this once. Where there was none before, the API asks for one from now on, on loopback, too.",
    request: { query: tokenQuery, headers: idempotencyKey, body: jsonBody(TokenRequestSchema) },
    responses: {
      200: {
        description: "The token as it would be, without its secret (dry run)",
        content: json(TokenSchema),
      },
      201: {
        description: "The new token",
        headers: {
          Location: { description: "Path of the new object", schema: { type: "string" } },
          ...remarkHeader,
        },
        content: json(CreatedTokenSchema),
      },
      ...problems(400, 409, 413, 415, 422),
    },
  },
  get: {
    operationId: "getToken",
    method: "get",
    path,
    scope: "admin",
    summary: "One token without its secret",
    request: { params: idParams },
    responses: { 200: { description: "The token", content: json(TokenSchema) }, ...problems(404) },
  },
  revoke: {
    operationId: "revokeToken",
    method: "delete",
    path,
    scope: "admin",
    summary: "Revoke a token now",
    description:
      "It counts no more when the call returns; what it is used for at that moment (a stream of events) ends with " +
      "it. A token that is revoked already stays as it is.",
    request: { params: idParams, query: tokenQuery, headers: idempotencyKey },
    responses: {
      204: { description: "It counts no more", headers: remarkHeader },
      ...problems(400, 404, 422),
    },
  },
} satisfies Routes;

/** Tokens, as the API serves them. */
export const tokens: Resource = {
  tag: "Tokens",
  description: "Who may do what.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, { store, clock, credentials, auth }: ResourceParts): void {
  const changes = new TokenChanges({ store, clock });

  app.openapi(
    routes.list,
    (c) => c.json(linkNext(c, store.tokens.page(pageRequest(c.req.valid("query")))).map(shown), 200),
  );

  app.openapi(routes.get, (c) => {
    const { id } = c.req.valid("param");
    return c.json(shown(store.tokens.get(id) ?? notFound("token", id)), 200);
  });

  app.openapi(routes.create, (c) => {
    const { name, scope, expiresAt: until, expiresIn } = c.req.valid("json");
    const expiresAt = until !== null
      ? Date.parse(until)
      : expiresIn === null
      ? null
      : clock.unixMs() + parseDuration(expiresIn)!;
    const dryRun = isDryRun(c);
    const wasOpen = credentials.isOpen;
    const { stored, secret } = changes.create({ name, scope, expiresAt }, originOf(c), { dryRun });
    if (dryRun) return c.json(shown(stored), 200);
    credentials.endInvalid();
    remark(c, remarkOn(wasOpen));
    c.header("Location", `${BASE}/tokens/${stored.id}`);
    return c.json({ ...shown(stored), token: secret }, 201);
  });

  app.openapi(routes.revoke, (c) => {
    const { id } = c.req.valid("param");
    const dryRun = isDryRun(c);
    changes.revoke(id, originOf(c), { dryRun });
    if (dryRun) return c.body(null, 204);
    credentials.endInvalid();
    remark(c, remarkOn(false));
    return c.body(null, 204);
  });

  /** What the client should know of tokens now. */
  function remarkOn(wasOpen: boolean): string | null {
    const words = wasOpen
      ? ["This was the first token: from now on the API asks for one, on loopback, too"]
      : [];
    if (auth.tokens.length === 0 && !store.tokens.hasAdmin(clock.unixMs())) {
      words.push(
        "No token is left that may create others (pleiades tokens create --scope admin --db FILE makes one)",
      );
    }
    return words.length === 0 ? null : words.join(". ");
  }

  function shown(token: StoredToken): z.infer<typeof TokenSchema> {
    const { id, name, scope, createdAt, createdBy, expiresAt, lastUsedAt, revokedAt } = token;
    const used = credentials.lastUse(id) ?? lastUsedAt;
    return {
      id,
      name,
      scope,
      state: stateOf(token, clock.unixMs()),
      createdAt: rfc3339(createdAt),
      createdBy,
      expiresAt: timeOrNull(expiresAt),
      lastUsedAt: timeOrNull(used),
      revokedAt: timeOrNull(revokedAt),
    };
  }
}

function remark(c: Context, text: string | null): void {
  if (text !== null) c.header("Pleiades-Remark", text);
}

function stateOf({ expiresAt, revokedAt }: StoredToken, nowMs: number): "valid" | "expired" | "revoked" {
  if (revokedAt !== null) return "revoked";
  return expiresAt !== null && expiresAt <= nowMs ? "expired" : "valid";
}

function timeOrNull(unixMs: number | null): string | null {
  return unixMs === null ? null : rfc3339(unixMs);
}
