/**
 * What a check finds: one thing that is wrong, and what to do about it.
 *
 * @module
 */

/** How bad it is, the worst first: something fails because of it, or will. */
export const LEVELS = ["problem", "warning"] as const;

/** How bad it is. */
export type Level = (typeof LEVELS)[number];

/** What a check says of one thing. */
export interface Remark {
  /** How bad it is. */
  readonly level: Level;
  /** What is wrong: a file, a socket, a setting. */
  readonly subject: string;
  /** What is wrong with it: a sentence without its final stop. */
  readonly message: string;
  /** What to do about it: a sentence without its final stop. */
  readonly fix: string;
}

/** The same with the check that says it. */
export interface Finding extends Remark {
  /** The check's name, such as `port`; it stays the same from version to version. */
  readonly check: string;
}

/** Findings with the worst first; those of one level as they are. */
export function worstFirst<Each extends Pick<Finding, "level">>(findings: readonly Each[]): Each[] {
  return findings.toSorted((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
}
