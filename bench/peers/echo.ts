/**
 * The floor under any DNS server: a UDP echo in C, built here.
 *
 * @module
 */
import { buildC } from "../programs/c_program.ts";
import type { Peer } from "./peer.ts";

/** See `bench/programs/echo.c`. */
export const echo: Peer = {
  name: "echo",
  program: "cc",
  install: "apt install gcc libc6-dev",
  answers: false,
  steersByPlace: true,
  async prepare({ folder, port }) {
    return [await buildC("echo", folder), String(port)];
  },
};
