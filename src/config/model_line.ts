/**
 * NDJSON of a model: bytes to lines, and a line to the object it holds.
 *
 * Each line is judged on its own, and forgotten: a model of a million services passes through a buffer of one line.
 * What needs the other lines is the business of whoever collects them (`cluster_yaml.ts` in memory, `change/` in
 * the database).
 *
 * @module
 */
import type { z } from "zod";
import {
  type PoolFile,
  poolFileSchema,
  type ServiceFile,
  serviceFileSchema,
  type ZoneFile,
  zoneFileSchema,
} from "./model_schema.ts";
import { dropNulls, isMapping } from "./spelling.ts";
import { unknownKeyMessage } from "./strict_object.ts";
import {
  decodeText,
  type FileProblem,
  parseYaml,
  type Path,
  type Position,
  schemaProblems,
  type Source,
} from "./yaml_source.ts";

/** The keys that the object of a line may have. */
const LINE_KEYS = ["pool", "service", "zone", "loadbalancer", "health"] as const;

/** Longest line of NDJSON: a zone of some 20,000 records. */
const NDJSON_LINE_SIZE_MAX = 8 * 1024 * 1024;

/** Where a line stands, and what it says. */
export interface ModelLine {
  /** The name that problems carry. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** Without its line feed. */
  readonly text: string;
}

/** What a line holds; the blocks of the fallback belong together and are judged when both are known. */
export type LineObject =
  | { readonly kind: "pool"; readonly value: PoolFile }
  | { readonly kind: "service"; readonly value: ServiceFile }
  | { readonly kind: "zone"; readonly value: ZoneFile }
  | { readonly kind: "loadbalancer" | "health"; readonly value: unknown }
  | { readonly kind: "blank" };

/** An object that is fine in itself, or what is wrong with it. */
export type LineReading =
  | { readonly object: LineObject; readonly source: LineSource }
  | {
    readonly object: null;
    readonly problems: readonly FileProblem[];
    /** The name that a broken pool lends to those who refer to it. */
    readonly poolName: string | null;
  };

/** Reads a line. */
export function readLine(line: ModelLine): LineReading {
  const source = new LineSource(line);
  if (line.text.trim() === "") return { object: { kind: "blank" }, source };
  const parsed = parseJson(line.text);
  if ("problem" in parsed) return broken([{ ...source.at(parsed.column), message: parsed.problem }]);
  const entries = isMapping(parsed.value) ? Object.entries(parsed.value) : [];
  const [key, value] = entries[0] ?? [];
  if (entries.length !== 1 || key === undefined) {
    const message = `a line is an object with one key such as {"pool": …}, {"service": …} or {"zone": …}`;
    return broken([{ ...source.at(1), message }]);
  }
  switch (key) {
    case "pool": {
      const pool = parseObject(poolFileSchema, { value, source, path: [key] });
      return Array.isArray(pool)
        ? broken(pool, textAt(value, "name"))
        : { object: { kind: key, value: pool }, source };
    }
    case "service": {
      const service = parseObject(serviceFileSchema, { value, source, path: [key] });
      return Array.isArray(service) ? broken(service) : { object: { kind: key, value: service }, source };
    }
    case "zone": {
      const zone = parseObject(zoneFileSchema, { value, source, path: [key] });
      return Array.isArray(zone) ? broken(zone) : { object: { kind: key, value: zone }, source };
    }
    case "loadbalancer":
    case "health":
      return { object: { kind: key, value }, source };
    default: {
      const message = unknownKeyMessage(key, { known: LINE_KEYS });
      return broken([{ file: line.file, ...source.locate([key], "key"), message }]);
    }
  }
}

/** Checks a plain value, which loses its nulls; gives what the schema makes of it, or every problem with its place. */
export function parseObject<Value extends object>(
  schema: z.ZodType<Value>,
  { value, source, path }: { readonly value: unknown; readonly source: Source; readonly path: Path },
): Value | FileProblem[] {
  dropNulls(value);
  const result = schema.safeParse(value);
  return result.success ? result.data : schemaProblems(source, { issues: result.error.issues, path });
}

