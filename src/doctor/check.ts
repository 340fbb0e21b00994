/**
 * A check looks at one kind of thing and says what is wrong with it. It writes nothing, opens no database, and isn't
 * waited for longer than two seconds.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { fileFault } from "../input/file_fault.ts";
import type { SocketAddress } from "../ip.ts";
import type { Settings } from "../settings/settings.ts";
import { type Finding, type Remark, worstFirst } from "./finding.ts";

/** A check. */
export interface Check {
  /** What findings are listed under. */
  readonly id: string;
  /** What is looked at, for people. */
  readonly looksAt: string;
  /**
   * When there is something to look at: before a start, when no node runs · in a running node only · in both · of the
   * files that only this user sees, whether or not a node runs.
   */
  readonly when: "before a start" | "in a node" | "both" | "of files";
  /**
   * Looks.
   *
   * @param signal aborted when it isn't waited for any more
   * @throws when it can't; that is a finding, too
   */
  look(at: Examined, signal: AbortSignal): readonly Remark[] | Promise<readonly Remark[]>;
}

/** What is examined: the settings, and a machine and a process as far as settings don't say. */
export interface Examined {
  /** Of the node that runs, or that would be started. */
  readonly settings: Settings;
  /** Files that hold secrets of the settings, beside those that the settings name themselves. */
  readonly secretFiles: readonly string[];
  /** The settings file, which may be one of them; `null` = there is none, or it isn't known. */
  readonly settingsFile: string | null;
  /** Dates what is found. */
  readonly clock: Pick<Clock, "unixMs">;
  /** What the process may do that runs the node, or would run it. */
  readonly rights: Rights;
  /** What only a running node knows; `null` = none runs here. */
  readonly node: NodeFacts | null;
}

/** What a process may do. */
export interface Rights {
  /** Bits of capabilities(7); `null` = unknown, or this isn't Linux. */
  readonly capabilities: bigint | null;
  /** Files that it may have open at once; `null` = unknown. */
  readonly openFiles: number | null;
}

/** What a running node knows of itself. */
export interface NodeFacts {
  /** Why it isn't to be relied on; `null` = it is. */
  readonly unready: string | null;
  /** Whether DNS over TCP is answered. */
  readonly isAnsweringStreams: boolean;
  /** How UDP is served. */
  readonly transport: "linux" | "portable";
  /** Where DNS is answered. */
  readonly listening: readonly SocketAddress[];
  /** Packets that the kernel dropped for lack of room, since the start; `null` = unknown. */
  readonly kernelDrops: number | null;
  /**
   * When the last token expires without which the API isn't started on its address, Unix milliseconds; `Infinity` = never,
   * or it needs none.
   */
  readonly adminTokenUntilMs: number;
  /** Members in the model. */
  readonly members: number;
  /** Host names that members go by. */
  readonly targets: readonly string[];
}

/** Longest wait for a check, milliseconds. */
export const PATIENCE_MS = 2_000;

/**
 * Has all checks look at the same time.
 *
 * @returns what they found, the worst first; a check that couldn't look, or didn't come to an end, is a warning
 */
export async function examine(
  checks: readonly Check[],
  at: Examined,
  patienceMs: number = PATIENCE_MS,
): Promise<Finding[]> {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), patienceMs);
  try {
    const found = await Promise.all(checks.map(async (check) => {
      const remarks = await lookUntil(patience.signal, () => check.look(at, patience.signal)).catch((
        error,
      ) => [uncheckable(check, { error, patienceMs, isLate: patience.signal.aborted })]);
      return remarks.map((remark) => ({ check: check.id, ...remark }));
    }));
    return worstFirst(found.flat());
  } finally {
    clearTimeout(timer);
  }
}

/** The result, or a rejection when the signal is aborted first. */
async function lookUntil<Result>(signal: AbortSignal, look: () => Result | Promise<Result>): Promise<Result> {
  const late = Promise.withResolvers<never>();
  const onAbort = () => late.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([look(), late.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

interface Hindrance {
  readonly error: unknown;
  readonly patienceMs: number;
  readonly isLate: boolean;
}

function uncheckable({ looksAt }: Check, { error, patienceMs, isLate }: Hindrance): Remark {
  const reason = isLate
    ? `no result within ${patienceMs / 1000} s`
    : error instanceof Error
    ? fileFault(error)
    : String(error);
  return {
    level: "warning",
    subject: looksAt,
    message: `couldn't be checked: ${reason}`,
    fix: isLate
      ? "see whether a disk or a file server hangs, and try again"
      : "run it as the user of the node, or as root",
  };
}
