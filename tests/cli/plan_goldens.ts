/**
 * Plans as the API gives them, and how they are printed: `tests/fixtures/plan/NAME.json` as `tests/golden/plan/NAME.txt`.
 *
 * @module
 */
import { isJsonObject, type JsonObject } from "../../src/cli/client.ts";
import { planOf } from "../../src/cli/plan_document.ts";
import { planText } from "../../src/cli/plan_view.ts";

const FIXTURES = new URL("../fixtures/plan/", import.meta.url).pathname;

/** Where the golden files are. */
export const GOLDEN: string = new URL("../golden/plan/", import.meta.url).pathname;

/** The plans, by name. */
export function planNames(): string[] {
  return [...Deno.readDirSync(FIXTURES)].map(({ name }) => name.replace(/\.json$/, "")).sort();
}

/** A plan as the API gives it. */
export function planFixture(name: string): JsonObject {
  const plan: unknown = JSON.parse(Deno.readTextFileSync(`${FIXTURES}${name}.json`));
  if (!isJsonObject(plan)) throw new Error(`${name}.json is no object`);
  return plan;
}

/** A plan as a terminal of 80 columns shows it; some names are known that aren't in it. */
export function planAsPrinted(name: string): string {
  const names = new Map([["1".repeat(32), "web"], ["2".repeat(32), "shop"], ["3".repeat(32), "old"]]);
  const next = {
    plain: "pleiades config apply repo/",
    forced: "pleiades config apply repo/ --force --reason TEXT",
  };
  return `${
    planText(planOf(planFixture(name)), next, { columns: 80, colour: false, names, whole: "-o json" })
  }\n`;
}
