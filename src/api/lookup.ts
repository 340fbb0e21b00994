/**
 * Services that announce themselves: looking them up, waiting for a change, and registering.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { type Address, parseAddress } from "../discovery/address.ts";
import { DISCOVERY, type DiscoveryPort, type Found, PROVIDER } from "../discovery/port.ts";
import { strictObject } from "../input/strict_object.ts";
import { formatProblem } from "../input/yaml_source.ts";
import { isLoopback, parseIp } from "../ip.ts";
import { credentialOf } from "./access.ts";
import { BodyRoom } from "./body_room.ts";
import { tagsOf } from "./conditional.ts";
import { ANSWER_HEADERS } from "./http_answer.ts";
import { LookupStreams } from "./lookup_streams.ts";
import { refuseOwnToken } from "./origin.ts";
import { ApiProblem, problemResponse } from "./problem.ts";
import { answerLater, remoteAddressOf } from "./request_source.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import { BASE, idempotencyKey, ifNoneMatch, json, problems, type Routes } from "./route.ts";

const STREAM = "text/event-stream";
/** Longest time that a look-up waits for a change. */
const WAIT_MAX_SECONDS = 60;
/** Streams at a time. */
const STREAMS_MAX = 8_192;
const PROVIDER_RULE = "provider must be 1–64 letters, digits, dots, hyphens and underscores";
/** Documents, bytes; discovery refuses what has more. */
const DOCUMENTS = { eachMax: 8 << 20, allMax: 32 << 20 } as const;
/** One room for all listeners at which a process takes them. */
const room = new BodyRoom(DOCUMENTS);

const AddressParams = z.object({
  address: z.string().max(255).meta({
    description: "service.job.env.product.zone, without the dns zone",
    examples: ["http.web.prod.shop.gg"],
  }),
});

const ProviderParams = z.object({
  provider: z.string().regex(PROVIDER, { error: PROVIDER_RULE }).meta({
    description: "Who registers; its file in the directory has that name",
    examples: ["chef"],
  }),
});

const LookupSchema = z.object({
  address: z.string().meta({ description: "In lower case", examples: ["http.web.prod.shop.gg"] }),
  stale: z.boolean().meta({
    description: "Whether the registry can't be read, and what it said last counts",
  }),
  instances: z.array(z.object({
    id: z.string(),
    provider: z.string(),
    node: z.string().meta({ description: "Name of its machine: the target of SRV" }),
    ipAddresses: z.array(z.string()),
    port: z.int().min(1).max(65_535),
    priority: z.int().min(0).max(65_535),
    weight: z.int().min(0).max(65_535),
  })).meta({ description: "In the order of DNS answers" }),
}).openapi("Lookup");

const lookupQuery = strictObject({
  wait: z.string().regex(/^[0-9]{1,2}$/, { error: `wait must be 0–${WAIT_MAX_SECONDS} seconds` })
    .transform(Number).refine((seconds) => seconds <= WAIT_MAX_SECONDS, {
      error: `wait must be 0–${WAIT_MAX_SECONDS} seconds`,
    }).optional().openapi({
      type: "string",
      description: "With If-None-Match: seconds to wait for another state than that one",
    }),
});

