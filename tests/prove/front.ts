/**
 * A balancer loses only what was in flight: `deno task prove front [KILLS [CLIENTS [PER_SECOND [HOURS]]]]`.
 *
 * Eight servers behind one balancer are killed and started again, one a second in turn, while clients of so many addresses
 * ask. At a kill 64 datagrams may be lost, and the balancer's own count of them must be that of the clients. Each answer
 * says which server gave it and which client it is for: none may come to another, and in the end each client must be where
 * it was at first.
 *
 * Two nodes of ours are restarted in turn, without any loss. Then hours of arrivals, restarts, expiry and rebalancing are simulated, and the table is compared with a model's.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { BatchSockets, type Peer } from "../../src/sockets/batch_socket.ts";
import { restartInTurn } from "./front/restart.ts";
import { BalancerProcess } from "../front/balancer_process.ts";
import { isFlawless } from "../dns_load.ts";
import { play } from "../front/simulation.ts";

const BACKENDS = 8;
const LOST_A_KILL_MAX = 64;
const SETTLE_MS = 1_500;
const BEFORE_KILL_MS = 200;
/** Milliseconds within which all answers have come. */
const DRAIN_MS = 500;
const KEPT_MIN = 0.9999;

/** Runs it: 60 kills, 10,000 clients, 20,000 queries a second, 72 hours unless told otherwise. */
export async function prove(
  [kills = "60", clients = "10000", perSecond = "20000", hours = "72"]: string[],
): Promise<boolean> {
  const result = await killOneByOne({ kills: +kills, clients: +clients, perSecond: +perSecond });
  const { sent, lost, counted, worst, wrong, kept } = result;
  console.log(
    `${sent} queries, ${kills} kills: ${lost} lost (counted by the balancer: ${counted}), ` +
      `at most ${worst} between two kills; ${wrong} answers to a wrong client; ` +
      `${(kept * 100).toFixed(3)} % of ${clients} clients kept their server`,
  );
  const { report, unanswered } = await restartInTurn({ perSecond: +perSecond, seconds: 8 });
  const isSeamless = isFlawless(report) && unanswered.every((count) => count === 0);
  console.log(`two nodes restarted in turn: ${report.lost} of ${report.sent} queries lost, ${report.codes}`);
  const startMs = performance.now();
  const { chosen, moved, expired } = play(+hours * 3_600, { seed: 72, clients: 1_500, compareEvery: 60 });
  const seconds = (performance.now() - startMs) / 1000;
  console.log(
    `${hours} simulated hours in ${seconds.toFixed(1)} s: ${chosen} choices, ${moved} clients moved, ` +
      `${expired} forgotten, as the model`,
  );
  return isSeamless && lost === counted && worst <= LOST_A_KILL_MAX && wrong === 0 && kept >= KEPT_MIN &&
    seconds < 60;
}

/** What came of it. */
export interface KillResult {
  /** Queries of clients. */
  readonly sent: number;
  /** Those without an answer. */
  readonly lost: number;
  /** Those that the balancer says it has lost. */
  readonly counted: number;
  /** Most that were lost between two kills. */
  readonly worst: number;
  /** Answers that came to another client than they are for. */
  readonly wrong: number;
  /** Share of clients that are with their first server in the end. */
  readonly kept: number;
}

/** Kills servers one after the other under load. */
export async function killOneByOne(
  { kills, clients, perSecond }: {
    readonly kills: number;
    readonly clients: number;
    readonly perSecond: number;
  },
): Promise<KillResult> {
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(`${directory}/.server.ts`, SERVER);
  const start = (i: number) => startServer(directory, 5301 + i);
  const servers = Array.from({ length: BACKENDS }, (_, i) => start(i));
  try {
    await using balancer = await BalancerProcess.start(directory);
    await balancer.line("backend is ok", BACKENDS);
    using load = new Load(balancer.port, clients);
    load.rate = perSecond;
    await load.run(Math.max(1_000, clients / perSecond * 2_000));
    const first = load.servers.slice();
    let worst = 0;
    for (let kill = 0; kill < kills; kill++) {
      const before = load.sent - load.received;
      const i = kill % BACKENDS;
      const since = balancer.lines.filter(({ msg }) => msg === "backend is ok").length;
      await load.run(BEFORE_KILL_MS);
      const killed = servers[i]!;
      killed.kill("SIGKILL"); // with what was asked a moment ago on its way
      servers[i] = start(i);
      const back = Promise.all([balancer.line("backend is ok", since + 1), killed.status]);
      await load.run(1_000 - BEFORE_KILL_MS);
      await load.until(back);
      load.rate = 0;
      await load.run(DRAIN_MS);
      load.rate = perSecond;
      worst = Math.max(worst, load.sent - load.received - before);
    }
    await load.run(SETTLE_MS);
    load.rate = 0;
    await load.run(DRAIN_MS);
    const kept = first.filter((server, client) => server === load.servers[client]).length / clients;
    return {
      ...{ sent: load.sent, lost: load.sent - load.received, wrong: load.wrong, worst, kept },
      counted: await countedBy(directory),
    };
  } finally {
    for (const server of servers) {
      server.kill("SIGKILL");
      await server.status;
    }
    await Deno.remove(directory, { recursive: true });
  }
}

