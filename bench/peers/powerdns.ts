/**
 * PowerDNS's authoritative server with its BIND backend, the one that reads zone files. Its packet cache is on, and large enough
 * for every question.
 *
 * @module
 */
import type { Peer } from "./peer.ts";
import { ZONE } from "../dns/workloads.ts";

/** https://doc.powerdns.com/authoritative/settings.html */
export const powerdns: Peer = {
  name: "pdns",
  program: "pdns_server",
  install: "apt install pdns-server pdns-backend-bind",
  answers: true,
  version: ["--version"],
  async prepare({ program, folder, port, zoneFile }) {
    await Deno.writeTextFile(
      `${folder}/named.conf`,
      `zone "${ZONE}" { type native; file "${zoneFile}"; };\n`,
    );
    await Deno.writeTextFile(
      `${folder}/pdns.conf`,
      `launch=bind
bind-config=${folder}/named.conf
local-address=127.0.0.1
local-port=${port}
socket-dir=${folder}
receiver-threads=1
distributor-threads=1
cache-ttl=3600
query-cache-ttl=3600
negquery-cache-ttl=3600
max-packet-cache-entries=2000000
max-cache-entries=2000000
security-poll-suffix=
daemon=no
guardian=no
write-pid=no
loglevel=3
`,
    );
    return [program, `--config-dir=${folder}`];
  },
};
