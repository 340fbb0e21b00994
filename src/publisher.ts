/**
 * From a change to the next answer: compiles the desired state, tells the health checker what to probe, hands the
 * snapshot to the workers and keeps the health bits of the live board.
 *
 * Changes that come while a snapshot is being handed over are folded into the next one. A state that can't be
 * compiled is logged and counted, and the last good one stays.
 *
 * @module
 */
import { type CheckTarget, checkTargets } from "./config/check_target.ts";
import type { Desired } from "./config/desired.ts";
import type { Fleet } from "./dns/fleet.ts";
import type { HealthChecker, VerdictChange } from "./health/schedule.ts";
import type { Verdict } from "./health/verdict.ts";
import { compile } from "./snapshot/compile.ts";
import { LiveBoard, type SlotVerdict } from "./snapshot/live.ts";
import { Slots } from "./snapshot/slots.ts";
import type { Snapshot } from "./snapshot/view.ts";
import type { Logger } from "./telemetry/log.ts";

/** What a publisher works with. */
export interface PublisherOptions {
  /** The desired state of now. */
  readonly desired: () => Desired;
  readonly health: Pick<HealthChecker, "use" | "verdict">;
  /** Told of targets that nobody declares any more. */
  readonly onTargetsGone: (keys: readonly string[]) => void;
  /** Told after each attempt to publish. */
  readonly onPublished: (result: "success" | "error") => void;
  readonly log: Logger;
}

/** Keeps what is answered equal to what is desired. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #healthSlots = new Slots(1);
  readonly #ticketSlots = new Slots(0);
  readonly #waiters: { readonly generation: number; readonly resolve: () => void }[] = [];
  #board: LiveBoard;
  #snapshot: Snapshot;
  #targets = new Set<string>();
  #fleet: Fleet | null = null;
  #epoch = 0;
  /** Generation that every worker answers from. */
  #published = 0;
  #compiled = 0;
  #dirty = false;
  #publishing: Promise<void> | null = null;

  /** Compiles the first snapshot; from then on targets are probed. */
  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#board = LiveBoard.create({ healthSlots: 1, ticketSlots: 1 });
    this.#snapshot = this.#compile();
  }

  /** What a fleet is to start with. */
  get current(): { readonly snapshot: Snapshot; readonly board: LiveBoard } {
    return { snapshot: this.#snapshot, board: this.#board };
  }

  /** Generation that every worker answers from. */
  get generation(): number {
    return this.#published;
  }

  /** Publishes to this fleet from now on; it was started with `current`. */
  attach(fleet: Fleet): void {
    this.#fleet = fleet;
    this.#settle();
  }

  /** Says that the desired state is another one. */
  touch(): void {
    this.#dirty = true;
    this.#publishing ??= this.#publishAll();
  }

  /**
   * Publishes the desired state of now.
   *
   * @throws what was wrong with it; the last good state stays
   */
  async refresh(): Promise<void> {
    while (this.#publishing) await this.#publishing;
    const published = this.#publish();
    this.#publishing = published.catch(() => {}).finally(() => {
      this.#publishing = null;
      if (this.#dirty) this.touch();
    });
    await published;
  }

  /** Resolves when every worker answers from this generation or a later one. */
  settled(generation: number): Promise<void> {
    if (this.#published >= generation) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ generation, resolve }));
  }

  /** Puts verdicts onto the board, and so into the very next answer. */
  judge(changes: readonly VerdictChange[]): void {
    this.#board.setHealth(changes.flatMap(({ key, verdict }) => this.#slotVerdict(key, verdict)));
  }

  async #publishAll(): Promise<void> {
    await Promise.resolve(); // lets the change that woke us, and others of the same turn, come to an end
    while (this.#dirty) {
      this.#dirty = false;
      try {
        await this.#publish();
      } catch (error) {
        this.#options.log.error("The last change can't be answered; the state before it stays", { error });
      }
    }
    this.#publishing = null;
  }

  async #publish(): Promise<void> {
    try {
      this.#snapshot = this.#compile();
      await this.#fleet?.publish(this.#snapshot, this.#board);
      this.#settle();
      this.#options.onPublished("success");
    } catch (error) {
      this.#options.onPublished("error");
      throw error;
    }
  }

  #compile(): Snapshot {
    const desired = this.#options.desired();
    const snapshot = compile(desired, {
      epoch: ++this.#epoch,
      healthSlots: this.#healthSlots,
      ticketSlots: this.#ticketSlots,
    });
    const size = { healthSlots: this.#healthSlots.size, ticketSlots: this.#ticketSlots.size };
    if (!this.#board.holds(size)) this.#board = this.#board.grownTo(size);
    this.#probe(checkTargets(desired));
    this.#compiled = desired.generation;
    return snapshot;
  }

  /** Probes these targets, and sets the bits of slots that may have meant another target before. */
  #probe(targets: Iterable<CheckTarget>): void {
    const wanted = new Map<string, CheckTarget>();
    for (const target of targets) wanted.set(target.key, target);
    this.#options.health.use(wanted.values());
    const stale: SlotVerdict[] = [];
    for (const key of wanted.keys()) {
      const [verdict] = this.#slotVerdict(key, this.#options.health.verdict(key));
      if (verdict && this.#board.isUp(verdict.slot) !== verdict.up) stale.push(verdict);
    }
    if (stale.length > 0) this.#board.setHealth(stale);
    const gone = [...this.#targets].filter((key) => !wanted.has(key));
    this.#targets = new Set(wanted.keys());
    if (gone.length > 0) this.#options.onTargetsGone(gone);
  }

  #slotVerdict(key: string, { state }: Verdict): SlotVerdict[] {
    const slot = this.#healthSlots.find(key);
    return slot === undefined ? [] : [{ slot, up: state !== "unhealthy" }];
  }

  #settle(): void {
    this.#published = this.#compiled;
    for (let i = this.#waiters.length - 1; i >= 0; i--) {
      if (this.#waiters[i]!.generation <= this.#published) this.#waiters.splice(i, 1)[0]!.resolve();
    }
  }
}
