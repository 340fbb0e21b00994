/**
 * Why an answer is what it is, and how long a fault is seen in answers.
 *
 * @module
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { nearest } from "../input/nearest.ts";
import { show, strictObject } from "../input/strict_object.ts";
import { STEP_KINDS, UDP_SIZE_DEFAULT } from "../explain/explanation.ts";
import { parseIp, parseSubnet } from "../ip.ts";
import { isMetaType, TYPE, typeNumber } from "../wire/record_type.ts";
import { nameToWire } from "../wire/name.ts";
import { ApiProblem } from "./problem.ts";
import type { Resource, ResourceParts } from "./resource.ts";
import { BASE, json, problems, type Routes } from "./route.ts";
import { ViewsSchema } from "./views.ts";

const degrees = z.number().nullable().meta({ description: "Degrees" });

const HealthSchema = z.object({
  state: z.enum(["healthy", "unhealthy", "unknown"]).meta({
    description: "As the probes find it, and where nodes share what they find, as the policy has it",
  }),
  eligible: z.boolean().meta({ description: "Whether it is eligible, as far as health goes" }),
  why: z.string().nullable().meta({ description: "Why it is out, or in although it is down" }),
  since: z.iso.datetime().nullable().meta({ description: "Since when it is in this state, RFC 3339" }),
  lastError: z.string().nullable().meta({ description: "Why the last probe failed" }),
  latencyMs: z.number().nullable().meta({ description: "Duration of the last successful probe" }),
  checkedAt: z.iso.datetime().nullable().meta({ description: "When it was last probed, RFC 3339" }),
  views: ViewsSchema,
});

const CandidateSchema = z.object({
  pool: z.string().meta({ description: "Name of its pool; (fallback) = the static fallback" }),
  memberId: z.string().nullable().meta({ description: "Its id; null = an endpoint of the static fallback" }),
  member: z.string().meta({ description: "Address or host name, and port", examples: ["192.0.2.1:443"] }),
  address: z.string().nullable().meta({ description: "What is answered for it" }),
  outcome: z.enum(["kept", "dropped"]).meta({
    description:
      "kept: in this answer (then it has a rank) or in one to come as it rotates; dropped: in no answer as things are.  " +
      "Tables of the shell call it answered where it is kept and has a rank, else kept or dropped",
  }),
  reason: z.string().meta({ description: "Why, in words" }),
  rank: z.int().min(1).nullable().meta({
    description: "Its rank in the answer; null = it isn't in this one",
  }),
  distanceKm: z.number().nullable().meta({ description: "From the client" }),
  weight: z.int().meta({ description: "Its share among members of equal rank" }),
  priority: z.int().meta({ description: "Its tier under failover; 0 = the last one" }),
  health: HealthSchema.nullable().meta({ description: "null = it isn't probed" }),
  override: z.object({
    state: z.enum(["up", "down", "drain"]).meta({ description: "What it does" }),
    reason: z.string().meta({ description: "Why" }),
    owner: z.string().meta({ description: "Who can be asked about it" }),
    createdBy: z.string().meta({
      description: "Name of the token or login that created it; empty when unknown",
    }),
    expiresAt: z.iso.datetime().meta({ description: "When it ends, RFC 3339" }),
  }).nullable().meta({ description: "The override in effect on it" }),
}).openapi("ExplainedCandidate");

const ExplanationSchema = z.object({
  at: z.iso.datetime().meta({ description: "When, RFC 3339" }),
  generation: z.int().min(0).meta({ description: "Of the model in the answers" }),
  question: z.object({
    name: z.string().meta({ description: "Lower-case, no final dot" }),
    type: z.string().meta({ description: "Record type" }),
    ecs: z.string().nullable().meta({ description: "The client subnet that is sent along" }),
    wire: z.string().meta({ description: "The packet in hex: sent by the client, it gets this answer" }),
  }).meta({ description: "The question" }),
  client: z.object({
    address: z.string().meta({ description: "The address that decided; of a subnet, its first one" }),
    source: z.enum(["address", "ecs"]).meta({ description: "Where the address comes from" }),
    prefix: z.string().meta({ description: "As far as it is known" }),
    country: z.string().nullable().meta({ description: "Two letters" }),
    continent: z.string().nullable().meta({ description: "Two letters" }),
    asn: z.int().nullable().meta({ description: "Number of the autonomous system" }),
    latitude: degrees,
    longitude: degrees,
    geoRule: z.string().nullable().meta({ description: "The rule that matched", examples: ["country DE"] }),
    mapFile: z.object({
      prefix: z.string().meta({ description: "As written there" }),
      line: z.int().min(1).meta({ description: "Its line" }),
    }).nullable().meta({
      description: "The line of the map file that matched",
    }),
  }).meta({
    description: "The client the answer is for; facts are null where the answer doesn't depend on them",
  }),
  steps: z.array(z.object({
    kind: z.enum(STEP_KINDS).meta({ description: "What it is about" }),
    text: z.string().meta({ description: "The decision in words" }),
  })).meta({
    description: "What was decided, in order, a sentence each",
  }),
  candidates: z.array(CandidateSchema).meta({ description: "Every member of the pools that were looked at" }),
  rotation: z.object({
    ticket: z.int().min(0).meta({ description: "The ticket that the next answer draws" }),
    members: z.int().min(2).meta({ description: "Members that rotate" }),
    turn: z.int().min(1).meta({ description: "Position of this answer in the cycle, from 1" }),
    cycle: z.int().min(1).meta({ description: "Length of the cycle" }),
    next: z.array(z.string()).meta({ description: "The first address of this and of the next answers" }),
  }).nullable().meta({ description: "null = nothing rotates" }),
  answer: z.object({
    rcode: z.string().meta({ description: "Response code", examples: ["NOERROR", "NXDOMAIN", "REFUSED"] }),
    truncated: z.boolean().meta({ description: "Whether the client has to retry over TCP" }),
    records: z.array(z.object({
      name: z.string().meta({ description: "Owner name" }),
      type: z.string().meta({ description: "Record type" }),
      ttl: z.int().min(0).meta({ description: "Seconds" }),
      data: z.string().meta({ description: "Presentation form" }),
    })).meta({ description: "The answer section" }),
    ttl: z.int().min(0).nullable().meta({ description: "Seconds; null = there are no records" }),
    scope: z.int().min(0).max(128).nullable().meta({
      description: "Bits of the client subnet for which it holds; null = it carries none",
    }),
    wire: z.string().meta({ description: "Its bytes in hex" }),
    text: z.string().meta({ description: "The same as dig prints it" }),
  }).meta({ description: "The answer as sent" }),
}).openapi("Explanation");

const span = z.object({
  typicalMs: z.number().meta({ description: "Mean over all moments at which the fault can come" }),
  worstMs: z.number().meta({ description: "Never longer" }),
});

const faultBudget = z.object({
  detection: span.meta({ description: "From the fault to the first answer without the member" }),
  lastCachedAnswer: span.meta({ description: "From the fault until no cache has the member any more" }),
});

const BudgetSchema = z.object({
  name: z.string().meta({ description: "As given in the request" }),
  service: z.string().nullable().meta({ description: "Domain of the service; null = the static fallback" }),
  ttl: z.int().min(0).meta({ description: "Seconds" }),
  pools: z.array(z.object({
    pool: z.string().meta({ description: "Its name" }),
    check: z.string().nullable().meta({ description: "null = nothing is probed: a fault is never seen" }),
    refusing: faultBudget.nullable().meta({ description: "Backends whose probes fail at once" }),
    hanging: faultBudget.nullable().meta({ description: "Backends whose probes fail by the time-out" }),
    back: span.nullable().meta({
      description: "From recovery to the first answer; null = nothing is probed, or an operator decides",
    }),
    failback: z.string().nullable().meta({ description: "What members wait for beyond that" }),
  })).meta({ description: "In the order in which they answer" }),
  flipGuardHoldMs: z.number().nullable().meta({
    description: "How much longer it takes when very many targets go down at once",
  }),
  failovers: z.array(z.object({
    pool: z.string().meta({ description: "Its name" }),
    member: z.string().meta({ examples: ["192.0.2.1:443"], description: "Address and port" }),
    check: z.string().meta({ description: "The check whose verdict changed" }),
    direction: z.enum(["down", "up"]).meta({ description: "Out of the answers, or back" }),
    at: z.iso.datetime().meta({ description: "When the answers showed it, RFC 3339" }),
    detectedMs: z.number().nullable().meta({
      description: "From the last probe that still found the old state to the verdict; null = not known",
    }),
    heldMs: z.number().meta({ description: "For how long the flip guard held it back" }),
  })).meta({ description: "Of this run, ten at most of each target, the newest first" }),
}).openapi("Budget");

const name = z.string({ error: "name is required (write ?name=www.example.com)" }).refine(isName, {
  error: ({ input }) => `name ${show(input)} is no domain name (write www.example.com)`,
}).meta({ description: "Domain name of the question", examples: ["www.example.com"] });

const explainFields = {
  name,
  type: z.string().default("A").refine((text) => askedType(text) !== null, {
    error: ({ input }) => `type ${show(input)} can't be asked for${guessOf(input)}`,
  }).meta({ description: "Record type", examples: ["A", "AAAA"] }),
  client: z.string().default("127.0.0.1").refine((text) => parseIp(text) !== null, {
    error: ({ input }) => `client ${show(input)} is no address (write 192.0.2.53 or 2001:db8::53)`,
  }).meta({ description: "Address that sends the query" }),
  ecs: z.string().optional().superRefine((text, context) => {
    const fault = text === undefined ? null : prefixFault(text);
    if (fault !== null) context.addIssue({ code: "custom", message: `ecs: ${fault}` });
  }).meta({ description: "Client subnet that the query carries", examples: ["198.51.100.0/24"] }),
};
const explainQuery = strictObject(explainFields);
const explainBody = strictObject(explainFields).openapi("ExplainQuestion");

const routes = {
  budget: {
    operationId: "budget",
    method: "get",
    path: `${BASE}/budget`,
    scope: "read",
    summary: "How long a fault is seen in answers, and how long the last ones were",
    request: { query: strictObject({ name }) },
    responses: { 200: { description: "The budget", content: json(BudgetSchema) }, ...problems(400, 404) },
  },
  explain: {
    operationId: "explain",
    method: "get",
    path: `${BASE}/explain`,
    scope: "read",
    summary: "Why the next answer to a question is what it is",
    description:
      "A dry run of the code that answers DNS, over the state of this moment: nothing is counted, and the rotation doesn't move.",
    request: { query: explainQuery },
    responses: {
      200: { description: "The explanation", content: json(ExplanationSchema) },
      ...problems(400),
    },
  },
  explainQuestion: {
    operationId: "explainQuestion",
    method: "post",
    path: `${BASE}/explain`,
    scope: "read",
    summary: "The same, with the question in the body",
    description: "Changes nothing.",
    request: { body: { required: true, content: json(explainBody) } },
    responses: {
      200: { description: "The explanation", content: json(ExplanationSchema) },
      ...problems(400, 413, 415),
    },
  },
} satisfies Routes;

/** Explanations, as the API serves them. */
export const explanations: Resource = {
  tag: "Explanations",
  description: "Why an answer is what it is.",
  routes: Object.values(routes),
  serve,
};

