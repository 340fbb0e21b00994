/**
 * Tells other nodes what this one's own probes find: at once as an event, which costs no server a write, and as a value in the
 * bucket for nodes that come later. While there is no connection nothing is kept to be sent: the next one begins with all
 * that is true then.
 *
 * @module
 */
import type { KV } from "@nats-io/kv";
import type { Clock } from "../clock.ts";
import type { LocalReport, LocalReports } from "../health/peers.ts";
import { inSlices } from "../slices.ts";
import {
  encodeEvent,
  encodeValue,
  EVENT_ADDRESSES_MAX,
  healthKey,
  SWEEP_MS,
  type WireNames,
  type WireTarget,
} from "./wire_format.ts";

/** How often a part of the sweep comes. */
const SWEEP_TICK_MS = 1_000;
/** Writes to the bucket under way at a time: enough for 10,000 in a second or two, and few beside probes. */
const WRITES_MAX = 64;
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
  readonly targets: Map<string, WireTarget>;
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
  #bucket: KV | null = null;
  /** Addresses whose value isn't as it should be. */
  readonly #unwritten = new Set<string>();
  /** Addresses that the last run reported and this one hasn't. */
  readonly #strays = new Set<string>();
  #writing: Promise<void> | null = null;
  #cursor: Iterator<string> | null = null;
  #seq: number;

  /** Begins with what is known. */
  constructor(needs: PublisherNeeds) {
    this.#needs = needs;
    this.#seq = needs.seq;
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

  /** Whether all of it is in the bucket. */
  get isWritten(): boolean {
    return this.#bucket !== null && this.#unwritten.size === 0;
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

  /** Writes all there is to this bucket, and from now on what changes. */
  bucketOpened(bucket: KV): void {
    this.#bucket = bucket;
    for (const address of this.#own.keys()) this.#unwritten.add(address);
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
    await Promise.all([this.#sweeping, this.#writing]);
  }

  /** Takes what was found; gives the addresses. */
  #note(reports: readonly LocalReport[]): string[] {
    const touched = new Set<string>();
    for (const { address, target, state, since } of reports) {
      const known = this.#own.get(address);
      const own: Own = known ?? { seq: 0, targets: new Map() };
      if (state === null) own.targets.delete(target);
      else own.targets.set(target, { target, state, since: new Date(since ?? 0).toISOString() });
      if (!known) this.#own.set(address, own);
      touched.add(address);
      this.#strays.delete(address);
    }
    // Counted up over all addresses: so one that goes and comes back isn't older than it was.
    for (const address of touched) this.#own.get(address)!.seq = ++this.#seq;
    return [...touched];
  }

  #tell(addresses: readonly string[]): void {
    for (const _ of this.#tellInParts(addresses)) { /* a change is small, and mustn't wait */ }
    if (this.#bucket !== null) {
      for (const address of addresses) this.#unwritten.add(address);
      this.#write();
    } else for (const address of addresses) this.#dropIfEmpty(address);
  }

  *#tellInParts(addresses: Iterable<string>): Generator<void, void> {
    const parts = { v4: [] as Addressed[], v6: [] as Addressed[] };
    for (const address of addresses) {
      const own = this.#own.get(address);
      if (own === undefined) continue;
      const family = address.includes(":") ? "v6" : "v4";
      parts[family].push({ address, seq: own.seq, targets: [...own.targets.values()] });
      if (parts[family].length < EVENT_ADDRESSES_MAX) continue;
      this.#event(family, parts[family].splice(0));
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
    this.#writing ??= this.#writeAll().finally(() => this.#writing = null);
  }

  async #writeAll(): Promise<void> {
    const { clock } = this.#needs;
    while (this.#bucket !== null && this.#unwritten.size > 0) {
      const bucket = this.#bucket;
      const part = [...this.#unwritten.values().take(WRITES_MAX)];
      for (const address of part) this.#unwritten.delete(address);
      const done = await Promise.all(part.map((address) => this.#writeOne(bucket, address)));
      if (done.every((isDone) => isDone)) continue;
      await clock.sleep(RETRY_MS, this.#ending.signal);
    }
  }

  /** Whether it could be written; if not, it will be tried again. */
  async #writeOne(bucket: KV, address: string): Promise<boolean> {
    const { node, boot, written } = this.#needs;
    const own = this.#own.get(address);
    const key = healthKey(node, address);
    const seq = own?.seq;
    try {
      if (own === undefined || own.targets.size === 0) await bucket.delete(key);
      else await bucket.put(key, encodeValue({ boot, seq: own.seq, targets: [...own.targets.values()] }));
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
    if (this.#own.get(address)?.targets.size === 0) this.#own.delete(address);
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
