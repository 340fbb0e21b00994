/**
 * Knot DNS.
 *
 * @module
 */
import type { Peer } from "./peer.ts";
import { ZONE } from "../dns_workloads.ts";

/** `knot.conf(5)`. */
export const knot: Peer = {
  name: "knot",
  program: "knotd",
  install: "apt install knot",
  answers: true,
  version: ["--version"],
  async prepare({ program, folder, port, zoneFile }) {
    await Deno.writeTextFile(
      `${folder}/knot.conf`,
      `server:
  rundir: "${folder}"
  listen: 127.0.0.1@${port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: warning
database:
  storage: "${folder}"
zone:
  - domain: ${ZONE}
    file: "${zoneFile}"
    zonefile-sync: -1
    journal-content: none
`,
    );
    return [program, "-c", `${folder}/knot.conf`];
  },
};
