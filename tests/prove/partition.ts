/**
 * What becomes of answers when servers or networks between nodes fail: `deno task prove partition [--only NAME,…] [--write]`.
 *
 * Three real nodes share a server, two of them over networks that can be cut. A member goes up and down; `a` and `c` look
 * at it four times a second, and `b` found it down and won't look again: it goes by whoever finds it healthy. All three are
 * asked all the time. For each row a fault strikes, lasts longer than the time to live of heartbeats, and the member becomes
 * another one meanwhile. No question may stay without an answer at any node, and when the fault is over `b` must answer
 * by the member's state within 5 s.
 *
 * `--write` puts the table into docs/cluster.md.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { type NatsConnection, NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { deno, ROOT } from "../../scripts/process.ts";
import { useDenoTransport } from "../../src/nats/transport.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { freePort } from "../free_port.ts";
import { Proxy } from "../nats/proxy.ts";
import { NatsServer } from "../nats/server.ts";
import { askFor, create, startTestNode, TEST_SETTINGS, type TestNode, WITHOUT_LOG } from "../test_node.ts";

/** What a row's fault has to work with. */
interface Stage {
  readonly server: NatsServer;
  /** Between the server and `b`. */
  readonly near: Proxy;
  /** Between the server and `a`, which sees the member. */
  readonly far: Proxy;
}

/** A fault. */
interface Fault {
  readonly name: string;
  /** For the page. */
  readonly what: string;
  /** What `b` goes by at the end of it, for the page. */
  readonly meanwhile: string;
  readonly strike: (stage: Stage) => Promise<void> | void;
  readonly heal: (stage: Stage) => Promise<void> | void;
}

const ALONE = "as its own probes find, when heartbeats are older than the TTL";
const AS_EVER = "as the others find";

/** Every fault, in the order of the table. */
const FAULTS: readonly Fault[] = [
  {
    name: "killed",
    what: "the server is killed, and started again",
    meanwhile: ALONE,
    strike: ({ server }) => server.kill(),
    heal: ({ server }) => server.start(),
  },
  {
    name: "wiped",
    what: "the server is killed, loses its store, and is started again",
    meanwhile: ALONE,
    strike: ({ server }) => server.kill({ wipe: true }),
    heal: ({ server }) => server.start(),
  },
  {
    name: "emptied",
    what: "both buckets are deleted under the connected nodes",
    meanwhile: AS_EVER,
    strike: ({ server }) => deleteBuckets(server),
    heal: ({ server }) => bucketsFilled(server),
  },
  {
    name: "stopped",
    what: "the server stands still, and goes on",
    meanwhile: ALONE,
    strike: ({ server }) => server.signal("SIGSTOP"),
    heal: ({ server }) => server.signal("SIGCONT"),
  },
  {
    name: "cut off",
    what: "the node is cut off from the server",
    meanwhile: ALONE,
    strike: ({ near }) => near.become({ kind: "cut" }),
    heal: ({ near }) => near.become({ kind: "fair" }),
  },
  {
    name: "blackhole",
    what: "the node's network swallows every packet",
    meanwhile: ALONE,
    strike: ({ near }) => near.become({ kind: "silent" }),
    heal: ({ near }) => near.become({ kind: "fair" }),
  },
  {
    name: "others cut off",
    what: "one of two nodes that see the member is cut off",
    meanwhile: AS_EVER,
    strike: ({ far }) => far.become({ kind: "cut" }),
    heal: ({ far }) => far.become({ kind: "fair" }),
  },
  {
    name: "bad network",
    what: "200 ms of delay each way, and 5 % of the packets lost",
    meanwhile: AS_EVER,
    strike: ({ near }) => near.become({ kind: "bad", delayMs: 200, lossPercent: 5, resendMs: 400 }),
    heal: ({ near }) => near.become({ kind: "fair" }),
  },
];

/** What was seen of a fault. */
export interface PartitionRow {
  readonly fault: Fault;
  /** Questions to all nodes while it lasted and until `b` was right again, and those without an answer. */
  readonly asked: number;
  readonly lost: number;
  /** What `b` answered by at the end of the fault. */
  readonly meanwhile: "own" | "others";
  /** From the end of the fault until `b` answered by the member's state, milliseconds. */
  readonly convergedMs: number;
}

const CONVERGED_MS_MAX = 5_000;
const HEARTBEAT_MS = 300;
const TTL_MS = 1_500;
/** Longer than it takes to notice a server that stands still, and then for heartbeats to be too old. */
const LASTING_MS = 4_000;

