/**
 * Whoever asks a node beside dnsperf while it is replaced, and what they saw.
 *
 * @module
 */
import { runQuery } from "../../../src/dns_client.ts";
import type { SocketAddress } from "../../../src/ip.ts";
import { CLASS, TYPE } from "../../../src/wire/record_type.ts";
import { query } from "../../dns/packets.ts";

/** Where a client asks. */
export interface Way {
  /** The server. */
  readonly server: SocketAddress;
  /** Whom it trusts over TLS; `null` = plain TCP. */
  readonly caCerts: string[] | null;
}

/** Names that are asked for: by those over streams, and by the one that follows a rotation. */
export const OPENED = "opened.example.org";
export const FOLLOWED = "followed.example.org";

/** Time for an answer; a client gives up after five seconds. */
const ANSWER_MS = 5_000;
/** Between two queries of a client that opens connections, of one that stays, and of the one that follows. */
const OPEN_PAUSE_MS = 100;
const STAY_PAUSE_MS = 50;
const FOLLOW_PAUSE_MS = 5;
/** Between two changes, and after one that was refused for the moment. */
const WRITE_PAUSE_MS = 50;
const REFUSED_PAUSE_MS = 20;

/** All of them. */
export class Clients {
  /** Queries over streams that were answered. */
  answered = 0;
  /** Those that were asked again, since the connection had ended between two answers. */
  askedAgain = 0;
  /** Connections that were told to leave before they asked. */
  left = 0;
  /** Changes that were made, and the longest time without one, milliseconds. */
  written = 0;
  longestUnwrittenMs = 0;
  /** A line for each connection that was reset or refused, and each answer that was cut short. */
  readonly faults: string[] = [];
  /** A line for each counter that fell. */
  readonly fallen: string[] = [];
  /** How often each member was answered. */
  readonly rotation = new Map<string, number>();
  readonly #query = framed(OPENED);

  /** Opens a connection for each query. */
  async openEach(way: Way, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        using stream = await Stream.open(way);
        await stream.write(this.#query);
        if (await stream.next() === null) this.faults.push("opened: ended without an answer");
        else this.answered++;
      } catch (error) {
        this.faults.push(`opened${way.caCerts ? " over TLS" : ""}: ${error}`);
      }
      await pause(OPEN_PAUSE_MS);
    }
  }

  /** Stays on one connection until it ends, which it notices at once, as clients do that wait for whatever comes. */
  async stay(way: Way, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        using stream = await Stream.open(way);
        while (!signal.aborted) {
          const coming = stream.next();
          coming.catch(() => {}); // told by whichever of the two fails first
          await stream.write(this.#query);
          if (await coming === null) {
            this.askedAgain++;
            break;
          }
          this.answered++;
          if (await stream.endsWithin(STAY_PAUSE_MS)) {
            this.left++;
            break;
          }
        }
      } catch (error) {
        this.faults.push(`stayed${way.caCerts ? " over TLS" : ""}: ${error}`);
        await pause(STAY_PAUSE_MS);
      }
    }
  }

  /** The only client of its service, so that each answer is the next of the rotation. */
  async follow(server: SocketAddress, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const { message } = await runQuery({
          ...{ server, name: FOLLOWED, type: TYPE.A, class: CLASS.IN, ecs: null, tcp: false, udpSize: 1232 },
          timeoutMs: ANSWER_MS,
          signal: AbortSignal.timeout(ANSWER_MS),
        });
        const member = message.answers.map(({ data }) => String(data)).join();
        this.rotation.set(member, (this.rotation.get(member) ?? 0) + 1);
      } catch (error) {
        this.faults.push(`followed: ${error}`);
      }
      await pause(FOLLOW_PAUSE_MS);
    }
  }

  /** Reads the metrics again and again. */
  async scrape(url: string, signal: AbortSignal): Promise<void> {
    const before = new Map<string, number>();
    while (!signal.aborted) {
      try {
        const text = await fetch(url, { headers: { connection: "close" } }).then((response) =>
          response.text()
        );
        for (const [, series, value] of text.matchAll(/^(\w+_(?:total|count|sum|bucket)\S*) (\S+)$/gm)) {
          const now = Number(value);
          const last = before.get(series!);
          if (last !== undefined && now < last) this.fallen.push(`${series}: ${last} → ${now}`);
          before.set(series!, now);
        }
      } catch (error) {
        this.faults.push(`metrics: ${error}`);
      }
      await pause(OPEN_PAUSE_MS);
    }
  }

  /** Changes a pool again and again, and tries again where it is told to. */
  async write(api: string, poolId: string, signal: AbortSignal): Promise<void> {
    for (let number = 0, lastMs = performance.now(); !signal.aborted;) {
      try {
        const response = await fetch(`${api}/pools/${poolId}`, {
          method: "PATCH",
          headers: { "content-type": "application/merge-patch+json", connection: "close" },
          body: JSON.stringify({ name: `changed-${number}` }),
        });
        const text = await response.text();
        if (response.status === 503) {
          await pause(REFUSED_PAUSE_MS);
          continue;
        }
        if (!response.ok) throw new Error(`${response.status} ${text}`);
        number++;
        this.written++;
        this.longestUnwrittenMs = Math.max(this.longestUnwrittenMs, performance.now() - lastMs);
        lastMs = performance.now();
        await pause(WRITE_PAUSE_MS);
      } catch (error) {
        this.faults.push(`changed: ${error}`);
        await pause(REFUSED_PAUSE_MS);
      }
    }
  }
}

