/** @module What `config validate` says: golden files for what is broken, counts for what is fine. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { validatePath } from "../../src/config/validate.ts";
import { BROKEN, brokenNames, GOLDEN, reportOn } from "../golden/config_validate.ts";

for (const name of brokenNames()) {
  Deno.test(`validatePath() says about ${name} what its golden file says`, async () => {
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
    const { problems } = await validatePath(`${BROKEN}${name}`, {});
    ok(problems.length > 0, name);
    for (const { line, column, message } of problems) ok(line > 0 && column > 0, `${name}: ${message}`);
  }
});

Deno.test("no message tells a secret", async () => {
  for (const name of brokenNames()) ok(!/hunter2|12345/.test(await reportOn(name)), name);
});

Deno.test("validatePath() counts what is in a model directory", async () => {
  const directory = new URL("../fixtures/config/model", import.meta.url).pathname;
  const { kind, problems, summary } = await validatePath(directory, {});
  deepEqual(problems, []);
  equal(kind, "model");
  equal(summary, "3 pools, 6 members, 3 services (and 2 zones)");
});

Deno.test("validatePath() tells a settings file by its keys, and secrets in it by their environment", async () => {
  const file = new URL("../fixtures/config/settings.yaml", import.meta.url).pathname;
  const fine = await validatePath(file, { ADMIN_TOKEN: "s3cret" });
  deepEqual(fine, {
    kind: "settings",
    problems: [],
    notes: [],
    summary: "0 pools, 0 members, 0 services (settings: 2 static endpoints, 2 zones)",
  });
  const { problems } = await validatePath(file, {});
  deepEqual(problems.map(({ line, message }) => [line, message.split(" ")[3]]), [[14, "ADMIN_TOKEN"]]);
});

Deno.test("validatePath() judges the file alone: a variable neither mends nor breaks it", async () => {
  const file = `${BROKEN}settings-open-api.yaml`;
  const { problems } = await validatePath(file, {
    PLEIADES_API_LISTEN_ADDR: "127.0.0.1",
    PLEIADES_DNS_PORT: "70000",
  });
  equal(problems.length, 1);
});

Deno.test("validatePath() says so when there is no such path", async () => {
  const { problems } = await validatePath("nowhere/at/all", {});
  match(problems[0]!.message, /^can't be read: there is no such file$/);
});
