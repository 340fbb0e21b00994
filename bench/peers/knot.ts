/**
 * Knot DNS.
 *
 * @module
 */
import type { Peer } from "./peer.ts";
import { SITES } from "../dns/geo_database.ts";
import { geoDatabase, siteAddresses, type Workload, ZONE, zoneHead } from "../dns/workloads.ts";

/** `knot.conf(5)`. */
export const knot: Peer = {
  name: "knot",
  program: "knotd",
  install: "apt install knot knot-module-geoip",
  answers: true,
  steersByPlace: true,
  version: ["--version"],
  async prepare({ program, folder, port, zoneFile, workload }) {
    const file = workload.byPlace ? `${folder}/zone` : zoneFile;
    if (workload.byPlace) {
      await Deno.writeTextFile(file, zoneHead());
      await Deno.writeTextFile(`${folder}/geo.conf`, geoRecords(workload));
      await Deno.writeFile(`${folder}/city.mmdb`, geoDatabase().bytes);
    }
    await Deno.writeTextFile(
      `${folder}/knot.conf`,
      `server:
  rundir: "${folder}"
  listen: 127.0.0.1@${port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
${workload.byPlace ? "  edns-client-subnet: on\n" : ""}log:
  - target: stderr
    any: warning
database:
  storage: "${folder}"
${workload.byPlace ? geoModule(folder) : ""}zone:
  - domain: ${ZONE}
    file: "${file}"
${workload.byPlace ? "    module: mod-geoip/geo\n" : ""}    zonefile-sync: -1
    journal-content: none
`,
    );
    return [program, "-c", `${folder}/knot.conf`];
  },
};

/** `mod-geoip`: it knows no distances; the continent says the same of this database. */
function geoModule(folder: string): string {
  return `mod-geoip:
  - id: geo
    config-file: ${folder}/geo.conf
    ttl: 30
    mode: geodb
    geodb-file: ${folder}/city.mmdb
    geodb-key: continent/code
`;
}

function geoRecords({ names }: Workload): string {
  return Array.from({ length: names }, (_, i) => {
    const records = siteAddresses(i).map((address, site) =>
      `  - geo: "${SITES[site]!.continent}"\n    A: ${address}\n`
    );
    return `n${i}.${ZONE}:\n${records.join("")}`;
  }).join("");
}
