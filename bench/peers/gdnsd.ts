/**
 * gdnsd 3, with a plain zone file.
 *
 * @module
 */
import type { Peer } from "./peer.ts";
import { SITES } from "../dns/geo_database.ts";
import { geoDatabase, siteAddresses, type Workload, ZONE, zoneHead } from "../dns/workloads.ts";

/** `gdnsd.config(5)`. */
export const gdnsd: Peer = {
  name: "gdnsd",
  program: "gdnsd",
  install: "apt install gdnsd",
  answers: true,
  steersByPlace: true,
  version: ["-V"], // which it doesn't know, and says its version with the usage
  async prepare({ program, folder, port, zoneFile, workload }) {
    for (const each of ["zones", "run", "state", "geoip"]) await Deno.mkdir(`${folder}/${each}`);
    if (workload.byPlace) await Deno.writeTextFile(`${folder}/zones/${ZONE}`, geoZone(workload));
    else await Deno.symlink(zoneFile, `${folder}/zones/${ZONE}`);
    if (workload.byPlace) await Deno.writeFile(`${folder}/geoip/city.mmdb`, geoDatabase().bytes);
    await Deno.writeTextFile(
      `${folder}/config`,
      `options => {
  listen => [ 127.0.0.1:${port} ],
  udp_threads => 1,
  tcp_threads => 1,
  run_dir => ${folder}/run,
  state_dir => ${folder}/state,
}
${workload.byPlace ? geoPlugin(workload) : ""}`,
    );
    return [program, "-c", folder, "start"];
  },
};

function geoZone({ names }: Workload): string {
  return zoneHead() + Array.from({ length: names }, (_, i) => `n${i} DYNA geoip!r${i}\n`).join("");
}

/** `gdnsd-plugin-geoip(8)`: the nearest of the datacenters by coordinates; one address in an answer. */
function geoPlugin({ names }: Workload): string {
  const coordinates = SITES.map(({ name, latitude, longitude }) =>
    `        ${name} => [ ${latitude}, ${longitude} ]`
  );
  const resources = Array.from({ length: names }, (_, i) => {
    const addresses = siteAddresses(i).map((address, site) => `${SITES[site]!.name} => ${address}`);
    return `    r${i} => { map => nearest, service_types => up, dcmap => { ${addresses.join(", ")} } }`;
  });
  return `plugins => { geoip => {
  maps => {
    nearest => {
      geoip2_db => city.mmdb,
      datacenters => [ ${SITES.map(({ name }) => name).join(", ")} ],
      auto_dc_coords => {
${coordinates.join(",\n")}
      },
      auto_dc_limit => 1,
    }
  },
  resources => {
${resources.join(",\n")}
  }
} }
`;
}
