/**
 * When the machine itself stood still: one that others share takes its processors from it for tens of milliseconds, and what
 * the system counts of that (`steal` of `proc_stat(5)`) has steps of 10 ms and isn't all of it. So a program in C that goes
 * before all others wakes up on each processor every millisecond, and says when it was late.
 *
 * @module
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { buildC } from "../../../bench/programs/c_program.ts";

type Program = ChildProcessByStdio<Writable, Readable, null>;

/** A time for which a processor ran nothing; milliseconds since 1970. */
interface Standstill {
  readonly processor: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Follows the machine until it is disposed of. */
export class Standstills implements AsyncDisposable {
  readonly #program: Program;
  readonly #seen: Standstill[] = [];
  readonly #reading: Promise<void>;
  /** Whether the system lets it go before others: otherwise nothing is seen. */
  readonly isSeeing: Promise<boolean>;

  private constructor(program: Program) {
    this.#program = program;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.isSeeing = promise;
    this.#reading = this.#read(resolve);
  }

  /** Builds the program in a folder and starts it. */
  static async start(folder: string): Promise<Standstills> {
    return new Standstills(
      spawn(await buildC("standstill", folder), { stdio: ["pipe", "pipe", "inherit"] }),
    );
  }

  /** For how long one of these processors stood still between two moments, milliseconds: the one that did for longest. */
  between(fromMs: number, toMs: number, processors: readonly number[]): number {
    return Math.max(0, ...processors.map((processor) => this.#of(processor, fromMs, toMs)));
  }

  /** For how long all of them did: the one that did for the shortest time. */
  ofAll(fromMs: number, toMs: number): number {
    return Math.min(
      ...Array.from({ length: navigator.hardwareConcurrency }, (_, i) => this.#of(i, fromMs, toMs)),
    );
  }

  /** How often one stood still for longer than so many milliseconds, and the longest. */
  longerThan(ms: number): { readonly times: number; readonly longestMs: number } {
    const long = this.#seen.map(({ fromMs, toMs }) => toMs - fromMs).filter((each) => each > ms);
    return { times: long.length, longestMs: Math.max(0, ...long) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#program, "exit");
    this.#program.stdin.end();
    await Promise.all([this.#reading, ended]);
  }

  #of(processor: number, fromMs: number, toMs: number): number {
    let sum = 0;
    for (const seen of this.#seen) {
      if (seen.processor !== processor) continue;
      sum += Math.max(0, Math.min(toMs, seen.toMs) - Math.max(fromMs, seen.fromMs));
    }
    return sum;
  }

  async #read(begun: (isSeeing: boolean) => void): Promise<void> {
    for await (const line of createInterface({ input: this.#program.stdout })) {
      const [toMs, processor, ms] = line.split(" ").map(Number);
      if (ms === undefined) begun(line === "ready");
      else this.#seen.push({ processor: processor!, fromMs: toMs! - ms, toMs: toMs! });
    }
    begun(false);
  }
}
