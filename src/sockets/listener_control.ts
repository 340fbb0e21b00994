/**
 * What the kernel is told of listeners that Deno has bound, by their descriptors; on Linux with glibc. Elsewhere all of it
 * says that it can't be done.
 *
 * **Handing over a port.** Listeners with `SO_REUSEPORT` share a port, and the kernel deals new connections out among them
 * by a hash. A listener that is closed resets those that are in its queue or half way through their handshake: 116 of
 * 44,800 over 40 swaps under 64 busy clients. So the kernel is given a program of one instruction that chooses the newest
 * listener for whatever comes from now on, and the older one is closed when its queue has emptied: 0 of 46,336
 * (2026-11, Linux 6).
 *
 * **Clients that don't read.** Options that are set on a listener are inherited by its connections: how much the kernel
 * keeps for a client that doesn't read, and for how long.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import type { SocketAddress } from "../ip.ts";
import { kernelLinks } from "../kernel_text.ts";
import { findLibc, type Libc } from "../libc.ts";
import { descriptors, nameOfDescriptor, nameOfEnd, NAMING } from "./socket_names.ts";
import { familyAt, TcpTable } from "./tcp_table.ts";

/** What connections of a listener inherit. */
export interface Inherited {
  /** Milliseconds after which the kernel ends a connection whose client acknowledges nothing of what was sent. */
  readonly userTimeoutMs: number;
  /** Bytes that wait in the kernel for a client, about; the kernel doubles it for its own needs. */
  readonly sendBufferBytes: number;
}

const SYMBOLS = {
  getsockname: NAMING,
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_ACCEPTCONN = 30;
const SO_ATTACH_REUSEPORT_CBPF = 51;
const IPPROTO_TCP = 6;
const TCP_USER_TIMEOUT = 18;
/** `BPF_RET | BPF_K`: the result is a constant. */
const RETURN_CONSTANT = 0x06;

/** The C library, as far as listeners need it. Disposing closes it. */
export class ListenerControl implements Disposable {
  readonly #libc: Libc<typeof SYMBOLS> | null;

  /** Opens the library where there is one. */
  constructor() {
    this.#libc = findLibc(SYMBOLS);
  }

  /** Sets what connections of listeners inherit, as far as it can be set here. */
  inherit(addresses: readonly SocketAddress[], { userTimeoutMs, sendBufferBytes }: Inherited): void {
    for (const fd of this.#listenersAt(addresses).flat()) {
      this.#set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, words(userTimeoutMs));
      this.#set(fd, SOL_SOCKET, SO_SNDBUF, words(sendBufferBytes));
    }
  }

  /**
   * Has the kernel give each new connection to the listener of its address that was bound last, by this process or by
   * another one of its user. All of them must have been bound with `SO_REUSEPORT`. Where it can't be done the kernel goes
   * on dealing out.
   */
  steerToNewest(addresses: readonly SocketAddress[]): void {
    if (addresses.length === 0) return;
    using table = new TcpTable();
    for (const [i, [fd]] of this.#listenersAt(addresses).entries()) {
      const count = table.listenersAt(addresses[i]!).length;
      if (fd !== undefined && count > 1) this.#steerTo(count - 1, fd);
    }
  }

  /** @param number in the order in which they were bound */
  #steerTo(number: number, fd: number): void {
    const program = new Uint8Array(8);
    const view = new DataView(program.buffer);
    view.setUint16(0, RETURN_CONSTANT, true);
    view.setUint32(4, number, true);
    const head = new Uint8Array(16);
    const headView = new DataView(head.buffer);
    headView.setUint16(0, 1, true);
    headView.setBigUint64(8, Deno.UnsafePointer.value(Deno.UnsafePointer.of(program)), true);
    this.#set(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, head);
  }

  /** Closes the library. */
  [Symbol.dispose](): void {
    this.#libc?.close();
  }

  /** The descriptors of each address. Looking for one costs as much as looking for all. */
  #listenersAt(addresses: readonly SocketAddress[]): number[][] {
    if (this.#libc === null || addresses.length === 0) return [];
    const { getsockname, getsockopt } = this.#libc.symbols;
    const isListening = new Int32Array(1);
    const size = new Uint8Array(new Uint32Array([4]).buffer);
    const listening = [...descriptors()].filter((fd) => {
      const failed = getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, new Uint8Array(isListening.buffer), size);
      return failed === 0 && isListening[0] === 1;
    });
    const byName = Map.groupBy(listening, (fd) => nameOfDescriptor(getsockname, fd));
    return addresses.map((address) => byName.get(nameOfEnd({ transport: "tcp", ...address })) ?? []);
  }

  #set(fd: number, level: number, option: number, value: Uint8Array<ArrayBuffer>): void {
    this.#libc!.symbols.setsockopt(fd, level, option, value, value.length);
  }
}

