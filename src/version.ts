/**
 * What this program is called and which version it is; `deno.json` is the one place where the number stands.
 *
 * @module
 */
import manifest from "../deno.json" with { type: "json" };

/** The version, such as `0.1.0` (semver 2.0.0). */
export const VERSION: string = manifest.version;

/** What `pleiades version` tells about the executable. */
export interface BuildInfo {
  /** `VERSION`. */
  readonly version: string;
  /** Rust-style target triple of the machine that this executable is for. */
  readonly target: string;
  /** Version of the Deno runtime inside. */
  readonly deno: string;
  /** Whether this is the single executable, or the sources run by `deno`. */
  readonly standalone: boolean;
}

/** The version and what it runs on. */
export function buildInfo(): BuildInfo {
  return {
    version: VERSION,
    target: Deno.build.target,
    deno: Deno.version.deno,
    standalone: Deno.build.standalone,
  };
}
