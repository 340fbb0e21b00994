/**
 * Forwards datagrams: from clients to the backends that they belong to, and what backends say to clients. One thread, one
 * UDP socket, one session a backend, and nothing allocated for a datagram.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { formatIp } from "../ip.ts";
import type { BatchSocket } from "../sockets/batch_socket.ts";
import { BATCH } from "../sockets/message_memory.ts";
import type { Peer } from "../sockets/peer.ts";
import { type Poller, READY, type StreamSockets } from "../sockets/stream_sockets.ts";
import { DATAGRAM_MAX, FEATURE, FRAME, type FrameReader, readAnnouncement } from "../wire/balancer_frames.ts";
import { Affinity } from "./affinity.ts";
import { type Backend, Backends, type Connector, type Unanswered } from "./backends.ts";
import type { FrontLog } from "./front_log.ts";
import { LocalAddresses } from "./local_addresses.ts";
import { Remotes } from "./remotes.ts";
import { Session } from "./session.ts";

/** Warnings of datagrams that are too long, at most one in so many milliseconds. */
const TELL_MS = 1_000;
/** Timers run once in so many milliseconds. */
const TICK_MS = 1_000;
/**
 * Where datagrams, of clients and of backends, come faster than so many in a time, and few are there at once, they gather
 * for a moment: at 20,000 queries a second an answer then costs two thirds, since the thread isn't woken for each of them.
 */
const GATHER = { datagrams: 40, withinMs: 2, few: 8, us: 50 } as const;
/** Milliseconds in which a client still waits for its answer, at least. */
const ASK_AGAIN_MS = 2_000;

/** What has happened, in numbers that only grow. */
export interface ForwardCounts {
  /** Datagrams of clients. */
  received: number;
  /** Datagrams handed to backends. */
  forwarded: number;
  /** Those of them that a second backend was asked, since the session of the first one ended before it answered. */
  moved: number;
  /** Datagrams of backends. */
  answered: number;
  /** Dropped, since no backend takes them. */
  unserved: number;
  /** Dropped, since their backend doesn't read. */
  stuck: number;
  /** Dropped, since they are longer than a frame may be. */
  tooLong: number;
  /** Datagrams of backends that the system refused to send. */
  sendErrors: number;
  /** Datagrams of backends to this balancer itself, or to no address. */
  misaddressed: number;
}

/** What a forwarder is made of. */
export interface ForwarderOptions {
  /** Where clients ask. */
  readonly socket: BatchSocket;
  /** Its address, 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** The C library. */
  readonly sockets: StreamSockets;
  /** Of the thread. */
  readonly poller: Poller;
  /** What is said. */
  readonly log: FrontLog;
  /** Seeds the table of clients. */
  readonly seed: number;
  /** Drives all that is timed. */
  readonly clock: Pick<Clock, "monotonicMs">;
}

/** Datagrams, backends and clients of one balancer. */
export class Forwarder implements Connector<Session>, Disposable {
  /** All of them. */
  readonly backends: Backends<Session>;
  /** All of them. */
  readonly remotes: Remotes;
  /** Which client belongs to which backend. */
  readonly affinity: Affinity<Session>;
  /** What has happened. */
  readonly counts: ForwardCounts = {
    ...{ received: 0, forwarded: 0, moved: 0, answered: 0, unserved: 0, stuck: 0 },
    ...{ tooLong: 0, sendErrors: 0, misaddressed: 0 },
  };
  readonly #options: ForwarderOptions;
  readonly #local: LocalAddresses;
  /** By descriptor; those that are going included. */
  readonly #sessions = new Map<number, Served>();
  /** Written to in this batch. */
  readonly #written: Session[] = [];
  /** Destinations of what is queued on the UDP socket, each at its place. */
  readonly #destinations: readonly Peer[];
  #nowMs: number;
  #tickAtMs: number;
  /** Datagrams of clients since then, and whether they come so fast that they are to gather. */
  #gatheredSinceMs = 0;
  #gathered = 0;
  #isFast = false;
  #toldMs = -Infinity;

