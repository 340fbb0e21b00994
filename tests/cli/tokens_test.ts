/** @module Tests of `tokens` and `audit`: on a database file, on a running node, and both at the same time. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { run } from "../../main.ts";
import { exportModel } from "../../src/model/model_export.ts";
import { Store } from "../../src/store/store.ts";
import { TEST_SETTINGS, until } from "../test_node.ts";
import { startNode } from "../../src/node/node.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { systemClock } from "../../src/clock.ts";
import { capturedTerminal } from "./captured_terminal.ts";

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function pleiades(
  words: readonly string[],
  environment: Record<string, string> = {},
  columns?: number,
) {
  const terminal = { ...capturedTerminal({ USER: "anna", ...environment }), columns };
  const exitCode = await run(words, terminal);
  return { exitCode, stdout: terminal.stdout(), stderr: terminal.stderr() };
}

Deno.test("the first token is created on the file, printed once, and kept as a digest", async () => {
  await inFolder(async (folder) => {
    const db = `${folder}/node.db`;
    Store.open(db).close();
    const { exitCode, stdout, stderr } = await pleiades(["tokens", "create", "--scope", "admin", "--db", db]);
    equal(exitCode, 0);
    match(stdout, /^plei_[A-Za-z0-9_-]{43}\n$/);
    match(stderr, /first token: from now on the API asks for one/);
    match(stderr, /created the token "anna" \(admin, until it is revoked\)/);
    const bytes = new TextDecoder("latin1").decode(Deno.readFileSync(db));
    ok(!bytes.includes(stdout.trim().slice(5)));
    equal((await pleiades(["backup", `${folder}/copy.db`, "--db", db])).exitCode, 0);
    using copy = Store.open(`${folder}/copy.db`);
    equal(copy.tokens.byName("anna")!.scope, "admin");
    ok(!exportModel(copy.model()).includes("anna"));
    deepEqual([copy.generation(), copy.history.page({ limit: 1 }).items], [0, []]);
    const [row] = copy.audit.page({ limit: 2 }, null).items;
    deepEqual([row!.via, row!.by, row!.detail], ["cli", "anna", "anna: admin, without end"]);
  });
});

const WRONG: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  ["no scope", ["create", "a"], 2, /required option '--scope <scope>'/],
  [
    "an unknown scope",
    ["create", "a", "--scope", "root"],
    2,
    /Allowed choices are read, operate, write, admin/,
  ],
  ["a name with a space", ["create", "a b", "--scope", "read"], 1, /name must have 1–64 visible characters/],
  ["no duration", ["create", "a", "--scope", "read", "--expire-in", "soon"], 2, /must be a duration such as/],
  [
    "a life of nothing",
    ["create", "a", "--scope", "read", "--expire-in", "0s"],
    1,
    /expiresAt must lie in the future/,
  ],
  ["a name that is taken", ["create", "taken", "--scope", "read"], 1, /is called "taken" already/],
  ["a name that isn't there", ["revoke", "gone"], 1, /No token is called "gone"/],
  ["an API and a file", ["list", "--api", "http://127.0.0.1:1"], 2, /Give --api, or --db/],
];

for (const [what, words, code, message] of WRONG) {
  Deno.test(`tokens with ${what} on a file end with ${code} and change nothing`, async () => {
    await inFolder(async (folder) => {
      const db = `${folder}/node.db`;
      Store.open(db).close();
      equal((await pleiades(["tokens", "create", "taken", "--scope", "read", "--db", db])).exitCode, 0);
      const { exitCode, stdout, stderr } = await pleiades(["tokens", ...words, "--db", db]);
      deepEqual([exitCode, stdout], [code, ""]);
      match(stderr, message);
      using store = Store.open(db);
      equal(store.tokens.count(), 1);
    });
  });
}

Deno.test("a file of an older version is its node's to bring up to date", async () => {
  await inFolder(async (folder) => {
    const db = `${folder}/old.db`;
    Store.open(db).close();
    const file = new DatabaseSync(db);
    file.exec("PRAGMA user_version = 8");
    file.close();
    const { exitCode, stderr } = await pleiades(["tokens", "create", "--scope", "read", "--db", db]);
    equal(exitCode, 1);
    match(stderr, /of an older version: start the node of this version once/);
  });
});

Deno.test("a running node goes by what is written to its file, and tells by whom", async () => {
  await inFolder(async (folder) => {
    const db = `${folder}/node.db`;
    const lines: string[] = [];
    const log = createLogger({
      level: "debug",
      format: "json",
      clock: systemClock,
      write: (line) => lines.push(line),
    });
    await using node = await startNode({ settings: { ...TEST_SETTINGS, database: { path: db } }, log });
    const env = { PLEIADES_API_URL: `http://127.0.0.1:${node.api!.port}` };
    equal((await pleiades(["pools", "create", "open"], env)).exitCode, 0);
    const secret = (await pleiades(["tokens", "create", "root", "--scope", "admin", "--db", db])).stdout
      .trim();
    const refused = await pleiades(["pools", "create", "closed"], env);
    equal(refused.exitCode, 1);
    match(refused.stderr, /A token is needed .*PLEIADES_API_TOKEN/);
    const signed = { ...env, PLEIADES_API_TOKEN: secret };
    equal((await pleiades(["pools", "create", "signed"], signed)).exitCode, 0);
    const { stdout: ci } = await pleiades(
      ["tokens", "create", "ci", "--scope", "read", "--expire-in", "1h"],
      signed,
    );
    const asCi = { ...env, PLEIADES_API_TOKEN: ci.trim() };
    equal((await pleiades(["pools", "list"], asCi)).exitCode, 0);
    match((await pleiades(["pools", "create", "x"], asCi)).stderr, /lacks the scope write \(it has read\)/);
    equal((await pleiades(["tokens", "revoke", "ci", "--db", db])).stdout, 'revoked the token "ci"\n');
    match((await pleiades(["pools", "list"], asCi)).stderr, /The token "ci" was revoked/);

    const listed = await pleiades(["tokens", "list"], signed);
    match(listed.stdout, /^name +scope +state +expires +last used\nroot +admin +valid +never +20/);
    match(listed.stdout, /\nci +read +revoked /);
    match((await pleiades(["history"], signed)).stdout, /2 .* api +root .*\n1 .* api +anna /);
    const refusals = await until(
      () => pleiades(["audit", "--refused"], signed, 80),
      ({ stdout }) => stdout.split("\n").length >= 5,
    );
    ok(refusals.stdout.split("\n").every((line) => line.length <= 80), refusals.stdout);
    const all = await pleiades(["audit", "-o", "json"], signed);
    const everything = [
      listed.stdout,
      refusals.stdout,
      all.stdout,
      (await pleiades(["status"], signed)).stdout,
      ...lines,
    ];
    for (const token of [secret, ci.trim()]) {
      for (const text of everything) ok(!text.includes(token.slice(5)), text);
    }
  });
});
