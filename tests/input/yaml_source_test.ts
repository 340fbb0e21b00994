/** @module Text and its places: decoding, positions, and what can't be read. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { loadSettings } from "../../src/settings/settings.ts";
import { systemOutside } from "../../src/settings/outside.ts";
import { readTexts } from "../change/read_model.ts";
import { formatProblem, parseYaml, type Path, readYaml, sortProblems } from "../../src/input/yaml_source.ts";
import { runs } from "../property_runs.ts";

const TEXT = `# comment
a: 1
b:
  - { c: [x, y], "d e": 2 }
  - &anchor
    f: |
      one
      two
g: *anchor
h:
`;

const PLACES: readonly (readonly [path: Path, at: "key" | "value", line: number, column: number])[] = [
  [[], "value", 2, 1],
  [["a"], "value", 2, 4],
  [["a"], "key", 2, 1],
  [["b", 0], "value", 4, 5],
  [["b", 0, "c", 1], "value", 4, 14],
  [["b", 0, "d e"], "key", 4, 18],
  [["b", 1, "f"], "value", 6, 8],
  [["g", "f"], "key", 6, 5],
  [["h"], "value", 10, 3],
  [["b", 0, "missing"], "value", 4, 5],
  [["b", 9, "missing"], "value", 4, 3],
  [["nowhere", "at", "all"], "value", 2, 1],
];

for (const [path, at, line, column] of PLACES) {
  Deno.test(`the ${at} at /${path.join("/")} is at ${line}:${column}`, () => {
    deepEqual(parseYaml("f", TEXT).source!.locate(path, at), { line, column });
  });
}

Deno.test("a place within a block is a place of the file, one within other text isn't", () => {
  const source = parseYaml("f", TEXT).source!;
  deepEqual(source.locateInText(["b", 1, "f"], { line: 2, column: 3 }), { line: 8, column: 9 });
  equal(source.locateInText(["a"], { line: 1, column: 1 }), null);
});

const UNREADABLE: readonly (readonly [name: string, bytes: number[], problem: RegExp])[] = [
  ["nothing", [], /^f:1:1: the file is empty/],
  ["white space", [0x20, 0x0a, 0x09], /^f:1:1: the file is empty/],
  ["a NUL", [0x61, 0x0a, 0x62, 0x00], /^f:2:2: byte 0x00/],
  ["an escape", [0x1b], /^f:1:1: byte 0x1b/],
  ["half a character", [0x61, 0xc3], /^f:1:2: the file is not UTF-8/],
  ["an overlong character", [0x61, 0x0a, 0xc3, 0xa9, 0xc0, 0xaf], /^f:2:2: the file is not UTF-8/],
  ["UTF-16, big end first", [0xfe, 0xff, 0x00, 0x61], /^f:1:1: the file is UTF-16/],
];

for (const [name, bytes, problem] of UNREADABLE) {
  Deno.test(`${name} can't be read, and it says where`, () => {
    const { source, problems } = readYaml("f", new Uint8Array(bytes));
    equal(source, null);
    match(formatProblem(problems[0]!), problem);
  });
}

Deno.test("a byte-order mark is no part of the text and shifts no column", () => {
  const { source } = readYaml("f", new TextEncoder().encode("\ufeffa: 1"));
  deepEqual(source?.locate(["a"]), { line: 1, column: 4 });
});

Deno.test("CRLF files have the same lines and columns", () => {
  const { source } = parseYaml("f", TEXT.replaceAll("\n", "\r\n"));
  deepEqual(source!.locate(["b", 0, "c", 1]), { line: 4, column: 14 });
  deepEqual(source!.locateInText(["b", 1, "f"], { line: 2, column: 1 }), { line: 8, column: 7 });
});

const MANY = 20_000;
const listOf = (count: number, line: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => line(i)).join("");
const TOO_MUCH: readonly (readonly [name: string, text: string, problem: string])[] = [
  [
    "anchors",
    `pools:\n${listOf(MANY, (i) => `  - &a${i} { name: p${i} }\n`)}`,
    "f:1002:5: more than 1000 anchors (&) and aliases (*) are in the file (write the values out, or write bulk data as NDJSON)",
  ],
  [
    "aliases",
    `a: &a 1\nb:\n${listOf(MANY, () => "  - *a\n")}`,
    "f:1002:5: more than 1000 anchors (&) and aliases (*) are in the file (write the values out, or write bulk data as NDJSON)",
  ],
  [
    "values behind aliases",
    `a: &a [${listOf(1000, (i) => `${i}, `)}]\nb:\n${listOf(200, () => "  - *a\n")}`,
    "f:102:5: aliases repeat more than 100000 values (write the values out)",
  ],
  [
    "a value within itself",
    "a: &a\n  - *a\n",
    "f:2:5: this alias is inside of what it names (write the value out)",
  ],
  [
    "an alias of nothing",
    "a: *b\nb: &b 1\n",
    'f:1:4: this alias names no anchor (define it above with "&", or quote the value)',
  ],
];
for (const [name, text, problem] of TOO_MUCH) {
  Deno.test(`${name} end the reading where there are too many`, () => {
    const { source, problems } = parseYaml("f", text);
    deepEqual([source, problems.map(formatProblem)], [null, [problem]]);
  });
}

Deno.test("what looks like an anchor in a text is none, and a thousand are enough", () => {
  const text = `a: |\n${listOf(2000, () => "  *x &y\n")}b: "&c *d"\nd: &d [1, 2]\ne:\n${
    listOf(900, () => "  - *d\n")
  }`;
  const { source, problems } = parseYaml("f", text);
  deepEqual(problems, []);
  deepEqual((source!.value as { e: unknown[] }).e.at(-1), [1, 2]);
});

Deno.test("keys that are given twice are each found, among very many", () => {
  const { problems } = parseYaml("f", `${listOf(5000, (i) => `k${i}: 1\n`)}k7: 2\n"k8": 3\n`);
  deepEqual(problems.map(formatProblem), [
    "f:5001:1: this key is given twice in the same mapping (delete one of them)",
    "f:5002:1: this key is given twice in the same mapping (delete one of them)",
  ]);
});

Deno.test("of very many unknown keys the first hundred are named, the others counted", () => {
  const keys = listOf(5000, (i) => `    key${i}: 1\n`);
  const { problems } = readTexts({ f: `pools:\n  - name: web\n${keys}` });
  equal(problems.length, 101);
  ok(
    problems.some(({ message }) =>
      message === "4900 further problems in here aren't shown (fix the others first)"
    ),
  );
  ok(problems.some(({ message }) => message.startsWith('Unknown key "key0" (')));
});

Deno.test("of very many wrong items of a list a thousand are said, and no more are looked for", () => {
  const { problems } = readTexts({ f: `pools:\n${listOf(5000, () => "  - 1\n")}` });
  equal(problems.length, 1001);
  equal(problems.at(-1)!.message, "no more than 1000 problems are shown (fix these first)");
});

Deno.test("problems are sorted by file, line and column, and each is there once", () => {
  const problem = (file: string, line: number, column: number) => ({ file, line, column, message: "m" });
  const sorted = sortProblems([
    problem("b", 1, 1),
    problem("a", 10, 1),
    problem("a", 9, 2),
    problem("a", 9, 1),
    problem("b", 1, 1),
  ]);
  deepEqual(sorted.map(formatProblem), ["a:9:1: m", "a:9:2: m", "a:10:1: m", "b:1:1: m"]);
});

Deno.test("whatever bytes a file has, reading it ends in a value or in problems with places", () => {
  const seeds = [
    ...["model/pools.yaml", "model/services/all.yml", "settings.yaml", "broken/zone-inline.yaml"].map((
      path,
    ) => Deno.readFileSync(new URL(`../fixtures/config/${path}`, import.meta.url))),
  ];
  const mutation = fc.tuple(
    fc.nat(3),
    fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom("set", "insert", "cut")), { maxLength: 8 }),
  );
  fc.assert(
    fc.property(mutation, ([seed, steps]) => {
      let bytes = [...seeds[seed]!];
      for (const [offset, byte, how] of steps) {
        const at = offset % (bytes.length + 1);
        if (how === "set") bytes[at] = byte;
        else if (how === "insert") bytes.splice(at, 0, byte);
        else bytes = [...bytes.slice(0, at), ...bytes.slice(at + byte)];
      }
      const reading = readTexts({ f: new Uint8Array(bytes) });
      const outside = { ...systemOutside, readFile: () => new Uint8Array(bytes) };
      const loaded = loadSettings({ file: "f", env: {}, outside });
      ok((reading.model === null) === (reading.problems.length > 0));
      ok((loaded.settings === null) === (loaded.problems.length > 0));
      for (const { line, column } of reading.problems) ok(line >= 1 && column >= 1);
    }),
    { numRuns: runs(75) },
  );
});
