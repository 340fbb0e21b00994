/**
 * What one node finds is in another one's answers at once: `deno task prove spread [CHANGES [MEMBERS [NODES]]]`.
 *
 * Two real nodes share a server. A member goes up and down on the first, which looks every 250 ms; the second found it down
 * and won't look again for an hour, and goes by whoever finds it healthy. Both are asked all the time: between the first's
 * next answer and the second's may lie 100 ms (p99).
 *
 * Then five nodes find something at 10,000 addresses each while there is no server, and one is started: how long it takes
 * until a node knows all of it (storm), and how long until one does that comes later (late), how much memory that takes, and
 * how late timers come meanwhile.
 *
 * @module
 */
import type { Settings } from "../../src/settings/settings.ts";
import type { LocalReport } from "../../src/health/peers.ts";
import { type PeerNode, startPeer, TARGET, until } from "../cluster/nodes.ts";
import { NatsServer } from "../nats/server.ts";
import { askFor, create, startTestNode, TEST_SETTINGS, type TestNode, WITHOUT_LOG } from "../test_node.ts";
import { freePort } from "../free_port.ts";

const CHANGE_MS_MAX = 100;
const CATCH_UP_MS_MAX = 3_000;
const MEMORY_BYTES_MAX = 60 * 1024 * 1024;
/** How much longer than at rest a turn of the event loop may take while a snapshot is read: so long a probe that is due waits. */
const TURN_MS_MAX = 50;
/** How long rest is looked at. */
const REST_MS = 2_000;

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
  return isGood;
}

/** How long each change took from the answers of one node to those of another, milliseconds. */
export async function changesSpread(changes: number): Promise<number[]> {
  await using server = await NatsServer.start();
  const port = freePort();
  await using a = await sharingNode("a", server.url);
  await using b = await sharingNode("b", server.url);
  await declare(a, { port, intervalMs: 250 });
  await declare(b, { port, intervalMs: 3_600_000 });
  const isAnswered = async (node: TestNode) => (await askFor(node, "www.example.org")).includes("127.0.0.1");
  const becomes = async (wanted: boolean): Promise<number> => {
    while (await isAnswered(a) !== wanted) { /* it is asked again */ }
    const fromMs = performance.now();
    while (await isAnswered(b) !== wanted) { /* it is asked again */ }
    return performance.now() - fromMs;
  };
  await becomes(false);
  const took: number[] = [];
  for (let change = 0; change < changes; change += 2) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port });
    const accepting = (async () => {
      for await (const connection of listener) connection.close();
    })();
    took.push(await becomes(true));
    listener.close();
    await accepting;
    took.push(await becomes(false));
  }
  return took;
}

function sharingNode(id: string, server: string): Promise<TestNode> {
  const state: Settings["state"] = {
    ...TEST_SETTINGS.state,
    healthPolicy: "global-any-healthy",
    ...{ heartbeatInterval: 500, heartbeatTTL: 5_000 },
    nats: { ...TEST_SETTINGS.state.nats, servers: [server] },
  };
  // Each has a model of its own.
  return startTestNode({ node: { id, region: id }, state }, { parts: WITHOUT_LOG });
}

/** A pool of the member that changes and of one that never does. */
async function declare(
  node: TestNode,
  { port, intervalMs }: { readonly port: number; readonly intervalMs: number },
) {
  const pool = await create(node, "/pools", { name: "web", onAllDown: "none", maxAnswers: 0 });
  await create(node, `/pools/${pool}/members`, { ipAddress: "127.0.0.1", port });
  await create(node, "/services", { domain: "www.example.org", poolId: pool });
  const { status } = await fetch(`${node.api}/pools/${pool}/health-check`, {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ type: "tcp", port, intervalMs, timeoutMs: 50, rise: 1, fall: 1 }),
  });
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

/** What all nodes find at so many addresses. */
export function foundAt(addresses: number): LocalReport[] {
  return Array.from({ length: addresses }, (_, i) => ({
    address: `10.${i >> 16}.${i >> 8 & 255}.${i & 255}`,
    ...{ target: TARGET, state: "healthy" as const, since: 0 },
  }));
}

/** As many heartbeats as ten times as many nodes send unless told otherwise. */
export const HEARTBEATS = { heartbeatIntervalMs: 1_000, heartbeatTtlMs: 30_000 } as const;

/**
 * Has nodes find what they find while there is no server, and starts one: what another node, which was there, takes to learn
 * it by events; and then one that comes later, and finds it in the bucket.
 */
export async function learnt(
  { members, nodes }: { readonly members: number; readonly nodes: number },
): Promise<{ readonly storm: Learnt; readonly late: Learnt }> {
  await using server = await NatsServer.prepared();
  const writers = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--quiet", "--unstable-net", new URL("spread/writers.ts", import.meta.url).pathname],
      ...[server.url, String(nodes - 1), String(members)],
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  try {
    const said = writers.stdout.getReader();
    await said.read();
    await said.cancel();
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
  } finally {
    await writers.stdin.close();
    await writers.status;
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
