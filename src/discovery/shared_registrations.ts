/**
 * What is registered with each node of a cluster, found at all of them: a node keeps its own registrations as values for the
 * others, as long as it lives.
 *
 * ```text
 * provider files ─▶ own() ─┬▶ changes of the catalog, ids as NODE/ID
 *                          └▶ values, each with the instances of one part ─▶ (other nodes)
 * (other nodes) ─▶ values ──▶ changes of the catalog
 * ```
 *
 * A value is JSON: `{v, zone, instances: [{id, provider, address, node, ips, port, priority, weight}]}`. By its id an instance
 * belongs to one of 64 parts, so that a change of one is a value of some kilobytes, however many there are.
 *
 * Whoever may write to the bucket may write anything: what is no such value is refused, named and counted, and there is a most
 * of what is kept, of a value, of nodes and of all together. Large values are taken a slice at a time.
 *
 * @module
 */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { canonicalIp } from "../ip.ts";
import type { Logger } from "../telemetry/log.ts";
import { inSlices, toEnd } from "../slices.ts";
import { nameToWire } from "../wire/name.ts";
import { type Address, formatAddress, parseAddress } from "./address.ts";
import { type Change, type Instance, isSameInstance, portionsOf, type Standing } from "./catalog.ts";

/** Values that each node of a cluster keeps for the others. */
export interface NodeValues {
  /** Writes a value of this node, or takes it back. @param name 1–16 digits and small letters */
  put(name: string, value: Uint8Array | null): void;
  /** Tells what others have from now on. */
  follow(listener: {
    /** @returns whether anything of that name is kept, so that its end is to be told */
    readonly value: (node: string, name: string, value: Uint8Array | null) => boolean;
    /** There is something that no node has written: its key. */
    readonly stray: (key: string) => void;
    readonly standing: (isKnown: boolean) => void;
  }): void;
}

/** What they are shared with. */
export interface SharedRegistrationsOptions {
  /** This node in the cluster. */
  readonly node: string;
  /** Its zone. */
  readonly zone: string;
  /** Whether what nodes of other zones have is found here. */
  readonly readsAll: boolean;
  /** Carries them. */
  readonly values: NodeValues;
  /** For how long a node that isn't heard of counts, milliseconds. */
  readonly ttlMs: number;
  /** Instances of the last run, by zone; what isn't found again goes when all have had their time to say so. */
  readonly kept: ReadonlyMap<string, readonly string[]>;
  /** Gets what changes. */
  readonly write: (changes: readonly Change[]) => void;
  /** Waits for those of the last run, and paces what takes long. */
  readonly clock: Pick<Clock, "sleep" | "monotonicMs">;
  /** Hears of each value that was read or refused, and how long it took in seconds. */
  readonly observe: (error: "none" | "invalidvalue", seconds: number) => void;
  /** Hears of values that can't be read. */
  readonly log: Pick<Logger, "info" | "warn">;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
}

const VERSION = 1;
/** A power of two. */
const PARTS = 64;
const TEXT_MAX = 255;
/** With the node's name before it. */
const ID_MAX = 320;
/** Names of parts: 0–3f. */
const PART = /^[1-3]?[0-9a-f]$/;
/** Largest value: some 3,000 instances, of 64 times as many that a node may have. */
const VALUE_BYTES_MAX = 512 << 10;
/** Larger values are taken a slice at a time: this one takes some milliseconds. */
const AT_ONCE_BYTES_MAX = 32 << 10;
/** And so are values that come in one turn of the event loop, after so many milliseconds of it. */
const TURN_MS = 4;
/** Most nodes; as many as a cluster has (`cluster/membership.ts`). */
const NODES_MAX = 256;
/** Most that all nodes have together: some million instances. */
const BYTES_MAX = 256 << 20;
/** When a node is named again whose values can't be used. */
const NAME_AGAIN_MS = 600_000;
/** Nodes that are named within that time. */
const NAMED_MAX = 100;

const VALUE = z.object({
  v: z.literal(VERSION),
  zone: z.string().regex(/^[0-9a-z]{2}$/),
  instances: z.array(z.unknown()),
});

const INSTANCE = z.object({
  id: z.string().min(1).max(ID_MAX).refine((id) => !/\p{Cc}/u.test(id)),
  provider: z.string().max(TEXT_MAX),
  address: z.string().max(TEXT_MAX),
  node: z.string().refine(isHost),
  ips: z.array(z.string().refine((ip) => canonicalIp(ip) === ip)).max(256),
  port: z.int().min(1).max(65_535),
  priority: z.int().min(0).max(65_535),
  weight: z.int().min(0).max(65_535),
});

