/**
 * Webhooks of the settings: how they are, and a test of them. Nothing here shows of an address more than its host.
 *
 * @module
 */
import { rfc3339 } from "../clock.ts";
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { EVENT_KINDS, type EventKind } from "../events/event.ts";
import { strictObject } from "../input/strict_object.ts";
import type { ReceiverStatus } from "../webhooks/receiver.ts";
import { WEBHOOKS } from "../webhooks/webhooks.ts";
import { ApiProblem } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import { BASE, idempotencyKey, json, problems, type Routes } from "./route.ts";

const kinds = Object.keys(EVENT_KINDS) as [EventKind, ...EventKind[]]; // what is in a constant is what its type says

const number = z.int().min(1).meta({ description: "Where it stands in notify.webhooks, from 1" });
const host = z.string().meta({ description: "Of its address", examples: ["hooks.example.com"] });

const WebhookSchema = z.object({
  number,
  host,
  events: z.array(z.enum(kinds)).nullable().meta({ description: "Kinds that it is told; null = all" }),
  lastDelivery: z.iso.datetime().nullable().meta({
    description: "When it took an event last; null = not since the start",
  }),
  failingSince: z.iso.datetime().nullable().meta({ description: "Since when it takes none; null = it does" }),
  failure: z.string().nullable().meta({ description: "Why it took none at the last attempt" }),
  waiting: z.int().min(0).meta({ description: "Events that it has yet to be told" }),
}).openapi("Webhook");

const WebhookTestSchema = z.object({
  number,
  host,
  delivered: z.boolean().meta({ description: "Whether it answered 2xx" }),
  status: z.int().nullable().meta({ description: "Of its answer; null = there was none" }),
  failure: z.string().nullable().meta({ description: "What was wrong; null = nothing" }),
  durationMs: z.number().min(0).meta({ description: "How long that took" }),
}).openapi("WebhookTest");

const routes = {
  list: {
    operationId: "listWebhooks",
    method: "get",
    path: `${BASE}/webhooks`,
    scope: "read",
    summary: "How each webhook is",
    responses: {
      200: {
        description: "The webhooks of the settings, in their order",
        content: json(z.array(WebhookSchema)),
      },
      ...problems(),
    },
  },
  test: {
    operationId: "testWebhooks",
    method: "post",
    path: `${BASE}/webhooks/test`,
    scope: "write",
    summary: "Post a test event to webhooks, once",
    description: "It goes beside the events, so it is posted at once even where others wait.",
    request: {
      headers: idempotencyKey,
      query: strictObject({
        receiver: z.string().min(1, { error: "receiver must be a number or a host" }).optional().meta({
          description: "Number or host; all when left out",
          examples: ["1", "hooks.example.com"],
        }),
      }),
    },
    responses: {
      200: { description: "What became of each", content: json(z.array(WebhookTestSchema)) },
      ...problems(400, 404, 415, 422, 429),
    },
  },
} satisfies Routes;

/** Webhooks, as the API serves them. */
export const webhooks: Resource = {
  tag: "Webhooks",
  description: "Receivers outside that are told what happens (`notify.webhooks`).",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, { ports }: ResourceParts): void {
  app.openapi(routes.list, (c) => {
    const all = ports.find(WEBHOOKS)?.status() ?? [];
    return c.json(all.map((status, i) => document(status, i + 1)), 200);
  });
  app.openapi(routes.test, async (c) => {
    const told = ports.find(WEBHOOKS);
    const numbers = numbersOf(told?.status() ?? [], c.req.valid("query").receiver);
    const results = await told?.test(numbers) ?? null;
    if (results === null) {
      throw new ApiProblem(429, "A test of webhooks is under way (try again when it has ended)");
    }
    return c.json(
      results.map(({ number, host, outcome, durationMs }) => ({
        ...{ number, host, delivered: outcome.kind === "delivered", status: outcome.status },
        failure: outcome.kind === "failed" ? outcome.reason : null,
        durationMs: Math.round(durationMs),
      })),
      200,
    );
  });
}

function document(
  { host, kinds, lastDelivery, failingSince, failure, waiting }: ReceiverStatus,
  number: number,
): z.infer<typeof WebhookSchema> {
  return {
    ...{ number, host, events: kinds === null ? null : [...kinds] },
    lastDelivery: timeOf(lastDelivery),
    failingSince: timeOf(failingSince),
    ...{ failure, waiting },
  };
}

function timeOf(unixMs: number | null): string | null {
  return unixMs === null ? null : rfc3339(unixMs);
}

/** The receivers that are meant. @throws {ApiProblem} 404 when there is none */
function numbersOf(all: readonly ReceiverStatus[], wanted: string | undefined): ReadonlySet<number> {
  const numbered = all.map(({ host }, i) => ({ host, number: i + 1 }));
  const meant = numbered.filter(({ host, number }) =>
    wanted === undefined || wanted === String(number) || wanted.toLowerCase() === host
  );
  if (meant.length > 0) return new Set(meant.map(({ number }) => number));
  if (all.length === 0) {
    throw new ApiProblem(404, "There is no webhook (see notify.webhooks in the settings)");
  }
  const known = numbered.map(({ host, number }) => `${number} ${host}`).join(", ");
  throw new ApiProblem(404, `No webhook is called ${JSON.stringify(wanted)} (there are: ${known})`);
}
