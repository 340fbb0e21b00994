/**
 * What must hold for any answer to any packet, judged by a reader of messages that shares nothing with the engine.
 *
 * @module
 */

/** What is said of a packet and its answer. */
export interface Exchanged {
  readonly query: Uint8Array;
  /** `null` = nothing was said. */
  readonly answer: Uint8Array | null;
  readonly stream: boolean;
}

/**
 * RCODEs that a query may earn: NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED, NOTAUTH, BADVERS, BADCOOKIE. SERVFAIL is a
 * fault of ours.
 */
const RCODES = [0, 1, 3, 4, 5, 9, 16, 23];
const FORMERR = 1;
const NOTIMP = 4;
const HEADER_SIZE = 12;
const TYPE_OPT = 41;
const OPTION_SUBNET = 8;
const OPTION_COOKIE = 10;
const CLIENT_COOKIE_SIZE = 8;
const COOKIES_SIZE = 24;

/** Says what is wrong with the answer; `null` = nothing. */
export function judge({ query, answer, stream }: Exchanged): string | null {
  if (answer === null) return mayBeAnswered(query) ? "a query was not answered" : null;
  if (!mayBeAnswered(query)) return "something that isn't a query was answered";
  if (answer.length < HEADER_SIZE) return `the answer has ${answer.length} bytes`;
  if (answer[0] !== query[0] || answer[1] !== query[1]) return "the identifier isn't the query's";
  if ((answer[2]! & 0x80) === 0) return "QR isn't set";
  if ((answer[2]! & 0x79) !== (query[2]! & 0x79)) return "opcode or RD isn't the query's";
  if ((answer[3]! & 0xf0) !== 0) return "RA, Z, AD or CD is set";
  const asked = read(query, false);
  const sizeMax = stream ? 65_535 : Math.min(1232, Math.max(512, asked?.optClass ?? 512));
  if (answer.length > sizeMax) return `the answer has ${answer.length} bytes, allowed are ${sizeMax}`;
  const said = read(answer, true);
  if (said === null) return "the answer can't be read";
  if (said.end !== answer.length) return `${answer.length - said.end} bytes follow the answer's last record`;
  if (said.opts > 1) return "the answer has several OPT records";
  if (said.opts === 1 && asked !== null && asked.opts === 0) return "the answer has OPT, the query hasn't";
  if (said.opts === 0 && asked !== null && asked.opts === 1 && !isNotImplemented(answer)) {
    if (asked.questions === 1 && (answer[3]! & 0x0f) !== FORMERR) {
      return "the query has OPT, the answer hasn't";
    }
  }
  const rcode = said.extendedRcode << 4 | answer[3]! & 0x0f;
  if (!RCODES.includes(rcode)) return `the RCODE is ${rcode}`;
  if (asked === null && rcode !== FORMERR && rcode !== NOTIMP) return `RCODE ${rcode} for what can't be read`;
  if (!said.subnetsFit) return "the answer's client subnet has another length than it says";
  if (said.cookie && !isCookieFor(said.cookie, asked)) return "the answer's cookie isn't for the query's";
  if (said.questions > 1) return `the answer has ${said.questions} questions`;
  for (let at = HEADER_SIZE; at < said.questionEnd; at++) {
    if (answer[at] !== query[at]) return "the question isn't the query's";
  }
  return null;
}

/** Whether it is a query as far as its header says; then something must be said to it, else nothing. */
export function mayBeAnswered(packet: Uint8Array): boolean {
  return packet.length >= HEADER_SIZE && (packet[2]! & 0x80) === 0;
}

/** A fault with the bytes that it takes to repeat it. */
export function describe(fault: string, query: Uint8Array, answer: Uint8Array | null): string {
  return `${fault}\n  packet ${query.toHex()}\n  answer ${answer?.toHex() ?? "none"}`;
}

/** Of a query that breaks off somewhere the cookie may have been read before. */
function isCookieFor(said: Uint8Array, asked: Message | null): boolean {
  if (said.length !== COOKIES_SIZE || asked === null) return said.length === COOKIES_SIZE;
  if (asked.cookie === null) return false;
  for (let i = 0; i < CLIENT_COOKIE_SIZE; i++) if (said[i] !== asked.cookie[i]) return false;
  return true;
}

