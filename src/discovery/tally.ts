/**
 * How long answers took, counted where they are made and told elsewhere now and then.
 *
 * @module
 */
import type { Histogram } from "../telemetry/metrics.ts";
import { rcodeName, TYPE } from "../wire/record_type.ts";
import type { Answered } from "./dns_answers.ts";

/** Seconds that an answer takes: from ten microseconds on. */
export const DURATION_BUCKETS: readonly number[] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 1e-2, 0.1];

/** An answer as it is counted. */
export interface Counted extends Pick<Answered, "rcode" | "qtype"> {
  /** What it went over. */
  readonly protocol: "udp" | "tcp";
  /** From the query to the answer, milliseconds. */
  readonly ms: number;
}

/** What was counted of one kind of answers. */
export interface TallyRow {
  /** Protocol, type and code. */
  readonly labels: readonly [string, string, string];
  /** By bucket, not summed up; one more than there are bounds. */
  readonly counts: Float64Array;
  /** Seconds. */
  sum: number;
}

/** Counts. */
export class Tally {
  #rows: (TallyRow | undefined)[] = [];

  /** Counts an answer. */
  add({ protocol, qtype, rcode, ms }: Counted): void {
    const kind = kindOf(qtype);
    const at = (kind * RCODES + rcode) * 2 + (protocol === "tcp" ? 1 : 0);
    const row = this.#rows[at] ??= {
      labels: [protocol, KINDS[kind]!, rcodeName(rcode)],
      counts: new Float64Array(DURATION_BUCKETS.length + 1),
      sum: 0,
    };
    const seconds = ms / 1000;
    let bucket = 0;
    while (bucket < DURATION_BUCKETS.length && seconds > DURATION_BUCKETS[bucket]!) bucket++;
    row.counts[bucket]!++;
    row.sum += seconds;
  }

  /** What was counted since the last time. */
  take(): readonly TallyRow[] {
    const rows = this.#rows.filter((row) => row !== undefined);
    if (rows.length > 0) this.#rows = [];
    return rows;
  }
}

/** Adds what others have counted to a metric. */
export class TallySum {
  readonly #sums = new Map<string, { readonly counts: Float64Array; sum: number }>();

  /** Adds it. @param of the series of its labels */
  add(rows: readonly TallyRow[], of: (labels: TallyRow["labels"]) => Histogram): void {
    for (const { labels, counts, sum } of rows) {
      const key = labels.join(" ");
      let known = this.#sums.get(key);
      if (!known) this.#sums.set(key, known = { counts: new Float64Array(counts.length), sum: 0 });
      counts.forEach((count, i) => known.counts[i]! += count);
      known.sum += sum;
      of(labels).mirror(known.counts, known.sum);
    }
  }
}

/** Types that nothing has are one: they come from the wire. */
const KINDS = ["SRV", "A", "AAAA", "NS", "empty", "other"] as const;
/** Four bits of a header. */
const RCODES = 16;

function kindOf(qtype: number | null): number {
  switch (qtype) {
    case TYPE.SRV:
      return 0;
    case TYPE.A:
      return 1;
    case TYPE.AAAA:
      return 2;
    case TYPE.NS:
      return 3;
    default:
      return qtype === null ? 4 : 5;
  }
}
