/**
 * What stands between a client and the engine, in this order: the lists of prefixes, the cookie, and on the finished
 * answer the rate and the ceiling on its size. Each costs less than what comes behind it, and what proves an address comes
 * before what doubts it.
 *
 * | limit | to which clients | what they get |
 * | --- | --- | --- |
 * | `deny` | all | nothing |
 * | `allow` | all | REFUSED |
 * | rate, amplification | over UDP, without a valid cookie | a short answer, or nothing |
 *
 * A short answer says TC, so that the client comes back over TCP; where there is a cookie to come back with, it says
 * BADCOOKIE (RFC 7873 §5.2.3), which takes one datagram less.
 *
 * @module
 */
import { RCODE } from "../wire/record_type.ts";
import { Cookies } from "./cookies.ts";
import { COUNTER } from "./counters.ts";
import type { Client } from "./engine.ts";
import { isEmpty, isInRanges, type PrefixRanges } from "./prefix_ranges.ts";
import type { Query } from "./query.ts";
import { RateTable } from "./rate_table.ts";

/** What workers are told; plain data. */
export interface LimitTerms {
  /** Clients that are answered; none = all clients. */
  readonly allow: PrefixRanges;
  /** Clients that get nothing, whatever `allow` says. */
  readonly deny: PrefixRanges;
  /** Secrets of cookies, the newest first (`Cookies`); none = cookies are ignored. */
  readonly cookieSecrets: readonly Uint8Array[];
  /** Bytes of an answer for a byte of its query, 2 or more; `null` = as it comes. */
  readonly amplificationMax: number | null;
  /** `null` = answers aren't counted. */
  readonly rate: RateTerms | null;
}

/** Response rate limiting. */
export interface RateTerms {
  /** What all workers count in (`createRateTable`). */
  readonly table: SharedArrayBuffer;
  /** Answers a second made of the same, for one prefix. */
  readonly responsesPerSecond: number;
  /** Of the answers beyond, every n-th is sent short; 0 = none. */
  readonly slip: number;
  /** Bits of an IPv4 address that count. */
  readonly ipv4PrefixLength: number;
  /** The same of an IPv6 address. */
  readonly ipv6PrefixLength: number;
  /** Clients whose answers aren't counted. */
  readonly exempt: PrefixRanges;
}

/** The engine, as far as limits go. */
export interface LimitedEngine {
  /** The query that was read under a number; the cookie of its answer is written there. */
  queryAt(number: number): Query;
  /** Has a query that was read well be answered with this RCODE and nothing else. */
  refuse(number: number, rcode: number): void;
  /** What the last answer was made of: the same number for equal answers, and for all names of a zone that don't exist. */
  readonly subject: number;
  /**
   * Makes of the last answer one without records: truncated where the RCODE is NOERROR. An error stays what it is.
   *
   * @returns its bytes
   */
  shorten(packet: Uint8Array, rcode: number): number;
}

/** No client is limited, and there are no cookies. */
export const NO_LIMITS: LimitTerms = {
  allow: { four: new Uint32Array(0), six: new Uint32Array(0) },
  deny: { four: new Uint32Array(0), six: new Uint32Array(0) },
  cookieSecrets: [],
  amplificationMax: null,
  rate: null,
};

/** The limits of one worker. */
export class Limits {
  readonly #terms: LimitTerms;
  readonly #engine: LimitedEngine;
  readonly #lane: Uint32Array;
  readonly #unixMs: () => number;
  /** `null` = cookies are ignored. */
  readonly #cookies: Cookies | null;
  readonly #table: RateTable | null;
  readonly #denies: boolean;
  readonly #allows: boolean;
  #nowSeconds = 0;
  /** Whether the client at hand has proved its address. */
  #isVerified = false;
  /** Whether its query carries a cookie. */
  #hasCookie = false;

  /**
   * Limits what an engine answers.
   *
   * @param lane gets the counts
   * @param unixMs the worker's own clock, the same for all workers
   */
  constructor(
    terms: LimitTerms,
    { engine, lane, unixMs }: {
      readonly engine: LimitedEngine;
      readonly lane: Uint32Array;
      readonly unixMs: () => number;
    },
  ) {
    this.#terms = terms;
    this.#engine = engine;
    this.#lane = lane;
    this.#unixMs = unixMs;
    this.#cookies = terms.cookieSecrets.length > 0 ? new Cookies(terms.cookieSecrets) : null;
    this.#table = terms.rate && new RateTable(terms.rate.table);
    this.#denies = !isEmpty(terms.deny);
    this.#allows = !isEmpty(terms.allow);
    this.tick();
  }

