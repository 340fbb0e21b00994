/**
 * What time does to overrides: has the pools that one covers written again when it begins, takes a step of its drain or
 * ends, and removes the one that has ended.
 *
 * What an override does is a function of the time alone (`desired/overridden.ts`); this clock only says when to look
 * again. So an effect is gone at the instant of its end even when the database is busy, and a machine whose time is
 * set forward or back is right again within a second: no sleep is longer than that while there are overrides.
 *
 * @module
 */
import { anySignal } from "../any_signal.ts";
import { type Clock, rfc3339 } from "../clock.ts";
import { drainShare, nextStep, stepOf } from "../desired/overridden.ts";
import { Listeners } from "../listeners.ts";
import { type Override, OVERRIDE_STATES } from "../model/override.ts";
import { StoreBusy } from "../store/database.ts";
import type { OverrideRow } from "../store/overrides.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Registry } from "../telemetry/metrics.ts";
import type { Changes } from "./commit.ts";
import type { Origin } from "./edit.ts";

/** What the clock works with. */
export interface OverrideClockOptions {
  /** Where the overrides are. */
  readonly store: Store;
  /** Takes those away that have ended. */
  readonly changes: Pick<Changes, "commit">;
  /** Which time it is. */
  readonly clock: Clock;
  /** Hears of beginnings and ends. */
  readonly log: Logger;
}

/** Longest sleep while there are overrides: after it a clock that was set is noticed. */
const SLEEP_MAX_MS = 1_000;
/** Longest sleep while there are none; a commit ends it. */
const IDLE_MS = 3_600_000;
/**
 * Shortest time between two steps of a drain for each pool that it covers: writing one takes some 0.1 ms, so that this
 * is at most a twentieth of the main thread's time, and 10,000 pools take a step every 20 s.
 */
const STEP_MS_PER_POOL = 2;
/** Overrides that are removed with one commit. */
const REMOVED_AT_ONCE = 500;
/** Why an override is removed that has ended. */
const EXPIRY: Origin = { via: "expiry", by: "", reason: "expired" };

/** An override that begins, or ends. */
export interface OverrideTurn {
  /** Which of them; `removed` = taken away before its time. */
  readonly change: "begun" | "expired" | "removed";
  /** As it is stored, or was. */
  readonly override: Override;
  /** The name of what it covers. */
  readonly target: string;
}

/** What the log says of each. */
const TURNS: Readonly<Record<OverrideTurn["change"], string>> = {
  begun: "Override begins",
  expired: "Override has expired",
  removed: "Override was removed",
};

/** What was seen of an override at the last look. */
interface Seen {
  readonly override: OverrideRow;
  readonly name: string;
  /** As `stepOf` has it. */
  step: number;
  /** Monotonic milliseconds before which the next step of a drain isn't taken. */
  heldUntilMs: number;
}

/** Follows the overrides of one store. */
export class OverrideClock {
  readonly #options: OverrideClockOptions;
  readonly #seen = new Map<string, Seen>();
  readonly #turned = new Listeners<OverrideTurn>();
  readonly #fellDue = new Listeners<readonly string[]>();
  #sleep = new AbortController();

  /** Takes note of what is there, without touching anything: what is written after this is right. */
  constructor(options: OverrideClockOptions) {
    this.#options = options;
    this.#look();
  }

  /** Tells of each override that begins or ends, until it is disposed of. */
  onTurn(hear: (turn: OverrideTurn) => void): Disposable {
    return this.#turned.add(hear);
  }

  /** Tells of pools that time has made others, so that they are to be written again, until it is disposed of. */
  onDue(hear: (poolIds: readonly string[]) => void): Disposable {
    return this.#fellDue.add(hear);
  }

  /** Says that other overrides may be there; to be called in the turn of their commit, before it is published. */
  wake(): void {
    this.#look();
    this.#sleep.abort();
  }

