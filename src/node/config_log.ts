/**
 * The cluster's log as a part of a node: what is committed here is published, and whoever wrote it hears what became of it.
 *
 * @module
 */
import { ChangeRefused, type Edit } from "../change/edit.ts";
import { LogReplica } from "../change/log_replica.ts";
import type { ConfigLog } from "../cluster/config_log.ts";
import { registerLogMetrics } from "../cluster/log_metrics.ts";
import type { Trust } from "../cluster/trust.ts";
import { CONFIG_LOG, type LogOutcome } from "../cluster/port.ts";
import { LOOK_MS, wireNames } from "../cluster/wire_format.ts";
import { Port } from "../port.ts";
import type { Store } from "../store/store.ts";
import type { Core, Start } from "./part.ts";

/** Where it is offered what of the cluster's model is believed. */
export const TRUST: Port<Trust> = new Port("trust in what nodes publish");

/** Where the log is offered to what connects to the servers. */
export const SHARED_LOG: Port<ConfigLog> = new Port("the log of a session");

/** Keeps commits for the log, if the settings name servers. */
export const sharedConfigLog: Start = async (core) => {
  const { store, changes, commits, settings, ports, clock, log, events, registry } = core;
  const { cluster, node, state: { offlineEdits, nats: { servers, jetStream } } } = settings();
  if (store.readOnly) return null;
  if (servers.length === 0) {
    store.log.leave();
    return null;
  }
  const { ConfigLog } = await import("../cluster/config_log.ts");
  const { logStream: stream, logSubject: subject, configBucket: bucket } = wireNames(cluster.id, node.id);
  const replica = new LogReplica({ store, changes, clock });
  const terms = { stream, subject, bucket, node: node.id, ...jetStream, lookMs: LOOK_MS };
  const trust = await trustOf(core);
  const configLog = new ConfigLog({ replica, clock, log, terms, trust });
  replica.join({ cluster: cluster.id, node: node.id, boot: newBoot() });
  const joints = new DisposableStack();
  joints.use(commits.subscribe(() => configLog.wake()));
  joints.use(
    replica.onConflict(({ id: entry, node, via, by, reason, why }) =>
      events.emit({ kind: "conflict", entry, node, via, by, reason, why })
    ),
  );
  registerLogMetrics(registry, configLog);
  if (offlineEdits === "refuse") joints.use(changes.admitBy((edits) => awayRefusal(edits, configLog)));
  joints.use(ports.offer(TRUST, trust));
  joints.use(ports.offer(SHARED_LOG, configLog));
  joints.use(ports.offer(CONFIG_LOG, {
    status: () => configLog.status(),
    conflicts: (limit) => store.log.conflicts(limit),
    outcome: (generation, withinMs) => outcomeOf(core, { configLog, generation, withinMs }),
  }));
  const ending = new AbortController();
  const folding = foldWhenQuiet(core, ending.signal);
  return {
    name: "the cluster's log",
    [Symbol.asyncDispose]: async () => {
      ending.abort();
      joints.dispose();
      await folding;
    },
  };
};

/** How long nothing was changed when the database's file is written, and how much was before. */
const QUIET_MS = 1_000;
const FOLDED_COMMITS = 50;

/** What it takes to write the database's file. */
export interface Folding {
  /** What is written. */
  readonly store: Pick<Store, "fold">;
  /** What tells of changes. */
  readonly commits: Pick<Core["commits"], "subscribe">;
  /** Paces the looks. */
  readonly clock: Pick<Core["clock"], "sleep">;
  /** Hears of what can't be written yet. */
  readonly log: Pick<Core["log"], "debug">;
}

/** Writes it when no one waits for the disk: nodes wait for each other's changes. Until the signal. */
export async function foldWhenQuiet(
  { store, commits, clock, log }: Folding,
  signal: AbortSignal,
): Promise<void> {
  let [count, folded] = [0, 0];
  using _ = commits.subscribe(() => count++);
  while (!signal.aborted) {
    const before = count;
    await clock.sleep(QUIET_MS, signal);
    if (signal.aborted || count > before || count < folded + FOLDED_COMMITS) continue;
    folded = count;
    try {
      store.fold();
    } catch (error) {
      // It is tried again after the next changes, and by SQLite itself.
      log.debug("The database's file can't be written yet", { error });
    }
  }
}

/** Overrides are for the time in which something is wrong. */
function awayRefusal(edits: readonly Edit[] | null, configLog: ConfigLog): ChangeRefused | null {
  const { isCurrent, fault } = configLog.status();
  const isOverrides = edits?.every(({ kind }) => kind === "createOverride" || kind === "deleteOverride") ??
    false;
  if (isCurrent || isOverrides) return null;
  const message = `The cluster's log can't be reached${fault === null ? "" : ` (${fault})`}, and ` +
    "state.offlineEdits is refuse: until it can be, only overrides are taken";
  return new ChangeRefused("unavailable", [{ pointer: "", message }]);
}

async function trustOf({ settings, log, registry }: Core): Promise<Trust> {
  const { cluster, state: { signing: { key, keys } } } = settings();
  const [{ Trust }, { openSigning }] = await Promise.all([
    import("../cluster/trust.ts"),
    import("../cluster/signing.ts"),
  ]);
  const isSigned = key !== null || keys.length > 0;
  const signing = isSigned ? await openSigning({ cluster: cluster.id, key, keys }) : null;
  return new Trust({ signing, log, registry });
}

function newBoot(): string {
  return crypto.getRandomValues(new Uint8Array(8)).toHex();
}

/** Waits only where the log can be expected to go on. */
async function outcomeOf(
  { store, clock }: Pick<Core, "store" | "clock">,
  { configLog, generation, withinMs }: {
    readonly configLog: ConfigLog;
    readonly generation: number;
    readonly withinMs: number;
  },
): Promise<LogOutcome> {
  const id = store.log.pendingOf(generation);
  if (id === null) return { kind: "logged" };
  const first = outcomeOfEntry(store, id);
  if (first.kind !== "pending" || !configLog.status().isCurrent) return first;
  const settled = Promise.withResolvers<void>();
  using _ = configLog.onSettled(() => {
    if (!store.log.isPending(id)) settled.resolve();
  });
  const waiting = new AbortController();
  await Promise.race([settled.promise, clock.sleep(withinMs, waiting.signal)]);
  waiting.abort();
  return outcomeOfEntry(store, id);
}

function outcomeOfEntry({ log }: Pick<Store, "log">, id: string): LogOutcome {
  if (log.isPending(id)) return { kind: "pending" };
  const why = log.conflictOf(id);
  return why === null ? { kind: "logged" } : { kind: "conflict", why };
}
