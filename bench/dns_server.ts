/**
 * A DNS fleet by itself, for measurements from outside: answers 10,000 names on 127.0.0.1, prints the port, and ends
 * with its stdin. The one argument is the UDP transport.
 *
 * @module
 */
import { systemClock } from "../src/clock.ts";
import { Fleet } from "../src/dns/fleet.ts";
import type { WorkerOptions } from "../src/dns/worker.ts";
import { compile } from "../src/snapshot/compile.ts";
import { LiveBoard } from "../src/snapshot/live.ts";
import { Slots } from "../src/snapshot/slots.ts";
import { createLogger } from "../src/telemetry/log.ts";
import { desiredOf, PLAIN } from "../tests/dns/world.ts";
import { tenThousandNames } from "./dns_names.ts";

if (import.meta.main) {
  const healthSlots = new Slots(1);
  const ticketSlots = new Slots(0);
  const snapshot = compile(desiredOf(tenThousandNames()), { epoch: 1, healthSlots, ticketSlots });
  await using fleet = await Fleet.start({
    worker: {
      listen: [{ hostname: "127.0.0.1", port: 0 }],
      engine: PLAIN,
      transport: Deno.args[0] as WorkerOptions["transport"],
      tcp: { maxConnections: 100, maxConnectionsPerClient: 100, idleTimeout: 10_000 },
      samplesPerSecond: 0,
    },
    snapshot,
    board: LiveBoard.create({ healthSlots: healthSlots.size, ticketSlots: ticketSlots.size }),
    log: createLogger({ level: "warn", format: "text", clock: systemClock }),
  });
  console.log(fleet.addresses[0]!.port);
  await Deno.stdin.readable.pipeTo(new WritableStream());
}
