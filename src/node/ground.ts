/**
 * What a node stands on before anything of it answers: its metrics, its database, the one path of every change.
 *
 * @module
 */
import { Changes } from "../change/commit.ts";
import { type Clock, type Rng, systemClock, systemRng } from "../clock.ts";
import { SocketClock } from "../sockets/socket_clock.ts";
import { databaseFiles } from "../doctor/database_file.ts";
import { closeToOthers, octal } from "../doctor/file_modes.ts";
import type { Events } from "../events/events.ts";
import { EventKeeper } from "../events/keeper.ts";
import { Ports } from "../port.ts";
import type { FrozenState } from "../replace/state.ts";
import type { Released } from "../replace/successor.ts";
import type { Settings } from "../settings/settings.ts";
import { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import { Registry } from "../telemetry/metrics.ts";
import { registerProcessMetrics } from "../telemetry/process.ts";
import { VERSION } from "../version.ts";
import { Commits } from "./commits.ts";
import { bindControl, type ControlSockets, expectToken } from "./http.ts";
import { InternalErrors } from "./internal_errors.ts";

/** What every part of a node may need. */
export interface Ground {
  /** Those of now: a reload replaces them, when every part is ready for the next. */
  readonly settings: () => Settings;
  /** Where the node says what happens to it. */
  readonly log: Logger;
  /** Gets the metrics. */
  readonly registry: Registry;
  /** Paces and dates whatever waits. */
  readonly clock: Clock;
  /** Spreads what would come at the same time. */
  readonly rng: Rng;
  /** Read only: writes go through `changes`. */
  readonly store: Store;
  /** The one path of every change. */
  readonly changes: Changes;
  /** Changes of the model, whoever made them. */
  readonly commits: Commits;
  /** What happens inside, and what is kept of the runs before. */
  readonly events: Events;
  /** What parts offer each other and the API. */
  readonly ports: Ports;
  /** The process whose place this one takes; `null` = there is none. */
  readonly predecessor: Predecessor | null;
  /** Aborted when the node begins to stop, before anything else is done. */
  readonly stopping: AbortSignal;
}

/** A process of this node that answers still, while this one starts. */
export interface Predecessor {
  /** What it has left; its database is frozen. */
  readonly state: FrozenState;
  /** Has it receive no more UDP, and gives its sockets. @throws {Error} when it doesn't */
  release(): Promise<Omit<Released, "lock">>;
  /** To be called when what waits in them is being answered. */
  answered(): void;
}

/** The ground of a node that is being started. */
export interface OpenGround extends Ground {
  /** Bound, but nothing is answered there yet. */
  readonly sockets: ControlSockets;
  /** Knows why the node isn't to be relied on. */
  readonly internalErrors: InternalErrors;
  /** When the node was started, on its clock. */
  readonly startedMs: number;
  /** Writes what has happened so far, and nothing more until the result is disposed of. */
  holdEvents(): Disposable;
  /** Makes these the settings of now. */
  take(next: Settings): void;
  /** Says that the node begins to stop. */
  stop(): void;
}

/**
 * Opens the ground; `lifetime` closes it.
 *
 * @throws {Error} with a message for people when the database can't be opened or an address can't be bound, or when the
 * API could be reached by any host and asked for no token
 */
export function openGround(
  { settings, log, predecessor = null }: {
    readonly settings: Settings;
    readonly log: Logger;
    readonly predecessor?: Predecessor | null;
  },
  lifetime: AsyncDisposableStack,
): OpenGround {
  let now = settings;
  const clock = lifetime.use(new SocketClock(systemClock));
  const stopping = new AbortController();
  const startedMs = clock.monotonicMs();
  const registry = new Registry({ cluster: settings.cluster.id, node: settings.node.id });
  registerProcessMetrics(registry, { version: VERSION, clock });
  const internalErrors = lifetime.use(new InternalErrors({ log, registry, clock }));
  const beside = predecessor ? [predecessor.state.api, predecessor.state.metrics] : [];
  const sockets = lifetime.use(bindControl(settings, { log, registry, clock, beside }));
  closeOwnFiles(settings, log);
  const store = lifetime.use(openStore(settings.database.path, { holdsMigration: predecessor !== null }));
  expectToken(settings, { store, clock });
  const keeper = lifetime.use(
    new EventKeeper({
      memory: store.readOnly ? null : store.events,
      isSuccessor: predecessor !== null,
      ...{ clock, log },
    }),
  );
  const { events } = keeper;
  const changes = new Changes({ store, clock, history: settings.history });
  lifetime.defer(() => changes.idle());
  const commits = lifetime.use(new Commits({ store, changes, clock, log }));
  return {
    settings: () => now,
    ...{ log, registry, clock, rng: systemRng, store, changes, commits, events, ports: new Ports() },
    predecessor,
    stopping: stopping.signal,
    holdEvents: () => keeper.hold(),
    ...{ sockets, internalErrors, startedMs },
    take: (next) => now = next,
    stop: () => {
      stopping.abort(new Error("The node is stopping"));
      events.emit({ kind: "node", state: "stopping", lost: false });
    },
  };
}

/** The database holds hashes of tokens, and what only the API should tell. */
function closeOwnFiles(settings: Settings, log: Logger): void {
  for (const { path, mode, left } of closeToOthers(databaseFiles(settings))) {
    const modes = { file: path, mode: octal(mode) };
    if (left === mode) {
      log.warn("Other users may use the database", { ...modes, fix: `chmod g-wx,o= ${path}` });
    } else log.warn("Took the database away from other users", { ...modes, now: octal(left) });
  }
}

function openStore(path: string, how: { readonly holdsMigration: boolean }): Store {
  if (path === "none") return Store.none();
  return path === ":memory:" ? Store.memory() : Store.open(path, how);
}
