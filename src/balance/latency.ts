/**
 * Latency: whoever answers the node's probes fastest. Members that are about as fast as the fastest are equals, so
 * that a microsecond doesn't move all traffic.
 *
 * @module
 */
import { type PlainCandidate, rankBy, rankGroups, type Ranking } from "./ranking.ts";

/** As fast as the fastest is who takes at most this share longer, … */
const EQUAL_SHARE = 0.1;
/** … or at most this much longer, microseconds. */
const EQUAL_US = 1000;

/** By measured round trip; the unmeasured come last, as equals. */
export function rankByLatency(candidates: readonly PlainCandidate[]): Ranking {
  const { order } = rankBy(candidates, rttOf);
  if (order.length === 0) return { order, lead: 0 };
  const fastest = rttOf(candidates[order[0]!]!);
  const most = Math.max(fastest * (1 + EQUAL_SHARE), fastest + EQUAL_US);
  const last = candidates[order.at(-2) ?? 0]!;
  if (rttOf(last) < Infinity) {
    // No two are equals behind the lead.
    const behind = order.findIndex((position) => rttOf(candidates[position]!) > most);
    return { order, lead: behind < 0 ? order.length : behind };
  }
  const isMeasured = (position: number) => rttOf(candidates[position]!) < Infinity;
  const leading = order.filter((position) => rttOf(candidates[position]!) <= most);
  const behind = order.slice(leading.length);
  return rankGroups([
    leading,
    ...behind.filter(isMeasured).map((position) => [position]),
    behind.filter((position) => !isMeasured(position)),
  ]);
}

function rttOf({ rttUs }: PlainCandidate): number {
  return rttUs === 0 ? Infinity : rttUs;
}
