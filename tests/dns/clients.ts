/**
 * Raw DNS clients: what they send is sent as it stands, right or wrong.
 *
 * @module
 */
import type { SocketAddress } from "../../src/ip.ts";

/** After that time no answer is on its way any more, however busy the machine is, milliseconds. */
const ANSWER_MS_MAX = 30_000;

/** A UDP socket of its own towards one server. */
export class UdpClient implements Disposable {
  readonly #socket: Deno.DatagramConn;
  readonly #to: Deno.NetAddr;
  readonly #buffer = new Uint8Array(65_535);

  constructor({ hostname, port }: SocketAddress) {
    this.#socket = Deno.listenDatagram({
      transport: "udp",
      hostname: hostname.includes(":") ? "::1" : "127.0.0.1",
      port: 0,
    });
    this.#to = { transport: "udp", hostname, port };
  }

  async send(packet: Uint8Array): Promise<void> {
    await this.#socket.send(packet, this.#to);
  }

  /**
   * The next answer.
   *
   * @throws {Error} when none comes for very long: a datagram may be lost, and a test that waits for ever ends all others
   */
  async receive(): Promise<Uint8Array> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    // Time is the subject: nothing else tells that a datagram was lost.
    const timer = setTimeout(
      reject,
      ANSWER_MS_MAX,
      new Error(`no answer over UDP within ${ANSWER_MS_MAX} ms`),
    );
    try {
      const [answer] = await Promise.race([this.#socket.receive(this.#buffer), late]);
      return answer.slice();
    } finally {
      clearTimeout(timer);
    }
  }

  async ask(packet: Uint8Array): Promise<Uint8Array> {
    await this.send(packet);
    return await this.receive();
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** Asks once over UDP. */
export async function askUdp(to: SocketAddress, packet: Uint8Array): Promise<Uint8Array> {
  using client = new UdpClient(to);
  return await client.ask(packet);
}

/** Asks once over TCP; `null` when the server closes without an answer. */
export async function askTcp(to: SocketAddress, packet: Uint8Array): Promise<Uint8Array | null> {
  using client = await TcpClient.connect(to);
  await client.write(framed(packet));
  return await client.read();
}

/** One TCP connection. */
export class TcpClient implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #chunk = new Uint8Array(65_536);
  /** Bytes read ahead. */
  #ahead = new Uint8Array(0);

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  static async connect({ hostname, port }: SocketAddress): Promise<TcpClient> {
    const connection = await Deno.connect({ hostname, port });
    connection.setNoDelay(true);
    return new TcpClient(connection);
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await this.#connection.write(rest));
  }

  /** The next message; `null` when the server has closed the connection. */
  async read(): Promise<Uint8Array | null> {
    const prefix = await this.#take(2);
    return prefix && await this.#take(prefix[0]! << 8 | prefix[1]!);
  }

  /** The next `count` messages. */
  async readAll(count: number): Promise<(Uint8Array | null)[]> {
    const messages: (Uint8Array | null)[] = [];
    while (messages.length < count) messages.push(await this.read());
    return messages;
  }

  async #take(size: number): Promise<Uint8Array | null> {
    while (this.#ahead.length < size) {
      const count = await this.#connection.read(this.#chunk).catch(endOfReset);
      if (count === null) return null;
      const joined = new Uint8Array(this.#ahead.length + count);
      joined.set(this.#ahead);
      joined.set(this.#chunk.subarray(0, count), this.#ahead.length);
      this.#ahead = joined;
    }
    const taken = this.#ahead.slice(0, size);
    this.#ahead = this.#ahead.slice(size);
    return taken;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** A connection is reset instead of ended when the server closes it with bytes unread. */
function endOfReset(error: unknown): null {
  if (error instanceof Deno.errors.ConnectionReset) return null;
  throw error;
}

/** Messages as they go over a stream, each behind its length (RFC 1035 §4.2.2). */
export function framed(...messages: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(messages.reduce((sum, message) => sum + 2 + message.length, 0));
  let at = 0;
  for (const message of messages) {
    bytes[at] = message.length >>> 8;
    bytes[at + 1] = message.length;
    bytes.set(message, at + 2);
    at += 2 + message.length;
  }
  return bytes;
}
