/**
 * Records at an authoritative server by dynamic update (RFC 2136), each message signed (RFC 8945).
 *
 * One message replaces a set if it still is what was read: the server compares, changes all of it or nothing, and no
 * reader ever finds the set empty. Single records would meet no conflict, but two servers that remove each other would
 * leave nothing. Messages go over TCP, so that a set of any size fits, and to the primary, since a secondary may lag.
 *
 * @module
 */
import type { Clock } from "../../clock.ts";
import { formatSocketAddress, type SocketAddress } from "../../ip.ts";
import { decodeMessage, encodeQuery, type Message } from "../../wire/message.ts";
import { isAtOrBelow, lowerCaseName, nameToWire, sameName } from "../../wire/name.ts";
import { rdataFromText } from "../../wire/rdata.ts";
import { RCODE, rcodeName, TYPE } from "../../wire/record_type.ts";
import { signMessage, TSIG_ERROR, type TsigKey, type TsigVerdict, verifyAnswer } from "../../wire/tsig.ts";
import { encodeUpdate, type UpdatedSet } from "../../wire/update.ts";
import type { Logger } from "../../telemetry/log.ts";
import {
  NO_RECORDS,
  type RecordManager,
  type RecordSet,
  RecordsRefused,
  type RecordType,
  refuseEmpty,
  sameValues,
  type WriteResult,
  type WriteTerms,
} from "../records.ts";

/** A server, and how it is spoken with. */
export interface Rfc2136Options {
  /** The primary. */
  readonly server: SocketAddress;
  /** The zone that the names are in. */
  readonly zone: string;
  /** Signs what is sent, and judges what comes back. */
  readonly key: TsigKey;
  /** Other servers of the zone, which a change has to reach before it is live. */
  readonly secondaries: readonly SocketAddress[];
  /** Time. */
  readonly clock: Clock;
  /** Told when a change isn't live after two minutes. */
  readonly log: Logger;
  /** Longest wait for an answer, milliseconds. */
  readonly timeoutMs?: number;
}

/** Longest wait for an answer, unless told otherwise. */
const TIMEOUT_MS = 5_000;

/** Longest wait for secondaries, milliseconds; then the change counts as live, as Route 53's driver has it. */
const LIVE_MAX_MS = 120_000;

/** Between looks at secondaries, milliseconds. */
const LIVE_PAUSE_MS = 500;

/** Records at one server. */
export class Rfc2136Records implements RecordManager {
  readonly #options: Rfc2136Options;
  readonly #timeoutMs: number;

