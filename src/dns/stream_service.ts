/**
 * What the stream worker answers on: TCP on each address and, with a certificate, TLS and HTTPS beside it. All connections
 * rotate together.
 *
 * Another certificate means another listener, since Deno's keep theirs: it is bound beside the older one, the kernel gives
 * it every connection that comes from then on, and the older one is closed when what was on its way has arrived.
 *
 * @module
 */
import { systemClock } from "../clock.ts";
import type { SocketAddress } from "../ip.ts";
import { TCP_BACKLOG } from "../sockets/listening.ts";
import { arrived, expectFree, type Inherited, ListenerControl } from "../sockets/listener_control.ts";
import { SocketClock, turnWithSockets } from "../sockets/socket_clock.ts";
import { bindAll, type Binding } from "./binding.ts";
import { DohConnection, Unsent } from "./doh_connection.ts";
import type { Exchange } from "./exchange.ts";
import type { Bound, Service } from "./service.ts";
import {
  type ConnectionHooks,
  type StreamLimits,
  StreamServer,
  type StreamServerOptions,
} from "./stream_server.ts";
import { StreamTurns } from "./stream_turns.ts";
import { FramedConnection, type StreamSocket } from "./tcp.ts";

/** A certificate chain and its private key, PEM texts. */
export interface Certificate {
  /** The chain, the server's own certificate first. */
  readonly cert: string;
  /** Its key. */
  readonly key: string;
}

/** Encrypted streams. */
export interface EncryptedDuty {
  /** What is served on all of them. */
  readonly certificate: Certificate;
  /** Addresses of DNS over TLS (RFC 7858); none = it isn't answered. */
  readonly tls: readonly SocketAddress[];
  /** Addresses of DNS over HTTPS (RFC 8484); none = it isn't answered. */
  readonly https: readonly SocketAddress[];
  /** Where HTTPS has it, such as `/dns-query`. */
  readonly path: string;
}

/** How streams are to be answered. */
export interface StreamDuty {
  /** What a worker does. */
  readonly kind: "streams";
  /** Limits of each listener. */
  readonly limits: StreamLimits;
  /** `null` = plain TCP is all there is. */
  readonly encrypted: EncryptedDuty | null;
  /** Where another process listens whose place this one takes; anywhere else no other may. */
  readonly beside: readonly SocketAddress[];
}

/** ALPN names of what is spoken. */
const ALPN = { tls: ["dot"], https: ["h2", "http/1.1"] } as const;

/** What waits in the kernel for a client that doesn't read: four answers of the largest size. */
const SEND_BUFFER_BYTES = 256 * 1024;

/** The listeners of a worker. */
export class StreamService implements Service {
  /** What it answers on. */
  readonly bound: Bound;
  readonly #plain: readonly StreamServer<Deno.TcpConn>[];
  readonly #encrypted: readonly EncryptedServer[];
  readonly #control = new ListenerControl();
  readonly #clock: SocketClock;

