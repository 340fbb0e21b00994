/** @module How plans are printed: the golden files, and what they can't show. */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import type { JsonObject } from "../../src/cli/client.ts";
import { countsOf, differenceOf, planOf } from "../../src/cli/plan_document.ts";
import { countsText, planText, removals, removalText } from "../../src/cli/plan_view.ts";
import { GOLDEN, planAsPrinted, planFixture, planNames } from "./plan_goldens.ts";

const NAMES = planNames();
const LAYOUT = { columns: 80, colour: false, names: new Map<string, string>(), whole: "-o json" };
const NEXT = { plain: "pleiades apply", forced: "pleiades apply --force" };

Deno.test("no plan is without its golden file, and the other way round", () => {
  deepEqual([...Deno.readDirSync(GOLDEN)].map(({ name }) => name.replace(".txt", "")).sort(), NAMES);
});

for (const name of NAMES) {
  Deno.test(`the plan ${name}.json is printed as ${name}.txt`, () => {
    equal(planAsPrinted(name), Deno.readTextFileSync(`${GOLDEN}${name}.txt`));
  });

  Deno.test(`the plan ${name}.json fits the terminal, but for words that are longer than half of it`, () => {
    const long = planAsPrinted(name).split("\n").filter((line) => line.length > 80);
    deepEqual(long.filter((line) => !line.split(" ").some(({ length }) => length > 40)), []);
  });

  Deno.test(`no control character of the plan ${name}.json gets to the terminal`, () => {
    ok(!/[^\P{Cc}\n]/u.test(planAsPrinted(name)));
  });
}

Deno.test("colour is added to signs, and nothing is said by it alone", () => {
  const plan = planOf(planFixture("mixed"));
  const coloured = planText(plan, NEXT, { ...LAYOUT, colour: true });
  const lines = coloured.split("\n");
  const painted = (sign: string, code: number) => `  \x1b[${code}m${sign}\x1b[0m`;
  ok(lines.includes(`${painted("-", 31)} pool      old`));
  ok(lines.includes(`${painted("+", 32)} pool      shop`));
  ok(lines.some((line) => line.startsWith(`${painted("~", 33)} zone `)));
  const codes = [31, 32, 33, 0].map((code) => `\x1b[${code}m`);
  equal(codes.reduce((text, code) => text.replaceAll(code, ""), coloured), planText(plan, NEXT, LAYOUT));
});

Deno.test("what goes is listed alone, with how many more there are", () => {
  const { objects, ...rest } = planOf(planFixture("long"));
  equal(removals(objects), 5);
  const more = { ...rest, objects: { ...objects, service: { created: 0, changed: 12_000, deleted: 30 } } };
  const lines = removalText(more, LAYOUT).split("\n");
  deepEqual([lines.length, lines[4], lines[5]], [
    6,
    "  - member   web/192.0.2.10:443",
    "  and 26 more (-o json shows all it has)",
  ]);
});

Deno.test("what an apply has done has a line for each thing that happened", () => {
  const { objects } = planOf(planFixture("mixed"));
  equal(
    countsText(objects, LAYOUT),
    "removed: 1 pool, 2 members\n" +
      "changed: 1 pool, 1 member, 1 geo rule, 1 service, 1 zone, 1 fallback\n" +
      "added: 1 pool, 1 member, 1 service",
  );
  equal(countsText({}, LAYOUT), "");
});

Deno.test("a share that is neither nothing nor all never looks so", () => {
  const text = planAsPrinted("mixed");
  match(text, /192\.0\.2\.10 < 0\.1 %, 192\.0\.2\.20 > 99\.9 %/);
});

const NO_PLANS: readonly (JsonObject | null)[] = [
  null,
  { id: "1", name: "web" },
  { ...planFixture("nothing"), changes: 3 },
  { ...planFixture("nothing"), changes: [3] },
  { ...planFixture("nothing"), changes: [{ kind: "pool", id: "1", before: null, after: {} }] },
  { ...planFixture("nothing"), objects: { pool: { created: "1" } } },
  { ...planFixture("nothing"), answers: {} },
  { ...planFixture("nothing"), refusals: null },
];

for (const [i, answer] of NO_PLANS.entries()) {
  Deno.test(`what is no plan is called so, not printed as one (${i})`, () => {
    throws(() => planOf(answer), /The node sent no plan \(is it of an older version\?/);
  });
}

Deno.test("what is no difference is called so, and counts that aren't there are none", () => {
  throws(() => differenceOf({ changes: [] }), /no difference of generations/);
  deepEqual(countsOf({ generation: 3 }), {});
});