  /** Sends nothing yet. */
  constructor(options: Rfc2136Options) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /** Asks the primary; only records of the name itself count. */
  async read(fqdn: string, type: RecordType, signal: AbortSignal): Promise<RecordSet> {
    const { zone } = this.#options;
    if (!isAtOrBelow(lowerCaseName(nameToWire(fqdn)), lowerCaseName(nameToWire(zone)))) {
      throw new RecordsRefused(`${fqdn} isn't in the zone ${zone} (fix agent.fqdn or agent.rfc2136.zone)`);
    }
    return setOf(await this.#ask({ name: fqdn, type: TYPE[type] }, signal), fqdn, type);
  }

  /** Sends one update that says what must be there; waiting ends when the secondaries have it. */
  async write(
    fqdn: string,
    type: RecordType,
    values: readonly string[],
    { ttl, wait, expected }: WriteTerms,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    refuseEmpty(fqdn, values);
    const replaced = { ...updatedSet(fqdn, type, values), ttl };
    const result = await this.#update({ fqdn, type, expected, replaced }, signal);
    if (result === "written" && wait) await this.#untilLive(signal);
    return result;
  }

  /** Sends one update, unless there was nothing to delete. */
  async delete(
    fqdn: string,
    type: RecordType,
    expected: RecordSet,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    if (expected.values.length === 0) return "written";
    const replaced = { ...updatedSet(fqdn, type, []), ttl: 0 };
    return await this.#update({ fqdn, type, expected, replaced }, signal);
  }

  /**
   * Finds out whether the key may update the zone there, and changes nothing.
   *
   * @throws {RecordsRefused} when something is set up wrongly
   */
  async check(fqdn: string, type: RecordType, signal: AbortSignal): Promise<void> {
    const expected = await this.read(fqdn, type, signal);
    // The set again in its own place: what is asked for permission is the change, and servers take this one for none.
    const replaced = { ...updatedSet(fqdn, type, expected.values), ttl: expected.ttl };
    await this.#update({ fqdn, type, expected, replaced }, signal);
  }

  async #update(
    { fqdn, type, expected, replaced }: {
      readonly fqdn: string;
      readonly type: RecordType;
      readonly expected: RecordSet;
      readonly replaced: UpdatedSet & { readonly ttl: number };
    },
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const { zone } = this.#options;
    const read = updatedSet(fqdn, type, expected.values);
    const { rcode } = await this.#exchange(
      (id) => encodeUpdate({ id, zone, expected: [read], replaced }),
      signal,
    );
    if (rcode === RCODE.NOERROR) return "written";
    if (rcode !== RCODE.NXRRSET && rcode !== RCODE.YXRRSET && rcode !== RCODE.NXDOMAIN) {
      throw this.#refusal(rcode, replaced.rdata.length);
    }
    if (rcode !== RCODE.YXRRSET) await this.#refuseWildcard({ fqdn, type, expected }, signal);
    return "changed";
  }

  /** What a wildcard gives can be read at a name and isn't there: no update of it would ever find what was read. */
  async #refuseWildcard(
    { fqdn, type, expected }: {
      readonly fqdn: string;
      readonly type: RecordType;
      readonly expected: RecordSet;
    },
    signal: AbortSignal,
  ): Promise<void> {
    if (expected.values.length === 0) return;
    if (!sameValues((await this.read(fqdn, type, signal)).values, expected.values)) return;
    const { zone } = this.#options;
    const none = updatedSet(fqdn, type, []);
    const absent = await this.#exchange(
      (id) => encodeUpdate({ id, zone, expected: [none], replaced: null }),
      signal,
    );
    if (absent.rcode !== RCODE.NOERROR) return;
    throw new RecordsRefused(
      `${fqdn} ${type} comes from a wildcard (give agent.fqdn a name of its own, such as by nsupdate)`,
    );
  }

  /** Waits until every secondary has at least the primary's serial number. */
  async #untilLive(signal: AbortSignal): Promise<void> {
    const { secondaries, clock, log } = this.#options;
    if (secondaries.length === 0) return;
    const serial = await this.#serial(this.#options.server, signal);
    const endMs = clock.monotonicMs() + LIVE_MAX_MS;
    for (const server of secondaries) {
      for (;;) {
        const at = await this.#serial(server, signal).catch(() => null);
        signal.throwIfAborted();
        if (serial === null || (at !== null && isAtLeast(at, serial))) break;
        if (clock.monotonicMs() >= endMs) {
          return log.warn("A secondary hasn't the change after two minutes", {
            server: formatSocketAddress(server),
            serial,
            at,
          });
        }
        await clock.sleep(LIVE_PAUSE_MS, signal);
        signal.throwIfAborted();
      }
    }
  }

  async #serial(server: SocketAddress, signal: AbortSignal): Promise<number | null> {
    const { answers } = await this.#ask({ name: this.#options.zone, type: TYPE.SOA, server }, signal);
    const soa = answers.find(({ type }) => type === TYPE.SOA);
    return soa === undefined ? null : new DataView(soa.rdata.buffer).getUint32(soa.rdata.length - 20);
  }

  async #ask(
    { name, type, server = this.#options.server }: {
      readonly name: string;
      readonly type: number;
      readonly server?: SocketAddress;
    },
    signal: AbortSignal,
  ): Promise<Message> {
    const query = (id: number) => encodeQuery({ id, name, type, rd: false });
    const isPrimary = server === this.#options.server;
    const message = await this.#exchange(query, signal, { server, isSigned: isPrimary });
    const { rcode } = message;
    if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) throw this.#refusal(rcode, 0);
    return message;
  }

  /** One message and its answer, over a connection of its own. */
  async #exchange(
    encode: (id: number) => Uint8Array,
    signal: AbortSignal,
    { server = this.#options.server, isSigned = true } = {},
  ): Promise<Message> {
    const { key, clock } = this.#options;
    const id = crypto.getRandomValues(new Uint16Array(1))[0]!;
    const message = encode(id);
    const signed = signMessage(message, key, Math.floor(clock.unixMs() / 1000));
    const bytes = isSigned ? signed.bytes : message;
    const answer = await sendOverTcp(bytes, { server, timeoutMs: this.#timeoutMs, signal });
    if (isSigned) this.#judge(verifyAnswer(answer, key, signed.mac), answer);
    const decoded = decodeMessage(answer);
    if (decoded.id === id && decoded.flags.qr) return decoded;
    throw new Error(`${formatSocketAddress(server)} answered something else than what it was asked`);
  }

  #judge(verdict: TsigVerdict | null, answer: Uint8Array): void {
    const { server, key, zone } = this.#options;
    const at = formatSocketAddress(server);
    const rcode = (answer[3] ?? 0) & 15;
    if (verdict?.isGenuine && verdict.error === TSIG_ERROR.NONE) return;
    switch (verdict?.error) {
      case TSIG_ERROR.BADSIG:
        throw new RecordsRefused(
          `${at} doesn't take the secret of the key ${key.name} (fix agent.rfc2136.secret)`,
        );
      case TSIG_ERROR.BADKEY:
        throw new RecordsRefused(
          `${at} doesn't know the key ${key.name} by ${key.algorithm}, or doesn't permit it this, or isn't the ` +
            `primary of ${zone} (fix agent.rfc2136.keyName, algorithm or server)`,
        );
      case TSIG_ERROR.BADTIME:
        if (verdict!.isGenuine) throw new RecordsRefused(clockWords(at, verdict!));
    }
    if (verdict === null && (rcode === RCODE.REFUSED || rcode === RCODE.NOTAUTH)) {
      throw this.#refusal(rcode, 0);
    }
    throw new RecordsRefused(
      `${at} answered ${rcodeName(rcode)} ${
        verdict === null ? "without a signature" : "with a wrong signature"
      } ` +
        "(is agent.rfc2136.server an authoritative server that takes TSIG?)",
    );
  }

  #refusal(rcode: number, count: number): Error {
    const { server, key, zone } = this.#options;
    const at = formatSocketAddress(server);
    switch (rcode) {
      case RCODE.REFUSED:
        return new RecordsRefused(
          `${at} refuses: the key ${key.name} isn't permitted to read or update ${zone} there ` +
            "(allow it at the server, or fix agent.rfc2136.keyName)",
        );
      case RCODE.NOTAUTH:
        return new RecordsRefused(
          `${at} isn't the primary of ${zone}, or the key ${key.name} isn't permitted to update it ` +
            "(fix agent.rfc2136.server or agent.rfc2136.zone)",
        );
      case RCODE.NOTZONE:
        return new RecordsRefused(`${at} says that the name isn't in ${zone} (fix agent.rfc2136.zone)`);
      case RCODE.NOTIMP:
        return new RecordsRefused(`${at} takes no dynamic updates (fix agent.rfc2136.server)`);
      case RCODE.SERVFAIL:
        if (count > BIND_RECORDS_MAX) {
          return new Error(
            `${at} failed to write ${count} addresses (BIND takes ${BIND_RECORDS_MAX} of a type: raise max-records-per-type)`,
          );
        }
    }
    return new Error(`${at} answered ${rcodeName(rcode)}`);
  }
}

