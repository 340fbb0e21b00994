/**
 * Whether a change is made or refused.
 *
 * @module
 */
import { ChangeRefused } from "../../src/change/edit.ts";

/** Makes a change; `false` = it was refused. */
export function isMade(make: () => unknown): boolean {
  try {
    make();
    return true;
  } catch (error) {
    if (error instanceof ChangeRefused) return false;
    throw error;
  }
}
