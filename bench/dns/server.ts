/**
 * A DNS fleet by itself, for measurements from outside: `server.ts TRANSPORT WORKLOAD PORT DATABASE` answers a workload's
 * names on 127.0.0.1 and ends with its stdin.
 *
 * @module
 */
import { systemClock } from "../../src/clock.ts";
import { Fleet, type FleetOptions } from "../../src/dns/fleet.ts";
import { EMPTY_GEO_DATA } from "../../src/geo/geo_data.ts";
import { LiveBoard } from "../../src/snapshot/live.ts";
import { Slots } from "../../src/snapshot/slots.ts";
import { Tables } from "../../src/snapshot/tables.ts";
import { raiseDescriptorLimit } from "../../src/node/descriptors.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { PLAIN } from "../../tests/dns/world.ts";
import { geoDataOf } from "./geo_database.ts";
import { desired, WORKLOADS } from "./workloads.ts";

if (import.meta.main) {
  raiseDescriptorLimit();
  const [transport, id, port, database] = Deno.args;
  const workload = WORKLOADS.find((each) => each.id === id)!;
  const healthSlots = new Slots(1);
  const tables = Tables.of(desired(workload), {
    epoch: 1,
    healthSlots,
    geoData: workload.byPlace ? geoDataOf(Deno.readFileSync(database!)) : EMPTY_GEO_DATA,
  });
  await using _fleet = await Fleet.start({
    workers: 1,
    listen: [{ hostname: "127.0.0.1", port: Number(port) }],
    transport: transport as FleetOptions["transport"],
    engine: PLAIN,
    tcp: {
      ...{ maxConnections: 2_048, maxConnectionsPerClient: 2_048 },
      ...{ idleTimeout: 10_000, queryTimeout: 5_000 },
    },
    samplesPerSecond: 0,
    snapshot: tables.snapshot,
    board: LiveBoard.create({ healthSlots: healthSlots.size, ticketSlots: tables.ticketSlots }),
    log: createLogger({ level: "warn", format: "text", clock: systemClock }),
  });
  await Deno.stdin.readable.pipeTo(new WritableStream());
}