/** What a balancer says that it has dropped and lost. */
async function countedBy(directory: string): Promise<number> {
  const connection = await Deno.connect({ transport: "unix", path: `${directory}/.balstat` });
  const rows = (await new Response(connection.readable).text()).trim().split("\n").map((row) =>
    JSON.parse(row)
  );
  const { unserved, stuck } = rows[0].balancer.udp;
  return rows.reduce(
    (sum, { backend }) => sum + (backend ? backend.lost + backend.inFlight : 0),
    unserved + stuck,
  );
}

function startServer(directory: string, id: number): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      "--no-config",
      "--no-lock",
      "--no-check",
      `${directory}/.server.ts`,
      directory,
      `${id}`,
    ],
    ...{ stdin: "null", stdout: "null", stderr: "inherit" },
  }).spawn();
}

/** A server that answers each datagram with itself and its own number. */
const SERVER = `
const [directory, id] = Deno.args;
const aside = directory + "/." + id + "." + Deno.pid;
const listener = Deno.listen({ transport: "unix", path: aside });
Deno.renameSync(aside, directory + "/" + id);
for await (const session of listener) serve(session).catch(() => {});
async function serve(session) {
  let input = new Uint8Array(1 << 18), filled = 0;
  for (;;) {
    const count = await session.read(input.subarray(filled));
    if (count === null) return;
    filled += count;
    const view = new DataView(input.buffer), output = new Uint8Array(filled * 2 + 64), out = new DataView(output.buffer);
    let at = 0, end = 0;
    while (filled - at >= 4) {
      const type = view.getUint32(at, true);
      if (type !== 2) {
        out.setUint32(end, type + 1000, true);
        end += 4;
        at += 4;
        continue;
      }
      if (filled - at < 16) break;
      const size = view.getUint32(at + 12, true);
      if (filled - at < 16 + size) break;
      if (view.getUint32(at + 4, true) !== 0) {
        output.set(input.subarray(at, at + 16 + size), end);
        out.setUint32(end, 1002, true);
        out.setUint16(end + 16 + size - 2, Number(id));
        end += 16 + size;
      }
      at += 16 + size;
    }
    input.copyWithin(0, at, filled);
    filled -= at;
    for (let sent = 0; sent < end;) sent += await session.write(output.subarray(sent, end));
  }
}
`;

/** Bytes of a query: a number, the client's address, and room for the server's. */
const QUERY_SIZE = 33;

/** Clients of many addresses, 127.1.0.0 and up, which ask in turn from one port. */
class Load implements Disposable {
  sent = 0;
  received = 0;
  wrong = 0;
  /** Queries a second. */
  rate = 0;
  /** The server that has answered each client last. */
  readonly servers: Uint16Array;
  readonly #sockets = new BatchSockets();
  readonly #socket;
  readonly #peers: readonly Peer[];
  readonly #balancer = Uint8Array.of(127, 0, 0, 1);
  readonly #from = Uint8Array.of(127, 1, 0, 0);
  readonly #port: number;
  readonly #clients: number;

  constructor(port: number, clients: number) {
    const options = { reusePort: false, receiveMax: 512, sendMax: 512 };
    this.#socket = this.#sockets.bind({ hostname: "0.0.0.0", port: 0 }, options);
    this.#peers = Array.from({ length: 64 }, () => this.#socket.createPeer());
    this.#port = port;
    this.#clients = clients;
    this.servers = new Uint16Array(clients);
  }

  /** Asks for so long. */
  async run(ms: number): Promise<void> {
    let isOver = false;
    const timer = setTimeout(() => isOver = true, ms);
    await this.#turnUntil(() => isOver);
    clearTimeout(timer);
  }

  /** Asks until something has happened. */
  async until(event: Promise<unknown>): Promise<void> {
    let isOver = false;
    void event.finally(() => isOver = true);
    await this.#turnUntil(() => isOver);
  }

  async #turnUntil(isOver: () => boolean): Promise<void> {
    let lastMs = performance.now();
    for (let due = 0; !isOver();) {
      const nowMs = performance.now();
      due += Math.min(nowMs - lastMs, 20) * this.rate / 1000;
      lastMs = nowMs;
      for (; due >= 1; due--) this.#ask();
      this.#socket.flush();
      while (this.#receive() > 0) { /* until none waits */ }
      await new Promise((resolve) => void setImmediate(resolve));
    }
  }

  #ask(): void {
    const client = this.sent % this.#clients;
    this.#from[2] = client >>> 8;
    this.#from[3] = client & 0xff;
    const peer = this.#peers[this.sent % this.#peers.length]!;
    peer.set(this.#balancer, this.#port, this.#from);
    const out = this.#socket.outgoing;
    out.fill(0, 0, QUERY_SIZE);
    out.set(this.#from, 4);
    this.#socket.queue(peer, out, QUERY_SIZE);
    this.sent++;
  }

  #receive(): number {
    const count = this.#socket.receive();
    for (let slot = 0; slot < count; slot++) {
      const packet = this.#socket.packet(slot);
      const local = this.#socket.peer(slot).localAddress()!;
      const isRight = this.#socket.lengthOf(slot) === QUERY_SIZE && local[2] === packet[6] &&
        local[3] === packet[7];
      if (!isRight) this.wrong++;
      this.received++;
      this.servers[packet[6]! << 8 | packet[7]!] = packet[QUERY_SIZE - 2]! << 8 | packet[QUERY_SIZE - 1]!;
    }
    return count;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
    this.#sockets[Symbol.dispose]();
  }
}
