/**
 * IP addresses and prefixes: text ↔ bytes, in network order.
 *
 * An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) is read as the IPv4 address it carries, because that is
 * how a dual-stack socket reports an IPv4 client; so no address has two forms inside the program.
 *
 * @module
 */

/** The two families, named by their version number. */
export type Family = 4 | 6;

/** A contiguous range of addresses that share their first `length` bits. */
export interface Prefix {
  /** How many bytes there are. */
  readonly family: Family;
  /** 4 or 16 bytes; the bits after `length` are zero. */
  readonly bytes: Uint8Array;
  /** 0–32 for IPv4, 0–128 for IPv6. */
  readonly length: number;
}

/** A host and a port, as in `127.0.0.1:53` or `[::1]:53`. */
export interface SocketAddress {
  /** An address, without brackets. */
  readonly hostname: string;
  /** 0–65535; 0 = any free one, where a socket is to be bound. */
  readonly port: number;
}

/**
 * Reads an IPv4 (dotted quad) or IPv6 (RFC 4291 §2.2) address.
 *
 * @returns 4 or 16 new bytes, or `null` when the text is no address; zones (`%eth0`) and leading zeros in a
 * quad (`010.0.0.1`) are refused, since readers disagree about them
 */
export function parseIp(text: string): Uint8Array | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Writes 4 or 16 bytes as text: dotted quad, or IPv6 in the canonical form of RFC 5952. */
export function formatIp(bytes: ArrayLike<number>): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  if (bytes.length !== 16) throw new RangeError(`Cannot format ${bytes.length} bytes as an IP address`);
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(bytes[i]! << 8 | bytes[i + 1]!);
  const gap = longestZeroRun(groups);
  const hex = (from: number, to: number) =>
    groups.slice(from, to).map((group) => group.toString(16)).join(":");
  return gap.length < 2 ? hex(0, 8) : `${hex(0, gap.start)}::${hex(gap.start + gap.length, 8)}`;
}

/**
 * The one spelling under which an address is stored and compared.
 *
 * @returns `null` when the text is no address
 */
export function canonicalIp(text: string): string | null {
  const bytes = parseIp(text);
  // A quad has one spelling only.
  if (bytes !== null && !text.includes(":")) return text;
  return bytes && formatIp(bytes);
}

/** The family of an address of 4 or 16 bytes. */
export function familyOf(bytes: Uint8Array): Family {
  return bytes.length === 4 ? 4 : 6;
}

/**
 * Reads `ADDRESS/LENGTH`; a bare address is a prefix of full length.
 *
 * @throws {SyntaxError} naming the part that is wrong; set bits behind the length are refused, because they
 * are nearly always a typing error
 */
export function parsePrefix(text: string): Prefix {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const bytes = parseIp(address);
  if (!bytes) throw new SyntaxError(`Cannot parse CIDR "${text}": "${address}" is not an IP address`);
  const bits = bytes.length * 8;
  const lengthText = slash < 0 ? String(bits) : text.slice(slash + 1);
  const length = /^\d{1,3}$/.test(lengthText) ? Number(lengthText) : NaN;
  if (!(length <= bits)) throw new SyntaxError(`Cannot parse CIDR "${text}": prefix must be 0–${bits}`);
  const masked = maskBits(bytes, length);
  if (masked.some((byte, i) => byte !== bytes[i])) {
    throw new SyntaxError(
      `Cannot parse CIDR "${text}": bits are set behind /${length}; did you mean ${
        formatIp(masked)
      }/${length}?`,
    );
  }
  return { family: familyOf(bytes), bytes, length };
}

/**
 * Reads a client subnet as a query carries it (RFC 7871): as `parsePrefix`, but an IPv4 address in IPv6 form is IPv6,
 * for then the family that is sent along is, too.
 *
 * @throws {SyntaxError} as `parsePrefix`
 */
export function parseSubnet(text: string): Prefix {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const bytes = address.includes(":") ? parseIp(address) : null;
  if (bytes?.length !== 4) return parsePrefix(text);
  const lengthText = slash < 0 ? "128" : text.slice(slash + 1);
  const length = /^\d{1,3}$/.test(lengthText) ? Number(lengthText) : NaN;
  if (!(length <= 128)) throw new SyntaxError(`Cannot parse CIDR "${text}": prefix must be 0–128`);
  const mapped = new Uint8Array(16);
  mapped.fill(0xff, 10, 12);
  mapped.set(bytes, 12);
  const masked = maskBits(mapped, length);
  if (masked.every((byte, i) => byte === mapped[i])) return { family: 6, bytes: mapped, length };
  throw new SyntaxError(
    `Cannot parse CIDR "${text}": bits are set behind /${length}; did you mean ${
      formatIp(masked)
    }/${length}?`,
  );
}

/** Writes a prefix as `ADDRESS/LENGTH`. */
export function formatPrefix(prefix: Prefix): string {
  return `${formatIp(prefix.bytes)}/${prefix.length}`;
}