/** What a node has said of one part. */
interface Part {
  readonly zone: string;
  readonly byId: ReadonlyMap<string, Instance>;
  /** Of the value. */
  readonly bytes: number;
}

/** A value to be taken. */
interface Told {
  readonly node: string;
  readonly name: string;
  /** `null` = it was taken back. */
  readonly value: Uint8Array | null;
}

/** Shares registrations. */
export class SharedRegistrations {
  readonly #options: SharedRegistrationsOptions;
  /** Of this node, by part and then by id. */
  readonly #own = new Map<string, Map<string, Instance>>();
  /** Those of them that others won't take. */
  readonly #tooLarge = new Set<string>();
  /** Of other nodes, by node and part. */
  readonly #others = new Map<string, Part>();
  /** The parts of each of them that are kept, or wait. */
  readonly #held = new Map<string, Set<string>>();
  /** Of all their values, those included that wait. */
  #bytes = 0;
  /** What waits for its turn, the last of each part. */
  readonly #waiting = new Map<string, Told>();
  #isTaking = false;
  /** What was taken at once in this turn of the event loop, milliseconds. */
  #spentMs = 0;
  #isCounting = false;
  /** What was said of the whole since the first that waits; `null` = nothing. */
  #standingNext: boolean | null = null;
  /** Of the last run, by zone. */
  readonly #left: Map<string, Set<string>>;
  /** Zones that are found here. */
  readonly #zones: Set<string>;
  readonly #told = new Map<string, Standing>();
  /** Nodes whose values can't be used, and when that was said. */
  readonly #named = new Map<string, number>();
  #ofFiles: Standing = "fresh";
  /** Whether other nodes were heard once. */
  #wasKnown = false;
  #isKnown = false;

  /** Begins to listen. */
  constructor(options: SharedRegistrationsOptions) {
    const { zone, readsAll, values, kept, write, signal } = this.#options = options;
    this.#left = new Map([...kept].map(([each, ids]) => [each, new Set(ids)]));
    this.#zones = new Set([zone, ...kept.keys()]);
    if (readsAll) write([{ kind: "zones", areKnown: false }]);
    this.#judge();
    values.follow({
      value: (node, name, value) => !signal.aborted && this.#hear({ node, name, value }),
      stray: (key) => signal.aborted || this.#refuse(key, "it is the key of no node"),
      standing: (isKnown) => signal.aborted || this.#hearStanding(isKnown),
    });
  }

  /** What can't be read, in words; `null` = all can. */
  get problem(): string | null {
    return this.#isKnown ? null : "what is registered with other nodes can't be read (NATS)";
  }

  /** Takes changes of what is registered with this node: to the catalog, and to the others. */
  own(changes: readonly Change[]): void {
    const { node, values, write } = this.#options;
    const parts = new Set<string>();
    for (const change of changes) {
      if (change.kind === "standing") this.#ofFiles = change.standing;
      else if (change.kind === "put") {
        const instances = change.instances.map((instance) => ({ ...instance, id: `${node}/${instance.id}` }));
        for (const instance of instances) {
          const part = partOf(instance.id);
          const those = this.#own.get(part);
          if (those) those.set(instance.id, instance);
          else this.#own.set(part, new Map([[instance.id, instance]]));
          parts.add(part);
          this.#left.get(change.zone)?.delete(instance.id);
        }
        write([{ ...change, instances }]);
      } else if (change.kind === "remove") {
        const ids = change.ids.map((id) => `${node}/${id}`);
        for (const id of ids) {
          this.#own.get(partOf(id))?.delete(id);
          parts.add(partOf(id));
        }
        write([{ ...change, ids }]);
      }
    }
    for (const part of parts) {
      const value = this.#encode(part);
      values.put(part, value);
      this.#noteSize(part, value?.length ?? 0);
    }
    this.#judge();
  }

