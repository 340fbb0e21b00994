/**
 * What has to be done so that a secondary holds what the primary does: a pure function of both and the time.
 *
 * Serials alone are blind: a zone that was deleted and created again may have the same one with other records, keys come and go
 * without a change of it, and signatures rot. So what is known of signatures and content is compared, too; what isn't known
 * of one of the two is no difference. Serials are compared for equality: a lower one differs as a higher one does.
 *
 * @module
 */
import type { EventKind, Signature, ZoneState } from "./messages.ts";

/** What the primary holds of a zone. */
export interface PrimaryZone {
  /** As it is answered. */
  readonly serial: number;
  /** Whether it is signed. */
  readonly isSigned: boolean;
  /** `null` = unsigned; absent = not looked at. */
  readonly signature?: Signature | null;
  /** Of all records but signatures; absent = not looked at. */
  readonly digest?: string;
}

/** Why an order is given. */
export type Reason = "missing" | "extra" | "serial" | "expiring" | "signatures" | "keys" | "content";

/** What a secondary is told to do. */
export interface Order {
  /** As an event of that kind would have it. */
  readonly kind: EventKind;
  /** With its final dot. */
  readonly zone: string;
  /** For people. */
  readonly reason: Reason;
}

/** What is compared. */
export interface Comparison {
  /** By zone; all of them. */
  readonly primary: ReadonlyMap<string, PrimaryZone>;
  /** By zone; all of them. */
  readonly secondary: ReadonlyMap<string, ZoneState>;
  /** Unix milliseconds. */
  readonly nowMs: number;
  /** A signature that ends sooner is fetched again, if the primary has one that ends later, milliseconds. */
  readonly remainingMs: number;
}

/** What comes of it. */
export interface Compared {
  /** In no order. */
  readonly orders: readonly Order[];
  /** Zones of the primary under whose name the secondary holds one of its own. */
  readonly foreign: readonly string[];
}

/** Compares all zones. */
export function compare({ primary, secondary, nowMs, remainingMs }: Comparison): Compared {
  const orders: Order[] = [];
  const foreign: string[] = [];
  for (const [zone, held] of primary) {
    const state = secondary.get(zone);
    if (state?.isForeign) foreign.push(zone);
    else {
      const order = orderFor(zone, { held, state, nowMs, remainingMs });
      if (order !== null) orders.push(order);
    }
  }
  for (const [zone, { isForeign }] of secondary) {
    if (!isForeign && !primary.has(zone)) orders.push({ kind: "delete", zone, reason: "extra" });
  }
  return { orders, foreign };
}

/** What one zone needs; `null` = it is in step. */
export function orderFor(
  zone: string,
  { held, state, nowMs, remainingMs }: {
    readonly held: PrimaryZone;
    readonly state: ZoneState | undefined;
    readonly nowMs: number;
    readonly remainingMs: number;
  },
): Order | null {
  if (state === undefined) return { kind: "add", zone, reason: "missing" };
  const reason = differenceOf(held, state, { nowMs, remainingMs });
  return reason === null ? null : { kind: "modified", zone, reason };
}

function differenceOf(
  held: PrimaryZone,
  state: ZoneState,
  { nowMs, remainingMs }: { readonly nowMs: number; readonly remainingMs: number },
): Reason | null {
  if (held.serial !== state.serial) return "serial";
  const ofSignatures = signatureDifference(held.signature, state.signature, { nowMs, remainingMs });
  if (ofSignatures !== null) return ofSignatures;
  if (held.digest !== undefined && state.digest !== undefined && held.digest !== state.digest) {
    return "content";
  }
  return null;
}

function signatureDifference(
  ours: Signature | null | undefined,
  theirs: Signature | null | undefined,
  { nowMs, remainingMs }: { readonly nowMs: number; readonly remainingMs: number },
): Reason | null {
  if (ours === undefined || theirs === undefined) return null;
  if (ours === null || theirs === null) return ours === theirs ? null : "signatures";
  if (ours.keyTags.join() !== theirs.keyTags.join()) return "keys";
  const endsSoon = theirs.untilSeconds * 1000 - nowMs < remainingMs;
  if (endsSoon && ours.untilSeconds > theirs.untilSeconds) return "expiring";
  const isSame = ours.untilSeconds === theirs.untilSeconds && ours.fromSeconds === theirs.fromSeconds;
  return isSame ? null : "signatures";
}

/**
 * Whether so many deletes are to be believed at once: a primary that lists too few zones would have them all deleted.
 *
 * @param held zones that the secondary holds
 */
export function mustConfirm(orders: readonly Order[], held: number): boolean {
  const deletes = orders.filter(({ kind }) => kind === "delete").length;
  return deletes > 0 && deletes > held * DELETE_SHARE_MAX;
}

/** With more than this share of a secondary's zones, two readings of the primary must agree. */
const DELETE_SHARE_MAX = 0.2;