/** BIND's `max-records-per-type` by default. */
const BIND_RECORDS_MAX = 100;

function clockWords(at: string, { signedAt, serverUnixSeconds }: TsigVerdict): string {
  const offS = serverUnixSeconds === null ? null : signedAt - serverUnixSeconds;
  const words = offS === null
    ? "differs by more than it may"
    : `is ${Math.abs(offS)} s ${offS > 0 ? "ahead of" : "behind"} it`;
  return `${at} refuses the time of the signature: this machine's clock ${words} (set the clock)`;
}

/** What stands at a name. @throws {RecordsRefused} when it is an alias */
function setOf({ answers }: Message, fqdn: string, type: RecordType): RecordSet {
  const name = lowerCaseName(nameToWire(fqdn));
  const own = answers.filter((record) => sameName(lowerCaseName(nameToWire(record.name)), name));
  if (own.some((record) => record.type === TYPE.CNAME)) {
    throw new RecordsRefused(
      `${fqdn} is an alias (CNAME), beside which no address can be (remove it, or give agent.fqdn another name)`,
    );
  }
  const records = own.filter((record) => record.type === TYPE[type]);
  if (records.length === 0) return NO_RECORDS;
  const values = records.map(({ rdata, data }) => type === "TXT" ? textOf(rdata) : data);
  return { values, ttl: Math.max(...records.map(({ ttl }) => ttl)) };
}

