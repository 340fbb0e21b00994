/**
 * Which backend a client's datagrams and connections go to: its primary, as long as that is there; else a backup, until the
 * primary is back. Pure; one method a moment.
 *
 * @module
 */
import { FEATURE } from "../wire/balancer_frames.ts";
import { type Backend, type Backends, type ControlSession, isUsable } from "./backends.ts";
import type { FrontLog } from "./front_log.ts";
import { NONE, type Remotes } from "./remotes.ts";

/** How often clients are forgotten, milliseconds. */
const EXPIRY_MS = 30_000;
/** How often clients are moved to backends that have few. */
const REBALANCE_MS = 15_000;
/** How often it is said that there is no backend. */
const TELL_MS = 5_000;
/** Clients looked at in one go when some are forgotten: 50 µs. */
const EXPIRY_SLICE = 4_096;

/** Clients and their backends. */
export class Affinity<Session extends ControlSession = ControlSession> {
  /** Clients forgotten. */
  expired = 0;
  /** Clients taken from their backend to be dealt out again. */
  rebalanced = 0;
  /** Choices for clients that no record was left for. */
  unrecorded = 0;
  /** Choices for which there was no backend. */
  unserved = 0;
  /** The record of the client chosen for last; -1 = it has none. */
  record: number = -1;
  readonly #backends: Backends<Session>;
  readonly #remotes: Remotes;
  readonly #log: FrontLog;
  #expireAtMs: number;
  #rebalanceAtMs: number;
  #toldMs = -Infinity;
  #isExpiring = false;

  /** Begins with the tables as they are. */
  constructor(
    backends: Backends<Session>,
    remotes: Remotes,
    { log, nowMs }: { readonly log: FrontLog; readonly nowMs: number },
  ) {
    this.#backends = backends;
    this.#remotes = remotes;
    this.#log = log;
    this.#expireAtMs = nowMs + EXPIRY_MS;
    this.#rebalanceAtMs = nowMs + REBALANCE_MS;
  }

  /** The backend for something of this client, 4 or 16 bytes; `null` = there is none. `record` is the client's then. */
  choose(address: Uint8Array, nowMs: number): Backend<Session> | null {
    const features = address.length === 16 ? FEATURE.address16 : 0;
    const record = this.record = this.#remotes.at(address, nowMs);
    const chosen = record < 0 ? this.#byHash(address, features) : this.#chooseFor(record, features);
    if (chosen === null) this.#tellOfNone(nowMs);
    return chosen;
  }

  /** Does what is due; once a second. */
  tick(nowMs: number): void {
    if (nowMs >= this.#expireAtMs) {
      this.#expireAtMs = nowMs + EXPIRY_MS;
      this.#remotes.beginExpiry(nowMs);
      this.#isExpiring = true;
    }
    if (nowMs >= this.#rebalanceAtMs) {
      this.#rebalanceAtMs = nowMs + REBALANCE_MS;
      this.#rebalance();
    }
  }

  /** Goes on with what is done in slices. @returns whether there is more */
  continue(): boolean {
    if (!this.#isExpiring) return false;
    return this.#isExpiring = this.#remotes.expire(EXPIRY_SLICE, (primary) => {
      this.expired++;
      this.#count(primary, -1);
    });
  }

  #chooseFor(record: number, features: number): Backend<Session> | null {
    const { primary, backup } = this.#remotes;
    const own = primary[record]!;
    if (own !== NONE) {
      const backend = this.#backends.byId(own);
      if (backend !== undefined && !backend.removed) {
        if (isUsable(backend, features)) {
          backup[record] = NONE;
          return backend;
        }
        const standIn = this.#backends.byId(backup[record]!);
        if (standIn !== undefined && isUsable(standIn, features)) return standIn;
        const next = this.#backends.select(features);
        backup[record] = next?.id ?? NONE;
        return next;
      }
    }
    const next = this.#backends.select(features);
    this.#assign(record, next?.id ?? NONE);
    return next;
  }

  #assign(record: number, id: number): void {
    this.#count(this.#remotes.primary[record]!, -1);
    this.#remotes.primary[record] = id;
    this.#remotes.backup[record] = NONE;
    this.#count(id, 1);
  }

  #count(id: number, by: number): void {
    const backend = this.#backends.byId(id);
    if (backend) backend.remotes += by;
  }

  /** Without a record, and still always the same one as long as backends stay as they are. */
  #byHash(address: Uint8Array, features: number): Backend<Session> | null {
    this.unrecorded++;
    const usable = this.#backends.all.filter((backend) => isUsable(backend, features));
    return usable[this.#remotes.hashOf(address) % usable.length] ?? null;
  }

  /**
   * Takes so many clients of the backend with most that it has no more than the one with fewest and the number of backends
   * together; they are dealt out when they come again.
   */
  #rebalance(): void {
    const ok = this.#backends.all.filter((backend) => backend.ok);
    if (ok.length === 0) return;
    const busiest = ok.reduce((most, backend) => backend.remotes > most.remotes ? backend : most);
    const least = Math.min(...ok.map(({ remotes }) => remotes));
    const excess = busiest.remotes - least - ok.length;
    if (excess <= 0) return;
    for (const record of this.#remotes.lowestOf(busiest.id, excess)) this.#assign(record, NONE);
    this.rebalanced += excess;
    busiest.log.info("rebalanced", { remotes: excess });
  }

  #tellOfNone(nowMs: number): void {
    this.unserved++;
    if (nowMs - this.#toldMs < TELL_MS) return;
    this.#toldMs = nowMs;
    this.#log.error("no backends available");
  }
}