/**
 * Resolves when whoever was connecting to one of these addresses at the time of the call has connected, or has given up: those get
 * to the listener that they began with, whichever the kernel gives new ones to. Where the kernel doesn't tell, and with
 * clients whose packets get lost, that is after `ARRIVAL_MS_MAX`.
 *
 * @param signal ends the wait
 */
export async function arrived(addresses: readonly SocketAddress[], signal: AbortSignal): Promise<void> {
  using table = new TcpTable();
  const untilMs = performance.now() + ARRIVAL_MS_MAX;
  let left = connectingTo(addresses, table);
  while (!signal.aborted && performance.now() < untilMs && left?.size !== 0) {
    await delay(ARRIVAL_LOOK_MS, undefined, { signal }).catch(() => {});
    left &&= left.intersection(connectingTo(addresses, table) ?? new Set());
  }
  // The last ones may be in the queue still: it is emptied in a turn or two, on a busy machine later.
  const emptyMs = performance.now() + QUEUE_MS_MAX;
  do {
    await delay(ARRIVAL_LOOK_MS, undefined, { signal }).catch(() => {});
  } while (!signal.aborted && performance.now() < emptyMs && areQueued(addresses, table));
}

/**
 * Resolves when but one listener is left at each of these addresses: whoever listens beside it then makes two, and the kernel
 * knows the newer one even when the older one is closed. Where the kernel doesn't tell, that is never.
 *
 * @param signal ends the wait
 */
export async function oneIsLeft(addresses: readonly SocketAddress[], signal: AbortSignal): Promise<void> {
  using table = new TcpTable();
  const isOne = (address: SocketAddress) => table.listenersAt(address).length === 1;
  while (!signal.aborted && !addresses.every(isOne)) {
    await delay(ARRIVAL_LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

/** Whether any connection waits for a listener of this process to accept it; it would be reset with the listener. */
function areQueued(addresses: readonly SocketAddress[], table: TcpTable): boolean {
  const queues = addresses.flatMap((address) => table.listenersAt(address))
    .filter(({ queued }) => queued > 0);
  if (queues.length === 0) return false;
  const own = new Set(kernelLinks(["/proc/self/fd"])[0]);
  return queues.some(({ inode }) => own.has(`socket:[${inode}]`));
}

/** Three seconds, in which the first packet of a handshake that was lost twice is sent again. */
export const ARRIVAL_MS_MAX = 3_000;
const ARRIVAL_LOOK_MS = 20;
/** Longest wait for connections that have come to be accepted. */
export const QUEUE_MS_MAX = 10_000;

/** Whoever is connecting to one of these addresses, by both ends; `null` = the kernel doesn't tell. */
function connectingTo(addresses: readonly SocketAddress[], table: TcpTable): Set<string> | null {
  // The local address of a connection is the one that its client chose, and of IPv4 on `::` a mapped one.
  const ports = new Set(addresses.map(({ port }) => port));
  const connecting = new Set<string>();
  for (const family of new Set(addresses.map(familyAt))) {
    const sockets = table.inState("connecting", family);
    if (sockets === null) return null;
    for (const { local, port, peer } of sockets) if (ports.has(port)) connecting.add(`${local} ${peer}`);
  }
  return connecting;
}

/**
 * Fails where another process, or another part of this one, listens on the address: sockets that share a port find each
 * other without a word.
 *
 * @throws {Deno.errors.AddrInUse | Deno.errors.PermissionDenied | Error} when it can't be had
 */
export function expectFree({ hostname, port }: SocketAddress): void {
  Deno.listen({ hostname, port }).close();
}

function words(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Int32Array([value]).buffer);
}
