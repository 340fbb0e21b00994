/**
 * gdnsd 3, with a plain zone file.
 *
 * @module
 */
import type { Peer } from "./peer.ts";
import { ZONE } from "../dns_workloads.ts";

/** `gdnsd.config(5)`. */
export const gdnsd: Peer = {
  name: "gdnsd",
  program: "gdnsd",
  install: "apt install gdnsd",
  answers: true,
  version: ["-V"], // which it doesn't know, and says its version with the usage
  async prepare({ program, folder, port, zoneFile }) {
    for (const each of ["zones", "run", "state"]) await Deno.mkdir(`${folder}/${each}`);
    await Deno.symlink(zoneFile, `${folder}/zones/${ZONE}`);
    await Deno.writeTextFile(
      `${folder}/config`,
      `options => {
  listen => [ 127.0.0.1:${port} ],
  udp_threads => 1,
  tcp_threads => 1,
  run_dir => ${folder}/run,
  state_dir => ${folder}/state,
}
`,
    );
    return [program, "-c", folder, "start"];
  },
};