function serve(app: OpenAPIHono, { explainer }: ResourceParts): void {
  const explain = ({ name, type, client, ecs }: z.output<typeof explainQuery>) =>
    explainer.explain({
      name,
      type: askedType(type)!,
      client: parseIp(client)!,
      ecs: ecs === undefined ? null : parseSubnet(ecs),
      udpSize: UDP_SIZE_DEFAULT,
    });
  app.openapi(routes.explain, (c) => c.json(explain(c.req.valid("query")), 200));
  app.openapi(routes.explainQuestion, (c) => c.json(explain(c.req.valid("json")), 200));

  app.openapi(routes.budget, (c) => {
    const { name } = c.req.valid("query");
    const budget = explainer.budget(name);
    if (!budget) throw new ApiProblem(404, `No service answers ${name} (explain says why)`);
    return c.json(budget, 200);
  });
}

function isName(text: string): boolean {
  try {
    nameToWire(text);
    return true;
  } catch {
    return false;
  }
}

/** The number of a type that a query may have; `null` = none. */
function askedType(text: string): number | null {
  const type = typeNumber(text);
  return type === null || (isMetaType(type) && type !== TYPE.ANY) ? null : type;
}

function guessOf(input: unknown): string {
  const near = typeof input === "string" ? nearest(input, Object.keys(TYPE)) : null;
  return near === null || askedType(near) === null ? " (write A or AAAA)" : ` (did you mean ${near}?)`;
}

function prefixFault(text: string): string | null {
  try {
    parseSubnet(text);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
