/**
 * Large models reach three real nodes through a server with default settings, and one that comes later:
 * `deno task prove log models [SERVICES…]`.
 *
 * A node is given a model; the others must have it, with exports of the same bytes and the same answers to the first 1,000 names.
 * An empty node that is started then must have it, too. While nodes take it, their API is asked all the time.
 *
 * @module
 */
import { runQuery } from "../../../src/dns_client.ts";
import { typeNumber } from "../../../src/wire/record_type.ts";
import { type ClusterNode, LogCluster } from "./nodes.ts";

const ASKED = 1_000;
/** Services of one pool. */
const POOL_SERVICES = 100;

/** Runs it; 10,000 and 100,000 services unless told otherwise. */
export async function models(services: string[]): Promise<boolean> {
  let isGood = true;
  for (const count of services.length > 0 ? services : ["10000", "100000"]) {
    isGood = await reach(Number(count)) && isGood;
  }
  return isGood;
}

async function reach(services: number): Promise<boolean> {
  await using cluster = await LogCluster.start(["a", "b", "c"]);
  const [a, b, c] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode];
  const looking = new AbortController();
  const slowest = slowestAnswer(b, looking.signal);
  const fromMs = performance.now();
  const applied = await fetch(`${a.process.api}/apply`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: modelText(services),
  });
  const appliedMs = performance.now() - fromMs;
  if (!applied.ok) throw new Error(`apply: ${applied.status} ${await applied.text()}`);
  await applied.body?.cancel();
  const agreedMs = appliedMs + await cluster.agreed();
  looking.abort();
  const longestMs = await slowest;
  const asked = await Promise.all([a, b, c].map((node) => answers(node, services)));
  const isEqual = await cluster.hasOneModel() && new Set(asked).size === 1;

  const lateMs = performance.now();
  const late = await cluster.add("late");
  await cluster.agreed();
  const lateTookMs = performance.now() - lateMs;
  const isLateEqual = await cluster.hasOneModel() && await answers(late, services) === asked[0];
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  console.log(
    `${services} services: applied after ${seconds(appliedMs)}, on three nodes after ${seconds(agreedMs)}, ` +
      `equal exports and answers: ${isEqual}, slowest answer of another node's API meanwhile ${
        longestMs.toFixed(0)
      } ms; a node that came later had it ${seconds(lateTookMs)} after its start, equal: ${isLateEqual}`,
  );
  return isEqual && isLateEqual;
}

function modelText(services: number): string {
  const lines: string[] = [];
  for (let pool = 0; pool * POOL_SERVICES < services; pool++) {
    const address = `10.${pool >> 16 & 255}.${pool >> 8 & 255}.${pool & 255}`;
    lines.push(JSON.stringify({ pool: { name: `p${pool}`, members: [{ ipAddress: address, port: 443 }] } }));
  }
  for (let i = 0; i < services; i++) {
    const pool = `p${Math.floor(i / POOL_SERVICES)}`;
    lines.push(JSON.stringify({ service: { domain: `s${i}.example.org`, pool } }));
  }
  return lines.join("\n") + "\n";
}

/** The first names' answers, as one text. */
async function answers({ process }: ClusterNode, services: number): Promise<string> {
  const answer = async (i: number): Promise<string> => {
    const { message } = await runQuery({
      ...{ server: process.dns, name: `s${i}.example.org`, type: typeNumber("A")!, class: 1 },
      ...{ ecs: null, tcp: false, udpSize: 1232, timeoutMs: 5_000 },
    });
    return JSON.stringify(message.answers);
  };
  // The model is there before the tables that DNS answers from are.
  while (await answer(services - 1) === "[]") { /* it is asked again */ }
  const texts: string[] = [];
  for (let i = 0; i < Math.min(services, ASKED); i++) texts.push(await answer(i));
  return texts.join("\n");
}

/** How long the slowest request takes, milliseconds. */
async function slowestAnswer({ process }: ClusterNode, signal: AbortSignal): Promise<number> {
  let slowestMs = 0;
  while (!signal.aborted) {
    const fromMs = performance.now();
    await (await fetch(`${process.api}/health`)).body?.cancel();
    slowestMs = Math.max(slowestMs, performance.now() - fromMs);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return slowestMs;
}
