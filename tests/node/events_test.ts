/**
 * What a running node tells of itself: one event for each thing that happens to it.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { NodeEvent } from "../../src/events/event.ts";
import { systemClock } from "../../src/clock.ts";
import { Changes } from "../../src/change/commit.ts";
import { TokenChanges } from "../../src/change/token_changes.ts";
import { Store } from "../../src/store/store.ts";
import { createPool, id } from "../change/samples.ts";
import { closedPort } from "../health/backend.ts";
import { Folder } from "../store/folder.ts";
import { call, create, startTestNode, TEST_SETTINGS, type TestNode } from "../test_node.ts";

/** The first event of a kind that passes the test, past or to come. */
async function eventOf<Kind extends NodeEvent["kind"]>(
  { node: { events } }: TestNode,
  kind: Kind,
  test: (event: NodeEvent & { readonly kind: Kind }) => boolean = () => true,
): Promise<NodeEvent & { readonly kind: Kind }> {
  const isOfKind = (event: NodeEvent): event is NodeEvent & { readonly kind: Kind } => event.kind === kind;
  const { signal } = new AbortController();
  for await (const batch of events.follow({ after: events.origin, signal })) {
    for (const { event } of batch.events) if (isOfKind(event) && test(event)) return event;
  }
  throw new Error("the stream ended");
}

Deno.test("a node tells of its start, of commits with their author, and of its end", async () => {
  const site = await startTestNode();
  const { events } = site.node;
  await create(site, "/pools?reason=new+site", { name: "web" });
  deepEqual(await eventOf(site, "commit"), {
    ...{ kind: "commit", generation: 1, via: "api", by: "", reason: "new site" },
    touched: { pools: 1, services: 0, zones: 0, fallback: false },
  });
  await site[Symbol.asyncDispose]();
  const states = events.since(events.origin).events.flatMap(({ event }) =>
    event.kind === "node" ? [event.state] : []
  );
  deepEqual(states, ["starting", "answering", "stopping", "stopped"]);
});

Deno.test("a node tells of a commit of another process, and of rows by hand as of anything", async () => {
  using folder = new Folder();
  const path = folder.file("shared.db");
  await using site = await startTestNode({ database: { path } });
  using theirs = Store.open(path);
  const origin = { via: "cli", by: "ann", reason: "" };
  new Changes({ store: theirs, clock: systemClock }).commit([createPool(1)], origin);
  deepEqual(await eventOf(site, "commit"), {
    ...{ kind: "commit", generation: 1, via: null, by: "ann", reason: "" },
    touched: { pools: 1, services: 0, zones: 0, fallback: false },
  });
  theirs.database.exec(`UPDATE pools SET max_answers = 2 WHERE id = '${id(1)}'`);
  ok(await eventOf(site, "commit", ({ touched }) => touched === null));
});

Deno.test("a node tells of members that go down, of their pool, and of an override that covers it", async () => {
  await using site = await startTestNode();
  const poolId = await create(site, "/pools", { name: "web", onAllDown: "none" });
  const port = closedPort();
  await create(site, `/pools/${poolId}/members`, { ipAddress: "127.0.0.1", port });
  await call(site, "PUT", `/pools/${poolId}/health-check`, {
    ...{ type: "tcp", intervalMs: 250, timeoutMs: 100, rise: 1, fall: 1 },
  });
  await create(site, "/services", { domain: "www.example.com", poolId });
  const health = await eventOf(site, "health", ({ state }) => state === "unhealthy");
  deepEqual([health.previous, health.check, health.address, health.port, health.error === null], [
    ...["unknown", "tcp", "127.0.0.1", port, false],
  ]);
  deepEqual(await eventOf(site, "pool"), {
    ...{ kind: "pool", poolId, name: "web", isDown: true, family: null },
  });
  const until = new Date(Date.now() + 60_000).toISOString();
  const overrideId = await create(site, "/overrides", {
    ...{ target: `pool:${poolId}`, state: "up", reason: "a test", owner: "ann", expiresAt: until },
  });
  const begun = await eventOf(site, "override");
  deepEqual([begun.change, begun.overrideId, begun.state, begun.reason, begun.expiresAt], [
    ...["begun", overrideId, "up", "a test", until],
  ]);
  ok(await eventOf(site, "pool", ({ isDown }) => !isDown));
  await call(site, "DELETE", `/overrides/${overrideId}?force=true&reason=test`);
  equal((await eventOf(site, "override", ({ change }) => change !== "begun")).change, "removed");
});

