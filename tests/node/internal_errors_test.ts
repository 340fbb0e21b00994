/**
 * A node in whose parts things are thrown on purpose: DNS goes on, and the node says so.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { failingThreads, FAILURES } from "../failing_threads.ts";
import { askFor, call, create, startTestNode, type TestNode, until } from "../test_node.ts";

/** A node that answers one name. */
async function answering(path = ":memory:"): Promise<TestNode> {
  const node = await startTestNode({ database: { path } });
  const pool = await create(node, "/pools", { name: "web" });
  await create(node, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
  await create(node, "/services", { domain: "www.example.com", poolId: pool });
  return node;
}

async function get({ api }: TestNode, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`${api.replace("/api/v1", "")}${path}`);
  return { status: response.status, text: await response.text() };
}

const internalErrors = async (node: TestNode) =>
  Number(/^pleiades_internal_errors_total\{.*\} (\d+)$/m.exec((await get(node, "/metrics")).text)?.[1]);

for (
  const [what, fail] of [
    ["a rejection that nothing waits for", () => void Promise.reject(new Error("thrown on purpose"))],
    ["an exception out of a callback", () =>
      queueMicrotask(() => {
        throw new Error("thrown on purpose");
      })],
  ] as const
) {
  Deno.test(`${what} is logged and counted, /readyz says so, and DNS goes on`, async () => {
    await using node = await answering();
    equal((await get(node, "/readyz")).status, 200);
    fail();
    equal(await until(() => internalErrors(node), (count) => count > 0), 1);
    const { status, text } = await get(node, "/readyz");
    equal(status, 503);
    match(text, /a part of it may have stopped: thrown on purpose/);
    equal((await get(node, "/healthz")).status, 200);
    deepEqual(await askFor(node, "www.example.com"), ["192.0.2.1"]);
    match(
      node.lines.find((line) => line.includes("nothing waited for"))!,
      /"level":"error".*thrown on purpose/,
    );
  });
}

/** Parts of a running node that fail until they are mended. */
const SABOTAGE: Readonly<Record<string, (node: TestNode) => Disposable>> = {
  "a handler of the API": ({ node: { store } }) => breaking(store.pools, "page"),
  "a listener of commits": ({ node: { changes } }) => changes.subscribe(broken),
  "the look at overrides": ({ node: { store } }) => breaking(store.overrides, "index"),
  "what the publisher reads": ({ node: { store } }) => breaking(store.history, "touchedSince"),
  "the memory of verdicts": ({ node: { store } }) => breaking(store.verdicts, "save"),
  "the addresses of names": ({ node: { store } }) => breaking(store.resolvedNames, "targets"),
  "what the metrics read": ({ node: { store } }) => breaking(store, "counts"),
};

function breaking<Part extends object>(part: Part, method: keyof Part): Disposable {
  Object.defineProperty(part, method, { value: broken, configurable: true });
  return { [Symbol.dispose]: () => void delete part[method] };
}

function broken(): never {
  throw new Error("thrown on purpose");
}

Deno.test("a node in which a part throws goes on answering DNS and the API", async (test) => {
  await using node = await answering();
  for (const [part, sabotage] of Object.entries(SABOTAGE)) {
    await test.step(part, async () => {
      {
        using _ = sabotage(node);
        // A commit and a request reach each of the parts.
        await call(node, "GET", "/pools");
        await call(node, "POST", "/pools", { name: `beside ${part}`.replaceAll(" ", "-") });
        await get(node, "/metrics");
        deepEqual(await askFor(node, "www.example.com"), ["192.0.2.1"]);
        equal((await get(node, "/healthz")).status, 200);
      }
      equal((await call(node, "GET", "/pools")).status, 200);
      equal((await get(node, "/metrics")).status, 200);
    });
  }
});

for (const [what, source] of Object.entries(FAILURES)) {
  Deno.test(`an apply on a thread that ${what} is refused and logged, DNS goes on, and the next one is made`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      await using node = await answering(`${folder}/node.db`);
      for (const format of ["yaml", "x-ndjson"]) {
        {
          using _ = failingThreads(source);
          equal((await applyLarge(node, format)).status, 500);
        }
        match(node.lines.filter((line) => line.includes("thrown on purpose")).at(-1)!, /"level":"error"/);
        deepEqual(await askFor(node, "www.example.com"), ["192.0.2.1"]);
        equal((await applyLarge(node, format)).status, 200);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** A dry run of a model that is large enough for a thread of its own. */
async function applyLarge({ api }: TestNode, format: string): Promise<{ status: number; text: string }> {
  const pools = Array.from({ length: 2_000 }, (_, i) => ({ name: `pool-${i}-${"x".repeat(30)}` }));
  const response = await fetch(`${api}/apply?dryRun=true`, {
    method: "POST",
    headers: { "content-type": `application/${format}` },
    body: format === "yaml"
      ? JSON.stringify({ pools })
      : pools.map((pool) => JSON.stringify({ pool })).join("\n"),
  });
  return { status: response.status, text: await response.text() };
}