function updatedSet(fqdn: string, type: RecordType, values: readonly string[]): UpdatedSet {
  const rdata = values.map((value) => type === "TXT" ? textData(value) : rdataFromText(TYPE[type], value));
  return { name: fqdn, type: TYPE[type], rdata };
}

/** The strings of a TXT record as one text. */
function textOf(rdata: Uint8Array): string {
  let text = "";
  for (let at = 0; at < rdata.length; at += 1 + rdata[at]!) {
    text += new TextDecoder().decode(rdata.subarray(at + 1, at + 1 + rdata[at]!));
  }
  return text;
}

function textData(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  const parts: number[] = [];
  for (let at = 0; at < bytes.length || at === 0; at += 255) {
    const part = bytes.subarray(at, at + 255);
    parts.push(part.length, ...part);
  }
  return Uint8Array.from(parts);
}

/** Serial number arithmetic, RFC 1982 §3.2. */
function isAtLeast(serial: number, wanted: number): boolean {
  return ((serial - wanted) | 0) >= 0;
}

/** Sends a message, and gives what comes back. */
async function sendOverTcp(
  message: Uint8Array,
  { server, timeoutMs, signal }: {
    readonly server: SocketAddress;
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
  },
): Promise<Uint8Array> {
  const deadline = new AbortController();
  let connection: Deno.TcpConn | null = null;
  const end = () => {
    deadline.abort();
    connection?.close();
    connection = null;
  };
  const timer = setTimeout(end, timeoutMs);
  signal.addEventListener("abort", end);
  try {
    signal.throwIfAborted();
    const opened = connection = await Deno.connect({ ...server, signal: deadline.signal });
    const framed = new Uint8Array(2 + message.length);
    framed.set([message.length >> 8, message.length & 255]);
    framed.set(message, 2);
    for (let at = 0; at < framed.length;) at += await opened.write(framed.subarray(at));
    const [high, low] = await readExactly(opened, 2);
    return await readExactly(opened, high! << 8 | low!);
  } catch (error) {
    signal.throwIfAborted();
    const at = formatSocketAddress(server);
    if (deadline.signal.aborted) throw new Error(`${at} didn't answer within ${timeoutMs} ms`);
    throw new Error(`${at} can't be asked`, { cause: error });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    end();
  }
}

async function readExactly(connection: Deno.TcpConn, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const count = await connection.read(bytes.subarray(at));
    if (count === null) throw new Deno.errors.UnexpectedEof(`The connection was closed at byte ${at}`);
    at += count;
  }
  return bytes;
}
