/**
 * Edits on three real nodes while there is no server: `deno task prove log away [SECONDS [WITHIN_MS]]`.
 *
 * Each node is written to five times a second, and now and then all of them to the same: a name that only one may have, and one
 * field of one service. Every write must be answered at once, and be in that node's answers. When the server is back, all
 * must have one model within 5 s, and whatever didn't fit must be listed.
 *
 * @module
 */
import { LogCluster, quantile } from "./nodes.ts";

const WITHIN_MS = 5_000;
/** Locally, with all three nodes and their writers on two cores. */
const ANSWER_MS_MAX = 500;
const PAUSE_MS = 200;
/** Every so many writes all write the same. */
const SAME_EVERY = 10;

/** Runs it; a minute unless told otherwise. */
export async function away([seconds = "60", within = String(WITHIN_MS)]: string[]): Promise<boolean> {
  await using cluster = await LogCluster.start(["a", "b", "c"]);
  const { nodes, server } = cluster;
  const { body: { id } } = await nodes[0]!.write("POST", "/services", { domain: "shared.example.org" });
  await cluster.agreed();
  await server.kill();
  while ((await Promise.all(nodes.map((node) => node.log()))).some(({ current }) => current)) {
    // They hear of it by themselves.
  }
  const untilMs = performance.now() + Number(seconds) * 1_000;
  const written = await Promise.all(nodes.map(async (node, n) => {
    const writes = [];
    for (let i = 0; performance.now() < untilMs; i++) {
      if (i % SAME_EVERY === 0) {
        const domain = `same-${i}.example.org`;
        writes.push(await node.write("POST", "/services", { domain }));
        writes.push(await node.write("PATCH", `/services/${id}`, { ttl: 100 + i * 3 + n }));
      }
      writes.push(await node.write("POST", "/services", { domain: `${node.name}-${i}.example.org` }));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    return writes;
  }));
  const all = written.flat();
  const isAnswered = all.every(({ status, isPending, tookMs }) =>
    status < 300 && isPending && tookMs < ANSWER_MS_MAX
  );
  const before = await Promise.all(nodes.map((node) => node.log()));
  await server.start();
  const agreedMs = await cluster.agreed();
  const states = await Promise.all(nodes.map((node) => node.log()));
  const hasOneModel = await cluster.hasOneModel();

  console.log("node  edits      p99      max  pending  conflicts listed");
  for (const [i, node] of nodes.entries()) {
    const took = written[i]!.map(({ tookMs }) => tookMs);
    const columns = [
      node.name.padEnd(4),
      String(took.length).padStart(5),
      ...[0.99, 1].map((share) => `${quantile(took, share).toFixed(1)} ms`.padStart(7)),
      String(before[i]!.pending).padStart(7),
      String(states[i]!.conflicts.length).padStart(9),
    ];
    console.log(columns.join("  "));
  }
  const conflicts = states.reduce((sum, state) => sum + state.conflicts.length, 0);
  console.log(
    `${seconds} s away, all answered at once: ${isAnswered}; agreed ${
      agreedMs.toFixed(0)
    } ms after the server's start, ` +
      `equal models: ${hasOneModel}, ${conflicts} conflicts`,
  );
  return isAnswered && hasOneModel && conflicts > 0 && agreedMs <= Number(within);
}
