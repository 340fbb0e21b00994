/**
 * Tells other nodes what this one's own probes find: at once as an event, which costs no server a write, and as a value in the
 * bucket for nodes that come later. While there is no connection nothing is kept to be sent: the next one begins with all
 * that is true then.
 *
 * @module
 */
import { type Clock, rfc3339 } from "../clock.ts";
import type { LocalReport, LocalReports } from "../health/peers.ts";
import { inSlices, pacer } from "../slices.ts";
import type { ValueStore } from "./value_writer.ts";
import {
  encodeEvent,
  encodeValue,
  EVENT_ADDRESSES_MAX,
  EVENT_TARGETS_MAX,
  type Found,
  healthKey,
  seqDigest,
  SWEEP_MS,
  TARGETS_MAX,
  type WireNames,
  type WireTarget,
} from "./wire_format.ts";

/** How often a part of the sweep comes. */
const SWEEP_TICK_MS = 1_000;
/** Writes to the bucket under way at a time. */
const WRITES_MAX = 64;
/**
 * Values that are written as fast as can be, and how many a second of more. Events have said all of it before, and each
 * value costs the server a write and every node a message: of nodes that come together, with what they find at thousands of
 * addresses, these would be in the way of the events.
 */
const WRITES_AT_ONCE = 500;
const WRITES_PER_SECOND = 1_000;
/** Addresses of which a change is told at once; of more, in slices. */
const AT_ONCE_MAX = EVENT_ADDRESSES_MAX;
/** Wait after a write that failed; the next one finds the bucket again or fails as well. */
const RETRY_MS = 1_000;
/** How long keys are left alone that the last run wrote: most will be written by this one as well. */
const STRAY_MS = 60_000;
/** Keys of the last run that are deleted in a tick. */
const STRAYS_PER_TICK = 100;

/** What a publisher is made with. */
export interface PublisherNeeds {
  /** What the probes find. */
  readonly local: LocalReports;
  /** Of this node. */
  readonly node: string;
  /** Where it says what. */
  readonly names: WireNames;
  /** Of this process. */
  readonly boot: string;
  /** Paces what is repeated. */
  readonly clock: Clock;
  /** With what reports begin. */
  readonly seq: number;
  /** Counts an event. */
  readonly published: () => void;
  /** Counts a write to the bucket. */
  readonly written: (error: unknown) => void;
}

interface Own {
  seq: number;
  /** None of them with a `state` of `null`. */
  readonly targets: Map<string, LocalReport>;
}

/** What is known of an address, as an event has it. */
interface Addressed {
  readonly address: string;
  readonly seq: number;
  readonly targets: readonly WireTarget[];
}

/** Sends an event; gives whether it could. */
export type Send = (subject: string, payload: Uint8Array) => boolean;

/** Tells what is found. */
export class Publisher implements AsyncDisposable {
  readonly #needs: PublisherNeeds;
  readonly #own = new Map<string, Own>();
  readonly #ending = new AbortController();
  readonly #hearing: Disposable;
  readonly #sweeping: Promise<void>;
  #send: Send | null = null;
  #bucket: ValueStore | null = null;
  /** Addresses whose value isn't as it should be. */
  #unwritten: Set<string> = new Set();
  /** Addresses whose value is being written. */
  readonly #underWay = new Set<string>();
  /** Addresses of which a change is still to be told. */
  readonly #untold = new Set<string>();
  /** Addresses that the last run reported and this one hasn't. */
  readonly #strays = new Set<string>();
  /** Each writes one address after the other; those that have nothing left to write aren't counted. */
  readonly #writers = new Set<Promise<void>>();
  #writing = 0;
  /** Gives other work its turn between two writes. */
  readonly #turn: () => Promise<void>;
  /** Where writers are among what isn't written: to begin again each time would be to pass all that is gone. */
  #next: Iterator<string, undefined> | null = null;
  /** No write begins before, monotonic milliseconds. */
  #retryMs = -Infinity;
  /** When the next write is due at the pace that is kept with many, monotonic milliseconds. */
  #dueMs = -Infinity;
  #telling: Promise<void> = Promise.resolve();
  #isTelling = false;
  #cursor: Iterator<string> | null = null;
  #seq: number;

  /** Begins with what is known. */
  constructor(needs: PublisherNeeds) {
    this.#needs = needs;
    this.#seq = needs.seq;
    this.#turn = pacer({ clock: needs.clock, signal: this.#ending.signal });
    this.#note([...needs.local.reports()]);
    this.#hearing = needs.local.onReports((changed) => this.#tell(this.#note(changed)));
    this.#sweeping = this.#sweep();
  }

  /** Number of the last report. */
  get seq(): number {
    return this.#seq;
  }

  /** How many addresses this node reports. */
  get size(): number {
    return this.#own.size;
  }

