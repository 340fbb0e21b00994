/**
 * What is loaded, by the module graph that Deno sees: a node loads nothing of the terminal UI, and its first screen nothing that
 * takes long.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import { deno } from "../../scripts/process.ts";

interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly isDynamic?: boolean;
    readonly code?: { readonly specifier: string };
  }[];
}

/** Modules by their specifiers. */
type Graph = ReadonlyMap<string, Module>;

async function graphOf(entry: string): Promise<Graph> {
  const { stdout } = await deno(["info", "--json", entry], { quiet: true });
  const { modules } = JSON.parse(stdout) as { readonly modules: readonly Module[] };
  return new Map(modules.map((module) => [module.specifier, module]));
}

/** What is loaded with modules of a graph, and with what they load later on if that is followed. */
function loadedWith(
  graph: Graph,
  { wanted, follows }: { readonly wanted: RegExp; readonly follows: (importer: string) => boolean },
): string[] {
  const queue = [...graph.keys()].filter((specifier) => wanted.test(specifier));
  const loaded = new Set<string>();
  while (queue.length > 0) {
    const specifier = queue.pop()!;
    if (loaded.has(specifier)) continue;
    loaded.add(specifier);
    for (const { isDynamic, code } of graph.get(specifier)?.dependencies ?? []) {
      if (code !== undefined && (!isDynamic || follows(specifier))) queue.push(code.specifier);
    }
  }
  return [...loaded];
}

const packages = (specifiers: readonly string[], names: string) =>
  specifiers.filter((each) => new RegExp(`(?:/|npm:/?)(?:${names})(?:@|$)`).test(each));

Deno.test("serve loads no module of the terminal UI, and nothing of Ink", async () => {
  const graph = await graphOf("main.ts");
  // What main.ts loads at once, the command line of `serve`, and whatever that may load when it runs; other commands are loaded
  // where all are listed.
  const loaded = loadedWith(graph, {
    wanted: /\/(?:main|src\/node\/serve_command|src\/node\/serve)\.ts$/,
    follows: (importer) => !/\/src\/cli\/commands\.ts$/.test(importer),
  });
  ok(loaded.length > 100, `only ${loaded.length} modules`);
  deepEqual(
    [...loaded.filter((each) => each.includes("/src/tui/")), ...packages(loaded, "ink|react|chalk")],
    [],
  );
  const first = loadedWith(graph, { wanted: /\/src\/tui\/tui\.ts$/, follows: () => false });
  ok(first.length > 10, "the graph doesn't know the terminal UI at all");
  deepEqual(packages(first, "ink|react|chalk|zod|yaml"), [], "the first screen waits for it");
});

Deno.test("the thread of the terminal UI's database has rows before it loads schemas and settings", async () => {
  const loaded = loadedWith(await graphOf("src/tui/worker.ts"), {
    wanted: /\/src\/tui\/worker\.ts$/,
    follows: () => false,
  });
  ok(loaded.some((each) => each.endsWith("/src/store/store.ts")), "the graph doesn't know the database");
  deepEqual(
    [...packages(loaded, "zod|yaml"), ...loaded.filter((each) => /\/src\/(?:change|settings)\//.test(each))],
    [],
  );
});
