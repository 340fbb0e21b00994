/**
 * `pleiades version`.
 *
 * @module
 */
import { buildInfo } from "../version.ts";
import type { ExitCode } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Prints the version as a line or as JSON. */
export function version({ output }: { readonly output: "text" | "json" }, terminal: Terminal): ExitCode {
  const info = buildInfo();
  terminal.out(
    output === "json"
      ? JSON.stringify(info)
      : `pleiades ${info.version} (${info.target}, deno ${info.deno}${
        info.standalone ? "" : ", from sources"
      })`,
  );
  return 0;
}
