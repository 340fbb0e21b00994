/**
 * Relays TCP connections to backends, byte for byte: one `AF_UNIX` connection for each, on which the backend says that it takes
 * it. Until then nothing is read of the client, so that what it sends early waits in the kernel and no further. The end of
 * either direction is passed on by itself; a fault of one side ends both.
 *
 * The relay has no patience of its own with silent connections: servers have. It has a bound on their number.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import {
  type Accepted,
  AGAIN,
  BROKEN,
  type Poller,
  READY,
  SHORTAGE,
  type StreamSockets,
} from "../sockets/stream_sockets.ts";
import { formatIp } from "../ip.ts";
import { FRAME, readU32, TCP_HEAD6, writeStreamHead } from "../wire/balancer_frames.ts";
import type { FrontLog } from "./front_log.ts";

/** Connections that the kernel keeps until they are accepted. */
export const RELAY_BACKLOG = 1000;
/** Connections at the same time; each has two descriptors. */
export const CONNECTIONS_MAX = 16_384;
/** Connections accepted before others are served. */
const ACCEPT_MAX = 64;
/** Milliseconds that a backend has to take a connection. */
const TAKE_MS = 10_000;
/** Bytes read at once. */
const CHUNK = 64 * 1024;
/** Pause after an accept that failed for lack of descriptors, milliseconds. */
const SHORTAGE_PAUSE_MS = 100;

/** Where a connection goes. */
export interface StreamTarget {
  /** The backend. */
  readonly id: number;
  /** Its socket. */
  readonly path: string;
}

/** What has happened, in numbers; all but `open` only grow. */
export interface RelayCounts {
  /** Connections accepted. */
  accepted: number;
  /** Connections reset since there is no backend, or one that doesn't take them. */
  refused: number;
  /** Connections reset since there are too many. */
  overLimit: number;
  /** Connections that ended by a fault of a side. */
  broken: number;
  /** Connections at the moment. */
  open: number;
}

/** What a relay is made of. */
export interface RelayOptions {
  /** The C library. */
  readonly sockets: StreamSockets;
  /** Of the thread. */
  readonly poller: Poller;
  /** Drives all that is timed. */
  readonly clock: Pick<Clock, "monotonicMs">;
  /** What is accepted from. */
  readonly listener: number;
  /** What is said of each connection, in detail only: clients would fill any log. */
  readonly log: FrontLog;
  /** Asks for a connection's backend; `direct` must be called once with this number. */
  ask(connection: number, address: Uint8Array): void;
  /** Called when a backend hasn't taken a connection in time. */
  onSilent(backend: number): void;
}

const chunk = new Uint8Array(CHUNK);

/** All connections of a balancer. */
export class Relay implements Disposable {
  /** What has happened. */
  readonly counts: RelayCounts = { accepted: 0, refused: 0, overLimit: 0, broken: 0, open: 0 };
  readonly #options: RelayOptions;
  /** Those that wait for a backend, by the number they are asked for with. */
  readonly #asked = new Map<number, Accepted>();
  /** By both descriptors. */
  readonly #pairs = new Map<number, Pair>();
  /** Those that haven't been taken by their backend, in the order of their time. */
  readonly #untaken = new Set<Pair>();
  #lastAsked = 0;
  #acceptAtMs = Infinity;

  /** Accepts from now on. */
  constructor(options: RelayOptions) {
    this.#options = options;
    options.poller.add(options.listener, READY.read);
  }

  /** Deals with what the poller has reported. @returns how many descriptors that was */
  serve(ready: number): number {
    const { poller, listener } = this.#options;
    for (let i = 0; i < ready; i++) {
      const fd = poller.fdOf(i);
      if (fd === listener) this.#accept();
      else this.#pairs.get(fd)?.serve(fd, poller.readinessOf(i));
    }
    this.#look(this.#options.clock.monotonicMs());
    return ready;
  }

