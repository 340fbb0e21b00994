/**
 * Takes over other settings while a node runs: every part makes ready, the answers by them are given, and then every
 * part takes them over; where one can't, all goes on as it was.
 *
 * ```text
 *  prepare every part ──▶ publish the answers ──▶ every part takes over
 *        │ fails                │ fails
 *        └──── counted, nothing has changed
 * ```
 *
 * @module
 */
import { anySignal } from "../any_signal.ts";
import type { Events } from "../events/events.ts";
import type { Block } from "../settings/block.ts";
import { needingRestart } from "../settings/reloading.ts";
import type { Settings } from "../settings/settings.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Answers } from "./answers.ts";
import type { Part } from "./part.ts";

/** How long parts may take to make ready, milliseconds: what takes longer would keep all later reloads waiting. */
export const PREPARE_MS = 60_000;

/** What takes part in a reload. */
export interface ReloadOptions {
  /** Publish when all parts are ready. */
  readonly answers: Pick<Answers, "prepare" | "countRefused">;
  /** Make ready beside each other, and take over in this order. */
  readonly parts: readonly Pick<Part, "name" | "prepare">[];
  /** What the settings are of. */
  readonly blocks: readonly Block[];
  /** Those of now. */
  readonly settings: () => Settings;
  /** Makes these the settings of now. */
  readonly take: (next: Settings) => void;
  /** Aborted when the node begins to stop: no reload is waited for then. */
  readonly stopping: AbortSignal;
  /** Gets what became of each reload. */
  readonly events: Pick<Events, "emit">;
  /** Hears of parts that fail although they were ready. */
  readonly log: Logger;
  /** As `PREPARE_MS`, which it is when left out. */
  readonly prepareMs?: number;
}

/** The reloads of a node, one after the other. */
export class Reloads implements AsyncDisposable {
  readonly #options: ReloadOptions;
  readonly #atStart: Settings;
  #last: Promise<void> = Promise.resolve();

  /** Makes none yet; the settings of now are those of the start. */
  constructor(options: ReloadOptions) {
    this.#options = options;
    this.#atStart = options.settings();
  }

  /**
   * Takes over other settings when the reloads before have ended.
   *
   * @returns the keys that differ from the start's and need another one
   * @throws why they can't be taken over; nothing of them is in effect then, and the refusal is counted
   */
  use(next: Settings): Promise<string[]> {
    const { events, blocks } = this.#options;
    const used = this.#last.then(() => this.#use(next)).then(() => {
      const keys = needingRestart(this.#atStart, next, blocks);
      events.emit({ kind: "settings", outcome: "reloaded", needingRestart: keys });
      return keys;
    }, (error) => {
      events.emit(REFUSED);
      throw error;
    });
    this.#last = used.then(() => {}, () => {}); // told where it was asked for; the next one has its turn all the same
    return used;
  }

  /** Counts settings that were refused before they came here. */
  refuse(): void {
    this.#options.answers.countRefused();
    this.#options.events.emit(REFUSED);
  }

  /** Resolves when no reload is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
  }

  async #use(next: Settings): Promise<void> {
    const { take, stopping } = this.#options;
    const { publication, takes } = await this.#prepare(next);
    await publication.publish();
    stopping.throwIfAborted();
    for (const each of [() => take(next), publication.take, ...takes]) this.#takeSafely(each);
  }

  async #prepare(next: Settings) {
    const { answers, parts, stopping, prepareMs = PREPARE_MS } = this.#options;
    const signal = anySignal([stopping, AbortSignal.timeout(prepareMs)]);
    const ready = <Ready>(name: string, prepare: () => Promise<Ready> | Ready) =>
      unlessAborted(name, prepare, { signal, stopping });
    try {
      const publishing = ready("what is answered", () => answers.prepare(next, signal));
      const preparing = parts.map((part) =>
        ready(part.name, () => part.prepare?.(next, signal) ?? (() => {}))
      );
      // All are waited for, so that nothing of a reload that was refused goes on beside the next one.
      await Promise.allSettled([publishing, ...preparing]);
      return { publication: await publishing, takes: await Promise.all(preparing) };
    } catch (error) {
      answers.countRefused();
      throw error;
    }
  }

  /** A fault of the program: the others take over all the same, since answers are given by these settings already. */
  #takeSafely(take: () => void): void {
    try {
      take();
    } catch (error) {
      this.#options.log.error("A part didn't take over the settings; restart the node", { error });
    }
  }
}

const REFUSED = { kind: "settings", outcome: "refused", needingRestart: [] } as const;

/** Makes ready; where the signal comes first, it isn't waited for. */
async function unlessAborted<Ready>(
  name: string,
  prepare: () => Promise<Ready> | Ready,
  { signal, stopping }: { readonly signal: AbortSignal; readonly stopping: AbortSignal },
): Promise<Ready> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () =>
    reject(stopping.aborted ? stopping.reason : new Error(`Gave up waiting for ${name} to make ready`));
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  try {
    return await Promise.race([aborted, signal.aborted ? aborted : prepare()]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
