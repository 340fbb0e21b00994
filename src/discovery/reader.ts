/**
 * The thread's end of reading Consul: a catalog whose changes, words and measures go to the main thread.
 *
 * @module
 */
import { systemClock } from "../clock.ts";
import type { LogFields } from "../telemetry/log.ts";
import { type Change, portionsOf } from "./catalog.ts";
import { ConsulCatalog, type ConsulCatalogOptions } from "./consul_catalog.ts";
import type { StoreError, StoreOperation } from "./provider_files.ts";

/** What is read, as plain data. */
export type ReaderOptions = Pick<ConsulCatalogOptions, "terms" | "zone" | "readsAll" | "staleFor">;

/** To the main thread. */
export type ReaderReport =
  | { readonly kind: "changes"; readonly changes: readonly Change[] }
  | { readonly kind: "observed"; readonly answers: readonly Observed[] }
  | {
    readonly kind: "said";
    readonly level: "info" | "warn";
    readonly message: string;
    readonly fields: LogFields;
  }
  | { readonly kind: "problems"; readonly problems: readonly string[] };

/** What was asked, what was wrong, and the seconds that it took. */
export type Observed = readonly [operation: StoreOperation, error: StoreError, seconds: number];

/** Time that measures gather before they are told. */
const REPORT_MS = 250;

/** Reads, and tells. */
export class Reader implements AsyncDisposable {
  readonly #catalog: ConsulCatalog;
  readonly #report: (report: ReaderReport) => void;
  readonly #reporting: ReturnType<typeof setInterval>;
  #answers: Observed[] = [];
  #problems = "[]";

  /** Begins to read. */
  constructor(
    options: ReaderOptions,
    kept: ReadonlyMap<string, readonly string[]>,
    report: (report: ReaderReport) => void,
  ) {
    this.#report = report;
    const said = (level: "info" | "warn") => (message: string, fields: LogFields = {}) =>
      report({ kind: "said", level, message, fields });
    this.#catalog = new ConsulCatalog({
      ...options,
      kept: () => kept,
      write: (changes) => {
        for (const portion of portionsOf(changes)) report({ kind: "changes", changes: portion });
      },
      observe: (...answer) => void this.#answers.push(answer),
      clock: systemClock,
      log: { info: said("info"), warn: said("warn") },
    });
    this.#reporting = setInterval(() => this.#tell(), REPORT_MS);
  }

  /** Reads no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#reporting);
    await this.#catalog[Symbol.asyncDispose]();
    this.#tell();
  }

  #tell(): void {
    const answers = this.#answers;
    this.#answers = [];
    if (answers.length > 0) this.#report({ kind: "observed", answers });
    const { problems } = this.#catalog;
    const text = JSON.stringify(problems);
    if (text !== this.#problems) this.#report({ kind: "problems", problems });
    this.#problems = text;
  }
}
