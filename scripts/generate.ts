/**
 * `deno task generate [--check]`: writes the pages that are made from code, so that they can't fall behind it. With
 * `--check` it writes nothing and names those that have; a test does the same.
 *
 * @module
 */
import { openApiDocument } from "../src/api/openapi.ts";
import { apiReference } from "../src/api/reference.ts";
import { modelReference, settingsReference, startFile } from "../src/settings/reference.ts";
import { VERSION } from "../src/version.ts";
import { ROOT } from "./process.ts";

/** Every generated file: path in the repository → text. */
function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ["docs/API.md", apiReference(openApiDocument({ version: VERSION, secured: true }))],
    ["docs/configuration.md", `${settingsReference()}\n${modelReference()}`],
    ["config.example.yaml", startFile({ rare: true })],
  ]);
}

/** Paths of the generated files whose text isn't what the code makes today. */
export function staleFiles(): string[] {
  return [...generatedFiles()].filter(([path, text]) => readOrEmpty(path) !== text).map(([path]) => path);
}

function readOrEmpty(path: string): string {
  try {
    return Deno.readTextFileSync(`${ROOT}/${path}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

if (import.meta.main) {
  const stale = staleFiles();
  if (Deno.args.includes("--check")) {
    for (const path of stale) {
      console.error(`${path} isn't what the code makes today: run deno task generate`);
    }
    Deno.exit(stale.length === 0 ? 0 : 1);
  }
  for (const path of stale) {
    Deno.writeTextFileSync(`${ROOT}/${path}`, generatedFiles().get(path)!);
    console.log(path);
  }
}
