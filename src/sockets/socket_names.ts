/**
 * What a socket is called by its addresses, in Deno's words and in the kernel's: Deno doesn't tell a socket's descriptor,
 * so it is looked for among all of the process by its name.
 *
 * @module
 */
import { kernelNames } from "../kernel_text.ts";
import { formatIp, parseIp } from "../ip.ts";

/** `getsockname(2)` and `getpeername(2)`, which are alike. */
export const NAMING = { parameters: ["i32", "buffer", "buffer"], result: "i32" } as const;

/** One of the two, of a C library that is open. */
export type Naming = (fd: number, name: Uint8Array<ArrayBuffer>, size: Uint8Array<ArrayBuffer>) => number;

const AF_INET = 2;
const AF_INET6 = 10;
/** Size of `struct sockaddr_in6`, the larger one. */
const NAME_SIZE = 28;

/** An end of a socket of Deno's, address and port. */
export function nameOfEnd(end: Deno.Addr): string {
  const { hostname, port } = end as Deno.NetAddr;
  const bytes = parseIp(hostname);
  return `${bytes ? formatIp(bytes) : hostname} ${port}`;
}

/** The same of a descriptor; `null` = it is none of an internet socket, or has no such end. */
export function nameOfDescriptor(naming: Naming, fd: number): string | null {
  const name = new Uint8Array(NAME_SIZE);
  if (naming(fd, name, new Uint8Array(new Uint32Array([NAME_SIZE]).buffer)) !== 0) return null;
  const view = new DataView(name.buffer);
  const family = view.getUint16(0, true);
  if (family !== AF_INET && family !== AF_INET6) return null;
  const bytes = family === AF_INET ? name.slice(4, 8) : name.slice(8, 24);
  return `${formatIp(parseIp(formatIp(bytes))!)} ${view.getUint16(2)}`;
}

/** The descriptors of this process, those of files included; Linux only. */
export function* descriptors(): Generator<number> {
  for (const name of kernelNames("/proc/self/fd") ?? []) yield Number(name);
}
