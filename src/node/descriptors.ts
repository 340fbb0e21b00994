/**
 * File descriptors: every connection and every probe takes one, and a process that has none left can't accept, ask or
 * open anything.
 *
 * The soft limit of a process is 1,024 for the sake of old programs that use `select(2)`; the hard one, which any
 * process may raise it to, is where the system's own limit stands.
 *
 * @module
 */
import type { DescriptorDemand } from "../doctor/resources.ts";
import { openLibc } from "../libc.ts";

/** How many descriptors the process may have. */
export interface DescriptorLimit {
  /** Now. */
  readonly soft: number;
  /** Once the operator raises it. */
  readonly hard: number;
}

/** Raises the soft limit to the hard one and gives what holds now; `null` where that isn't known (Linux only). */
export function raiseDescriptorLimit(): DescriptorLimit | null {
  if (Deno.build.os !== "linux") return null;
  try {
    using libc = openLibc(SYMBOLS);
    const { getrlimit, setrlimit } = libc.symbols;
    const limit = new BigUint64Array(2); // struct rlimit: soft, hard
    if (getrlimit(RLIMIT_NOFILE, limit) !== 0) return null;
    if (limit[0]! < limit[1]!) {
      setrlimit(RLIMIT_NOFILE, new BigUint64Array([limit[1]!, limit[1]!]));
      if (getrlimit(RLIMIT_NOFILE, limit) !== 0) return null;
    }
    return { soft: Number(limit[0]!), hard: Number(limit[1]!) };
  } catch {
    return null; // another C library: what held before holds on
  }
}

/** What to say when the limit is too low for what the settings allow; `null` = it isn't. */
export function descriptorWarning(
  limit: DescriptorLimit,
  demands: readonly DescriptorDemand[],
): string | null {
  const sum = demands.reduce((total, { count }) => total + count, 0);
  if (sum <= limit.soft) return null;
  const parts = demands.map(({ what, count }) => `${count} ${what}`).join(", ");
  return `${limit.soft} files may be open at once, and ${sum} could be needed: ${parts} ` +
    `(raise it: ulimit -Hn, or LimitNOFILE in the unit; or lower the settings)`;
}

const SYMBOLS = {
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Of x86_64 and aarch64. */
const RLIMIT_NOFILE = 7;
