/** @module A bare UDP echo beside a node: what the machine itself makes of work, whoever it is for, is seen by it. */
import { buildC } from "../../../bench/programs/c_program.ts";
import { freePort } from "../../free_port.ts";

/** Builds an echo in the folder and starts it on loopback; it ends with the stack. Gives its port. */
export async function startEcho(stack: AsyncDisposableStack, folder: string): Promise<number> {
  const port = freePort();
  const echo = new Deno.Command(await buildC("echo", folder), { args: [String(port)], stdin: "piped" })
    .spawn();
  stack.defer(async () => {
    await echo.stdin.close();
    await echo.status;
  });
  return port;
}
