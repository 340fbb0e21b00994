/**
 * What a running node offers: it examines itself when it is asked.
 *
 * @module
 */
import { Port } from "../port.ts";
import { type Check, examine, type Examined } from "./check.ts";
import { CHECKS_IN_NODE } from "./checks.ts";
import type { Finding } from "./finding.ts";

/** One look at everything. */
export interface Examination {
  /** When it began, unix milliseconds. */
  readonly atMs: number;
  /** The names of the checks that looked. */
  readonly checks: readonly string[];
  /** The worst first; none on a healthy node. */
  readonly findings: readonly Finding[];
}

/** Examines a node. */
export class Doctor {
  readonly #of: () => Examined;
  readonly #checks: readonly Check[];
  #underWay: Promise<Examination> | null = null;

  /** Does nothing yet; `of` gives what is to be examined, as it is then. */
  constructor(of: () => Examined, checks: readonly Check[] = CHECKS_IN_NODE) {
    this.#of = of;
    this.#checks = checks.map(oneAtATime);
  }

  /** Looks at everything; those who ask while that is under way get the same. Takes two seconds at most. */
  examine(): Promise<Examination> {
    return this.#underWay ??= this.#look().finally(() => this.#underWay = null);
  }

  async #look(): Promise<Examination> {
    const at = this.#of();
    const atMs = at.clock.unixMs();
    return {
      atMs,
      checks: this.#checks.map(({ id }) => id),
      findings: await examine(this.#checks, at),
    };
  }
}

/**
 * The same check, which isn't begun again before it has come to an end: one that hangs on a file server takes a thread, and
 * whoever asks once a second would take them all.
 */
function oneAtATime(check: Check): Check {
  let underWay: ReturnType<Check["look"]> | null = null;
  const look: Check["look"] = async (at, signal) => {
    try {
      return await check.look(at, signal);
    } finally {
      underWay = null;
    }
  };
  return { ...check, look: (at, signal) => underWay ??= look(at, signal) };
}

/** Where it is offered. */
export const DOCTOR: Port<Doctor> = new Port<Doctor>("doctor");
