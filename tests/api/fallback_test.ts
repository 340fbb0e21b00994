/** @module The static fallback: the settings' one until the model has its own. */
import { deepEqual, equal, match } from "node:assert/strict";
import type { Fallback } from "../../src/model/model.ts";
import { apiWorld } from "./api_world.ts";

const PATH = "/api/v1/fallback";
const GIVEN: Fallback = {
  algorithm: "weighted-round-robin",
  endpoints: ["192.0.2.80", "2001:db8::80"],
  weights: { "192.0.2.80": 3 },
  onAllDown: "none",
  ttl: 7,
  healthCheck: null,
};
const OF_SETTINGS: Fallback = {
  algorithm: "round-robin",
  endpoints: ["192.0.2.1"],
  weights: {},
  onAllDown: "all",
  ttl: null,
  healthCheck: null,
};

/** An API of a node whose settings have a fallback, or none. */
function world(ofSettings: Fallback | null = null) {
  using stack = new DisposableStack();
  const { node } = stack.use(apiWorld()).parts;
  return apiWorld({ node: { ...node, settingsFallback: () => ofSettings } });
}

Deno.test("without any there is none; one that is put is stored, with a history entry, and given back", async () => {
  using api = world();
  equal((await api.send(`GET ${PATH}`)).status, 404);
  equal((await api.send(`DELETE ${PATH}`)).status, 404);
  const put = await api.send(`PUT ${PATH}?reason=new+site`, { body: GIVEN });
  deepEqual([put.status, await put.json()], [200, { source: "model", ...GIVEN }]);
  const read = await api.send(`GET ${PATH}`);
  deepEqual(await read.json(), { source: "model", ...GIVEN });
  equal(read.headers.get("etag"), put.headers.get("etag"));
  deepEqual(api.store.fallback(), GIVEN);
  const entry = await (await api.send(`GET /api/v1/history/1`)).json();
  equal(entry.reason, "new site");
  deepEqual(
    entry.changes.map(({ kind, before, after }: Record<string, unknown>) => ({ kind, before, after })),
    [
      { kind: "fallback", before: null, after: GIVEN },
    ],
  );
});

Deno.test("fields that are left out have defaults; what is stored takes the place of the settings' one until it is deleted", async () => {
  using api = world(OF_SETTINGS);
  deepEqual(await (await api.send(`GET ${PATH}`)).json(), { source: "settings", ...OF_SETTINGS });
  equal((await api.send(`PUT ${PATH}`, { body: { endpoints: ["192.0.2.2"] } })).status, 200);
  const stored = { source: "model", ...OF_SETTINGS, endpoints: ["192.0.2.2"] };
  deepEqual(await (await api.send(`GET ${PATH}`)).json(), stored);
  equal((await api.send(`DELETE ${PATH}`)).status, 204);
  deepEqual(await (await api.send(`GET ${PATH}`)).json(), { source: "settings", ...OF_SETTINGS });
});

Deno.test("the same twice changes nothing, and a dry run never does", async () => {
  using api = world();
  equal((await api.send(`PUT ${PATH}?dryRun=true`, { body: GIVEN })).status, 200);
  equal(api.store.generation(), 0);
  for (let turn = 0; turn < 2; turn++) {
    const { headers } = await api.send(`PUT ${PATH}`, { body: GIVEN });
    equal(headers.get("pleiades-generation"), "1");
  }
  const { weights, ...rest } = GIVEN;
  await api.send(`PUT ${PATH}`, { body: { ...rest, weights } });
  equal(api.store.generation(), 1);
});

Deno.test("If-Match holds for what was read, be it the settings' fallback or the model's", async () => {
  using api = world(OF_SETTINGS);
  const read = await api.send(`GET ${PATH}`);
  const etag = read.headers.get("etag")!;
  equal((await api.send(`GET ${PATH}`, { headers: { "if-none-match": etag } })).status, 304);
  const first = await api.send(`PUT ${PATH}`, { body: GIVEN, headers: { "if-match": etag } });
  equal(first.status, 200);
  const second = await api.send(`PUT ${PATH}`, { body: GIVEN, headers: { "if-match": etag } });
  equal(second.status, 412);
  const now = first.headers.get("etag")!;
  equal((await api.send(`DELETE ${PATH}`, { headers: { "if-match": etag } })).status, 412);
  equal((await api.send(`DELETE ${PATH}`, { headers: { "if-match": now } })).status, 204);
});

Deno.test("what is wrong with it is said field by field", async () => {
  using api = world();
  const refused = async (body: unknown) => {
    const response = await api.send(`PUT ${PATH}`, { body });
    equal(response.headers.get("content-type"), "application/problem+json");
    const { errors } = await response.json();
    return [response.status, ...errors.map(({ pointer }: { readonly pointer: string }) => pointer)];
  };
  deepEqual(await refused({ endpoints: [] }), [400, "/endpoints"]);
  deepEqual(await refused({ endpoints: ["192.0.2.1"], ttl: -1, weights: { "192.0.2.2": 1 } }), [
    400,
    "/ttl",
    "/weights/192.0.2.2",
  ]);
  deepEqual(await refused({ endpoints: ["192.0.2.1"], healthCheck: { type: "icmp" } }), [
    400,
    "/healthCheck/type",
  ]);
  const { title } = await (await api.send(`PUT ${PATH}`, { body: [] })).json();
  match(title, /./);
});
