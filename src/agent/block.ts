/**
 * The block record `_blocked.FQDN`, TXT: it keeps one address from being added, and belongs to one operator at a time.
 *
 * Each of its strings is `name=value`: `IP` and `IpExpires` say what is blocked and until when, `OwnerId` (8 hexadecimal
 * digits) and `OwnerExpires` whose it is. A record that isn't well-formed or whose owner's time is over is deleted by the
 * next reader.
 *
 * @module
 */
import { type Clock, rfc3339 } from "../clock.ts";
import { canonicalIp } from "../ip.ts";
import type { Logger } from "../telemetry/log.ts";
import { type RecordManager, type RecordSet, RecordsRefused, sameValues } from "./records.ts";

/** What a live record says. */
export interface Block {
  /** Canonical; `null` = the record only keeps others away. */
  readonly address: string | null;
  /** Unix milliseconds; `null` = the address isn't blocked. */
  readonly addressUntilMs: number | null;
  /** 8 hexadecimal digits. */
  readonly owner: string;
  /** Unix milliseconds. */
  readonly ownerUntilMs: number;
}

/** What the strings of a record are worth. */
export type ParsedBlock =
  | { readonly kind: "none" }
  | { readonly kind: "invalid"; readonly reason: string }
  | { readonly kind: "live"; readonly block: Block };

/** Reads the strings of a record. */
export function parseBlock(strings: readonly string[], nowMs: number): ParsedBlock {
  if (strings.length === 0) return { kind: "none" };
  const invalid = (reason: string): ParsedBlock => ({ kind: "invalid", reason });
  const fields = new Map<string, string>();
  for (const text of strings) {
    const [name, value, ...more] = text.split("=");
    if (value === undefined || more.length > 0) return invalid("a string isn't NAME=VALUE");
    fields.set(name!.trim(), value.trim());
  }
  const times = ["IpExpires", "OwnerExpires"].map((name) => {
    const text = fields.get(name);
    return text === undefined ? null : timeOf(text);
  });
  if (times.some((time) => Number.isNaN(time))) return invalid("a time isn't one of RFC 3339");
  const [addressUntilMs, ownerUntilMs] = times;
  const owner = fields.get("OwnerId");
  if (!owner || ownerUntilMs === null || ownerUntilMs === undefined) return invalid("it names no owner");
  if (ownerUntilMs <= nowMs) return invalid(`the time of its owner ${owner} is over`);
  const written = fields.get("IP");
  const address = written === undefined ? null : canonicalIp(written) ?? written;
  return { kind: "live", block: { address, addressUntilMs: addressUntilMs ?? null, owner, ownerUntilMs } };
}

/** Writes the strings of a record. */
export function formatBlock({ address, addressUntilMs, owner, ownerUntilMs }: Block): string[] {
  const blocked = address === null || addressUntilMs === null
    ? []
    : [`IP=${address}`, `IpExpires=${rfc3339(addressUntilMs)}`];
  return [...blocked, `OwnerId=${owner}`, `OwnerExpires=${rfc3339(ownerUntilMs)}`];
}

/** Milliseconds for which an address is blocked; 0 or less = it isn't. */
export function blockedForMs(block: Block | null, address: string, nowMs: number): number {
  if (block === null || block.address !== address || block.addressUntilMs === null) return 0;
  return block.addressUntilMs - nowMs;
}

/** Who works on the record of a name, and with what. */
export interface BlockPlace {
  /** The name whose servers are blocked. */
  readonly fqdn: string;
  /** Where its records are. */
  readonly records: RecordManager;
  /** Says what is over. */
  readonly clock: Clock;
}

/** The name of the record. */
export function blockName(fqdn: string): string {
  return `_blocked.${fqdn}`;
}

/** Reads the record, and deletes it where it isn't valid. @returns `null` when nothing is blocked or owned */
export async function readBlock(place: BlockPlace, signal: AbortSignal): Promise<Block | null> {
  return (await read(place, signal)).block;
}

async function read({ fqdn, records, clock }: BlockPlace, signal: AbortSignal) {
  const set = await records.read(blockName(fqdn), "TXT", signal);
  const parsed = parseBlock(set.values, clock.unixMs());
  if (parsed.kind !== "invalid") return { set, block: parsed.kind === "live" ? parsed.block : null };
  // Where it has changed meanwhile, it isn't the one that was judged.
  await records.delete(blockName(fqdn), "TXT", set, signal);
  const now: RecordSet = await records.read(blockName(fqdn), "TXT", signal);
  const again = parseBlock(now.values, clock.unixMs());
  return { set: now, block: again.kind === "live" ? again.block : null };
}

/** Another operator has the record. */
export class BlockHeld extends Error {
  /** As shown in front of the message. */
  override readonly name = "BlockHeld";

  /** Names the owner. */
  constructor(fqdn: string, { owner, ownerUntilMs }: Block) {
    super(
      `${blockName(fqdn)} belongs to another operator, ${owner}, until ${rfc3339(ownerUntilMs)} ` +
        "(wait until that one has finished)",
    );
  }
}

/** Tries of a write that finds the record changed each time. */
const TRIES_MAX = 8;

/** Of what ends by itself. */
const NEVER = new AbortController().signal;

/** One operator's hold on the record. */
export class Lock {
  readonly #place: BlockPlace;
  readonly #owner: string;
  /** What was written last. */
  #written: readonly string[] = [];
  /** Whether no answer came to that, so that it may be done yet. */
  #isUnanswered = false;

  /** Owns nothing yet. `owner`: 8 hexadecimal digits, drawn when left out. */
  constructor(place: BlockPlace, owner: string = newOwner()) {
    this.#place = place;
    this.#owner = owner;
  }

