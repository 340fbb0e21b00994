/**
 * Three nodes of one cluster, of which two find a member up that the third can't see: it doesn't trust the authority of the
 * member's certificate, and goes by the others. Between each node and each NATS server is a network that can fail.
 *
 * @module
 */
import { TestAuthority } from "../../health/certificates.ts";
import { NatsCluster } from "../../nats/cluster.ts";
import { Proxy, type Weather } from "../../nats/proxy.ts";
import { call } from "../../rest.ts";
import { ServeProcess } from "../../serve_process.ts";
import { startTestNode, TEST_SETTINGS } from "../../test_node.ts";
import { Member } from "./member.ts";
import { SetClock } from "./set_clock.ts";
import { addressesAt, addressOf, counterOf, SERVICE, type Told } from "./watch.ts";

/** How a bed is made. */
export interface BedTerms {
  /** Whether each node is a process of its own; else all are in this one, and their clocks can't be set. */
  readonly hasProcesses: boolean;
  /** NATS servers. */
  readonly servers: number;
  readonly heartbeatMs: number;
  readonly ttlMs: number;
  readonly probeMs: number;
}

/** A node and its networks. */
export interface BedNode extends Told {
  /** To each server. */
  readonly networks: readonly Proxy[];
  /** `null` = it has this process's. */
  readonly clock: SetClock | null;
  /** The member that is counted up at this node. */
  counter: string;
}

/** How far a node's model has come, as it says. */
export interface LogAt {
  readonly current: boolean;
  readonly head: string;
  readonly pending: number;
}

const NODES = ["a", "b", "c"] as const;
/** How long anything may take at most. */
const PATIENCE_MS = 60_000;
/** How often it is looked whether something has come. */
const LOOK_MS = 20;

/** The bed. */
export class Bed implements AsyncDisposable {
  readonly servers: NatsCluster;
  /** `a` and `c` see the member, `b` doesn't. */
  readonly nodes: readonly [a: BedNode, b: BedNode, c: BedNode];
  readonly member: Member;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    stack: AsyncDisposableStack,
    parts: Pick<Bed, "servers" | "nodes" | "member">,
  ) {
    this.#stack = stack;
    this.servers = parts.servers;
    this.nodes = parts.nodes;
    this.member = parts.member;
  }

  /** Starts it; the member is up, and answered by all. */
  static async start(terms: BedTerms): Promise<Bed> {
    await using stack = new AsyncDisposableStack();
    const folder = await Deno.makeTempDir({ prefix: "pleiades-prove-" });
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const authority = await TestAuthority.create("prove");
    const member = stack.use(new Member(await authority.issue({ ipAddresses: ["127.0.0.1"] })));
    const servers = stack.use(await NatsCluster.start(terms.servers));
    const starting = NODES.map(async (id): Promise<BedNode> => {
      const networks = servers.servers.map(({ port }) => stack.use(new Proxy(port)));
      const ca = id === "b" ? null : authority.cert;
      const own = `${folder}/${id}`;
      await Deno.mkdir(own);
      const node = await (terms.hasProcesses ? nodeProcess : nodeWithin)({
        id,
        networks,
        ca,
        folder: own,
        terms,
      });
      stack.use(node);
      return { id, networks, counter: "", dns: node.dns, api: node.api, clock: node.clock };
    });
    const [a, b, c] = await Promise.all(starting);
    const bed = new Bed(stack.move(), { servers, nodes: [a!, b!, c!], member });
    try {
      await bed.#declare(terms);
      await bed.turnMember(true);
      return bed;
    } catch (error) {
      await bed[Symbol.asyncDispose]();
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  /** Has a node's networks, or all of them, become another one. */
  become(weather: Weather, nodes: readonly BedNode[] = this.nodes): void {
    for (const { networks } of nodes) for (const network of networks) network.become(weather);
  }

  /** Has the member be up or down, and these nodes answer by it. */
  async turnMember(isUp: boolean, nodes: readonly BedNode[] = this.nodes): Promise<void> {
    await this.member.turn(isUp);
    for (const node of nodes) {
      await reached(`${node.id} answers the member`, () => isMemberAnswered(node), isUp);
    }
  }

  /** Resolves when all nodes have all that each of them has committed; gives how long that took, milliseconds. */
  async agreed(): Promise<number> {
    return await reached("the nodes have one model", async () => {
      const logs = await Promise.all(this.nodes.map(logAt));
      return logs.every(({ current, pending }) => current && pending === 0) &&
        new Set(logs.map(({ head }) => head)).size === 1;
    }, true);
  }

  /** Resolves when all nodes follow the log. */
  async settled(): Promise<void> {
    await reached("all nodes follow the log", async () => {
      return (await Promise.all(this.nodes.map(logAt))).every(({ current }) => current);
    }, true);
  }

  /** One pool of the member, one that nothing is known of, so that there is always an answer, and a counter for each node. */
  async #declare({ probeMs }: BedTerms): Promise<void> {
    const [{ api }] = this.nodes;
    const create = async (path: string, json: unknown) =>
      (await call<{ readonly id: string }>(api, { method: "POST", path, json })).id;
    await reached("the log is followed", async () => (await logAt(this.nodes[0])).current, true);
    const rest = await create("/pools", { name: "rest" });
    const pool = await create("/pools", {
      ...{ name: "web", maxAnswers: 1, algorithm: "failover", onAllDown: "fallback", fallbackPoolId: rest },
    });
    await create(`/pools/${rest}/members`, { ipAddress: "192.0.2.1", port: 443 });
    await create(`/pools/${pool}/members`, { ipAddress: "127.0.0.1", port: this.member.port });
    await call(api, {
      method: "PUT",
      path: `/pools/${pool}/health-check`,
      json: { type: "https", intervalMs: probeMs, timeoutMs: probeMs * 0.8, rise: 1, fall: 1 },
    });
    await create("/services", { domain: SERVICE, poolId: pool });
    for (const node of this.nodes) {
      const poolId = await create("/pools", { name: `count-${node.id}` });
      node.counter = await create(`/pools/${poolId}/members`, { ipAddress: addressOf(0), port: 443 });
      await create("/services", { domain: counterOf(node.id), poolId });
    }
    await this.agreed();
  }
}

