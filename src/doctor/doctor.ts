/**
 * What a running node offers: it examines itself when it is asked.
 *
 * @module
 */
import { Port } from "../port.ts";
import { examine, type Examined } from "./check.ts";
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
  readonly #of: () => Promise<Examined>;
  #underWay: Promise<Examination> | null = null;

  /** Does nothing yet; `of` gives what is to be examined, as it is then. */
  constructor(of: () => Promise<Examined>) {
    this.#of = of;
  }

  /** Looks at everything; those who ask while that is under way get the same. Takes two seconds at most. */
  examine(): Promise<Examination> {
    return this.#underWay ??= this.#look().finally(() => this.#underWay = null);
  }

  async #look(): Promise<Examination> {
    const at = await this.#of();
    const atMs = at.clock.unixMs();
    return {
      atMs,
      checks: CHECKS_IN_NODE.map(({ id }) => id),
      findings: await examine(CHECKS_IN_NODE, at),
    };
  }
}

/** Where it is offered. */
export const DOCTOR: Port<Doctor> = new Port<Doctor>("doctor");
