/**
 * The pages say what is so: links lead somewhere, what is marked as runnable runs, and prints what stands below it.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { SETTINGS } from "./discovery/world.ts";
import { brokenLinks, type Page, pages, readPage, shows, stepsOf, typeSteps } from "./docs_pages.ts";
import { program, testWith } from "./programs.ts";
import { startTestNode, TEST_SETTINGS } from "./test_node.ts";

const ALL = await pages();

Deno.test("every relative link of the pages leads to a file, and to a heading where it names one", () => {
  deepEqual(brokenLinks(ALL), []);
});

Deno.test("every diagram begins with a kind that Mermaid knows", () => {
  const diagrams = ALL.flatMap(({ file, blocks }) =>
    blocks.filter(({ info }) => info === "mermaid").map(({ text, line }) => ({ at: `${file}:${line}`, text }))
  );
  ok(diagrams.length >= 5, `only ${diagrams.length} diagrams`);
  deepEqual(diagrams.filter(({ text }) => !MERMAID.test(text)).map(({ at }) => at), []);
});

const MERMAID = /^(flowchart (LR|TB|TD|RL|BT)|sequenceDiagram|classDiagram|stateDiagram-v2|erDiagram)\n/;

Deno.test("every fence is closed and names its language", () => {
  const nameless = ALL.filter(({ file }) => file !== "docs/API.md").flatMap(({ file, blocks }) =>
    blocks.filter(({ info }) => info === "").map(({ line }) => `${file}:${line}`)
  );
  deepEqual(nameless, []);
});

Deno.test("docs/operations.md names every metric of a node, and no other", async () => {
  const nats = { ...TEST_SETTINGS.state.nats, servers: ["nats://127.0.0.1:1"] };
  // Where nothing listens: a node in a cluster has all its metrics from the start.
  await using node = await startTestNode({
    state: { ...TEST_SETTINGS.state, nats },
    discovery: SETTINGS,
  });
  const text = await (await fetch(new URL("/metrics", node.api))).text();
  const real = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name!);
  const rows = Deno.readTextFileSync(new URL("../docs/operations.md", import.meta.url));
  const named = [...rows.matchAll(/^\| `(pleiades_\w+)/gm)].map(([, name]) => name!);
  deepEqual(named.toSorted(), real.toSorted());
});

Deno.test("every threat of docs/security.md names tests that there are", async () => {
  const page = Deno.readTextFileSync(new URL("../docs/security.md", import.meta.url));
  const table = page.slice(page.indexOf("\n## Threats\n")).split("\n").filter((line) => line.startsWith("|"));
  const rows = table.slice(2).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  ok(rows.length > 20, `only ${rows.length} threats`);
  const proofs = [...Deno.readDirSync(new URL("prove/", import.meta.url))].map(({ name }) => name);
  const faults: string[] = [];
  for (const [threat, defence, shown = ""] of rows) {
    const tests = [...shown.matchAll(/\]\(\.\.\/(tests\/[\w/]+_test\.ts)\)/g)].map(([, file]) => file!);
    if (!threat || !defence || tests.length === 0) faults.push(`${threat}: no test shows it`);
    for (const file of tests) {
      const text = await Deno.readTextFile(new URL(`../${file}`, import.meta.url)).catch(() => "");
      if (!/^(?: {2})*(Deno\.test|test\w+)\(/m.test(text)) faults.push(`${threat}: ${file} tests nothing`);
    }
    for (const [, proof] of shown.matchAll(/`deno task prove (\w+)`/g)) {
      if (!proofs.includes(`${proof}.ts`)) faults.push(`${threat}: there is no proof ${proof}`);
    }
  }
  deepEqual(faults, []);
});

Deno.test("shows() masks what differs from run to run, and nothing else", () => {
  ok(shows("id 0123456789abcdef0123456789abcdef, 7 ms", "id fedcba98765432100123456789abcdef,  12 ms\n"));
  ok(shows("a\n…\nz", "a\nb\nc\nz\n"));
  ok(shows("a\n…\nz", "a\nz\n"));
  ok(!shows("a\nz", "a\nb\nz\n"));
  ok(!shows("192.0.2.1", "192.0.2.2\n"));
});

for (const page of ALL.filter((each) => stepsOf(each).length > 0)) {
  testWith(
    [
      "bash",
      "curl",
      "dig",
      ...["git", "gpg", "knotd", "nats-server", "openssl", "ssh-keygen"].filter((name) =>
        stepsOf(page).some(({ block }) => new RegExp(`\\b${name} `).test(block.text))
      ),
    ],
    `what ${page.file} tells its reader to type works as it stands`,
    () => typed(page),
  );
}

async function typed(page: Page): Promise<void> {
  const steps = stepsOf(readPage(page.file));
  const results = await typeSteps(steps, program("pleiades"));
  for (const [i, { block, exitCode, output }] of steps.entries()) {
    const result = results[i]!;
    const where = `${page.file}:${block.line}`;
    equal(result.exitCode, exitCode, `${where}: exit code\n${block.text}\n${result.output}`);
    if (output === null || shows(output, result.output)) continue;
    equal(result.output.trim(), output.trim(), `${where}: output\n${result.output}`);
  }
}
