/**
 * Domain names: presentation text ↔ wire bytes.
 *
 * Wire form is a run of labels, each a length octet (1–63) and its bytes, ended by the root's 0; 255 bytes at
 * most in all. Names here are never compressed. A label may hold any byte: what isn't plain in text is written
 * `\.` or `\DDD` (decimal), so text → wire → text loses nothing. Since a length octet is below 64, lower-casing
 * a name may treat all of its bytes alike.
 *
 * Sources: RFC 1035 §3.1, §5.1; RFC 4343 (case and escapes).
 *
 * @module
 */

/** Most bytes of a label, RFC 1035 §2.3.4. */
export const LABEL_SIZE_MAX = 63;

/** Most bytes of a name in wire form, the root's 0 included, RFC 1035 §2.3.4. */
export const NAME_SIZE_MAX = 255;

/**
 * Reads a name in presentation form.
 *
 * A name that doesn't end in an unescaped dot is completed with `origin`; without an origin it counts as
 * complete. With an origin, `@` stands for it (RFC 1035 §5.1).
 *
 * @returns new bytes, case kept
 * @throws {SyntaxError} naming the fault
 *
 * @example
 * ```ts
 * nameToWire("www", nameToWire("example.com")); // 3www7example3com0
 * ```
 */
export function nameToWire(text: string, origin?: Uint8Array): Uint8Array {
  if (text === ".") return ROOT.slice();
  if (text === "@" && origin) return origin.slice();
  if (text === "") throw faultOf(text, "it is empty; write . for the root");
  const wire = nameBeingRead;
  let length = 1;
  let labelStart = 0;
  let absolute = false;
  for (let at = 0; at < text.length;) {
    absolute = text.charCodeAt(at) === 0x2e;
    if (absolute) {
      if (length === labelStart + 1) throw faultOf(text, "a label is empty; write one dot between labels");
      wire[labelStart] = length - labelStart - 1;
      labelStart = length++;
      at++;
    } else {
      const { byte, size } = readByte(text, at);
      if (length - labelStart > LABEL_SIZE_MAX) throw faultOf(text, "a label is longer than 63 bytes");
      wire[length++] = byte;
      at += size;
    }
    // The octet at `length` is still to come: the root's 0 or the next label's length.
    if (length > NAME_SIZE_MAX) throw faultOf(text, "it is longer than 255 bytes");
  }
  if (absolute) {
    wire[labelStart] = 0;
    return wire.slice(0, length);
  }
  wire[labelStart] = length - labelStart - 1;
  const suffix = origin ?? ROOT;
  if (length + suffix.length > NAME_SIZE_MAX) {
    throw faultOf(
      text,
      origin ? `with its origin "${wireToName(origin)}" it is longer than 255 bytes` : TOO_LONG,
    );
  }
  wire.set(suffix, length);
  return wire.slice(0, length + suffix.length);
}

/**
 * Writes the uncompressed name at `offset` in presentation form, without a final dot except for the root `.`.
 *
 * Bytes that a zone file or a shell would misread are escaped: `\` before `. \ " ( ) ; @ $`, and `\DDD` for
 * everything that isn't printable ASCII.
 *
 * @throws {SyntaxError} when the bytes end early, or hold a compression pointer
 */
export function wireToName(bytes: Uint8Array, offset = 0): string {
  let text = "";
  for (let at = offset;;) {
    const size = bytes[at];
    if (size === undefined) throw new SyntaxError(`The name at byte ${offset} isn't ended by a root label`);
    if (size > LABEL_SIZE_MAX) {
      throw new SyntaxError(`The name at byte ${offset} has a label octet ${size} > 63`);
    }
    if (size === 0) return text === "" ? "." : text.slice(0, -1);
    if (at + size >= bytes.length) throw new SyntaxError(`The name at byte ${offset} ends within a label`);
    for (let i = at + 1; i <= at + size; i++) text += ESCAPED[bytes[i]!];
    text += ".";
    at += size + 1;
  }
}

/**
 * The same as `wireToName`, but always with a final dot, so that no origin is added when it is read again.
 *
 * @throws {SyntaxError} when the bytes are no whole uncompressed name
 */
