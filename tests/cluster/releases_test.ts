/**
 * Two releases in one cluster, and programs that aren't any: what a node can't read is named, counted and left out, once for each
 * sender, and answers go on.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { type NatsConnection, NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { useDenoTransport } from "../../src/nats/transport.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { askFor, call, create, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";

const STREAM = "GSLB_TEST_LOG";
const BEAT = { v: 1, boot: "0123456789abcdef", seq: 1, region: "", intervalMs: 10_000, kind: "alive" };

testWith(
  ["nats-server"],
  "a node does with what other releases say what it can, and leaves out the rest",
  async () => {
    await using server = await NatsServer.start();
    const { state } = TEST_SETTINGS;
    await using node = await startTestNode({
      node: { id: "a", region: "" },
      state: { ...state, nats: { ...state.nats, servers: [server.url] } },
    });
    await using other = await Other.connect(server);
    await until(() => logOf(node), ({ current }) => current);
    const pool = await create(node, "/pools", { name: "web", onAllDown: "all" });
    const member = await create(node, `/pools/${pool}/members`, { ipAddress: "192.0.2.1", port: 443 });
    await create(node, "/services", { domain: "www.example.org", poolId: pool });
    const isAnswered = async () => deepEqual(await askFor(node, "www.example.org"), ["192.0.2.1"]);

    // An older release says nothing of its model, and a later one says more.
    const model = { generation: 3, digest: 7, log: null };
    other.publish("gslb.test.membership.heartbeat.old", BEAT);
    other.publish("gslb.test.membership.heartbeat.next", { ...BEAT, model: { ...model, zones: 2 }, load: 1 });
    const said = [["next", { ...model, differs: true }], ["old", null]];
    await until(
      () => nodesOf(node),
      (nodes) => isDeepStrictEqual(nodes.map(({ id, model }) => [id, model]).slice(1), said),
    );

    for (const said of [{ ...BEAT, v: 99 }, { ...BEAT, v: 99, seq: 2 }, "{"]) {
      other.publish("gslb.test.membership.heartbeat.late", said);
    }
    other.publish("gslb.test.health.late.v4", { v: 99, boot: BEAT.boot, addresses: [] });
    const invalid = /^pleiades_state_nats_received_total\{.*type="invalid"\} 4$/m;
    await until(() => metricsOf(node), (text) => invalid.test(text));
    equal(node.lines.filter((line) => line.includes("What a node says can't be read")).length, 1);
    equal((await nodesOf(node)).length, 3);

    // The log: an entry of last week, what is none, one of a later release, and one that this release can't follow.
    equal((await call(node, "PATCH", `/members/${member}`, { weight: 5 })).status, 200);
    const written = await other.written(0);
    other.publish("gslb.test.log", await other.written(2));
    await until(() => logOf(node), ({ unreadable }) => unreadable === 1);
    other.publish("gslb.test.log", "{");
    await until(() => logOf(node), ({ unreadable }) => unreadable === 2);
    for (const what of ["doesn't follow the one before it", "can't be read"]) {
      const said = `A message of the cluster's log ${what}, and is left out`;
      equal(node.lines.filter((line) => line.includes(said)).length, 1, said);
    }
    const [entry] = written.entries;
    const [change] = entry!.changes;
    const { head, entries } = await logOf(node);
    other.publish("gslb.test.log", {
      ...{ v: 1, prev: head, stamp: entries + 1, term: 9 },
      entries: [{
        ...{ ...entry!, id: "f".repeat(32), node: "next", team: "dns" },
        changes: [{
          ...change!,
          before: change!.after,
          after: { ...change!.after, weight: 6, colour: "red" },
        }],
      }],
    });
    await until(() => weightOf(node, member), (weight) => weight === 6);
    equal((await logOf(node)).unreadable, 2);
    await isAnswered();

    other.publish("gslb.test.log", { v: 99, prev: "", stamp: 1 });
    const { fault } = await until(() => logOf(node), ({ fault }) => fault !== null);
    match(fault!, /goes on with messages of version 99, and this release reads 1: update it/);
    equal((await call(node, "PATCH", `/members/${member}`, { weight: 7 })).status, 200);
    equal((await logOf(node)).pending, 1);
    await isAnswered();
  },
);

interface Log {
  readonly current: boolean;
  readonly entries: number;
  readonly head: string;
  readonly pending: number;
  readonly unreadable: number;
  readonly fault: string | null;
}

interface Status {
  readonly log: Log;
  readonly peers: { readonly nodes: readonly { readonly id: string; readonly model: unknown }[] };
}

async function statusOf(node: TestNode): Promise<Status> {
  return (await call(node, "GET", "/status")).json as Status;
}

async function logOf(node: TestNode): Promise<Log> {
  return (await statusOf(node)).log;
}

async function nodesOf(node: TestNode): Promise<Status["peers"]["nodes"]> {
  return (await statusOf(node)).peers.nodes;
}

async function weightOf(node: TestNode, member: string): Promise<unknown> {
  return ((await call(node, "GET", `/members/${member}`)).json as { readonly weight: unknown }).weight;
}

async function metricsOf(node: TestNode): Promise<string> {
  return await (await fetch(node.api.replace("/api/v1", "/metrics"))).text();
}

/** What was published on the log, as far as it is written again here. */
interface Written {
  readonly entries: readonly {
    readonly changes: readonly { readonly after: Readonly<Record<string, unknown>> }[];
  }[];
}

/** A program that may publish everywhere. */
class Other implements AsyncDisposable {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;

  private constructor(connection: NatsConnection, manager: JetStreamManager) {
    this.#connection = connection;
    this.#manager = manager;
  }

  static async connect({ url }: NatsServer): Promise<Other> {
    useDenoTransport();
    const connection = await NatsConnectionImpl.connect({ servers: [url] });
    return new Other(connection, await jetstreamManager(connection));
  }

  publish(subject: string, what: unknown): void {
    this.#connection.publish(subject, typeof what === "string" ? what : JSON.stringify(what));
  }

  /** A message of the log, so many before the last. */
  async written(before: number): Promise<Written> {
    const { state } = await this.#manager.streams.info(STREAM);
    return (await this.#manager.streams.getMessage(STREAM, { seq: state.last_seq - before }))!.json();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close();
  }
}
