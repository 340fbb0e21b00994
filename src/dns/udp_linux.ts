/**
 * The fast UDP transport of Linux: batches of up to 64 packets a call (`src/sockets/batch_socket.ts`), answered in the memory
 * they are sent from.
 *
 * The cost of a DNS answer is the kernel's, so what counts is to enter it seldom. The loop is a hybrid: it receives
 * without blocking as long as packets are there; when they come in ones and twos the worker sleeps for a moment itself, and only
 * when nothing comes even then it awaits a `poll(2)` on another thread, so that the worker's event loop turns. Waking
 * two threads for every packet costs as much as the answer. Under load the event loop turns every few batches.
 *
 * @module
 */
import type { SocketAddress } from "../ip.ts";
import type { AdoptedSocket } from "./binding.ts";
import { type BatchSocket, BatchSockets, type Readiness } from "../sockets/batch_socket.ts";
import { BATCH } from "../sockets/message_memory.ts";
import type { Peer } from "../sockets/peer.ts";
import { Backlog } from "./backlog.ts";
import { COUNTER } from "./counters.ts";
import { type Client, READ_MAX, UDP_SIZE_MAX } from "./engine.ts";
import { turnEventLoop } from "./event_loop.ts";
import type { Exchange } from "./exchange.ts";
import type { UdpTransport } from "./udp.ts";

/**
 * What waited while another process handed its sockets over is answered, however old; so is what comes until the code is warm
 * and the other process has ended. A client that asked before has given up by then.
 */
const ADOPTION_GRACE_MS = 5_000;
/** Room for a query; longer ones lose their tail and are answered FORMERR. */
const QUERY_MAX = 2048;
/** Packets after which the event loop gets its turn, even if more wait: some 3 ms of work, in batches of whatever size. */
const PACKETS_PER_TURN = 16 * BATCH;
/** So few packets at once say that no more are there now: to be told so by the kernel would be a call more for each of them. */
const FEW = 3;
/** Time after which the event loop gets its turn where packets come in ones and twos, milliseconds. */
const TURN_MS = 2;
/** How long the worker itself sleeps for the next packet, milliseconds; nothing else of it runs meanwhile. */
const NAP_MS = 1;
/** Longest sleep without packets, milliseconds: how soon a stop is noticed. */
const POLL_MS = 100;
/** Times in a row that the kernel may say there is a packet and give none; a damaged one is such a case, now and then. */
const EMPTY_MAX = 16;
/** Pause after that, milliseconds: the loop never spins on nothing, whatever the reason. */
const NOTHING_PAUSE_MS = 20;

/** The transport for Linux with glibc. */
export class LinuxUdp implements UdpTransport {
  /** As `dns.transport` calls it. */
  readonly name = "linux";
  readonly #sockets = new BatchSockets();
  readonly #isFirst: boolean;
  readonly #adopted: AdoptedSocket[];
  readonly #graceMs: number;
  readonly #stopping = new AbortController();
  readonly #pause = new Pause();
  #answering: readonly AnsweringSocket[] = [];
  #served: Promise<void> = Promise.resolve();

  /**
   * Opens the C library.
   *
   * @param isFirst whether an address that any other socket has is taken; otherwise the sockets of this user share it
   * @param adopted bound sockets that take the place of new ones
   * @throws {Error} with the reason for which the portable transport has to do
   */
  constructor(isFirst: boolean, adopted: readonly AdoptedSocket[]) {
    this.#isFirst = isFirst;
    this.#adopted = [...adopted];
    this.#graceMs = adopted.length > 0 ? ADOPTION_GRACE_MS : 0;
  }

