/**
 * Zones that are deleted on a secondary while PowerDNS transfers them: what is stored behind a delete belongs to no zone, and the
 * next zone may get its number.
 *
 * @module
 */
import { serviceId } from "../../src/distribute/messages.ts";
import { connectAs, type GuardedNats, type Installation, until, zoneBody } from "./installation.ts";
import type { PowerDnsServer } from "./power_dns_server.ts";

/** Zones at the same time. */
const ZONES = 8;
/** Records of each: storing them takes a while. */
const RECORDS = 400;

/** Has the first secondary make, transfer and delete zones, so many times in all; the zones are gone from the primary then, too. */
export async function deleteIntoTransfers(
  { primary, secondaries }: Installation,
  { nats, rounds }: { readonly nats: GuardedNats; readonly rounds: number },
): Promise<void> {
  const { powerDns, host } = secondaries[0]!;
  const connection = await connectAs(nats, "health-checker");
  const names = Array.from({ length: ZONES }, (_, i) => `d${i}.test.`);
  const lines = Array.from({ length: RECORDS }, (_, i) => `h${i} 60 IN A 192.0.2.${i % 250 + 1}`);
  const head = ["@ 60 IN SOA ns1 hostmaster 1 10800 3600 604800 3600", "@ 60 IN NS ns1"];
  for (const name of names) {
    const zone = `$ORIGIN ${name}\n${[...head, ...lines].join("\n")}\n`;
    await primary.api("POST", "/zones", { ...zoneBody(name), nameservers: [], zone });
  }
  const order = (kind: "add" | "delete", zone: string) => {
    const at = kind === "add" ? "created_at" : "deleted_at";
    const payload = { zone, [at]: new Date().toISOString() };
    connection.publish(`zone.${kind}.${serviceId(host)}`, JSON.stringify(payload));
  };
  const isThere = async (zone: string) =>
    (await powerDns.api("GET", `/zones/${zone}?rrsets=false`)).status === 200;
  let next = 0;
  await Promise.all(names.map(async (zone) => {
    while (next++ < rounds) {
      order("add", zone);
      // It is made when its transfer is about to begin.
      await until(() => isThere(zone), (is) => is);
      order("delete", zone);
      await until(() => isThere(zone), (is) => !is);
    }
  }));
  await connection.close();
  for (const name of names) await primary.api("DELETE", `/zones/${name}`);
}

/** Records that belong to no zone. */
export function orphansOf(servers: readonly PowerDnsServer[]): number {
  const query = "SELECT count(*) AS n FROM records WHERE domain_id NOT IN (SELECT id FROM domains)";
  return servers.reduce((sum, powerDns) => sum + Number(powerDns.rows(query)[0]?.["n"]), 0);
}
