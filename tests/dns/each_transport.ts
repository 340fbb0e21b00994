/**
 * One suite for every UDP transport: a test of the fleet is run on each that this machine has.
 *
 * @module
 */
import { testWith } from "../programs.ts";
import { Loopback, type LoopbackOptions } from "./loopback.ts";
import type { Declared } from "./world.ts";

/** The transports that this machine has. */
const TRANSPORTS = Deno.build.os === "linux" ? ["linux", "portable"] as const : ["portable"] as const;

/** Starts a fleet on the transport under test. */
export type Start = (declared: Declared, options?: Partial<LoopbackOptions>) => Promise<Loopback>;

/** Registers a test for each transport; `programs` are the real ones that it needs. */
export function testEachTransport(
  name: string,
  fn: (start: Start) => Promise<void>,
  programs: readonly string[] = [],
): void {
  for (const transport of TRANSPORTS) {
    testWith(
      programs,
      `${name} (${transport})`,
      () => fn((declared, options) => Loopback.start(declared, { ...options, transport })),
    );
  }
}
