/**
 * The servers under measurement as child processes: started on one core, asked whether they answer rightly, ended by
 * their process id.
 *
 * @module
 */
import { query, show } from "../../tests/dns/packets.ts";
import { type CpuTime, cpuTime, memoryMebibytes, processTree } from "./account.ts";
import { end, start } from "./child.ts";
import { addressesOf, type Question, questionLine, questions, type Workload } from "./workloads.ts";
import type { Peer } from "../peers/peer.ts";
import { freePort } from "../../tests/free_port.ts";

/** The core that every server runs on. */
export const SERVER_CORE = "0";

/** A million names take the slowest of them about a minute. */
const START_MS_MAX = 180_000;
const ASK_AGAIN_MS = 20;
const ANSWER_MS_MAX = 1000;
/** Questions of a check run. */
const CHECKED = 500;

/** What a server is started with. */
export interface Start {
  /** Which. */
  readonly peer: Peer;
  /** Path of the peer's program. */
  readonly program: string;
  /** What to serve. */
  readonly workload: Workload;
  /** The same as a zone file. */
  readonly zoneFile: string;
  /** The server's own; must not exist. */
  readonly folder: string;
}

/** A running server. */
export class Server implements AsyncDisposable {
  /** What kind it is. */
  readonly peer: Peer;
  /** Where it answers. */
  readonly port: number;
  /** From its start to its first answer. */
  readonly startSeconds: number;
  readonly #child: Deno.ChildProcess;
  readonly #pids: readonly number[];

  private constructor(peer: Peer, child: Deno.ChildProcess, { port, startSeconds }: Started) {
    this.peer = peer;
    this.port = port;
    this.startSeconds = startSeconds;
    this.#child = child;
    this.#pids = processTree(child.pid);
  }

  /**
   * Starts it; resolves when it answers.
   *
   * @throws {Error} with the server's own words when it doesn't
   */
  static async start({ peer, program, workload, zoneFile, folder }: Start): Promise<Server> {
    await Deno.mkdir(folder);
    const port = freePort();
    const command = await peer.prepare({ program, folder, port, workload, zoneFile });
    const log = `${folder}/log`;
    const startMs = performance.now();
    const child = start(command, { folder, core: SERVER_CORE, log });
    const ended = child.status.then(() => true);
    using client = new Client(port);
    const [question] = questions({ ...workload, missingOneIn: 0 });
    while (await client.ask(question!, ASK_AGAIN_MS) === null) {
      const over = await Promise.race([ended, Promise.resolve(false)]);
      if (!over && performance.now() - startMs < START_MS_MAX) continue;
      await end(child);
      const said = (await Deno.readTextFile(log)).slice(-2000);
      throw new Error(`${peer.name} ${over ? "ended at once" : "gives no answer"}: ${said}`);
    }
    return new Server(peer, child, { port, startSeconds: (performance.now() - startMs) / 1000 });
  }

  /** CPU time used so far. */
  cpuTime(): CpuTime {
    return cpuTime(this.#pids);
  }

  /** Resident memory, MiB. */
  memoryMebibytes(): number {
    return memoryMebibytes(this.#pids);
  }

  /**
   * Asks some questions of the workload, and holds code and addresses of every answer against what they must be.
   *
   * @throws {Error} naming the first answer that is wrong
   */
  async check(workload: Workload): Promise<void> {
    using client = new Client(this.port);
    const all = questions(workload);
    for (let i = 0; i < CHECKED; i++) {
      const question = all[Math.floor(i * all.length / CHECKED)]!;
      const answer = await client.ask(question, ANSWER_MS_MAX);
      const wanted = addressesOf(workload, question);
      const code = wanted.length === 0 ? "NXDOMAIN aa" : "NOERROR aa";
      const said = show(answer);
      const addresses = [...said.matchAll(/^an \S+ \d+ A (\S+)$/gm)].map(([, address]) => address!).sort();
      if (said.startsWith(`${code}\n`) && addresses.join() === wanted.join()) continue;
      throw new Error(
        `${this.peer.name} answers "${questionLine(question).trim()}" with\n${said}\ninstead of ${code} ${
          wanted.join(", ")
        }`,
      );
    }
  }

  /** Ends it. */
  [Symbol.asyncDispose](): Promise<void> {
    return end(this.#child);
  }
}

interface Started {
  readonly port: number;
  readonly startSeconds: number;
}

/** Asks one question at a time over UDP. */
class Client implements Disposable {
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly #port: number;
  #id = 0;
  #receiving: Promise<Uint8Array | null> | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  /** The answer, or `null` when there is none in time. */
  async ask({ name, subnet }: Question, timeoutMs: number): Promise<Uint8Array | null> {
    const id = this.#id = this.#id + 1 & 0xffff;
    const packet = query(name, "A", { id, ...(subnet === null ? {} : { ecs: subnet }) });
    await this.#socket.send(packet, { transport: "udp", hostname: "127.0.0.1", port: this.#port })
      .catch(() => {}); // an earlier packet was refused
    const untilMs = performance.now() + timeoutMs;
    for (;;) {
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) return null;
      // One that is late stays under way, and is looked at again by the next question.
      this.#receiving ??= this.#socket.receive().then(([bytes]) => bytes.slice(), () => null);
      const { promise: late, resolve } = Promise.withResolvers<"late">();
      const timer = setTimeout(() => resolve("late"), leftMs);
      const bytes = await Promise.race([this.#receiving, late]);
      clearTimeout(timer);
      if (bytes === "late") return null;
      this.#receiving = null;
      if (bytes && (bytes[0]! << 8 | bytes[1]!) === id) return bytes;
      if (!bytes) await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