/** Runs it; all faults unless told otherwise. */
export async function prove(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: { only: { type: "string" }, write: { type: "boolean", default: false } },
  });
  const rows = await partitions({ only: values.only?.split(",") ?? null, lastingMs: LASTING_MS });
  const text = tableOf(rows);
  console.log(text);
  if (values.write && rows.length === FAULTS.length) await write(text);
  return rows.every(({ lost, convergedMs, fault, meanwhile }) =>
    lost === 0 && convergedMs <= CONVERGED_MS_MAX &&
    meanwhile === (fault.meanwhile === ALONE ? "own" : "others")
  );
}

/** Has each fault strike once. */
export async function partitions(
  { only, lastingMs }: { readonly only: readonly string[] | null; readonly lastingMs: number },
): Promise<PartitionRow[]> {
  await using bed = await Bed.start();
  const rows: PartitionRow[] = [];
  for (const fault of FAULTS) {
    if (only !== null && !only.includes(fault.name)) continue;
    rows.push(await bed.suffer(fault, lastingMs));
  }
  return rows;
}

function tableOf(rows: readonly PartitionRow[]): string {
  const cells = rows.map(({ fault, asked, lost, convergedMs }) =>
    `| ${fault.what} | ${fault.meanwhile} | ${asked} (${lost}) | ${(convergedMs / 1000).toFixed(1)} s |`
  );
  return [
    `Heartbeats every ${HEARTBEAT_MS / 1000} s with a TTL of ${
      TTL_MS / 1000
    } s, nats-server 2.15, three nodes and all ` +
    `else on 2 cores.`,
    "",
    "| what happens | what the node answers meanwhile | questions (lost) | right again after |",
    "| --- | --- | --- | --- |",
    ...cells,
  ].join("\n");
}

const PAGE = `${ROOT}/docs/cluster.md`;
const MARKERS = /(<!-- prove partition: begin -->\n)[^]*?(<!-- prove partition: end -->)/;

async function write(text: string): Promise<void> {
  const page = await Deno.readTextFile(PAGE);
  await Deno.writeTextFile(PAGE, page.replace(MARKERS, `$1\n${text}\n\n$2`));
  await deno(["fmt", PAGE], { quiet: true });
}

