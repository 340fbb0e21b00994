/**
 * A running node: everything built in order, joined, and taken down in reverse. `serve` runs one for good, `demo` one
 * for a while, tests as many as they like.
 *
 * Order: store → last verdicts → first snapshot and first probes → DNS workers → API. DNS is first to come and last
 * to go; nothing it does waits for what comes after. Nothing refers to what is made after it: a part that is made first
 * tells, and one that is made later listens.
 *
 * @module
 */
import type { Resource } from "../api/resource.ts";
import type { Changes } from "../change/commit.ts";
import type { FleetThreads } from "../dns/fleet.ts";
import type { Events } from "../events/events.ts";
import type { SocketAddress } from "../ip.ts";
import type { Block } from "../settings/block.ts";
import { BLOCKS } from "../settings/blocks.ts";
import { NodeHandOver } from "./hand_over.ts";
import type { Predecessor } from "./ground.ts";
import type { Settings } from "../settings/settings.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import { Answers } from "./answers.ts";
import { DOCTOR } from "../doctor/doctor.ts";
import { nodeDoctor } from "./doctor.ts";
import { type AnswerWatch, startDnsWorkers } from "./dns_workers.ts";
import { openGround } from "./ground.ts";
import { emitHappenings } from "./happenings.ts";
import { certificateOf, serveControl } from "./http.ts";
import type { Start } from "./part.ts";
import { PARTS, startParts } from "./parts.ts";
import { Reloads } from "./reload.ts";
import { openSources, startPatience } from "./sources.ts";

/** What a node is started with. */
export interface NodeOptions {
  /** All of them, valid. */
  readonly settings: Settings;
  /** Where the node says what happens to it. */
  readonly log: Logger;
  /** PEM certificates that health checks trust beside the system's. */
  readonly caCerts?: readonly string[];
  /** Gets up to `perSecond` exchanges a second, and the query log none. */
  readonly watchAnswers?: AnswerWatch;
  /** The parts that nothing else is built on; `PARTS` when left out. */
  readonly parts?: readonly Start[];
  /** What the API serves; `RESOURCES` when left out. */
  readonly resources?: readonly Resource[];
  /** What the settings are of; `BLOCKS` when left out. */
  readonly blocks?: readonly Block[];
  /** The process whose place this one takes; absent = there is none. */
  readonly predecessor?: Predecessor | null;
  /** Threads for DNS that load already; absent = there are none. */
  readonly threads?: FleetThreads | null;
}

/** A node that answers. */
export interface RunningNode extends AsyncDisposable {
  /** What is really listened on: port 0 replaced by the port that was found. */
  readonly dns: readonly SocketAddress[];
  /** Where the API listens; `null` = it is off. */
  readonly api: SocketAddress | null;
  /** Where `/metrics` is served, on the API's listener or its own; `null` = it is off. */
  readonly metrics: SocketAddress | null;
  /** The open database. */
  readonly store: Store;
  /** The one path of every change. */
  readonly changes: Changes;
  /** What happens inside, and what is kept of the runs before. */
  readonly events: Events;
  /** Resolves when every worker answers from this generation. */
  settled(generation: number): Promise<void>;
  /** Takes over what can change while running; gives the keys that differ from the start's and need another one. */
  use(settings: Settings): Promise<string[]>;
  /** Counts settings that were refused before they came here, and the databases among what was wrong with them. */
  refuse(databases: number): void;
  /** Lets another process take this one's place. */
  readonly handsOver: NodeHandOver;
  /** Whether every DNS worker turns and none is being replaced. */
  isAnswering(): boolean;
  /** Rejects when the node can't answer any more. */
  readonly lost: Promise<never>;
}

/**
 * Starts a node; resolves when it answers DNS and its API listens.
 *
 * @throws {Error} with a message for people when the database can't be opened or an address can't be bound
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  await using lifetime = new AsyncDisposableStack();
  const { caCerts = [], watchAnswers = null, parts: starts = PARTS, blocks = BLOCKS, resources } = options;
  const { threads = null } = options;
  const ground = openGround(options, lifetime);
  const { sockets, events } = ground;

  const sources = await openSources(ground, { caCerts }, lifetime);
  const { health, geo } = sources;
  lifetime.use(emitHappenings(ground, sources));
  const answers = lifetime.use(new Answers(ground, sources));

  const core = { ...ground, ...sources, answers };
  const parts = await startParts(starts, core, lifetime);
  const certificate = certificateOf(sockets, options);
  const reloads = lifetime.use(new Reloads({ ...ground, answers, parts: [...parts, certificate], blocks }));
  await health.checker.firstRound(startPatience(ground));
  lifetime.use(answers.measure(health));

  const counting = new DisposableStack();
  lifetime.use(counting);
  const workers = await startDnsWorkers(ground, { answers, watchAnswers, threads }, lifetime);
  lifetime.use(ground.ports.offer(DOCTOR, nodeDoctor(ground, workers)));
  await serveControl({ ground, core, workers, ...resources && { resources } }, lifetime);
  lifetime.use(sockets); // once more: a running node closes them first
  lifetime.defer(() => ground.stop());
  events.emit({ kind: "node", state: "answering", lost: false });

  const handsOver = new NodeHandOver({ ground, answers, fleet: workers.fleet });
  counting.defer(() => handsOver.count());
  const running = lifetime.move();
  const { api, metrics } = sockets;
  return {
    dns: workers.fleet.addresses,
    api: api?.address ?? null,
    metrics: (metrics ?? (options.settings.metrics.enablePrometheus ? api : null))?.address ?? null,
    ...{ store: ground.store, changes: ground.changes, events },
    ...{ settled: workers.settled, lost: workers.lost },
    handsOver,
    isAnswering: () => workers.fleet.isAnswering,
    use: (next) => reloads.use(next),
    refuse: (databases) => {
      reloads.refuse();
      geo.countRefused(databases);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
