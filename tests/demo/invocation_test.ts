/** @module Command lines that the demo offers for pasting. */
import { equal } from "node:assert/strict";
import { invocation, type Start } from "../../src/demo/invocation.ts";

const SOURCES: Start = {
  standalone: false,
  executable: "/opt/deno",
  main: "/home/ann/pleiades/main.ts",
  folder: "/home/ann/pleiades",
  find: () => null,
  deno: "2.6.8",
};
const EXECUTABLE: Start = { ...SOURCES, standalone: true, executable: "/home/ann/pleiades/dist/pleiades" };

/** What differs → how the next command begins. */
const STARTS: readonly (readonly [string, Start, string])[] = [
  ["npx, without deno on the PATH", SOURCES, "npx -y deno@2.6.8 run -A main.ts"],
  ["deno on the PATH", { ...SOURCES, find: () => "/opt/deno" }, "deno run -A main.ts"],
  ["the folder above", { ...SOURCES, folder: "/home/ann" }, "npx -y deno@2.6.8 run -A pleiades/main.ts"],
  [
    "another folder",
    { ...SOURCES, folder: "/srv" },
    "npx -y deno@2.6.8 run -A /home/ann/pleiades/main.ts",
  ],
  ["an executable that isn't on the PATH", EXECUTABLE, "./dist/pleiades"],
  [
    "the executable that the PATH finds",
    { ...EXECUTABLE, executable: "/usr/bin/pleiades", find: () => "/usr/bin/pleiades" },
    "pleiades",
  ],
  [
    "another executable than the PATH finds",
    { ...EXECUTABLE, find: () => "/usr/bin/pleiades" },
    "./dist/pleiades",
  ],
];

for (const [what, start, line] of STARTS) {
  Deno.test(`invocation() from ${what} is ${line}`, () => equal(invocation(start), line));
}
