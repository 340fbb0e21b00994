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
 * (`spread/answering.ts`), three times: answers may take a tenth longer (p99), and no probe may be late.
 *
 * Five nodes, the server and those who ask have two processors here, which at rest are idle. So what others take is
 * told apart from what the node does: of turns and of probes the time is taken off for which the thread could have run and
 * had no processor, which Linux counts, or for which the machine stood still (`machine/standstills.ts`); answers are compared with those of a bare echo in C, asked as often in the same
 * seconds. The node's own main thread is among what both wait for: what is left is what answers lose beyond a program that only
 * sends back. It is judged twice, since a machine that is short of processors both adds to each answer and stretches it: neither
 * may the node's p99 have grown by a tenth more than the echo's did, nor may it, less the milliseconds that the echo lost,
 * be a tenth longer than at rest.
 *
 * @module
 */
import type { HealthCheck } from "../../src/model/model.ts";
import type { NodeOptions } from "../../src/node/node.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { type PeerNode, startPeer, until } from "../cluster/nodes.ts";
import { TestAuthority } from "../health/certificates.ts";
import { NatsServer } from "../nats/server.ts";
import { askFor, call, create, startTestNode, TEST_SETTINGS, type TestNode } from "../test_node.ts";
import { Member } from "./partition/member.ts";
import { type Answering, answering, LOST_MS } from "./spread/answering.ts";
import { foundAt, HEARTBEATS, startWriters } from "./spread/found.ts";
import { ownMs, processorOf, type Stretch, stretchOf } from "./machine/processor.ts";
import { Standstills } from "./machine/standstills.ts";

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
/** Each is a few seconds long, and what counts of it is a hundredth. */
const ANSWERING_TIMES = 3;

