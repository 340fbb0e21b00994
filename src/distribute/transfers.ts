/**
 * What the local PowerDNS transfers, as far as it can be known: it is asked for a transfer, goes about it behind that call, and
 * says nowhere whether it came to anything.
 *
 * ```text
 * retrieve ─▶ PowerDNS ─▶ our listener: begins … ends, with the serial that was sent ─▶ PowerDNS stores it ─▶ it answers it
 * ```
 *
 * What of that may not happen, as PowerDNS 4.7.3 is:
 *
 * - It drops what it is asked for while a transfer of the zone goes on, until that is stored: so it is asked again.
 * - It gives up after ten seconds of silence (`axfr-fetch-timeout`), and what it refuses to store it just forgets: so
 *   storing is waited for as long as it may well take, and not longer.
 * - It transfers by itself when it is time to refresh a zone: the serial that is stored need not be the one that was waited for.
 *
 * When it has stored a zone it lets go of what it has kept of answers of the zone, and notes the time (`last_check`, whole
 * seconds), which tells where the serial doesn't. So a serial that wasn't there before is looked for in answers first, which
 * costs PowerDNS far less than its API; what isn't answered soon is looked for in the API. An answer that is being made while
 * the zone is stored may be kept behind its letting go, and given for as long as it keeps answers (`cache-ttl`,
 * `query-cache-ttl`, 20 s): one of a thousand samples was that late. So it is told once more to let go when the zone is stored.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { ApiZone, PowerDns } from "./powerdns.ts";
import type { SerialSource } from "./serial_query.ts";

/** Longest wait for PowerDNS to come for a zone that it was told to transfer, milliseconds. */
const BEGIN_MS = 15_000;
/** After so long it is told again; the wait doubles. */
const AGAIN_FIRST_MS = 250;
/** The same where it has stored the zone a moment ago: it may just not have been done with that yet. */
const AGAIN_SOON_MS = 30;
/** Longest that a transfer takes which has begun: the provider's answer and the connection both have their time, too. */
const TRANSFER_MAX_MS = 120_000;
/** Longest wait for PowerDNS to have stored what was sent, milliseconds, beside … */
const STORE_MS = 3_000;
/** … so many times what sending it took: a million records take a minute. */
const STORE_FACTOR = 20;
/** Until the first look whether it has, and between the next two. */
const LOOK_MS = 15;
/** Looks at answers before the API is asked. */
const ANSWERS_MAX = 4;
/** Between two looks whether a transfer goes on. */
const QUIET_MS = 10;
/** The longest time between two looks. */
const LOOK_MAX_MS = 500;
/** What a transfer gets to be stored in where nothing shows it, milliseconds, beside the time that sending took. */
const GRACE_MS = 150;

/** What is known of a zone. */
interface Known {
  /** Transfers that go on. */
  underway: number;
  /** Told of the next one that begins and ends; `null` = it failed. */
  readonly waiting: Set<{ isBegun: boolean; tell: (sent: Sent | null) => void }>;
  /** The last one that was sent whole, until it is known to be stored, or to be lost. */
  unstored: Sent | null;
}

/** A zone that was sent. */
export interface Sent {
  /** In its SOA record. */
  readonly serial: number;
  /** When all of it was sent, monotonic milliseconds. */
  readonly endedMs: number;
  /** By the clock of this machine, which PowerDNS goes by. */
  readonly endedUnixSeconds: number;
  /** Since PowerDNS came for it, milliseconds. */
  readonly tookMs: number;
}

/** What a zone was before a transfer. */
export type Before = Pick<ApiZone, "serial" | "lastCheck">;

/** Transfers of the local PowerDNS. */
export class Transfers {
  readonly #powerDns: Pick<PowerDns, "secondaryZone" | "retrieve" | "flush">;
  readonly #serials: SerialSource;
  readonly #clock: Clock;
  readonly #zones = new Map<string, Known>();

  /** None goes on. */
  constructor({ powerDns, serials, clock }: {
    readonly powerDns: Pick<PowerDns, "secondaryZone" | "retrieve" | "flush">;
    readonly serials: SerialSource;
    readonly clock: Clock;
  }) {
    this.#powerDns = powerDns;
    this.#serials = serials;
    this.#clock = clock;
  }

  /** Zones of which something is remembered. */
  get size(): number {
    return this.#zones.size;
  }

  /** PowerDNS has come for the zone. @returns to be told the end: the serial when all of it was sent, else `null` */
  begins(zone: string): (serial: number | null) => void {
    const clock = this.#clock;
    const known = this.#known(zone);
    const served = [...known.waiting];
    for (const waiter of served) waiter.isBegun = true;
    known.underway++;
    const fromMs = clock.monotonicMs();
    return (serial) => {
      known.underway--;
      const endedMs = clock.monotonicMs();
      const endedUnixSeconds = Math.floor(clock.unixMs() / 1000);
      const sent = serial === null ? null : { serial, endedMs, endedUnixSeconds, tookMs: endedMs - fromMs };
      if (sent !== null) known.unstored = sent;
      for (const waiter of served) waiter.tell(sent);
      this.#forget(zone);
    };
  }