  /** Whether queries are read for their cookies. */
  get takesCookies(): boolean {
    return this.#cookies !== null;
  }

  /**
   * Looks at the clock: once before a batch.
   *
   * @returns what it says, Unix milliseconds; `null` = no limit goes by it
   */
  tick(): number | null {
    if (this.#cookies === null && this.#table === null) return null;
    const unixMs = this.#unixMs();
    this.#nowSeconds = Math.floor(unixMs / 1000);
    return unixMs;
  }

  /** Whether a client gets nothing, which is counted. */
  denies(client: Client): boolean {
    if (!this.#denies || !isInRanges(this.#terms.deny, client.address())) return false;
    this.#lane[COUNTER.denied]!++;
    return true;
  }

  /**
   * What comes before the answer to a query that was read.
   *
   * @returns false = say nothing
   */
  admit(number: number, packet: Uint8Array, client: Client): boolean {
    if (this.denies(client)) return false;
    if (this.#allows && !isInRanges(this.#terms.allow, client.address())) {
      this.#lane[COUNTER.notAllowed]!++;
      this.#engine.refuse(number, RCODE.REFUSED);
    }
    this.#isVerified = client.stream;
    const query = this.#engine.queryAt(number);
    this.#hasCookie = query.hasCookie;
    if (query.hasCookie) this.#judgeCookie(number, query, packet, client);
    return true;
  }

  #judgeCookie(number: number, query: Query, packet: Uint8Array, client: Client): void {
    const { cookieAt, cookieSize, serverCookie } = query;
    const address = client.address();
    const verdict = this.#cookies!.judge(
      packet,
      cookieAt,
      cookieSize,
      address,
      this.#nowSeconds,
      serverCookie,
    );
    query.echoesCookie = verdict === "current";
    if (verdict === "current" || verdict === "valid") {
      this.#isVerified = true;
      this.#lane[COUNTER.cookiesValid]!++;
    } else if (verdict === "new") this.#lane[COUNTER.cookiesNew]!++;
    else {
      this.#lane[COUNTER.cookiesInvalid]!++;
      // Who asks for nothing but a cookie hears whether its own is good (RFC 7873 §5.4).
      if (query.questionEnd === 0) this.#engine.refuse(number, RCODE.BADCOOKIE);
    }
  }

  /**
   * What becomes of a finished answer to the query admitted last.
   *
   * @param length bytes of the query
   * @param size bytes of the answer, 1 or more
   * @returns bytes to send; 0 = say nothing
   */
  release(packet: Uint8Array, length: number, client: Client, size: number): number {
    if (this.#isVerified) return size;
    const { amplificationMax } = this.#terms;
    if (this.#table !== null) {
      const over = this.#over(this.#table, this.#terms.rate!, client);
      const { slip } = this.#terms.rate!;
      if (over > 0) {
        if (slip === 0 || over % slip !== 0) {
          this.#lane[COUNTER.rateDropped]!++;
          return 0;
        }
        this.#lane[COUNTER.rateSlipped]!++;
        return this.#shorten(packet);
      }
    }
    if (amplificationMax === null || size <= amplificationMax * length) return size;
    this.#lane[COUNTER.amplificationCut]!++;
    return this.#shorten(packet);
  }

  /** By how many answers the client is over its rate, 0 or more. */
  #over(table: RateTable, rate: RateTerms, client: Client): number {
    const address = client.address();
    if (isInRanges(rate.exempt, address)) return 0;
    const length = address.length === 4 ? rate.ipv4PrefixLength : rate.ipv6PrefixLength;
    const count = table.count(this.#engine.subject, address, length, this.#nowSeconds);
    return Math.max(0, count - rate.responsesPerSecond);
  }

  #shorten(packet: Uint8Array): number {
    if (this.#hasCookie) this.#lane[COUNTER.badCookies]!++;
    return this.#engine.shorten(packet, this.#hasCookie ? RCODE.BADCOOKIE : RCODE.NOERROR);
  }
}
