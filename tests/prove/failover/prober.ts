/**
 * Asks one name over and over, and notes what each answer named.
 *
 * Each note bears the time at which its question was *asked*, so whatever it names was still in the answers then or later:
 * the time to leave can't come out too short because this process was late to read.
 *
 * @module
 */
import type { SocketAddress } from "../../../src/ip.ts";
import { decodeMessage, encodeQuery } from "../../../src/wire/message.ts";
import { RCODE, TYPE } from "../../../src/wire/record_type.ts";

/** One answer. */
export interface Note {
  /** When its question was asked, milliseconds as `performance.now()` has them. */
  readonly askedMs: number;
  /** Addresses in it; none when it was an error. */
  readonly names: readonly string[];
}

/** Between two questions, milliseconds. */
export const ASK_INTERVAL_MS = 10;

/** Asks until it is disposed of. */
export class Prober implements Disposable {
  readonly #socket: Deno.DatagramConn;
  readonly #server: Deno.NetAddr;
  readonly #name: string;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #asked = new Map<number, number>();
  #waiting: { readonly test: (note: Note) => boolean; readonly resolve: (note: Note) => void }[] = [];
  #id = 0;
  #lastMs = performance.now();
  #lateMs = 0;
  /** In the order in which they came. */
  readonly notes: Note[] = [];

  /** Begins to ask. */
  constructor(server: SocketAddress, name: string) {
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    this.#server = { transport: "udp", ...server };
    this.#name = name;
    this.#timer = setInterval(() => this.#ask(), ASK_INTERVAL_MS);
    this.#read();
  }

  /** Questions asked a second ago or longer that were never answered. */
  get unanswered(): number {
    const before = performance.now() - 1_000;
    return [...this.#asked.values()].filter((askedMs) => askedMs < before).length;
  }

  /** By how much a question was late at most: what the machine made this process, and others, wait. */
  get lateMs(): number {
    return this.#lateMs;
  }

  /** The first answer to come that passes the test. */
  next(test: (note: Note) => boolean): Promise<Note> {
    return new Promise((resolve) => this.#waiting.push({ test, resolve }));
  }

  /** Resolves when a question that was asked at that time or later is answered. */
  async until(ms: number): Promise<void> {
    await this.next(({ askedMs }) => askedMs >= ms);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }

  #ask(): void {
    this.#id = this.#id + 1 & 0xffff;
    const nowMs = performance.now();
    this.#lateMs = Math.max(this.#lateMs, nowMs - this.#lastMs - ASK_INTERVAL_MS);
    this.#lastMs = nowMs;
    const query = encodeQuery({ id: this.#id, name: this.#name, type: TYPE.A, class: 1 });
    this.#asked.set(this.#id, nowMs);
    this.#socket.send(query, this.#server).catch(() => {
      // The socket was closed meanwhile; a question that was not sent counts as not answered.
    });
  }

  async #read(): Promise<void> {
    for await (const [packet] of this.#socket) {
      const { id, rcode, answers } = decodeMessage(packet);
      const askedMs = this.#asked.get(id);
      if (askedMs === undefined) continue;
      this.#asked.delete(id);
      this.#hear({ askedMs, names: rcode === RCODE.NOERROR ? answers.map(({ data }) => data) : [] });
    }
  }

  #hear(note: Note): void {
    this.notes.push(note);
    const done = this.#waiting.filter(({ test }) => test(note));
    this.#waiting = this.#waiting.filter((waiting) => !done.includes(waiting));
    for (const { resolve } of done) resolve(note);
  }
}