Deno.test("a node tells of settings that were taken over, with what needs a start, and of refused ones", async () => {
  await using site = await startTestNode();
  await site.node.use({ ...TEST_SETTINGS, node: { id: "another", region: "" } });
  deepEqual(await eventOf(site, "settings"), {
    ...{ kind: "settings", outcome: "reloaded", needingRestart: ["node.id"] },
  });
  site.node.refuse(0);
  equal((await eventOf(site, "settings", ({ outcome }) => outcome === "refused")).kind, "settings");
});

Deno.test("a node tells of a change that a guard refuses: who, why, and which guard", async () => {
  await using site = await startTestNode();
  const poolId = await create(site, "/pools", { name: "web" });
  await create(site, `/pools/${poolId}/members`, { ipAddress: "192.0.2.1", port: 443 });
  await create(site, "/services", { domain: "www.example.com", poolId });
  equal((await call(site, "DELETE", `/pools/${poolId}?reason=tidy&dryRun=true`)).status, 200);
  equal((await call(site, "DELETE", `/pools/${poolId}?reason=tidy`)).status, 409);
  const { via, by, reason, guards } = await eventOf(site, "refusal");
  deepEqual([via, by, reason, guards.map(({ guard }) => guard)], ["api", "", "tidy", ["empties-live-name"]]);
});

Deno.test("a node tells of an error that nothing took", async () => {
  await using site = await startTestNode();
  reportError(new Error("a part stumbled"));
  deepEqual(await eventOf(site, "failure"), {
    ...{ kind: "failure", what: "internal", message: "a part stumbled" },
  });
});

Deno.test("a node tells of tokens that are created and revoked, also by another process", async () => {
  using folder = new Folder();
  const path = folder.file("node.db");
  await using site = await startTestNode({ database: { path } });
  const origin = { via: "cli", by: "ann", reason: "" };
  using theirs = Store.open(path);
  const tokens = new TokenChanges({ store: theirs, clock: systemClock });
  const { stored } = tokens.create({ name: "ci", scope: "write", expiresAt: null }, origin);
  const what = { kind: "token", tokenId: stored.id, name: "ci", scope: "write" };
  deepEqual(await eventOf(site, "token"), { ...what, change: "created" });
  tokens.revoke(stored.id, origin);
  deepEqual(await eventOf(site, "token", ({ change }) => change !== "created"), {
    ...what,
    change: "revoked",
  });
});

Deno.test("a node tells of refused attempts: the first at once, and in the end what came behind", async () => {
  const tokens = ["right-right-right-right-right-right"];
  const site = await startTestNode({ api: { ...TEST_SETTINGS.api, tokens } });
  const statusOf = async (headers: HeadersInit) => {
    const response = await fetch(`${site.api}/pools?reason=secret-plans`, { headers });
    await response.body?.cancel();
    return response.status;
  };
  equal(await statusOf({}), 401);
  const { since: _, ...first } = await eventOf(site, "attempt");
  deepEqual(first, { kind: "attempt", from: "127.0.0.1", count: 1, statuses: { 401: 1 } });
  // A hundred may be wrong at once; some more, as time passes.
  let wrong = 0;
  while (await statusOf({ authorization: `Bearer wrong-${wrong}-wrong` }) === 401) wrong++;
  ok(wrong >= 100);
  await site[Symbol.asyncDispose]();
  const { json } = site.node.events.kept().findLast(({ event: { kind } }) => kind === "attempt")!;
  const { count, statuses } = JSON.parse(json);
  deepEqual([count, statuses], [wrong + 1, { 401: wrong, 429: 1 }]);
  ok(!json.includes("secret-plans"), "who asked for what is in the audit alone");
});
