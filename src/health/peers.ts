/**
 * The port between a node's health and whatever brings reports of other nodes: what `cluster/` offers to health
 * (`Peers`), and what health offers to `cluster/` (`LocalReports`). Neither knows more of the other.
 *
 * Reports are what a node's own probes found, before any policy: what a node makes of its peers' reports
 * (`global_view.ts`) never goes out again, or two nodes would confirm each other's hearsay.
 *
 * @module
 */

/** What is probed, in words that all nodes share. */
export interface ReportKey {
  /** Canonical. */
  readonly address: string;
  /** Where and what is asked: `wireTargetOf` (`desired/check_target.ts`). */
  readonly target: string;
}

/** What the probes of another node found. */
export interface PeerReport extends ReportKey {
  /** Id of the node that probes. */
  readonly node: string;
  /** What they found; who found nothing yet doesn't report. */
  readonly state: "healthy" | "unhealthy";
}

/** A node that is heard of. */
export interface ActiveNode {
  /** Its id. */
  readonly node: string;
  /** Names one run of it: another one after each start. What it said before a start isn't what it says now. */
  readonly boot: string;
  /** Its region; may be empty. */
  readonly region: string;
  /** Time since its last heartbeat came in, by this node's monotonic clock; 0 for this node itself. */
  readonly heartbeatAgeMs: number;
}

/** What is known of the other nodes. All of it is looked up in memory, and cheap. */
export interface Peers {
  /** The nodes whose heartbeat is fresh, this one included. */
  active(): readonly ActiveNode[];
  /** What active nodes last said of it, each by the boot that is active, and at most once; this node's own word may be among them. */
  reports(address: string, target: string): readonly PeerReport[];
  /**
   * Calls `listener` when `reports` gives something else for these keys, or `active` for all of them, until the result
   * is disposed of. It is called after what it tells of is there to be looked up; the same may be told of again.
   */
  subscribe(listener: (changed: readonly ReportKey[] | "membership") => void): Disposable;
}

/** What this node's own probes found, to be told to others. */
export interface LocalReport extends ReportKey {
  /** What they found; `null` = it isn't probed any more, or nothing was found yet by this run. */
  readonly state: "healthy" | "unhealthy" | null;
  /** Unix milliseconds since when; `null` with a `state` of `null`. */
  readonly since: number | null;
}

/** What there is to report. Verdicts that were only kept from the last run aren't reported. */
export interface LocalReports {
  /** All that probes of this run have found, none of it with a `state` of `null`. */
  reports(): Iterable<LocalReport>;
  /** Calls `listener` with what differs, in the turn in which it was found, until the result is disposed of. */
  onReports(listener: (changed: readonly LocalReport[]) => void): Disposable;
}
