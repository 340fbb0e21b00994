/**
 * Packets that the kernel dropped because a socket's buffer was full: the ones that can't be counted elsewhere.
 *
 * Linux keeps the figure for each UDP socket in `/proc/net/udp` and `/proc/net/udp6`, as the last column of the line
 * that begins with the socket's local address in hex.
 *
 * @module
 */
import { parseIp, type SocketAddress } from "../ip.ts";
import { kernelTexts } from "../kernel_text.ts";

const TABLES = ["/proc/net/udp", "/proc/net/udp6"];

/** Packets dropped so far on these addresses, all sockets together; `null` where the system doesn't tell. */
export function kernelDrops(addresses: readonly SocketAddress[]): number | null {
  const texts = kernelTexts(TABLES);
  // A kernel without IPv6 has the first alone; /proc may be hidden from a sandboxed service.
  return texts[0] === null ? null : dropsIn(texts.join("\n"), addresses);
}

/** The sum over the lines of these addresses; exported for its test. */
export function dropsIn(text: string, addresses: readonly SocketAddress[]): number {
  const wanted = new Set(addresses.map(inHex));
  let drops = 0;
  for (const line of text.split("\n")) {
    const columns = line.trim().split(/\s+/);
    if (wanted.has(columns[1] ?? "")) drops += Number(columns.at(-1));
  }
  return drops;
}

/** An address as the kernel writes it: 32-bit words in the machine's byte order, which is little-endian here. */
function inHex({ hostname, port }: SocketAddress): string {
  const bytes = parseIp(hostname)!;
  let hex = "";
  for (let word = 0; word < bytes.length; word += 4) {
    for (let i = 3; i >= 0; i--) hex += bytes[word + i]!.toString(16).padStart(2, "0");
  }
  return `${hex}:${port.toString(16).padStart(4, "0")}`.toUpperCase();
}
