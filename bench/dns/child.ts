/**
 * Child processes that are sure to end: with their owner's word, and with their owner.
 *
 * @module
 */

/** A server that doesn't end within this time is killed. */
const STOP_MS_MAX = 10_000;

/** Where a child runs. */
export interface ChildPlace {
  /** Its working directory. */
  readonly folder: string;
  /** The only core it may use. */
  readonly core: string;
  /** File for all that it says. */
  readonly log: string;
}

/**
 * Starts a program on one core. Should this process die without a word, the kernel kills the child (`--pdeathsig`).
 * setpriv, taskset and sh each become the next, so the child's process id is the program's.
 */
export function start(command: readonly string[], { folder, core, log }: ChildPlace): Deno.ChildProcess {
  return new Deno.Command("setpriv", {
    args: [
      ...["--pdeathsig", "KILL", "taskset", "-c", core],
      ...["sh", "-c", 'exec "$@" >"$0" 2>&1', log, ...command],
    ],
    cwd: folder,
    stdin: "piped",
  }).spawn();
}

/** Ends a child: SIGTERM and the end of its stdin, SIGKILL when that takes too long. */
export async function end(child: Deno.ChildProcess): Promise<void> {
  const send = (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch {
      // It has ended by itself.
    }
  };
  const killing = setTimeout(() => send("SIGKILL"), STOP_MS_MAX);
  send("SIGTERM");
  await child.stdin.close().catch(() => {}); // a child that has ended reads no more
  await child.status;
  clearTimeout(killing);
}