function isNotImplemented(answer: Uint8Array): boolean {
  return (answer[3]! & 0x0f) === NOTIMP;
}

interface Message {
  readonly questions: number;
  readonly questionEnd: number;
  readonly opts: number;
  /** Of the last OPT: the sender's UDP size. */
  readonly optClass: number | undefined;
  readonly extendedRcode: number;
  /** Whether every client subnet is as long as its prefix says (RFC 7871 §6). */
  readonly subnetsFit: boolean;
  /** The first cookie. */
  readonly cookie: Uint8Array | null;
  /** Behind the last record. */
  readonly end: number;
}

/**
 * Reads a message as its counts say; `null` when it breaks off, or a name has no end.
 *
 * @param follow whether names are followed through their pointers; who only looks for OPT needn't
 */
function read(bytes: Uint8Array, follow: boolean): Message | null {
  if (bytes.length < HEADER_SIZE) return null;
  const count = (at: number) => bytes[at]! << 8 | bytes[at + 1]!;
  const questions = count(4);
  let at = HEADER_SIZE;
  for (let i = 0; i < questions; i++) {
    at = skipName(bytes, at, follow);
    if (at < 0 || at + 4 > bytes.length) return null;
    at += 4;
  }
  const questionEnd = at;
  let opts = 0;
  let optClass: number | undefined;
  let extendedRcode = 0;
  let subnetsFit = true;
  let cookie: Uint8Array | null = null;
  for (let left = count(6) + count(8) + count(10); left > 0; left--) {
    at = skipName(bytes, at, follow);
    if (at < 0 || at + 10 > bytes.length) return null;
    if (count(at) === TYPE_OPT) {
      opts++;
      optClass = count(at + 2);
      extendedRcode = bytes[at + 4]!;
    }
    const end = at + 10 + count(at + 8);
    if (end > bytes.length) return null;
    if (count(at) === TYPE_OPT) {
      subnetsFit = hasFittingSubnets(bytes.subarray(at + 10, end));
      cookie ??= cookieIn(bytes.subarray(at + 10, end));
    }
    at = end;
  }
  return { questions, questionEnd, opts, optClass, extendedRcode, subnetsFit, cookie, end: at };
}

function cookieIn(options: Uint8Array): Uint8Array | null {
  for (let at = 0; at + 4 <= options.length;) {
    const end = at + 4 + (options[at + 2]! << 8 | options[at + 3]!);
    if (options[at] === 0 && options[at + 1] === OPTION_COOKIE) return options.subarray(at + 4, end);
    at = end;
  }
  return null;
}

function hasFittingSubnets(options: Uint8Array): boolean {
  for (let at = 0; at < options.length;) {
    const [code, size] = [options[at + 1]!, options[at + 2]! << 8 | options[at + 3]!];
    const [family, length] = [options[at + 5]!, options[at + 6]!];
    at += 4 + size;
    if (code !== OPTION_SUBNET) continue;
    if (size !== 4 + Math.ceil(length / 8) || length > (family === 1 ? 32 : 128)) return false;
  }
  return true;
}

/** The position behind a name all of whose labels can be reached, or −1; pointers must point back (RFC 1035 §4.1.4). */
function skipName(bytes: Uint8Array, start: number, follow: boolean): number {
  let end = -1;
  let size = 0;
  let limit = start;
  for (let at = start;;) {
    const length = bytes[at];
    if (length === undefined) return -1;
    if (length === 0) return end < 0 ? at + 1 : end;
    if (length >= 0xc0) {
      if (!follow) return at + 2;
      if (end < 0) end = at + 2;
      const target = (length & 0x3f) << 8 | (bytes[at + 1] ?? 0);
      if (at + 1 >= bytes.length || target >= limit) return -1;
      limit = target;
      at = target;
      continue;
    }
    if (length > 63) return -1;
    size += length + 1;
    if (follow && size > 254) return -1;
    at += length + 1;
  }
}
