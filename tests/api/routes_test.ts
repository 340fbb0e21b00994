/**
 * What a resource declares of its routes is what happens to requests: shown with a resource that isn't Pleiades' own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { Hono } from "hono";
import { type Scope, SCOPES } from "../../src/model/token.ts";
import { requireScope } from "../../src/api/access.ts";
import { BODY_BYTES_MAX, createApi } from "../../src/api/api.ts";
import { ApiProblem } from "../../src/api/problem.ts";
import { type Resource, routesOf } from "../../src/api/resource.ts";
import { BASE, idempotencyKey, jsonBody, problems, type Route, type Routes } from "../../src/api/route.ts";
import { RESOURCES } from "../../src/api/routes.ts";
import { apiWorld, type SendOptions } from "./api_world.ts";

const ToySchema = z.object({ name: z.string() }).openapi("Toy");
const answers = { 200: { description: "Toys", content: jsonBody(z.array(ToySchema)).content } };

const TOY_ROUTES = {
  list: {
    operationId: "listToys",
    method: "get",
    path: `${BASE}/toys`,
    scope: "open",
    summary: "All toys",
    responses: { ...answers, ...problems() },
  },
  create: {
    operationId: "createToy",
    method: "post",
    path: `${BASE}/toys`,
    scope: "write",
    bodyBytesMax: 2 * BODY_BYTES_MAX,
    summary: "Create a toy",
    request: { headers: idempotencyKey, body: jsonBody(ToySchema) },
    responses: { ...answers, ...problems(400, 413, 415) },
  },
  paint: {
    operationId: "paintToys",
    method: "post",
    path: `${BASE}/toys/paint`,
    scope: "operate",
    isOpenOnLoopback: true,
    summary: "Paint all toys",
    request: { body: jsonBody(ToySchema) },
    responses: { ...answers, ...problems(400, 413, 415) },
  },
} satisfies Routes;

/** A resource with a memory of its own. */
function toyBox(): Resource {
  const toys: z.infer<typeof ToySchema>[] = [];
  return {
    tag: "Toys",
    description: "What children want.",
    routes: Object.values(TOY_ROUTES),
    schemas: { Doll: { type: "string" } },
    serve: (app: OpenAPIHono) => {
      app.openapi(TOY_ROUTES.list, (c) => c.json(toys, 200));
      for (const route of [TOY_ROUTES.create, TOY_ROUTES.paint]) {
        app.openapi(route, (c) => {
          toys.push(c.req.valid("json"));
          return c.json(toys, 200);
        });
      }
    },
  };
}

