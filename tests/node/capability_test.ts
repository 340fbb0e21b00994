/**
 * A capability is a folder and four lines: the toy in `tests/capability/` is built into a real node, its API and the
 * tree of commands through the four lists, and nothing else of the program knows it.
 *
 * @module
 */
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { RESOURCES } from "../../src/api/routes.ts";
import { commandTree } from "../../src/cli/command_tree.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import type { Core, Part, Start } from "../../src/node/part.ts";
import { PARTS } from "../../src/node/parts.ts";
import { BLOCKS } from "../../src/settings/blocks.ts";
import { loadSettings, type Settings } from "../../src/settings/settings.ts";
import { motd as motdResource } from "../capability/resource.ts";
import { type MotdNeeds, type MotdSettings, startMotd } from "../capability/part.ts";
import { motd as motdBlock } from "../capability/settings.ts";
import { capturedTerminal } from "../cli/captured_terminal.ts";
import { call, startTestNode, TEST_SETTINGS, type TestNode } from "../test_node.ts";

// The four lines. In the program they stand in the lists themselves, and `BLOCKS` makes the type of the settings; here
// the compiler doesn't know of the block, so the part's line says that it is there.
const blocks = [...BLOCKS, motdBlock] as const;
const parts: readonly Start[] = [...PARTS, (core) => startMotd(core as Core & MotdNeeds) as Part | null];
const resources = [...RESOURCES, motdResource];
const commands = [
  ...COMMANDS,
  ["Look:", ["motd"], () => import("../capability/command.ts")],
] as const;

/** The settings of a file that says this of the toy. */
function settingsOf(motd: string): Settings & MotdSettings {
  const folder = Deno.makeTempDirSync();
  try {
    const file = `${folder}/pleiades.yaml`;
    Deno.writeTextFileSync(file, `motd: ${motd}\n`);
    const { settings, problems } = loadSettings({ file, env: {}, blocks });
    deepEqual(problems, []);
    return { ...TEST_SETTINGS, motd: settings!.motd };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function start(motd: string): Promise<TestNode> {
  return startTestNode(settingsOf(motd), { blocks, parts, resources });
}

const MONDAY = { text: "Freeze until Monday", author: "alice" };

Deno.test("a capability has its settings, its part, its metric, its route and its command", async () => {
  await using node = await start("{ text: Freeze until Monday, author: alice }");
  deepEqual(await call(node, "GET", "/motd"), { status: 200, json: MONDAY });
  const metrics = await (await fetch(node.api.replace("/api/v1", "/metrics"))).text();
  match(metrics, /^pleiades_motd_reads_total\{[^}]*\} 1$/m);
  const { paths } = await (await fetch(new URL("/openapi.json", node.api))).json();
  equal(paths["/api/v1/motd"].get.operationId, "getMotd");

  const terminal = capturedTerminal();
  let exitCode: number | null = null;
  const tree = await commandTree(commands, { terminal, word: "motd", done: (code) => exitCode = code });
  await tree.parseAsync(["motd", "--api", node.api.replace("/api/v1", "")], { from: "user" });
  deepEqual([terminal.stdout(), exitCode], ["Freeze until Monday (alice)\n", 0]);
  match((await commandTree(commands, { terminal, done: () => {} })).helpInformation(), /^ {2}motd\b/m);
});

Deno.test("a reload takes its live key over, and names the one that waits for the next start", async () => {
  await using node = await start("{ text: Freeze until Monday, author: alice }");
  deepEqual(await node.node.use(settingsOf("{ text: Go ahead, author: bob }")), ["motd.author"]);
  deepEqual((await call(node, "GET", "/motd")).json, { text: "Go ahead", author: "alice" });
});

Deno.test("a reload that it isn't ready for is refused as a whole", async () => {
  await using node = await start("{ text: Freeze until Monday, author: alice }");
  const next = settingsOf("{ text: unspeakable, author: alice }");
  await rejects(node.node.use({ ...next, fallback: FALLBACK }), /can't be said/);
  deepEqual((await call(node, "GET", "/motd")).json, MONDAY);
  equal((await call(node, "GET", "/fallback")).status, 404);
  const metrics = await (await fetch(node.api.replace("/api/v1", "/metrics"))).text();
  match(metrics, /^pleiades_config_reloads_total\{[^}]*result="error"\} 1$/m);
});

const FALLBACK = {
  algorithm: "round-robin",
  endpoints: ["192.0.2.1"],
  weights: {},
  onAllDown: "all",
  ttl: null,
  healthCheck: null,
} as const;

Deno.test("a capability that its settings switch off isn't there, and says how to switch it on", async () => {
  await using node = await start("{ text: Freeze until Monday }");
  const { status, json } = await call(node, "GET", "/motd");
  deepEqual([status, (json as { detail: string }).detail], [
    404,
    "There is no message of the day (see motd.author)",
  ]);
});
