/**
 * How the person who runs the demo can run another command of this program: what they paste must work where they
 * are.
 *
 * @module
 */
import { delimiter, relative, sep } from "node:path";

/** How this process was started. */
export interface Start {
  /** Whether this is the single executable. */
  readonly standalone: boolean;
  /** Path of the executable, or of `deno`. */
  readonly executable: string;
  /** Path of `main.ts`. */
  readonly main: string;
  /** The folder in which the person is. */
  readonly folder: string;
  /** Finds a program on the PATH. */
  readonly find: (program: string) => string | null;
  /** Version of Deno. */
  readonly deno: string;
}

/** The beginning of every other command line: `pleiades`, `./dist/pleiades`, `deno run -A main.ts`… */
export function invocation({ standalone, executable, main, folder, find, deno }: Start): string {
  if (standalone) return find("pleiades") === executable ? "pleiades" : shortPath(executable, folder);
  // The setting that deno.json has for unstable parts holds for main.ts wherever it is run from.
  const script = shortPath(main, folder).replace(/^\.[/\\]/, "");
  return `${find("deno") ? "deno" : `npx -y deno@${deno}`} run -A ${script}`;
}

/** This process. */
export function systemStart(): Start {
  return {
    standalone: Deno.build.standalone,
    executable: Deno.execPath(),
    main: Deno.mainModule.startsWith("file:") ? new URL(Deno.mainModule).pathname : "main.ts",
    // A task runs in the folder of deno.json and says in INIT_CWD where it was called.
    folder: Deno.env.get("INIT_CWD") || Deno.cwd(),
    find: findProgram,
    deno: Deno.version.deno,
  };
}

/** Finds an executable file on the PATH. */
export function findProgram(name: string): string | null {
  const suffix = Deno.build.os === "windows" ? ".exe" : "";
  // npx puts itself onto the PATH of what it runs, which is not the PATH that the person has.
  const folders = (Deno.env.get("PATH") ?? "").split(delimiter).filter((path) =>
    !path.includes("node_modules")
  );
  const paths = folders.map((path) => `${path}${sep}${name}${suffix}`);
  return paths.find(isFile) ?? null;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Relative where that is short and stays below; else as it is. */
function shortPath(path: string, folder: string): string {
  const short = relative(folder, path);
  return short.startsWith("..") ? path : `.${sep}${short}`;
}