const routes = {
  list: {
    operationId: "listLookups",
    method: "get",
    path: `${BASE}/lookup`,
    scope: "read",
    summary: "Addresses at which something is registered",
    request: {
      query: strictObject({
        suffix: z.string().max(255).optional().meta({
          description: "Only addresses that end in these labels, such as shop.gg",
        }),
      }),
    },
    responses: {
      200: { description: "Addresses, in order", content: json(z.array(z.string())) },
      ...problems(400, 404),
    },
  },
  lookup: {
    operationId: "lookUp",
    method: "get",
    path: `${BASE}/lookup/{address}`,
    scope: "read",
    summary: "The instances at an address, as DNS answers them",
    description:
      "404 where DNS answers NXDOMAIN, and 503 where it answers SERVFAIL. With `Accept: text/event-stream` a " +
      "stream of server-sent events: `lookup` with the state now, and again after each change; the id of an event is its " +
      "ETag, and a client that comes back with it as `Last-Event-ID` is told only of another state. One that is slow " +
      "misses states in between, and never the last.",
    request: { params: AddressParams, query: lookupQuery, headers: ifNoneMatch },
    responses: {
      200: {
        description: "The instances; none where the job is registered, but not there",
        headers: {
          ETag: { description: "Equal on every node where the instances are", schema: { type: "string" } },
        },
        content: { ...json(LookupSchema), [STREAM]: { schema: z.string() } },
      },
      304: { description: "The instances are those of If-None-Match" },
      ...problems(400, 404, 503),
    },
  },
  register: {
    operationId: "registerProvider",
    method: "put",
    path: `${BASE}/providers/{provider}`,
    scope: "write",
    // It is read here, so that its text isn't taken apart in one turn, and so that many don't take all memory.
    bodyBytesMax: "counted",
    summary: "Register: the complete state of a provider",
    description:
      "Only from this machine. Answers when the state is on the disk and in the answers. The document is " +
      '`{"instances": […]}`, or `service` or `services` as in a service file of Consul.',
    request: {
      params: ProviderParams,
      headers: idempotencyKey,
      body: { required: true, content: { "application/json": { schema: { type: "object" } } } },
    },
    responses: {
      200: {
        description: "How many instances are registered",
        content: json(z.object({ instances: z.int().min(0) })),
      },
      ...problems(400, 404, 409, 413, 415, 422, 503),
    },
  },
  withdraw: {
    operationId: "withdrawProvider",
    method: "delete",
    path: `${BASE}/providers/{provider}`,
    scope: "write",
    summary: "Take back all that a provider has registered",
    description: "Only from this machine.",
    request: { params: ProviderParams, headers: idempotencyKey },
    responses: { 204: { description: "It has nothing registered now" }, ...problems(400, 404, 422) },
  },
} satisfies Routes;

/** Look-ups and registrations, as the API serves them. */
export const lookup: Resource = {
  tag: "Discovery",
  description: "Services that announce themselves (`discovery` in the settings).",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, { ports, credentials, clock }: ResourceParts): void {
  const texts = new Texts();
  const streams = new LookupStreams({
    clock,
    encode: (state) => texts.of(state, { withCode: true }),
    answer: (state, isKnown) => laterAnswer(state, isKnown ? null : texts),
  });

  app.openapi(routes.list, (c) => {
    const { suffix } = c.req.valid("query");
    const all = found(ports.find(DISCOVERY)).addresses();
    const end = suffix?.toLowerCase();
    return c.json(end === undefined ? [...all] : all.filter((each) => `.${each}`.endsWith(`.${end}`)), 200);
  });

  app.openapi(routes.lookup, async (c) => {
    const discovery = found(ports.find(DISCOVERY));
    const address = addressOf(c.req.valid("param").address);
    if ((c.req.header("accept") ?? "").toLowerCase().includes(STREAM)) {
      if (streams.size >= STREAMS_MAX) {
        throw new ApiProblem(503, `There are ${STREAMS_MAX} streams of look-ups already`, [], {
          "retry-after": "10",
        });
      }
      const seen = c.req.header("last-event-id") ?? "";
      const stream = streams.open({ discovery, address, seen, signal: c.req.raw.signal });
      const revoked = credentials.onRevoked(credentialOf(c), stream.end);
      stream.ended.then(() => revoked[Symbol.dispose]());
      return c.body(stream.body, 200, { "content-type": STREAM, "x-accel-buffering": "no" }) as never;
    }
    const header = c.req.header("if-none-match");
    const { wait = 0 } = c.req.valid("query");
    const isKnown = (state: Found) => isSeen(header, state);
    const state = discovery.lookUp(address);
    if (!isKnown(state)) return answer(state, texts) as never;
    if (wait === 0) return unchanged(state) as never;
    const waitMs = wait * 1000;
    const { signal } = c.req.raw;
    return await answerLater(c, streams.wait({ discovery, address, isKnown, waitMs, signal })) as never;
  });

  app.openapi(routes.register, async (c) => {
    const discovery = local(c, ports.find(DISCOVERY));
    using document = await room.read(c.req.raw);
    refuseOwnToken(c, document.bytes);
    const done = await discovery.register(c.req.valid("param").provider, document.bytes);
    switch (done.kind) {
      case "done":
        return c.json({ instances: done.instances }, 200);
      case "nowhere":
        throw new ApiProblem(404, "Registrations have no directory here (see discovery.directory)");
      case "owned":
        throw new ApiProblem(409, `The id ${JSON.stringify(done.id)} is registered by ${done.owner}`);
      case "invalid":
        throw new ApiProblem(
          400,
          "The registration is wrong",
          done.problems.map((problem) => ({ pointer: "", message: formatProblem(problem) })),
        );
    }
  });

  app.openapi(routes.withdraw, async (c) => {
    const { provider } = c.req.valid("param");
    if (await local(c, ports.find(DISCOVERY)).withdraw(provider)) return c.body(null, 204);
    throw new ApiProblem(404, `The provider ${provider} has registered nothing`);
  });
}

