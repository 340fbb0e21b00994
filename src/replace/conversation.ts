/**
 * What two processes of one node say to each other when the one takes over from the other: lines of JSON, of which an
 * announced number of bytes may follow, and descriptors may come along.
 *
 * ```text
 *  successor                                predecessor
 *  {"ask":"hello","pleiades":1,…}     ──▶
 *                                     ◀──  {"answer":"hello","pid":…,"version":…,"whyNot":null}
 *  {"ask":"freeze"}                   ──▶   writes nothing from now on
 *                                     ◀──  {"answer":"frozen","blob":N} state
 *  … starts from the database …
 *  {"ask":"sockets"}                  ──▶   receives no more packets
 *                                     ◀──  {"answer":"sockets","udp":[…],"blob":N} state, descriptors
 *  … answers …
 *  {"ask":"ready"}                    ──▶
 *                                     ◀──  {"answer":"yours"}
 *  … keeps what it migrated …
 *  {"ask":"done"}                     ──▶   ends its connections, and then itself
 *                                     ◀──  {"answer":"farewell","blob":N} what was counted meanwhile
 * ```
 *
 * Whatever ends the conversation before `done` leaves the predecessor as it was. `{"answer":"refused","reason":…}` may be
 * the answer to anything; `{"ask":"leave"}` has a predecessor end that can hand nothing over.
 *
 * @module
 */
import { z } from "zod";
import type { LocalConnection } from "../sockets/local_socket.ts";
import { closeDescriptors } from "../sockets/local_socket.ts";

/** Moves when one side would misunderstand the other. */
export const PROTOCOL = 1;

/** Bytes of a line: the addresses of a node with a hundred of them have a tenth of it. */
export const LINE_BYTES_MAX: number = 64 * 1024;
/** Bytes behind a line: the tickets of a million services and all metrics have a quarter of it. */
export const BLOB_BYTES_MAX: number = 256 << 20;

/** What the process that comes asks for. */
export type Ask =
  | { readonly ask: "hello"; readonly pleiades: number; readonly version: string }
  | { readonly ask: "freeze" | "sockets" | "ready" | "done" | "leave" }
  /** It can't take over: why. */
  | { readonly ask: "give-up"; readonly reason: string };

/** What the process that is there answers. */
export type Answer =
  | {
    readonly answer: "hello";
    readonly pid: number;
    readonly version: string;
    /** Why it can hand nothing over; `null` = it can. */
    readonly whyNot: string | null;
  }
  | { readonly answer: "frozen" | "yours" | "farewell" | "leaving" }
  /** The addresses of the sockets that come along, in the order of their descriptors, behind that of the lock. */
  | { readonly answer: "sockets"; readonly udp: readonly { hostname: string; port: number }[] }
  | { readonly answer: "refused"; readonly reason: string };

/** A message with what comes along. */
export interface Received<Message> {
  /** What is said. */
  readonly message: Message;
  /** The bytes behind it; none = empty. */
  readonly blob: Uint8Array<ArrayBuffer>;
  /** Descriptors, which the receiver closes. */
  readonly descriptors: readonly number[];
}

/** What was said can't be understood, or is too long. */
export class Misunderstood extends Error {}

const TEXT = z.string().max(4096);
const ASK = z.discriminatedUnion("ask", [
  z.object({ ask: z.literal("hello"), pleiades: z.int(), version: TEXT }),
  z.object({ ask: z.enum(["freeze", "sockets", "ready", "done", "leave"]) }),
  z.object({ ask: z.literal("give-up"), reason: TEXT }),
]);
const ANSWER = z.discriminatedUnion("answer", [
  z.object({ answer: z.literal("hello"), pid: z.int(), version: TEXT, whyNot: TEXT.nullable() }),
  z.object({ answer: z.enum(["frozen", "yours", "farewell", "leaving"]) }),
  z.object({
    answer: z.literal("sockets"),
    udp: z.array(z.object({ hostname: z.string().max(64), port: z.int().min(1).max(65535) })).max(1024),
  }),
  z.object({ answer: z.literal("refused"), reason: TEXT }),
]);
const BLOB = z.object({ blob: z.int().min(0).max(BLOB_BYTES_MAX).default(0) });

const LINE_FEED = 0x0a;

/** One end of a conversation. Disposing closes the connection, and descriptors that weren't taken. */
export class Conversation implements AsyncDisposable {
  readonly #connection: LocalConnection;
  #rest = new Uint8Array(0);
  #descriptors: number[] = [];

