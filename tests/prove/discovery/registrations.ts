/**
 * Registrations at a steady rate into a node that is a process of its own, beside services: how long each takes until it is
 * answered over UDP, how long the node's main thread is busy without a break, and how much memory the node has.
 *
 * A registration is the renaming of a provider's file, or a write to a real Consul; its time begins when the write is
 * answered. It is asked for every few milliseconds until an answer has it. Writes begin when they are due, whatever became of
 * the ones before; an instance whose last registration isn't answered yet is left out for the time being.
 *
 * @module
 */
import type { SocketAddress } from "../../../src/ip.ts";
import type { Settings } from "../../../src/settings/settings.ts";
import { decodeMessage, encodeQuery } from "../../../src/wire/message.ts";
import { TYPE } from "../../../src/wire/record_type.ts";
import { V8_FLAGS } from "../../../scripts/v8_flags.ts";
import { ConsulServer, ROOT_TOKEN } from "../../consul/server.ts";
import { ask, SETTINGS, ZONE } from "../../discovery/world.ts";
import { residentBytes } from "../../resident_memory.ts";
import { LineProcess } from "../../store/line_process.ts";
import { nameOf, writeDatabase } from "../million.ts";
import { nowMs } from "../stall/process.ts";
import type { ThreadMemory } from "./thread_memory.ts";
import type { Steps } from "./threads.ts";
import type { NodeOrder, NodeQuestion, NodeReady, StepsQuestion, Turns } from "./turns.ts";

/** How instances are spread over addresses, and which of them change. */
export interface Shape {
  /** `service.job.env.product` of an instance. */
  readonly addressOf: (instance: number) => string;
  /** Instances that are registered again and again: the first so many. */
  readonly changing: (instances: number) => number;
}

const ADDRESSES = 500;

/** The shapes, by name. */
export const SHAPES = {
  /** 500 addresses in 50 products. */
  "many": {
    addressOf: (i) => `http.job${i % ADDRESSES}.prod.p${i % 50}`,
    changing: (instances) => instances,
  },
  /** 500 addresses of 100 jobs of one product. */
  "one-product": {
    addressOf: (i) => `s${i % 5}.job${Math.floor(i % ADDRESSES / 5)}.prod.shop`,
    changing: (instances) => instances,
  },
  /** All at one address: an answer over UDP has the first ones. */
  "one-address": { addressOf: () => "http.web.prod.shop", changing: () => 20 },
} as const satisfies Readonly<Record<string, Shape>>;

/** Where they are registered. */
export type RegistryKind = "files" | "consul";

/** How much of what. */
export interface RegistrationsTerms {
  readonly shape: Shape;
  readonly registry: RegistryKind;
  readonly instances: number;
  /** Services of the model; 0 = the node has none, and no database on disk. */
  readonly services: number;
  readonly seconds: number;
  /** Registrations that become due. */
  readonly perSecond: number;
}

/** What was seen. */
export interface RegistrationsReport {
  /** From the write's answer to the answer over UDP that has it, milliseconds, in ascending order. */
  readonly tookMs: readonly number[];
  /** Registrations that weren't answered in time. */
  readonly lost: number;
  /** Writes that the registry didn't take in time. */
  readonly unwritten: number;
  /** From the node's start to all being answered. */
  readonly readMs: number;
  /** When the first registration was due, milliseconds since 1970. */
  readonly beganMs: number;
  /** While it read them all, at rest afterwards, and while registrations came. */
  readonly turns: { readonly reading: Turns; readonly rest: Turns; readonly registering: Turns };
  /** Memory in RAM, bytes: the median after a fifth of the time (of ten minutes: the second) and at its end. */
  readonly memory: { readonly early: number; readonly late: number };
  /** The answer over TCP for the first address: how many instances it has, how long it is, and whether it says that there are more. */
  readonly stream: { readonly answers: number; readonly bytes: number; readonly isTruncated: boolean };
  /** What a service of the model is answered afterwards. */
  readonly service: readonly string[];
  /** Those that took longer than {@linkcode LATE_MS}, and were answered. */
  readonly slow: readonly SlowRegistration[];
  /** The first of these, and of those that never were, step by step. */
  readonly late: readonly LateRegistration[];
  /** Processor time of the node and of its main thread while registrations came, seconds. */
  readonly cpuSeconds: { readonly all: number; readonly main: number };
}

