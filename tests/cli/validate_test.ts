/** @module What `config validate` says: golden files for what is broken, counts for what is fine. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { validatePaths } from "../../src/cli/validate.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";
import { BROKEN, brokenNames, GOLDEN, reportOn } from "../golden/config_validate.ts";

for (const name of brokenNames()) {
  Deno.test(`validatePaths() says about ${name} what its golden file says`, async () => {
    const golden = await Deno.readTextFile(`${GOLDEN}${name}.txt`);
    equal(await reportOn(name), golden, "deno run -A tests/golden/update.ts writes it anew");
  });
}

Deno.test("every broken file has a golden file and every golden file a broken one", () => {
  const golden = [...Deno.readDirSync(GOLDEN)].map(({ name }) => name.replace(/\.txt$/, ""));
  deepEqual(golden.sort(), brokenNames().sort());
});

Deno.test("every problem of a broken file has a line and a column", async () => {
  for (const name of brokenNames().filter((name) => name.includes("."))) {
    const { problems } = (await validatePaths([`${BROKEN}${name}`], {}))[0]!;
    ok(problems.length > 0, name);
    for (const { line, column, message } of problems) ok(line > 0 && column > 0, `${name}: ${message}`);
  }
});

Deno.test("no message tells a secret", async () => {
  for (const name of brokenNames()) ok(!/hunter2|12345/.test(await reportOn(name)), name);
});

Deno.test("validatePaths() counts what is in a model directory", async () => {
  const directory = new URL("../fixtures/config/model", import.meta.url).pathname;
  const { kind, problems, summary } = (await validatePaths([directory], {}))[0]!;
  deepEqual(problems, []);
  equal(kind, "model");
  equal(summary, "3 pools, 6 members, 3 services (and 2 zones)");
});

Deno.test("validatePaths() tells a settings file by its keys, and secrets in it by their environment", async () => {
  const file = new URL("../fixtures/config/settings.yaml", import.meta.url).pathname;
  const fine = (await validatePaths([file], { ADMIN_TOKEN: "s3cret" }))[0]!;
  deepEqual(fine, {
    kind: "settings",
    problems: [],
    notes: [],
    summary: "0 pools, 0 members, 0 services (settings: 2 static endpoints, 2 zones)",
  });
  const { problems } = (await validatePaths([file], {}))[0]!;
  deepEqual(problems.map(({ line, message }) => [line, message.split(" ")[3]]), [[14, "ADMIN_TOKEN"]]);
});

Deno.test("validatePaths() judges the file alone: a variable neither mends nor breaks it", async () => {
  const file = `${BROKEN}settings-open-api.yaml`;
  const { problems } = (await validatePaths([file], {
    PLEIADES_API_LISTEN_ADDR: "127.0.0.1",
    PLEIADES_DNS_PORT: "70000",
  }))[0]!;
  equal(problems.length, 1);
});

Deno.test("validatePaths() says so when there is no such path", async () => {
  const { problems } = (await validatePaths(["nowhere/at/all"], {}))[0]!;
  match(problems[0]!.message, /^can't be read: there is no such file$/);
});

Deno.test("validatePaths() notes what of a model steers less than it says under the settings beside it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const [settings, model] = [`${folder}/pleiades.yaml`, `${folder}/model.yaml`];
    await Deno.writeTextFile(settings, "dns: { domain: example.com }\n");
    await Deno.writeTextFile(
      model,
      "pools:\n" +
        "  - name: web\n    algorithm: geoip\n    members: [{ ipAddress: 192.0.2.10, port: 80 }]\n" +
        "    geoRules:\n      - { cidr: 198.51.100.0/24, member: 192.0.2.10 }\n      - { country: DE, member: 192.0.2.10 }\n" +
        "loadbalancer: { algorithm: map-file, endpoints: [192.0.2.1] }\n",
    );
    const notesOf = async (...paths: string[]) =>
      (await validatePaths(paths, {})).flatMap(({ notes }) =>
        notes.map((note) => formatProblem(note).replace(`${folder}/`, ""))
      );
    const expected = [
      'model.yaml:3:16: members of pool "web" only rotate: geoip needs the setting geoip.database',
      "model.yaml:7:9: this geo rule never matches: country DE needs the setting geoip.database",
      "model.yaml:8:28: endpoints of loadbalancer only rotate: map-file needs the setting mapFile.path",
    ];
    deepEqual(await notesOf(model, settings), expected);
    deepEqual(await notesOf(model), [], "nothing is known of the node");
    await Deno.writeTextFile(settings, "loadbalancer: { algorithm: geoip, endpoints: [192.0.2.1] }\n");
    deepEqual(await notesOf(settings), [
      "pleiades.yaml:1:28: endpoints of loadbalancer only rotate: geoip needs the setting geoip.database",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** A service whose pool doesn't exist, told of when all lines are known. */
const LINES = '{"pool": {"name": "web"}}\n{"service": {"domain": "e.example.com", "pool": "web"}}\n' +
  '{"service": {"domain": "www.example.com", "pool": "wbe"}}\n';
const ASTRAY = `model.ndjson:3:51: pool "wbe" doesn't exist (did you mean "web"?)`;

Deno.test("validatePaths() names the column of what is wrong between lines of NDJSON, in a file and on stdin", async () => {
  const file = await Deno.makeTempFile({ suffix: ".ndjson" });
  try {
    await Deno.writeTextFile(file, LINES);
    const [inFile] = await validatePaths([file], {});
    deepEqual(inFile!.problems.map((each) => formatProblem(each).replace(file, "model.ndjson")), [ASTRAY]);
  } finally {
    await Deno.remove(file);
  }
  const bytes = new TextEncoder().encode(LINES);
  const [onStdin] = await validatePaths(["-"], {}, () => ReadableStream.from([bytes]));
  deepEqual(onStdin!.problems.map(formatProblem), [ASTRAY.replace("model.ndjson", "-")]);
});

Deno.test("validatePaths() judges what comes on stdin by what is in it", async () => {
  const judge = async (text: string) => {
    const [validation] = await validatePaths(["-"], {}, () => new Blob([text]).stream());
    return { kind: validation!.kind, said: validation!.problems.map(formatProblem) };
  };
  deepEqual(await judge("dns: { port: 70000 }\n"), {
    kind: "settings",
    said: ["-:1:14: port must be 1–65535, is 70000"],
  });
  deepEqual(await judge("pools: [{ name: web }]\n"), { kind: "model", said: [] });
});