/** Runs it; 100 changes, 10,000 members and 5 nodes unless told otherwise. */
export async function prove([changes = "100", members = "10000", nodes = "5"]: string[]): Promise<boolean> {
  const took = (await changesSpread(Number(changes))).toSorted((a, b) => a - b);
  const p99 = took[Math.ceil(took.length * 0.99) - 1]!;
  console.log(
    `${took.length} changes: median ${took[took.length >> 1]!.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
  );
  const folder = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const standstills = stack.use(await Standstills.start(folder));
  const longest = ({ turns }: Learnt) => ({
    turnMs: Math.max(...turns.map(({ tookMs }) => tookMs)),
    ownTurnMs: Math.max(...turns.map((turn) => ownMs(turn, standstills))),
  });
  const rest = longest(await turnsAtRest());
  const learning = await learnt({ members: Number(members), nodes: Number(nodes) });
  let isGood = p99 <= CHANGE_MS_MAX;
  for (const [title, learnt] of Object.entries(learning)) {
    const { tookMs, bytes } = learnt;
    const { turnMs, ownTurnMs } = longest(learnt);
    isGood &&= tookMs <= CATCH_UP_MS_MAX && bytes <= MEMORY_BYTES_MAX &&
      ownTurnMs - rest.ownTurnMs <= TURN_MS_MAX;
    console.log(
      `${title}: ${members} addresses of ${nodes} nodes known after ${tookMs.toFixed(0)} ms, ` +
        `+${(bytes / 2 ** 20).toFixed(1)} MiB, longest turn ${ownTurnMs.toFixed(1)} ms (at rest ${
          rest.ownTurnMs.toFixed(1)
        }), with waits for a processor ${turnMs.toFixed(1)} ms (at rest ${rest.turnMs.toFixed(1)})`,
    );
  }
  return await answersMeanwhile(Number(members), Number(nodes), standstills) && isGood;
}

async function answersMeanwhile(
  members: number,
  nodes: number,
  standstills: Standstills,
): Promise<boolean> {
  const runs: (Answering & { readonly ownLateMs: number })[] = [];
  for (let run = 0; run < ANSWERING_TIMES; run++) {
    const seen = await answering({
      ...{ members, nodes, probed: PROBED, perSecond: QUESTIONS_PER_SECOND, restMs: ANSWERING_REST_MS },
      standstills,
    });
    const [latest = { lateMs: 0, waitedMs: 0 }] = seen.probes;
    const ownLateMs = Math.max(0, ...seen.probes.map(({ lateMs, waitedMs }) => lateMs - waitedMs));
    runs.push({ ...seen, ownLateMs });
    console.log(
      `a node that answers: all of it counts after ${seen.tookMs.toFixed(0)} ms, ` +
        `+${(seen.bytes / 2 ** 20).toFixed(1)} MiB; latest of ${PROBED} probes a second ` +
        `${ownLateMs.toFixed(1)} ms, with waits for a processor ${latest.lateMs.toFixed(1)} ms, ` +
        `${seen.fell} of backends that answer had no result in time`,
    );
    console.log(`  first seen after ms: ${listed(seen.steps)}`);
    console.log(`  by then: ${listed(seen.counts)}`);
    console.log(`  processor ms until all counts: ${listed(seen.processors[0]!)}`);
    console.log(`  processor ms until the end: ${listed(seen.processors[1]!)}`);
  }
  const p99s = (of: "dns" | "echo") => ({
    rest: p99(runs.flatMap((run) => run[of].rest)),
    meanwhile: p99(runs.flatMap((run) => run[of].meanwhile)),
  });
  const [dns, echo] = [p99s("dns"), p99s("echo")];
  const answers = runs.flatMap((run) => run.dns.meanwhile);
  const lost = answers.filter((ms) => ms >= LOST_MS).length;
  console.log(
    `UDP p99 ${dns.meanwhile.toFixed(2)} ms of ${answers.length} (at rest ${
      dns.rest.toFixed(2)
    }), ${lost} lost; ` +
      `of an echo in C beside it ${echo.meanwhile.toFixed(2)} ms (at rest ${echo.rest.toFixed(2)})`,
  );
  const ofMachine = Math.max(1, echo.meanwhile / echo.rest);
  const ofMachineMs = Math.max(0, echo.meanwhile - echo.rest);
  const stretched = dns.meanwhile / dns.rest / ofMachine;
  const added = (dns.meanwhile - ofMachineMs) / dns.rest;
  console.log(
    `beside rest ${(dns.meanwhile / dns.rest).toFixed(2)}, of the echo ${ofMachine.toFixed(2)}: ` +
      `${stretched.toFixed(2)} of what the machine makes of it; without what the echo lost ${
        added.toFixed(2)
      } ` +
      `(at most ${DNS_FACTOR_MAX} each)`,
  );
  return lost === 0 && Math.max(stretched, added) <= DNS_FACTOR_MAX &&
    runs.every(({ tookMs, bytes, ownLateMs, fell, counts }) =>
      tookMs <= CATCH_UP_MS_MAX && bytes <= MEMORY_BYTES_MAX && ownLateMs <= PROBE_LATE_MS_MAX &&
      fell === 0 && counts.read! >= members * (nodes - 1)
    );
}

function listed(values: Readonly<Record<string, number>>): string {
  return Object.entries(values).map(([name, value]) => `${name} ${value.toFixed(0)}`).join(", ");
}

function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? NaN;
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

/** Has a node answer the name by the member that changes, which it looks at every 250 ms unless told otherwise. */
export async function declare(
  node: TestNode,
  port: number,
  checked: Partial<HealthCheck> = {},
): Promise<void> {
  const pool = await create(node, "/pools", { name: "web", onAllDown: "none", maxAnswers: 0 });
  await create(node, `/pools/${pool}/members`, { ipAddress: "127.0.0.1", port });
  await create(node, "/services", { domain: SERVICE, poolId: pool });
  const check = { type: "https", port, intervalMs: 250, timeoutMs: 200, rise: 1, fall: 1, ...checked };
  const { status } = await call(node, "PUT", `/pools/${pool}/health-check`, check);
  if (status !== 201) throw new Error(`The check was refused: ${status}`);
}

/** What it takes to learn all that others find. */
export interface Learnt {
  /** From when there was a server, milliseconds. */
  readonly tookMs: number;
  /** By which this process grew. */
  readonly bytes: number;
  /** Turns of the event loop meanwhile. */
  readonly turns: readonly Stretch[];
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

async function turnsAtRest(): Promise<Learnt> {
  const fromMs = performance.now();
  return await learning(
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
}

async function learning(
  { view }: { readonly view: { readonly size: number } },
  wanted: number,
  begin: () => Promise<void> | void,
): Promise<Learnt> {
  const before = Deno.memoryUsage().rss;
  const turns: Stretch[] = [];
  let last = processorOf(Deno.pid);
  const ticking = setInterval(() => {
    const now = processorOf(Deno.pid);
    turns.push(stretchOf(last, now));
    last = now;
  }, 1);
  try {
    await begin();
    const tookMs = await until(() => view.size, (size) => size >= wanted);
    return { tookMs, bytes: Deno.memoryUsage().rss - before, turns };
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
