/**
 * The floor under any DNS server: a UDP echo in C, built here.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import type { Peer } from "./peer.ts";

/** See `bench/echo.c`. */
export const echo: Peer = {
  name: "echo",
  program: "cc",
  install: "apt install gcc libc6-dev",
  answers: false,
  async prepare({ program, folder, port }) {
    const source = fileURLToPath(new URL("../echo.c", import.meta.url));
    const { success, stderr } = await new Deno.Command(program, {
      args: ["-O2", "-o", `${folder}/echo`, source],
    }).output();
    if (!success) throw new Error(`Cannot build echo.c: ${new TextDecoder().decode(stderr)}`);
    return [`${folder}/echo`, String(port)];
  },
};
