/**
 * Runs Prometheus's own checker, where the machine has it.
 *
 * @module
 */

/** Runs promtool with these arguments and this standard input; `null` when it isn't installed. */
export const promtool: ((args: string[], input: string) => Promise<{ code: number; output: string }>) | null =
  isInstalled() ? run : demand();

function isInstalled(): boolean {
  try {
    return new Deno.Command("promtool", { args: ["--version"], stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function demand(): null {
  if (Deno.env.get("PLEIADES_TEST_ALL") === "1") {
    throw new Error("promtool is not installed: apt install prometheus");
  }
  return null;
}

async function run(args: string[], input: string): Promise<{ code: number; output: string }> {
  const child = new Deno.Command("promtool", { args, stdin: "piped", stdout: "piped", stderr: "piped" })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}
