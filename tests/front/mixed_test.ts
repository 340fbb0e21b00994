/**
 * The lines of mname-balancer's list before three servers each: of npm's mname, of nodes of ours, and of both.
 *
 * @module
 */
import { hasMname } from "./mname.ts";
import { type Kind, showLines } from "./real_backends.ts";

const isLinux = Deno.build.os === "linux";
const isMnameThere = isLinux && await hasMname();

for (
  const [what, kinds] of [
    ["three servers of mname 1.5.1", ["mname", "mname", "mname"]],
    ["three nodes", ["node", "node", "node"]],
    ["a node and two servers of mname 1.5.1", ["node", "mname", "mname"]],
  ] as const satisfies readonly (readonly [string, readonly [Kind, Kind, Kind]])[]
) {
  Deno.test({
    name: `the list of what a balancer must show, with ${what}`,
    ignore: !isLinux || kinds.some((kind) => kind === "mname") && !isMnameThere,
    fn: (t) =>
      showLines(kinds, async (name, part) => {
        if (!await t.step(name, part)) throw new Error("What follows builds on it");
      }),
  });
}
