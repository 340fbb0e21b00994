/**
 * Three real nodes with a writer each: `deno task prove log writers [EDITS [P99_MS]]`.
 *
 * Each writer makes one edit after the other, as fast as it is answered. All edits must be in all nodes' models, in one order, and
 * 99 of 100 must be acknowledged within 50 ms. An empty node that comes later must have the same; of 2,000 edits and more it
 * finds only the last ones in the log, and the rest in a snapshot.
 *
 * @module
 */
import { LogCluster, quantile } from "./nodes.ts";

const P99_MS = 50;
/** What a node logs when it has written one. */
const SNAPSHOT = "Wrote the model beside the cluster's log";

/** Runs it; 1,000 edits in all unless told otherwise. */
export async function writers([edits = "1000", p99Ms = String(P99_MS)]: string[]): Promise<boolean> {
  await using cluster = await LogCluster.start(["a", "b", "c"]);
  const nodes = [...cluster.nodes];
  // What a process does for the first time takes longer, whatever it is.
  for (const node of nodes) await node.write("POST", "/services", { domain: `${node.name}.example.org` });
  await cluster.agreed();
  const entriesBefore = (await nodes[0]!.log()).entries;
  const each = Math.ceil(Number(edits) / nodes.length);
  const fromMs = performance.now();
  const written = await Promise.all(nodes.map(async (node) => {
    const writes = [];
    for (let i = 0; i < each; i++) {
      writes.push(await node.write("POST", "/services", { domain: `${node.name}-${i}.example.org` }));
    }
    return writes;
  }));
  const tookMs = performance.now() - fromMs;
  const agreedMs = await cluster.agreed();
  const { entries } = await nodes[0]!.log();
  const late = await cluster.add("late");
  const lateMs = await cluster.agreed();
  const snapshots = nodes.flatMap(({ process }) => process.lines.filter((line) => line.includes(SNAPSHOT)));
  const hasAll = entries - entriesBefore === each * nodes.length && await cluster.hasOneModel();

  console.log("node  edits  refused  pending   median      p99      max");
  for (const [i, writes] of written.entries()) {
    const took = writes.map(({ tookMs }) => tookMs);
    const columns = [
      nodes[i]!.name.padEnd(4),
      String(writes.length).padStart(5),
      String(writes.filter(({ status }) => status !== 201).length).padStart(7),
      String(writes.filter(({ isPending }) => isPending).length).padStart(7),
      ...[0.5, 0.99, 1].map((share) => `${quantile(took, share).toFixed(1)} ms`.padStart(8)),
    ];
    console.log(columns.join("  "));
  }
  const all = written.flat();
  const p99 = quantile(all.map(({ tookMs }) => tookMs), 0.99);
  console.log(
    `${all.length} edits in ${(tookMs / 1000).toFixed(1)} s, p99 ${p99.toFixed(1)} ms, ` +
      `${entries - entriesBefore} in one order, equal models: ${hasAll}, agreed ${
        agreedMs.toFixed(0)
      } ms later; ` +
      `${snapshots.length} snapshots, and ${late.name} has all ${lateMs.toFixed(0)} ms after its start`,
  );
  return hasAll && p99 <= Number(p99Ms) && all.every(({ status, isPending }) => status === 201 && !isPending);
}
