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
import type { Logger } from "../telemetry/log.ts";
import type { EngineOptions } from "./engine.ts";
import { Post } from "./post.ts";
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
  /** Hears of workers that die. */
  readonly log: Logger;
  /** Gets what `samplesPerSecond` asks for. */
  readonly onSample?: (sample: Sample) => void;
  /** Called when the first worker is lost for good: the node can't answer streams, or nothing at all. */
  readonly onLost?: (error: Error) => void;
}

/** The workers of a node. */
export class Fleet implements AsyncDisposable {
  /** What is really listened on: port 0 replaced by the port that was found. */
  readonly addresses: readonly SocketAddress[];
  /** How UDP is served. */
  readonly transport: UdpTransport["name"];
  readonly #posts: readonly Post[];
  #board: LiveBoard;

  private constructor(posts: readonly Post[], board: LiveBoard) {
    this.addresses = posts[0]!.bound.addresses;
    this.transport = posts[0]!.bound.transport;
    this.#posts = posts;
    this.#board = board;
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
    return new Fleet([first, ...others], options.board);
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

  /** Stops all workers: UDP at once, streams within two seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#board.stop();
    await Promise.all(this.#posts.map((post) => post[Symbol.asyncDispose]()));
  }
}

function startPost(lane: number, options: FleetOptions, listen: readonly SocketAddress[]): Promise<Post> {
  const { engine, transport, tcp, samplesPerSecond, sampleEvery = 1, workers, onLost, ...rest } = options;
  return Post.start({
    ...rest,
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
    },
  });
}