export function wireToAbsoluteName(bytes: Uint8Array, offset = 0): string {
  const text = wireToName(bytes, offset);
  return text === "." ? text : `${text}.`;
}

/** A copy with A–Z lower-cased and every other byte kept (RFC 4343 §3.2); takes whole names in wire form. */
export function lowerCaseName(wire: Uint8Array): Uint8Array {
  return wire.map((byte) => byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte);
}

/**
 * Bytes that the uncompressed name at `offset` takes, the root's 0 included.
 *
 * @throws {SyntaxError} when there is no whole name of at most 255 bytes
 */
export function nameSize(bytes: Uint8Array, offset = 0): number {
  for (let at = offset;;) {
    const size = bytes[at];
    if (size === undefined || size > LABEL_SIZE_MAX) {
      throw new SyntaxError(`There is no whole uncompressed name at byte ${offset}`);
    }
    at += size + 1;
    if (at - offset > NAME_SIZE_MAX) {
      throw new SyntaxError(`The name at byte ${offset} is longer than 255 bytes`);
    }
    if (size === 0) return at - offset;
  }
}

/**
 * Reads a name in a message, following compression pointers (RFC 1035 §4.1.4).
 *
 * Each pointer must lead to before the labels that it ends, so a loop is impossible and the work is bounded by
 * the message's size.
 *
 * @returns a new uncompressed name, case kept, and where what follows it in the message begins
 * @throws {SyntaxError} when there is no whole name of at most 255 bytes
 */
export function readCompressedName(message: Uint8Array, offset: number): { name: Uint8Array; end: number } {
  const name = new Uint8Array(NAME_SIZE_MAX);
  let length = 0;
  let end = -1;
  let segmentStart = offset;
  for (let at = offset;;) {
    const size = message[at];
    if (size === undefined) throw new SyntaxError(`The name at byte ${offset} isn't ended by a root label`);
    if (size >= 0xc0) {
      const target = (size & 0x3f) << 8 | (message[at + 1] ?? 0);
      if (at + 1 >= message.length || target >= segmentStart) {
        throw new SyntaxError(
          `The compression pointer at byte ${at} leads to byte ${target}, which isn't before it`,
        );
      }
      if (end < 0) end = at + 2;
      at = segmentStart = target;
      continue;
    }
    if (size > LABEL_SIZE_MAX) {
      throw new SyntaxError(`The name at byte ${offset} has a label octet ${size} > 63`);
    }
    if (at + size >= message.length) throw new SyntaxError(`The name at byte ${offset} ends within a label`);
    if (length + size + 1 > NAME_SIZE_MAX) {
      throw new SyntaxError(`The name at byte ${offset} is longer than 255 bytes`);
    }
    name.set(message.subarray(at, at + size + 1), length);
    length += size + 1;
    at += size + 1;
    if (size === 0) return { name: name.slice(0, length), end: end < 0 ? at : end };
  }
}

/** Where each label begins (its length octet), from the leftmost; the root's 0 is not counted. */
export function labelOffsets(wire: Uint8Array): number[] {
  const offsets: number[] = [];
  for (let at = 0; wire[at] !== 0 && at < wire.length; at += wire[at]! + 1) offsets.push(at);
  return offsets;
}