  /** Says where a connection goes; `null` = there is no backend for it. */
  direct(connection: number, target: StreamTarget | null): void {
    const accepted = this.#asked.get(connection);
    if (accepted === undefined) return;
    this.#asked.delete(connection);
    const log = this.#logOf(connection, accepted);
    if (target === null) return this.#refuse(accepted, log);
    const { sockets, poller } = this.#options;
    const ofBackend = { be_id: target.id, be_path: target.path };
    let fd: number;
    try {
      fd = sockets.connectUnix(target.path);
    } catch {
      return this.#refuse(accepted, log.with(ofBackend)); // its control session finds out what is wrong with it
    }
    log.debug("connection is handed over", ofBackend);
    const pair = new Pair(accepted.fd, fd, {
      ...{ sockets, poller, target, takeByMs: this.#options.clock.monotonicMs() + TAKE_MS },
      onTaken: () => void this.#untaken.delete(pair),
      onEnd: (how) => {
        for (const each of [accepted.fd, fd]) this.#pairs.delete(each);
        this.#untaken.delete(pair);
        this.counts.open--;
        if (how !== "ended") this.counts[how]++;
        log.debug("connection is over", { ...ofBackend, how });
      },
    });
    this.#pairs.set(accepted.fd, pair);
    this.#pairs.set(fd, pair);
    this.#untaken.add(pair);
    pair.begin(accepted);
  }

  /** Ends all connections. */
  [Symbol.dispose](): void {
    for (const { fd } of this.#asked.values()) this.#options.sockets.abort(fd);
    this.#asked.clear();
    for (const pair of new Set(this.#pairs.values())) pair.abort("broken");
  }

  #accept(): void {
    const { sockets, poller, listener, ask } = this.#options;
    for (let i = 0; i < ACCEPT_MAX; i++) {
      const accepted = sockets.accept(listener);
      if (accepted === AGAIN) return;
      if (accepted === BROKEN) continue;
      if (accepted === SHORTAGE) {
        poller.remove(listener);
        this.#acceptAtMs = this.#options.clock.monotonicMs() + SHORTAGE_PAUSE_MS;
        return;
      }
      this.counts.accepted++;
      if (this.counts.open >= CONNECTIONS_MAX) {
        this.counts.overLimit++;
        sockets.abort(accepted.fd);
        continue;
      }
      this.counts.open++;
      sockets.tuneTcp(accepted.fd);
      const connection = this.#lastAsked = (this.#lastAsked + 1) % 0x40000000;
      this.#asked.set(connection, accepted);
      ask(connection, accepted.address);
    }
  }

  #refuse({ fd }: Accepted, log: FrontLog): void {
    this.counts.refused++;
    this.counts.open--;
    this.#options.sockets.abort(fd);
    log.debug("connection is reset: no backend takes it");
  }

  #logOf(connection: number, { address, port }: Accepted): FrontLog {
    return this.#options.log.with({
      ...{ conn_id: connection, remote_ip: formatIp(address), remote_port: port },
    });
  }

  #look(nowMs: number): void {
    if (nowMs >= this.#acceptAtMs) {
      this.#acceptAtMs = Infinity;
      this.#options.poller.add(this.#options.listener, READY.read);
    }
    for (const pair of this.#untaken) {
      if (nowMs < pair.takeByMs) return;
      this.#options.onSilent(pair.backend);
      pair.abort("refused");
    }
  }
}

/** How a connection has ended. */
type Ending = "ended" | "broken" | "refused";

interface PairOptions {
  readonly sockets: StreamSockets;
  readonly poller: Poller;
  readonly target: StreamTarget;
  readonly takeByMs: number;
  onTaken(): void;
  onEnd(how: Ending): void;
}

/** One direction of a connection. */
interface Flow {
  readonly from: End;
  readonly to: End;
  /** What was read and couldn't be written yet. */
  pending: Uint8Array<ArrayBuffer>;
  /** Whether nothing more comes. */
  isEnded: boolean;
}

/** One side of a connection. */
interface End {
  /** -1 = it is closed. */
  fd: number;
  /** What the poller waits for. */
  wanted: number;
  /** Whether the poller waits on it at all. */
  isWatched: boolean;
}

const NOTHING = new Uint8Array(0);

/** A client's connection and its backend's. */
class Pair {
  /** Its number. */
  readonly backend: number;
  /** When the backend must have taken it. */
  readonly takeByMs: number;
  readonly #options: PairOptions;
  readonly #client: End;
  readonly #server: End;
  readonly #up: Flow;
  readonly #down: Flow;
  /** Of the backend's first frame. */
  readonly #first = new Uint8Array(4);
  #firstSize = 0;
  #isOver = false;

  constructor(client: number, server: number, options: PairOptions) {
    this.backend = options.target.id;
    this.takeByMs = options.takeByMs;
    this.#options = options;
    this.#client = { fd: client, wanted: 0, isWatched: true };
    this.#server = { fd: server, wanted: READY.read, isWatched: true };
    this.#up = { from: this.#client, to: this.#server, pending: NOTHING, isEnded: false };
    this.#down = { from: this.#server, to: this.#client, pending: NOTHING, isEnded: false };
  }

