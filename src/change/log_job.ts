/**
 * Messages of the cluster's log that are taken on a thread of its own: what they refer to comes as bytes before.
 *
 * @module
 */
import { systemClock } from "../clock.ts";
import type { RecordedChange } from "../store/history_parts.ts";
import type { Store } from "../store/store.ts";
import type { Changes } from "./commit.ts";
import { filled, LineReader, type LogMessage, type Taken, type Whole } from "./log_message.ts";
import { LogReplica } from "./log_replica.ts";

/** Takes the lines of each part, one part after the other, and then the messages. */
export class LogJob {
  readonly #messages: readonly LogMessage[];
  readonly #whole: Whole | null;
  readonly #parts = new Map<string, readonly RecordedChange[]>();
  #open: { readonly digest: string; readonly lines: LineReader } | null = null;
  #fault: string | null = null;

  /** With messages that may refer to parts. */
  constructor(
    { messages, whole }: { readonly messages: readonly LogMessage[]; readonly whole: Whole | null },
  ) {
    this.#messages = messages;
    this.#whole = whole;
  }

  /** Says that the bytes that follow are those of a part. */
  open(digest: string): void {
    this.end();
    this.#open = { digest, lines: new LineReader() };
  }

  /** Takes bytes. */
  write(bytes: Uint8Array): void {
    if (this.#fault !== null) return;
    this.#reading(() => this.#open!.lines.write(bytes));
  }

  /** Says that these were all. */
  end(): void {
    const open = this.#open;
    this.#open = null;
    if (open !== null && this.#fault === null) {
      this.#reading(() => this.#parts.set(open.digest, open.lines.end()));
    }
  }

  /** Takes the messages into a store. */
  takenBy(store: Store, changes: Changes): Taken {
    if (this.#fault !== null) return { kind: "unreadable", reason: this.#fault };
    const replica = new LogReplica({ store, changes, clock: systemClock });
    return replica.take(filled(this.#messages, this.#parts), { whole: this.#whole });
  }

  /** What isn't what it should be is left out by every node. */
  #reading(read: () => void): void {
    try {
      read();
    } catch (error) {
      this.#fault = error instanceof Error ? error.message : String(error);
    }
  }
}
