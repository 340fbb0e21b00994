/**
 * A node of a cluster that is replaced while others hear of it, and while its model is applied:
 * `deno task prove replace_cluster [ROUNDS [SERVICES]]`.
 *
 * Two real `serve` processes, `a` and `b`, share a nats-server. `a` is replaced again and again, each time while a model of so
 * many services is on its way to it. `b` must never hear that it leaves or comes, none of the processes of `a` that there are
 * two of it; each model must be applied whole, and in the end both nodes must have the last one.
 *
 * @module
 */
import { NatsServer } from "../nats/server.ts";
import { program } from "../programs.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";

/** What came of a run. */
export interface ClusterReport {
  /** Replacements that took place. */
  readonly rounds: number;
  /** Models that were applied, and how often one was sent again as it was refused for the moment. */
  readonly applied: number;
  readonly refused: number;
  /** A line for each thing that either node noticed of the replacements, or that went wrong. */
  readonly faults: readonly string[];
}

/** Runs the proof; 5 replacements and 20,000 services unless told otherwise. */
export async function prove([rounds = "5", services = "20000"]: string[]): Promise<boolean> {
  const report = await replaceInCluster({ rounds: Number(rounds), services: Number(services) });
  console.log(`replacements       ${report.rounds}`);
  console.log(`models applied     ${report.applied}, sent ${report.refused} times more`);
  console.log(`faults             ${report.faults.length}`);
  for (const fault of report.faults) console.log(`  ${fault}`);
  return isGood(report);
}

/** Whether nothing was noticed. */
export function isGood({ rounds, applied, faults }: ClusterReport): boolean {
  return rounds > 0 && applied === rounds && faults.length === 0;
}

/** What `b` says of nodes that come and go, and what a node says of another one with its id. */
const NOTICED = /"A node (is there|has left|isn't heard of any more)"|this node's id/;
/** Longest time for a model to be applied, and then to be the other node's. */
const APPLY_MS_MAX = 120_000;
const PAUSE_MS = 50;

/** Replaces a node of two. */
export async function replaceInCluster(
  { rounds, services }: { readonly rounds: number; readonly services: number },
): Promise<ClusterReport> {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "pleiades-replace-cluster-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const server = stack.use(await NatsServer.start());
  const spawn = async (id: string, args: readonly string[] = []): Promise<ServeProcess> => {
    const config = `${folder}/${id}.yaml`;
    await Deno.writeTextFile(
      config,
      `node: { id: ${id} }\ncluster: { id: test }\n` +
        `state: { heartbeatInterval: 2s, heartbeatTTL: 15s, nats: { servers: ["${server.url}"] } }\n`,
    );
    const process = stack.use(ServeProcess.spawn({
      args: ["-c", config, "--db", `${folder}/${id}.db`, ...args],
      executable: program("pleiades"),
    }));
    await process.ready();
    return process;
  };
  const [a, b] = await Promise.all([spawn("a"), spawn("b")]);
  await b.line((line) => line.includes('"A node is there"'));
  await a.line((line) => line.includes('"A node is there"'));
  const seen = b.lines.length;
  const ofA = [a];
  let [applied, refused] = [0, 0];
  const faults: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const applying = apply(a.api, modelOf(services, round)).then((again) => {
      applied++;
      refused += again;
    }, (error) => faults.push(`round ${round}: ${error}`));
    const before = ofA.at(-1)!;
    ofA.push(await spawn("a", ["--replace"]));
    const { code } = await before.ended();
    if (code !== 0) faults.push(`round ${round}: the process before ended with ${code}`);
    await applying;
  }
  const last = modelOf(services, rounds - 1);
  for (const [name, { api }] of [["a", a], ["b", b]] as const) {
    const fault = await becomes(api, last);
    if (fault !== null) faults.push(`${name}: ${fault}`);
  }
  faults.push(...b.lines.slice(seen).filter((line) => NOTICED.test(line)).map((line) => `b: ${line}`));
  for (const { lines } of ofA) {
    faults.push(...lines.filter((line) => line.includes("this node's id")).map((line) => `a: ${line}`));
  }
  return { rounds: ofA.length - 1, applied, refused, faults };
}

/** Another one in each round, which moves no answer. */
function modelOf(services: number, round: number): string {
  const pool = { name: "web", members: [{ ipAddress: "192.0.2.1", port: 80 }] };
  const lines = [
    { pool },
    ...Array.from({ length: services }, (_, i) => ({
      service: { domain: `s${i}.example.org`, pool: "web", ttl: 10 + round },
    })),
  ];
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** @returns how often it was sent again */
async function apply(api: string, model: string): Promise<number> {
  for (let again = 0, untilMs = performance.now() + APPLY_MS_MAX;; again++) {
    const response = await fetch(`${api}/apply`, {
      method: "POST",
      headers: { "content-type": "application/x-ndjson", connection: "close" },
      body: model,
    });
    const text = await response.text();
    if (response.ok) return again;
    if (response.status !== 503 || performance.now() > untilMs) throw new Error(`${response.status} ${text}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** Waits until a node has this model. @returns what it has instead; `null` = nothing else */
async function becomes(api: string, model: string): Promise<string | null> {
  const last = JSON.parse(model.trimEnd().split("\n").at(-1)!).service;
  const count = model.split("\n").length - 2;
  for (const untilMs = performance.now() + APPLY_MS_MAX;;) {
    const exported = await call<{ services: { domain: string; ttl?: number }[] }>(api, {
      ...{ method: "GET", path: "/model" },
    });
    const found = exported.services.find(({ domain }) => domain === last.domain);
    if (exported.services.length === count && found?.ttl === last.ttl) return null;
    if (performance.now() > untilMs) {
      return `${exported.services.length} services of ${count}, the last one with the TTL ${found?.ttl}`;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
