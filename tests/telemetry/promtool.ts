/**
 * Prometheus's own checker.
 *
 * @module
 */
import { program } from "../programs.ts";

/** Runs promtool with these arguments and this standard input; for tests under `testWith(["promtool"], …)`. */
export async function promtool(args: string[], input: string): Promise<{ code: number; output: string }> {
  const child = new Deno.Command(program("promtool")!, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}