  /** Waits for datagrams from now on. */
  constructor(options: ForwarderOptions) {
    const { socket, address, poller, log, seed } = options;
    this.#options = options;
    this.#nowMs = options.clock.monotonicMs();
    this.backends = new Backends(this, log);
    this.remotes = new Remotes(seed);
    this.affinity = new Affinity(this.backends, this.remotes, { log, nowMs: this.#nowMs });
    this.#local = new LocalAddresses(address, seed);
    this.#destinations = Array.from({ length: BATCH }, () => socket.createPeer());
    this.#tickAtMs = this.#nowMs;
    poller.add(socket.fd, READY.read);
  }

  /** Deals with what the poller has reported. @returns how many datagrams there were */
  serve(ready: number): number {
    const { poller, socket } = this.#options;
    this.#nowMs = this.#options.clock.monotonicMs();
    let datagrams = 0;
    for (let i = 0; i < ready; i++) {
      const fd = poller.fdOf(i);
      if (fd === socket.fd) {
        datagrams += this.#forward();
        continue;
      }
      const served = this.#sessions.get(fd);
      if (served === undefined) continue;
      const before = this.counts.answered;
      if ((poller.readinessOf(i) & READY.write) !== 0) served.session.flush();
      served.session.receive();
      datagrams += this.counts.answered - before;
    }
    if (datagrams > 0) this.counts.sendErrors += socket.flush();
    if (this.#nowMs >= this.#tickAtMs) this.#tick();
    this.affinity.continue();
    if (datagrams > 0) this.#gather(datagrams);
    return datagrams;
  }

  #gather(datagrams: number): void {
    const elapsedMs = this.#nowMs - this.#gatheredSinceMs;
    this.#gathered += datagrams;
    if (elapsedMs >= GATHER.withinMs) {
      this.#isFast = this.#gathered * GATHER.withinMs >= GATHER.datagrams * elapsedMs;
      this.#gathered = 0;
      this.#gatheredSinceMs = this.#nowMs;
    }
    if (this.#isFast && datagrams < GATHER.few) this.#options.sockets.sleep(GATHER.us);
  }

  /** Takes note of what is in the directory. */
  discover(directory: string, names: readonly string[]): void {
    this.backends.discover(directory, names, this.#options.clock.monotonicMs());
  }

  /** Chooses the backend for a connection, which counts. */
  chooseForStream(address: Uint8Array): Backend<Session> | null {
    const nowMs = this.#options.clock.monotonicMs();
    const backend = this.affinity.choose(address, nowMs);
    const { record } = this.affinity;
    if (backend) backend.tcp++;
    if (record >= 0) {
      const counter = backend ? this.remotes.tcp : this.remotes.tcpDropped;
      counter[record]!++;
      if (backend) this.remotes.touch(record, nowMs);
    }
    return backend;
  }

  /** A backend has not taken a connection in time. */
  onSilentStream(id: number): void {
    const backend = this.backends.byId(id);
    if (!backend?.session) return;
    this.backends.fault(
      backend,
      "no answer to a TCP connection within 10 s",
      this.#options.clock.monotonicMs(),
    );
  }

  /** Begins a control session. */
  connect(backend: Backend<Session>): Session | "absent" | Error {
    const { sockets, poller } = this.#options;
    let fd: number;
    try {
      fd = sockets.connectUnix(backend.path);
    } catch (error) {
      return error instanceof Deno.errors.NotFound ? "absent" : error as Error;
    }
    const { clock, seed } = this.#options;
    const session: Session = new Session(fd, {
      ...{ sockets, poller, clock, seed, reader: this.#readerOf(() => served) },
      onEnd: (reason) => this.#end(served, reason),
      onAbort: () => void this.#sessions.delete(fd),
    });
    const served = { backend, session };
    this.#sessions.set(fd, served);
    return session;
  }

  /**
   * Ends a session. Queries that it has just been asked and hasn't answered go where their clients go now; they do so once,
   * so that one that no server survives doesn't end them all.
   */
  end(session: Session, backend: Backend<Session>, nowMs: number): Unanswered {
    session.abort();
    backend.going.delete(session);
    let moved = 0;
    const lost = session.handOn(nowMs - ASK_AGAIN_MS, (address, port, bytes, at, size) => {
      const isMoved = isQuery(bytes, at, size) &&
        this.#askAgain(address, port, bytes.subarray(at, at + size), nowMs);
      if (isMoved && ++moved % BATCH === 0) this.#flush();
      return isMoved;
    });
    this.#flush();
    this.counts.moved += moved;
    backend.moved += moved;
    backend.lost += lost;
    backend.forgotten += session.forgotten;
    return { moved, lost };
  }

  /** Datagrams that the system dropped, since they came faster than they were received. */
  get overflowed(): number {
    return this.#options.sockets.droppedOf(this.#options.socket.fd);
  }

  /** Ends all sessions. */
  [Symbol.dispose](): void {
    for (const { session } of this.#sessions.values()) session.abort();
    this.#sessions.clear();
  }

  /** Receives a batch, and hands each datagram to its client's backend. */
  #forward(): number {
    const { socket } = this.#options;
    const { counts, remotes, affinity } = this;
    const nowMs = this.#nowMs;
    const count = socket.receive();
    counts.received += count;
    for (let slot = 0; slot < count; slot++) {
      const size = socket.lengthOf(slot);
      const peer = socket.peer(slot);
      if (size > DATAGRAM_MAX) {
        this.#warnOfLength(peer);
        continue;
      }
      const address = peer.address();
      const backend = affinity.choose(address, nowMs);
      const { record } = affinity;
      if (record >= 0) remotes.touch(record, nowMs);
      const session = backend && backend.session;
      if (session === null || session.isStuck) {
        if (record >= 0) remotes.udpDropped[record]!++;
        if (backend === null) counts.unserved++;
        else {
          counts.stuck++;
          backend.stuck++;
        }
        continue;
      }
      this.#local.note(peer);
      this.#willFlush(session);
      session.put(address, peer.port, socket.packet(slot), size, nowMs, false);
      counts.forwarded++;
      backend!.udp++;
      if (record >= 0) remotes.udp[record]!++;
    }
    this.#flush();
    return count;
  }

  /** @returns whether there is a backend that takes it */
  #askAgain(address: Uint8Array, port: number, datagram: Uint8Array, nowMs: number): boolean {
    const backend = this.affinity.choose(address, nowMs);
    const session = backend && backend.session;
    if (session === null || session.isStuck) return false;
    this.#willFlush(session);
    session.put(address, port, datagram, datagram.length, nowMs, true);
    backend!.udp++;
    return true;
  }

  #willFlush(session: Session): void {
    if (session.isWritten) return;
    session.isWritten = true;
    this.#written.push(session);
  }

  #flush(): void {
    for (const session of this.#written) {
      session.isWritten = false;
      session.flush();
    }
    this.#written.length = 0;
  }

  #readerOf(served: () => Served): FrameReader {
    return {
      datagramTypes: [FRAME.outboundUdp, FRAME.outboundUdp6],
      datagram: (address, port, bytes, at, size) => this.#answer(served(), address, port, bytes, at, size),
      bare: (type) => this.#hear(served(), type),
      tooLong: (size) => void this.#fault(served(), `a datagram of ${size} bytes`),
    };
  }

  /** A datagram from a backend. @returns whether its session goes on */
  #answer(
    served: Served,
    address: Uint8Array,
    port: number,
    bytes: Uint8Array,
    at: number,
    size: number,
  ): boolean {
    const { backend, session } = served;
    const { socket } = this.#options;
    if (!backend.ok && isCurrent(served)) return this.#fault(served, "a datagram before its hello");
    if (address.length === 16 && !session.knowsAddress16) {
      return this.#fault(served, "an IPv6 address that it hasn't announced");
    }
    if (isNowhere(address)) return this.#announced(served, port, bytes.subarray(at, at + size));
    session.noteAnswer(address, port, bytes, at, size);
    backend.answered++;
    this.counts.answered++;
    const isForUs = port === socket.port && this.#local.isOurs(address);
    if (isForUs || address.length > this.#options.address.length) {
      this.counts.misaddressed++;
      return true;
    }
    const destination = this.#destinations[socket.nextSlot]!;
    destination.set(address, port, this.#local.of(address, port));
    const out = socket.outgoing;
    if (size > 96) out.set(bytes.subarray(at, at + size));
    else for (let i = 0; i < size; i++) out[i] = bytes[at + i]!;
    socket.queue(destination, out, size);
    return true;
  }

  /** What is sent to no address is an announcement, or an error of the backend's, which is left alone. */
  #announced({ backend, session }: Served, port: number, datagram: Uint8Array): true {
    const features = port === 0 ? readAnnouncement(datagram) : null;
    if (features === null) this.counts.misaddressed++;
    else {
      backend.features = features;
      session.knowsAddress16 = (features & FEATURE.address16) !== 0;
      backend.log.debug("backend announces extensions", { features });
    }
    return true;
  }