/** Three nodes, a server, and a member that goes up and down. */
class Bed implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #stage: Stage;
  readonly #nodes: readonly [a: TestNode, b: TestNode, c: TestNode];
  readonly #member: Member;

  private constructor(
    stack: AsyncDisposableStack,
    parts: {
      readonly stage: Stage;
      readonly nodes: readonly [TestNode, TestNode, TestNode];
      readonly member: Member;
    },
  ) {
    this.#stack = stack;
    this.#stage = parts.stage;
    this.#nodes = parts.nodes;
    this.#member = parts.member;
  }

  static async start(): Promise<Bed> {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await NatsServer.start());
    const near = stack.use(new Proxy(server.port));
    const far = stack.use(new Proxy(server.port));
    const member = stack.use(new Member());
    const a = stack.use(await sharingNode("a", far.url));
    const b = stack.use(await sharingNode("b", near.url));
    const c = stack.use(await sharingNode("c", server.url));
    for (const node of [a, c]) await declare(node, { port: member.port, intervalMs: 250 });
    await declare(b, { port: member.port, intervalMs: 3_600_000 });
    await reached(() => isAnswered(b), false);
    const bed = new Bed(stack.move(), { stage: { server, near, far }, nodes: [a, b, c], member });
    await bed.#turn();
    return bed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  /** Has the member become another one, and all nodes answer by it. */
  async #turn(): Promise<void> {
    await this.#member.turn();
    for (const node of this.#nodes) await reached(() => isAnswered(node), this.#member.isUp);
  }

  async suffer(fault: Fault, lastingMs: number): Promise<PartitionRow> {
    const [a, b, c] = this.#nodes;
    // Up before it and down behind it, or what `b` finds by itself couldn't be told from what the others find.
    if (!this.#member.isUp) await this.#turn();
    const asking = this.#nodes.map((node) => new Asking(node));
    await fault.strike(this.#stage);
    await new Promise((resolve) => setTimeout(resolve, lastingMs)); // Time is the subject: how long the fault lasts.
    const meanwhile = await isAnswered(b) ? "others" : "own";
    // While it lasts the member goes down and comes up again: `b` must hear of the last of it.
    await this.#member.turn();
    for (const node of [a, c]) await reached(() => isAnswered(node), false);
    await this.#member.turn();
    for (const node of [a, c]) await reached(() => isAnswered(node), true);
    await fault.heal(this.#stage);
    const fromMs = performance.now();
    await reached(() => isAnswered(b), true);
    const convergedMs = performance.now() - fromMs;
    const seen = await Promise.all(asking.map((each) => each.end()));
    // And it goes on hearing of it.
    await this.#turn();
    return {
      ...{ fault, meanwhile, convergedMs },
      asked: seen.reduce((sum, { asked }) => sum + asked, 0),
      lost: seen.reduce((sum, { lost }) => sum + lost, 0),
    };
  }
}

/** A port of loopback on which something listens, or nothing. */
class Member implements AsyncDisposable {
  readonly port: number = freePort();
  #listener: Deno.TcpListener | null = null;
  #accepting: Promise<void> = Promise.resolve();

  get isUp(): boolean {
    return this.#listener !== null;
  }

  async turn(): Promise<void> {
    if (this.#listener !== null) return await this[Symbol.asyncDispose]();
    const listener = Deno.listen({ hostname: "127.0.0.1", port: this.port });
    this.#listener = listener;
    this.#accepting = (async () => {
      for await (const connection of listener) connection.close();
    })();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener?.close();
    this.#listener = null;
    await this.#accepting;
  }
}

/** Asks a node a hundred times a second. */
class Asking {
  #asked = 0;
  #lost = 0;
  #isOver = false;
  readonly #asking: Promise<void>;

  constructor(node: TestNode) {
    this.#asking = this.#ask(node);
  }

  async end(): Promise<{ readonly asked: number; readonly lost: number }> {
    this.#isOver = true;
    await this.#asking;
    return { asked: this.#asked, lost: this.#lost };
  }

  async #ask(node: TestNode): Promise<void> {
    while (!this.#isOver) {
      this.#asked++;
      const addresses = await askFor(node, "www.example.org").catch(() => []);
      if (addresses.length === 0) this.#lost++;
      await new Promise((resolve) => setTimeout(resolve, 10)); // Time is the subject: questions a second.
    }
  }
}

async function isAnswered(node: TestNode): Promise<boolean> {
  return (await askFor(node, "www.example.org")).includes("127.0.0.1");
}

async function reached(look: () => Promise<boolean>, wanted: boolean): Promise<void> {
  const fromMs = performance.now();
  while (await look() !== wanted) {
    if (performance.now() - fromMs > 30_000) {
      throw new Error(`After 30 s the member is ${wanted ? "not" : "still"} answered`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5)); // Time is the subject: when it comes.
  }
}

function sharingNode(id: string, server: string): Promise<TestNode> {
  const state: Settings["state"] = {
    ...TEST_SETTINGS.state,
    healthPolicy: "global-any-healthy",
    ...{ heartbeatInterval: HEARTBEAT_MS, heartbeatTTL: TTL_MS },
    nats: { ...TEST_SETTINGS.state.nats, servers: [server] },
  };
  // Each has a model of its own.
  return startTestNode({ node: { id, region: id }, state }, { parts: WITHOUT_LOG });
}

/** A pool of the member that changes, and of one that nothing is known of, so that there is always an answer. */
async function declare(
  node: TestNode,
  { port, intervalMs }: { readonly port: number; readonly intervalMs: number },
): Promise<void> {
  const rest = await create(node, "/pools", { name: "rest" });
  const pool = await create(node, "/pools", {
    ...{ name: "web", maxAnswers: 1, algorithm: "failover", onAllDown: "fallback", fallbackPoolId: rest },
  });
  await create(node, `/pools/${rest}/members`, { ipAddress: "192.0.2.1", port: 443 });
  await create(node, `/pools/${pool}/members`, { ipAddress: "127.0.0.1", port });
  const put = async (path: string, method: string, body: object) => {
    const { ok, status } = await fetch(`${node.api}${path}`, {
      ...{ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) },
    });
    if (!ok) throw new Error(`${method} ${path}: ${status}`);
  };
  await put(`/pools/${pool}/health-check`, "PUT", {
    ...{ type: "tcp", port, intervalMs, timeoutMs: 200, rise: 1, fall: 1 },
  });
  await create(node, "/services", { domain: "www.example.org", poolId: pool });
}

/** Deletes both buckets, as an operator may who cleans up. */
async function deleteBuckets(server: NatsServer): Promise<void> {
  await using store = await Store.open(server);
  for (const bucket of ["health", "membership"]) await store.manager.streams.delete(`KV_gslb_test_${bucket}`);
}

/** Resolves when nodes have made the bucket again, and all three have written to it. */
async function bucketsFilled(server: NatsServer): Promise<void> {
  await using store = await Store.open(server);
  const values = async () => (await store.manager.streams.info("KV_gslb_test_health")).state.messages;
  await reached(async () => await values().catch(() => 0) >= 3, true);
}

/** JetStream as an operator sees it. */
class Store implements AsyncDisposable {
  readonly #connection: NatsConnection;
  readonly manager: JetStreamManager;

  private constructor(connection: NatsConnection, manager: JetStreamManager) {
    this.#connection = connection;
    this.manager = manager;
  }

  static async open({ url }: NatsServer): Promise<Store> {
    useDenoTransport();
    const connection = await NatsConnectionImpl.connect({ servers: [url] });
    return new Store(connection, await jetstreamManager(connection));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close();
  }
}