/** How far a node's model has come. */
export async function logAt({ api }: Pick<Told, "api">): Promise<LogAt> {
  return (await call<{ readonly log: LogAt }>(api, { method: "GET", path: "/status" })).log;
}

/** Why changes were undone that were made at a node, or that it knows of. */
export async function conflictsAt({ api }: Pick<Told, "api">): Promise<readonly string[]> {
  type Log = { readonly conflicts: readonly { readonly node: string; readonly why: string }[] };
  const { log } = await call<{ readonly log: Log }>(api, { method: "GET", path: "/status" });
  return log.conflicts.map(({ node, why }) => `${node}: ${why}`);
}

/** Whether a node answers by the member that is up. */
export async function isMemberAnswered(node: Told): Promise<boolean> {
  return (await addressesAt(node, SERVICE)).includes("127.0.0.1");
}

/** Looks until it is so; gives how long that took, milliseconds. @throws {Error} when it takes a minute */
export async function reached(
  what: string,
  look: () => Promise<boolean>,
  wanted: boolean,
): Promise<number> {
  const fromMs = performance.now();
  while (await look().catch(() => null) !== wanted) {
    if (performance.now() - fromMs > PATIENCE_MS) {
      throw new Error(`Not after ${PATIENCE_MS / 1000} s: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS)); // Time is the subject: when it comes.
  }
  return performance.now() - fromMs;
}

interface NodeTerms {
  readonly id: string;
  readonly networks: readonly Proxy[];
  /** PEM of the authority that the member's certificate is of; `null` = it isn't trusted. */
  readonly ca: string | null;
  readonly folder: string;
  readonly terms: BedTerms;
}

type Started = AsyncDisposable & Pick<BedNode, "dns" | "api" | "clock">;

async function nodeProcess({ id, networks, ca, folder, terms }: NodeTerms): Promise<Started> {
  const clock = await SetClock.make(folder);
  const settings = {
    cluster: { id: "test" },
    node: { id, region: id },
    database: { path: `${folder}/node.db` },
    state: {
      healthPolicy: "global-any-healthy",
      ...{ heartbeatInterval: `${terms.heartbeatMs}ms`, heartbeatTTL: `${terms.ttlMs}ms` },
      nats: { servers: networks.map(({ url }) => url), jetStream: { replicas: terms.servers } },
    },
  };
  await Deno.writeTextFile(`${folder}/node.yaml`, JSON.stringify(settings));
  if (ca !== null) await Deno.writeTextFile(`${folder}/ca.pem`, ca);
  const process = await ServeProcess.start({
    args: ["-c", `${folder}/node.yaml`],
    env: { ...clock.env, ...(ca !== null && { DENO_CERT: `${folder}/ca.pem` }) },
  });
  return {
    ...{ dns: process.dns, api: process.api, clock },
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

async function nodeWithin({ id, networks, ca, terms }: NodeTerms): Promise<Started> {
  const { state } = TEST_SETTINGS;
  const node = await startTestNode({
    node: { id, region: id },
    state: {
      ...state,
      healthPolicy: "global-any-healthy",
      ...{ heartbeatInterval: terms.heartbeatMs, heartbeatTTL: terms.ttlMs },
      nats: { ...state.nats, servers: networks.map(({ url }) => url) },
    },
  }, { caCerts: ca === null ? [] : [ca] });
  return {
    ...{ dns: node.node.dns[0]!, api: node.api, clock: null },
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  };
}
