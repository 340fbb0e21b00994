/**
 * What happens inside the node: as a list, or as a stream of server-sent events that a client may leave and come back to.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { anySignal } from "../any_signal.ts";
import { EVENT_KINDS, type EventKind, KIND_NAMES, kindsOf } from "../events/event.ts";
import type { Events, RecordedEvent } from "../events/events.ts";
import { EVENT_STREAMS, type EventStreams } from "../events/streams.ts";
import { strictObject } from "../input/strict_object.ts";
import { credentialOf, type Credentials } from "./access.ts";
import { ApiProblem } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import { BASE, json, problems, type Routes } from "./route.ts";

const STREAM = "text/event-stream";
/** Ids are microseconds: they have 16 digits until the year 2286. */
const EVENT_ID = /^[0-9]{1,16}$/;
const KINDS = Object.entries(EVENT_KINDS).map(([kind, about]) => `- \`${kind}\`: ${about}`).join("\n");

const kindName = z.enum(KIND_NAMES, { error: `kind must be one of ${KIND_NAMES.join(", ")}` });

const query = strictObject({
  kind: z.union([kindName, z.array(kindName)], {
    error: `kind must be one of ${KIND_NAMES.join(", ")}, and may be given more than once`,
  }).optional().openapi({
    type: "array",
    items: { type: "string", enum: [...KIND_NAMES] },
    description: "Only events of this kind; may be given more than once",
  }),
  lastEventId: z.string().regex(EVENT_ID, { error: "lastEventId must be the id of an event" }).optional()
    .meta({
      description: "What happened after the event of this id; the header Last-Event-ID counts before it",
    }),
  since: z.iso.datetime({ offset: true, error: "since must be a time such as 2026-02-01T03:00:00Z" })
    .optional()
    .meta({ description: "What happened from this time on, as far as it is kept" }),
  tail: z.string().regex(/^(?:[0-9]{1,4}|10000)$/, { error: "tail must be a whole number 0–10000" })
    .transform(Number).optional().meta({ description: "The last so many of them, and what comes" }),
}).refine(
  ({ lastEventId, since, tail }) =>
    [lastEventId, since, tail].filter((each) => each !== undefined).length <= 1,
  {
    error: "Give one of lastEventId, since and tail",
  },
);

const headers = z.object({
  "Last-Event-ID": z.string().optional().meta({
    description: "As a client sends it that comes back: what happened after that event",
  }),
});

const EventSchema = z.looseObject({
  id: z.int().meta({ description: "Ascends, over restarts too", examples: [1_767_225_600_000_001] }),
  at: z.iso.datetime().meta({ description: "When it happened, RFC 3339" }),
  kind: z.enum(Object.keys(EVENT_KINDS) as [EventKind, ...EventKind[]]).meta({
    description: "What it is about; the other fields follow from it",
  }),
}).openapi("Event");

const routes = {
  list: {
    operationId: "listEvents",
    method: "get",
    path: `${BASE}/events`,
    scope: "read",
    summary: "What happens inside the node, as it happens",
    description:
      `A stream of server-sent events: \`id\`, \`event\` (the kind), \`data\` (JSON). A client that comes back with ` +
      `\`Last-Event-ID\` gets all that has happened since, over a restart of the node too; where some of it isn't kept any ` +
      `more, an event \`lost\` says so. One that doesn't keep up gets an event \`cut\` and has to come back. With ` +
      `\`Accept: application/json\` it is a list of what is kept, the last 10,000 events.\n\n${KINDS}`,
    request: { query, headers },
    responses: {
      200: {
        description: "Events, the oldest first",
        headers: {
          "Pleiades-Events-Lost": {
            description: "Of a list: present, and true, when events are missing that aren't kept any more",
            schema: { type: "string", enum: ["true"] },
          },
        },
        content: {
          [STREAM]: { schema: z.string() },
          ...json(z.array(EventSchema)),
        },
      },
      ...problems(400, 503),
    },
  },
} satisfies Routes;

