/**
 * An agent: a check loop for each of a server's own addresses, with metrics of what they do.
 *
 * Programs that keep their own address without the command `pleiades agent` start it with parts of their own.
 *
 * @module
 */
import type { Clock, Rng } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { CheckLoop, type Round } from "./loop.ts";
import type { Destroyer, PeerProbe, RegionFilter } from "./ports.ts";
import type { RecordManager } from "./records.ts";
import type { Limits } from "./round.ts";

/** What an agent does. */
export interface AgentConfig {
  /** The name whose record it is. */
  readonly fqdn: string;
  /** This server's own, canonical: one, or one of each family. */
  readonly addresses: readonly string[];
  /** Milliseconds between rounds; also the record's TTL. */
  readonly intervalMs: number;
  /** When something is done about a peer. */
  readonly limits: Limits;
}

/** What it is made of. */
export interface AgentParts {
  /** Where the record is. */
  readonly records: RecordManager;
  /** Looks at peers. */
  readonly probe: PeerProbe;
  /** Which peers are in this server's region; all when left out. */
  readonly region?: RegionFilter;
  /** Ends what is removed; nothing does when left out. */
  readonly destroyer?: Destroyer;
  /** Time. */
  readonly clock: Clock;
  /** Spreads the rounds. */
  readonly rng: Rng;
  /** Told of changes and failures. */
  readonly log: Logger;
  /** Gets the metrics; none are kept when left out. */
  readonly registry?: Registry;
}

/**
 * Keeps the addresses in the record until the signal is aborted. They stay there then: a restart must not empty it.
 *
 * @returns when everything has ended; never rejects
 *
 * @example
 * ```ts
 * await runAgent({ fqdn, addresses, intervalMs: 5_000, limits }, { records, probe, clock, rng, log }, signal);
 * ```
 */
export async function runAgent(
  { addresses, ...config }: AgentConfig,
  { registry, ...parts }: AgentParts,
  signal: AbortSignal,
): Promise<void> {
  const onRound = registry === undefined ? () => {} : agentMetrics(registry, parts.clock);
  await Promise.all(addresses.map((self) => {
    const family = self.includes(":") ? "v6" : "v4";
    return new CheckLoop({ ...config, ...parts, self, onRound: (round) => onRound(family, round) }).run(
      signal,
    );
  }));
}

/** Registers what is counted of rounds. */
function agentMetrics(
  registry: Registry,
  clock: Pick<Clock, "unixMs">,
): (family: string, round: Round) => void {
  const rounds = registry.counter("pleiades_agent_rounds_total", "Rounds, by what came of them.", [
    "family",
    "outcome",
  ]);
  const added = registry.counter(
    "pleiades_agent_added_total",
    "Times that this server added itself to the record.",
    ["family"],
  );
  const removed = registry.counter("pleiades_agent_removed_total", "Peers that this server removed.", [
    "family",
  ]);
  const conflicts = registry.counter(
    "pleiades_agent_conflicts_total",
    "Writes that were refused because the record had changed.",
    ["family"],
  );
  const addresses = registry.gauge("pleiades_agent_addresses", "Addresses in the record at the last round.", [
    "family",
  ]);
  const failing = registry.gauge("pleiades_agent_failing_peers", "Peers that failed their last probe.", [
    "family",
  ]);
  const last = registry.gauge(
    "pleiades_agent_last_round_timestamp_seconds",
    "Unix time of the last round that wasn't given up.",
    ["family"],
  );
  const seconds = registry.histogram("pleiades_agent_round_seconds", "Duration of rounds.", ROUND_BUCKETS);
  return (family, round) => {
    rounds.labels(family, round.outcome).inc();
    added.labels(family).inc(round.added ? 1 : 0);
    removed.labels(family).inc(round.removed.length);
    conflicts.labels(family).inc(round.conflicts);
    seconds.labels().observe(round.elapsedMs / 1000);
    if (round.outcome === "failed") return;
    addresses.labels(family).set(round.addresses);
    failing.labels(family).set(round.failing);
    last.labels(family).set(clock.unixMs() / 1000);
  };
}

/** Seconds: a quiet round takes milliseconds, one with a hung peer a quarter of the interval. */
const ROUND_BUCKETS = [0.005, 0.02, 0.1, 0.3, 1, 3, 10, 30, 120];
