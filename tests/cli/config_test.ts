/** @module `pleiades config …` as it is typed. */
import { deepEqual, equal, match } from "node:assert/strict";
import { run } from "../../main.ts";
import { openModel } from "../../src/cli/model_upload.ts";
import { pleiades, ServeProcess } from "../serve_process.ts";
import { Folder } from "../store/folder.ts";
import { capturedTerminal } from "./captured_terminal.ts";
import { problem, scriptedApi } from "./scripted_api.ts";

const FIXTURES = new URL("../fixtures/config/", import.meta.url).pathname;

async function type(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const terminal = capturedTerminal();
  const exitCode = await run(["config", ...args], terminal);
  return { exitCode, stdout: terminal.stdout(), stderr: terminal.stderr() };
}

Deno.test("config validate says ok with counts and exits 0", async () => {
  deepEqual(await type("validate", `${FIXTURES}model`), {
    exitCode: 0,
    stdout: "ok: 3 pools, 6 members, 3 services (and 2 zones)\n",
    stderr: "",
  });
});

Deno.test("config validate shows the typing error of the first ten minutes and exits 1", async () => {
  const { exitCode, stdout } = await type("validate", `${FIXTURES}broken/settings-typo.yaml`);
  equal(exitCode, 1);
  equal(
    stdout.replace(FIXTURES, ""),
    'broken/settings-typo.yaml:13:3: Unknown key "intervall" (did you mean "interval"?)\n',
  );
});

Deno.test("serve doesn't start with a setting of what this version lacks, and says so as config validate does", async () => {
  using folder = new Folder();
  const file = folder.file("p.yaml");
  Deno.writeTextFileSync(file, "node:\n  latitude: 50.1\n");
  const said = `${file}:2:13: node.latitude isn't in this version; remove it\n`;
  deepEqual(await type("validate", file), { exitCode: 1, stdout: said, stderr: "" });
  const { code, stderr } = await pleiades(["serve", "-c", file]).output();
  deepEqual([code, new TextDecoder().decode(stderr)], [1, said]);
});

Deno.test("config validate says on stderr what is let pass without effect", async () => {
  using folder = new Folder();
  const file = folder.file("p.yaml");
  Deno.writeTextFileSync(file, "api: { webuiPath: /webui }\n");
  const { exitCode, stdout, stderr } = await type("validate", file);
  equal(exitCode, 0);
  match(stdout, /^ok: /);
  match(stderr, /^note: .*p\.yaml:1:19: api\.webuiPath has no effect: /);
});

Deno.test("serve says in its log what is let pass without effect", async () => {
  using folder = new Folder();
  const file = folder.file("p.yaml");
  Deno.writeTextFileSync(file, "api: { webuiPath: /webui }\n");
  await using node = await ServeProcess.start({ args: ["-config", file, "-db=none"] });
  const [line, ...others] = node.lines.filter((text) => text.includes("webuiPath"));
  match(line!, /"level":"warn".*p\.yaml:1:19: api\.webuiPath has no effect/);
  deepEqual(others, []);
});