  /** Takes over the next socket of the address, or binds one, with an arena of its own. */
  bind(address: SocketAddress): BatchSocket {
    const options = { reusePort: !this.#isFirst, receiveMax: QUERY_MAX, sendMax: UDP_SIZE_MAX };
    const at = this.#adopted.findIndex((each) => isSameAddress(each.address, address));
    if (at >= 0) return this.#sockets.adopt(address, this.#adopted.splice(at, 1)[0]!.fd, options);
    const socket = this.#sockets.bind(address, options);
    // Only now: bound with it, it would have shared the port with whatever socket of this user has it.
    socket.share();
    return socket;
  }

  /** What is left of the sockets that were to be adopted: a worker more had them. */
  bindRest(): { readonly address: SocketAddress; readonly socket: BatchSocket }[] {
    return this.#adopted.map(({ address }) => address)
      .map((address) => ({ address, socket: this.bind(address) }));
  }

  /** Answers all for so long, however old. */
  answerAll(forMs: number): void {
    for (const socket of this.#answering) socket.answerAll(forMs);
  }

  /** Receives nothing more until `resume`; resolves when what was received is answered. */
  pause(): Promise<void> {
    return this.#pause.begin();
  }

  /** Goes on. */
  resume(): void {
    this.#pause.end();
  }

  /** Runs one loop over all sockets. */
  serve(sockets: readonly BatchSocket[], exchange: Exchange): Promise<void> {
    const answering = this.#answering = sockets.map((socket) => new AnsweringSocket(socket, exchange));
    if (this.#graceMs > 0) {
      for (const socket of answering) socket.makeRoom();
      this.answerAll(this.#graceMs);
    }
    return this.#served = answerUntil(this.#stopping.signal, {
      ...{ pause: this.#pause, answering },
      readiness: this.#sockets.readiness(sockets),
    });
  }

  /** Ends the loop, which closes the sockets, and closes the C library. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#pause.end();
    await this.#served;
    this.#sockets[Symbol.dispose]();
  }
}

/** A pause of the loop, between two batches. */
class Pause {
  #begun: PromiseWithResolvers<void> | null = null;
  #ended: PromiseWithResolvers<void> | null = null;

  get isWanted(): boolean {
    return this.#begun !== null;
  }

  /** Resolves when the loop pauses. */
  begin(): Promise<void> {
    this.#begun ??= Promise.withResolvers();
    this.#ended ??= Promise.withResolvers();
    return this.#begun.promise;
  }

  end(): void {
    this.#ended?.resolve();
    this.#begun?.resolve();
    this.#begun = null;
    this.#ended = null;
  }

  /** The loop's part. */
  async pass(): Promise<void> {
    const ended = this.#ended!.promise;
    this.#begun!.resolve();
    await ended;
  }
}

/** A socket whose packets are answered. */
class AnsweringSocket implements Disposable {
  readonly #socket: BatchSocket;
  readonly #exchange: Exchange;
  readonly #clients: readonly DatagramClient[];
  readonly #backlog: Backlog;

  constructor(socket: BatchSocket, exchange: Exchange) {
    this.#socket = socket;
    this.#exchange = exchange;
    this.#clients = Array.from({ length: BATCH }, (_, slot) => new DatagramClient(socket.peer(slot)));
    this.#backlog = new Backlog(socket, { monotonicMs: () => performance.now(), unixMs: () => Date.now() });
  }

  /** Answers all for so long, however old. */
  answerAll(forMs: number): void {
    this.#backlog.answerAll(forMs);
  }

  /** Has the kernel keep what comes while nothing is received. */
  makeRoom(): void {
    this.#backlog.makeRoom();
  }

  /**
   * Receives what waits, up to a batch, and answers it, unless it has waited for too long.
   *
   * @returns how many packets there were; 0 = none waited
   */
  answerBatch(): number {
    const socket = this.#socket;
    const exchange = this.#exchange;
    const count = socket.receive();
    if (count === BATCH || this.#backlog.isWatching) {
      const isStale = this.#backlog.isStale(count);
      exchange.count(COUNTER.overloadedMs, this.#backlog.takeOverloadedMs());
      if (isStale) {
        exchange.count(COUNTER.stale, count);
        return count;
      }
    }
    if (count > 0) exchange.begin(count);
    const together = exchange.readsAhead ? READ_MAX : 1;
    for (let slot = 0; slot < count; slot++) {
      const number = slot % together;
      if (number === 0) this.#read(slot, Math.min(together, count - slot));
      const out = socket.outgoing;
      const client = this.#clients[slot]!;
      const size = exchange.answerRead(number, socket.packet(slot), socket.lengthOf(slot), client, out);
      if (size > 0) socket.queue(client.peer, out, size);
    }
    if (count > 0) exchange.end();
    for (let failed = socket.flush(); failed > 0; failed--) exchange.count(COUNTER.sendErrors);
    return count;
  }

  /** Reads the packets in some slots before the first of them is answered. */
  #read(from: number, count: number): void {
    const socket = this.#socket;
    const exchange = this.#exchange;
    for (let number = 0; number < count; number++) {
      exchange.read(number, socket.packet(from + number), socket.lengthOf(from + number));
    }
    if (count > 1) exchange.fetch(count);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** The sender of the packet in one slot. */
class DatagramClient implements Client {
  readonly stream = false;
  readonly peer: Peer;

  constructor(peer: Peer) {
    this.peer = peer;
  }

  address(): Uint8Array {
    return this.peer.address();
  }
}

function isSameAddress(a: SocketAddress, b: SocketAddress): boolean {
  return a.hostname === b.hostname && a.port === b.port;
}

async function answerUntil(
  signal: AbortSignal,
  { answering, readiness, pause }: {
    readonly answering: readonly AnsweringSocket[];
    readonly readiness: Readiness;
    readonly pause: Pause;
  },
): Promise<void> {
  while (!signal.aborted) {
    if (pause.isWanted) {
      for (const socket of answering) socket.makeRoom();
      await pause.pass();
      continue; // it may be stopped, and what waits then is another process's
    }
    const next = answerWaiting(answering, readiness);
    if (next === "turn") await turnEventLoop();
    else if (next === "wait") await readiness.wait(POLL_MS);
    else await new Promise((resolve) => setTimeout(resolve, NOTHING_PAUSE_MS));
  }
  for (const socket of answering) socket[Symbol.dispose]();
  readiness[Symbol.dispose]();
}

/**
 * Answers until nothing comes any more or the event loop is due.
 *
 * @returns what to do next: `turn` the event loop, `wait` for a packet, or `pause`, because the kernel says again and
 * again that there is something and gives nothing
 */
function answerWaiting(
  answering: readonly AnsweringSocket[],
  readiness: Pick<Readiness, "nap" | "isReady">,
): "turn" | "wait" | "pause" {
  const turnAtMs = performance.now() + TURN_MS;
  for (let answered = 0, empty = 0, hasNapped = false; answered < PACKETS_PER_TURN;) {
    let packets = 0;
    for (let i = 0; i < answering.length; i++) {
      if (!hasNapped || readiness.isReady(i)) packets += answering[i]!.answerBatch();
    }
    hasNapped = false;
    if (packets > 0) {
      answered += packets;
      empty = 0;
      if (packets > FEW) continue;
    } else if (++empty > EMPTY_MAX) return "pause";
    if (performance.now() >= turnAtMs) return "turn";
    if (!readiness.nap(NAP_MS)) return "wait";
    hasNapped = true;
  }
  return "turn";
}
