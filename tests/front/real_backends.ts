/**
 * What a balancer of mname-balancer's protocol must show, line by line, before real servers: those of npm's mname, nodes of
 * ours as processes and in this one, and whatever mix of them. Time is the test's; what takes a signal is left out where a
 * server isn't a process of its own.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { addresses, query } from "../dns/packets.ts";
import { Loopback } from "../dns/loopback.ts";
import { ServeProcess } from "../serve_process.ts";
import { ByteBackend } from "./byte_backend.ts";
import { ManualFront, UdpClient } from "./manual_front.ts";
import { MnameProcess } from "./mname.ts";

/** Servers: `node` is one of this process. */
export type Kind = "mname" | "serve" | "node";

/** Runs a part of it and says how it is called. */
export type Step = (name: string, part: () => Promise<void>) => Promise<void>;

/** A server behind the balancer. */
interface RealBackend {
  readonly kind: Kind;
  /** What it answers a client. */
  answer(client: string): string;
  /** `null` = it is no process of its own. */
  readonly signal: ((signal: Deno.Signal) => void) | null;
  /** Ends it as its supervisor does: the file goes. */
  end(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const NAME = "www.example.org";
const WWW = query(NAME, "A").toHex();

/** Shows all lines, with three servers, from 5301 on. */
export async function showLines(kinds: readonly [Kind, Kind, Kind], step: Step): Promise<void> {
  await using stage = new Stage(kinds);
  await step("1: a server that appears is connected to and says hello", () => stage.oneAppears());
  await step("13: clients are moved when a second one appears", () => stage.secondAppears());
  await step(
    "2, 14: heartbeats are answered, and silent clients forgotten after 5 min",
    () => stage.minutes(),
  );
  await step(
    "3, 5: clients have servers of their own, which see their addresses, over UDP and TCP",
    () => stage.eachItsOwn(),
  );
  await step("4: many at once are answered", () => stage.many());
  await step("10: a half-closed connection gets its answer", () => stage.halfClosed());
  await step("15: a datagram of 1501 bytes is dropped", () => stage.tooLong());
  await step("11: a peer that breaks the protocol is dropped alone", () => stage.liar());
  if (stage.hasProcesses) {
    await step("6, 8: clients of one that is killed have a backup, and return", () => stage.killed());
    await step("9: a connection that isn't taken is reset within 11 s", () => stage.notTaken());
    await step(
      "2, 12: one that is stopped is dropped for, counted, and then at fault",
      () => stage.stopped(),
    );
  }
  await step("7: one that ends loses its clients, and is left alone until it is back", () => stage.ended());
}

/** A balancer and its servers. */
class Stage implements AsyncDisposable {
  readonly #kinds: readonly Kind[];
  readonly #front = new ManualFront();
  readonly #servers = new Map<number, RealBackend>();
  /** Those that answer no heartbeat now. */
  readonly #silent = new Set<number>();

  constructor(kinds: readonly Kind[]) {
    this.#kinds = kinds;
  }

  get hasProcesses(): boolean {
    return this.#kinds.every((kind) => kind !== "node");
  }

  async oneAppears(): Promise<void> {
    await this.#front.discover();
    equal(this.#front.forwarder.backends.all.length, 0);
    await this.#add(5301);
  }

  async secondAppears(): Promise<void> {
    const clients = Array.from({ length: 10 }, (_, i) => `127.0.1.${i + 1}`);
    for (const client of clients) await this.#ask(client);
    equal(this.#front.backend(5301).remotes, 10);
    await this.#add(5302);
    await this.#pass(15);
    equal(this.#front.backend(5301).remotes, 2);
    for (const client of clients) await this.#ask(client);
    deepEqual([5301, 5302].map((id) => this.#front.backend(id).remotes), [6, 4]);
    await this.#add(5303);
  }

  async minutes(): Promise<void> {
    const { remotes, backends } = this.#front.forwarder;
    ok(remotes.count > 0);
    await this.#pass(331);
    equal(remotes.count, 0);
    deepEqual(backends.all.map(({ ok, faults }) => [ok, faults]), [[true, 0], [true, 0], [true, 0]]);
  }

  async eachItsOwn(): Promise<void> {
    const clients = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
    for (const client of clients) await this.#ask(client);
    const own = clients.map((client) => this.#primaryOf(client));
    deepEqual(own.toSorted(), [5301, 5302, 5303]);
    for (const client of clients) await this.#ask(client);
    deepEqual(clients.map((client) => this.#primaryOf(client)), own);
    const backend = this.#front.backend(own[0]!);
    const { tcp } = backend;
    using conn = await this.#connect();
    await conn.write(inStream(WWW));
    equal(await readAnswer(conn), this.#servers.get(own[0]!)!.answer("127.0.0.1"));
    equal(backend.tcp, tcp + 1);
  }

  async many(): Promise<void> {
    using client = new UdpClient(this.#front.port);
    const answer = this.#servers.get(this.#primaryOf("127.0.0.1"))!.answer("127.0.0.1");
    for (let i = 0; i < 50; i++) await client.send(WWW);
    for (let i = 0; i < 50; i++) deepEqual(addresses(Uint8Array.fromHex(await client.receive())), [answer]);
  }

  async halfClosed(): Promise<void> {
    using conn = await this.#connect();
    await conn.write(inStream(WWW));
    await conn.closeWrite();
    equal(await readAnswer(conn), this.#servers.get(this.#primaryOf("127.0.0.1"))!.answer("127.0.0.1"));
    equal(await conn.read(new Uint8Array(1)), null);
  }

  async tooLong(): Promise<void> {
    using client = new UdpClient(this.#front.port);
    await client.send("00".repeat(1501));
    await this.#front.until(() => this.#front.forwarder.counts.tooLong === 1);
    await this.#ask("127.0.0.1");
  }

  async liar(): Promise<void> {
    using liar = new ByteBackend(this.#front.path("5304"));
    await this.#front.discover();
    const session = await liar.greet();
    await session.send("09000000");
    await session.expectEnd();
    liar.close();
    await this.#pass(2);
    ok(this.#front.backend(5304).removed);
    for (const id of this.#servers.keys()) equal(this.#front.backend(id).faults, 0);
  }

  async killed(): Promise<void> {
    const id = this.#primaryOf("127.0.0.2");
    const backend = this.#front.backend(id);
    const { connected, faults } = backend;
    await this.#servers.get(id)![Symbol.asyncDispose]();
    this.#servers.delete(id);
    await this.#front.until(() => !backend.ok);
    await this.#ask("127.0.0.2");
    equal(this.#primaryOf("127.0.0.2"), id);
    ok(this.#backupOf("127.0.0.2") > 0);
    await this.#pass(10); // tries after 1, 3 and 5 s
    equal(backend.faults, faults + 4);
    Deno.removeSync(this.#front.path(String(id)));
    await this.#start(id);
    await this.#pass(8);
    await this.#front.until(() => backend.ok);
    equal(backend.connected, connected + 1);
    await this.#ask("127.0.0.2");
    equal(this.#backupOf("127.0.0.2"), 0);
  }

  async notTaken(): Promise<void> {
    const id = this.#primaryOf("127.0.0.1");
    const { tcp } = this.#front.backend(id);
    this.#silent.add(id);
    this.#servers.get(id)!.signal!("SIGSTOP");
    using conn = await this.#connect();
    const ended = conn.read(new Uint8Array(1)).catch(() => null);
    await this.#front.until(() => this.#front.backend(id).tcp > tcp);
    await this.#pass(11);
    equal(await ended, null);
    equal(this.#front.backend(id).ok, false);
    this.#servers.get(id)!.signal!("SIGCONT");
    this.#silent.delete(id);
    await this.#pass(2);
    await this.#front.until(() => this.#front.backend(id).ok);
    await this.#ask("127.0.0.1");
  }

  async stopped(): Promise<void> {
    const id = this.#primaryOf("127.0.0.3");
    const backend = this.#front.backend(id);
    this.#silent.add(id);
    this.#servers.get(id)!.signal!("SIGSTOP");
    using client = new UdpClient(this.#front.port, "127.0.0.3");
    while (backend.stuck === 0) {
      await client.send(WWW + "00".repeat(1000));
      await this.#front.turns(1);
    }
    for (const other of ["127.0.0.1", "127.0.0.2"]) await this.#ask(other);
    ok(backend.ok);
    await this.#pass(21);
    equal(backend.ok, false);
    equal(this.#front.forwarder.counts.stuck, backend.stuck);
    await this.#ask("127.0.0.3");
    this.#servers.get(id)!.signal!("SIGCONT");
    this.#silent.delete(id);
    await this.#pass(2);
    await this.#front.until(() => backend.ok);
  }

  async ended(): Promise<void> {
    const id = this.#primaryOf("127.0.0.2");
    const backend = this.#front.backend(id);
    const server = this.#servers.get(id)!;
    this.#servers.delete(id);
    await server.end();
    await this.#front.until(() => !backend.ok);
    await this.#pass(2);
    ok(backend.removed);
    const { faults } = backend;
    await this.#ask("127.0.0.2");
    ok(this.#primaryOf("127.0.0.2") !== id);
    await this.#pass(60);
    equal(backend.faults, faults);
    await this.#add(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers.values()) await server[Symbol.asyncDispose]();
    await this.#front[Symbol.asyncDispose]();
  }

  async #add(id: number): Promise<void> {
    await this.#start(id);
    await this.#front.discover();
    await this.#front.until(() => this.#front.backend(id).ok);
  }

  async #start(id: number): Promise<void> {
    const kind = this.#kinds[id - 5301]!;
    this.#servers.set(id, await STARTS[kind](this.#front.path(String(id)), id));
  }

  /** Lets time go by, in which all that aren't silent answer their heartbeats. */
  async #pass(seconds: number): Promise<void> {
    const { backends } = this.#front.forwarder;
    for (let i = 0; i < seconds; i++) {
      await this.#front.seconds(1);
      await this.#front.until(() =>
        backends.all.every(({ id, beatByMs }) => beatByMs === Infinity || this.#silent.has(id))
      );
    }
  }

  /** Asks, and compares with what the client's server answers. */
  async #ask(client: string): Promise<void> {
    using socket = new UdpClient(this.#front.port, client);
    await socket.send(WWW);
    const got = addresses(Uint8Array.fromHex(await socket.receive()));
    const server = this.#servers.get(this.#backupOf(client) || this.#primaryOf(client))!;
    deepEqual(got, [server.answer(client)]);
  }

  #connect(): Promise<Deno.TcpConn> {
    return Deno.connect({ hostname: "127.0.0.1", port: this.#front.port });
  }

  #primaryOf(client: string): number {
    return this.#rowOf(client)?.primary ?? 0;
  }

  #backupOf(client: string): number {
    return this.#rowOf(client)?.backup ?? 0;
  }

  #rowOf(client: string) {
    return this.#front.forwarder.remotes.rows(0, Infinity).find((row) => row.client === client);
  }
}

const STARTS: Readonly<Record<Kind, (path: string, id: number) => Promise<RealBackend>>> = {
  mname: async (path) => {
    const process = await MnameProcess.start(path);
    return {
      kind: "mname",
      answer: (client) => client,
      signal: (signal) => process.signal(signal),
      end: async () => {
        Deno.removeSync(path); // as binder does
        await process[Symbol.asyncDispose]();
      },
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  },
  serve: async (path, id) => {
    const settings = await Deno.makeTempFile({ suffix: ".yaml" });
    await Deno.writeTextFile(
      settings,
      `dns: { domain: example.org, backendSocket: ${path}, cookies: { enabled: false } }\n` +
        `loadbalancer: { endpoints: [192.0.2.${id - 5300}] }\nworkers: 1\n`,
    );
    const process = await ServeProcess.start({ args: ["-c", settings, "--db", "none"] });
    await Deno.remove(settings);
    return {
      kind: "serve",
      answer: () => `192.0.2.${id - 5300}`,
      signal: (signal) => process.kill(signal),
      end: async () => {
        process.kill("SIGTERM");
        await process.ended();
      },
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  },
  node: async (path, id) => {
    const pools = [{ name: "web", members: [`192.0.2.${id - 5300}`] }];
    const node = await Loopback.start({ pools, services: { [NAME]: "web" } }, { backendSocket: path });
    const end = () => node[Symbol.asyncDispose]();
    return {
      kind: "node",
      answer: () => `192.0.2.${id - 5300}`,
      signal: null,
      end,
      [Symbol.asyncDispose]: end,
    };
  },
};

/** A message with its length before it (RFC 1035 §4.2.2). */
function inStream(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex((hex.length / 2).toString(16).padStart(4, "0") + hex);
}

/** The address in the next answer of a connection. */
async function readAnswer(conn: Deno.TcpConn): Promise<string> {
  const bytes = new Uint8Array(512);
  let filled = 0;
  while (filled < 2 || filled < 2 + (bytes[0]! << 8 | bytes[1]!)) {
    const count = await conn.read(bytes.subarray(filled));
    if (count === null) throw new Error("the connection ended before its answer");
    filled += count;
  }
  return addresses(bytes.subarray(2, filled))[0]!;
}
