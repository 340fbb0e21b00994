/**
 * What a part of a node is, and what it is made with.
 *
 * A part is what nothing else is built on: whatever can be switched off, or takes over settings while the node runs. It
 * finds all that it needs in `Core`, and joins itself to it by subscriptions.
 *
 * @module
 */
import type { Settings } from "../settings/settings.ts";
import type { Answers } from "./answers.ts";
import type { Ground } from "./ground.ts";
import type { Sources } from "./sources.ts";

/** What a part is made with. One that lives in a room of its own declares what it needs of this by itself. */
export interface Core extends Ground, Sources {
  /** What is answered. */
  readonly answers: Answers;
}

/** A part of a running node. */
export interface Part extends AsyncDisposable {
  /** For people: which part isn't ready for a reload. */
  readonly name: string;
  /**
   * Makes ready for other settings, changes nothing, and gives what takes them over: at once, and without failing. That
   * is called when every part is ready and answers are given by them, or not at all.
   *
   * @param signal aborted when the node stops, and when it has taken too long
   * @throws when the part can't go by them: no part takes them over then
   */
  prepare?(next: Settings, signal: AbortSignal): Promise<() => void> | (() => void);
}

/**
 * Makes a part; `null` = there is nothing to reload or to dispose of, as it is switched off by settings. What it opens
 * before it throws, it closes.
 */
export type Start = (core: Core) => Promise<Part | null> | Part | null;

/** A part that nothing has to be waited for when it ends. */
export function partOf(
  name: string,
  { prepare, end = () => {} }: { readonly prepare?: Part["prepare"]; readonly end?: () => void },
): Part {
  return {
    name,
    ...(prepare && { prepare }),
    [Symbol.asyncDispose]: () => {
      end();
      return Promise.resolve();
    },
  };
}

/** A part that only takes over settings of what is there anyway; it is always ready for them. */
export function reloaded(name: string, take: (next: Settings) => void): Part {
  return partOf(name, { prepare: (next) => () => take(next) });
}
