/**
 * The DNS workers of a node: as many as there are to be, all answering the same addresses from the same snapshot.
 *
 * Where the kernel shares a port's packets among sockets (the Linux transport), every worker answers UDP and the
 * first one also streams. The portable transport has one socket an address, so there is one worker, whatever was asked for.
 * The first worker binds the TCP ports, which are never shared: that is what keeps two nodes off one port.
 *
 * @module
 */
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { Snapshot } from "../snapshot/view.ts";
import type { Logger, LoggerOptions } from "../telemetry/log.ts";
import type { EngineOptions } from "./engine.ts";
import { Post, type Replacement } from "./supervised_worker.ts";
import type { Patience } from "./pulse.ts";
import type { Sample } from "./samples.ts";
import type { TcpLimits } from "./tcp.ts";
import type { UdpTransport } from "./udp.ts";

/** What a fleet is started with. */
export interface FleetOptions {
  /** How many workers there are to be, 1–64. */
  readonly workers: number;
  /** Addresses to answer on, UDP and TCP; port 0 = any free one. */
  readonly listen: readonly SocketAddress[];
  /** Which UDP transport to use; `auto` = the Linux one where it works. */
  readonly transport: "auto" | "linux" | "portable";
  /** What the engines say about the node. */
  readonly engine: Omit<EngineOptions, "lane">;
  /** Limits of each TCP listener. */
  readonly tcp: TcpLimits;
  /** Exchanges reported per second and worker at most; 0 = none. */
  readonly samplesPerSecond: number;
  /** One exchange in so many is reported; absent = every one. */
  readonly sampleEvery?: number;
  /** The state to begin with. */
  readonly snapshot: Snapshot;
  /** Shared with every worker. */
  readonly board: LiveBoard;
  /** Hears of workers that die or hang. */
  readonly log: Logger;
  /** How a worker says by itself that the main thread hangs; absent = as `createLogger` would by default. */
  readonly workerLog?: Pick<LoggerOptions, "level" | "format">;
  /** What is borne of a worker that doesn't turn; absent = `WORKER_PATIENCE`. */
  readonly patience?: Patience;
  /** What is borne of the main thread; absent = `MAIN_PATIENCE`. */
  readonly mainPatience?: Patience;
  /** Called whenever a worker is to be replaced. */
  readonly onReplace?: (why: Replacement) => void;
  /** Gets what `samplesPerSecond` asks for. */
  readonly onSample?: (sample: Sample) => void;
  /** Called when the first worker is lost for good: the node can't answer streams, or nothing at all. */
  readonly onLost?: (error: Error) => void;
}

/**
 * What is borne of a worker. A beat is due every 100 ms, and a look adds a quarter of a second at most, so that a hang
 * is twenty looks of a main thread that runs, at a worker that does nothing at all.
 */
export const WORKER_PATIENCE: Patience = { lookMs: 250, quietMs: 2_000, hungMs: 5_000, deafMs: 30_000 };

/** What is borne of the main thread, which may be busy for seconds with a model of a million services. */
export const MAIN_PATIENCE: Patience = { lookMs: 100, quietMs: 10_000, hungMs: 10_000, deafMs: 10_000 };

/** The workers of a node. */
export class Fleet implements AsyncDisposable {
  /** What is really listened on: port 0 replaced by the port that was found. */
  readonly addresses: readonly SocketAddress[];
  /** How UDP is served. */
  readonly transport: UdpTransport["name"];
  readonly #posts: readonly Post[];
  readonly #looking: ReturnType<typeof setInterval>;
  #board: LiveBoard;
  /** Those who wait for every worker to turn. */
  #waiting: PromiseWithResolvers<void> | null = null;

  private constructor(posts: readonly Post[], { board, patience = WORKER_PATIENCE }: FleetOptions) {
    this.addresses = posts[0]!.bound.addresses;
    this.transport = posts[0]!.bound.transport;
    this.#posts = posts;
    this.#board = board;
    this.#looking = setInterval(() => this.#look(), patience.lookMs);
  }

  /**
   * Starts the workers; resolves when all sockets are bound and answers are being given.
   *
   * @throws {Error} when an address can't be bound, `Deno.errors.AddrInUse` when it is taken
   */
  static async start(options: FleetOptions): Promise<Fleet> {
    await using starting = new AsyncDisposableStack();
    const first = starting.use(await startPost(0, options, options.listen));
    const { addresses, covered, transport, transportNote } = first.bound;
    for (const address of covered) {
      options.log.debug(`${formatSocketAddress(address)} needs no socket of its own on this machine`);
    }
    if (transportNote !== "") options.log.info(`${transportNote}; using the portable one`);
    const more = transport === "portable" ? 0 : options.workers - 1;
    const others = await Promise.all(
      Array.from({ length: more }, (_, i) => startPost(i + 1, options, addresses)),
    );
    starting.move();
    return new Fleet([first, ...others], options);
  }

  /** How many workers there are. */
  get workers(): number {
    return this.#posts.length;
  }

  /**
   * Hands a snapshot to every worker; resolves when each answers from it or from a later one, or when the fleet is
   * stopped. Workers but the first may be lost for good: the kernel then hands their packets to the others.
   *
   * @throws {Error} when the first worker is lost for good
   */
  async publish(snapshot: Snapshot, board: LiveBoard): Promise<void> {
    this.#board = board;
    const [first, ...others] = this.#posts;
    const alive = [first!, ...others.filter((post) => !post.isLost)];
    await Promise.all(alive.map((post) => post.publish(snapshot, board)));
  }

  /** Whether every worker turns, less those that are lost for good while others answer. */
  get isAnswering(): boolean {
    return this.#counted.every((post) => post.isAnswering);
  }

  /**
   * Resolves when every worker has turned lately, and so answers from what is in its tables; at once where all do, and
   * when the fleet is stopped.
   */
  turning(): Promise<void> {
    if (this.#isTurning) return Promise.resolve();
    this.#waiting ??= Promise.withResolvers();
    return this.#waiting.promise;
  }

  get #isTurning(): boolean {
    return this.#counted.every((post) => post.isTurning);
  }

  get #counted(): readonly Post[] {
    return this.#posts.filter((post, i) => i === 0 || !post.isLost);
  }

  #look(): void {
    this.#board.beatMain();
    for (const post of this.#posts) post.look();
    if (this.#waiting && this.#isTurning) this.#release();
  }

  #release(): void {
    this.#waiting?.resolve();
    this.#waiting = null;
  }

  /** Stops all workers: UDP at once, streams within two seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#looking);
    this.#release();
    await Promise.all(this.#posts.map((post) => post[Symbol.asyncDispose]()));
  }
}

function startPost(lane: number, options: FleetOptions, listen: readonly SocketAddress[]): Promise<Post> {
  const {
    engine,
    transport,
    tcp,
    samplesPerSecond,
    sampleEvery = 1,
    workers,
    onLost,
    workerLog = { level: "info", format: "auto" },
    patience = WORKER_PATIENCE,
    mainPatience = MAIN_PATIENCE,
    ...rest
  } = options;
  return Post.start({
    ...rest,
    patience,
    ...(lane === 0 && onLost ? { onLost } : {}),
    worker: {
      listen,
      engine: { ...engine, lane },
      transport,
      sharesPorts: workers > 1,
      streams: lane === 0,
      tcp,
      samplesPerSecond,
      sampleEvery,
      log: workerLog,
      mainPatience,
    },
  });
}
