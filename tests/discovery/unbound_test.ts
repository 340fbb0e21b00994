/**
 * Behind a real resolver: unbound with a stub zone, asked with mixed case, with and without minimised names.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { rcodeName } from "../../src/wire/record_type.ts";
import { Unbound } from "../e2e/unbound.ts";
import { testWith } from "../programs.ts";
import { ask, instance, World, ZONE } from "./world.ts";

const WEB = "http.web.prod.shop.gg";

testWith(
  ["unbound"],
  "behind unbound every question of a dns zone has the answer that it has without",
  async () => {
    const instances = [
      instance("a", { node: "h1.example.net", ipAddress: "192.0.2.1", port: 8001 }),
      instance("b", { node: "h2.example.net", ipAddress: "192.0.2.2", port: 8002 }),
      ...Array.from({ length: 44 }, (_, i) =>
        instance(`m${i}`, {
          address: "http.many.prod.shop.gg",
          node: `m${i}`,
          ipAddress: `198.51.100.${i}`,
        })),
    ];
    await using world = World.start({ "chef.json": { instances } });
    for (const minimises of ["yes", "no"]) {
      await using resolver = await Unbound.start(rulesFor(world.discovery.dns!.port, minimises));
      const found = async (name: string, type: string) => {
        const { rcode, answers } = await ask(resolver.address, `${name}.${ZONE}`, type, { tcp: true });
        return [
          rcodeName(rcode),
          ...answers.map(({ data }) => data).sort(),
        ].join("|");
      };
      equal(await found(WEB, "SRV"), "NOERROR|0 0 8001 h1.example.net.|0 0 8002 h2.example.net.");
      equal(await found(WEB.toUpperCase(), "A"), "NOERROR|192.0.2.1|192.0.2.2");
      equal((await found("http.many.prod.shop.gg", "A")).split("|").length, 45, "over TCP where UDP is cut");
      deepEqual(
        await Promise.all([
          found(WEB, "TXT"),
          found("http.web.test.shop.gg", "A"),
          found("http.web.prod.none.gg", "A"),
          found("web.prod.shop.gg", "A"),
          found("http.web.prod.shop.ggg", "SRV"),
          found("ns7.gg", "A"),
          found("ns0.gg", "A"),
          found("_http.web.prod.shop.gg", "A"),
          found("gg", "NS"),
        ]),
        [
          ...["NOERROR", "NOERROR", "NXDOMAIN", "NXDOMAIN", "NXDOMAIN", "NOERROR", "NOERROR|192.0.2.52"],
          ...["NXDOMAIN", `NOERROR|ns0.gg.${ZONE}.|ns1.gg.${ZONE}.|ns2.gg.${ZONE}.`],
        ],
      );
    }
  },
);

function rulesFor(port: number, minimises: string): string {
  return `
  use-caps-for-id: yes
  qname-minimisation: ${minimises}
  local-zone: "${ZONE}." transparent
stub-zone:
  name: "${ZONE}."
  stub-addr: 127.0.0.1@${port}
`;
}
