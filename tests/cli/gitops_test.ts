/** @module Tests of `pleiades gitops`, and of what `pleiades status` says of it. */
import { deepEqual, equal } from "node:assert/strict";
import { run } from "../../main.ts";
import { capturedTerminal } from "./captured_terminal.ts";
import { guarded, type Script, scriptedApi } from "./scripted_api.ts";

const SHA = "f2d43b5e1f1d3f4c4b2d8f1c0a9e8d7c6b5a4f3e";

const STATUS = {
  state: "drifted",
  repository: "https://git.example.org/dns.git",
  branch: "main",
  pathPrefix: "sites/fra1",
  applied: {
    commit: SHA,
    signer: "Alice <alice@example.org>",
    fingerprint: "A",
    generation: 7,
    at: "2026-01-31T03:00:00.000Z",
  },
  head: SHA,
  fetchedAt: "2026-01-31T03:05:00.000Z",
  problem: {
    kind: "refused",
    step: "read",
    commit: SHA,
    message: "The model of commit f2d43b5e1f1d has 2 problems: a.yaml:1:1: first",
    since: "2026-01-31T03:05:00.000Z",
    problems: ["a.yaml:1:1: first", "a.yaml:2:1: second"],
    guards: [],
  },
  drift: {
    objects: 1,
    more: false,
    changes: [{ kind: "pool", name: "spare", action: "created", git: null, now: {} }],
  },
};

async function pleiades(script: Script, ...args: string[]) {
  await using api = scriptedApi(script);
  const terminal = capturedTerminal({ PLEIADES_API_URL: api.url, TZ: "UTC" });
  const exitCode = await run(args, terminal);
  return {
    ...{ exitCode, stdout: terminal.stdout(), stderr: terminal.stderr() },
    lines: api.asked.map(({ line }) => line),
  };
}

Deno.test("gitops status says which commit is applied, what is wrong and what drifted", async () => {
  const { exitCode, stdout } = await pleiades({ "GET /gitops": STATUS }, "gitops", "status");
  equal(exitCode, 1);
  deepEqual(stdout.replaceAll(/\d\d:\d\d:\d\d|\d{4}-\d\d-\d\d/g, "…").split("\n"), [
    "state       drifted",
    "repository  https://git.example.org/dns.git, branch main, folder sites/fra1",
    `applied     ${SHA}, signed by Alice <alice@example.org>, generation 7 at … …`,
    `head        ${SHA}`,
    "looked at   … …",
    "problem     The model of commit f2d43b5e1f1d has 2 problems: a.yaml:1:1: first; a.yaml:2:1: second",
    "drift       1 object changed by another way: pool spare created",
    "",
  ]);
  const synced = {
    ...STATUS,
    state: "synced",
    problem: null,
    drift: { objects: 0, more: false, changes: [] },
  };
  equal((await pleiades({ "GET /gitops": synced }, "gitops", "status")).exitCode, 0);
});

Deno.test("gitops sync says what came of it; a guard's refusal is exit code 3, and a force needs a reason", async () => {
  const applied = { result: "applied", commit: SHA, signer: "Alice", generation: 8, changed: true };
  const sync = "POST /gitops/sync";
  equal(
    (await pleiades({ [sync]: applied }, "gitops", "sync")).stdout,
    "ok: commit f2d43b5e1f1d is applied, signed by Alice (generation 8)\n",
  );
  const unchanged = { ...applied, result: "unchanged", signer: "" };
  equal(
    (await pleiades({ [sync]: unchanged }, "gitops", "sync")).stdout,
    "ok: commit f2d43b5e1f1d is what the branch has, and is applied\n",
  );
  const guard = { guard: "moved-share", message: "too much moves", names: [] };
  equal((await pleiades({ [sync]: guarded(guard) }, "gitops", "sync")).exitCode, 3);
  equal((await pleiades({}, "gitops", "sync", "--force")).exitCode, 2);
  const forced = "POST /gitops/sync?force=true&reason=it+is+meant";
  deepEqual(
    (await pleiades({ [forced]: applied }, "gitops", "sync", "--force", "--reason", "it is meant")).lines,
    [forced],
  );
});
