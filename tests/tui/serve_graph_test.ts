/**
 * What a node loads, by the module graph that Deno sees: nothing of the terminal UI.
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

Deno.test("serve loads no module of the terminal UI, and nothing of Ink", async () => {
  const { stdout } = await deno(["info", "--json", "main.ts"], { quiet: true });
  const { modules } = JSON.parse(stdout) as { readonly modules: readonly Module[] };
  const bySpecifier = new Map(modules.map((module) => [module.specifier, module]));
  const loaded = new Set<string>();
  // What main.ts loads at once, the command line of `serve`, and whatever that may load when it runs; other commands are loaded
  // where all are listed.
  const queue = modules.map(({ specifier }) => specifier)
    .filter((specifier) => /\/(?:main|src\/node\/serve_command|src\/node\/serve)\.ts$/.test(specifier));
  deepEqual(queue.length, 3);
  while (queue.length > 0) {
    const specifier = queue.pop()!;
    if (loaded.has(specifier)) continue;
    loaded.add(specifier);
    const isList = /\/src\/cli\/commands\.ts$/.test(specifier);
    for (const { isDynamic, code } of bySpecifier.get(specifier)?.dependencies ?? []) {
      if (code !== undefined && !(isDynamic && isList)) queue.push(code.specifier);
    }
  }
  ok(loaded.size > 100, `only ${loaded.size} modules`);
  deepEqual(
    [...loaded].filter((each) =>
      /\/src\/tui\/|\/(?:ink|react|chalk)(?:@|$)|npm:\/?(?:ink|react|chalk)/.test(each)
    ),
    [],
  );
  ok(
    bySpecifier.keys().some((each) => each.endsWith("/src/tui/tui.ts")),
    "the graph doesn't know the terminal UI at all",
  );
});