/** When its write was answered, milliseconds since 1970, and how long it took from there to the answer that has it. */
export interface SlowRegistration {
  readonly fromMs: number;
  readonly tookMs: number;
}

/** A registration that took longer than {@linkcode LATE_MS}, step by step; milliseconds since its write was answered. */
export interface LateRegistration {
  /** Seconds since the first was due. */
  readonly atSeconds: number;
  readonly tookMs: number | null;
  /** For how long the write took; not a part of `tookMs`. */
  readonly writeMs: number;
  readonly steps: Steps;
  /** The longest that the process which asks did something else at that time. */
  readonly askerMs: number;
}

/** Which of them are told one by one, milliseconds. */
export const LATE_MS = 200;
const LATE_MAX = 20;

const REST_MS = 1_000;
const MINUTE_MS = 60_000;
const MEMORY_EVERY_MS = 1_000;
const LOST_MS = 10_000;
const READ_MS = 60_000;

/** Runs it. */
export async function registrations(terms: RegistrationsTerms): Promise<RegistrationsReport> {
  const { shape, instances, seconds, perSecond } = terms;
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "pleiades-registrations-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const registry = stack.use(
    await (terms.registry === "files" ? FileRegistry.create : ConsulRegistry.create)(
      folder,
      shape,
      instances,
    ),
  );
  const startMs = performance.now();
  const node = stack.use(await RunningNode.start(folder, registry.settings, terms));
  using answers = new Answers(node.ready.discovery!);
  const nameAt = (i: number) => `${shape.addressOf(i)}.gg.${ZONE}`;
  const changing = Math.min(instances, shape.changing(instances));
  const all = await Promise.all([0, changing - 1].map((i) => answers.until(nameAt(i), FIRST_PORT, READ_MS)));
  if (all.includes(null)) throw new Error("What was registered before isn't answered");
  const readMs = performance.now() - startMs;
  const reading = await node.turns();
  await pause(REST_MS);
  const rest = await node.turns();

  const tookMs: number[] = [];
  const memory: number[] = [];
  let [lost, unwritten] = [0, 0];
  const late: LateRegistration[] = [];
  const slow: SlowRegistration[] = [];
  const sampling = setInterval(async () => {
    const bytes = await residentBytes(node.pid);
    if (bytes !== null) memory.push(bytes);
  }, MEMORY_EVERY_MS);
  let minutes = 0;
  const telling = setInterval(
    () => void node.memory().then((each) => console.log(memoryLine(++minutes, each, memory.at(-1) ?? NaN))),
    MINUTE_MS,
  );
  const cpuBefore = node.cpuSeconds();
  const underWay = new Map<number, Promise<void>>();
  const register = async (i: number, port: number) => {
    const fromMs = performance.now();
    try {
      await registry.register(i, port);
    } catch (cause) {
      if (!(cause instanceof DOMException)) throw cause;
      return void unwritten++;
    }
    const [writtenMs, sinceMs] = [performance.now(), nowMs()];
    const ms = await answers.until(nameAt(i), port, LOST_MS);
    if (ms === null) lost++;
    else tookMs.push(ms);
    if (ms !== null && ms <= LATE_MS) return;
    if (ms !== null) slow.push({ fromMs: sinceMs, tookMs: ms });
    if (late.length >= LATE_MAX) return;
    const askerMs = answers.longestPauseMs(writtenMs);
    const of = { file: registry.fileOf(i), id: registry.idIn(i), port, sinceMs };
    const { lists, readMs, toldMs } = await node.steps(of);
    late.push({
      ...{ atSeconds: (writtenMs - beginMs) / 1000, tookMs: ms, writeMs: writtenMs - fromMs, askerMs },
      steps: {
        lists: lists.map(([from, to]) => [from - sinceMs, to - sinceMs] as const),
        readMs: readMs.map((each) => each - sinceMs),
        toldMs: toldMs === null ? null : toldMs - sinceMs,
      },
    });
  };
  const [beginMs, beganMs] = [performance.now(), nowMs()];
  for (let count = 0, at = 0; count < seconds * perSecond; count++) {
    await pause(Math.max(0, beginMs + 1000 * count / perSecond - performance.now()));
    // In an order that the indexes of the instances don't follow.
    do at = (at + STRIDE) % changing; while (underWay.has(at) && underWay.size < changing);
    await underWay.get(at);
    const i = at;
    underWay.set(i, register(i, FIRST_PORT + 1 + count % PORTS).finally(() => underWay.delete(i)));
  }
  await Promise.all(underWay.values());
  clearInterval(sampling);
  clearInterval(telling);
  const cpuAfter = node.cpuSeconds();
  const registering = await node.turns();
  const [first, service] = await Promise.all([
    ask(node.ready.discovery!, nameAt(0), "SRV", { tcp: true }),
    terms.services === 0 ? null : ask(node.ready.dns, nameOf(terms.services - 1), "A"),
  ]);
  return {
    ...{
      tookMs: tookMs.toSorted((a, b) => a - b),
      lost,
      unwritten,
      readMs,
      beganMs,
      turns: { reading, rest, registering },
    },
    memory: { early: medianOf(memory, 0.15, 0.25), late: medianOf(memory, 0.9, 1) },
    stream: {
      answers: first.answers.length,
      // Of each: the pointer to its owner, type, class, TTL, length, and data.
      bytes: first.answers.reduce((sum, { rdata }) => sum + 12 + rdata.length, 0),
      isTruncated: first.flags.tc,
    },
    service: service?.answers.map(({ data }) => data) ?? [],
    slow,
    late,
    cpuSeconds: { all: cpuAfter.all - cpuBefore.all, main: cpuAfter.main - cpuBefore.main },
  };
}