/** A connection on which messages come behind their lengths. */
class Stream implements Disposable {
  readonly #socket: Deno.TcpConn | Deno.TlsConn;
  readonly #bytes = new Uint8Array(1024);
  #filled = 0;
  /** Of the last read, so that one is waited on at a time. */
  #reading: Promise<number | null> | null = null;

  private constructor(socket: Deno.TcpConn | Deno.TlsConn) {
    this.#socket = socket;
  }

  static async open({ server, caCerts }: Way): Promise<Stream> {
    if (caCerts === null) return new Stream(await Deno.connect({ ...server, transport: "tcp" }));
    const socket = await Deno.connectTls({ ...server, caCerts, alpnProtocols: ["dot"] });
    await socket.handshake();
    return new Stream(socket);
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await this.#socket.write(rest));
  }

  /** The next message; `null` = the connection has ended before it. @throws {Error} when it ended within */
  async next(): Promise<Uint8Array | null> {
    for (;;) {
      const size = this.#filled >= 2 ? 2 + (this.#bytes[0]! << 8 | this.#bytes[1]!) : Infinity;
      if (this.#filled >= size) {
        const message = this.#bytes.slice(2, size);
        this.#bytes.copyWithin(0, size, this.#filled);
        this.#filled -= size;
        return message;
      }
      const count = await this.#read();
      if (count === null && this.#filled > 0) {
        throw new Error(`an answer was cut after ${this.#filled} bytes`);
      }
      if (count === null) return null;
    }
  }

  /** Whether it ends within that time, with nothing asked. */
  async endsWithin(ms: number): Promise<boolean> {
    const ended = this.#read().then((count) => count === null);
    ended.catch(() => {}); // told by the next one who reads
    return await Promise.race([ended, pause(ms).then(() => false)]);
  }

  [Symbol.dispose](): void {
    this.#reading?.catch(() => {});
    this.#socket.close();
  }

  #read(): Promise<number | null> {
    return this.#reading ??= this.#socket.read(this.#bytes.subarray(this.#filled)).then((count) => {
      this.#reading = null;
      if (count !== null) this.#filled += count;
      return count;
    });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function framed(name: string): Uint8Array {
  const message = query(name, "A");
  const bytes = new Uint8Array(2 + message.length);
  new DataView(bytes.buffer).setUint16(0, message.length);
  bytes.set(message, 2);
  return bytes;
}
