/**
 * Who is answered over DNS, and how much, as a part of a node: made of the settings, handed to the workers, and again
 * after each reload.
 *
 * @module
 */
import type { Rng } from "../clock.ts";
import { SECRET_SIZE } from "../dns/cookies.ts";
import type { Fleet } from "../dns/fleet.ts";
import type { LimitTerms, RateTerms } from "../dns/limits.ts";
import { rangesOf } from "../dns/prefix_ranges.ts";
import { createRateTable } from "../dns/rate_table.ts";
import { parsePrefix } from "../ip.ts";
import { Port } from "../port.ts";
import type { Settings } from "../settings/settings.ts";
import { partOf, type Start } from "./part.ts";

/** Where the workers find their limits. */
export const DNS_LIMITS: Port<DnsLimits> = new Port("limits of DNS");

/** The limits of a node. */
export class DnsLimits {
  /** Counted in by all workers, for as long as the node runs. */
  readonly #table: SharedArrayBuffer;
  /** As at the start: what is counted is by prefixes of one length. */
  readonly #prefixLengths: Pick<RateTerms, "ipv4PrefixLength" | "ipv6PrefixLength">;
  /** Where the settings have no secret: drawn once, so that a reload makes no cookie invalid. */
  readonly #ownSecret: Uint8Array<ArrayBuffer>;
  #terms: LimitTerms;
  #fleet: Pick<Fleet, "limit"> | null = null;

  /** Goes by these settings. */
  constructor(settings: Settings, rng: Rng, inheritedSecret: string | null = null) {
    this.#table = createRateTable(rng);
    this.#ownSecret = inheritedSecret === null
      ? crypto.getRandomValues(new Uint8Array(SECRET_SIZE))
      : Uint8Array.fromHex(inheritedSecret);
    const { ipv4PrefixLength, ipv6PrefixLength } = settings.dns.rateLimit;
    this.#prefixLengths = { ipv4PrefixLength, ipv6PrefixLength };
    this.#terms = this.#termsOf(settings);
  }

  /** With what cookies are made where the settings have no secret. */
  get ownSecret(): Uint8Array<ArrayBuffer> {
    return this.#ownSecret;
  }

  /** What rate limiting has counted so far; `null` = it is off. */
  get counted(): Uint8Array<ArrayBuffer> | null {
    return this.#terms.rate === null ? null : new Uint8Array(this.#table).slice();
  }

  /** Goes on from what another process has counted, before the first answer. */
  countFrom(counted: Uint8Array): void {
    if (counted.length === this.#table.byteLength) new Uint8Array(this.#table).set(counted);
  }

  /** Those of now. */
  get terms(): LimitTerms {
    return this.#terms;
  }

  /** Has workers that go by the terms of now go by later ones, too, until the result is disposed of. */
  attach(fleet: Pick<Fleet, "limit">): Disposable {
    this.#fleet = fleet;
    return { [Symbol.dispose]: () => this.#fleet = null };
  }

  /** Goes by other settings, what the workers count included. */
  use(settings: Settings): void {
    this.#terms = this.#termsOf(settings);
    this.#fleet?.limit(this.#terms);
  }

  #termsOf({ dns: { allow, deny, cookies, rateLimit, amplificationMax } }: Settings): LimitTerms {
    const { responsesPerSecond, slip } = rateLimit;
    const secrets = cookies.secret.map((secret) => Uint8Array.fromHex(secret));
    return {
      allow: rangesOf(allow.map(parsePrefix)),
      deny: rangesOf(deny.map(parsePrefix)),
      cookieSecrets: !cookies.enabled ? [] : secrets.length > 0 ? secrets : [this.#ownSecret],
      amplificationMax,
      rate: rateLimit.enabled
        ? {
          ...{ responsesPerSecond, slip, ...this.#prefixLengths },
          table: this.#table,
          exempt: rangesOf(rateLimit.exempt.map(parsePrefix)),
        }
        : null,
    };
  }
}

/** Makes the limits, and offers them to the workers. */
export const dnsLimits: Start = ({ settings, rng, ports, predecessor }) => {
  const limits = new DnsLimits(settings(), rng, predecessor?.state.cookieSecret);
  const offered = ports.offer(DNS_LIMITS, limits);
  return partOf("limits of DNS", {
    prepare: (next) => () => limits.use(next),
    end: () => offered[Symbol.dispose](),
  });
};
