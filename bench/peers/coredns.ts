/**
 * CoreDNS with its `file` plugin. Pinned to one core the runtime would still make a thread per core of the machine.
 *
 * @module
 */
import type { Peer } from "./peer.ts";
import { ZONE } from "../dns/workloads.ts";

/** https://coredns.io/plugins/file/ */
export const coredns: Peer = {
  name: "coredns",
  program: "coredns",
  install: "go install github.com/coredns/coredns@latest, or from https://coredns.io",
  answers: true,
  version: ["-version"],
  async prepare({ program, folder, port, zoneFile }) {
    await Deno.writeTextFile(
      `${folder}/Corefile`,
      `${ZONE}:${port} {
  bind 127.0.0.1
  file ${zoneFile}
}
`,
    );
    return ["env", "GOMAXPROCS=1", program, "-conf", `${folder}/Corefile`, "-quiet"];
  },
};
