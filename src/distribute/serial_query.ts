/**
 * Serials as a name server answers them, asked over UDP: what that takes of PowerDNS is a tenth of a call of its API, of
 * which each gets a thread and a connection to the database of its own.
 *
 * What is answered may have been kept for a while: that a serial is the one that was waited for says something, that it isn't
 * says nothing.
 *
 * @module
 */
import { canonicalIp, type SocketAddress } from "../ip.ts";
import { decodeMessage, encodeQuery } from "../wire/message.ts";
import { RCODE, TYPE } from "../wire/record_type.ts";
import { serialOf } from "./zone_reading.ts";

/** Longest wait for an answer, milliseconds. */
const TIMEOUT_MS = 500;
/** Questions that wait for an answer at the same time; what is asked beyond that isn't answered. */
const WAITING_MAX = 1_024;
/** Faults one after the other with which the socket is given up. */
const FAULTS_MAX = 1_000;

/** What the serial of a zone is asked of. */
export interface SerialSource {
  /** In the SOA record that is answered; `null` = none is, or not in time. */
  serial(zone: string): Promise<number | null>;
}

/** Asks one name server, all over one socket. */
export class SerialQuery implements SerialSource, AsyncDisposable {
  readonly #server: SocketAddress;
  /** By the id of the question. */
  readonly #waiting = new Map<
    number,
    { readonly name: string; readonly tell: (serial: number | null) => void }
  >();
  #socket: Deno.DatagramConn | null = null;
  #reading = Promise.resolve();
  #isEnded = false;

  /** Has no socket before it is asked. */
  constructor(server: SocketAddress) {
    this.#server = server;
  }

  /** See {@linkcode SerialSource.serial}. */
  async serial(zone: string): Promise<number | null> {
    if (this.#isEnded || this.#waiting.size >= WAITING_MAX) return null;
    let id: number;
    do id = crypto.getRandomValues(new Uint16Array(1))[0]!; while (this.#waiting.has(id));
    const name = zone === "." ? zone : zone.slice(0, -1);
    const { promise, resolve } = Promise.withResolvers<number | null>();
    const timer = setTimeout(() => resolve(null), TIMEOUT_MS);
    this.#waiting.set(id, { name, tell: resolve });
    try {
      const { hostname, port } = this.#server;
      const query = encodeQuery({ id, name, type: TYPE.SOA, rd: false });
      await this.#opened().send(query, { transport: "udp", hostname, port });
      return await promise;
    } catch {
      return null; // there is no socket to be had, nothing listens there, or this has ended
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Ends what waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    for (const { tell } of this.#waiting.values()) tell(null);
    this.#socket?.close();
    this.#socket = null;
    await this.#reading;
  }

  #opened(): Deno.DatagramConn {
    if (this.#socket !== null) return this.#socket;
    const hostname = this.#server.hostname.includes(":") ? "::" : "0.0.0.0";
    const socket = Deno.listenDatagram({ hostname, port: 0, transport: "udp" });
    this.#socket = socket;
    this.#reading = this.#read(socket);
    return socket;
  }

  async #read(socket: Deno.DatagramConn): Promise<void> {
    const buffer = new Uint8Array(4_096);
    // On some systems a question that met no listener is a fault here; of a socket that is broken there is no end of them.
    for (let faults = 0; !this.#isEnded && faults < FAULTS_MAX;) {
      try {
        const [bytes, from] = await socket.receive(buffer);
        faults = 0;
        if (from.transport === "udp" && this.#isServer(from)) this.#take(bytes);
      } catch {
        faults++;
      }
    }
    if (this.#socket !== socket) return;
    // The next question gets another one.
    this.#socket = null;
    socket.close();
  }

  #isServer({ hostname, port }: Deno.NetAddr): boolean {
    return port === this.#server.port && canonicalIp(hostname) === this.#server.hostname;
  }

  #take(bytes: Uint8Array): void {
    const waiting = bytes.length < 12 ? undefined : this.#waiting.get(bytes[0]! << 8 | bytes[1]!);
    if (waiting === undefined) return;
    const { name, tell } = waiting;
    try {
      const { flags, rcode, questions: [question], answers } = decodeMessage(bytes);
      const isOwn = flags.qr && question?.type === TYPE.SOA && question.name.toLowerCase() === name;
      if (!isOwn) return;
      const soa = answers.find(({ type, name: owner }) => type === TYPE.SOA && owner.toLowerCase() === name);
      tell(rcode === RCODE.NOERROR && soa !== undefined ? serialOf(soa.rdata) : null);
    } catch {
      tell(null);
    }
  }
}
