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
 * @module
 */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { canonicalIp } from "../ip.ts";
import type { Logger } from "../telemetry/log.ts";
import { nameToWire } from "../wire/name.ts";
import { type Address, formatAddress, parseAddress } from "./address.ts";
import { type Change, type Instance, isSameInstance, type Standing } from "./catalog.ts";

/** Values that each node of a cluster keeps for the others. */
export interface NodeValues {
  /** Writes a value of this node, or takes it back. @param name 1–16 digits and small letters */
  put(name: string, value: Uint8Array | null): void;
  /** Tells what others have from now on. */
  follow(listener: {
    readonly value: (node: string, name: string, value: Uint8Array | null) => void;
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
  /** Waits for those of the last run. */
  readonly clock: Pick<Clock, "sleep">;
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
/** Of one value. */
const INSTANCES_MAX = 10_000;

const VALUE = z.object({
  v: z.literal(VERSION),
  zone: z.string().regex(/^[0-9a-z]{2}$/),
  instances: z.array(z.object({
    id: z.string().min(1).max(ID_MAX).refine((id) => !/\p{Cc}/u.test(id)),
    provider: z.string().max(TEXT_MAX),
    address: z.string().max(TEXT_MAX),
    node: z.string().refine(isHost),
    ips: z.array(z.string().refine((ip) => canonicalIp(ip) === ip)).max(256),
    port: z.int().min(1).max(65_535),
    priority: z.int().min(0).max(65_535),
    weight: z.int().min(0).max(65_535),
  })).max(INSTANCES_MAX),
});

/** Shares registrations. */
export class SharedRegistrations {
  readonly #options: SharedRegistrationsOptions;
  /** Of this node, by part and then by id. */
  readonly #own = new Map<string, Map<string, Instance>>();
  /** Of other nodes, by node and part. */
  readonly #others = new Map<string, { readonly zone: string; readonly byId: Map<string, Instance> }>();
  /** Of the last run, by zone. */
  readonly #left: Map<string, Set<string>>;
  /** Zones that are found here. */
  readonly #zones: Set<string>;
  readonly #told = new Map<string, Standing>();
  /** Whose values can't be read. */
  readonly #blamed = new Set<string>();
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
      value: (node, name, value) => signal.aborted || this.#takeValue(node, name, value),
      standing: (isKnown) => signal.aborted || this.#takeStanding(isKnown),
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
    for (const part of parts) values.put(part, this.#encode(part));
    this.#judge();
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

  #takeValue(node: string, name: string, value: Uint8Array | null): void {
    const { zone: own, readsAll, write, log } = this.#options;
    const key = `${node} ${name}`;
    const before = this.#others.get(key) ?? null;
    let now: { readonly zone: string; readonly byId: Map<string, Instance> } | null = null;
    if (value !== null) {
      try {
        now = decode(node, value);
      } catch (cause) {
        if (!(cause instanceof SyntaxError)) throw cause;
        if (this.#blamed.has(node)) return;
        this.#blamed.add(node);
        return log.warn("What is registered with a node can't be read; what it said last goes on to count", {
          ...{ node, reason: cause.message },
        });
      }
      if (now.zone !== own && !readsAll) now = null;
    }
    const changes: Change[] = [];
    const gone = [...before?.byId.keys() ?? []].filter((id) =>
      now?.zone !== before!.zone || !now.byId.has(id)
    );
    if (gone.length > 0) changes.push({ kind: "remove", zone: before!.zone, ids: gone });
    if (now === null) this.#others.delete(key);
    else {
      const { zone, byId } = now;
      const instances = [...byId.values()].filter((instance) => {
        const known = before?.zone === zone ? before.byId.get(instance.id) : undefined;
        return known === undefined || !isSameInstance(known, instance);
      });
      if (instances.length > 0) changes.push({ kind: "put", zone, instances });
      for (const id of byId.keys()) this.#left.get(zone)?.delete(id);
      this.#others.set(key, now);
      if (!this.#zones.has(zone)) {
        this.#zones.add(zone);
        this.#judge();
      }
    }
    if (changes.length > 0) write(changes);
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
function decode(
  node: string,
  value: Uint8Array,
): { readonly zone: string; readonly byId: Map<string, Instance> } {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(value));
  } catch (cause) {
    throw new SyntaxError("it isn't JSON", { cause });
  }
  const { success, data, error } = VALUE.safeParse(document);
  if (!success) {
    const [issue] = error.issues;
    throw new SyntaxError(`${issue!.path.join(".") || "the value"}: ${issue!.message}`.slice(0, TEXT_MAX));
  }
  const byId = new Map<string, Instance>();
  for (const { address: text, ...rest } of data.instances) {
    const address: Address = parseAddress(text);
    if (address.zone !== data.zone) throw new SyntaxError(`${rest.id} is of the zone ${address.zone}`);
    if (!rest.id.startsWith(`${node}/`)) throw new SyntaxError(`${rest.id} is no id of this node`);
    byId.set(rest.id, { ...rest, address });
  }
  return { zone: data.zone, byId };
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
