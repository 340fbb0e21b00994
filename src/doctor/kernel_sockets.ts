/**
 * Which sockets this machine has and which programs hold them, from `/proc/net` and descriptors in `/proc`. `ss(8)` and `lsof(8)`
 * read the same, but aren't everywhere.
 *
 * A line of `/proc/net/udp` or `tcp` has, among others, the local address as hex words in the machine's byte order, the
 * peer's, the state, the user and the number of the inode; a descriptor of a process is a link to `socket:[INODE]`
 * (proc(5), proc_pid_net(5)).
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { formatIp, parseIp, type SocketAddress } from "../ip.ts";
import { kernelLinks, kernelNames, kernelText } from "../kernel_text.ts";

/** Protocols of sockets. */
export type Protocol = "UDP" | "TCP";

/** A socket that waits for whoever comes. */
export interface KernelSocket {
  /** By which protocol. */
  readonly protocol: Protocol;
  /** Where. */
  readonly address: SocketAddress;
  /** Number of the user whose it is. */
  readonly uid: number;
  /** Its number, by which descriptors refer to it. */
  readonly inode: string;
}

/** A program that holds a socket. */
export interface Holder {
  /** Number of the process. */
  readonly pid: number;
  /** Its name, of 15 characters at most. */
  readonly program: string;
}

const TABLES: readonly (readonly [file: string, protocol: Protocol])[] = [
  ["/proc/net/udp", "UDP"],
  ["/proc/net/udp6", "UDP"],
  ["/proc/net/tcp", "TCP"],
  ["/proc/net/tcp6", "TCP"],
];
/** TCP_LISTEN of the kernel, in hex. */
const LISTENING = "0A";

/** The sockets of this machine, as far as they wait for whoever comes; none where the system doesn't tell. */
export function kernelSockets(): KernelSocket[] {
  // Another system, or a kernel without IPv6, has no such file.
  return TABLES.flatMap(([file, protocol]) => socketsIn(kernelText(file) ?? "", protocol));
}

/** The sockets of one table; exported for its test. */
export function socketsIn(text: string, protocol: Protocol): KernelSocket[] {
  return text.split("\n").slice(1).flatMap((line) => {
    const [, local, peer, state, , , , uid, , inode] = line.trim().split(/\s+/);
    if (local === undefined || inode === undefined) return [];
    const isWaiting = protocol === "TCP" ? state === LISTENING : /:0000$/.test(peer ?? "");
    return isWaiting ? [{ protocol, address: addressOf(local), uid: Number(uid), inode }] : [];
  });
}

/** `0100007F:0035` is 127.0.0.1:53: words in the machine's byte order, which is little-endian wherever Deno runs. */
function addressOf(hex: string): SocketAddress {
  const [words = "", port = ""] = hex.split(":");
  const bytes = new Uint8Array(words.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i ^ 3] = parseInt(words.slice(2 * i, 2 * i + 2), 16);
  }
  return { hostname: formatIp(bytes), port: parseInt(port, 16) };
}

/** Whether a socket at one address keeps another one off the other. */
export function collide(a: SocketAddress, b: SocketAddress): boolean {
  if (a.port !== b.port) return false;
  const [one, other] = [parseIp(a.hostname)!, parseIp(b.hostname)!];
  const covers = (wide: Uint8Array, narrow: Uint8Array) =>
    isUnspecified(wide) && wide.length >= narrow.length;
  return covers(one, other) || covers(other, one) || formatIp(one) === formatIp(other);
}

/** `0.0.0.0` or `::`, which takes IPv4, too. */
function isUnspecified(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** A machine may have a million descriptors: who isn't found by then stays unknown, and the port is taken all the same. */
const SEARCH_MS_MAX = 1_000;
/** Processes that are looked at in one go. */
const TOGETHER = 64;

/**
 * Who holds these sockets, by inode. Processes of others show their descriptors to root only, so there may be sockets of
 * which nothing is known.
 */
export async function holdersOf(
  inodes: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Holder>> {
  const holders = new Map<string, Holder>();
  const left = new Set(inodes);
  const endMs = performance.now() + SEARCH_MS_MAX;
  const pids = processes();
  for (let at = 0; at < pids.length && left.size > 0; at += TOGETHER) {
    await setImmediate(); // a running node may ask
    if (signal.aborted || performance.now() > endMs) break;
    const some = pids.slice(at, at + TOGETHER);
    // None of another user's, and of a process that has ended.
    for (const [i, links] of kernelLinks(some.map((pid) => `/proc/${pid}/fd`)).entries()) {
      for (const link of links) {
        const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
        if (inode === undefined || !left.delete(inode)) continue;
        holders.set(inode, { pid: some[i]!, program: programOf(some[i]!) });
      }
    }
  }
  return holders;
}

/** Who keeps this process off an address; `null` = it can't be known, or it is free. */
export async function holderAt(address: SocketAddress): Promise<Holder | null> {
  const held = kernelSockets().filter((socket) => collide(address, socket.address));
  const { signal } = new AbortController();
  const holders = await holdersOf(new Set(held.map(({ inode }) => inode)), signal);
  return [...holders.values()].find(({ pid }) => pid !== Deno.pid) ?? null;
}

/** The numbers of all processes. */
export function processes(): number[] {
  return (kernelNames("/proc") ?? []).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** The name of a process, of 15 characters at most; empty when it has ended. */
export function programOf(pid: number): string {
  return (kernelText(`/proc/${pid}/comm`) ?? "").trim();
}

/** What a user is called on this machine; the number where the machine's own list doesn't know it (passwd(5)). */
export async function userName(uid: number): Promise<string> {
  const list = await Deno.readTextFile("/etc/passwd").catch(() => "");
  const line = list.split("\n").map((each) => each.split(":")).find(([, , number]) => number === String(uid));
  return line?.[0] ?? String(uid);
}
