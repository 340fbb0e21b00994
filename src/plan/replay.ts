/**
 * What-if on real traffic: answers the queries that the sketch has recorded once more, as they are answered and as they
 * would be. A query is known by its name and its client's network, so each network is asked for in the place of its
 * clients; names that a change doesn't reach are answered as before.
 *
 * **Error.** Where the sketch looked at some of the queries only, a share is off like one of a poll: `errorBar` is two
 * standard deviations of it, and at least what may have been missed altogether. Samples of a busy time stand for more queries each than those of a quiet one, and count for more
 * in it. Rules for parts of a /24 or a /48 can't be told from it, nor can what changed since.
 *
 * @module
 */
import type { Replay } from "../change/guard.ts";
import { rfc3339 } from "../clock.ts";
import type { QueryTotal, Recorded } from "../store/traffic.ts";
import { TYPE } from "../wire/record_type.ts";
import { EVERYONE } from "./clients.ts";
import { movedBetween } from "./differences.ts";
import type { AddressType, Forecast, Outcome } from "./forecast.ts";

/** Milliseconds of an hour. */
const HOUR_MS = 3_600_000;
/** Addresses that are shown. */
const MEMBERS_MAX = 100;
/** Pairs of outcomes that are kept, before all are forgotten. */
const KNOWN_MAX = 65_536;

/** What is replayed. */
export interface ReplayOptions {
  /** What answers now. */
  readonly before: Forecast;
  /** What would answer. */
  readonly after: Forecast;
  /** The names that may be answered otherwise. */
  readonly names: ReadonlySet<string>;
  /** All that was counted. */
  readonly total: QueryTotal;
  /** The same name by name and network by network. */
  readonly recorded: Iterable<Recorded>;
  /** Hours since 1970-01-01T00:00:00Z, the last one included. */
  readonly hours: { readonly from: number; readonly to: number };
}

/** Answers what was recorded once more; `null` = nothing was. */
export function replayOf({ before, after, names, total, recorded, hours }: ReplayOptions): Replay | null {
  const queries = total.a + total.aaaa;
  if (queries === 0) return null;
  const members = new Map<string, { before: number; after: number }>();
  const known = new Map<string, readonly [Outcome, Outcome]>();
  const outcomesOf = (name: string, type: AddressType, network: Uint8Array | null) => {
    const key = `${type} ${name} ${network?.join(".")}`;
    let pair = known.get(key);
    if (!pair) {
      const client = network ? addressIn(network) : EVERYONE[0]!.address;
      pair = [before.outcome(name, type, client), after.outcome(name, type, client)];
      if (known.size >= KNOWN_MAX) known.clear();
      known.set(key, pair);
    }
    return pair;
  };
  let different = 0;
  let reached = 0;
  for (const { name, network, ...counts } of recorded) {
    if (!names.has(name)) continue;
    for (const [type, count] of [[TYPE.A, counts.a], [TYPE.AAAA, counts.aaaa]] as const) {
      if (count === 0) continue;
      const [was, willBe] = outcomesOf(name, type, network);
      reached += count;
      different += count * movedBetween(was, willBe);
      for (const [address, share] of was.shares) memberOf(members, address).before += count * share;
      for (const [address, share] of willBe.shares) memberOf(members, address).after += count * share;
    }
  }
  const share = different / queries;
  return {
    from: rfc3339(hours.from * HOUR_MS),
    to: rfc3339((hours.to + 1) * HOUR_MS),
    queries,
    different: Math.round(different),
    share,
    errorBar: errorBarOf(share, total),
    members: [...members].map(([address, sums]) => ({
      address,
      before: reached === 0 ? 0 : sums.before / reached,
      after: reached === 0 ? 0 : sums.after / reached,
    })).sort((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before)).slice(0, MEMBERS_MAX),
  };
}

function memberOf(members: Map<string, { before: number; after: number }>, address: string) {
  let sums = members.get(address);
  if (!sums) members.set(address, sums = { before: 0, after: 0 });
  return sums;
}

/**
 * Two standard deviations of a share of queries that were drawn one by one, each with a chance of 1 / w. Near 0 and 1 these
 * come to nothing, though what differs may not have been drawn at all: of 3 w queries none is once in twenty times.
 */
function errorBarOf(share: number, { a, aaaa, variance }: QueryTotal): number {
  const queries = a + aaaa;
  const deviations = 2 * Math.sqrt(share * (1 - share) * variance) / queries;
  return Math.min(1, Math.max(deviations, 3 * variance / queries ** 2));
}

/** The first address of a network of 3 or 6 bytes. */
function addressIn(network: Uint8Array): Uint8Array {
  const address = new Uint8Array(network.length === 3 ? 4 : 16);
  address.set(network);
  return address;
}
