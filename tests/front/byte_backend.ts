/**
 * A backend that says what a test has it say, byte for byte, and shows what it was sent.
 *
 * @module
 */
import { StreamSockets } from "../../src/sockets/stream_sockets.ts";

/** The listening side; a session is what the balancer opens. */
export class ByteBackend implements Disposable {
  readonly path: string;
  readonly #listener: Deno.UnixListener;
  readonly #sessions: ByteSession[] = [];

  constructor(path: string) {
    this.path = path;
    this.#listener = Deno.listen({ transport: "unix", path });
  }

  /** The next connection. */
  async accept(): Promise<ByteSession> {
    const session = new ByteSession(await this.#listener.accept());
    this.#sessions.push(session);
    return session;
  }

  /** The next connection, greeted: a control session that takes datagrams. */
  async greet(): Promise<ByteSession> {
    const session = await this.accept();
    await session.expect("01000000");
    await session.send("e9030000");
    await session.expect(ANNOUNCEMENT);
    return session;
  }

  [Symbol.dispose](): void {
    for (const session of this.#sessions) session.close();
    try {
      this.#listener.close();
    } catch {
      // closed by the test
    }
  }

  /** Stops listening and removes the file; sessions stay. */
  close(): void {
    this.#listener.close();
  }

  /** Ends as a process does that is killed: the file stays, and refuses. */
  kill(): void {
    this[Symbol.dispose]();
    using sockets = new StreamSockets();
    sockets.close(sockets.listenUnix(this.path, 1));
  }
}

/** What follows a hello: from 0.0.0.0 port 0, 8 bytes, `PLDS`, features 1 and 2. */
export const ANNOUNCEMENT = "0200000000000000" + "0000000008000000" + "504c445303000000";
/** The answer of a backend that knows both. */
export const KNOWS_BOTH = "ea03000000000000" + "0000000008000000" + "504c445303000000";

/** One connection of the balancer's. */
export class ByteSession {
  readonly conn: Deno.UnixConn;

  constructor(conn: Deno.UnixConn) {
    this.conn = conn;
  }

  /** Reads so many bytes as hex; fewer at the end. */
  async read(size: number): Promise<string> {
    const bytes = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      const count = await this.conn.read(bytes.subarray(filled)).catch(() => null);
      if (count === null) break;
      filled += count;
    }
    return bytes.subarray(0, filled).toHex();
  }

  /** Reads what must come next. */
  async expect(hex: string): Promise<void> {
    const got = await this.read(hex.length / 2);
    if (got !== hex) throw new Error(`expected ${hex}, got ${got}`);
  }

  /** Resolves when the balancer has closed it; throws if it says anything before. */
  async expectEnd(): Promise<void> {
    const got = await this.read(1);
    if (got !== "") throw new Error(`expected the end, got ${got}`);
  }

  async send(hex: string): Promise<void> {
    const bytes = Uint8Array.fromHex(hex);
    for (let sent = 0; sent < bytes.length;) sent += await this.conn.write(bytes.subarray(sent));
  }

  close(): void {
    try {
      this.conn.close();
    } catch {
      // closed already
    }
  }
}