Deno.test("config validate goes on behind a bad path, and names each when there are several", async () => {
  const { exitCode, stdout } = await type("validate", "/nowhere.yaml", `${FIXTURES}model`);
  equal(exitCode, 1);
  match(stdout, /^\/nowhere.yaml: can't be read: .*\n.*\/model: ok: 3 pools/);
});

Deno.test("config validate without a path is wrong usage", async () => {
  equal((await type("validate")).exitCode, 2);
});

Deno.test("what config init prints is what config validate likes", async () => {
  for (const flags of [[], ["--all"]]) {
    const { stdout } = await type("init", ...flags);
    const file = await Deno.makeTempFile({ suffix: ".yaml" });
    try {
      await Deno.writeTextFile(file, stdout);
      match((await type("validate", file)).stdout, /^ok: 0 pools, 0 members, 0 services \(settings: /);
    } finally {
      await Deno.remove(file);
    }
  }
});

Deno.test("config schema prints the JSON Schemas", async () => {
  const settings = JSON.parse((await type("schema")).stdout);
  const model = JSON.parse((await type("schema", "--model")).stdout);
  equal(settings.properties.dns.properties.port.maximum, 65535);
  equal(model.properties.pools.items.properties.members.items.properties.port.maximum, 65535);
});

Deno.test("config export prints what the API gives, in the format that was asked for", async () => {
  const body = "pools:\n  - name: é\n\nservices: []\n";
  await using api = scriptedApi({ "GET /model": new Response(body) });
  equal((await type("export", "--api", api.url)).stdout, body);
  await type("export", "--api", api.url, "-o", "ndjson", "--token", "t");
  deepEqual(api.asked.map(({ headers }) => headers.get("accept")), [
    "application/yaml",
    "application/x-ndjson",
  ]);
  equal(api.asked[1]!.headers.get("authorization"), "Bearer t");
});

Deno.test("config export --generation prints the model as it was then", async () => {
  await using api = scriptedApi({ "GET /history/11/model": new Response("pools: []\n") });
  equal((await type("export", "--generation", "11", "--api", api.url)).stdout, "pools: []\n");
  const { exitCode, stderr } = await type("export", "--generation", "eleven", "--api", api.url);
  equal(exitCode, 2);
  match(stderr, /It must be a generation such as 12 \("pleiades history" lists them\)/);
});

const APPLIED = { generation: 8, changed: true, pools: 3, members: 6, services: 3, zones: 2 };

Deno.test("config apply sends the whole model as NDJSON, zone files included", async () => {
  await using api = scriptedApi({ "POST /apply?reason=new+site": APPLIED });
  const { stdout, stderr, exitCode } = await type(
    "apply",
    `${FIXTURES}model`,
    "--api",
    api.url,
    "--reason",
    "new site",
  );
  equal(exitCode, 0);
  equal(stdout, "ok: 3 pools, 6 members, 3 services, 2 zones (generation 8)\n");
  equal(stderr, "");
  const [{ headers, body }] = api.asked as [typeof api.asked[0] & object];
  equal(headers.get("content-type"), "application/x-ndjson");
  const lines = body.trimEnd().split("\n").map((line) => Object.keys(JSON.parse(line))[0]);
  deepEqual(lines, ["pool", "pool", "pool", "service", "service", "service", "zone", "zone"]);
  match(body, /steered by Pleiades/);
});

for (
  const [output, text] of [
    ["json", `${JSON.stringify(APPLIED, null, 2)}\n`],
    ["yaml", "generation: 8\nchanged: true\npools: 3\nmembers: 6\nservices: 3\nzones: 2\n"],
  ] as const
) {
  Deno.test(`config apply -o ${output} prints what the API said, and nothing else on stdout`, async () => {
    await using api = scriptedApi({ "POST /apply": APPLIED });
    const { stdout, exitCode } = await type("apply", `${FIXTURES}model`, "--api", api.url, "-o", output);
    equal(exitCode, 0);
    equal(stdout, text);
  });
}

Deno.test("config apply refuses a broken model before it asks anybody", async () => {
  await using api = scriptedApi({});
  const { exitCode, stdout } = await type("apply", `${FIXTURES}broken/missing-pool.yaml`, "--api", api.url);
  equal(exitCode, 1);
  match(stdout, /:7:38: pool "web-uk" doesn't exist/);
  deepEqual(api.asked, []);
});

Deno.test("config apply shows why the node refuses", async () => {
  const errors = [{ pointer: "", message: "body:3:1: pool gone" }];
  await using api = scriptedApi({ "POST /apply": problem(400, "The model has 1 problem", errors) });
  const { exitCode, stderr } = await type("apply", `${FIXTURES}model`, "--api", api.url);
  equal(exitCode, 1);
  match(stderr, /body:3:1: pool gone/);
});

Deno.test("config apply sends a file of NDJSON as it is, but for zone files, and names problems after it", async () => {
  using folder = new Folder();
  const file = folder.file("bulk.ndjson");
  const pool = '{"pool":  {"name":"a","algorithm":"geoip"}}';
  Deno.writeTextFileSync(
    file,
    `${pool}\n{"zone":{"domain":"example.org","file":"example.org.zone"}}\nnonsense`,
  );
  Deno.writeTextFileSync(folder.file("example.org.zone"), "@ 300 TXT here\n");
  const errors = [{ pointer: "", message: "body:3:1: not a JSON object" }];
  await using api = scriptedApi({ "POST /apply": problem(400, "The model has 1 problem", errors) });
  const { exitCode, stdout } = await type("apply", file, "--api", api.url);
  equal(exitCode, 1);
  equal(stdout, `${file}:3:1: not a JSON object\n`);
  equal(
    api.asked[0]!.body,
    `${pool}\n{"zone":{"domain":"example.org","text":"@ 300 TXT here\\n"}}\nnonsense`,
  );
});

Deno.test("config apply takes a model from stdin, as a document or line by line, and names problems after -", async () => {
  const opened = async (text: string) => {
    const model = await openModel("-", () => ReadableStream.from([new TextEncoder().encode(text)]));
    if ("problems" in model) return model.problems;
    return (await Array.fromAsync(model.blocks)).join("");
  };
  const lines = '{"pool": {"name": "a"}}\nnonsense\n';
  equal(await opened(lines), lines);
  equal(await opened("pools: [{ name: a }]\n"), '{"pool":{"name":"a"}}\n');
  match((await opened("pools: [{ name: a, ttl: 1 }]\n"))[0]!, /^-:1:20: Unknown key "ttl"/);
  match((await opened(""))[0]!, /^-:1:1: the file is empty/);
});

Deno.test("config apply - reads stdin, and so does -f -", async () => {
  for (const path of [["-"], ["-f", "-"], ["--file=-"]]) {
    await using api = scriptedApi({ "POST /apply": APPLIED });
    const command = pleiades(["config", "apply", ...path, "--api", api.url], { stdin: "piped" });
    await using child = command.spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("pools: [{ name: a }]\n"));
    await writer.close();
    const { code } = await child.output();
    deepEqual([code, api.asked[0]?.body], [0, '{"pool":{"name":"a"}}\n']);
  }
});

Deno.test("config apply asks which model, once", async () => {
  match((await type("apply")).stderr, /Which model\? \(its path, or - for stdin\)/);
  match((await type("apply", "a.yaml", "-f", "b.yaml")).stderr, /"a\.yaml" and --file b\.yaml differ/);
});

Deno.test("config apply shows how far it is on a terminal, and takes that away", async () => {
  await using api = scriptedApi({ "POST /apply": APPLIED });
  const drawn: string[] = [];
  const terminal = { ...capturedTerminal(), status: (text: string) => void drawn.push(text) };
  equal(await run(["config", "apply", `${FIXTURES}model`, "--api", api.url], terminal), 0);
  match(drawn[0]!, /^sending /);
  equal(drawn.at(-1), "");
});

Deno.test("config apply of a path that isn't there says so", async () => {
  const { exitCode, stderr } = await type("apply", "/nowhere");
  equal(exitCode, 1);
  match(stderr, /"\/nowhere": there is no such file$/m);
});
