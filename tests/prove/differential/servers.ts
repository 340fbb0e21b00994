/**
 * The servers that are asked: a node of ours, Knot and NSD, each a process that serves the same zone files on a port of
 * its own, and a client that asks one of them by UDP and TCP.
 *
 * @module
 */
import { decodeMessage, encodeQuery, type Message } from "../../../src/wire/message.ts";
import { typeNumber } from "../../../src/wire/record_type.ts";
import { program } from "../../programs.ts";
import { ServeProcess } from "../../serve_process.ts";
import { type RandomQuestion, type RandomWorld, zoneText } from "./zones.ts";
import { freePort } from "../../free_port.ts";

/** What came back: a message, its size and, where it can't be read, why. */
export interface Reply {
  readonly size: number;
  readonly message: Message | null;
  readonly fault: string | null;
}

/** Who is asked. */
export type Who = "pleiades" | "knot" | "nsd";

/** Servers of one world. */
export class Servers implements AsyncDisposable {
  readonly #world: RandomWorld;
  readonly #folder: string;
  readonly #stack = new AsyncDisposableStack();
  readonly #clients = new Map<Who, Client>();
  #knot: Peer | null = null;

  private constructor(world: RandomWorld, folder: string) {
    this.#world = world;
    this.#folder = folder;
    this.#stack.defer(() => Deno.remove(folder, { recursive: true }));
  }

  /** Writes the zone files and starts all three. */
  static async start(world: RandomWorld): Promise<Servers> {
    const folder = await Deno.makeTempDir({ prefix: "pleiades-differential-" });
    const servers = new Servers(world, folder);
    try {
      for (const zone of world.zones) Deno.writeTextFileSync(`${folder}/${zone.domain}.zone`, zoneText(zone));
      await Promise.all([servers.#startNode(), servers.#startNsd(), servers.startKnot()]);
      return servers;
    } catch (error) {
      await servers[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Asks one of them. */
  client(who: Who): Client {
    return this.#clients.get(who)!;
  }

  /** Starts Knot, or again when it hangs. */
  async startKnot(): Promise<void> {
    await this.#knot?.[Symbol.asyncDispose]();
    this.#clients.get("knot")?.[Symbol.dispose]();
    const port = freePort();
    const zones = this.#world.zones.map(({ domain }) => `  - domain: ${domain}\n    file: ${domain}.zone\n`)
      .join("");
    const text = `server:
  rundir: ${this.#folder}
  listen: 127.0.0.1@${port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
control:
  listen: ${this.#folder}/knot.sock
database:
  storage: ${this.#folder}/knot-db
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: ${this.#folder}
    zonefile-sync: -1
    journal-content: none
    semantic-checks: off
zone:
${zones}`;
    this.#knot = await this.#startPeer("knotd", port, text);
    this.#clients.set("knot", new Client(port));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.values()) client[Symbol.dispose]();
    await this.#knot?.[Symbol.asyncDispose]();
    await this.#stack.disposeAsync();
  }

  async #startNode(): Promise<void> {
    const settings = `${this.#folder}/pleiades.yaml`;
    const zones = this.#world.zones.map(({ domain }) => `    - { domain: ${domain}, file: ${domain}.zone }\n`)
      .join("");
    Deno.writeTextFileSync(settings, `database: { path: none }\nworkers: 1\ndns:\n  zones:\n${zones}`);
    const node = await ServeProcess.start({ args: ["-c", settings] });
    this.#stack.use(node);
    this.#clients.set("pleiades", new Client(node.dns.port));
  }

  async #startNsd(): Promise<void> {
    const port = freePort();
    const zones = this.#world.zones.map(({ domain }) =>
      `zone:\n  name: ${domain}\n  zonefile: ${domain}.zone\n`
    ).join("");
    const text = `server:
  ip-address: 127.0.0.1@${port}
  username: ""
  chroot: ""
  zonesdir: "${this.#folder}"
  database: ""
  pidfile: "${this.#folder}/nsd.pid"
  logfile: "${this.#folder}/nsd.log"
  xfrdfile: ""
  xfrdir: "${this.#folder}"
  zonelistfile: "${this.#folder}/nsd.list"
  server-count: 1
  rrl-ratelimit: 0
  minimal-responses: no
  round-robin: no
remote-control:
  control-enable: no
${zones}`;
    this.#stack.use(await this.#startPeer("nsd", port, text));
    this.#clients.set("nsd", new Client(port));
  }

  async #startPeer(name: string, port: number, text: string): Promise<Peer> {
    const file = `${this.#folder}/${name}.conf`;
    Deno.writeTextFileSync(file, text);
    const args = name === "nsd" ? ["-d", "-c", file] : ["-c", file];
    const child = new Deno.Command(program(name)!, { args, stdin: "null", stdout: "null", stderr: "null" })
      .spawn();
    const peer = new Peer(child);
    await using starting = new AsyncDisposableStack();
    starting.use(peer);
    using client = new Client(port);
    const apex = { name: this.#world.zones[0]!.domain, type: "SOA", udpSize: null };
    for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
      const reply = await client.udp(apex, START_WAIT_MS);
      if (reply) {
        starting.move();
        return peer;
      }
    }
    throw new Error(`Cannot start ${name}: it didn't answer on port ${port}`);
  }
}

const START_ATTEMPTS = 100;
const START_WAIT_MS = 100;
/** A server on this machine that takes longer than this doesn't answer at all, even when the machine is busy. */
const ANSWER_WAIT_MS = 3000;
/** Time that a process has to end when it is told to. */
const STOP_WAIT_MS = 2000;

class Peer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const kill = (signal: Deno.Signal) => {
      try {
        this.#child.kill(signal);
      } catch {
        // It has ended already.
      }
    };
    kill("SIGTERM");
    const timer = setTimeout(() => kill("SIGKILL"), STOP_WAIT_MS);
    await this.#child.status;
    clearTimeout(timer);
  }
}