  /** All that this node reports, in short. */
  get found(): Found {
    let [addresses, digest] = [0, 0];
    for (const { seq, targets } of this.#own.values()) {
      if (targets.size === 0) continue;
      addresses++;
      digest += seqDigest(seq);
    }
    return { addresses, digest };
  }

  /** Whether all of it is in the bucket. */
  get isWritten(): boolean {
    return this.#bucket !== null && this.#unwritten.size + this.#underWay.size === 0;
  }

  /** Sends all there is, and from now on what changes; resolves when all is on its way. */
  async connected(send: Send, signal: AbortSignal): Promise<void> {
    this.#send = send;
    await this.tellAll(signal);
  }

  /** Keeps what changes to itself. */
  disconnected(): void {
    this.#send = null;
    this.bucketClosed();
  }

  /** Sends all there is, as events. */
  async tellAll(signal: AbortSignal): Promise<void> {
    await inSlices(this.#tellInParts(this.#own.keys()), { clock: this.#needs.clock, signal });
  }

  /** Sends what isn't in the bucket yet, as events. */
  async tellUnwritten(signal: AbortSignal): Promise<void> {
    const addresses = this.#bucket === null ? this.#own.keys() : [...this.#unwritten, ...this.#underWay];
    await inSlices(this.#tellInParts(addresses), { clock: this.#needs.clock, signal });
  }

  /** Writes all there is to this bucket, and from now on what changes. */
  bucketOpened(bucket: ValueStore): void {
    this.#bucket = bucket;
    // As a whole: to add ten thousand one by one takes ten times as long.
    this.#unwritten = new Set([...this.#unwritten, ...this.#own.keys()]);
    this.#next = null;
    this.#write();
  }

  /** Writes nothing. */
  bucketClosed(): void {
    this.#bucket = null;
    this.#unwritten.clear();
  }

  /** Sees an address of this node's in the bucket: if it isn't reported any more it goes, in a while. */
  seen(address: string): void {
    if (!this.#own.has(address)) this.#strays.add(address);
  }

  /** Says nothing more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#hearing[Symbol.dispose]();
    this.#ending.abort();
    this.disconnected();
    await Promise.all([this.#sweeping, this.#telling, ...this.#writers]);
  }

  /** Takes what was found; gives the addresses. */
  #note(reports: readonly LocalReport[]): string[] {
    const touched = new Set<string>();
    for (const report of reports) {
      const { address, target, state } = report;
      const known = this.#own.get(address);
      const own: Own = known ?? { seq: 0, targets: new Map() };
      if (state === null) own.targets.delete(target);
      else own.targets.set(target, report);
      if (!known) this.#own.set(address, own);
      touched.add(address);
      this.#strays.delete(address);
    }
    // Counted up over all addresses: so one that goes and comes back isn't older than it was.
    for (const address of touched) this.#own.get(address)!.seq = ++this.#seq;
    return [...touched];
  }

  #tell(addresses: readonly string[]): void {
    const isSmall = addresses.length <= AT_ONCE_MAX;
    // A small change mustn't wait; what thousands of targets have in common does so in slices.
    if (isSmall) { for (const _ of this.#tellInParts(addresses)) { /* it is told */ } }
    else for (const address of addresses) this.#untold.add(address);
    if (this.#bucket !== null) {
      for (const address of addresses) this.#unwritten.add(address);
      this.#write();
    } else if (isSmall) { for (const address of addresses) this.#dropIfEmpty(address); }
    if (isSmall || this.#isTelling) return;
    this.#isTelling = true;
    this.#telling = this.#tellUntold();
  }

  async #tellUntold(): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#ending;
    // Whoever found it goes on first.
    await clock.sleep(0, signal);
    if (signal.aborted) return;
    await inSlices(this.#untoldInParts(), { clock, signal }).catch((error) => {
      if (!signal.aborted) throw error;
    });
  }

  *#untoldInParts(): Generator<void, void> {
    while (this.#untold.size > 0) {
      const part = [...this.#untold.values().take(EVENT_ADDRESSES_MAX)];
      for (const address of part) this.#untold.delete(address);
      yield* this.#tellInParts(part);
      for (const address of part) if (!this.#unwritten.has(address)) this.#dropIfEmpty(address);
      yield;
    }
    this.#isTelling = false;
  }

  *#tellInParts(addresses: Iterable<string>): Generator<void, void> {
    const parts = { v4: [] as Addressed[], v6: [] as Addressed[] };
    const counts = { v4: 0, v6: 0 };
    for (const address of addresses) {
      const own = this.#own.get(address);
      if (own === undefined) continue;
      const family = address.includes(":") ? "v6" : "v4";
      const targets = wireTargetsOf(own);
      parts[family].push({ address, seq: own.seq, targets });
      counts[family] += targets.length;
      if (parts[family].length < EVENT_ADDRESSES_MAX && counts[family] < EVENT_TARGETS_MAX) continue;
      this.#event(family, parts[family].splice(0));
      counts[family] = 0;
      yield;
    }
    this.#event("v4", parts.v4);
    this.#event("v6", parts.v6);
  }

  #event(family: "v4" | "v6", addresses: readonly Addressed[]): void {
    if (this.#send === null || addresses.length === 0) return;
    const { names, boot, published } = this.#needs;
    if (this.#send(names.health[family], encodeEvent(boot, addresses))) published();
  }

  #write(): void {
    if (this.#ending.signal.aborted) return;
    while (this.#writing < Math.min(WRITES_MAX, this.#unwritten.size)) {
      this.#writing++;
      const writer = this.#writeMany().finally(() => this.#writers.delete(writer));
      this.#writers.add(writer);
    }
  }

  /** Each write begins when another one is done, so that no turn of the event loop has very many of them. */
  async #writeMany(): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#ending;
    try {
      while (!signal.aborted) {
        const retryMs = this.#retryMs - clock.monotonicMs();
        if (retryMs > 0) await clock.sleep(retryMs, signal);
        else await this.#turn().catch(() => {}); // it is over
        if (this.#bucket === null || signal.aborted) return;
        const address = this.#nextUnwritten();
        if (address === null) return;
        this.#underWay.add(address);
        try {
          const aheadMs = this.#aheadMs();
          if (aheadMs > 0) await clock.sleep(aheadMs, signal);
          const bucket = this.#bucket;
          // If it was closed, the next one will have all that there is.
          if (bucket === null || signal.aborted) return;
          if (!await this.#writeOne(bucket, address)) this.#retryMs = clock.monotonicMs() + RETRY_MS;
        } finally {
          this.#underWay.delete(address);
        }
      }
    } finally {
      this.#writing--;
    }
  }

  /** How long a write must wait so that the pace is kept. */
  #aheadMs(): number {
    const nowMs = this.#needs.clock.monotonicMs();
    const dueMs = Math.max(this.#dueMs, nowMs - WRITES_AT_ONCE * WRITE_MS);
    this.#dueMs = dueMs + WRITE_MS;
    return dueMs - nowMs;
  }

  #nextUnwritten(): string | null {
    if (this.#unwritten.size === 0) return null;
    const address = (this.#next ??= this.#unwritten.values()).next().value;
    if (address === undefined) {
      this.#next = null;
      return this.#nextUnwritten();
    }
    this.#unwritten.delete(address);
    return address;
  }

  /** Whether it could be written; if not, it will be tried again. */
  async #writeOne(bucket: ValueStore, address: string): Promise<boolean> {
    const { node, boot, written } = this.#needs;
    const own = this.#own.get(address);
    const key = healthKey(node, address);
    const seq = own?.seq;
    try {
      if (own === undefined || own.targets.size === 0) await bucket.delete(key);
      else await bucket.put(key, encodeValue({ boot, seq: own.seq, targets: wireTargetsOf(own) }));
      written(null);
      if (own?.seq === seq) this.#dropIfEmpty(address);
      return true;
    } catch (error) {
      written(error);
      if (this.#bucket === bucket) this.#unwritten.add(address);
      return false;
    }
  }

  #dropIfEmpty(address: string): void {
    if (this.#own.get(address)?.targets.size === 0 && !this.#untold.has(address)) this.#own.delete(address);
  }

  async #sweep(): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#ending;
    const startedMs = clock.monotonicMs();
    while (!signal.aborted) {
      await clock.sleep(SWEEP_TICK_MS, signal);
      if (this.#bucket === null) continue;
      const share = Math.ceil(this.#own.size * SWEEP_TICK_MS / SWEEP_MS);
      for (let count = 0; count < share; count++) {
        const next = (this.#cursor ??= this.#own.keys()).next();
        if (next.done) this.#cursor = null;
        else this.#unwritten.add(next.value);
      }
      if (clock.monotonicMs() - startedMs > STRAY_MS) {
        for (const address of [...this.#strays.values().take(STRAYS_PER_TICK)]) {
          this.#strays.delete(address);
          this.#unwritten.add(address);
        }
      }
      this.#write();
    }
  }
}

/** Between two writes of many, milliseconds. */
const WRITE_MS = 1_000 / WRITES_PER_SECOND;

/** What is told of an address; others would take no more of it. */
function wireTargetsOf({ targets }: Own): WireTarget[] {
  return [...targets.values().take(TARGETS_MAX)].map(({ target, state, since }) => ({
    ...{ target, state: state! },
    since: rfc3339(since ?? 0),
  }));
}