/** The text of a key, where a value that may be anything has it. */
export function textAt(value: unknown, key: string): string | null {
  const text = isMapping(value) ? value[key] : null;
  return typeof text === "string" ? text : null;
}

/** A line of NDJSON; its text is kept only while it is checked, since a million of them may be read. */
export class LineSource implements Source {
  /** As problems name it. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  #text: string | null;

  /** The source of one line. */
  constructor({ file, line, text }: ModelLine) {
    this.file = file;
    this.line = line;
    this.#text = text;
  }

  /** From now on only the line is known. */
  forgetText(): void {
    this.#text = null;
  }

  /** A place in the line, as problems have it. */
  at(column: number): { readonly file: string; readonly line: number; readonly column: number } {
    return { file: this.file, line: this.line, column };
  }

  /** See `Source`. */
  locate(path: Path, at?: "key" | "value"): Position {
    // JSON is YAML but for a few escapes; where it isn't, the line alone has to do.
    const column = this.#text === null ? 1 : parseYaml(this.file, this.#text).source?.locate(path, at).column;
    return { line: this.line, column: column ?? 1 };
  }
}

/** Cuts bytes into lines, however they come. */
export class LineSplitter {
  readonly #file: string;
  readonly #take: (line: ModelLine) => void;
  readonly #refuse: (problem: FileProblem) => void;
  #line = 0;
  #parts: Uint8Array[] = [];
  #size = 0;
  #stopped = false;

  /** Hands each line to `take`; stops with a problem at text that is none, or at a line without end. */
  constructor(options: {
    readonly file: string;
    readonly take: (line: ModelLine) => void;
    readonly refuse: (problem: FileProblem) => void;
  }) {
    this.#file = options.file;
    this.#take = options.take;
    this.#refuse = options.refuse;
  }

  /** Whether what comes isn't looked at any more. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Takes the next bytes; they may be used again when this returns. */
  write(chunk: Uint8Array): void {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      if (this.#stopped) return;
      this.#finishLine(chunk.subarray(start, end));
      start = end + 1;
    }
    if (this.#stopped || start === chunk.length) return;
    const rest = chunk.slice(start);
    this.#parts.push(rest);
    this.#size += rest.length;
    if (this.#size <= NDJSON_LINE_SIZE_MAX) return;
    const message = `the line has more than ${NDJSON_LINE_SIZE_MAX} bytes (write one object a line)`;
    this.#stop({ file: this.#file, line: this.#line + 1, column: 1, message });
  }

  /** Says that there are no more bytes. */
  end(): void {
    if (this.#stopped) return;
    if (this.#size > 0) this.#finishLine(new Uint8Array(0));
    if (this.#line > 0) return;
    this.#stop({
      file: this.#file,
      line: 1,
      column: 1,
      message: "the file is empty (write one object a line)",
    });
  }

  #finishLine(last: Uint8Array): void {
    const line = ++this.#line;
    const bytes = this.#parts.length === 0 ? last : concat([...this.#parts, last]);
    this.#parts = [];
    this.#size = 0;
    const decoded = decodeText(this.#file, bytes);
    if ("text" in decoded) this.#take({ file: this.#file, line, text: decoded.text });
    else this.#stop({ ...decoded.problem, line, column: decoded.problem.column || 1 });
  }

  #stop(problem: FileProblem): void {
    this.#stopped = true;
    this.#refuse(problem);
  }
}

const LINE_FEED = 0x0a;

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function broken(problems: readonly FileProblem[], poolName: string | null = null): LineReading {
  return { object: null, problems, poolName };
}

function parseJson(
  text: string,
): { readonly value: unknown } | { readonly problem: string; readonly column: number } {
  try {
    return { value: JSON.parse(text) };
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    const offset = Number(/at position (\d+)/.exec(cause.message)?.[1] ?? text.length);
    const reason = cause.message.replace(/,? (?:in JSON|\(line).*$/, "");
    return {
      problem: `not a JSON object: ${reason} (one object a line, quotes around keys)`,
      column: offset + 1,
    };
  }
}
