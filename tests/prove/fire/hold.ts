/**
 * Holds connections: `hold.ts JSON`, a `Held`. Says `ready` when all are open, and ends them with its input. Some say nothing;
 * the others ask for more than the kernel keeps for them, and don't read.
 *
 * @module
 */
import { framed } from "../../dns/clients.ts";
import { query } from "../../dns/packets.ts";
import { raiseDescriptorLimit } from "../../../src/node/descriptors.ts";

/** What is held. */
export interface Held {
  /** Connections go to these in turn: of a pair of addresses there are 28,000 ports. */
  readonly hostnames: readonly string[];
  readonly port: number;
  readonly silent: number;
  readonly slow: number;
  /** What slow ones ask for. */
  readonly name: string;
}

/** Connections that are opened at the same time. */
const TOGETHER = 64;
/** Queries of a slow reader. */
const QUERIES = 3_000;

if (import.meta.main) {
  const held: Held = JSON.parse(Deno.args[0]!);
  raiseDescriptorLimit();
  const connections: Deno.Conn[] = [];
  const questions = framed(...Array.from({ length: QUERIES }, (_, id) => query(held.name, "A", { id })));
  let next = 0;
  await Promise.all(Array.from({ length: TOGETHER }, async () => {
    while (next < held.silent + held.slow) {
      const number = next++;
      const hostname = held.hostnames[number % held.hostnames.length]!;
      const connection = await Deno.connect({ hostname, port: held.port });
      connections.push(connection);
      if (number >= held.silent) writeAll(connection, questions).catch(() => {});
    }
  }));
  console.log("ready");
  for await (const _ of Deno.stdin.readable);
  Deno.exit(0);
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await connection.write(rest));
}
