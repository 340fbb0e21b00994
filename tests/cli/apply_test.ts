/** @module `pleiades config plan` and `config apply` as they are typed: plans, questions, and what was done. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { run } from "../../main.ts";
import { isYes } from "../../src/cli/terminal.ts";
import { pleiades } from "../serve_process.ts";
import { Folder } from "../store/folder.ts";
import { executableOrSources, testWith } from "../programs.ts";
import { attendedTerminal, type CapturedTerminal, capturedTerminal } from "./captured_terminal.ts";
import { planAsPrinted, planFixture } from "./plan_goldens.ts";
import { guarded, problem, type Script, scriptedApi } from "./scripted_api.ts";

const MODEL = new URL("../fixtures/config/model", import.meta.url).pathname;
const BROKEN = new URL("../fixtures/config/broken/missing-pool.yaml", import.meta.url).pathname;
const APPLIED = {
  generation: 8,
  changed: true,
  pools: 3,
  members: 6,
  services: 3,
  zones: 2,
  objects: {
    pool: { created: 0, changed: 0, deleted: 1 },
    member: { created: 2, changed: 1, deleted: 2 },
  },
};
/** Removes a pool and two members, and would be refused. */
const REFUSED = planFixture("mixed");
/** The same with the guards' consent. */
const REMOVES = { ...REFUSED, refusals: [] };
/** The same, of generations. */
const GONE = { action: "deleted", with: "pool old", before: {}, after: null };
const REMOVED = {
  objects: APPLIED.objects,
  changes: [
    { ...GONE, kind: "pool", id: "3", name: "old", with: null },
    { ...GONE, kind: "member", id: "4", name: "old/192.0.2.20:443" },
    { ...GONE, kind: "member", id: "5", name: "old/[2001:db8::20]:443" },
  ],
};
/** Removes nothing. */
const HARMLESS = planFixture("replay");

async function type(line: string, script: Script, terminal: CapturedTerminal = capturedTerminal()) {
  await using api = scriptedApi(script);
  const exitCode = await run([...line.split(" "), "--api", api.url], terminal);
  return {
    exitCode,
    stdout: terminal.stdout(),
    stderr: terminal.stderr(),
    lines: api.asked.map(({ line }) => line),
    asked: api.asked,
  };
}