/** Whether the address (4 or 16 bytes) lies in the prefix; an address of the other family never does. */
export function prefixContains(prefix: Prefix, address: Uint8Array): boolean {
  if (address.length !== prefix.bytes.length) return false;
  const whole = prefix.length >> 3;
  for (let i = 0; i < whole; i++) if (address[i] !== prefix.bytes[i]) return false;
  const rest = prefix.length & 7;
  return rest === 0 || ((address[whole]! ^ prefix.bytes[whole]!) >> (8 - rest)) === 0;
}

/** A copy of the address with every bit behind the first `length` cleared. */
export function maskBits(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.map((byte, i) => {
    const kept = Math.max(0, Math.min(8, length - i * 8));
    return byte & (0xff00 >> kept);
  });
}

/** Whether the address is a loopback one (127.0.0.0/8 or ::1). */
export function isLoopback(bytes: Uint8Array): boolean {
  return bytes.length === 4
    ? bytes[0] === 127
    : bytes[15] === 1 && bytes.subarray(0, 15).every((b) => b === 0);
}

/** What of an address counts as one client: of an IPv6 address the first 64 bits, which is what one customer has (RFC 6177). */
export function clientNetwork(address: string): string {
  const bytes = parseIp(address.replace(/%.*$/, ""));
  if (bytes === null || bytes.length === 4) return bytes ? formatIp(bytes) : address;
  return formatIp(maskBits(bytes, 64));
}

/**
 * Whether the address (4 or 16 bytes) is one host's, on this network or another: a global or a private one.
 *
 * Others are no place that a client elsewhere can be sent to: unspecified, loopback, link-local (it needs a zone, or means
 * another host on every link), multicast, reserved (240.0.0.0/4, the broadcast address among them), and IPv4 addresses in
 * disguise (`::/96`, `::ffff:0:0/96`).
 */
export function isUnicast(bytes: Uint8Array): boolean {
  return !NOWHERE.some((prefix) => prefixContains(prefix, bytes));
}

/** RFC 6890: not one host's, or not beyond a link. */
const NOWHERE = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/3",
  "::/96",
  "fe80::/10",
  "ff00::/8",
].map(parsePrefix).concat({
  // As text it is read as the IPv4 prefix that it carries.
  family: 6,
  bytes: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0),
  length: 96,
});

/**
 * Reads `ADDRESS:PORT`, with brackets around IPv6; the port may be left out where `defaultPort` is given.
 *
 * @throws {SyntaxError} naming what is wrong
 */
export function parseSocketAddress(text: string, defaultPort?: number): SocketAddress {
  const match = /^(?:\[([^\]]*)\]|([^:]*)|([0-9a-fA-F:.]*:[0-9a-fA-F:.]*))(?::(\d+))?$/.exec(text);
  const hostname = canonicalIp(match?.[1] ?? match?.[2] ?? match?.[3] ?? "");
  if (!match || hostname === null) {
    throw new SyntaxError(`Cannot parse "${text}": write ADDRESS:PORT, such as 127.0.0.1:5353 or [::1]:5353`);
  }
  const port = match[4] === undefined ? defaultPort : Number(match[4]);
  if (port === undefined || port > 65535) {
    throw new SyntaxError(`Cannot parse "${text}": the port must be 0–65535`);
  }
  return { hostname, port };
}

/** Writes a socket address, with brackets around IPv6. */
export function formatSocketAddress({ hostname, port }: SocketAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

function parseIpv4(text: string): Uint8Array | null {
  const number = ipv4Number(text);
  if (number < 0) return null;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) bytes[i] = number >>> (24 - 8 * i);
  return bytes;
}

/**
 * Reads a dotted quad digit by digit, without a regular expression, a string for each part or an array: nodes start with
 * millions of these.
 *
 * @returns the address as a number of 32 bits, or −1 when the text is none
 */
export function ipv4Number(text: string): number {
  const { length } = text;
  if (length < 7 || length > 15) return -1;
  let number = 0;
  let value = -1;
  let dots = 0;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x2e) {
      if (value < 0 || ++dots > 3) return -1;
      number = number * 256 + value;
      value = -1;
      continue;
    }
    if (code < 0x30 || code > 0x39 || value === 0) return -1;
    value = value < 0 ? code - 0x30 : value * 10 + code - 0x30;
    if (value > 255) return -1;
  }
  return dots === 3 && value >= 0 ? number * 256 + value : -1;
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = groupsOf(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1]!, true) : [];
  if (!head || !tail) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const bytes = new Uint8Array(groups.flatMap((group) => [group >> 8, group & 255]));
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  return mapped ? bytes.slice(12) : bytes;
}

/** The 16-bit groups of one side of `::`; a dotted quad may end the address. */
function groupsOf(text: string, last: boolean): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (last && i === parts.length - 1 && part.includes(".")) {
      const quad = parseIpv4(part);
      if (!quad) return null;
      groups.push(quad[0]! << 8 | quad[1]!, quad[2]! << 8 | quad[3]!);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(parseInt(part, 16));
    else return null;
  }
  return groups;
}

function longestZeroRun(groups: number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