  /**
   * Has PowerDNS transfer the zone.
   *
   * @param isSoon whether it has stored the zone within the last seconds
   * @returns what was sent, `null` = nothing was
   * @throws {PowerDnsError}
   */
  async retrieve(zone: string, signal: AbortSignal, isSoon = false): Promise<Sent | null> {
    const clock = this.#clock;
    const { promise, resolve } = Promise.withResolvers<Sent | null>();
    const { waiting } = this.#known(zone);
    const ended = new AbortController();
    const waiter = {
      isBegun: false,
      tell: (sent: Sent | null) => {
        ended.abort("told"); // without a reason an exception is made
        resolve(sent);
      },
    };
    waiting.add(waiter);
    const stop = () => {
      ended.abort();
      resolve(null);
    };
    signal.addEventListener("abort", stop);
    try {
      if (signal.aborted) stop();
      const end = ended.signal;
      const deadlineMs = clock.monotonicMs() + BEGIN_MS;
      for (
        let againMs = isSoon ? AGAIN_SOON_MS : AGAIN_FIRST_MS;
        !end.aborted && !waiter.isBegun;
        againMs *= 2
      ) {
        const leftMs = deadlineMs - clock.monotonicMs();
        if (leftMs <= 0) break;
        await this.#powerDns.retrieve(zone);
        await clock.sleep(Math.min(againMs, leftMs), end);
      }
      if (!end.aborted && waiter.isBegun) await clock.sleep(TRANSFER_MAX_MS, end);
      if (!end.aborted) resolve(null);
      return await promise;
    } finally {
      signal.removeEventListener("abort", stop);
      waiting.delete(waiter);
      this.#forget(zone);
    }
  }

  /** Resolves when no transfer of the zone goes on. */
  async quiet(zone: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (this.#zones.get(zone)?.underway ?? 0) > 0) {
      await this.#clock.sleep(QUIET_MS, signal);
    }
  }

  /**
   * Waits until PowerDNS has stored what was sent last. Whatever comes of it, it is waited for once.
   *
   * @param before the zone as it was before the transfer, if that is known: what is the same again shows nothing
   * @param limitMs it isn't waited longer, even where storing may well take longer
   * @returns `false` = it hasn't, in a time in which it would have
   */
  async stored(
    zone: string,
    before: Before | null,
    signal: AbortSignal,
    limitMs = Infinity,
  ): Promise<boolean> {
    let answered = 0;
    for (let waitMs = LOOK_MS; !signal.aborted; waitMs = Math.min(waitMs * 2, LOOK_MAX_MS)) {
      const sent = this.#zones.get(zone)?.unstored;
      if (!sent) return true;
      const sinceMs = this.#clock.monotonicMs() - sent.endedMs;
      // Storing takes a while, and looking has its price: a thousand zones are looked at by few threads.
      await this.#clock.sleep(waitMs === LOOK_MS ? LOOK_MS - sinceMs : waitMs, signal);
      if (signal.aborted) break;
      if (before !== null && before.serial !== sent.serial && answered < ANSWERS_MAX) {
        answered++;
        if (await this.#serials.serial(zone) !== sent.serial) continue;
        this.#settle(zone, sent);
        await this.#powerDns.flush(zone);
        return true;
      }
      const found = await this.#powerDns.secondaryZone(zone);
      const passedMs = this.#clock.monotonicMs() - sent.endedMs;
      const isStored = isStoredIn(found, sent, { before, passedMs });
      if (isStored || passedMs > Math.min(limitMs, STORE_MS + STORE_FACTOR * sent.tookMs)) {
        this.#settle(zone, sent);
        if (isStored) await this.#powerDns.flush(zone);
        return isStored;
      }
    }
    return false;
  }

  #settle(zone: string, sent: Sent): void {
    const known = this.#zones.get(zone);
    if (known?.unstored === sent) known.unstored = null;
    this.#forget(zone);
  }

  #known(zone: string): Known {
    let known = this.#zones.get(zone);
    if (known === undefined) {
      known = { underway: 0, waiting: new Set(), unstored: null };
      this.#zones.set(zone, known);
    }
    return known;
  }

  /** Lets go of what is known of a zone when nothing depends on it. */
  #forget(zone: string): void {
    const known = this.#zones.get(zone);
    const isIdle = known?.underway === 0 && known.waiting.size === 0;
    if (isIdle && known.unstored === null) this.#zones.delete(zone);
  }
}

function isStoredIn(
  found: ApiZone | null,
  sent: Sent,
  { before, passedMs }: { readonly before: Before | null; readonly passedMs: number },
): boolean {
  if (found === null) return true;
  const isSame = found.serial === sent.serial;
  if (isSame && before !== null && before.serial !== sent.serial) return true;
  // A transfer before it, in the same second, shows the same time.
  const { endedUnixSeconds } = sent;
  const sinceSeconds = before === null ? endedUnixSeconds : Math.max(before.lastCheck, endedUnixSeconds - 1);
  if (found.lastCheck > sinceSeconds) return true;
  return isSame && passedMs > GRACE_MS + sent.tookMs;
}
