/**
 * Going back over REST, what the model was, and what differs.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { type ApiWorld, apiWorld } from "./api_world.ts";

/** A pool with two members in generation 1 to 3, of which 4 deletes the first. */
async function filled(): Promise<ApiWorld> {
  const world = apiWorld();
  const { id } = await world.create("/pools", { name: "web" });
  const first = await world.create(`/pools/${id}/members`, { ipAddress: "192.0.2.1", port: 443 });
  await world.create(`/pools/${id}/members`, { ipAddress: "192.0.2.2", port: 443 });
  await world.send(`DELETE /api/v1/members/${first.id}`);
  return world;
}

async function problemOf(world: ApiWorld, line: string): Promise<[number, string]> {
  const response = await world.send(line);
  const { detail } = await response.json();
  return [response.status, detail];
}

function exportOf(world: ApiWorld, path: string, accept: string): Promise<string> {
  return world.send(`GET /api/v1${path}`, { headers: { accept } }).then((response) => response.text());
}

Deno.test("a rollback is a change with an entry of its own, and can be rolled back", async () => {
  using world = await filled();
  const response = await world.send("POST /api/v1/rollback?to=3&reason=wrong+member");
  equal(response.status, 200);
  deepEqual(await response.json(), {
    generation: 5,
    changed: true,
    to: 3,
    objects: { member: { created: 1, changed: 0, deleted: 0 } },
  });
  equal(response.headers.get("pleiades-generation"), "5");
  const { via, reason, changes } = await (await world.send("GET /api/v1/history/5")).json();
  deepEqual([via, reason, changes.length], ["rollback", "to generation 3: wrong member", 1]);
  const again = await (await world.send("POST /api/v1/rollback")).json();
  deepEqual([again.to, again.generation, again.changed], [4, 6, true]);
});

Deno.test("a dry run says what would come back, and nothing comes", async () => {
  using world = await filled();
  const response = await world.send("POST /api/v1/rollback?to=0&dryRun=true");
  const { generation, changed, objects } = await response.json();
  deepEqual([generation, changed], [4, true]);
  deepEqual(objects, {
    pool: { created: 0, changed: 0, deleted: 1 },
    member: { created: 0, changed: 0, deleted: 1 },
  });
  deepEqual([response.headers.get("pleiades-generation"), world.store.generation()], ["4", 4]);
});

Deno.test("one that is sent again with its key undoes nothing more", async () => {
  using world = await filled();
  const headers = { "idempotency-key": "k1" };
  const first = await world.send("POST /api/v1/rollback", { headers });
  const second = await world.send("POST /api/v1/rollback", { headers });
  deepEqual(await second.json(), await first.json());
  equal(world.store.generation(), 5);
});

Deno.test("going to where the model is already changes nothing", async () => {
  using world = await filled();
  const { generation, changed, objects } = await (await world.send("POST /api/v1/rollback?to=4")).json();
  deepEqual([generation, changed, objects], [4, false, {}]);
});

Deno.test("what can't be gone back to is refused by its reason", async () => {
  using world = await filled();
  deepEqual(await problemOf(world, "POST /api/v1/rollback?to=7"), [
    404,
    "There is no generation 7 yet: the last one is 4",
  ]);
  world.changes.use({ keep: 1, maxBytes: 1024 });
  await world.create("/pools", { name: "other" });
  const gone =
    "The model at generation 3 can't be told any more: the history begins with 5, which tells the model " +
    "at 4 (history.keep and history.maxBytes say how much is kept)";
  deepEqual(await problemOf(world, "POST /api/v1/rollback?to=3"), [410, gone]);
  deepEqual(await problemOf(world, "GET /api/v1/history/3/model"), [410, gone]);
  deepEqual(await problemOf(world, "GET /api/v1/diff?from=5&to=3"), [410, gone]);
});

for (const to of ["-1", "1.5", "latest", "0x1", "1e3", "9".repeat(16), ""]) {
  Deno.test(`to=${to} is no generation`, async () => {
    using world = await filled();
    const [status, detail] = await problemOf(world, `POST /api/v1/rollback?to=${to}`);
    equal(status, 400);
    match(detail, /to must be the number of a generation/);
  });
}

const WRITES = [
  "POST /api/v1/rollback?",
  "POST /api/v1/pools?",
  "POST /api/v1/apply?",
  "PUT /api/v1/fallback?",
];
for (const write of WRITES) {
  Deno.test(`${write} takes no reason of 1,001 characters, or with control characters`, async () => {
    using world = await filled();
    for (const reason of ["x".repeat(1_001), "a%0Ab", "a%1b%5b2J", "%00", "%7f", "%c2%85"]) {
      const response = await world.send(`${write}reason=${reason}`, {
        ...write.includes("rollback") ? {} : { body: { name: "x" } },
      });
      equal(response.status, 400, reason);
      match((await response.json()).detail, /reason must/);
    }
    equal(world.store.generation(), 4);
  });
}

Deno.test("the model of any generation is exported like that of now", async () => {
  using world = await filled();
  for (const accept of ["application/yaml", "application/json", "application/x-ndjson"]) {
    equal(await exportOf(world, "/history/4/model", accept), await exportOf(world, "/model", accept));
  }
  const then = await exportOf(world, "/history/3/model", "application/yaml");
  match(then, /192\.0\.2\.1/);
  await world.send("POST /api/v1/rollback?to=3");
  equal(await exportOf(world, "/model", "application/yaml"), then);
  match(await exportOf(world, "/history/0/model", "application/yaml"), /^# The model is empty/);
  equal((await world.send("GET /api/v1/history/99/model")).status, 404);
});

Deno.test("what differs is told from either side", async () => {
  using world = await filled();
  const forward = await (await world.send("GET /api/v1/diff?from=2&to=4")).json();
  deepEqual([forward.from, forward.to, forward.truncated], [2, 4, false]);
  deepEqual(forward.objects, { member: { created: 1, changed: 0, deleted: 1 } });
  const back = await (await world.send("GET /api/v1/diff?from=4&to=2")).json();
  deepEqual(back.objects, { member: { created: 1, changed: 0, deleted: 1 } });
  const addressIn = (fields: { ipAddress: string } | null) => fields?.ipAddress;
  deepEqual(
    forward.changes.map((
      { before, after }: { before: null; after: null },
    ) => [addressIn(after), addressIn(before)]),
    back.changes.map((
      { before, after }: { before: null; after: null },
    ) => [addressIn(before), addressIn(after)]),
  );
  deepEqual((await (await world.send("GET /api/v1/diff?from=4&to=4")).json()).changes, []);
  for (const query of ["?from=1", "?to=1", "?from=a&to=2", "?from=1&to=2&x=1", ""]) {
    equal((await world.send(`GET /api/v1/diff${query}`)).status, 400, query);
  }
});

Deno.test("a rollback made for another generation is 412, and nothing comes back", async () => {
  using world = await filled();
  const late = await world.send("POST /api/v1/rollback?to=1", { headers: { "if-match": `"3"` } });
  deepEqual([late.status, world.store.generation()], [412, 4]);
  const seen = await world.send("POST /api/v1/rollback?to=1", { headers: { "if-match": `"4"` } });
  deepEqual([seen.status, world.store.generation()], [200, 5]);
});
