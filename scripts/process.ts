/**
 * Running other programs from the task scripts: always this very Deno (`Deno.execPath()`, since npm's `deno` is a
 * shim that forwards no signals), always from the root of the repository, never with a prompt.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/** The folder that holds `deno.json`, without a final slash. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** What a finished program left behind. */
export interface Finished {
  readonly code: number;
  /** stdout, then stderr, with `quiet`; else empty. */
  readonly output: string;
  /** stdout alone, with `quiet`; else empty. */
  readonly stdout: string;
}

/** How to run a program. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Keep the output instead of showing it. */
  readonly quiet?: boolean;
  /** Milliseconds after which it is killed; the default is ten minutes. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end; one that can't be started counts as ended with 127. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const { env = {}, quiet = false, timeoutMs = 600_000 } = options;
  const stdio = quiet ? "piped" : "inherit";
  // Deno would print its own stack below each error where the environment asks Rust programs for it.
  const quietRust = { RUST_BACKTRACE: "0" };
  const settings = { args: [...args], cwd: ROOT, env: { ...quietRust, ...env }, stdin: "null" as const };
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const child = new Deno.Command(program, { ...settings, stdout: stdio, stderr: stdio, signal }).spawn();
    if (!quiet) return { code: (await child.status).code, output: "", stdout: "" };
    const { code, stdout, stderr } = await child.output();
    return { code, output: decode(stdout) + decode(stderr), stdout: decode(stdout) };
  } catch (error) {
    return { code: 127, output: error instanceof Error ? error.message : String(error), stdout: "" };
  }
}

/** Runs this Deno with the given arguments. */
export function deno(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return run(Deno.execPath(), args, options);
}

/** Removes colours and cursor moves (ECMA-48 CSI sequences). */
export function plain(text: string): string {
  return text.replaceAll(CSI_SEQUENCE, "");
}

const CSI_SEQUENCE = new RegExp(`${String.fromCharCode(0x1b)}\\[[0-9;]*[A-Za-z]`, "g");

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
