/**
 * The kernel's table of TCP sockets, whosever they are, asked for those in one state.
 *
 * Beside clients that open a connection for each query the table has tens of thousands of sockets in TIME_WAIT. By `sock_diag(7)`
 * the kernel passes over them itself: beside 10,000 a look for those who are connecting takes 1.4 ms of a processor, one for listeners
 * 0.02 ms. Where that can't be had, in a kernel without it or a sandbox without `AF_NETLINK`, the same is read from the text in `/proc`,
 * which has a line for each (proc_pid_net(5)): 24 ms and 0.6 ms (2026-11, Linux 6).
 *
 * @module
 */
import { type Family, familyOf, parseIp, type SocketAddress } from "../ip.ts";
import { kernelText } from "../kernel_text.ts";
import { type Libc, openLibc } from "../libc.ts";

/** What a socket does: it waits for connections, or is one whose handshake hasn't ended. */
export type TcpState = "listening" | "connecting";

/** A socket of this machine. */
export interface TcpSocket {
  /** Its own end, as `endOf` writes it. */
  readonly local: string;
  /** Port of that. */
  readonly port: number;
  /** The other end. */
  readonly peer: string;
  /** Connections that wait to be accepted, of one that listens. */
  readonly queued: number;
  /** Its number, by which descriptors refer to it. */
  readonly inode: number;
}

/** Looks at the table. Disposing ends that. */
export class TcpTable implements Disposable {
  /** `null` = the text is read. */
  readonly #diag: SocketDiag | null = SocketDiag.open();

  /** Those in this state whose address is of this family, the ones of IPv4 on `::` among those of IPv6; `null` = the kernel doesn't tell. */
  inState(state: TcpState, family: Family): TcpSocket[] | null {
    return this.#diag?.inState(state, family) ?? inText(state, family);
  }

  /** Those that listen at exactly this address. */
  listenersAt(address: SocketAddress): TcpSocket[] {
    const here = endOf(address);
    return (this.inState("listening", familyAt(address)) ?? []).filter(({ local }) => local === here);
  }

  /** Closes what it asks by. */
  [Symbol.dispose](): void {
    this.#diag?.[Symbol.dispose]();
  }
}

/** The family that the kernel has an address under. */
export function familyAt({ hostname }: SocketAddress): Family {
  return familyOf(parseIp(hostname)!);
}

/** An address as sockets have it here: in hex, and the port. */
export function endOf({ hostname, port }: SocketAddress): string {
  return nameOf(parseIp(hostname)!, port);
}

function nameOf(bytes: Uint8Array, port: number): string {
  return `${bytes.toHex()} ${port}`;
}

/** TCP_LISTEN and TCP_SYN_RECV of the kernel. */
const STATE: Readonly<Record<TcpState, number>> = { listening: 10, connecting: 3 };

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const C = {
  AF_INET: 2,
  AF_INET6: 10,
  AF_NETLINK: 16,
  SOCK_RAW: 3,
  SOCK_CLOEXEC: 0o2000000,
  NETLINK_SOCK_DIAG: 4,
  IPPROTO_TCP: 6,
  MSG_DONTWAIT: 0x40,
  SOCK_DIAG_BY_FAMILY: 20,
  NLMSG_DONE: 3,
  /** `NLM_F_REQUEST | NLM_F_DUMP`. */
  REQUEST: 0x301,
} as const;

/** `struct nlmsghdr`: the length of the whole, its type, flags, a number that answers repeat, and whose it is. */
const HEADER = { length: 0, type: 4, flags: 6, number: 8, size: 16 } as const;
/** `struct inet_diag_req_v2` behind it: a bit for each state, and an end that is left empty. */
const REQUEST = { family: 16, protocol: 17, states: 20, size: 72 } as const;
/** `struct inet_diag_msg` behind it; ports and addresses in network order, all else in the machine's. */
const ANSWER = {
  ...{ state: 17, localPort: 20, peerPort: 22, local: 24, peer: 40 },
  ...{ queued: 72, inode: 84, size: 88 },
} as const;
/** The kernel fills no more at once. */
const CHUNK_BYTES = 32 * 1024;

/** The table by `sock_diag(7)`. */
export class SocketDiag implements Disposable {
  readonly #libc: Libc<typeof SYMBOLS>;
  readonly #fd: number;
  readonly #chunk = new Uint8Array(CHUNK_BYTES);
  #number = 0;

  private constructor(libc: Libc<typeof SYMBOLS>, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
  }

  /** `null` = there is none here. */
  static open(): SocketDiag | null {
    if (Deno.build.os !== "linux") return null;
    let libc: Libc<typeof SYMBOLS>;
    try {
      libc = openLibc(SYMBOLS);
    } catch {
      return null; // another C library
    }
    const fd = libc.symbols.socket(C.AF_NETLINK, C.SOCK_RAW | C.SOCK_CLOEXEC, C.NETLINK_SOCK_DIAG);
    if (fd >= 0) return new SocketDiag(libc, fd);
    libc.close();
    return null;
  }

