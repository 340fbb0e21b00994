/** @module Models on disk and in streams: what is read, what is left alone. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { OfflineModel } from "../../src/change/offline_model.ts";
import type { Model } from "../../src/model/model.ts";
import { formatOf } from "../../src/model/model_files.ts";
import { LineSplitter } from "../../src/model/model_line.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";

const ZONE = "@ SOA ns1 h 1 1h 10m 1w 1m\n@ NS ns1\n";

/** Makes files in a new folder, hands it over, and deletes it. */
async function inFolder(
  files: Readonly<Record<string, string>>,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-model-" });
  try {
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(`${folder}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.writeTextFile(`${folder}/${path}`, text);
    }
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function problemsOf(path: string, root = path): Promise<string[]> {
  using read = await OfflineModel.read(path);
  return read.problems.map((problem) => formatProblem(problem).replaceAll(`${root}/`, ""));
}

async function modelOf(path: string): Promise<Model> {
  using read = await OfflineModel.read(path);
  deepEqual(read.problems.map(formatProblem), []);
  return read.model();
}

const pool = (name: string) => `pools: [{ name: ${name} }]\n`;

Deno.test("a model directory is every YAML and NDJSON file below it, hidden ones left out", async () => {
  await inFolder({
    "a.yaml": pool("a"),
    "deep/er/b.yml": pool("b"),
    "c.ndjson": '{"pool": {"name": "c"}}\n',
    "notes.txt": "pools: [{ name: a }]",
    ".git/d.yaml": pool("a"),
    ".hidden.yaml": pool("a"),
  }, async (folder) => {
    deepEqual((await modelOf(folder)).pools.map(({ name }) => name), ["a", "b", "c"]);
  });
});

Deno.test("a mounted ConfigMap, where files are links into a hidden folder, is read once", async () => {
  await inFolder({ "..2026/a.yaml": pool("a") }, async (folder) => {
    await Deno.symlink("..2026", `${folder}/..data`);
    await Deno.symlink("..data/a.yaml", `${folder}/a.yaml`);
    deepEqual((await modelOf(folder)).pools.length, 1);
  });
});

Deno.test({
  name: "pipes and devices among the files of a model are refused, not waited for",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inFolder({
      "a.yaml": pool("a"),
      "z.yaml": "zones: [{ domain: example.org, file: pipe.zone }]\n",
    }, async (folder) => {
      const names = ["b.yaml", "c.ndjson", "pipe.zone"];
      const { success } = await new Deno.Command("mkfifo", { args: names.map((name) => `${folder}/${name}`) })
        .output();
      ok(success);
      deepEqual(await problemsOf(folder), [
        "b.yaml: can't be read: it is no regular file (a pipe or a device has no end)",
        "c.ndjson: can't be read: it is no regular file (a pipe or a device has no end)",
        "z.yaml:1:38: zone file pipe.zone can't be read: it is no regular file (a pipe or a device has no end)",
      ]);
      await rejects(formatOf("/dev/zero"), /no regular file/);
    }),
});

Deno.test("a link to a folder above ends, and one to a folder outside isn't followed", async () => {
  await inFolder({ "model/a.yaml": pool("a"), "outside/b.yaml": pool("b") }, async (folder) => {
    await Deno.symlink("..", `${folder}/model/up`);
    await Deno.symlink(".", `${folder}/model/self`);
    await Deno.symlink("../outside", `${folder}/model/out`);
    deepEqual((await modelOf(`${folder}/model`)).pools.map(({ name }) => name), ["a"]);
  });
});

Deno.test("a linked model file that lies outside is refused", async () => {
  await inFolder({ "model/a.yaml": pool("a"), "secret.yaml": "password: hunter2\n" }, async (folder) => {
    await Deno.symlink("../secret.yaml", `${folder}/model/b.yaml`);
    deepEqual(await problemsOf(`${folder}/model`), [
      "b.yaml: is a link that leads out of the directory (copy the file)",
    ]);
  });
});

Deno.test("zone files are found relative to the file that names them", async () => {
  await inFolder({
    "sites/fra/model.yaml": "zones: [{ domain: example.com, file: ../zones/example.com }]",
    "sites/zones/example.com": ZONE,
  }, async (folder) => {
    equal((await modelOf(folder)).zones[0]?.text, ZONE);
  });
});

Deno.test("no zone file is read outside of the directory: by .., by an absolute path or by a link", async () => {
  await inFolder({
    "model/a.yaml": `zones:
  - { domain: a.example, file: ../outside.zone }
  - { domain: b.example, file: link.zone }
  - { domain: c.example, file: /etc/hostname }
  - { domain: d.example, file: ../model/../outside.zone }
`,
    "outside.zone": ZONE,
  }, async (folder) => {
    await Deno.symlink("../outside.zone", `${folder}/model/link.zone`);
    const problems = await problemsOf(`${folder}/model`);
    equal(problems.length, 4);
    for (const problem of problems) match(problem, /is outside of|doesn't exist/);
  });
});

Deno.test("nobody learns whether a file outside of the directory exists", async () => {
  const files = { "model/a.yaml": "zones: [{ domain: a.example, file: ../nothing.zone }]" };
  await inFolder(files, async (folder) => {
    match((await problemsOf(`${folder}/model`))[0]!, /zone file ..\/nothing.zone is outside of/);
  });
});

Deno.test("the folder of a single file is what its zone files may lie in", async () => {
  await inFolder({ "a.yaml": "zones: [{ domain: a.example, file: z }]", "z": ZONE }, async (folder) => {
    equal((await modelOf(`${folder}/a.yaml`)).zones.length, 1);
  });
});

Deno.test("a dangling link and a binary zone file are problems at their places", async () => {
  await inFolder({ "a.yaml": "zones: [{ domain: a.example, file: z }]", "z": "\0" }, async (folder) => {
    await Deno.symlink("nowhere", `${folder}/b.yaml`);
    const problems = await problemsOf(folder);
    match(problems[0]!, /^a.yaml:1:36: zone file z: byte 0x00/);
    match(problems[1]!, /^b.yaml: can't be read: /);
  });
});

Deno.test("a model directory that isn't there is an error, not a problem", async () => {
  await rejects(OfflineModel.read("/nowhere/at/all"), Deno.errors.NotFound);
});

Deno.test("formatOf() knows NDJSON by its name or by its first bytes", async () => {
  const files = {
    "a.ndjson": "",
    "b.jsonl": "",
    "c": ' {"service": {"domain": "a.example"}}\n',
    "d": '{"pools": []}',
    "e": "",
  };
  await inFolder(files, async (folder) => {
    const formats = await Promise.all(Object.keys(files).map((name) => formatOf(`${folder}/${name}`)));
    deepEqual(formats, ["ndjson", "ndjson", "ndjson", "yaml", "yaml"]);
  });
});

/** The texts of the lines, or why there are none. */
function linesOf(chunks: Iterable<Uint8Array>): string[] {
  const found: string[] = [];
  const lines = new LineSplitter({
    file: "body",
    take: ({ line, text }) => found.push(`${line} ${text}`),
    refuse: (problem) => found.push(formatProblem(problem)),
  });
  for (const chunk of chunks) {
    lines.write(chunk);
    if (lines.stopped) return found;
  }
  lines.end();
  return found;
}

Deno.test("lines are joined that chunks cut anywhere, even within a character", () => {
  const bytes = new TextEncoder().encode('{"pool": {}}\n{"é": 1}\r\n\n{"pool": {"name": "é"}}');
  for (const size of [1, 2, 3, 7, 1000]) {
    const count = Math.ceil(bytes.length / size);
    const chunks = Array.from({ length: count }, (_, i) => bytes.slice(i * size, (i + 1) * size));
    deepEqual(
      linesOf(chunks),
      ['1 {"pool": {}}', '2 {"é": 1}\r', "3 ", '4 {"pool": {"name": "é"}}'],
      `${size}`,
    );
  }
});

Deno.test("a line without end is given up, and no line at all is a problem", () => {
  const endless = (function* () {
    for (;;) yield new Uint8Array(1 << 20).fill(0x20);
  })();
  match(linesOf(endless)[0]!, /^body:1:1: the line has more than/);
  match(linesOf([])[0]!, /^body:1:1: the file is empty/);
});

Deno.test("bytes at hand are read as YAML, JSON or lines, without zone files", async () => {
  const read = async (text: string, format: "yaml" | "ndjson" = "yaml") => {
    using model = await OfflineModel.readBytes({ file: "-", bytes: new TextEncoder().encode(text), format });
    return model.counts?.pools ?? model.problems.map(formatProblem).join("\n");
  };
  equal(await read(pool("a")), 1);
  equal(await read('{"pools": [{"name": "a"}]}'), 1);
  equal(await read('{"pool": {"name": "a"}}', "ndjson"), 1);
  match(`${await read("zones: [{ domain: a.example, file: /etc/passwd }]")}`, /can't be read from here/);
  match(`${await read("")}`, /^-:1:1: the file is empty/);
});