/** Events, as the API serves them. */
export const events: Resource = {
  tag: "Events",
  description: "What happens inside the node.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, { ports, credentials }: ResourceParts): void {
  app.openapi(routes.list, (c) => {
    const streams = ports.find(EVENT_STREAMS);
    if (streams === null) throw new ApiProblem(503, "The node tells of no events");
    const { kind, ...from } = c.req.valid("query");
    const kinds = kindsOf(kind === undefined ? [] : [kind].flat());
    const isList = wantsList(c);
    const header = c.req.header("last-event-id");
    const after = beginning(streams.events, { ...from, header, kinds, isList });
    return isList
      ? list(c, streams.events, { after, kinds })
      : stream(c, { streams, credentials }, { after, kinds });
  });
}

/** What is asked for. */
interface Selection {
  /** Id of the event before the first one. */
  readonly after: number;
  /** `null` = all. */
  readonly kinds: ReadonlySet<EventKind> | null;
}

function stream(
  c: Context,
  { streams, credentials }: { readonly streams: EventStreams; readonly credentials: Credentials },
  selection: Selection,
): Response {
  // Proxies that gather answers would keep events back.
  const headers = { "content-type": STREAM, "x-accel-buffering": "no" };
  if (c.req.method === "HEAD") return c.body(null, 200, headers);
  const revoked = new AbortController();
  const waiting = credentials.onRevoked(credentialOf(c), () => revoked.abort());
  const body = streams.open({
    ...selection,
    signal: anySignal([c.req.raw.signal, revoked.signal]),
    onEnd: () => waiting[Symbol.dispose](),
  });
  if (body === null) {
    waiting[Symbol.dispose]();
    throw new ApiProblem(
      503,
      `There are ${streams.max} streams of events already (half of api.maxConnections)`,
      [],
      { "retry-after": "10" },
    );
  }
  return c.body(body, 200, headers);
}

function list(c: Context, events: Events, { after, kinds }: Selection): Response {
  const { events: some, lost } = events.since(after);
  const documents = some.filter((each) => isOf(kinds, each)).map((each) => each.json);
  return c.body(`[${documents.join(",\n")}]`, 200, {
    "content-type": "application/json",
    ...lost && { "pleiades-events-lost": "true" },
  });
}

/** Whether a list is wanted: only where it is asked for by name, since every client of events accepts anything. */
function wantsList(c: Context): boolean {
  const accept = c.req.header("accept") ?? "";
  return /\bapplication\/json\b/i.test(accept) && !accept.toLowerCase().includes(STREAM);
}

/** The id behind which it begins. What a client says that comes back counts before what its URL said at first. */
function beginning(events: Events, { header, lastEventId, since, tail, kinds, isList }: {
  readonly header: string | undefined;
  readonly lastEventId?: string | undefined;
  readonly since?: string | undefined;
  readonly tail?: number | undefined;
  readonly kinds: ReadonlySet<EventKind> | null;
  readonly isList: boolean;
}): number {
  // An id that isn't one of ours is unknown, and its bearer is told what was lost.
  if (header !== undefined) return EVENT_ID.test(header) ? Number(header) : UNKNOWN;
  if (lastEventId !== undefined) return Number(lastEventId);
  if (since !== undefined) {
    return beforeFirst(events, (kept) => kept.findIndex(({ at }) => at >= Date.parse(since)));
  }
  if (tail === undefined) return isList ? events.floor : events.last;
  return beforeFirst(events, (kept) => {
    if (tail === 0) return -1;
    let left = tail;
    const index = kept.findLastIndex((each) => isOf(kinds, each) && --left === 0);
    return Math.max(0, index);
  });
}

/** No event has it. */
const UNKNOWN = 0;

/** The id before a kept event; the last one where there is none. */
function beforeFirst(events: Events, find: (kept: readonly RecordedEvent[]) => number): number {
  const kept = events.kept();
  const index = find(kept);
  if (index < 0) return events.last;
  return index === 0 ? events.floor : kept[index - 1]!.id;
}

function isOf(kinds: ReadonlySet<EventKind> | null, { event: { kind } }: RecordedEvent): boolean {
  return kinds === null || kinds.has(kind);
}