/** The port of all instances before the first registration; those that follow have others. */
const FIRST_PORT = 1_000;
const PORTS = 60_000;
const STRIDE = 7_919;

/** Registers, and keeps what is registered. */
interface Registry extends AsyncDisposable {
  readonly settings: Settings["discovery"];
  /** Resolves when the write is answered. */
  register(instance: number, port: number): Promise<void>;
  /** The name of the file that has an instance; `null` = there are none. */
  fileOf(instance: number): string | null;
  /** What the node calls it. */
  idIn(instance: number): string;
}

/** In the order in which answers have them: the first are those that one over UDP has. */
function idOf(i: number): string {
  return `i${String(i).padStart(5, "0")}`;
}

function ipOf(i: number): string {
  return `198.51.${i >> 8 & 255}.${i & 255}`;
}

/** Files with 500 instances each. */
export class FileRegistry implements Registry {
  readonly settings: Settings["discovery"];
  readonly #folder: string;
  /** Lines by file: all of one are rewritten when an instance changes. */
  readonly #files: string[][];
  readonly #shape: Shape;
  /** Writes have their turns. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(folder: string, shape: Shape, files: string[][]) {
    this.settings = { ...SETTINGS, directory: `${folder}/providers` };
    this.#folder = folder;
    this.#shape = shape;
    this.#files = files;
  }

  static async create(
    this: void,
    folder: string,
    shape: Shape,
    instances: number,
  ): Promise<FileRegistry> {
    const count = Math.max(1, Math.ceil(instances / IN_FILE));
    const registry = new FileRegistry(folder, shape, Array.from({ length: count }, () => []));
    Deno.mkdirSync(registry.settings.directory!);
    for (let i = 0; i < instances; i++) registry.#set(i, FIRST_PORT);
    for (const file of registry.#files.keys()) await registry.#write(file);
    return registry;
  }

  register(instance: number, port: number): Promise<void> {
    const turn = this.#writing.then(() => this.#write(this.#set(instance, port)));
    this.#writing = turn.catch(() => {});
    return turn;
  }

  fileOf(i: number): string {
    return `p${i % this.#files.length}.json`;
  }

  idIn(i: number): string {
    return idOf(i);
  }

  /** @returns the file that has it */
  #set(i: number, port: number): number {
    const file = i % this.#files.length;
    this.#files[file]![Math.floor(i / this.#files.length)] = JSON.stringify({
      ...{ id: idOf(i), address: `${this.#shape.addressOf(i)}.gg`, port },
      ...{ node: `h${i % 100}`, ipAddress: ipOf(i) },
    });
    return file;
  }

  /** Not on this thread: the disk takes half a second for one now and then, and for as long nobody would ask for the ones before. */
  async #write(file: number): Promise<void> {
    const beside = `${this.#folder}/new`;
    await Deno.writeTextFile(beside, `{"instances":[${this.#files[file]!.join()}]}`);
    await Deno.rename(beside, `${this.settings.directory}/p${file}.json`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

const IN_FILE = 500;

/** A real Consul. */
class ConsulRegistry implements Registry {
  readonly settings: Settings["discovery"];
  readonly #consul: ConsulServer;
  readonly #shape: Shape;

  private constructor(consul: ConsulServer, shape: Shape) {
    this.settings = {
      ...{ ...SETTINGS, directory: null, servers: [] },
      consul: { ...SETTINGS.consul, enabled: true, address: [consul.address], token: ROOT_TOKEN },
    };
    this.#consul = consul;
    this.#shape = shape;
  }

  static async create(this: void, _: string, shape: Shape, instances: number): Promise<ConsulRegistry> {
    // Who registers comes from the same address as the node, which has most of what a client may have.
    const consul = await ConsulServer.start({ acl: true, connections: 1_000 });
    const registry = new ConsulRegistry(consul, shape);
    for (let i = 0; i < instances; i += AT_ONCE) {
      const those = Array.from({ length: Math.min(AT_ONCE, instances - i) }, (_, n) => i + n);
      await Promise.all(those.map((each) => registry.register(each, FIRST_PORT)));
    }
    return registry;
  }

  async register(i: number, port: number): Promise<void> {
    const [service, job, env, product] = this.#shape.addressOf(i).split(".");
    await this.#consul.must("PUT", "/v1/catalog/register", {
      ...{ Node: hostOf(i), Address: "198.51.100.1" },
      Service: {
        ...{ ID: idOf(i), Service: product, Port: port, Address: ipOf(i) },
        Tags: [`glimpse:env=${env}`, `glimpse:job=${job}`, `glimpse:service=${service}`],
      },
    });
  }

  fileOf(): null {
    return null;
  }

  idIn(i: number): string {
    return `h${i % 100}/${idOf(i)}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#consul[Symbol.asyncDispose]();
  }
}

const AT_ONCE = 50;
/** Instances of a node of Consul's. */
const ON_HOST = 100;

/** In the order of the instances, which are called by it. */
function hostOf(i: number): string {
  return `h${String(Math.floor(i / ON_HOST)).padStart(3, "0")}`;
}

/** The node, and what is known of its process. */
export class RunningNode implements AsyncDisposable {
  readonly ready: NodeReady;
  readonly #process: LineProcess;
  /** Questions have their turns. */
  #asking: Promise<unknown> = Promise.resolve();

  private constructor(process: LineProcess, ready: NodeReady) {
    this.#process = process;
    this.ready = ready;
  }

  /** Starts it. @param services of the model; 0 = its database is in memory */
  static async start(
    folder: string,
    discovery: Settings["discovery"] | null,
    { services, isWatched = true }: { readonly services: number; readonly isWatched?: boolean },
  ): Promise<RunningNode> {
    const database = services === 0 ? null : `${folder}/node.db`;
    if (database !== null) writeDatabase(database, services);
    const order: NodeOrder = { discovery, database, isWatched };
    const process = new LineProcess(new URL("node.ts", import.meta.url), [JSON.stringify(order)], [
      ...["--unstable-net", V8_FLAGS],
    ]);
    const ready = await process.receive();
    if (ready === null) throw new Error("The node ended before it answered");
    return new RunningNode(process, JSON.parse(ready));
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Turns of its main thread since this was called last. */
  turns(): Promise<Turns> {
    return this.#ask({ kind: "turns" });
  }

  /** What its threads have in memory. */
  memory(): Promise<readonly ThreadMemory[]> {
    return this.#ask({ kind: "memory" });
  }

  /** When a registration took its steps. */
  steps(question: Omit<StepsQuestion, "kind">): Promise<Steps> {
    return this.#ask({ kind: "steps", ...question });
  }

  /** Processor time so far: of all its threads, and of its main thread. */
  cpuSeconds(): { readonly all: number; readonly main: number } {
    const threads = this.cpuSecondsByThread();
    const all = [...threads.values()].reduce((sum, each) => sum + each, 0);
    return { all, main: threads.get(String(this.pid))! };
  }

  /** The same of each thread, by its id. */
  cpuSecondsByThread(): ReadonlyMap<string, number> {
    const folder = `/proc/${this.pid}/task`;
    const of = (thread: string) =>
      Number(Deno.readTextFileSync(`${folder}/${thread}/schedstat`).split(" ")[0]) / 1e9;
    return new Map([...Deno.readDirSync(folder)].map(({ name }) => [name, of(name)]));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }

  #ask<Answer>(question: NodeQuestion): Promise<Answer> {
    const turn = this.#asking.then(async () =>
      JSON.parse((await this.#process.ask(JSON.stringify(question)))!)
    );
    this.#asking = turn.catch(() => {});
    return turn;
  }
}

/** Asks for what is waited for, over UDP, again and again. */
class Answers implements Disposable {
  readonly #server: SocketAddress;
  readonly #socket: Deno.DatagramConn;
  /** By the id of their queries. */
  readonly #waiting = new Map<number, Waiting>();
  readonly #asking: ReturnType<typeof setInterval>;
  /** When it had its turn; of some seconds. */
  readonly #turnsMs: number[] = [];
  #id = 0;

  constructor(server: SocketAddress) {
    this.#server = server;
    this.#socket = Deno.listenDatagram({ hostname: "127.0.0.1", port: 0, transport: "udp" });
    this.#asking = setInterval(() => this.#askAll(), ASK_EVERY_MS);
    void this.#receive();
  }

  /** @returns milliseconds until an answer had the port; `null` = none had in time */
  until(name: string, port: number, patienceMs: number): Promise<number | null> {
    do this.#id = (this.#id + 1) % 65_536; while (this.#waiting.has(this.#id));
    const query = encodeQuery({
      ...{ id: this.#id, name, type: TYPE.SRV, edns: { udpSize: 1232 } },
    });
    const { promise, resolve } = Promise.withResolvers<number | null>();
    const fromMs = performance.now();
    const waiting = { query, port, fromMs, untilMs: fromMs + patienceMs, resolve };
    this.#waiting.set(this.#id, waiting);
    void this.#ask(waiting);
    return promise;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#asking);
    this.#socket.close();
  }

  /** The longest that it had no turn, since a moment. */
  longestPauseMs(sinceMs: number): number {
    const turns = this.#turnsMs.slice(this.#turnsMs.findLastIndex((each) => each <= sinceMs));
    return Math.max(...turns.map((each, i) => (turns[i + 1] ?? performance.now()) - each));
  }

  #askAll(): void {
    const nowMs = performance.now();
    this.#turnsMs.push(nowMs);
    if (this.#turnsMs.length > TURNS_MAX) this.#turnsMs.splice(0, TURNS_MAX / 2);
    for (const [id, waiting] of this.#waiting) {
      if (nowMs < waiting.untilMs) void this.#ask(waiting);
      else {
        this.#waiting.delete(id);
        waiting.resolve(null);
      }
    }
  }

  async #ask({ query }: Waiting): Promise<void> {
    await this.#socket.send(query, { ...this.#server, transport: "udp" });
  }

  async #receive(): Promise<void> {
    try {
      for await (const [bytes] of this.#socket) this.#take(bytes);
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  #take(bytes: Uint8Array): void {
    const id = bytes[0]! << 8 | bytes[1]!;
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    const wanted = ` ${waiting.port} `;
    if (!decodeMessage(bytes).answers.some(({ data }) => data.includes(wanted))) return;
    this.#waiting.delete(id);
    waiting.resolve(performance.now() - waiting.fromMs);
  }
}

const ASK_EVERY_MS = 2;
const TURNS_MAX = 10_000;

interface Waiting {
  readonly query: Uint8Array;
  readonly port: number;
  readonly fromMs: number;
  readonly untilMs: number;
  readonly resolve: (ms: number | null) => void;
}

function memoryLine(minute: number, threads: readonly ThreadMemory[], residentBytes: number): string {
  const shown = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  const each = threads.map(({ name, heapUsed, heapTotal, external }) =>
    `${name} ${shown(heapUsed)} of ${shown(heapTotal)} and ${shown(external)}`
  );
  return `  minute ${minute}: ${shown(residentBytes)} MiB in RAM; heaps, used of all and beside them: ${
    each.join(", ")
  }`;
}

/** Of the samples between two shares of all. */
function medianOf(samples: readonly number[], from: number, to: number): number {
  const those = samples.slice(Math.floor(from * samples.length), Math.ceil(to * samples.length));
  return those.sort((a, b) => a - b)[those.length >> 1] ?? NaN;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
