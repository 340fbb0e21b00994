/**
 * Listening for TLS with a certificate that may be replaced at any time, without a connection being lost.
 *
 * A listener of TLS is made with its certificate, and one that is closed resets the connections that wait in its queue. So the
 * port is listened on without TLS, for ever, and each connection is handed through a port of loopback to the listener of
 * TLS that is the latest; an older one is closed when its last connection has ended.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import { isOfOneConnection, TCP_BACKLOG } from "../sockets/listening.ts";
import type { Certified } from "./certificate.ts";

/** Bytes that are handed on at once. */
const PIECE_SIZE = 16 * 1024;

/** A listener of TLS, and what it has open. */
interface Inner {
  readonly listener: Deno.TlsListener;
  readonly port: number;
  open: number;
  isOld: boolean;
}

/** What a listener is made with. */
export interface RenewableListenerNeeds {
  /** Port 0 = any free one. */
  readonly address: SocketAddress;
  /** To begin with. */
  readonly certificate: Certified;
  /** Connections at the same time; more are closed. */
  readonly connectionsMax: number;
  /** Serves a connection; it must close it, and not fail. */
  readonly serve: (connection: Deno.TlsConn) => Promise<void>;
}

/** Listens. */
export class RenewableListener implements AsyncDisposable {
  readonly #needs: RenewableListenerNeeds;
  readonly #outer: Deno.TcpListener;
  readonly #under = new Set<Promise<void>>();
  readonly #open = new Set<Deno.TcpConn>();
  #inner: Inner;
  #isEnded = false;

  /** Begins to listen. @throws {Error} when the address can't be had, or the certificate not be served */
  constructor(needs: RenewableListenerNeeds) {
    this.#needs = needs;
    this.#inner = this.#listen(needs.certificate);
    try {
      this.#outer = Deno.listen({ ...needs.address, transport: "tcp", tcpBacklog: TCP_BACKLOG });
    } catch (error) {
      this.#inner.listener.close();
      throw error;
    }
    this.#follow(this.#accept());
  }

  /** Where clients connect. */
  get address(): SocketAddress {
    return { hostname: this.#outer.addr.hostname, port: this.#outer.addr.port };
  }

  /** Connections from now on are shown this certificate. @throws {Error} when it can't be served: the one before stays */
  use(certificate: Certified): void {
    const older = this.#inner;
    this.#inner = this.#listen(certificate);
    older.isOld = true;
    this.#closeIfDone(older);
  }

  /** Ends what is open. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    this.#outer.close();
    this.#inner.isOld = true;
    for (const conn of this.#open) conn.close();
    this.#open.clear();
    this.#closeIfDone(this.#inner);
    await Promise.all(this.#under);
  }

  #listen({ cert, key }: Certified): Inner {
    const listener = Deno.listenTls({
      ...{ hostname: "127.0.0.1", port: 0, cert, key, alpnProtocols: ["http/1.1"], tcpBacklog: TCP_BACKLOG },
    });
    const inner: Inner = { listener, port: listener.addr.port, open: 0, isOld: false };
    this.#follow(this.#acceptTls(inner));
    return inner;
  }

  #follow(work: Promise<void>): void {
    const under = work.finally(() => this.#under.delete(under));
    this.#under.add(under);
  }

  async #accept(): Promise<void> {
    for (;;) {
      try {
        const conn = await this.#outer.accept();
        if (this.#open.size >= this.#needs.connectionsMax) conn.close();
        else this.#follow(this.#hand(conn));
      } catch (error) {
        if (this.#isEnded) return;
        if (!isOfOneConnection(error)) throw error;
      }
    }
  }

  async #hand(conn: Deno.TcpConn): Promise<void> {
    const inner = this.#inner;
    inner.open++;
    this.#open.add(conn);
    try {
      const other = await Deno.connect({ hostname: "127.0.0.1", port: inner.port });
      try {
        conn.setNoDelay(true);
        other.setNoDelay(true);
        await Promise.all([pipe(conn, other), pipe(other, conn)]);
      } finally {
        other.close();
      }
    } catch {
      // One of the two ends has gone, and so does the other.
    } finally {
      if (this.#open.delete(conn)) conn.close();
      inner.open--;
      this.#closeIfDone(inner);
    }
  }

  async #acceptTls({ listener }: Inner): Promise<void> {
    for (;;) {
      try {
        const conn = await listener.accept();
        this.#follow(this.#needs.serve(conn));
      } catch (error) {
        if (!isOfOneConnection(error)) return;
      }
    }
  }

  #closeIfDone(inner: Inner): void {
    if (inner.isOld && inner.open === 0) inner.listener.close();
  }
}

/** Hands on what comes, then says that nothing more comes. */
async function pipe(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(PIECE_SIZE);
  try {
    for (let size = await from.read(buffer); size !== null; size = await from.read(buffer)) {
      for (let at = 0; at < size;) at += await to.write(buffer.subarray(at, size));
    }
  } finally {
    await to.closeWrite().catch(() => {});
  }
}
