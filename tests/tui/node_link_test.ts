/**
 * What is seen of a node, by what it answers.
 *
 * @module
 */
import { deepEqual, match } from "node:assert/strict";
import type { Terminal } from "../../src/cli/terminal.ts";
import type { ServerState } from "../../src/tui/state.ts";
import { NodeLink } from "../../src/tui/node_link.ts";

const TERMINAL: Terminal = { out: () => {}, err: () => {}, env: () => undefined, colour: false };

/** Follows a node that answers so until it is known how it is. */
async function seen(answer: () => Response): Promise<Partial<ServerState>> {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    ({ url }) => url.includes("/status") ? answer() : new Response("", { status: 503 }),
  );
  const away = new AbortController();
  const known = Promise.withResolvers<void>();
  let state: Partial<ServerState> = {};
  const link = new NodeLink({ api: `http://127.0.0.1:${server.addr.port}` }, TERMINAL, {
    onServer: (change) => {
      state = { ...state, ...change };
      if (change.state !== undefined) known.resolve();
    },
    onEvents: () => {},
  });
  const following = link.follow(away.signal);
  await known.promise;
  const first = state;
  away.abort();
  await following;
  return first;
}

const model = (digest: number | null, log: { behind: number; pending: number } | null, differs = false) => ({
  ...{ generation: 7, digest, differs, log: log && { entries: 9, ...log } },
});

Deno.test("of each node of a cluster it is said when it was heard, and how its model stands to this one's", async () => {
  const level = { behind: 0, pending: 0 };
  const nodes = Object.entries({
    a: model(1, level),
    b: model(1, level),
    c: model(2, { behind: 3, pending: 0 }),
    d: model(2, { behind: 0, pending: 2 }),
    e: model(2, level, true),
    f: model(null, level),
    g: null,
  }).map(([id, model]) => ({ id, region: "eu", heartbeatAgeSeconds: 4.2, model }));
  const status = {
    ...{ ready: true, version: "0", generation: 7, uptimeSeconds: 1, node: { id: "a", region: "eu" } },
    ...{ cluster: { id: "x" }, dns: { answers: 0, workers: 1, listeners: [] } },
    peers: { policy: "local-only", nodes },
  };
  const { state, nodes: found = [] } = await seen(() => Response.json(status));
  deepEqual([state, ...found.map(({ id, heard, model }) => `${id} ${heard}: ${model}`)], [
    "connected",
    "a this one answers: up to date",
    "b 4 s ago: the same",
    "c 4 s ago: 3 behind",
    "d 4 s ago: 2 pending",
    "e 4 s ago: another model",
    "f 4 s ago: reading it",
    "g 4 s ago: ",
  ]);
});

Deno.test("a node without a cluster is the only one, and has no model to be compared", async () => {
  const status = { ready: true, node: { id: "a", region: "" }, dns: { answers: 0 } };
  const { nodes } = await seen(() => Response.json(status));
  deepEqual(nodes, [{ id: "a", region: "", heard: "this one answers", model: "" }]);
});

Deno.test("a node that says no is told from none", async () => {
  const refusal = { title: "Unauthorized", status: 401, detail: "The token is unknown" };
  const { state, message } = await seen(() => Response.json(refusal, { status: 401 }));
  deepEqual([state, message?.includes("\n")], ["refused", false]);
  match(message!, /The token is unknown/);
});
