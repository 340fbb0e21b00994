/**
 * NSD. Its rate limit is off, which would else drop all but 200 answers a second.
 *
 * @module
 */
import type { Peer } from "./peer.ts";
import { ZONE } from "../dns/workloads.ts";

/** `nsd.conf(5)`. */
export const nsd: Peer = {
  name: "nsd",
  program: "nsd",
  install: "apt install nsd",
  answers: true,
  version: ["-v"],
  async prepare({ program, folder, port, zoneFile }) {
    await Deno.writeTextFile(
      `${folder}/nsd.conf`,
      `server:
  ip-address: 127.0.0.1@${port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "${folder}"
  database: ""
  pidfile: ""
  zonelistfile: "${folder}/zone.list"
  xfrdfile: ""
  xfrdir: "${folder}"
  minimal-responses: yes
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: ${ZONE}
  zonefile: "${zoneFile}"
`,
    );
    return [program, "-d", "-c", `${folder}/nsd.conf`];
  },
};
