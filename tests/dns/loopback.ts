/**
 * A real fleet on loopback, with a world to answer from.
 *
 * @module
 */
import type { EngineOptions } from "../../src/dns/engine.ts";
import type { Sample } from "../../src/dns/samples.ts";
import { Fleet, type Succession } from "../../src/dns/fleet.ts";
import type { LimitTerms } from "../../src/dns/limits.ts";
import type { EncryptedDuty } from "../../src/dns/stream_service.ts";
import type { Replacement } from "../../src/dns/supervised_worker.ts";
import type { Patience } from "../../src/dns/pulse.ts";
import type { StreamLimits } from "../../src/dns/stream_server.ts";
import type { CountedQuery } from "../../src/dns/traffic_block.ts";
import { parseSocketAddress, type SocketAddress } from "../../src/ip.ts";
import type { Allowance } from "../../src/license/allowance.ts";
import type { LogFields, Logger } from "../../src/telemetry/log.ts";
import { type Declared, PLAIN, World } from "./world.ts";

/** How a fleet differs from the ordinary. */
export interface LoopbackOptions {
  /** As `127.0.0.1:0`. */
  readonly listen: readonly string[];
  readonly engine: Partial<EngineOptions>;
  readonly transport: "auto" | "linux" | "portable";
  readonly workers: number;
  readonly tcp: Partial<StreamLimits>;
  readonly limits: LimitTerms;
  readonly encrypted: EncryptedDuty;
  readonly backendSocket: string;
  readonly succession: Succession;
  readonly samplesPerSecond: number;
  readonly sampleEvery: number;
  readonly onSample: (sample: Sample) => void;
  readonly onCounted: (counted: CountedQuery) => void;
  readonly patience: Patience;
  readonly mainPatience: Patience;
  readonly allowance: Allowance;
  readonly onReplace: (why: Replacement) => void;
  readonly onLost: (error: Error) => void;
  /** Gets each line of the log as `level message`. */
  readonly onLog: (line: string, fields: LogFields) => void;
}

/** What a test fleet bears unless told otherwise: more than any test needs. */
export const ROOMY: StreamLimits = {
  maxConnections: 100,
  maxConnectionsPerClient: 100,
  idleTimeout: 60_000,
  queryTimeout: 60_000,
};

/** A fleet and its world. */
export class Loopback implements AsyncDisposable {
  readonly world: World;
  readonly fleet: Fleet;

  private constructor(world: World, fleet: Fleet) {
    this.world = world;
    this.fleet = fleet;
  }

  static async start(declared: Declared, options: Partial<LoopbackOptions> = {}): Promise<Loopback> {
    const world = new World(declared);
    const fleet = await Fleet.start({
      workers: options.workers ?? 1,
      listen: (options.listen ?? ["127.0.0.1:0"]).map((text) => parseSocketAddress(text)),
      engine: { ...PLAIN, ...options.engine },
      transport: options.transport ?? "auto",
      tcp: { ...ROOMY, ...options.tcp },
      ...(options.limits ? { limits: options.limits } : {}),
      encrypted: options.encrypted ?? null,
      backendSocket: options.backendSocket ?? null,
      succession: options.succession ?? null,
      samplesPerSecond: options.samplesPerSecond ?? 0,
      sampleEvery: options.sampleEvery ?? 1,
      snapshot: world.snapshot,
      board: world.board,
      log: loggerTo(options.onLog ?? (() => {})),
      ...(options.onSample ? { onSample: options.onSample } : {}),
      ...(options.onCounted ? { onCounted: options.onCounted } : {}),
      ...(options.patience ? { patience: options.patience } : {}),
      ...(options.mainPatience ? { mainPatience: options.mainPatience } : {}),
      ...(options.allowance ? { allowance: options.allowance } : {}),
      ...(options.onReplace ? { onReplace: options.onReplace } : {}),
      ...(options.onLost ? { onLost: options.onLost } : {}),
    });
    return new Loopback(world, fleet);
  }

  /** The first address. */
  get address(): SocketAddress {
    return this.fleet.addresses[0]!;
  }

  /** Declares another world and waits until it is answered. */
  publish(declared: Declared): Promise<void> {
    this.world.declare(declared);
    return this.fleet.publish(this.world.snapshot, this.world.board);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fleet[Symbol.asyncDispose]();
  }
}

/** A logger that hands on each line as `level message`. */
export function loggerTo(onLog: (line: string, fields: LogFields) => void): Logger {
  const at = (level: string) => (message: string, fields: LogFields = {}) =>
    onLog(`${level} ${message}`, fields);
  const log: Logger = {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: () => log,
  };
  return log;
}
