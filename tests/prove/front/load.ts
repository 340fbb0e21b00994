/**
 * Clients of many addresses, and servers in C behind a balancer. What is measured here is the balancer: so all that load it
 * costs as little as can be had, and says what it has lost itself.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { buildC } from "../../../bench/programs/c_program.ts";
import { BatchSockets } from "../../../src/sockets/batch_socket.ts";
import type { Peer } from "../../../src/sockets/peer.ts";
import { StreamSockets } from "../../../src/sockets/stream_sockets.ts";
import { BalancerProcess } from "../../front/balancer_process.ts";

/** A directory with a balancer and servers that send back what they get. */
export class FrontBed implements AsyncDisposable {
  readonly directory: string;
  readonly #folder: string;
  readonly #program: string;
  readonly #servers = new Map<number, Deno.ChildProcess>();
  #balancer: BalancerProcess | null = null;

  private constructor(folder: string, program: string) {
    this.#folder = folder;
    this.directory = `${folder}/sockets`;
    this.#program = program;
  }

  /** Starts so many servers, from 5301 on, and the balancer; resolves when all are connected. */
  static async start(servers: number): Promise<FrontBed> {
    const folder = await Deno.makeTempDir();
    const bed = new FrontBed(folder, await buildC("frame_echo", folder));
    await bed.makeDirectory();
    try {
      for (let i = 0; i < servers; i++) bed.startServer(5301 + i);
      bed.#balancer = await BalancerProcess.start(bed.directory);
      await bed.balancer.line("backend is ok", servers);
      return bed;
    } catch (error) {
      await bed[Symbol.asyncDispose]();
      throw error;
    }
  }

  get balancer(): BalancerProcess {
    return this.#balancer!;
  }

  /** The numbers of the servers. */
  get ids(): readonly number[] {
    return [...this.#servers.keys()];
  }

  startServer(id: number): void {
    const child = new Deno.Command(this.#program, {
      args: [`${this.directory}/${id}`, `${id}`],
      ...{ stdin: "piped", stdout: "null", stderr: "inherit" },
    }).spawn();
    this.#servers.set(id, child);
  }

  signal(id: number, signal: Deno.Signal): void {
    this.#servers.get(id)!.kill(signal);
  }

  /** Kills one; resolves when it has ended. */
  async kill(id: number): Promise<void> {
    const server = this.#servers.get(id)!;
    this.#servers.delete(id);
    server.kill("SIGKILL");
    await server.status;
    await server.stdin.close().catch(() => {});
  }

  /** What the balancer tells. */
  async state(): Promise<FrontState> {
    const connection = await Deno.connect({ transport: "unix", path: `${this.directory}/.balstat` });
    const rows = (await new Response(connection.readable).text()).trim().split("\n").map((row) =>
      JSON.parse(row)
    );
    return {
      balancer: rows[0].balancer,
      backends: rows.flatMap(({ backend }) => backend ?? []),
      remotes: rows.flatMap(({ remote }) => remote ?? []),
    };
  }

  /** MiB that the balancer has in memory. */
  async residentMiB(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.balancer.pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1024;
  }