  /** As `TcpTable` has it. */
  inState(state: TcpState, family: Family): TcpSocket[] | null {
    const { send, recv } = this.#libc.symbols;
    const number = ++this.#number;
    const request = requestOf(number, STATE[state], family);
    if (Number(send(this.#fd, request, BigInt(request.length), 0)) !== request.length) return null;
    const found: TcpSocket[] = [];
    for (;;) {
      // All that there is has been made by the time of the call: nothing is waited for.
      const size = Number(recv(this.#fd, this.#chunk, BigInt(CHUNK_BYTES), C.MSG_DONTWAIT));
      if (size <= 0) return null;
      const view = new DataView(this.#chunk.buffer, 0, size);
      for (let at = 0; at + HEADER.size <= size;) {
        const length = view.getUint32(at + HEADER.length, true);
        const type = view.getUint16(at + HEADER.type, true);
        // What a look before this one has left, which was broken off.
        const isOurs = view.getUint32(at + HEADER.number, true) === number;
        if (isOurs && type === C.NLMSG_DONE) return found;
        if (isOurs && type !== C.SOCK_DIAG_BY_FAMILY) return null;
        if (isOurs) found.push(socketAt(this.#chunk.subarray(at, at + length), family));
        at += length + 3 & ~3;
      }
    }
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.#libc.symbols.close(this.#fd);
    this.#libc.close();
  }
}

function requestOf(number: number, state: number, family: Family): Uint8Array<ArrayBuffer> {
  const request = new Uint8Array(REQUEST.size);
  const view = new DataView(request.buffer);
  view.setUint32(HEADER.length, REQUEST.size, true);
  view.setUint16(HEADER.type, C.SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(HEADER.flags, C.REQUEST, true);
  view.setUint32(HEADER.number, number, true);
  view.setUint8(REQUEST.family, family === 4 ? C.AF_INET : C.AF_INET6);
  view.setUint8(REQUEST.protocol, C.IPPROTO_TCP);
  view.setUint32(REQUEST.states, 1 << state, true);
  return request;
}

function socketAt(message: Uint8Array, family: Family): TcpSocket {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const size = family === 4 ? 4 : 16;
  const port = view.getUint16(ANSWER.localPort);
  return {
    local: nameOf(message.subarray(ANSWER.local, ANSWER.local + size), port),
    port,
    peer: nameOf(message.subarray(ANSWER.peer, ANSWER.peer + size), view.getUint16(ANSWER.peerPort)),
    queued: view.getUint32(ANSWER.queued, true),
    inode: view.getUint32(ANSWER.inode, true),
  };
}

const TEXTS: Readonly<Record<Family, string>> = { 4: "/proc/self/net/tcp", 6: "/proc/self/net/tcp6" };

/** The same by the text; listeners are the first in it, and the others aren't read for them. */
export function inText(state: TcpState, family: Family): TcpSocket[] | null {
  const isEnough = (text: string) => state === "listening" && ANOTHER_STATE.test(text);
  const text = kernelText(TEXTS[family], isEnough);
  if (text === null) return null;
  const found: TcpSocket[] = [];
  const mark = ` ${hexOf(STATE[state])} `;
  // No other line is taken apart.
  for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + 1)) {
    const end = text.indexOf("\n", at);
    const line = text.slice(text.lastIndexOf("\n", at) + 1, end < 0 ? text.length : end);
    const [, local, peer, its, queues, , , , , inode] = line.trim().split(/\s+/, 10);
    if (its !== mark.trim() || inode === undefined) continue;
    found.push({
      local: endIn(local!),
      port: portIn(local!),
      peer: endIn(peer!),
      queued: parseInt(queues!.slice(9), 16),
      inode: Number(inode),
    });
  }
  return found;
}

/** A whole line of a socket that doesn't listen. */
const ANOTHER_STATE = new RegExp(
  `^ *\\d+: \\S+ \\S+ (?!${hexOf(STATE.listening)} )[0-9A-F]{2} `,
  "m",
);

function hexOf(state: number): string {
  return state.toString(16).toUpperCase().padStart(2, "0");
}

/** `0100007F:0035` is 127.0.0.1:53: words in the machine's byte order, which is little-endian wherever this runs. */
function endIn(text: string): string {
  const words = Uint8Array.fromHex(text.slice(0, text.indexOf(":")));
  return nameOf(words.map((_, i) => words[i ^ 3]!), portIn(text));
}

function portIn(text: string): number {
  return parseInt(text.slice(text.indexOf(":") + 1), 16);
}