/** Whether two names in wire form are the same bytes; lower-case both first where case must not count. */
export function sameName(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Whether `name` is `ancestor` or below it; both lower-case wire form. */
export function isAtOrBelow(name: Uint8Array, ancestor: Uint8Array): boolean {
  const start = name.length - ancestor.length;
  if (start < 0) return false;
  for (let i = 0; i < ancestor.length; i++) if (name[start + i] !== ancestor[i]) return false;
  // The bytes alone could also match in the middle of a label.
  let at = 0;
  while (at < start) at += name[at]! + 1;
  return at === start;
}

/** Whether the leftmost label is `*` (RFC 4592 §2.1.1). */
export function isWildcard(wire: Uint8Array): boolean {
  return wire[0] === 1 && wire[1] === 0x2a;
}

/** The bytes as a string of one character each: a key for `Map` and `Set`, and nothing to show to people. */
export function nameKey(wire: Uint8Array): string {
  return String.fromCharCode(...wire);
}

/**
 * Checks the name of a service or a zone and brings it into the one form in which it is stored.
 *
 * Allowed are letters, digits, `-` and `_`, and `*` as the whole first label; a final dot is dropped.
 *
 * @returns lower-case, without a final dot
 * @throws {SyntaxError} naming the fault and, for an internationalised name, its ASCII form
 */
export function checkDomain(text: string): string {
  const domain = (text.endsWith(".") ? text.slice(0, -1) : text).toLowerCase();
  if (domain === "") {
    throw new SyntaxError(`Cannot use "${text}" as a domain: write a name such as www.example.com`);
  }
  for (const [i, label] of domain.split(".").entries()) {
    if (i === 0 && label === "*" && domain.length > 1) continue;
    const fault = faultOfLabel(label, domain);
    if (fault !== null) throw new SyntaxError(`Cannot use "${text}" as a domain: ${fault}`);
  }
  // Every label's dot becomes its length octet; the first length octet and the root's 0 come on top.
  if (domain.length + 2 > NAME_SIZE_MAX) {
    throw new SyntaxError(`Cannot use "${text}" as a domain: it is longer than 253 characters`);
  }
  return domain;
}

/** One for all: a buffer of this size costs more than a name, and what is handed out is a copy. */
const nameBeingRead = new Uint8Array(NAME_SIZE_MAX);

/** The root's wire form; only read. */
const ROOT = new Uint8Array(1);

const TOO_LONG = "it is longer than 255 bytes";

/** The text of each of the 256 bytes inside a label. */
const ESCAPED: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  if (byte <= 0x20 || byte >= 0x7f) return `\\${String(byte).padStart(3, "0")}`;
  const char = String.fromCharCode(byte);
  return '.\\"();@$'.includes(char) ? `\\${char}` : char;
});

/** The byte that the character or escape at `at` stands for, and how many characters write it. */
function readByte(text: string, at: number): { byte: number; size: number } {
  const code = text.charCodeAt(at);
  if (code > 0x7f) throw faultOf(text, "it is not ASCII; write an internationalised name in its xn-- form");
  if (code !== 0x5c) return { byte: code, size: 1 };
  const next = text.charCodeAt(at + 1);
  if (Number.isNaN(next)) throw faultOf(text, "it ends in a lone backslash; write \\\\ for one");
  if (next > 0x7f) throw faultOf(text, "it is not ASCII; write an internationalised name in its xn-- form");
  if (next < 0x30 || next > 0x39) return { byte: next, size: 2 };
  const digits = text.slice(at + 1, at + 4);
  if (!/^\d{3}$/.test(digits) || Number(digits) > 255) {
    throw faultOf(text, `"\\${digits}" is no escape; write \\DDD with three decimal digits up to 255`);
  }
  return { byte: Number(digits), size: 4 };
}

function faultOfLabel(label: string, domain: string): string | null {
  if (label === "") return "a label is empty; write one dot between labels";
  if (label.length > LABEL_SIZE_MAX) return `the label "${label}" is longer than 63 characters`;
  if (/^[a-z0-9_-]+$/.test(label)) return null;
  if (label.includes("*")) return 'a "*" may only be the whole first label, as in *.example.com';
  const ascii = asciiFormOf(domain);
  if (ascii !== null) return `write its ASCII form ${ascii}`;
  return `"${label}" may hold only letters, digits, - and _`;
}

/** The punycode form of a name with letters outside ASCII, or `null` when it has none. */
function asciiFormOf(domain: string): string | null {
  if (!/\P{ASCII}/u.test(domain)) return null;
  const url = `http://${domain}/`;
  const host = URL.canParse(url) ? new URL(url).hostname : "";
  return /^[a-z0-9_.-]+$/.test(host) ? host : null;
}

function faultOf(text: string, fault: string): SyntaxError {
  return new SyntaxError(`Cannot read the name "${text}": ${fault}`);
}