  /**
   * Binds all addresses and begins to accept.
   *
   * @throws {BindingFault} when an address can't be had
   */
  constructor(
    { limits, encrypted, beside }: StreamDuty,
    { listen, exchange }: { readonly listen: readonly SocketAddress[]; readonly exchange: Exchange },
  ) {
    using binding = new DisposableStack();
    const plain = binding.adopt(bindPlain(listen, beside), closeAll);
    const tls = binding.adopt(bindEncrypted("tls", encrypted, beside), closeAll);
    const https = binding.adopt(bindEncrypted("https", encrypted, beside), closeAll);
    binding.move();
    this.bound = {
      addresses: addressesOf(plain),
      covered: plain.covered,
      descriptors: [], // the run time closes them with the thread
      sockets: [],
      udp: null,
      encrypted: { tls: addressesOf(tls), https: addressesOf(https) },
    };
    this.#clock = new SocketClock(systemClock);
    const shared = { exchange, limits, turns: new StreamTurns(exchange, turnWithSockets) };
    const serveFramed = (socket: StreamSocket, hooks: ConnectionHooks) =>
      new FramedConnection(socket, { ...hooks, ...shared });
    const forHttps = { ...shared, unsent: new Unsent(), path: encrypted?.path ?? "" };
    const serveHttps = (socket: Deno.TlsConn, hooks: ConnectionHooks) =>
      new DohConnection(socket, { ...hooks, ...forHttps });
    const inherited = { userTimeoutMs: limits.idleTimeout, sendBufferBytes: SEND_BUFFER_BYTES };
    const begin =
      (transport: "tls" | "https", serve: StreamServerOptions<Deno.TlsConn>["serve"]) =>
      ({ address, socket }: BoundListener<Deno.TlsListener>) => {
        const server = new StreamServer(socket, exchange, { transport, limits, serve });
        return new EncryptedServer(server, { ...{ transport, address, inherited }, listener: socket });
      };
    this.#plain = plain.sockets.map(({ socket }) =>
      new StreamServer(socket, exchange, { transport: "tcp", limits, serve: serveFramed })
    );
    this.#encrypted = [
      ...tls.sockets.map(begin("tls", serveFramed)),
      ...https.sockets.map(begin("https", serveHttps)),
    ];
    const addresses = [plain, tls, https].flatMap(addressesOf);
    this.#control.inherit(addresses, inherited);
    this.#control.steerToNewest(addresses.filter((address) => isAmong(address, beside)));
  }

  /**
   * Serves another certificate to whatever connects from now on.
   *
   * @throws {Error} when an address can't be bound once more; there the older one stays
   */
  async certify(certificate: Certificate): Promise<void> {
    await Promise.all(this.#encrypted.map((server) => server.certify(certificate, this.#control)));
  }

  /** Ends idle connections at once, the others after their answers. */
  async stop(graceMs: number, isSucceeded: boolean): Promise<void> {
    if (isSucceeded) {
      const { addresses, encrypted: { tls, https } } = this.bound;
      const { signal } = new AbortController();
      await arrived([...addresses, ...tls, ...https], signal);
    }
    await Promise.all(
      [...this.#plain, ...this.#encrypted].map((server) => server.close(graceMs, isSucceeded)),
    );
    this.#control[Symbol.dispose]();
    await this.#clock[Symbol.asyncDispose]();
  }
}

/** A listener with what it is bound to. */
type BoundListener<Socket> = Binding<Socket>["sockets"][number];

/** What an encrypted address is served with. */
interface EncryptedServerOptions {
  readonly transport: "tls" | "https";
  readonly address: SocketAddress;
  /** The one that is bound. */
  readonly listener: Deno.TlsListener;
  /** What connections of the listeners to come inherit. */
  readonly inherited: Inherited;
}

/** One encrypted address, whose listener is replaced with its certificate. */
class EncryptedServer {
  readonly #server: StreamServer<Deno.TlsConn>;
  readonly #options: EncryptedServerOptions;
  #listener: Deno.TlsListener;
  /** The certificates are served in their order, one at a time. */
  #last: Promise<void> = Promise.resolve();
  readonly #closing = new AbortController();

  constructor(server: StreamServer<Deno.TlsConn>, options: EncryptedServerOptions) {
    this.#server = server;
    this.#options = options;
    this.#listener = options.listener;
  }

  /** Resolves when what connects from now on gets the certificate. */
  async certify(certificate: Certificate, control: ListenerControl): Promise<void> {
    const bound = this.#last.then(() => this.#bindAnother(certificate, control));
    this.#last = bound.then((older) => this.#retire(older), () => {}); // told where it was asked for
    await bound;
  }

  async close(graceMs: number, isSucceeded: boolean): Promise<void> {
    this.#closing.abort();
    await this.#last;
    await this.#server.close(graceMs, isSucceeded);
  }

  /** @returns the listener that new connections don't come to any more */
  #bindAnother(certificate: Certificate, control: ListenerControl): Deno.TlsListener {
    this.#closing.signal.throwIfAborted();
    const { transport, address, inherited } = this.#options;
    const newer = listenTls(transport, address, certificate);
    control.inherit([address], inherited);
    control.steerToNewest([address]);
    const older = this.#listener;
    this.#listener = newer;
    this.#server.add(newer);
    return older;
  }

  async #retire(listener: Deno.TlsListener): Promise<void> {
    const { signal } = this.#closing;
    await arrived([this.#options.address], signal); // it is closed sooner where all are
    await this.#server.retire(listener);
  }
}

type Addresses = readonly SocketAddress[];

function bindPlain(listen: Addresses, beside: Addresses): Binding<Deno.TcpListener> {
  return bindAll<Deno.TcpListener>(listen, {
    ...LISTENING,
    bind: (address) => {
      if (!isAmong(address, beside)) expectFree(address);
      return Deno.listen({ transport: "tcp", ...address, tcpBacklog: TCP_BACKLOG, reusePort: CAN_SHARE });
    },
    choice: "--dns ADDR:PORT",
  });
}

function bindEncrypted(
  transport: "tls" | "https",
  duty: EncryptedDuty | null,
  beside: Addresses,
): Binding<Deno.TlsListener> {
  return bindAll<Deno.TlsListener>(duty?.[transport] ?? [], {
    ...LISTENING,
    bind: (address) => {
      if (!isAmong(address, beside)) expectFree(address);
      return listenTls(transport, address, duty!.certificate);
    },
    choice: `dns.${transport}.port`,
  });
}

function isAmong({ hostname, port }: SocketAddress, addresses: Addresses): boolean {
  return addresses.some((other) => other.hostname === hostname && other.port === port);
}

/** Elsewhere listeners that share a port aren't dealt new connections evenly, or at all. */
const CAN_SHARE = Deno.build.os === "linux";

const LISTENING = {
  portOf: ({ addr }: Deno.TcpListener | Deno.TlsListener) => (addr as Deno.NetAddr).port,
  close: (listener: Deno.TcpListener | Deno.TlsListener) => listener.close(),
  ss: "-ltnp",
};

function listenTls(
  transport: "tls" | "https",
  { hostname, port }: SocketAddress,
  { cert, key }: Certificate,
): Deno.TlsListener {
  return Deno.listenTls({
    ...{ hostname, port, cert, key },
    ...{ alpnProtocols: [...ALPN[transport]], tcpBacklog: TCP_BACKLOG },
    reusePort: CAN_SHARE,
  });
}

function closeAll({ sockets }: Binding<{ close(): void }>): void {
  for (const { socket } of sockets) socket.close();
}

function addressesOf({ sockets }: Binding<unknown>): SocketAddress[] {
  return sockets.map(({ address }) => address);
}