  /** Takes over a connection. */
  constructor(connection: LocalConnection) {
    this.#connection = connection;
  }

  /** The process at the other end. */
  get peer(): LocalConnection["peer"] {
    return this.#connection.peer;
  }

  /**
   * What is asked next; `null` = the other end has closed.
   *
   * @throws {Misunderstood} when it is none of what may be asked
   * @throws {Deno.errors.TimedOut} when it hasn't come whole in time
   */
  hear(patienceMs: number): Promise<Received<Ask> | null> {
    return this.#receive((value) => ASK.parse(value), patienceMs);
  }

  /**
   * Asks, and gives the answer; `null` = the other end has closed.
   *
   * @throws {Misunderstood | Deno.errors.TimedOut | Deno.errors.BrokenPipe} when there is none that can be understood
   */
  async ask(message: Ask, patienceMs: number): Promise<Received<Answer> | null> {
    await this.#send(message, { patienceMs });
    return await this.#receive((value) => ANSWER.parse(value), patienceMs);
  }

  /** Answers, with bytes and descriptors. */
  async answer(message: Answer, { blob, descriptors, patienceMs }: Sent): Promise<void> {
    await this.#send(message, {
      ...blob && { blob },
      ...descriptors && { descriptors },
      patienceMs,
    });
  }

  /** Closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    closeDescriptors(this.#descriptors.splice(0));
    await this.#connection[Symbol.asyncDispose]();
  }

  async #send(message: Ask | Answer, { blob, descriptors, patienceMs }: Sent): Promise<void> {
    const untilMs = performance.now() + patienceMs;
    const line = JSON.stringify(blob ? { ...message, blob: blob.length } : message);
    const options = { untilMs, ...descriptors && { descriptors } };
    await this.#connection.send(new TextEncoder().encode(`${line}\n`), options);
    if (blob) await this.#connection.send(blob, { untilMs });
  }

  async #receive<Message>(
    parse: (value: unknown) => Message,
    patienceMs: number,
  ): Promise<Received<Message> | null> {
    const untilMs = performance.now() + patienceMs;
    let end: number;
    for (let looked = 0; (end = this.#rest.indexOf(LINE_FEED, looked)) < 0;) {
      looked = this.#rest.length;
      if (looked > LINE_BYTES_MAX) throw new Misunderstood(`A line has more than ${LINE_BYTES_MAX} bytes`);
      if (!await this.#more(untilMs)) return null;
    }
    const { message, size } = read(this.#rest.subarray(0, end), parse);
    const blob = await this.#take(end + 1, size, untilMs);
    return blob && { message, blob, descriptors: this.#descriptors.splice(0) };
  }

  /** So many bytes behind a line; `null` = the other end closed before. */
  async #take(from: number, size: number, untilMs: number): Promise<Uint8Array<ArrayBuffer> | null> {
    const had = this.#rest.subarray(from, from + size);
    // Room grows with what comes, not with what is announced.
    const parts: Uint8Array[] = [had];
    let missing = size - had.length;
    this.#rest = this.#rest.slice(from + had.length);
    while (missing > 0) {
      if (!await this.#more(untilMs)) return null;
      const part = this.#rest.subarray(0, missing);
      parts.push(part);
      missing -= part.length;
      this.#rest = this.#rest.slice(part.length);
    }
    const blob = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      blob.set(part, at);
      at += part.length;
    }
    return blob;
  }

  async #more(untilMs: number): Promise<boolean> {
    const received = await this.#connection.receive(untilMs);
    if (received === null) return false;
    this.#descriptors.push(...received.descriptors);
    if (this.#rest.length === 0) this.#rest = received.bytes;
    else {
      const joined = new Uint8Array(this.#rest.length + received.bytes.length);
      joined.set(this.#rest);
      joined.set(received.bytes, this.#rest.length);
      this.#rest = joined;
    }
    return true;
  }
}

/** What goes along with a message. */
export interface Sent {
  /** Bytes behind the line. */
  readonly blob?: Uint8Array<ArrayBuffer>;
  /** They stay open here. */
  readonly descriptors?: readonly number[];
  /** How long the other end may take to read it. */
  readonly patienceMs: number;
}

function read<Message>(line: Uint8Array, parse: (value: unknown) => Message) {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(line));
    return { message: parse(value), size: BLOB.parse(value).blob };
  } catch (cause) {
    throw new Misunderstood("What was said isn't of this protocol", { cause });
  }
}
