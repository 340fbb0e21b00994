/**
 * Processes that ask (`offer.ts`), and the cores that they and the node have.
 *
 * @module
 */
import { LineProcess } from "../../store/line_process.ts";
import { program } from "../../programs.ts";
import type { Asker, Offer, Outcome, Second } from "./offer.ts";

/** A process that asks one server. Disposing ends it. */
export class Asking implements AsyncDisposable {
  readonly #process: LineProcess;

  private constructor(process: LineProcess) {
    this.#process = process;
  }

  static async start(asker: Asker): Promise<Asking> {
    const process = new LineProcess(new URL("offer.ts", import.meta.url), [JSON.stringify(asker)]);
    if (await process.receive() !== "ready") throw new Error("offer.ts ended at once");
    return new Asking(process);
  }

  /** Process id. */
  get pid(): number {
    return this.#process.pid;
  }

  async ask(offer: Offer): Promise<Outcome> {
    return JSON.parse((await this.#process.ask(JSON.stringify(offer)))!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

/** As many sockets of one address. */
export function sockets(count: number, hostname = "127.0.0.1"): string[] {
  return Array.from({ length: count }, () => hostname);
}

/** Keeps all threads of a process on one core, where there is `taskset(1)`. @returns whether it could */
export async function keepOnCore(pid: number, core: number): Promise<boolean> {
  const taskset = program("taskset");
  if (taskset === null) return false;
  const args = ["-a", "-c", "-p", String(core), String(pid)];
  return (await new Deno.Command(taskset, { args, stdout: "null" }).output()).success;
}

/**
 * Lets all threads of a process go before those of other processes of this machine, as far as this user may: what is
 * measured is the node, not what else the machine has to do.
 */
export async function prefer(pid: number): Promise<void> {
  const renice = program("renice");
  if (renice === null) return;
  const threads = [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => name);
  const args = ["--relative", "-n", "-10", "-p", ...threads];
  await new Deno.Command(renice, { args, stdout: "null", stderr: "null" }).output();
}

/** A figure of all seconds together. */
export function sum(seconds: readonly Second[], figure: (second: Second) => number): number {
  return seconds.reduce((all, second) => all + figure(second), 0);
}

/** Counters of a node, as Prometheus would read them: the sum over all series whose labels have this text. */
export async function counterOf(api: string, metric: string, labels = ""): Promise<number> {
  const text = await (await fetch(api.replace("/api/v1", "/metrics"))).text();
  return text.split("\n")
    .filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `))
    .filter((line) => line.includes(labels))
    .reduce((all, line) => all + Number(line.split(" ").at(-1)), 0);
}
