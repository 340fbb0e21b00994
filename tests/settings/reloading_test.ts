/**
 * Every key of the settings has its answer to a reload.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { FOR_THE_NEXT_START, needingRestart, TAKEN_OVER } from "../../src/settings/reloading.ts";
import { loadSettings, type Settings } from "../../src/settings/settings.ts";

const { settings } = loadSettings({ file: null, env: {} });

/** The paths of two levels: no section is split further. */
function keysOf(value: Settings): string[] {
  return Object.entries(value).flatMap(([section, part]) =>
    part !== null && typeof part === "object" && !Array.isArray(part)
      ? Object.keys(part).map((key) => `${section}.${key}`)
      : [section]
  );
}

function covers(prefixes: readonly string[], key: string): boolean {
  return prefixes.some((prefix) => key === prefix || key.startsWith(`${prefix}.`));
}

Deno.test("each key is taken over by a reload, or waits for the next start: one of the two", () => {
  const unsure = keysOf(settings!).filter((key) =>
    covers(TAKEN_OVER, key) === covers(FOR_THE_NEXT_START, key)
  );
  deepEqual(unsure, []);
});

Deno.test("a key that waits for the next start is named when it is another, and no other key is", () => {
  for (const key of keysOf(settings!)) {
    const [section, name] = key.split(".");
    const before = Object.entries(settings!).find(([part]) => part === section)![1];
    const after = name === undefined ? "another" : { ...before, [name]: "another" };
    const named = needingRestart(settings!, { ...settings!, [section!]: after });
    deepEqual(named, FOR_THE_NEXT_START.filter((known) => covers([known], key)), key);
  }
});

Deno.test("the page for operators names the keys of both kinds", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/operations.md", import.meta.url));
  const [, atOnce, later] = /^\| (`dns\.domain`.*?) \| (`cluster`.*?) \|$/m.exec(page)!;
  const keys = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, key]) => key!).sort();
  const shown = (list: readonly string[]) => list.filter((key) => key !== "dns.listen").sort();
  // In the file, the fallback is written as loadbalancer with health.
  deepEqual(keys(atOnce!), shown(TAKEN_OVER.map((key) => key === "fallback" ? "loadbalancer" : key)));
  deepEqual(keys(later!), shown(FOR_THE_NEXT_START));
});