for (const command of ["config plan", "plan", "config plan -f"]) {
  Deno.test(`${command} sends the model and prints its plan, with what to do next`, async () => {
    const { exitCode, stdout, stderr, asked } = await type(`${command} ${MODEL}`, { "POST /plan": REFUSED });
    deepEqual([exitCode, stderr], [0, ""]);
    const printed = planAsPrinted("mixed").split("\n");
    deepEqual(stdout.split("\n").slice(0, 4), printed.slice(0, 4));
    match(
      stdout,
      new RegExp(`\nTo do it all the same: pleiades config apply ${MODEL} --force --reason TEXT\n$`),
    );
    equal(asked[0]!.headers.get("content-type"), "application/x-ndjson");
    match(asked[0]!.body, /^\{"pool":/);
  });
}

for (const [output, begins] of [["json", '{\n  "generation": 7,'], ["yaml", "generation: 7\n"]] as const) {
  Deno.test(`plan -o ${output} prints all that the API said`, async () => {
    const { stdout } = await type(`plan ${MODEL} -o ${output}`, { "POST /plan": REFUSED });
    ok(stdout.startsWith(begins));
    match(stdout, /empties-live-name/);
  });
}

Deno.test("plan --replay asks for it, and says when nothing is recorded", async () => {
  const replayed = await type(`plan ${MODEL} --replay 24h`, { "POST /plan?replay=24h": HARMLESS });
  match(replayed.stdout, /\n1,234,567 recorded queries, /);
  equal(replayed.stderr, "");
  const nothing = await type(`plan ${MODEL} --replay 24h`, { "POST /plan?replay=24h": REMOVES });
  equal(nothing.stderr, "no recorded queries to replay (the setting queries.sketch records them)\n");
  equal((await type(`plan ${MODEL} --replay soon`, {})).exitCode, 2);
});

Deno.test("plan of nothing new is one line", async () => {
  const { exitCode, stdout } = await type(`plan ${MODEL}`, { "POST /plan": planFixture("nothing") });
  deepEqual([exitCode, stdout], [0, "Nothing would change (still generation 7)\n"]);
});

Deno.test("plan prints problems as apply does, before it asks the node and after", async () => {
  const { exitCode, stdout, lines } = await type(`plan ${BROKEN}`, {});
  deepEqual([exitCode, lines], [1, []]);
  match(stdout, /:7:38: pool "web-uk" doesn't exist/);
  using folder = new Folder();
  const file = folder.file("bulk.ndjson");
  Deno.writeTextFileSync(file, "nonsense\n");
  const errors = [{ pointer: "", message: "body:1:1: not a JSON object" }];
  const late = await type(`plan ${file}`, { "POST /plan": problem(400, "1 problem", errors) });
  deepEqual([late.exitCode, late.stdout], [1, `${file}:1:1: not a JSON object\n`]);
});

Deno.test("plan and apply - read stdin, and ask nothing of a pipe", async () => {
  for (
    const [words, answer, line] of [
      [["plan", "-"], planFixture("nothing"), "POST /plan"],
      [["config", "apply", "-"], { ...APPLIED, objects: {} }, "POST /apply"],
    ] as const
  ) {
    await using api = scriptedApi({ [line]: answer });
    await using child = pleiades([...words, "--api", api.url], { stdin: "piped" }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("pools: [{ name: a }]\n"));
    await writer.close();
    equal((await child.output()).code, 0);
    deepEqual(api.asked.map(({ line, body }) => [line, body]), [[line, '{"pool":{"name":"a"}}\n']]);
  }
});

Deno.test("apply --dry-run prints its plan", async () => {
  const { exitCode, stdout } = await type(`config apply ${MODEL} --dry-run`, {
    "POST /apply?dryRun=true": HARMLESS,
  });
  equal(exitCode, 0);
  match(stdout, new RegExp(`^1 member changed\n[^]*\nTo do it: pleiades config apply ${MODEL}\n$`));
});

Deno.test("apply says how much was added, changed and removed, and names what is gone", async () => {
  const { exitCode, stdout, lines } = await type(`config apply ${MODEL}`, {
    "POST /apply": APPLIED,
    "GET /diff?from=7&to=8": { from: 7, to: 8, ...REMOVED, truncated: false },
  });
  equal(exitCode, 0);
  equal(
    stdout,
    "ok: 3 pools, 6 members, 3 services, 2 zones (generation 8)\n" +
      "removed: 1 pool, 2 members\nchanged: 1 member\nadded: 2 members\n" +
      "  - pool    old\n" +
      "  - member  old/192.0.2.20:443      with pool old\n" +
      "  - member  old/[2001:db8::20]:443  with pool old\n",
  );
  deepEqual(lines, ["POST /apply", "GET /diff?from=7&to=8"]);
});

Deno.test("apply has done it, also where what is gone can't be shown", async () => {
  const { exitCode, stdout, stderr } = await type(`config apply ${MODEL}`, { "POST /apply": APPLIED });
  deepEqual([exitCode, stderr], [0, ""]);
  match(stdout, /\(generation 8\)\nremoved: 1 pool, 2 members\nchanged: 1 member\nadded: 2 members\n$/);
});

Deno.test("apply on a terminal shows what goes and asks, and does just what it showed", async () => {
  const { exitCode, stdout, stderr, asked } = await type(
    `config apply ${MODEL} --reason tidy`,
    { "POST /plan": REMOVES, "POST /apply?reason=tidy": APPLIED },
    attendedTerminal("y"),
  );
  equal(exitCode, 0);
  equal(
    stderr,
    "1 pool, 2 members removed;\n" +
      "  1 pool, 1 member, 1 geo rule, 1 service, 1 zone, 1 fallback changed;\n" +
      "  1 pool, 1 member, 1 service added\n" +
      "  - pool    old\n" +
      "  - member  old/192.0.2.20:443      with pool old\n" +
      "  - member  old/[2001:db8::20]:443  with pool old\n" +
      "Answers of 2 names differ; 62.3 % of all answers move (names count the same)\n" +
      "Apply? [y/N] \n",
  );
  match(stdout, /^ok: .*\nremoved: 1 pool, 2 members\nchanged: 1 member\nadded: 2 members\n$/);
  deepEqual(asked.map(({ line }) => line).filter((line) => line.startsWith("POST")), [
    "POST /plan",
    "POST /apply?reason=tidy",
  ]);
  const [planned, applied] = [asked[0]!, asked.at(-1)!];
  equal(applied.body, planned.body);
  equal(applied.headers.get("if-match"), '"7"');
});

for (const answer of ["n", "", "yeah", null]) {
  Deno.test(`the answer ${JSON.stringify(answer)} applies nothing`, async () => {
    const { exitCode, lines, stderr } = await type(
      `config apply ${MODEL}`,
      { "POST /plan": REMOVES },
      attendedTerminal(answer),
    );
    equal(exitCode, 1);
    match(stderr, /\nApply\? \[y\/N\] \nnothing was applied\n$/);
    deepEqual(lines.filter((line) => line.startsWith("POST")), ["POST /plan"]);
  });
}

Deno.test("yes is y or yes, in any case", () => {
  deepEqual(["y", "Y", "yes", " YES ", "ye", "no", ""].map(isYes), [
    true,
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});

Deno.test("apply asks nothing on a terminal when nothing is removed, nor with --yes, nor elsewhere", async () => {
  const ask = () => {
    throw new Error("it asked");
  };
  const refuses = { ...attendedTerminal("n"), ask };
  const harmless = await type(
    `config apply ${MODEL}`,
    { "POST /plan": HARMLESS, "POST /apply": { ...APPLIED, objects: {} } },
    refuses,
  );
  deepEqual([harmless.exitCode, harmless.lines], [0, ["POST /plan", "POST /apply"]]);
  for (
    const [flag, terminal] of [["--yes", refuses], ["-y", refuses], [
      "--reason=x",
      capturedTerminal(),
    ]] as const
  ) {
    const line = flag.startsWith("--reason") ? "POST /apply?reason=x" : "POST /apply";
    const { exitCode, lines } = await type(`config apply ${MODEL} ${flag}`, { [line]: APPLIED }, terminal);
    deepEqual([exitCode, lines[0]], [0, line]);
  }
});

/** Types a command in a terminal (`script`), then an answer. */
async function typeInTerminal(words: string, answer = ""): Promise<{ code: number; text: string }> {
  const program = executableOrSources() ?? `${Deno.execPath()} run -A --quiet --unstable-net ${MAIN}`;
  const command = new Deno.Command("script", {
    args: ["-qec", `${program} ${words}`, "/dev/null"],
    stdin: "piped",
    stdout: "piped",
  });
  await using child = command.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(answer));
  // The end of its input would be the end of the terminal's, so it stays open.
  const [{ code }, text] = await Promise.all([child.status, new Response(child.stdout).text()]);
  await writer.abort();
  return { code, text: text.replaceAll("\r", "") };
}

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

testWith(["script"], "apply asks in a real terminal, and reads what is typed", async () => {
  await using api = scriptedApi({ "POST /plan": REMOVES, "POST /apply": { ...APPLIED, objects: {} } });
  const words = `config apply ${MODEL} --api ${api.url}`;
  const no = await typeInTerminal(words, "no\n");
  equal(no.code, 1, no.text);
  match(no.text, /- pool {4}old\n[^]*Apply\? \[y\/N\] [^]*nothing was applied\n/);
  const yes = await typeInTerminal(words, "y\n");
  equal(yes.code, 0, yes.text);
  match(yes.text, /Apply\? \[y\/N\] [^]*ok: 3 pools/);
  deepEqual(api.asked.map(({ line }) => line), ["POST /plan", "POST /plan", "POST /apply"]);
});

testWith(
  ["script"],
  "apply of stdin on a terminal can't ask: it shows what goes and wants --yes",
  async () => {
    using folder = new Folder();
    const file = folder.file("model.yaml");
    Deno.writeTextFileSync(file, "pools: [{ name: a }]\n");
    await using api = scriptedApi({ "POST /plan": REMOVES, "POST /apply": { ...APPLIED, objects: {} } });
    const typed = (flags: string) => typeInTerminal(`config apply - --api ${api.url} ${flags} < ${file}`);
    const asks = await typed("");
    equal(asks.code, 2, asks.text);
    match(
      asks.text,
      /- pool {4}old\n[^]*error: Nothing was applied: the model comes from stdin, .*\(--yes applies it\)/,
    );
    equal((await typed("--yes")).code, 0);
    deepEqual(api.asked.map(({ line }) => line), ["POST /plan", "POST /apply"]);
  },
);

Deno.test("a model that was changed while it was looked at isn't replaced", async () => {
  const { exitCode, stderr } = await type(
    `config apply ${MODEL}`,
    { "POST /plan": REMOVES, "POST /apply": problem(412, "If-Match doesn't match") },
    attendedTerminal("y"),
  );
  equal(exitCode, 3);
  match(
    stderr,
    /error: The model was changed since it was planned: nothing was applied \(plan it again\)\n$/,
  );
});

Deno.test("a script that names the generation of its plan applies over no other", async () => {
  for (const terminal of [capturedTerminal(), attendedTerminal("y")]) {
    const stale = { "POST /plan": problem(412, "If-Match"), "POST /apply": problem(412, "If-Match") };
    const { exitCode, stderr, asked } = await type(
      `config apply ${MODEL} --if-generation 6`,
      stale,
      terminal,
    );
    deepEqual([exitCode, asked.map(({ headers }) => headers.get("if-match"))], [3, ['"6"']]);
    match(stderr, /The model was changed since it was planned: nothing was applied/);
  }
});

const HINT = `see it with "pleiades config plan ${MODEL}"; apply it all the same with --force --reason TEXT`;

Deno.test("a guard's refusal of an apply is exit code 3 and says how to see it", async () => {
  const refusal = guarded({ guard: "deleted-share", message: "40 % of the pools would go", names: [] });
  const { exitCode, stderr } = await type(`config apply ${MODEL}`, { "POST /apply": refusal });
  deepEqual([exitCode, stderr], [3, `error: 40 % of the pools would go [deleted-share] (${HINT})\n`]);
});

Deno.test("on a terminal nothing is asked about what a guard would refuse, unless it is forced", async () => {
  const refused = await type(`config apply ${MODEL}`, { "POST /plan": REFUSED }, attendedTerminal("y"));
  deepEqual([refused.exitCode, refused.lines], [3, ["POST /plan"]]);
  ok(refused.stderr.endsWith(`(${HINT})\n`));
  const forced = await type(
    `config apply ${MODEL} --force --reason known`,
    { "POST /plan": REFUSED, "POST /apply?force=true&reason=known": { ...APPLIED, objects: {} } },
    attendedTerminal("y"),
  );
  deepEqual([forced.exitCode, forced.lines.at(-1)], [0, "POST /apply?force=true&reason=known"]);
});

Deno.test("apply --force without a reason sends nothing", async () => {
  const { exitCode, stderr, lines } = await type(`config apply ${MODEL} --force`, {});
  deepEqual([exitCode, lines], [2, []]);
  match(stderr, /--force needs --reason TEXT/);
});

Deno.test("a path with blanks is quoted in what to type next", async () => {
  using folder = new Folder();
  const file = folder.file("it's mine.yaml");
  Deno.writeTextFileSync(file, "pools: [{ name: a }]\n");
  await using api = scriptedApi({ "POST /plan": HARMLESS });
  const terminal = capturedTerminal();
  equal(await run(["plan", file, "--api", api.url], terminal), 0);
  ok(terminal.stdout().endsWith(`To do it: pleiades config apply '${file.replace("'", `'\\''`)}'\n`));
});
