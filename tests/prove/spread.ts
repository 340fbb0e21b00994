/**
 * What one node finds is in another one's answers at once: `deno task prove spread [CHANGES [MEMBERS [NODES]]]`.
 *
 * Two real nodes share a server and, by the cluster's log, a model. A member goes up and down; the first sees it, and looks
 * every 250 ms; the second doesn't trust the authority of its certificate, and goes by whoever finds it healthy. Both are asked
 * all the time: between the first's next answer and the second's may lie 100 ms (p99).
 *
 * Then five nodes find something at 10,000 addresses each while there is no server, and one is started: how long it takes
 * until a node knows all of it (storm), and how long until one does that comes later (late), how much memory that takes, and
 * how late timers come meanwhile. And the same on a whole node that answers, probes and puts its model into the log
 * (`spread/answering.ts`): answers may take a tenth longer (p99), and no probe may be late.
 *
 * @module
 */
import type { NodeOptions } from "../../src/node/node.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { type PeerNode, startPeer, until } from "../cluster/nodes.ts";
import { TestAuthority } from "../health/certificates.ts";
import { NatsServer } from "../nats/server.ts";
import { askFor, call, create, startTestNode, TEST_SETTINGS, type TestNode } from "../test_node.ts";
import { Member } from "./partition/member.ts";
import { answering } from "./spread/answering.ts";
import { foundAt, HEARTBEATS, startWriters } from "./spread/found.ts";

const CHANGE_MS_MAX = 100;
const CATCH_UP_MS_MAX = 3_000;
const MEMORY_BYTES_MAX = 60 * 1024 * 1024;
/** How much longer than at rest a turn of the event loop may take while a snapshot is read: so long a probe that is due waits. */
const TURN_MS_MAX = 50;
/** How long rest is looked at. */
const REST_MS = 2_000;
/** Of the whole node: answers over UDP, compared with rest, and by how much a probe may come later than its interval. */
const DNS_FACTOR_MAX = 1.1;
const PROBE_LATE_MS_MAX = 100;
const PROBED = 1_000;
const QUESTIONS_PER_SECOND = 2_000;
const ANSWERING_REST_MS = 5_000;