/** Sends requests to an API with toys in it. */
function toyWorld(overrides: Parameters<typeof apiWorld>[0] = {}) {
  const world = apiWorld(overrides);
  const app = createApi(world.parts, [...RESOURCES, toyBox()]);
  return {
    send: async (line: string, { body, headers = {} }: SendOptions = {}) => {
      const [method, path] = line.split(" ");
      return await app.request(`http://localhost${path}`, {
        method: method!,
        headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
    },
    [Symbol.dispose]: () => world[Symbol.dispose](),
  };
}

Deno.test("one more resource is served, described and counted, beside the others", async () => {
  const counted: string[] = [];
  using world = toyWorld({ observe: ({ route }) => counted.push(route) });
  assert.deepEqual(await (await world.send("POST /api/v1/toys", { body: { name: "kite" } })).json(), [
    { name: "kite" },
  ]);
  assert.equal((await world.send("DELETE /api/v1/toys")).headers.get("allow"), "GET, HEAD, POST");
  assert.equal((await world.send("GET /api/v1/pools")).status, 200);
  assert.deepEqual(counted, [`${BASE}/toys`, "unknown", `${BASE}/pools`]);
  const document = await (await world.send("GET /openapi.json")).json();
  assert.deepEqual(document.tags.at(-1), { name: "Toys", description: "What children want." });
  const { get, post } = document.paths[`${BASE}/toys`];
  assert.deepEqual([get.tags, get.security, post.security], [["Toys"], [], undefined]);
  assert.deepEqual(document.paths[`${BASE}/toys/paint`].post.security, [{}, { bearer: ["operate"] }]);
  assert.deepEqual(Object.keys(post).filter((key) => key in ({ scope: 0, bodyBytesMax: 0 })), []);
  assert.deepEqual(document.components.schemas.Doll, { type: "string" });
});

Deno.test("an API of other resources serves nothing else", async () => {
  using world = apiWorld();
  const app = createApi(world.parts, [toyBox()]);
  assert.equal((await app.request("http://localhost/api/v1/toys")).status, 200);
  assert.equal((await app.request("http://localhost/api/v1/pools")).status, 404);
});

Deno.test("an Idempotency-Key counts where the route declares it, and nowhere else", async () => {
  using world = toyWorld();
  const request = { body: { name: "kite" }, headers: { "idempotency-key": "k1" } };
  const create = async (path: string) => (await (await world.send(`POST ${path}`, request)).json()).length;
  assert.deepEqual([await create("/api/v1/toys"), await create("/api/v1/toys")], [1, 1]);
  assert.deepEqual([await create("/api/v1/toys/paint"), await create("/api/v1/toys/paint")], [2, 3]);
});

Deno.test("a body may be as large as the route says, and 1 MiB where it says nothing", async () => {
  using world = toyWorld();
  const statusOf = async (path: string, size: number) =>
    (await world.send(`POST ${path}`, { body: { name: "x".repeat(size) } })).status;
  assert.equal(await statusOf("/api/v1/toys", BODY_BYTES_MAX), 200);
  assert.equal(await statusOf("/api/v1/toys", 2 * BODY_BYTES_MAX), 413);
  assert.equal(await statusOf("/api/v1/toys/paint", BODY_BYTES_MAX), 413);
});

Deno.test("no token is asked for where the route is open, on loopback or anywhere", async () => {
  const body = { name: "kite" };
  for (const [loopback, status] of [[true, 200], [false, 401]] as const) {
    using world = toyWorld({ auth: { tokens: ["t"], loopback } });
    assert.equal((await world.send("GET /api/v1/toys")).status, 200);
    assert.equal((await world.send("POST /api/v1/toys/paint", { body })).status, status);
    assert.equal((await world.send("POST /api/v1/toys", { body })).status, 401);
    assert.equal((await world.send("DELETE /api/v1/toys")).status, 405);
  }
});

Deno.test("a token may do what its scopes say: 403 names the scope that it lacks", async () => {
  const app = new Hono();
  app.onError((error) => {
    if (!(error instanceof ApiProblem)) throw error;
    return new Response(error.detail, { status: error.status, headers: error.headers });
  });
  const scopes = new Set<Scope>(["read", "operate"]);
  const credential = { kind: "token", id: "t", name: "t", scopes } as const;
  app.use(
    "/:scope",
    requireScope(
      { authenticate: () => credential },
      (c) => SCOPES.find((each) => c.req.path === `/${each}`) ?? "open",
    ),
  );
  app.get("/:scope", (c) => c.text("done"));
  const statuses = [...SCOPES, "open"].map(async (scope) => (await app.request(`/${scope}`)).status);
  assert.deepEqual(await Promise.all(statuses), [200, 200, 403, 403, 200]);
  const refused = await app.request("/write");
  assert.match(await refused.text(), /scope write \(it has read, operate\)/);
  assert.match(refused.headers.get("www-authenticate")!, /error="insufficient_scope", scope="write"/);
});

/** What may stand in a path that two readers could understand differently. */
const ODD = [
  "x",
  "%2F",
  "%0A",
  "%00",
  "%25",
  "%",
  "%e2%82",
  "..",
  ".",
  ";x",
  "?",
  "#",
  "a%2Fb",
  "ä",
  "{id}",
  ":id",
  "*",
];

Deno.test("no path leads to a handler without the scope of its route, however it is spelt", async () => {
  const counted: string[] = [];
  using world = apiWorld({ observe: ({ route }) => counted.push(route) });
  const paths = routesOf(RESOURCES).map(({ path }) => path);
  const spellings = paths.flatMap((path) => [
    path.toUpperCase(),
    `${path}/`,
    `/${path}`,
    path.replace("/api/", "/%61pi/"),
    ...ODD.flatMap((part) => [path.replace(/\{[^}]+\}/, part), `${path}${part}`, `${path}/${part}`]),
  ]);
  for (const spelling of new Set(spellings)) {
    const response = await world.send(`GET ${spelling}`);
    const body = await response.text();
    if (counted.at(-1) !== "unknown") continue;
    assert.match(body, /Nothing is at .* \(see \/docs\/api\)|isn't possible at/, spelling);
  }
  assert.ok(counted.includes("unknown") && counted.includes("/api/v1/pools/{id}"));
});

/** Routes whose scope their method doesn't tell. */
const SPECIAL: Readonly<Record<string, Route["scope"]>> = {
  explainQuestion: "read",
  planModel: "read",
  failBackMember: "operate",
  syncGitops: "operate",
  receiveGitopsWebhook: "open",
  createOverride: "operate",
  deleteOverride: "operate",
  listTokens: "admin",
  createToken: "admin",
  getToken: "admin",
  revokeToken: "admin",
  listAudit: "admin",
  getHealth: "open",
  getHealthz: "open",
  getReadyz: "open",
  getOpenApi: "open",
  getDocs: "open",
  getRoot: "open",
  getDocsStyle: "open",
};

for (const { operationId, method, path, scope } of routesOf(RESOURCES)) {
  Deno.test(`${method.toUpperCase()} ${path} needs the scope that it should`, () => {
    assert.equal(scope, SPECIAL[operationId] ?? (method === "get" ? "read" : "write"));
  });
}

Deno.test("a route without a scope is no route", () => {
  const isRoute: Omit<Route, "scope"> extends Route ? true : false = false;
  assert.equal(isRoute, false);
});