  /** Any other frame. @returns whether the session goes on */
  #hear(served: Served, type: number): boolean {
    const { backend, session } = served;
    const isAwaited = type === FRAME.serverHeartbeat && session.noteHeartbeat();
    if (!isCurrent(served)) {
      // A heartbeat may have crossed the farewell.
      return isAwaited || this.#fault(served, `frame ${type} of one that is going`);
    }
    if (type === FRAME.serverHello) return this.backends.onHello(backend, this.#nowMs);
    if (!backend.ok) return this.#fault(served, `frame ${type} before its hello`);
    if (type === FRAME.serverHeartbeat) return this.backends.onHeartbeat(backend, this.#nowMs);
    if (type === FRAME.going) return this.backends.onGoing(backend, this.#nowMs);
    return this.#fault(served, `unknown frame ${type}`);
  }

  /** @returns `false`: the session doesn't go on */
  #fault(served: Served, reason: string): false {
    if (isCurrent(served)) return this.backends.fault(served.backend, reason, this.#nowMs);
    this.end(served.session, served.backend, this.#nowMs);
    return false;
  }

  #end(served: Served, reason: string): void {
    if (isCurrent(served)) this.backends.fault(served.backend, reason, this.#nowMs);
    else {
      const { lost, moved } = this.end(served.session, served.backend, this.#nowMs);
      served.backend.log.info("backend is gone", { lost, asked_elsewhere: moved });
    }
  }

  #tick(): void {
    // In steps of exactly one, so that what is due in 15 s isn't looked at a hair too early, and then a second too late.
    const nowMs = Math.max(this.#tickAtMs, this.#nowMs - TICK_MS);
    this.#tickAtMs = nowMs + TICK_MS;
    this.backends.tick(nowMs);
    this.affinity.tick(nowMs);
    for (const served of this.#sessions.values()) {
      if (served.session.isOverdue(nowMs)) this.#fault(served, "it is going for too long");
    }
  }

  #warnOfLength(peer: Peer): void {
    this.counts.tooLong++;
    if (this.#nowMs - this.#toldMs < TELL_MS) return;
    this.#toldMs = this.#nowMs;
    const client = { remote_ip: formatIp(peer.address()), remote_port: peer.port };
    this.#options.log.warn("dropped a datagram longer than 1500 bytes", client);
  }
}

/** A session and whose it is. */
interface Served {
  readonly backend: Backend<Session>;
  readonly session: Session;
}

/** Whether the session is the one that its backend has, not one that is going. */
function isCurrent({ backend, session }: Served): boolean {
  return backend.session === session;
}

/** Whether it is a query that may be asked twice: opcode 0, no response (RFC 1035 §4.1.1). */
function isQuery(bytes: Uint8Array, at: number, size: number): boolean {
  return size > 2 && (bytes[at + 2]! & 0xf8) === 0;
}

function isNowhere(address: Uint8Array): boolean {
  for (let i = 0; i < address.length; i++) if (address[i] !== 0) return false;
  return true;
}
