/**
 * The control plane's sockets: bound before anything takes time, closed first, and where the settings want them.
 *
 * @module
 */
import { deepEqual, equal, match, rejects, throws } from "node:assert/strict";
import { systemClock } from "../../src/clock.ts";
import { bindControl } from "../../src/node/http.ts";
import { TokenChanges } from "../../src/change/token_changes.ts";
import { Store } from "../../src/store/store.ts";
import { partOf, type Start } from "../../src/node/part.ts";
import { PARTS } from "../../src/node/parts.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { startTestNode, TEST_SETTINGS, type TestNode } from "../test_node.ts";

const OPTIONS = () => ({
  log: createLogger({ level: "error", format: "json", clock: systemClock, write: () => {} }),
  registry: new Registry({}),
  clock: systemClock,
});

Deno.test("what the settings switch off isn't bound", async () => {
  const { api, metrics } = TEST_SETTINGS;
  await using neither = bindControl({
    ...TEST_SETTINGS,
    ...{ api: { ...api, enabled: false }, metrics: { ...metrics, listenAddr: null } },
  }, OPTIONS());
  deepEqual([neither.api, neither.metrics], [null, null]);
  await using alone = bindControl({
    ...TEST_SETTINGS,
    ...{ api: { ...api, enabled: false }, metrics: { ...metrics, listenAddr: "127.0.0.1" } },
  }, OPTIONS());
  equal(alone.api, null);
  equal(alone.metrics?.address.hostname, "127.0.0.1");
});

Deno.test("a metrics port that is taken frees the API's, which was bound before", () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  const settings = {
    ...TEST_SETTINGS,
    api: { ...TEST_SETTINGS.api, port },
    metrics: { ...TEST_SETTINGS.metrics, listenAddr: "127.0.0.1", port: taken.addr.port },
  };
  throws(() => bindControl(settings, OPTIONS()), /the port is taken.*metrics\.port/);
  using _again = Deno.listen({ hostname: "127.0.0.1", port });
});

Deno.test("metrics on a listener of their own are served there, and not by the API", async () => {
  const metrics = { ...TEST_SETTINGS.metrics, listenAddr: "127.0.0.1" };
  await using test = await startTestNode({ metrics });
  const { api, metrics: bound } = test.node;
  const get = async (port: number) => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`);
    return [response.status, await response.text()] as const;
  };
  const [status, text] = await get(bound!.port);
  equal(status, 200);
  match(text, /^pleiades_dns_requests_total/m);
  equal((await get(api!.port))[0], 404);
});

Deno.test("a client that comes while a node starts waits for its answer instead of being refused", async () => {
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const held: Start = async () => {
    reached.resolve();
    await goOn.promise;
    return null;
  };
  using free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  const starting = startTestNode({ api: { ...TEST_SETTINGS.api, port } }, { parts: [held, ...PARTS] });
  await reached.promise;
  const asked = fetch(`http://127.0.0.1:${port}/api/v1/health`);
  goOn.resolve();
  await using _node = await starting;
  deepEqual(await (await asked).json(), { status: "ok" });
});

Deno.test("a node that begins to stop says so before anything of it is gone", async () => {
  const noted: string[] = [];
  const part: Start = ({ stopping }) => {
    stopping.addEventListener("abort", () => noted.push(stopping.reason.message));
    return partOf("noting", { end: () => void noted.push("gone") });
  };
  const test = await startTestNode({}, { parts: [...PARTS, part] });
  await test[Symbol.asyncDispose]();
  deepEqual(noted, ["The node is stopping", "gone"]);
});

/** What a node finds wrong with itself, by its subject. */
async function foundBy({ api }: TestNode, token: string): Promise<string[]> {
  const response = await fetch(`${api.replace("0.0.0.0", "127.0.0.1")}/doctor`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const { findings } = await response.json();
  return findings.map(({ subject }: { readonly subject: string }) => subject);
}

Deno.test("an API on an address that isn't loopback starts with an admin's token in the database, and with none it doesn't", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/node.db`;
    const settings = { database: { path }, api: { ...TEST_SETTINGS.api, listenAddr: "0.0.0.0" } };
    const refusal = new RegExp(
      `0\\.0\\.0\\.0 isn't loopback.*pleiades tokens create NAME --scope admin --db ${path}; or set api.tokens`,
    );
    const origin = { via: "cli", by: "", reason: "" } as const;
    /** With a token more; gives how to take it back. */
    const withToken = (scope: "admin" | "write", expiresAt: number | null) => {
      using store = Store.open(path);
      const changes = new TokenChanges({ store, clock: { unixMs: () => Date.now() - 3_600_000 } });
      return changes.create({ name: `${scope}-${expiresAt}`, scope, expiresAt }, origin);
    };
    await rejects(startTestNode(settings), refusal);
    withToken("write", null);
    await rejects(startTestNode(settings), refusal, "a token that can't create others is no way in");
    withToken("admin", Date.now() - 1_000);
    await rejects(startTestNode(settings), refusal, "one that has expired isn't, either");
    const { stored, secret } = withToken("admin", null);
    {
      await using test = await startTestNode(settings);
      const get = async (headers: HeadersInit) => {
        const response = await fetch(`${test.api.replace("0.0.0.0", "127.0.0.1")}/tokens`, { headers });
        await response.body?.cancel();
        return response.status;
      };
      deepEqual([await get({}), await get({ authorization: `Bearer ${secret}` })], [401, 200]);
      deepEqual(await foundBy(test, secret), []);
      using store = Store.open(path);
      new TokenChanges({ store, clock: systemClock }).revoke(stored.id, origin);
      const other = withToken("admin", Date.now() + 86_400_000).secret;
      deepEqual(await foundBy(test, other), ["tokens of the API"], "it ends within a day");
    }
    {
      using store = Store.open(path);
      const tokens = new TokenChanges({ store, clock: systemClock });
      for (const { id, revokedAt } of store.tokens.all()) if (revokedAt === null) tokens.revoke(id, origin);
    }
    await rejects(startTestNode(settings), refusal, "nor is one that was revoked");
    await using _loopback = await startTestNode({ database: { path } });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
