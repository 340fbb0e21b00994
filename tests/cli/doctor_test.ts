/** @module Tests of `pleiades doctor`: what it joins, prints and keeps to itself. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { run } from "../../main.ts";
import { capturedTerminal } from "./captured_terminal.ts";
import { problem, scriptedApi } from "./scripted_api.ts";

const FOUND = {
  check: "disk",
  level: "warning",
  subject: "/var/lib/pleiades",
  message:
    "its disk is nearly full: 812 MB of 21475 MB left, which is less than a node of this size should have",
  fix: "make room there, or move the database to another disk (database.path)",
};

/** A folder with a settings file of a node that nothing keeps from starting, and more in it. */
async function withSettings(
  text: string,
  test: (file: string, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/pleiades.yaml`;
    await Deno.writeTextFile(file, `api: { enabled: false }\ndatabase: { path: none }\n${text}`);
    await test(file, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Ports that are free in a test's own network as on a desk. */
const DNS = "dns: { listenAddr: 127.0.0.1, port: 45353 }\n";

Deno.test("what the node finds is joined, in a table of 80 columns, and the exit code is 1", async () => {
  await using api = scriptedApi({
    "GET /doctor": { checkedAt: "2026-11-21T12:00:00Z", checks: ["disk", "clock"], findings: [FOUND] },
  });
  await withSettings(DNS, async (file) => {
    const terminal = capturedTerminal();
    equal(await run(["doctor", "-c", file, "--api", api.url], terminal), 1);
    equal(
      terminal.stdout(),
      `level    check  subject
warning  disk   /var/lib/pleiades
  the node: its disk is nearly full: 812 MB of 21475 MB left, which is less than
  a node of this size should have
  fix: make room there, or move the database to another disk (database.path)
`,
    );
    const json = capturedTerminal();
    equal(await run(["doctor", "-c", file, "--api", api.url, "-o", "json"], json), 1);
    deepEqual(JSON.parse(json.stdout()), [{ ...FOUND, from: "the node" }]);
  });
});

Deno.test("what the node and this machine both see is said once", async () => {
  await withSettings(DNS, async (file, folder) => {
    await Deno.writeTextFile(`${folder}/token`, "secret");
    await Deno.chmod(`${folder}/token`, 0o644);
    await Deno.writeTextFile(
      file,
      `api: { enabled: false, tokens: file:token }\ndatabase: { path: none }\n${DNS}`,
    );
    const finding = { ...FOUND, check: "secret-file", subject: `${folder}/token` };
    await using api = scriptedApi({ "GET /doctor": { checks: [], findings: [finding] } });
    const terminal = capturedTerminal();
    equal(await run(["doctor", "-c", file, "--api", api.url, "-o", "json"], terminal), 1);
    deepEqual(JSON.parse(terminal.stdout()), [{ ...finding, from: "the node" }]);
  });
});

Deno.test("a healthy machine with a healthy node: nothing on stdout, a line on stderr", async () => {
  await using api = scriptedApi({
    "GET /doctor": { checkedAt: "2026-11-21T12:00:00Z", checks: ["disk", "clock"], findings: [] },
  });
  await withSettings(DNS, async (file) => {
    const terminal = capturedTerminal();
    equal(await run(["doctor", "-c", file, "--api", api.url], terminal), 0);
    equal(terminal.stdout(), "");
    equal(terminal.stderr(), `nothing to fix: 2 checks here, 2 checks by the node at ${api.url}\n`);
  });
});

Deno.test("every problem of the settings is a finding, with its place and its fix", async () => {
  await withSettings("dns: { port: 70000, lissenAddr: 1.2.3.4 }\n", async (file) => {
    const terminal = capturedTerminal({ PLEIADES_API_URL: "http://127.0.0.1:2" });
    equal(await run(["doctor", "-c", file, "-o", "json"], terminal), 1);
    const found = JSON.parse(terminal.stdout());
    deepEqual(found.map(({ subject }: { subject: string }) => subject), [
      `${file}:3:14`,
      `${file}:3:21`,
    ]);
    match(found[1].message + found[1].fix, /lissenAddr.*listenAddr/s);
  });
});

Deno.test("a node that is named and doesn't answer, or refuses, is a finding", async () => {
  await using api = scriptedApi({ "GET /doctor": problem(401, "A token is needed") });
  await withSettings(DNS, async (file) => {
    for (
      const [url, expected] of [["http://127.0.0.1:2", /Nothing listens/], [
        api.url,
        /A token is needed/,
      ]] as const
    ) {
      const terminal = capturedTerminal();
      equal(await run(["doctor", "-c", file, "--api", url, "-o", "json"], terminal), 1);
      const [{ check, subject, message }] = JSON.parse(terminal.stdout());
      deepEqual([check, subject], ["node", url]);
      match(message, expected);
    }
  });
});

Deno.test("where the settings have the API, a node that wants a token is a remark, and no token is sent unasked", async () => {
  await using api = scriptedApi({
    "GET /healthz": { status: "ok" },
    "GET /doctor": problem(401, "A token is needed"),
  });
  const { port } = new URL(api.url);
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/pleiades.yaml`;
    await Deno.writeTextFile(
      file,
      `api: { port: ${port}, tokens: canary-secret }\ndatabase: { path: none }\n${DNS}`,
      { mode: 0o600 },
    );
    await Deno.chmod(file, 0o600);
    const terminal = capturedTerminal();
    equal(await run(["doctor", "-c", file], terminal), 0, terminal.stdout());
    match(terminal.stderr(), /^the node didn't tell: A token is needed/);
    deepEqual(api.asked.map(({ headers }) => headers.get("authorization")), [null, null]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a settings file that spells a secret out counts as a secret, which is never shown", async () => {
  await withSettings(`${DNS}`, async (file, folder) => {
    await Deno.writeTextFile(`${folder}/token`, "canary-secret");
    await Deno.chmod(`${folder}/token`, 0o644);
    await Deno.chmod(file, 0o644);
    const judge = async (tokens: string) => {
      await Deno.writeTextFile(
        file,
        `api: { enabled: false, tokens: ${tokens} }\ndatabase: { path: none }\n${DNS}`,
      );
      const terminal = capturedTerminal();
      await run(["doctor", "-c", file, "-o", "json"], terminal);
      ok(!(terminal.stdout() + terminal.stderr()).includes("canary"));
      return JSON.parse(terminal.stdout()).map((
        { check, subject }: Record<string, string>,
      ) => [check, subject]);
    };
    deepEqual(await judge("canary-secret"), [["secret-file", file]]);
    deepEqual(await judge("file:token"), [["secret-file", `${folder}/token`]]);
    deepEqual(await judge("[]"), []);
    await Deno.writeTextFile(
      file,
      `api: { enabled: false, tokens: canary }\ndatabase: { path: none }\n${DNS}`,
    );
    const terminal = capturedTerminal();
    await run(["doctor", "-c", file], terminal);
    match(terminal.stdout(), /fix: put variables in the place of its secrets/);
  });
});

Deno.test("a unit that is no file, and one beside other flags, are wrong usage or a failure", async () => {
  const terminal = capturedTerminal();
  equal(await run(["doctor", "--unit", "/none.service"], terminal), 1);
  match(terminal.stderr(), /^error: Cannot read the unit \/none\.service/);
  equal(await run(["doctor", "--unit", "/none.service", "--db", "none"], capturedTerminal()), 2);
});

Deno.test("settings that this user may not see are a finding, and a remark beside a node that has told", async () => {
  await using api = scriptedApi({ "GET /doctor": { checks: ["disk"], findings: [] } });
  const folder = await Deno.makeTempDir();
  try {
    const unit = `${folder}/pleiades.service`;
    // A folder can't be read as a file by anyone, root included.
    await Deno.writeTextFile(unit, `[Service]\nEnvironment=PLEIADES_API_PORT=1\nEnvironmentFile=${folder}\n`);
    const alone = capturedTerminal();
    equal(await run(["doctor", "--unit", unit, "-o", "json"], alone), 1);
    deepEqual(
      JSON.parse(alone.stdout()).map(({ check, subject }: Record<string, string>) => [check, subject]),
      [["settings", folder]],
    );
    const beside = capturedTerminal();
    equal(await run(["doctor", "--unit", unit, "--api", api.url], beside), 0);
    equal(beside.stdout(), "");
    match(
      beside.stderr(),
      /^the settings weren't checked: this user may not read it: .* \(run it as root\)\n/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
