/**
 * What the threads of a node do, seen from its main thread, without a word of theirs: how much memory each has, and when a
 * registration took its steps. For that the node's way to start threads and to look at its files is wrapped before it starts.
 *
 * @module
 */
import { basename } from "node:path";
import { DirectoryNames } from "../../../src/discovery/directory_names.ts";
import type { Order } from "../../../src/discovery/worker.ts";
import { nowMs } from "../stall/process.ts";
import { CHANNEL, memoryOf, type ThreadMemory } from "./thread_memory.ts";
import type { StepsQuestion } from "./turns.ts";

/** The way of a registration through a node; milliseconds since 1970. */
export interface Steps {
  /** When lists of the directory were asked for, and came. */
  readonly lists: readonly (readonly [fromMs: number, toMs: number])[];
  /** When its file was opened. */
  readonly readMs: readonly number[];
  /** When the thread that answers was told; `null` = it wasn't, or that is long ago. */
  readonly toldMs: number | null;
}

/** Of each kind of steps so many are remembered: those of some seconds. */
const STEPS_MAX = 1_000;
/** Threads that say nothing for so long are left out. */
const PATIENCE_MS = 1_000;

/** Watches them. */
export class Threads {
  readonly #alive = new Set<Worker>();
  readonly #channel = new BroadcastChannel(CHANNEL);
  readonly #lists: (readonly [number, number])[] = [];
  readonly #reads: (readonly [file: string, atMs: number])[] = [];
  /** By id and port. */
  readonly #told = new Map<string, number>();
  #asked = 0;

  /** Begins; threads that run already aren't seen. */
  constructor() {
    const { Worker: Plain } = globalThis;
    const { realPathSync } = Deno;
    const { list } = DirectoryNames.prototype;
    const lists = this.#lists;
    const alive = this.#alive;
    const note = (message: unknown) => this.#note(message);
    globalThis.Worker = class extends Plain {
      constructor(entry: string | URL, options?: WorkerOptions) {
        const modules = [new URL("thread_teller.ts", import.meta.url), entry];
        const text = modules.map((each) => `import ${JSON.stringify(String(each))};`).join("\n");
        super(`data:text/javascript,${encodeURIComponent(text)}`, options);
        alive.add(this);
      }

      override postMessage(message: unknown, ...rest: unknown[]): void {
        note(message);
        Reflect.apply(super.postMessage, this, [message, ...rest]);
      }

      override terminate(): void {
        alive.delete(this);
        super.terminate();
      }
    };
    DirectoryNames.prototype.list = async function () {
      const fromMs = nowMs();
      const names = await Reflect.apply(list, this, []);
      remember(lists, [fromMs, nowMs()]);
      return names;
    };
    Deno.realPathSync = (path) => {
      remember(this.#reads, [basename(String(path)), nowMs()]);
      return realPathSync(path);
    };
  }

  /** What each thread has, the main thread first. */
  async memory(): Promise<readonly ThreadMemory[]> {
    const all = [memoryOf("main")];
    const asked = ++this.#asked;
    const { promise, resolve } = Promise.withResolvers<void>();
    const patience = setTimeout(resolve, PATIENCE_MS);
    this.#channel.onmessage = ({ data }) => {
      if (data.asked !== asked) return;
      all.push(data.memory);
      if (all.length > this.#alive.size) resolve();
    };
    this.#channel.postMessage(asked);
    await promise;
    clearTimeout(patience);
    this.#channel.onmessage = null;
    return all;
  }

  /** The steps of a registration. */
  steps({ file, id, port, sinceMs }: StepsQuestion): Steps {
    return {
      lists: this.#lists.filter(([, toMs]) => toMs >= sinceMs),
      readMs: this.#reads.flatMap(([name, atMs]) => name === file && atMs >= sinceMs ? atMs : []),
      toldMs: this.#told.get(`${id} ${port}`) ?? null,
    };
  }

  /** Sees no more. */
  close(): void {
    this.#channel.close();
  }

  #note(message: unknown): void {
    const order = message as Order;
    if (order.kind !== "change") return;
    for (const change of order.changes) {
      if (change.kind !== "put") continue;
      for (const { id, port } of change.instances) this.#told.set(`${id} ${port}`, nowMs());
    }
    for (const [key] of this.#told) {
      if (this.#told.size <= STEPS_MAX) break;
      this.#told.delete(key);
    }
  }
}

function remember<Kind>(those: Kind[], one: Kind): void {
  those.push(one);
  if (those.length > STEPS_MAX) those.splice(0, STEPS_MAX / 2);
}
