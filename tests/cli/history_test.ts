/** @module `pleiades config history`, `diff` and `rollback` as they are typed, and by their short names. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { run } from "../../main.ts";
import { wallTime } from "../../src/cli/wall_time.ts";
import { attendedTerminal, type CapturedTerminal, capturedTerminal } from "./captured_terminal.ts";
import { planFixture } from "./plan_goldens.ts";
import { guarded, problem, type Script, scriptedApi } from "./scripted_api.ts";

const AT = "2026-01-31T03:00:00Z";
const ENTRY = { generation: 12, at: AT, via: "api", by: "settings token", reason: "a new site" };
const LIST = [ENTRY, { ...ENTRY, generation: 11, via: "expiry", by: "", reason: "" }];
const PLAN = planFixture("replay");
const POOL = "1".repeat(32);
const MEMBER = { kind: "member", id: "2".repeat(32), name: "web/192.0.2.10:443" };
const WEIGHT = { poolId: POOL, ipAddress: "192.0.2.10", port: 443, weight: 1 };
const DIFFERENCE = {
  from: 11,
  to: 12,
  objects: { member: { created: 0, changed: 1, deleted: 0 } },
  changes: [{ ...MEMBER, action: "changed", with: null, before: WEIGHT, after: { ...WEIGHT, weight: 3 } }],
  truncated: false,
};
const OVERRIDE = { kind: "override", with: null };
const SHOWN = "1 member changed\n  ~ member  web/192.0.2.10:443  weight 1 → 3\n";

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

for (const command of ["config history", "history"]) {
  Deno.test(`${command} lists the last changes, the newest first`, async () => {
    const { exitCode, stdout } = await type(command, { "GET /history?limit=20": LIST });
    equal(exitCode, 0);
    equal(
      stdout,
      `generation  when              via     by              reason\n` +
        `12          ${wallTime(AT)}  api     settings token  a new site\n` +
        `11          ${wallTime(AT)}  expiry  -               -\n`,
    );
  });
}

Deno.test("history fits the terminal, and -o wide doesn't cut", async () => {
  const long = [{ ...ENTRY, reason: "because ".repeat(20).trim() }];
  const terminal = { ...capturedTerminal(), columns: 80 };
  const { stdout } = await type("history", { "GET /history?limit=20": long }, terminal);
  for (const line of stdout.trimEnd().split("\n")) ok(line.length <= 80, line);
  const wide = { ...capturedTerminal(), columns: 80 };
  match((await type("history -o wide", { "GET /history?limit=20": long }, wide)).stdout, /(because ?){20}\n/);
});

Deno.test("history takes no more than --limit, whatever the API gives", async () => {
  const { stdout, lines } = await type("history --limit 1 -o json", { "GET /history?limit=1": LIST });
  deepEqual([JSON.parse(stdout), lines], [[ENTRY], ["GET /history?limit=1"]]);
  for (const limit of ["0", "10001", "-1", "all"]) {
    equal((await type(`history --limit ${limit}`, {})).exitCode, 2);
  }
});

Deno.test("history of a node that nothing was changed on says so", async () => {
  const { exitCode, stdout, stderr } = await type("history", { "GET /history?limit=20": [] });
  deepEqual([exitCode, stdout, stderr], [0, "", "Nothing was ever changed\n"]);
});

const GENERATION = { ...ENTRY, changes: [], summary: null, truncated: false };

Deno.test("history GEN shows who did it, why, and what it changed", async () => {
  const { exitCode, stdout } = await type("history 12", {
    "GET /history/12": GENERATION,
    "GET /diff?from=11&to=12": DIFFERENCE,
  });
  equal(exitCode, 0);
  equal(stdout, `generation 12  ${wallTime(AT)}  api, by settings token: a new site\n${SHOWN}`);
  const json = await type("history 12 -o json", { "GET /history/12": GENERATION });
  deepEqual([JSON.parse(json.stdout), json.lines], [GENERATION, ["GET /history/12"]]);
});

Deno.test("no control character of a reason gets to the terminal", async () => {
  const reason = "new\x1b[2Jsite\nok: all is fine";
  const script = { "GET /diff?from=11&to=12": DIFFERENCE };
  const one = await type("history 12", { ...script, "GET /history/12": { ...GENERATION, reason } });
  match(one.stdout, /: new \[2Jsite ok: all is fine\n1 member changed\n/);
  const list = await type("history", { "GET /history?limit=20": [{ ...ENTRY, reason }] });
  match(list.stdout, /new \[2Jsite ok: all is fine\n$/);
});

Deno.test("history GEN shows overrides, which no difference of models has", async () => {
  const changes = [
    { ...OVERRIDE, id: "1", name: "down pool web", action: "created", before: null, after: {} },
    { ...OVERRIDE, id: "2", name: "drain region fra", action: "deleted", before: {}, after: null },
  ];
  const { stdout } = await type("history 12", {
    "GET /history/12": { ...GENERATION, by: "", reason: "", changes },
    "GET /diff?from=11&to=12": { ...DIFFERENCE, objects: {}, changes: [] },
  });
  equal(
    stdout,
    `generation 12  ${wallTime(AT)}  api\n1 override removed; 1 override added\n` +
      "  - override  drain region fra\n  + override  down pool web\n",
  );
});

Deno.test("a generation that isn't kept is the API's sentence, and what is no number is wrong usage", async () => {
  const gone = "Generation 3 was deleted: the history begins with 5";
  const { exitCode, stderr } = await type("history 3", { "GET /history/3": problem(410, gone) });
  deepEqual([exitCode, stderr], [1, `error: ${gone}\n`]);
  for (const words of ["history last", "diff one two", "diff", "rollback -1", "rollback 1 2"]) {
    deepEqual([(await type(words, {})).exitCode, (await type(words, {})).lines], [2, []], words);
  }
  match(
    (await type("diff x", {})).stderr,
    /It must be a generation such as 12 \("pleiades history" lists them\)/,
  );
});

for (const command of ["config diff", "diff"]) {
  Deno.test(`${command} shows the objects that differ, against now unless another is named`, async () => {
    const script = { "GET /diff?from=11&to=12": DIFFERENCE, "GET /history?limit=1": LIST };
    deepEqual(await type(`${command} 11 12`, script).then(({ stdout, exitCode }) => [exitCode, stdout]), [
      0,
      SHOWN,
    ]);
    const now = await type(`${command} 11`, script);
    deepEqual([now.stdout, now.lines.slice(0, 2)], [SHOWN, [
      "GET /history?limit=1",
      "GET /diff?from=11&to=12",
    ]]);
    deepEqual(JSON.parse((await type(`${command} 11 -o json`, script)).stdout), DIFFERENCE);
  });
}

Deno.test("diff of what is the same is one line", async () => {
  const { exitCode, stdout } = await type("diff 12 12", {
    "GET /diff?from=12&to=12": { ...DIFFERENCE, objects: {}, changes: [] },
  });
  deepEqual([exitCode, stdout], [0, "Nothing differs\n"]);
});

const ROLLED_BACK = {
  generation: 13,
  changed: true,
  to: 11,
  objects: { member: { created: 0, changed: 0, deleted: 1 } },
};
const REMOVED = {
  ...DIFFERENCE,
  objects: { pool: { created: 0, changed: 0, deleted: 1 }, member: { created: 0, changed: 0, deleted: 1 } },
  changes: [
    {
      kind: "pool",
      id: POOL,
      name: "web",
      action: "deleted",
      with: null,
      before: { name: "web" },
      after: null,
    },
    { ...MEMBER, action: "deleted", with: "pool web", before: WEIGHT, after: null },
  ],
};

for (const command of ["config rollback", "rollback"]) {
  Deno.test(`${command} restores a generation and says what that did`, async () => {
    const { exitCode, stdout, lines } = await type(`${command} 11 --reason oops`, {
      "POST /rollback?reason=oops&to=11": ROLLED_BACK,
      "GET /diff?from=12&to=13": REMOVED,
    });
    equal(exitCode, 0);
    equal(
      stdout,
      "ok: the model is that of generation 11 (generation 13)\nremoved: 1 member\n" +
        "  - pool    web\n  - member  web/192.0.2.10:443  with pool web\n",
    );
    deepEqual(lines, ["POST /rollback?reason=oops&to=11", "GET /diff?from=12&to=13"]);
  });

  Deno.test(`${command} without a generation leaves the choice to the node`, async () => {
    const script = { "POST /rollback": { ...ROLLED_BACK, objects: {} } };
    const { exitCode, lines } = await type(command, script);
    deepEqual([exitCode, lines], [0, ["POST /rollback"]]);
    const json = await type(`${command} -o json`, script);
    deepEqual(JSON.parse(json.stdout), script["POST /rollback"]);
  });
}

Deno.test("rollback on a terminal shows its plan, asks, and does just what it showed", async () => {
  const { exitCode, stderr, asked } = await type(
    "rollback 11",
    { "POST /rollback?dryRun=true&to=11": PLAN, "POST /rollback?to=11": { ...ROLLED_BACK, objects: {} } },
    attendedTerminal("yes"),
  );
  equal(exitCode, 0);
  match(stderr, /^1 member changed\n {2}~ member[^]*192\.0\.2\.20 {2}50 % → 25 %\nRoll back\? \[y\/N\] \n$/);
  deepEqual(asked.map(({ line, headers, body }) => [line, headers.get("if-match"), body]), [
    ["POST /rollback?dryRun=true&to=11", null, ""],
    ["POST /rollback?to=11", '"9"', ""],
  ]);
});

Deno.test("rollback on a terminal does nothing unless the answer is yes, and asks nothing with --yes", async () => {
  const script = { "POST /rollback?dryRun=true&to=11": PLAN, "POST /rollback?to=11": ROLLED_BACK };
  const no = await type("rollback 11", script, attendedTerminal(""));
  deepEqual([no.exitCode, no.lines], [1, ["POST /rollback?dryRun=true&to=11"]]);
  match(no.stderr, /\nnothing was changed\n$/);
  const yes = await type("rollback 11 --yes", script, attendedTerminal(""));
  deepEqual([yes.exitCode, yes.lines[0]], [0, "POST /rollback?to=11"]);
});

Deno.test("rollback to what is in effect asks nothing", async () => {
  const { exitCode, stdout, stderr } = await type(
    "rollback 11",
    {
      "POST /rollback?dryRun=true&to=11": planFixture("nothing"),
      "POST /rollback?to=11": { ...ROLLED_BACK, changed: false, objects: {} },
    },
    attendedTerminal("n"),
  );
  deepEqual([exitCode, stderr], [0, ""]);
  equal(stdout, "ok: the model is that of generation 11 (nothing changed, still generation 13)\n");
});

Deno.test("rollback --dry-run prints its plan with what to type", async () => {
  const { exitCode, stdout } = await type("rollback 11 --dry-run", {
    "POST /rollback?dryRun=true&to=11": PLAN,
  });
  equal(exitCode, 0);
  match(stdout, /\nTo do it: pleiades config rollback 11\n$/);
});

Deno.test("rollback is guarded: 3 from the node, and before anything is asked; --force has a reason", async () => {
  const refusal = guarded({ guard: "moved-share", message: "62 % would move", names: [] });
  const refused = await type("rollback 11", { "POST /rollback?to=11": refusal });
  equal(refused.exitCode, 3);
  match(refused.stderr, /^error: 62 % would move \[moved-share\] \(see what it moves with --dry-run;/);
  const early = await type(
    "rollback 11",
    { "POST /rollback?dryRun=true&to=11": planFixture("mixed") },
    attendedTerminal("y"),
  );
  deepEqual([early.exitCode, early.lines], [3, ["POST /rollback?dryRun=true&to=11"]]);
  equal((await type("rollback 11 --force", {})).exitCode, 2);
  const forced = await type("rollback 11 --force --reason known", {
    "POST /rollback?force=true&reason=known&to=11": { ...ROLLED_BACK, objects: {} },
  });
  equal(forced.exitCode, 0);
});

Deno.test("a rollback of what was changed since it was shown isn't done", async () => {
  const { exitCode, stderr } = await type(
    "rollback 11",
    { "POST /rollback?dryRun=true&to=11": PLAN, "POST /rollback?to=11": problem(412, "If-Match") },
    attendedTerminal("y"),
  );
  equal(exitCode, 3);
  match(stderr, /error: The model was changed since it was shown: nothing was rolled back \(try again\)\n$/);
});