  #noteSize(part: string, bytes: number): void {
    const wasTooLarge = this.#tooLarge.delete(part);
    if (bytes <= VALUE_BYTES_MAX) return;
    this.#tooLarge.add(part);
    if (wasTooLarge) return;
    this.#options.log.warn(
      "More is registered here than other nodes take; they go on by what it was before",
      {
        ...{ part, kibibytes: Math.ceil(bytes / 1024), most: VALUE_BYTES_MAX >> 10 },
      },
    );
  }

  #encode(part: string): Uint8Array | null {
    const those = this.#own.get(part);
    if (those === undefined || those.size === 0) return null;
    const instances = [...those.values()].map(({ address, ...rest }) => ({
      address: formatAddress(address),
      ...rest,
    }));
    return new TextEncoder().encode(JSON.stringify({ v: VERSION, zone: this.#options.zone, instances }));
  }

  /** @returns whether there is anything that can end */
  #hear(told: Told): boolean {
    const { node, name, value } = told;
    const key = `${node} ${name}`;
    const bytes = value?.length ?? 0;
    const fault = value === null ? null : this.#faultOf(node, name, bytes);
    if (fault !== null) this.#refuse(node, fault);
    else {
      const names = this.#held.get(node);
      if (names) names.add(name);
      else this.#held.set(node, new Set([name]));
      if (this.#isTaking || bytes > AT_ONCE_BYTES_MAX || this.#spentMs >= TURN_MS) this.#await(key, told);
      else this.#takeNow(key, told);
    }
    return this.#held.get(node)?.has(name) ?? false;
  }

  /** Why a value isn't taken, whatever it says. */
  #faultOf(node: string, name: string, bytes: number): string | null {
    if (!PART.test(name)) return `${name} is no part`;
    if (bytes > VALUE_BYTES_MAX) return `the part ${name} has more than ${VALUE_BYTES_MAX >> 10} KiB`;
    if (!this.#held.has(node) && this.#held.size >= NODES_MAX) {
      return `there are more than ${NODES_MAX} nodes`;
    }
    const before = this.#others.get(`${node} ${name}`)?.bytes ?? 0;
    if (this.#bytes - before + bytes > BYTES_MAX) return `all nodes have more than ${BYTES_MAX >> 20} MiB`;
    return null;
  }

  /** Most changes are small, and come one by one; of a burst, the most waits. */
  #takeNow(key: string, told: Told): void {
    const { clock, signal } = this.#options;
    const startMs = clock.monotonicMs();
    toEnd(this.#take(key, told));
    this.#spentMs += clock.monotonicMs() - startMs;
    if (this.#isCounting) return;
    this.#isCounting = true;
    clock.sleep(0, signal).then(() => {
      this.#isCounting = false;
      this.#spentMs = 0;
    });
  }

  #await(key: string, told: Told): void {
    this.#bytes += (told.value?.length ?? 0) - (this.#waiting.get(key)?.value?.length ?? 0);
    this.#waiting.set(key, told);
    if (!this.#isTaking) void this.#takeWaiting();
  }

  async #takeWaiting(): Promise<void> {
    const { clock, signal } = this.#options;
    this.#isTaking = true;
    try {
      while (this.#waiting.size > 0) await inSlices(this.#takeAll(), { clock, signal });
    } catch (cause) {
      if (signal.aborted) return;
      throw cause;
    }
    this.#isTaking = false;
    const standing = this.#standingNext;
    this.#standingNext = null;
    if (standing !== null) this.#takeStanding(standing);
  }

  *#takeAll(): Generator<void, void> {
    for (const [key, told] of this.#waiting) {
      this.#waiting.delete(key);
      this.#bytes -= told.value?.length ?? 0;
      yield* this.#take(key, told);
      yield;
    }
  }

  /** Writes the difference between what a part has and what it had. */
  *#take(key: string, told: Told): Generator<void, void> {
    const { zone: own, readsAll, write, observe } = this.#options;
    const startMs = performance.now();
    const { node, value } = told;
    const before = this.#others.get(key) ?? null;
    let now: Part | null = null;
    if (value !== null) {
      try {
        now = yield* decode(node, value);
      } catch (cause) {
        if (!(cause instanceof SyntaxError)) throw cause;
        this.#refuse(node, cause.message);
        return this.#letGo(key, told);
      }
      observe("none", (performance.now() - startMs) / 1000);
      if (now.zone !== own && !readsAll) now = null;
    }
    this.#bytes += (now?.bytes ?? 0) - (before?.bytes ?? 0);
    if (now === null) this.#others.delete(key);
    else this.#others.set(key, now);
    this.#letGo(key, told);
    const changes: Change[] = [];
    const gone = [...before?.byId.keys() ?? []].filter((id) =>
      now?.zone !== before!.zone || !now.byId.has(id)
    );
    if (now !== null) {
      const { zone, byId } = now;
      const instances = [...byId.values()].filter((instance) => {
        const known = before?.zone === zone ? before.byId.get(instance.id) : undefined;
        return known === undefined || !isSameInstance(known, instance);
      });
      if (instances.length > 0) changes.push({ kind: "put", zone, instances });
      for (const id of byId.keys()) this.#left.get(zone)?.delete(id);
      if (!this.#zones.has(zone)) {
        this.#zones.add(zone);
        this.#judge();
      }
    }
    // The last of all: where others take the place of all there were, there is no moment without any.
    if (gone.length > 0) changes.push({ kind: "remove", zone: before!.zone, ids: gone });
    for (const portion of portionsOf(changes)) {
      write(portion);
      yield;
    }
  }

  /** Gives up the place of a part of which nothing is kept. */
  #letGo(key: string, { node, name }: Told): void {
    if (this.#others.has(key) || this.#waiting.has(key)) return;
    const names = this.#held.get(node);
    names?.delete(name);
    if (names?.size === 0) this.#held.delete(node);
  }

  /** @param of a node, or a key that is none's */
  #refuse(of: string, reason: string): void {
    const { clock, log, observe } = this.#options;
    observe("invalidvalue", 0);
    const nowMs = clock.monotonicMs();
    for (const [each, saidMs] of this.#named) {
      if (nowMs - saidMs >= NAME_AGAIN_MS) this.#named.delete(each);
    }
    if (this.#named.has(of) || this.#named.size >= NAMED_MAX) return;
    this.#named.set(of, nowMs);
    log.warn("What is registered with a node can't be read; what it said last goes on to count", {
      ...{ node: of.slice(0, TEXT_MAX), reason },
    });
  }

  #hearStanding(isKnown: boolean): void {
    // All that there was has come, and isn't taken yet.
    if (this.#isTaking) this.#standingNext = isKnown;
    else this.#takeStanding(isKnown);
  }

  #takeStanding(isKnown: boolean): void {
    const { clock, readsAll, write, ttlMs, signal, log } = this.#options;
    if (isKnown === this.#isKnown) return;
    this.#isKnown = isKnown;
    if (isKnown && !this.#wasKnown) {
      this.#wasKnown = true;
      if (readsAll) write([{ kind: "zones", areKnown: true }]);
      clock.sleep(ttlMs, signal).then(() => {
        if (!signal.aborted) this.#removeLeft();
      });
    }
    this.#judge();
    if (isKnown) log.info("What is registered with other nodes is known");
    else log.warn("What is registered with other nodes can't be read; what they said last goes on to count");
  }

  /** What the last run had and nothing has said again. */
  #removeLeft(): void {
    const changes = [...this.#left].flatMap(([zone, ids]): Change[] =>
      ids.size === 0 ? [] : [{ kind: "remove", zone, ids: [...ids] }]
    );
    this.#left.clear();
    if (changes.length > 0) this.#options.write(changes);
  }

  #judge(): void {
    const { zone: own, kept, write } = this.#options;
    const changes = [...this.#zones].flatMap((zone): Change[] => {
      const isRead = this.#wasKnown || kept.has(zone);
      const isFresh = this.#isKnown && (zone !== own || this.#ofFiles === "fresh");
      const standing = !isRead ? "lost" : isFresh ? "fresh" : "stale";
      if (this.#told.get(zone) === standing) return [];
      this.#told.set(zone, standing);
      return [{ kind: "standing", zone, standing }];
    });
    if (changes.length > 0) write(changes);
  }
}

