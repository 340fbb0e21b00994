/**
 * Check of the machine's clock, by what this machine knows of it: no other one is asked.
 *
 * A clock that nothing sets is not reported: a container doesn't see the daemon of its host, and a virtual machine may have
 * its time from there. What is reported is a clock that is evidently wrong, and a daemon that can't set it.
 *
 * @module
 */
import { rfc3339 } from "../clock.ts";
import type { Check, Examined } from "./check.ts";
import { databaseFiles } from "./database_file.ts";
import type { Remark } from "./finding.ts";
import { processes, programOf } from "./kernel_sockets.ts";

/** How far ahead of the clock a file may have been written: file servers have clocks of their own. */
const AHEAD_MS = 5 * 60_000;

const SUBJECT = "the system clock";
const FIX =
  "set it, and have it kept right (timedatectl set-ntp true, or chrony); overrides, tokens and certificates " +
  "go by it";

/** Whether the clock is off. */
export const clockState: Check = {
  id: "clock",
  looksAt: "the clock",
  when: "both",
  look: async (at) => {
    const wrong = await evidence(at);
    return wrong ?? await unsynchronised(kernelClockState());
  },
};

/** Files that were written in its future: this program's own, and the database. */
async function evidence({ clock, settings }: Examined): Promise<Remark[] | null> {
  const nowMs = clock.unixMs();
  for (const path of [Deno.execPath(), ...databaseFiles(settings)]) {
    const mtime = (await Deno.stat(path).catch(() => null))?.mtime ?? null;
    if (mtime === null || mtime.getTime() <= nowMs + AHEAD_MS) continue;
    return [{
      level: "problem",
      subject: SUBJECT,
      message: `it says ${rfc3339(nowMs)}, and ${path} was written at ${
        rfc3339(mtime.getTime())
      }, which is later`,
      fix: FIX,
    }];
  }
  return null;
}

/** Programs that set a clock, as far as a process's name goes (15 characters). */
const DAEMONS = ["systemd-timesyn", "chronyd", "ntpd", "ntpsec", "openntpd"];

/** What the kernel says of the clock. */
export type ClockState = "synchronised" | "unsynchronised" | "unknown";

/** What follows from the kernel's word: a daemon that runs and hasn't set the clock is a warning. Exported for its test. */
export async function unsynchronised(
  state: ClockState,
  daemonOf: () => Promise<string | null> | string | null = runningDaemon,
): Promise<Remark[]> {
  if (state !== "unsynchronised") return [];
  const daemon = await daemonOf();
  if (daemon === null) return [];
  return [{
    level: "warning",
    subject: SUBJECT,
    message: `${daemon} runs, and hasn't set it yet`,
    fix:
      "see why (timedatectl timesync-status, chronyc sources, ntpq -p): servers of time may be out of reach",
  }];
}

function runningDaemon(): string | null {
  for (const pid of processes()) {
    const program = programOf(pid);
    if (DAEMONS.includes(program)) return program;
  }
  return null;
}

/** Bytes of `struct timex`, of which the kernel writes all (adjtimex(2), 64-bit). */
const TIMEX_BYTES = 208;
/** What adjtimex(2) returns where nothing keeps the clock right. */
const TIME_ERROR = 5;

/** What the kernel says; reading it needs no privilege, and a sandbox may forbid it all the same. */
export function kernelClockState(): ClockState {
  if (Deno.build.os !== "linux") return "unknown";
  try {
    const libc = Deno.dlopen("libc.so.6", { adjtimex: { parameters: ["buffer"], result: "i32" } });
    // All zero: `modes` = 0 sets nothing.
    const state = libc.symbols.adjtimex(new Uint8Array(TIMEX_BYTES));
    libc.close();
    if (state < 0) return "unknown";
    return state === TIME_ERROR ? "unsynchronised" : "synchronised";
  } catch {
    return "unknown"; // another C library
  }
}
