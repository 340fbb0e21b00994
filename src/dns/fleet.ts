/**
 * The DNS workers of a node: as many for UDP as there are to be, and one for streams, all answering the same addresses from the
 * same snapshot. So nothing that a stream client sends takes time from UDP, and a fault in the one leaves the other alone.
 *
 * Where the kernel shares a port's packets among sockets (the Linux transport), there are several UDP workers. The
 * portable transport has one socket an address, so there is one, whatever was asked for.
 *
 * Sockets of one user may share a port, so each address is tried without sharing before anything of it is bound: that
 * keeps two nodes off one port. TCP comes first, so that a node that comes second never gets a packet of the first one's.
 * Only a process that takes the place of another one (`succession`) listens beside it, and takes over its UDP sockets
 * with what waits in them.
 *
 * @module
 */
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import { closeAbandoned } from "../sockets/batch_socket.ts";
import type { Allowance } from "../license/allowance.ts";
import { LANES, type LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import type { Logger, LoggerOptions } from "../telemetry/log.ts";
import type { EngineOptions } from "./engine.ts";
import type { AdoptedSocket } from "./binding.ts";
import { type LimitTerms, NO_LIMITS } from "./limits.ts";
import type { Patience } from "./pulse.ts";
import type { Sample } from "./samples.ts";
import { type Replacement, SupervisedWorker, type SupervisedWorkerOptions } from "./supervised_worker.ts";
import type { EncryptedBound } from "./service.ts";
import type { StreamLimits } from "./stream_server.ts";
import type { Certificate, EncryptedDuty } from "./stream_service.ts";
import type { CountedQuery } from "./traffic_block.ts";
import type { UdpTransport } from "./udp.ts";
import type { WorkerOptions } from "./worker.ts";
import { AddressTaken, WorkerLaunch } from "./worker_launch.ts";

/** What a fleet is started with. */
export interface FleetOptions {
  /** How many workers are to answer UDP, 1–64. */
  readonly workers: number;
  /** Addresses to answer on, UDP and TCP; port 0 = any free one. */
  readonly listen: readonly SocketAddress[];
  /** Which UDP transport to use; `auto` = the Linux one where it works. */
  readonly transport: "auto" | "linux" | "portable";
  /** What the engines say about the node. */
  readonly engine: Omit<EngineOptions, "lane">;
  /** Limits of each listener of streams. */
  readonly tcp: StreamLimits;
  /** Where a balancer of this host finds the node, a path; absent or `null` = nowhere. */
  readonly backendSocket?: string | null;
  /** Encrypted DNS to begin with; absent or `null` = there is none. */
  readonly encrypted?: EncryptedDuty | null;
  /** Who is answered, and how much, to begin with; absent = any client, as it comes. */
  readonly limits?: LimitTerms;
  /** Exchanges reported per second and worker at most; 0 = none. */
  readonly samplesPerSecond: number;
  /** One exchange in so many is reported; absent = every one. */
  readonly sampleEvery?: number;
  /** The state to begin with. */
  readonly snapshot: Snapshot;
  /** Shared with every worker. */
  readonly board: LiveBoard;
  /** How much all workers together may answer; absent = whatever is asked. */
  readonly allowance?: Allowance;
  /** Hears of workers that die or hang. */
  readonly log: Logger;
  /** How a worker says by itself that the main thread hangs; absent = as `createLogger` would by default. */
  readonly workerLog?: Pick<LoggerOptions, "level" | "format">;
  /** What is borne of a worker that doesn't turn; absent = `WORKER_PATIENCE`. */
  readonly patience?: Patience;
  /** What is borne of the main thread; absent = `MAIN_PATIENCE`. */
  readonly mainPatience?: Patience;
  /** The process whose place this one takes; absent = there is none. */
  readonly succession?: Succession | null;
  /** Threads that load already, as many for UDP as `workers` or fewer; absent = there are none. */
  readonly threads?: FleetThreads | null;
  /** Called whenever a worker is to be replaced. */
  readonly onReplace?: (why: Replacement) => void;
  /** Gets what `samplesPerSecond` asks for. */
  readonly onSample?: (sample: Sample) => void;
  /** Gets what `countTraffic` asks for. */
  readonly onCounted?: (counted: CountedQuery) => void;
  /** Called when the last UDP worker is lost for good. */
  readonly onLost?: (error: Error) => void;
}

/** A process that answers at the same addresses, and that this one takes the place of. */
export interface Succession {
  /** Where it listens for streams, encrypted ones included. */
  readonly listening: readonly SocketAddress[];
  /**
   * Has it receive no more UDP, and gives its sockets; asked for when the workers wait for nothing else.
   *
   * @throws {Error} when it doesn't give them
   */
  sockets(): Promise<readonly AdoptedSocket[]>;
  /** Called when what waits in them is being answered. */
  onAnswering(): void;
}

/** Threads of a fleet that load before anything is to be done. Disposing ends those that got nothing to do. */
export class FleetThreads implements Disposable {
  /** One or more. */
  readonly udp: readonly WorkerLaunch[];
  /** For streams. */
  readonly streams: WorkerLaunch;

  /** Begins to load so many for UDP, and one for streams. */
  constructor(udp: number) {
    this.udp = Array.from({ length: udp }, () => new WorkerLaunch("udp"));
    this.streams = new WorkerLaunch("streams");
  }

  /** Resolves when all have loaded. @throws {Error} when one can't be */
  async loaded(): Promise<void> {
    await Promise.all([...this.udp, this.streams].map(({ loaded }) => loaded));
  }

  /** Ends what wasn't launched. */
  [Symbol.dispose](): void {
    for (const launch of [...this.udp, this.streams]) launch[Symbol.dispose]();
  }
}

/**
 * What is borne of a worker. A beat is due every 100 ms, and a look adds a quarter of a second at most, so that a hang
 * is twenty looks of a main thread that runs, at a worker that does nothing at all.
 */
export const WORKER_PATIENCE: Patience = { lookMs: 250, quietMs: 2_000, hungMs: 5_000, deafMs: 30_000 };

/** What is borne of the main thread, which may be busy for seconds with a model of a million services. */
export const MAIN_PATIENCE: Patience = { lookMs: 100, quietMs: 10_000, hungMs: 10_000, deafMs: 10_000 };

/** The lane of the stream worker: behind those of the UDP workers. */
export const STREAM_LANE: number = LANES - 1;
/** That of the worker behind a balancer. */
export const BACKEND_LANE: number = LANES - 2;
/**
 * After how long a worker that isn't for UDP is tried again when it was given up: a minute, after which none of its deaths counts
 * any more. UDP goes on meanwhile, so there is a node that can get its others back.
 */
const STREAM_RETRY_MS = 60_000;
/** Attempts to find a port that is free for TCP and UDP alike, where any port will do. */
const ANY_PORT_TRIES = 16;

/** The workers of a node. */
export class Fleet implements AsyncDisposable {
  /** What is really listened on: port 0 replaced by the port that was found. */
  readonly addresses: readonly SocketAddress[];
  /** Where encrypted DNS is answered. */
  readonly encrypted: EncryptedBound;
  /** How UDP is served. */
  readonly transport: UdpTransport["name"];
  /** Why it isn't by the Linux transport; `null` = it is, or isn't meant to be. */
  readonly whyPortable: string | null;
  readonly #udp: readonly SupervisedWorker[];
  readonly #streams: SupervisedWorker;
  readonly #backend: SupervisedWorker | null;
  readonly #looking: ReturnType<typeof setInterval>;
  #board: LiveBoard;
  /** Those who wait for every worker to turn. */
  #waiting: PromiseWithResolvers<void> | null = null;

  private constructor(
    { udp, streams, backend }: Workers,
    { board, patience = WORKER_PATIENCE, onLost }: FleetOptions,
  ) {
    this.addresses = udp[0]!.bound.addresses;
    this.encrypted = streams.bound.encrypted;
    const { transport, whyPortable } = udp[0]!.bound.udp!;
    this.transport = transport;
    this.whyPortable = whyPortable;
    this.#udp = udp;
    this.#streams = streams;
    this.#backend = backend;
    this.#board = board;
    this.#looking = setInterval(() => this.#look(), patience.lookMs);
    Promise.all(udp.map(({ lost }) => lost)).then((errors) => onLost?.(errors.at(-1)!));
  }

  /**
   * Starts the workers; resolves when all sockets are bound and answers are being given.
   *
   * @throws {Error} when an address can't be bound, `Deno.errors.AddrInUse` when it is taken
   */
  static async start(options: FleetOptions): Promise<Fleet> {
    for (let attempt = 1;; attempt++) {
      try {
        const threads = attempt === 1 ? options.threads ?? null : null;
        return new Fleet(await startWorkers(options, threads), options);
      } catch (error) {
        // A port that was found for TCP is another's for UDP.
        const { listen, encrypted } = options;
        const named = [...listen, ...encrypted?.tls ?? [], ...encrypted?.https ?? []];
        const wasFound = error instanceof AddressTaken && !named.some(isSameAs(error.address));
        if (!wasFound || attempt === ANY_PORT_TRIES) throw error;
      }
    }
  }

  /** How many workers answer UDP. */
  get workers(): number {
    return this.#udp.length;
  }

  /**
   * Hands a snapshot to every worker; resolves when each answers from it or from a later one, or when the fleet is
   * stopped. Workers may be given up while others answer UDP: the kernel then hands those their packets.
   *
   * @throws {Error} when the last UDP worker is lost for good
   */
  async publish(snapshot: Snapshot, board: LiveBoard): Promise<void> {
    this.#board = board;
    await Promise.all(
      this.#all.map((worker) =>
        worker.publish(snapshot, board).catch((error) => {
          if (this.#isLost) throw error;
        })
      ),
    );
  }

  /** Whether UDP is answered by every worker, less those that are lost for good while others answer. */
  get isAnswering(): boolean {
    return !this.#isLost && this.#udp.every((worker) => worker.isGivenUp || worker.isAnswering);
  }

  /** Whether streams are answered. */
  get isAnsweringStreams(): boolean {
    return this.#streams.isAnswering;
  }

  /** Whether what balancers hand over is answered. */
  get isAnsweringBalancers(): boolean {
    return this.#backend?.isAnswering ?? false;
  }

  /**
   * Resolves when every worker has turned lately, and so answers from what is in its tables; at once where all do, and
   * when the fleet is stopped. Those that were given up don't count.
   */
  turning(): Promise<void> {
    if (this.#isTurning) return Promise.resolve();
    this.#waiting ??= Promise.withResolvers();
    return this.#waiting.promise;
  }

  get #isTurning(): boolean {
    return !this.#isLost && this.#all.every((worker) => worker.isGivenUp || worker.isTurning);
  }

  get #isLost(): boolean {
    return this.#udp.every((worker) => worker.isGivenUp);
  }

  get #all(): readonly SupervisedWorker[] {
    return [...this.#udp, this.#streams, ...this.#backend ? [this.#backend] : []];
  }

  #look(): void {
    this.#board.beatMain();
    for (const worker of this.#all) worker.look();
    if (this.#waiting && this.#isTurning) this.#release();
  }

  #release(): void {
    this.#waiting?.resolve();
    this.#waiting = null;
  }

  /** Has the workers count so many queries a second in all, or one each at least, from now on; 0 = none. */
  countTraffic(perSecond: number): void {
    const share = Math.ceil(perSecond / this.#all.length);
    for (const worker of this.#all) worker.countTraffic(share);
  }

  /** Has every worker go by these limits from now on. */
  limit(limits: LimitTerms): void {
    for (const worker of this.#all) worker.limit(limits);
  }

  /** Has encrypted DNS served with this certificate from now on; what becomes of it is logged. */
  certify(certificate: Certificate): void {
    this.#streams.certify(certificate);
  }

  /** The UDP sockets, which go on receiving; none = this transport has none that could be handed over. */
  get sockets(): readonly AdoptedSocket[] {
    return this.#udp.flatMap((worker) => worker.sockets);
  }

  /**
   * Has UDP answered however old it is, for so long from now on: the machine is about to be busy with what passes, and a
   * worker that doesn't get its turn would throw away what waits.
   */
  answerAll(forMs: number): void {
    for (const worker of this.#udp) worker.answerAll(forMs);
  }

  /**
   * Receives no more UDP until `resume`; resolves when what was received is answered.
   *
   * @throws {Error} when a worker can't be paused; all go on then
   */
  async pause(): Promise<void> {
    const paused = await Promise.allSettled(this.#udp.map((worker) => worker.pause()));
    const failed = paused.find(({ status }) => status === "rejected");
    if (failed?.status !== "rejected") return;
    this.resume();
    throw failed.reason;
  }

  /** Goes on. */
  resume(): void {
    for (const worker of this.#udp) worker.resume();
  }

  /**
   * Says that another process answers at the same addresses: from now on none is listened at, and clients leave as soon as
   * what is on its way has arrived and is answered. Disposal waits for them.
   */
  succeed(): void {
    for (const worker of this.#all) worker.succeed();
  }

  /** Stops all workers: UDP at once, streams within two seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#looking);
    this.#release();
    await Promise.all(this.#all.map((worker) => worker[Symbol.asyncDispose]()));
  }
}

interface Workers {
  /** One at least. */
  readonly udp: readonly SupervisedWorker[];
  readonly streams: SupervisedWorker;
  readonly backend: SupervisedWorker | null;
}

/** Streams first: what they bind, port 0 included, UDP binds as well. */
async function startWorkers(options: FleetOptions, threads: FleetThreads | null): Promise<Workers> {
  await using starting = new AsyncDisposableStack();
  const { succession = null, workers, log } = options;
  // All threads that are needed in any case load at the same time.
  using launches = new DisposableStack();
  const loading = launches.use(threads ?? new FleetThreads(succession ? workers : 1));
  const launchOf = (lane: number) => loading.udp[lane] ?? launches.use(new WorkerLaunch("udp"));
  const prepared = succession && prepareUdp(options, launchOf);
  const streams = starting.use(
    await SupervisedWorker.start(supervised(options, streamWorker(options)), loading.streams),
  );
  const { addresses } = streams.bound;
  const udp: SupervisedWorker[] = [];
  if (succession) udp.push(...await takeOver(succession, { lanes: await prepared!, addresses, starting }));
  const start = async (lane: number, listen: readonly SocketAddress[]) => {
    const worker = supervised(options, udpWorker(lane, options, listen));
    return starting.use(await SupervisedWorker.start(worker, launchOf(lane)));
  };
  if (udp.length === 0) udp.push(await start(0, addresses));
  const first = udp[0]!;
  const { transport, whyPortable } = first.bound.udp!;
  for (const address of [...streams.bound.covered, ...first.bound.covered]) {
    log.debug(`${formatSocketAddress(address)} needs no socket of its own on this machine`);
  }
  if (whyPortable !== null) {
    // Where it could be had, it is worth knowing that half as many queries are answered.
    const level = Deno.build.os === "linux" ? "warn" : "info";
    log[level]("The Linux UDP transport can't be used; the portable one is", { reason: whyPortable });
  }
  const more = transport === "portable" ? 0 : workers - udp.length;
  const others = Array.from({ length: more }, (_, i) => start(udp.length + i, first.bound.addresses));
  await Promise.allSettled(others); // one that fails must find the others where they can be stopped
  udp.push(...await Promise.all(others));
  // Last: whatever a balancer hands over is answered at once.
  const backend = await startBackend(options, starting);
  starting.move();
  return { udp, streams, backend };
}

/** A UDP worker that waits for its sockets. */
interface PreparedLane {
  readonly launch: WorkerLaunch;
  readonly worker: SupervisedWorkerOptions;
}

/** Has as many as there are to be made ready. */
function prepareUdp(
  options: FleetOptions,
  launchOf: (lane: number) => WorkerLaunch,
): Promise<readonly PreparedLane[]> {
  const prepared = Promise.all(Array.from({ length: options.workers }, async (_, lane) => {
    const launch = launchOf(lane);
    const worker = supervised(options, udpWorker(lane, options, options.listen));
    await launch.prepare(worker.worker, worker.snapshot, worker.board);
    return { launch, worker };
  }));
  prepared.catch(() => {}); // told to whoever waits for them, if streams can be answered at all
  return prepared;
}

/** What UDP workers are started with that take over sockets. */
interface TakingOver {
  readonly lanes: readonly PreparedLane[];
  /** Where they are to answer. */
  readonly addresses: readonly SocketAddress[];
  /** Stops them if what comes after fails. */
  readonly starting: AsyncDisposableStack;
}

/**
 * Has another process receive no more UDP, and goes on with its sockets at once. From the moment at which they are asked for
 * nothing is received, so nothing else is to be waited for then: whoever gets one is ready to answer.
 *
 * @returns a worker for each socket of the address that has most, as far as there are to be so many; they come first
 */
async function takeOver(
  succession: Succession,
  { lanes, addresses, starting }: TakingOver,
): Promise<SupervisedWorker[]> {
  const all = await succession.sockets();
  const sockets = all.filter(({ address }) => addresses.some(isSameAs(address)));
  // Where the settings don't have it any more no one is answered.
  closeAbandoned(all.filter((socket) => !sockets.includes(socket)).map(({ fd }) => fd));
  const shares = sharesOf(sockets, lanes.length);
  const adopt = async (lane: number) => {
    const { worker, launch } = lanes[lane]!;
    return starting.use(
      await SupervisedWorker.adopt(worker, launch, { sockets: shares[lane]!, listen: addresses }),
    );
  };
  const isNew = (address: SocketAddress) => !sockets.some(({ address: other }) => isSameAs(address)(other));
  // An address that is new is bound by the first worker alone, and only then beside it.
  const early = addresses.some(isNew) ? [await adopt(0)] : [];
  const others = lanes.slice(early.length).map((_, i) => adopt(early.length + i));
  await Promise.allSettled(others); // one that fails must find the others where they can be stopped
  const workers = [...early, ...await Promise.all(others)];
  succession.onAnswering();
  return workers;
}

/** As the log calls them. */
const TITLES = {
  udp: "A DNS worker",
  streams: "The DNS stream worker",
  backend: "The DNS worker behind the balancer",
} as const;

async function startBackend(
  options: FleetOptions,
  starting: AsyncDisposableStack,
): Promise<SupervisedWorker | null> {
  const { backendSocket: path = null, tcp: limits, succession = null } = options;
  if (path === null) return null;
  const worker: WorkerOptions = {
    ...{ ...basis(options, BACKEND_LANE), listen: [] },
    duty: { kind: "backend", path, takesOver: succession !== null, limits },
  };
  return starting.use(await SupervisedWorker.start(supervised(options, worker), new WorkerLaunch("backend")));
}

/** The sockets of each worker: those of one address dealt out among them, the first of which gets one of each. */
function sharesOf(adopted: readonly AdoptedSocket[], workers: number): AdoptedSocket[][] {
  const shares: AdoptedSocket[][] = Array.from({ length: workers }, () => []);
  const byAddress = Map.groupBy(adopted, ({ address }) => formatSocketAddress(address));
  for (const sockets of byAddress.values()) {
    for (const [i, socket] of sockets.entries()) shares[i % workers]!.push(socket);
  }
  return shares;
}

function supervised(options: FleetOptions, worker: WorkerOptions): SupervisedWorkerOptions {
  const { snapshot, board, log, patience = WORKER_PATIENCE, onReplace, onSample, onCounted } = options;
  const isForUdp = worker.duty.kind === "udp";
  return {
    title: TITLES[worker.duty.kind],
    retryMs: isForUdp ? null : STREAM_RETRY_MS,
    worker,
    snapshot,
    board,
    log,
    patience,
    ...(onReplace ? { onReplace } : {}),
    ...(onSample ? { onSample } : {}),
    ...(onCounted ? { onCounted } : {}),
  };
}

function streamWorker(options: FleetOptions): WorkerOptions {
  const { listen, tcp: limits, encrypted = null, succession } = options;
  const beside = succession?.listening ?? [];
  return { ...basis(options, STREAM_LANE), listen, duty: { kind: "streams", limits, encrypted, beside } };
}

function udpWorker(lane: number, options: FleetOptions, listen: readonly SocketAddress[]): WorkerOptions {
  const { transport, workers } = options;
  const company = workers === 1 ? "none" : lane === 0 ? "later" : "now";
  return { ...basis(options, lane), listen, duty: { kind: "udp", transport, company } };
}

/** What every worker is told alike. */
function basis(options: FleetOptions, lane: number): Omit<WorkerOptions, "listen" | "duty"> {
  const {
    engine,
    samplesPerSecond,
    sampleEvery = 1,
    limits = NO_LIMITS,
    workerLog = { level: "info", format: "auto" },
    mainPatience = MAIN_PATIENCE,
    allowance,
  } = options;
  return {
    ...{ engine: { ...engine, lane }, limits, samplesPerSecond, sampleEvery, log: workerLog, mainPatience },
    ...(allowance && { allowance: allowance.buffer }),
  };
}

function isSameAs({ hostname, port }: SocketAddress): (other: SocketAddress) => boolean {
  return (other) => other.hostname === hostname && other.port === port;
}