/** @throws {SyntaxError} that says what is wrong, and with which instance */
function* decode(node: string, value: Uint8Array): Generator<void, Part> {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(value));
  } catch (cause) {
    throw new SyntaxError("it isn't JSON", { cause });
  }
  const { zone, instances } = parsed(VALUE, document, []);
  const byId = new Map<string, Instance>();
  for (const [i, each] of instances.entries()) {
    const { address: text, ...rest } = parsed(INSTANCE, each, ["instances", i]);
    const address: Address = parseAddress(text);
    if (address.zone !== zone) throw new SyntaxError(`${rest.id} is of the zone ${address.zone}`);
    if (!rest.id.startsWith(`${node}/`)) throw new SyntaxError(`${rest.id} is no id of this node`);
    byId.set(rest.id, { ...rest, address });
    yield;
  }
  return { zone, byId, bytes: value.length };
}

function parsed<Output>(
  schema: z.ZodType<Output>,
  value: unknown,
  at: readonly PropertyKey[],
): Output {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const [issue] = error.issues;
  const path = [...at, ...issue!.path].join(".");
  throw new SyntaxError(`${path || "the value"}: ${issue!.message}`.slice(0, TEXT_MAX));
}

/** FNV-1a: an id is in the same part at each start. */
function partOf(id: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return (hash & PARTS - 1).toString(16);
}

function isHost(name: string): boolean {
  try {
    nameToWire(name);
    return name === name.toLowerCase();
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    return false;
  }
}
