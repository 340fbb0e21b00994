/**
 * The benches' programs in C, built where they are needed.
 *
 * @module
 */
import { fileURLToPath } from "node:url";

/**
 * Compiles `NAME.c` beside this file to `NAME` in the folder.
 *
 * @returns the program's path
 * @throws {Error} with what the compiler says
 */
export async function buildC(name: string, folder: string): Promise<string> {
  const source = fileURLToPath(new URL(`./${name}.c`, import.meta.url));
  const program = `${folder}/${name}`;
  const { success, stderr } = await new Deno.Command("cc", {
    args: ["-O2", "-pthread", "-o", program, source],
  }).output();
  if (!success) throw new Error(`Cannot build ${name}.c: ${new TextDecoder().decode(stderr)}`);
  return program;
}
