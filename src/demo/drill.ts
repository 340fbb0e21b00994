/**
 * A drill: a backend is stopped or started, and the answers are held against what was promised.
 *
 * The promise is that an address leaves the answers within `interval × fall + timeout` of its backend's death and
 * comes back within `interval × rise + timeout` of its return, plus 100 ms for us. The proof is taken from DNS itself:
 * a verdict alone says only what the node believes.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { HealthCheck } from "../model/model.ts";
import type { HealthState } from "../health/verdict.ts";
import type { Answers, DemoEvent } from "./narration.ts";

/** What the node may need beside its checks. */
const OWN_SHARE_MS = 100;
/** How long after the bound the drill still waits, to say how late it was. */
const LATE_MS = 5_000;

/** A backend, as far as a drill needs it. */
export interface DrillBackend {
  /** As people call it. */
  readonly number: number;
  /** Its address in the answers. */
  readonly hostname: string;
  /** Whether it takes connections. */
  readonly isRunning: boolean;
  /** Takes connections. */
  start(): Promise<void>;
  /** Takes none any more. */
  stop(): Promise<void>;
}

/** What a drill works with. */
export interface DrillOptions {
  /** Times the promise. */
  readonly clock: Clock;
  /** How all backends are probed. */
  readonly check: HealthCheck;
  /** Asks the node itself, often enough to see every address that a name has; the first name has all backends. */
  readonly ask: () => Promise<readonly Answers[]>;
  /** Takes what happens. */
  readonly tell: (event: DemoEvent) => void;
}

/** Stops and starts backends and tells what the answers make of it. */
export class Drill implements Disposable {
  readonly #options: DrillOptions;
  /** What is believed of each address; one that isn't here was never found down. */
  readonly #states = new Map<string, HealthState>();
  readonly #waiting = new Map<string, AbortController>();
  #isOver = false;

  /** All backends run, and are believed to. */
  constructor(options: DrillOptions) {
    this.#options = options;
  }

  /** Takes a verdict that is in the answers already. */
  onVerdict(address: string, state: HealthState): void {
    this.#states.set(address, state);
    this.#waiting.get(address)?.abort();
  }

  /** Stops the backend; resolves to whether it left the answers in time, `null` when that can't be said. */
  async stop(backend: DrillBackend): Promise<boolean | null> {
    const { clock, check, tell } = this.#options;
    const boundMs = check.intervalMs * check.fall + check.timeoutMs + OWN_SHARE_MS;
    const sinceMs = clock.monotonicMs();
    await backend.stop();
    if (this.#states.get(backend.hostname) === "unhealthy") return this.#unnoticed(backend, "stopped");
    tell({ kind: "stopped", backend: nameOf(backend), boundMs });
    return await this.#prove(backend, { wanted: "gone", sinceMs, boundMs });
  }

  /** Starts the backend; resolves to whether it came back in time, `null` when that can't be said. */
  async start(backend: DrillBackend): Promise<boolean | null> {
    const { clock, check, tell } = this.#options;
    const boundMs = check.intervalMs * check.rise + check.timeoutMs + OWN_SHARE_MS;
    const sinceMs = clock.monotonicMs();
    await backend.start();
    if (this.#states.get(backend.hostname) !== "unhealthy") return this.#unnoticed(backend, "started");
    tell({ kind: "started", backend: nameOf(backend), boundMs });
    return await this.#prove(backend, { wanted: "back", sinceMs, boundMs });
  }

  /** Ends every wait. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const waiting of this.#waiting.values()) waiting.abort();
  }

  /** The answers never showed what the act before this one did, so this one has nothing to undo. */
  #unnoticed(backend: DrillBackend, act: "stopped" | "started"): null {
    this.#options.tell({ kind: "unnoticed", backend: nameOf(backend), act });
    this.#waiting.get(backend.hostname)?.abort();
    return null;
  }

  async #prove(backend: DrillBackend, promise: Promised): Promise<boolean | null> {
    const { clock, tell } = this.#options;
    const { hostname: address } = backend;
    const { wanted, sinceMs, boundMs } = promise;
    const isOurs = () => !this.#isOver && backend.isRunning === (wanted === "back");
    await this.#verdict(address, promise, boundMs);
    if (!isOurs()) return null;
    if (!this.#hasVerdict(address, wanted)) {
      tell({ kind: "late", address, wanted, boundMs });
      await this.#verdict(address, promise, boundMs + LATE_MS);
      if (!isOurs() || !this.#hasVerdict(address, wanted)) return isOurs() ? false : null;
    }
    const now = await this.#options.ask();
    if (!isOurs()) return null;
    const afterMs = clock.monotonicMs() - sinceMs;
    const answered = now[0]!.addresses;
    if (answered.includes(address) === (wanted === "back")) {
      tell({ kind: wanted, address, afterMs, boundMs, now });
      return afterMs <= boundMs;
    }
    if (wanted === "gone" && answered.every((each) => this.#states.get(each) === "unhealthy")) {
      tell({ kind: "kept", address, afterMs, again: answered.filter((each) => each !== address), now });
      return null;
    }
    tell({ kind: "late", address, wanted, boundMs });
    return false;
  }

  #hasVerdict(address: string, wanted: "gone" | "back"): boolean {
    return (this.#states.get(address) === "unhealthy") === (wanted === "gone");
  }

  /** Waits for the verdict until so long after the act. */
  async #verdict(address: string, { wanted, sinceMs }: Promised, untilMs: number): Promise<void> {
    this.#waiting.get(address)?.abort();
    const waiting = new AbortController();
    this.#waiting.set(address, waiting);
    if (this.#hasVerdict(address, wanted)) return;
    const { clock } = this.#options;
    await clock.sleep(Math.max(0, sinceMs + untilMs - clock.monotonicMs()), waiting.signal);
  }
}

interface Promised {
  readonly wanted: "gone" | "back";
  /** When the backend was stopped or started, monotonic milliseconds. */
  readonly sinceMs: number;
  readonly boundMs: number;
}

function nameOf({ number, hostname }: DrillBackend): string {
  return `Backend ${number} (${hostname})`;
}
