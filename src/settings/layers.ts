/**
 * The layers that settings are put together from: file, environment, flags. Each value keeps where it came from,
 * so that a problem names the variable or the flag that is wrong, not a file that isn't.
 *
 * @module
 */
import type { z } from "zod";
import { isMapping } from "../input/spelling.ts";
import { type FileProblem, type Path, schemaProblems, type Source } from "../input/yaml_source.ts";

/** Raw values on their way to the schema. */
export class Layers {
  /** Nested mappings, as a file would have them; changed by `set`. */
  readonly values: Record<string, unknown>;
  readonly #source: Source;
  readonly #origins = new Map<string, string>();

  /**
   * Begins with the values of a file, which are changed.
   *
   * @param source the file that they came from
   */
  constructor(values: Record<string, unknown>, source: Source) {
    this.values = values;
    this.#source = source;
  }

  /** Puts a value over whatever was there; `origin` is the name of the variable or flag. */
  set(
    path: readonly string[],
    { value, origin }: { readonly value: unknown; readonly origin: string },
  ): void {
    let at = this.values;
    for (const step of path.slice(0, -1)) {
      const next = Object.hasOwn(at, step) ? at[step] : undefined;
      const inner = isMapping(next) ? next : {};
      at[step] = inner;
      at = inner;
    }
    at[path.at(-1)!] = value;
    this.#origins.set(path.join("."), origin);
  }

  /** Takes the value at the path out; of a list, the whole, so that no index shifts. */
  remove(path: Path): void {
    const index = path.findIndex((step) => typeof step === "number");
    const keys = (index < 0 ? path : path.slice(0, index)).map(String);
    let at: unknown = this.values;
    for (const step of keys.slice(0, -1)) at = isMapping(at) ? at[step] : undefined;
    const last = keys.at(-1);
    if (isMapping(at) && last !== undefined) delete at[last];
  }

  /** A problem with the value at the path, placed where the value came from. */
  problem(path: Path, message: string): FileProblem {
    const origin = this.#originOf(path);
    if (origin !== null) return { file: origin, line: 0, column: 0, message };
    return { file: this.#source.file, ...this.#source.locate(path), message };
  }

  /** What a schema found in the values. */
  problems(error: z.ZodError): FileProblem[] {
    return error.issues.flatMap((issue) =>
      this.#originOf(issue.path) === null
        ? schemaProblems(this.#source, { issues: [issue] })
        : [this.problem(issue.path, issue.message)]
    );
  }

  /** Whether the value came from the file, whose folder its relative paths start at. */
  isFromFile(path: Path): boolean {
    return this.#originOf(path) === null;
  }

  #originOf(path: Path): string | null {
    for (let length = path.length; length > 0; length--) {
      const origin = this.#origins.get(path.slice(0, length).join("."));
      if (origin !== undefined) return origin;
    }
    return null;
  }
}