  /** Descriptors that the balancer has open. */
  descriptors(): number {
    return [...Deno.readDirSync(`/proc/${this.balancer.pid}/fd`)].length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#balancer?.[Symbol.asyncDispose]();
    for (const id of this.ids) {
      this.signal(id, "SIGCONT");
      await this.kill(id);
    }
    await Deno.remove(this.#folder, { recursive: true });
  }

  makeDirectory(): Promise<void> {
    return Deno.mkdir(this.directory);
  }

  removeDirectory(): Promise<void> {
    return Deno.remove(this.directory, { recursive: true });
  }
}

/** How it is when clients have asked for a while: by then the collector has its room, and each client its server. */
export async function settled(
  bed: FrontBed,
  load: Load,
): Promise<{ readonly servers: Uint16Array; readonly residentMiB: number }> {
  await load.run(10_000);
  await load.drain(300);
  return { servers: load.servers.slice(), residentMiB: await bed.residentMiB() };
}

type Counts = Readonly<Record<string, number>>;

/** What a balancer tells, as far as it is looked at. */
export interface FrontState {
  readonly balancer: { readonly udp: Counts; readonly tcp: Counts; readonly clients: Counts };
  readonly backends: readonly Counts[];
  readonly remotes: readonly Counts[];
}

/** Datagrams of clients that a balancer says have got no answer, by what has become of them. */
export function unansweredBy({ balancer: { udp }, backends }: FrontState): Counts {
  const sum = (name: string) => backends.reduce((all, backend) => all + backend[name]!, 0);
  return {
    overflowed: udp["overflowed"]!,
    unserved: udp["unserved"]!,
    stuck: udp["stuck"]!,
    lost: sum("lost"),
    forgotten: sum("forgotten"),
    inFlight: sum("inFlight"),
    sendErrors: udp["sendErrors"]!,
  };
}

/** All of them together. */
export function totalOf(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Those that aren't 0, in words. */
export function wordsOf(counts: Counts): string {
  return Object.entries(counts).filter(([, count]) => count > 0).map(([name, count]) => `${count} ${name}`)
    .join(", ") || "none";
}

/** Bytes of a query: an id, the client's address, when it was asked, and room for the server's number. */
const QUERY_SIZE = 33;
const ADDRESS_AT = 4;
const TIME_AT = 8;
/** Latencies that are kept, the last ones. */
const LATENCIES = 1 << 18;
/** Longest sleep, milliseconds. */
const NAP_MS = 1;
/** Queries are not made up for where this process was kept from running for longer. */
const BEHIND_MAX_MS = 20;

/** Clients at 127.1.0.0 and up, which ask in turn from one port. */
export class Load implements Disposable {
  sent = 0;
  received = 0;
  /** Answers that came to another address than their client's, or weren't what was asked. */
  wrong = 0;
  /** Queries a second. */
  rate = 0;
  /** Clients that ask, from the first on. */
  clients: number;
  /** The server that has answered each client last. */
  readonly servers: Uint16Array;
  /** Queries of each client that have no answer. */
  readonly unanswered: Int32Array;
  /** The longest time that each client was without an answer, milliseconds. */
  readonly longestMs: Float64Array;
  readonly #answeredMs: Float64Array;
  readonly #latencies = new Float32Array(LATENCIES);
  #latencyCount = 0;
  readonly #resources = new DisposableStack();
  readonly #streams: StreamSockets;
  readonly #socket;
  readonly #readiness;
  readonly #peers: readonly Peer[];
  readonly #balancer = Uint8Array.of(127, 0, 0, 1);
  readonly #from = Uint8Array.of(127, 1, 0, 0);
  readonly #port: number;
  #next = 0;

  constructor(port: number, clients: number) {
    const sockets = this.#resources.use(new BatchSockets());
    this.#streams = this.#resources.use(new StreamSockets());
    const options = { reusePort: false, receiveMax: 512, sendMax: 512 };
    this.#socket = this.#resources.use(sockets.bind({ hostname: "0.0.0.0", port: 0 }, options));
    this.#readiness = this.#resources.use(sockets.readiness([this.#socket]));
    this.#peers = Array.from({ length: 64 }, () => this.#socket.createPeer());
    this.#port = port;
    this.clients = clients;
    this.servers = new Uint16Array(clients);
    this.unanswered = new Int32Array(clients);
    this.longestMs = new Float64Array(clients);
    this.#answeredMs = new Float64Array(clients).fill(Infinity);
  }

  /** Answers that came when this process had no room for them: its own loss. */
  get overflowed(): number {
    return this.#streams.droppedOf(this.#socket.fd);
  }

  /** Queries without an answer, less what this process has lost. */
  get lost(): number {
    return this.sent - this.received - this.overflowed;
  }

  /** Forgets the times of answers. */
  forgetTimes(): void {
    this.#latencyCount = 0;
    this.longestMs.fill(0);
  }

  /** The time within which such a part of the last answers came, milliseconds. */
  percentileMs(part: number): number {
    const count = Math.min(this.#latencyCount, LATENCIES);
    return this.#latencies.slice(0, count).sort()[Math.floor(count * part)] ?? NaN;
  }

  /** Asks for so long. */
  async run(ms: number): Promise<void> {
    const endMs = performance.now() + ms;
    await this.#turnUntil(() => performance.now() >= endMs);
  }

  /** Asks until something has happened. */
  async until(event: Promise<unknown>): Promise<void> {
    let isOver = false;
    void event.finally(() => isOver = true);
    await this.#turnUntil(() => isOver);
    await event;
  }

  /** Asks nothing, and waits for what answers come. */
  async drain(ms: number): Promise<void> {
    const { rate } = this;
    this.rate = 0;
    await this.run(ms);
    this.rate = rate;
  }

  async #turnUntil(isOver: () => boolean): Promise<void> {
    let lastMs = performance.now();
    for (let due = 0; !isOver();) {
      const nowMs = performance.now();
      due += Math.min(nowMs - lastMs, BEHIND_MAX_MS) * this.rate / 1000;
      lastMs = nowMs;
      for (; due >= 1; due--) this.#ask(nowMs);
      this.sent -= this.#socket.flush();
      while (this.#receive() > 0) { /* until none waits */ }
      this.#readiness.nap(NAP_MS);
      await new Promise((resolve) => void setImmediate(resolve));
    }
  }

  #ask(nowMs: number): void {
    const client = this.#next++ % this.clients;
    const from = this.#from;
    from[1] = 1 + (client >>> 16);
    from[2] = client >>> 8;
    from[3] = client;
    const peer = this.#peers[this.#next % this.#peers.length]!;
    peer.set(this.#balancer, this.#port, from);
    const out = this.#socket.outgoing;
    out.fill(0, 0, QUERY_SIZE);
    out[0] = this.#next >>> 8;
    out[1] = this.#next;
    out.set(from, ADDRESS_AT);
    new DataView(out.buffer, out.byteOffset).setFloat64(TIME_AT, nowMs);
    this.#socket.queue(peer, out, QUERY_SIZE);
    this.unanswered[client]!++;
    this.sent++;
  }

  #receive(): number {
    const count = this.#socket.receive();
    const nowMs = performance.now();
    for (let slot = 0; slot < count; slot++) {
      const packet = this.#socket.packet(slot);
      const local = this.#socket.peer(slot).localAddress()!;
      let isRight = this.#socket.lengthOf(slot) === QUERY_SIZE;
      for (let i = 0; i < 4; i++) isRight &&= local[i] === packet[ADDRESS_AT + i];
      if (!isRight) {
        this.wrong++;
        continue;
      }
      this.received++;
      const client = packet[5]! - 1 << 16 | packet[6]! << 8 | packet[7]!;
      this.servers[client] = packet[QUERY_SIZE - 2]! << 8 | packet[QUERY_SIZE - 1]!;
      this.unanswered[client]!--;
      this.longestMs[client] = Math.max(this.longestMs[client]!, nowMs - this.#answeredMs[client]!);
      this.#answeredMs[client] = nowMs;
      const sentMs = new DataView(packet.buffer, packet.byteOffset).getFloat64(TIME_AT);
      this.#latencies[this.#latencyCount++ % LATENCIES] = nowMs - sentMs;
    }
    return count;
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}