  /** Follows the time until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      let sleepMs = SLEEP_MAX_MS;
      try {
        this.#look();
        this.#removeEnded();
        sleepMs = this.#untilNextMs();
      } catch (error) {
        if (error instanceof StoreBusy) log.debug("An override that has ended is removed later", { error });
        else log.error("Cannot follow the overrides", { error });
      }
      this.#sleep = new AbortController();
      await clock.sleep(sleepMs, anySignal([signal, this.#sleep.signal]));
    }
  }

  /** Compares what is with what was at the last look, and has what differs written again. */
  #look(): void {
    const { store, clock } = this.#options;
    const { overrides } = store.overrides.index();
    const nowMs = clock.unixMs();
    this.#forgetGone(new Set(overrides.map(({ id }) => id)));
    const touched = new Set<string>();
    for (const override of overrides) {
      const step = stepOf(override, nowMs);
      const seen = this.#seen.get(override.id);
      if (seen === undefined) this.#meet(override, step);
      else if (seen.step !== step && !this.#isHeld(seen, nowMs)) {
        const pools = store.overrides.poolsCoveredBy(override);
        for (const id of pools) touched.add(id);
        seen.heldUntilMs = clock.monotonicMs() + pools.length * STEP_MS_PER_POOL;
        this.#pass(seen, step);
      }
    }
    if (touched.size > 0) this.#fellDue.tell([...touched]);
  }

  #meet(override: OverrideRow, step: number): void {
    const name = this.#options.store.overrides.nameOf(override);
    const seen = { override, name, step: -1, heldUntilMs: 0 };
    this.#seen.set(override.id, seen);
    this.#pass(seen, step);
  }

  #pass(seen: Seen, step: number): void {
    if (seen.step < 0 && step >= 0 && step < Infinity) this.#say("begun", seen);
    if (seen.step < Infinity && step === Infinity) this.#say("expired", seen);
    seen.step = step;
  }

  /** Whether a step of a drain waits because it covers so many pools; its end never does. */
  #isHeld({ override, step, heldUntilMs }: Seen, nowMs: number): boolean {
    const isStep = step >= 0 && override.state === "drain" && nowMs >= override.startsAt &&
      nowMs < override.expiresAt && drainShare(override, nowMs) > 0;
    return isStep && this.#options.clock.monotonicMs() < heldUntilMs;
  }

  #forgetGone(present: ReadonlySet<string>): void {
    for (const [id, seen] of this.#seen) {
      if (present.has(id)) continue;
      this.#seen.delete(id);
      if (seen.step < Infinity) this.#say("removed", seen);
    }
  }

  #removeEnded(): void {
    const ended = [...this.#seen.values()].filter(({ step }) => step === Infinity);
    for (let i = 0; i < ended.length; i += REMOVED_AT_ONCE) {
      const batch = ended.slice(i, i + REMOVED_AT_ONCE);
      this.#options.changes.commit(
        batch.map(({ override: { id } }) => ({ kind: "deleteOverride", id }) as const),
        EXPIRY,
      );
    }
  }

  #untilNextMs(): number {
    const { store, clock } = this.#options;
    const { overrides } = store.overrides.index();
    if (overrides.length === 0) return IDLE_MS;
    const nowMs = clock.unixMs();
    return Math.min((nextStep(overrides, nowMs) ?? Infinity) - nowMs, SLEEP_MAX_MS);
  }

  #say(change: OverrideTurn["change"], { override, name }: Seen): void {
    const { id, state, reason, owner, expiresAt } = override;
    const until = rfc3339(expiresAt);
    this.#options.log.info(TURNS[change], { target: name, state, reason, owner, until, id });
    this.#turned.tell({ change, override, target: name });
  }
}

/** Adds the gauge of overrides in effect. */
export function registerOverrideMetrics(
  registry: Registry,
  { overrides, unixMs }: { readonly overrides: () => readonly Override[]; readonly unixMs: () => number },
): void {
  const active = registry.gauge("pleiades_overrides_active", "Overrides in effect.", ["state"]);
  registry.onCollect(() => {
    const nowMs = unixMs();
    const inEffect = overrides().filter((override) => {
      const step = stepOf(override, nowMs);
      return step >= 0 && step < Infinity;
    });
    for (const state of OVERRIDE_STATES) {
      active.labels(state).set(inEffect.filter((override) => override.state === state).length);
    }
  });
}