/** Runs it; 100 changes, 10,000 members and 5 nodes unless told otherwise. */
export async function prove([changes = "100", members = "10000", nodes = "5"]: string[]): Promise<boolean> {
  const took = (await changesSpread(Number(changes))).toSorted((a, b) => a - b);
  const p99 = took[Math.ceil(took.length * 0.99) - 1]!;
  console.log(
    `${took.length} changes: median ${took[took.length >> 1]!.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
  );
  const restMs = await longestTurnAtRest();
  const learning = await learnt({ members: Number(members), nodes: Number(nodes) });
  let isGood = p99 <= CHANGE_MS_MAX;
  for (const [title, { tookMs, bytes, turnMs }] of Object.entries(learning)) {
    isGood &&= tookMs <= CATCH_UP_MS_MAX && bytes <= MEMORY_BYTES_MAX && turnMs - restMs <= TURN_MS_MAX;
    console.log(
      `${title}: ${members} addresses of ${nodes} nodes known after ${tookMs.toFixed(0)} ms, ` +
        `+${(bytes / 2 ** 20).toFixed(1)} MiB, longest turn ${turnMs.toFixed(1)} ms (at rest ${
          restMs.toFixed(1)
        })`,
    );
  }
  return await answersMeanwhile(Number(members), Number(nodes)) && isGood;
}

async function answersMeanwhile(members: number, nodes: number): Promise<boolean> {
  const { tookMs, bytes, restP99Ms, p99Ms, answers, lost, latestProbeMs } = await answering({
    ...{ members, nodes, probed: PROBED, perSecond: QUESTIONS_PER_SECOND, restMs: ANSWERING_REST_MS },
  });
  console.log(
    `a node that answers: all of it counts after ${tookMs.toFixed(0)} ms, +${
      (bytes / 2 ** 20).toFixed(1)
    } MiB; ` +
      `UDP p99 ${p99Ms.toFixed(2)} ms of ${answers} (at rest ${restP99Ms.toFixed(2)}), ${lost} lost; ` +
      `latest of ${PROBED} probes a second ${latestProbeMs.toFixed(1)} ms`,
  );
  return tookMs <= CATCH_UP_MS_MAX && bytes <= MEMORY_BYTES_MAX && lost === 0 &&
    p99Ms <= restP99Ms * DNS_FACTOR_MAX && latestProbeMs <= PROBE_LATE_MS_MAX;
}

/** How long each change took from the answers of one node to those of another, milliseconds. */
export async function changesSpread(changes: number): Promise<number[]> {
  const authority = await TestAuthority.create("spread");
  await using server = await NatsServer.start();
  await using member = new Member(await authority.issue({ ipAddresses: ["127.0.0.1"] }));
  await using a = await sharingNode("a", server.url, { caCerts: [authority.cert] });
  await using b = await sharingNode("b", server.url, { caCerts: [] });
  await declare(a, member.port);
  await until(() => b.node.store.services.byDomain(SERVICE), (service) => service !== null);
  const isAnswered = async (node: TestNode) => (await askFor(node, SERVICE)).includes("127.0.0.1");
  const becomes = async (wanted: boolean): Promise<number> => {
    while (await isAnswered(a) !== wanted) { /* it is asked again */ }
    const fromMs = performance.now();
    while (await isAnswered(b) !== wanted) { /* it is asked again */ }
    return performance.now() - fromMs;
  };
  await becomes(false);
  const took: number[] = [];
  for (let change = 0; change < changes; change++) {
    await member.turn(!member.isUp);
    took.push(await becomes(member.isUp));
  }
  return took;
}

/** The name whose answers change. */
export const SERVICE = "www.example.org";

/** A node that goes by whoever finds a member healthy; it trusts these authorities' certificates. */
export function sharingNode(
  id: string,
  server: string,
  options: Pick<NodeOptions, "caCerts"> & Partial<Pick<NodeOptions, "parts">>,
): Promise<TestNode> {
  const state: Settings["state"] = {
    ...TEST_SETTINGS.state,
    healthPolicy: "global-any-healthy",
    ...{ heartbeatInterval: 500, heartbeatTTL: 5_000 },
    nats: { ...TEST_SETTINGS.state.nats, servers: [server] },
  };
  return startTestNode({ node: { id, region: id }, state }, options);
}

/** Has a node answer the name by the member that changes, which it looks at every 250 ms. */
export async function declare(node: TestNode, port: number): Promise<void> {
  const pool = await create(node, "/pools", { name: "web", onAllDown: "none", maxAnswers: 0 });
  await create(node, `/pools/${pool}/members`, { ipAddress: "127.0.0.1", port });
  await create(node, "/services", { domain: SERVICE, poolId: pool });
  const check = { type: "https", port, intervalMs: 250, timeoutMs: 200, rise: 1, fall: 1 };
  const { status } = await call(node, "PUT", `/pools/${pool}/health-check`, check);
  if (status !== 201) throw new Error(`The check was refused: ${status}`);
}

/** What it takes to learn all that others find. */
export interface Learnt {
  /** From when there was a server, milliseconds. */
  readonly tookMs: number;
  /** By which this process grew. */
  readonly bytes: number;
  /** The longest turn of the event loop meanwhile, milliseconds. */
  readonly turnMs: number;
}

/**
 * Has nodes find what they find while there is no server, and starts one: what another node, which was there, takes to learn
 * it by events; and then one that comes later, and finds it in the bucket.
 */
export async function learnt(
  { members, nodes }: { readonly members: number; readonly nodes: number },
): Promise<{ readonly storm: Learnt; readonly late: Learnt }> {
  await using server = await NatsServer.prepared();
  await using _writers = await startWriters({ server: server.url, nodes: nodes - 1, addresses: members });
  const wanted = members * (nodes - 1);
  await using early = startPeer("early", [server.url], HEARTBEATS);
  early.local.say(foundAt(members));
  const storm = await learning(early, wanted, () => server.start());
  await until(() => valuesPut(early.registry.expose()), (count) => count >= members);
  await until(() => early.registry.expose(), (text) => valuesGot(text) >= wanted);
  let late: PeerNode | null = null;
  try {
    const whole = await learning(
      {
        view: {
          get size() {
            return late?.view.size ?? 0;
          },
        },
      },
      members * nodes,
      () => void (late = startPeer("late", [server.url], HEARTBEATS)),
    );
    return { storm, late: whole };
  } finally {
    await (late as PeerNode | null)?.[Symbol.asyncDispose]();
  }
}

async function longestTurnAtRest(): Promise<number> {
  const fromMs = performance.now();
  const { turnMs } = await learning(
    {
      view: {
        get size() {
          return performance.now() - fromMs;
        },
      },
    },
    REST_MS,
    () => {},
  );
  return turnMs;
}

async function learning(
  { view }: { readonly view: { readonly size: number } },
  wanted: number,
  begin: () => Promise<void> | void,
): Promise<Learnt> {
  const before = Deno.memoryUsage().rss;
  let turnMs = 0;
  let lastMs = performance.now();
  const ticking = setInterval(() => {
    const nowMs = performance.now();
    turnMs = Math.max(turnMs, nowMs - lastMs);
    lastMs = nowMs;
  }, 1);
  try {
    await begin();
    const tookMs = await until(() => view.size, (size) => size >= wanted);
    return { tookMs, bytes: Deno.memoryUsage().rss - before, turnMs };
  } finally {
    clearInterval(ticking);
  }
}

function valuesPut(metrics: string): number {
  return Number(/kv_put_total\{[^}]*bucket="health",result="ok"\} (\d+)/.exec(metrics)?.[1] ?? 0);
}

function valuesGot(metrics: string): number {
  return Number(/kv_get_total\{[^}]*bucket="health",result="ok"\} (\d+)/.exec(metrics)?.[1] ?? 0);
}