  /**
   * Takes or refreshes the record: an address is blocked for twice `ttlMs`, the record owned for five times that.
   *
   * A write that is under way is not given up when the signal is aborted: it could take effect behind the release.
   *
   * @param address `null` = none is blocked
   * @throws {BlockHeld} when it is another's
   */
  async take(address: string | null, ttlMs: number, signal: AbortSignal): Promise<void> {
    const { fqdn, records, clock } = this.#place;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const { set, block } = await read(this.#place, signal);
      if (block !== null && block.owner !== this.#owner) throw new BlockHeld(fqdn, block);
      const now = clock.unixMs();
      const strings = formatBlock({
        address,
        addressUntilMs: address === null ? null : now + 2 * ttlMs,
        owner: this.#owner,
        ownerUntilMs: now + 5 * ttlMs,
      });
      // Before it is sent: one whose answer is lost may be there all the same.
      this.#written = strings;
      const ttl = Math.max(1, Math.ceil(ttlMs / 1000));
      const terms = { ttl, wait: false, expected: set };
      const result = await records.write(blockName(fqdn), "TXT", strings, terms, NEVER).catch((error) => {
        this.#isUnanswered ||= !(error instanceof RecordsRefused);
        throw error;
      });
      this.#isUnanswered = false;
      signal.throwIfAborted();
      if (result === "written") return;
    }
    throw new Error(`${blockName(fqdn)} changes faster than it can be written (is there another operator?)`);
  }

  /**
   * Deletes the record if it is this operator's.
   *
   * What was asked for and not answered may be done after a look that finds nothing. Providers make changes one after the
   * other, so it is written once more: when that is answered, the one before has been done or never will be.
   */
  async release(signal: AbortSignal): Promise<void> {
    const { fqdn, records, clock } = this.#place;
    const name = blockName(fqdn);
    if (this.#written.length === 0) return;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const set = await records.read(name, "TXT", signal);
      const isOwn = set.values.includes(`OwnerId=${this.#owner}`) || sameValues(set.values, this.#written);
      if (isOwn) {
        if (await records.delete(name, "TXT", set, signal) === "written") return;
      } else {
        if (set.values.length > 0 || !this.#isUnanswered) return;
        const terms = { ttl: 1, wait: false, expected: set };
        if (await records.write(name, "TXT", this.#written, terms, signal) === "written") continue;
        // It is being written.
        await clock.sleep(RELEASE_PAUSE_MS, signal);
      }
    }
    throw new Error(`${name} changes faster than it can be deleted`);
  }

  /** The same, when the work has been given up: for this there is a time of its own. */
  async releaseAtEnd(log: Logger): Promise<void> {
    const { clock } = this.#place;
    const [over, late] = [new AbortController(), new AbortController()];
    const timer = clock.sleep(RELEASE_MS, over.signal).then(() => late.abort());
    try {
      await this.release(late.signal);
    } catch (error) {
      log.warn("The block couldn't be deleted; it ends by itself", { error });
    } finally {
      over.abort();
      await timer;
    }
  }
}

/** Longest wait for a record to be deleted at the end. */
const RELEASE_MS = 5_000;

/** Until one that is being written is looked for again. */
const RELEASE_PAUSE_MS = 250;

/** The shortest and the longest block, milliseconds. */
export const BLOCK_RANGE_MS = { min: 60_000, max: 3_600_000 } as const;

/** How long a block is meant to last at a time, and how often it is refreshed. */
const BLOCK_TTL_MS = 60_000;

/** What is blocked, and for how long. */
export interface BlockOrder {
  /** Canonical. */
  readonly address: string;
  /** Milliseconds, in {@linkcode BLOCK_RANGE_MS}. */
  readonly durationMs: number;
  /** Names its owner; a random one if left out. */
  readonly owner?: string;
}

/**
 * Keeps an address from being added, until the time is over or the signal is aborted; then the record is deleted. It
 * doesn't take an address out that is in.
 *
 * @throws {RangeError} when the duration is out of range
 * @throws {BlockHeld} when the record is another's
 */
export async function block(
  place: BlockPlace & { readonly log: Logger },
  { address, durationMs, owner }: BlockOrder,
  signal: AbortSignal,
): Promise<void> {
  if (!(durationMs >= BLOCK_RANGE_MS.min && durationMs <= BLOCK_RANGE_MS.max)) {
    throw new RangeError("A block must last from 1m to 1h (--for)");
  }
  const { clock, log } = place;
  const lock = new Lock(place, owner);
  const endMs = clock.monotonicMs() + durationMs;
  let isHeld = false;
  try {
    for (let leftMs = durationMs; leftMs > 0 && !signal.aborted; leftMs = endMs - clock.monotonicMs()) {
      try {
        await lock.take(address, BLOCK_TTL_MS, signal);
        if (!isHeld) log.info("Blocked", { address, fqdn: place.fqdn });
        isHeld = true;
      } catch (error) {
        // It lasts for two minutes, so that one refresh may fail.
        if (!isHeld || error instanceof BlockHeld || signal.aborted) throw error;
        log.warn("The block couldn't be refreshed; it is tried again in a minute", { error });
      }
      await clock.sleep(Math.min(BLOCK_TTL_MS, leftMs), signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await lock.releaseAtEnd(log);
  }
}

/** 8 hexadecimal digits of the system's generator. */
function newOwner(): string {
  return crypto.getRandomValues(new Uint8Array(4)).toHex();
}

/** Unix milliseconds; NaN when the text is no time of RFC 3339. */
function timeOf(text: string): number {
  return /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : NaN;
}
