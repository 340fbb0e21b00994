/**
 * A line on stderr that says how far something is; only on a terminal, and gone when it is over.
 *
 * @module
 */
import type { Terminal } from "./terminal.ts";

/** Redrawn no more often than this, milliseconds: people don't read faster. */
const REDRAW_MS = 100;
const BAR_WIDTH = 24;

/** Shows a transfer, then that its outcome is awaited. */
export class Progress implements Disposable {
  readonly #draw: ((text: string) => void) | undefined;
  readonly #bytesTotal: number | null;
  readonly #now: () => number;
  #bytes = 0;
  #lines = 0;
  #drawnMs = -Infinity;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `bytesTotal`: `null` = how much it will be isn't known. */
  constructor(
    terminal: Pick<Terminal, "status">,
    { bytesTotal, now = () => performance.now() }: {
      readonly bytesTotal: number | null;
      readonly now?: () => number;
    },
  ) {
    this.#draw = terminal.status;
    this.#bytesTotal = bytesTotal;
    this.#now = now;
  }

  /** Says that so much more has been sent. */
  sent(more: { readonly bytes: number; readonly lines: number }): void {
    this.#bytes += more.bytes;
    this.#lines += more.lines;
    const now = this.#now();
    if (this.#draw === undefined || now - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = now;
    this.#draw(this.#transfer());
  }

  /** Says that all has been sent; from the first second on it is shown how many have passed. */
  wait(what: string): void {
    const draw = this.#draw;
    if (draw === undefined || this.#timer !== undefined) return;
    const start = this.#now();
    // It may be due once more when it is cleared (`src/timer.ts`).
    const show = () =>
      this.#timer === undefined || draw(`${what} ${Math.floor((this.#now() - start) / 1000)} s`);
    this.#timer = setInterval(show, 1_000);
  }

  /** Takes the line away. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#draw?.("");
  }

  #transfer(): string {
    const done = `${megabytes(this.#bytes)} MB`;
    const lines = `${this.#lines.toLocaleString("en")} lines`;
    if (this.#bytesTotal === null || this.#bytesTotal === 0) return `sending ${done}, ${lines}`;
    const share = Math.min(1, this.#bytes / this.#bytesTotal);
    const full = Math.round(share * BAR_WIDTH);
    const bar = "#".repeat(full) + "-".repeat(BAR_WIDTH - full);
    const percent = `${Math.floor(share * 100)} %`.padStart(5);
    return `sending [${bar}] ${percent}  ${done} of ${megabytes(this.#bytesTotal)} MB, ${lines}`;
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