/** Asks one server; many questions may be under way. */
export class Client implements Disposable {
  readonly #port: number;
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly #waiting = new Map<number, (bytes: Uint8Array | null) => void>();
  #id = 0;

  constructor(port: number) {
    this.#port = port;
    this.#receive();
  }

  /** Asks by UDP; `null` when nothing came. */
  async udp(question: RandomQuestion, waitMs: number = ANSWER_WAIT_MS): Promise<Reply | null> {
    const id = this.#id = (this.#id + 1) & 0xffff;
    const answer = Promise.withResolvers<Uint8Array | null>();
    this.#waiting.set(id, answer.resolve);
    const timer = setTimeout(() => answer.resolve(null), waitMs);
    await this.#socket.send(packetOf(question, id), {
      transport: "udp",
      hostname: "127.0.0.1",
      port: this.#port,
    })
      .catch(() => answer.resolve(null));
    const bytes = await answer.promise;
    clearTimeout(timer);
    this.#waiting.delete(id);
    return bytes && read(bytes);
  }

  /** Asks by TCP, on a connection of its own; `null` when nothing came. */
  async tcp(question: RandomQuestion): Promise<Reply | null> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: this.#port }).catch(() => null);
    if (!connection) return null;
    const timer = setTimeout(() => connection.close(), ANSWER_WAIT_MS);
    try {
      const packet = packetOf(question, 1);
      await connection.write(Uint8Array.of(packet.length >> 8, packet.length, ...packet));
      const bytes = new Uint8Array(2 + 0xffff);
      let size = 0;
      while (size < 2 || size < 2 + (bytes[0]! << 8 | bytes[1]!)) {
        const count = await connection.read(bytes.subarray(size));
        if (count === null) return null;
        size += count;
      }
      clearTimeout(timer);
      connection.close();
      return read(bytes.slice(2, size));
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #receive(): Promise<void> {
    try {
      for await (const [bytes] of this.#socket) {
        this.#waiting.get(bytes[0]! << 8 | bytes[1]!)?.(bytes.slice());
      }
    } catch {
      // The socket was closed.
    }
  }
}

function packetOf({ name, type, udpSize }: RandomQuestion, id: number): Uint8Array {
  return encodeQuery({
    id,
    name,
    type: typeNumber(type)!,
    rd: false,
    ...(udpSize === null ? {} : { edns: { udpSize } }),
  });
}

function read(bytes: Uint8Array): Reply {
  try {
    return { size: bytes.length, message: decodeMessage(bytes), fault: null };
  } catch (error) {
    return { size: bytes.length, message: null, fault: String(error) };
  }
}