/** @throws {ApiProblem} where there is no list of instances */
function answer(state: Found, texts: Texts): Response {
  switch (state.rcode) {
    case "NXDOMAIN":
      throw new ApiProblem(404, `Nothing is registered at ${state.address}`);
    case "SERVFAIL":
      throw new ApiProblem(503, `The registry of the zone of ${state.address} can't be read`);
    case "elsewhere":
      throw new ApiProblem(404, `The zone of ${state.address} is answered by its own name servers`);
    case "NOERROR": {
      const headers = { "content-type": "application/json", etag: etagOf(state) };
      return new Response(texts.of(state), { headers });
    }
  }
}

function unchanged(state: Found): Response {
  return new Response(null, { status: 304, headers: { etag: etagOf(state) } });
}

/** The whole of an answer, for all who have waited for it. @param texts `null` = the state is the one that they have */
function laterAnswer(state: Found, texts: Texts | null): Response {
  let response: Response;
  try {
    response = texts === null ? unchanged(state) : answer(state, texts);
  } catch (cause) {
    if (!(cause instanceof ApiProblem)) throw cause;
    const instance = `${BASE}/lookup/${state.address}`;
    response = problemResponse(cause, { instance, shown: (text) => text, unforeseen: () => {} });
  }
  for (const [name, value] of Object.entries(ANSWER_HEADERS)) response.headers.set(name, value);
  return response;
}

/** States as JSON: what thousands ask for is put into words once. */
class Texts {
  readonly #known = new WeakMap<Found["instances"], Map<string, string>>();

  of(state: Found, { withCode = false } = {}): string {
    const { address, rcode, isStale, instances } = state;
    let known = this.#known.get(instances);
    if (!known) this.#known.set(instances, known = new Map());
    const key = [address, withCode && rcode, isStale].join(" ");
    let text = known.get(key);
    if (text === undefined) {
      // Nothing is the same list at whichever address.
      if (instances.length === 0) known.clear();
      known.set(key, text = JSON.stringify({ ...document(state), ...withCode && { rcode } }));
    }
    return text;
  }
}

function document({ address, isStale, instances }: Found): z.infer<typeof LookupSchema> {
  return {
    address,
    stale: isStale,
    instances: instances.map(({ id, provider, node, ips, port, priority, weight }) => ({
      ...{ id, provider, node, ipAddresses: [...ips], port, priority, weight },
    })),
  };
}

function etagOf({ tag }: Found): string {
  return `"${tag}"`;
}

function isSeen(header: string | undefined, state: Found): boolean {
  return header !== undefined && tagsOf(header).includes(etagOf(state));
}

function addressOf(text: string): Address {
  try {
    return parseAddress(text);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new ApiProblem(400, cause.message);
  }
}

function found(discovery: DiscoveryPort | null): DiscoveryPort {
  if (discovery === null) {
    throw new ApiProblem(404, "Discovery is off (see discovery.enabled in the settings)");
  }
  return discovery;
}

/** Registrations are of this machine's services, by programs of this machine. */
function local(c: Context, discovery: DiscoveryPort | null): DiscoveryPort {
  const from = parseIp(remoteAddressOf(c));
  if (from !== null && !isLoopback(from)) {
    throw new ApiProblem(403, "Only programs of this machine may register (over loopback)");
  }
  if (c.req.header("origin") !== undefined) throw new ApiProblem(403, "Web pages may not register");
  return found(discovery);
}