  /** Tells the backend whose connection it is. */
  begin({ address, port }: Accepted): void {
    const { sockets, poller } = this.#options;
    const head = new Uint8Array(TCP_HEAD6);
    const type = address.length === 4 ? FRAME.inboundTcp : FRAME.inboundTcp6;
    const size = writeStreamHead(head, 0, { type, address, port });
    poller.add(this.#client.fd, this.#client.wanted);
    poller.add(this.#server.fd, this.#server.wanted);
    // A new connection has room for it.
    if (sockets.send(this.#server.fd, head.subarray(0, size)) !== size) this.abort("broken");
  }

  /** Ends both sides at once. */
  abort(how: Ending): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const { fd } of [this.#client, this.#server]) if (fd >= 0) this.#options.sockets.abort(fd);
    this.#options.onEnd(how);
  }

  /** Does what a descriptor is ready for. */
  serve(fd: number, readiness: number): void {
    if (this.#isOver) return;
    const isClient = fd === this.#client.fd;
    if (isClient ? (readiness & READY.error) !== 0 : false) return this.abort("broken");
    if (!this.#isTaken) {
      if (isClient) return (readiness & READY.hangUp) !== 0 ? this.abort("broken") : undefined;
      if (!this.#readFirst()) return;
    }
    const [inward, outward] = isClient ? [this.#up, this.#down] : [this.#down, this.#up];
    if ((readiness & READY.write) !== 0) this.#write(outward);
    if (!this.#isOver && !inward.isEnded && inward.pending.length === 0) this.#read(inward);
    if (this.#isOver) return;
    const hasLeft = (readiness & (READY.hangUp | READY.error)) !== 0;
    if (hasLeft) this.#leave(isClient);
    if (this.#isDone) return this.#end();
    this.#want();
    if (hasLeft) this.#park(isClient ? this.#client : this.#server);
  }

  get #isTaken(): boolean {
    return this.#firstSize === this.#first.length;
  }

  get #isDone(): boolean {
    return [this.#up, this.#down].every(({ isEnded, pending }) => isEnded && pending.length === 0);
  }

  /** @returns whether the backend has taken the connection now */
  #readFirst(): boolean {
    const { sockets, onTaken } = this.#options;
    const count = sockets.receive(this.#server.fd, this.#first.subarray(this.#firstSize));
    if (count === AGAIN) return false;
    if (count <= 0) return this.abort("refused"), false;
    this.#firstSize += count;
    if (!this.#isTaken) return false;
    if (readU32(this.#first, 0) !== FRAME.inboundTcpOk) return this.abort("refused"), false;
    onTaken();
    return true;
  }

  /** Reads once, and writes what there is room for. */
  #read(flow: Flow): void {
    const { sockets } = this.#options;
    const count = sockets.receive(flow.from.fd, chunk);
    if (count === AGAIN) return;
    if (count === BROKEN) return this.abort("broken");
    if (count === 0) {
      flow.isEnded = true;
      if (flow.to.fd >= 0) sockets.endSending(flow.to.fd);
      return;
    }
    if (flow.to.fd < 0) return; // it has left, and what it would have got is of no use
    const sent = sockets.send(flow.to.fd, chunk.subarray(0, count));
    // A server that has said all and left still lets its client have it.
    if (sent === BROKEN) return flow === this.#up ? this.#discard(flow) : this.abort("broken");
    if (sent !== count) flow.pending = chunk.slice(Math.max(0, sent), count);
  }

  #write(flow: Flow): void {
    if (flow.pending.length === 0) return;
    const sent = this.#options.sockets.send(flow.to.fd, flow.pending);
    if (sent === AGAIN) return;
    if (sent === BROKEN) return flow === this.#up ? this.#discard(flow) : this.abort("broken");
    flow.pending = sent === flow.pending.length ? NOTHING : flow.pending.subarray(sent);
    if (flow.pending.length === 0 && flow.isEnded) this.#options.sockets.endSending(flow.to.fd);
  }

  #discard(flow: Flow): void {
    flow.pending = NOTHING;
    flow.isEnded = true;
  }

  /** A side has ended in both directions. What it said is passed on if it is the server's; a client's has no reader. */
  #leave(isClient: boolean): void {
    if (isClient) {
      if (this.#down.isEnded && this.#down.pending.length === 0) this.#discard(this.#up);
      return;
    }
    if (!this.#down.isEnded) return; // there is more to read
    this.#discard(this.#up);
    this.#options.sockets.close(this.#server.fd);
    this.#server.fd = -1;
  }

  #end(): void {
    this.#isOver = true;
    for (const { fd } of [this.#client, this.#server]) if (fd >= 0) this.#options.sockets.close(fd);
    this.#options.onEnd("ended");
  }

  #want(): void {
    this.#wait(this.#client, this.#up, this.#down);
    this.#wait(this.#server, this.#down, this.#up);
  }

  #wait(end: End, inward: Flow, outward: Flow): void {
    const reads = this.#isTaken && !inward.isEnded && inward.pending.length === 0;
    const wanted = (reads ? READY.read : 0) | (outward.pending.length > 0 ? READY.write : 0);
    if (end.fd < 0 || wanted === end.wanted) return;
    end.wanted = wanted;
    if (end.isWatched) return this.#options.poller.change(end.fd, wanted);
    end.isWatched = true;
    this.#options.poller.add(end.fd, wanted);
  }

  /**
   * The poller reports one that has left whether that is wanted or not, and would do so without end as long as the other
   * side doesn't take what it has said.
   */
  #park(end: End): void {
    if (end.fd < 0 || end.wanted !== 0 || !end.isWatched) return;
    end.isWatched = false;
    this.#options.poller.remove(end.fd);
  }
}
