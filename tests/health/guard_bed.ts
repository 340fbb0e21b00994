/**
 * A flip guard between verdicts that a test turns and the answers that would follow.
 *
 * @module
 */
import type { Sight } from "../../src/health/canaries.ts";
import {
  FlipGuard,
  type FlipGuardTerms,
  type GuardEvent,
  type Witnesses,
} from "../../src/health/flip_guard.ts";
import type { VerdictChange } from "../../src/health/health_checker.ts";
import { type HealthState, UNKNOWN_VERDICT } from "../../src/health/verdict.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";

/** What a target of the bed is checked by. */
export interface BedCheck {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly rise: number;
}

/** A guard of ten targets, `t0`–`t9`, all of them well. */
export class GuardBed implements Disposable {
  readonly clock = new ManualClock();
  readonly events: GuardEvent[] = [];
  readonly lines: string[] = [];
  readonly guard: FlipGuard;
  /** What the checker believes. */
  readonly verdicts = new Map<string, HealthState>();
  /** What answers follow. */
  readonly counted = new Map<string, HealthState>();
  /** Keys of changes that were to be as if they had never been. */
  readonly takenBack: string[] = [];
  readonly checks = new Map<string, BedCheck>();
  terms: FlipGuardTerms = { share: 0.5, atLeast: 5, holdMs: 30_000, blindHoldMs: 300_000, canarySpanMs: 0 };
  sight: Sight = "unaided";
  witnesses: Witnesses = "canaries";
  looks = 0;

  constructor(targets = 10) {
    for (const key of keysTo(targets)) {
      this.verdicts.set(key, "healthy");
      this.counted.set(key, "healthy");
      this.checks.set(key, { intervalMs: 2_000, timeoutMs: 500, rise: 2 });
    }
    this.guard = new FlipGuard({
      clock: this.clock,
      log: createLogger({
        level: "debug",
        format: "json",
        clock: this.clock,
        write: (line) => this.lines.push(line),
      }),
      terms: () => this.terms,
      targets: () => this.verdicts.size,
      checkOf: (key) => this.checks.get(key) ?? null,
      sight: () => this.sight,
      witnesses: () => this.witnesses,
      look: () => {
        this.looks++;
      },
      pass: (changes) => {
        for (const { key, verdict, isTakenBack } of changes) {
          this.counted.set(key, verdict.state);
          if (isTakenBack) this.takenBack.push(key);
        }
      },
      onEvent: (event) => this.events.push(event),
    });
  }

  /** Has the checker find these targets in this state, in one batch. */
  turn(state: HealthState, ...keys: string[]): void {
    this.batch(keys.map((key) => [key, state]));
  }

  /** Has the checker find what isn't known yet, in one batch. */
  batch(turns: readonly (readonly [key: string, state: HealthState])[]): void {
    const changes = turns.flatMap(([key, state]): VerdictChange[] => {
      const previous = this.verdicts.get(key)!;
      this.verdicts.set(key, state);
      if (previous === state) return [];
      const at = this.clock.unixMs();
      return [{
        key,
        verdict: { ...UNKNOWN_VERDICT, state, since: at, checkedAt: at },
        previous: { ...UNKNOWN_VERDICT, state: previous },
      }];
    });
    if (changes.length > 0) this.guard.judge(changes);
  }

  /** Has the canaries show something. */
  see(sight: Sight): void {
    this.sight = sight;
    this.guard.see(sight);
  }

  /** Targets that count as down. */
  down(): string[] {
    return [...this.counted].filter(([, state]) => state === "unhealthy").map(([key]) => key).sort();
  }

  /** Messages logged at error, with what will happen. */
  errors(): string[] {
    return this.lines.map((line) => JSON.parse(line)).filter(({ level }) => level === "error")
      .map(({ message }) => message);
  }

  [Symbol.dispose](): void {
    this.guard[Symbol.dispose]();
  }
}

/** `t0`, `t1`, … */
export function keysTo(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `t${i}`);
}
