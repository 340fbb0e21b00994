/**
 * NDJSON of a model: bytes to lines, and a line to the object it holds.
 *
 * Each line is judged on its own, and forgotten: a model of a million services passes through a buffer of one line.
 * What needs the other lines is the business of whoever collects them.
 *
 * @module
 */
import type { z } from "zod";
import {
  type PoolFile,
  poolFileSchema,
  type ServiceFile,
  serviceFileSchema,
  spelledPool,
  type ZoneFile,
  zoneFileSchema,
} from "./model_schema.ts";
import { salvagePool, salvageService, salvageZone } from "./salvage.ts";
import { dropNulls, isMapping } from "../input/spelling.ts";
import { unknownKeyMessage } from "../input/strict_object.ts";
import {
  decodeText,
  type FileProblem,
  parseYaml,
  type Path,
  type Position,
  schemaProblems,
  type Source,
} from "../input/yaml_source.ts";

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
  /** Bytes before it. */
  readonly offset: number;
  /** Its bytes. */
  readonly size: number;
}

/** What a line holds; the blocks of the fallback belong together and are judged when both are known. */
export type LineObject =
  | { readonly kind: "pool"; readonly value: PoolFile }
  | { readonly kind: "service"; readonly value: ServiceFile }
  | { readonly kind: "zone"; readonly value: ZoneFile }
  | { readonly kind: "loadbalancer" | "health"; readonly value: unknown }
  | { readonly kind: "blank" };

/** What is in a line. */
export interface LineReading {
  /**
   * The object, or what can be told of one that is broken, to be judged with the others; `null` = nothing can.
   * Whether it is fine in itself is what `problems` says.
   */
  readonly object: LineObject | null;
  /** What is wrong with it. */
  readonly problems: readonly FileProblem[];
  /** Where the line is. */
  readonly source: LineSource;
}

/**
 * Reads a line.
 *
 * @param place tells the stand-in's name of an object that can't be read from others
 */
export function readLine(
  line: Pick<ModelLine, "file" | "line" | "text">,
  { place }: { readonly place: number },
): LineReading {
  const source = new LineSource(line);
  const nothing = (problem: FileProblem) => ({ object: null, problems: [problem], source });
  if (line.text.trim() === "") return { object: { kind: "blank" }, problems: [], source };
  const parsed = parseJson(line.text);
  if ("problem" in parsed) return nothing({ ...source.at(parsed.column), message: parsed.problem });
  const entries = isMapping(parsed.value) ? Object.entries(parsed.value) : [];
  const [key, value] = entries[0] ?? [];
  if (entries.length !== 1 || key === undefined) {
    const message = `a line is an object with one key such as {"pool": …}, {"service": …} or {"zone": …}`;
    return nothing({ ...source.at(1), message });
  }
  const at = { value, source, path: [key] };
  switch (key) {
    case "pool": {
      const pool = parseObject(poolFileSchema, { ...at, value: spelledPool(value) });
      return Array.isArray(pool)
        ? { object: { kind: key, value: salvagePool(value, place) }, problems: pool, source }
        : { object: { kind: key, value: pool }, problems: [], source };
    }
    case "service": {
      const service = parseObject(serviceFileSchema, at);
      return Array.isArray(service)
        ? { object: { kind: key, value: salvageService(value, place) }, problems: service, source }
        : { object: { kind: key, value: service }, problems: [], source };
    }
    case "zone": {
      const zone = parseObject(zoneFileSchema, at);
      if (!Array.isArray(zone)) return { object: { kind: key, value: zone }, problems: [], source };
      const rest = salvageZone(value);
      return { object: rest && { kind: key, value: rest }, problems: zone, source };
    }
    case "loadbalancer":
    case "health":
      return { object: { kind: key, value }, problems: [], source };
    default: {
      const message = unknownKeyMessage(key, { known: LINE_KEYS });
      return nothing({ file: line.file, ...source.locate([key], "key"), message });
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

/** The source of one line of NDJSON. */
export class LineSource implements Source {
  /** As problems name it. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly #text: string;
  /** Parsed when the first problem asks for a place in it. */
  #parsed: Source | null | undefined;

  /** Keeps the line's text. */
  constructor({ file, line, text }: Pick<ModelLine, "file" | "line" | "text">) {
    this.file = file;
    this.line = line;
    this.#text = text;
  }

  /** A place in the line, as problems have it. */
  at(column: number): { readonly file: string; readonly line: number; readonly column: number } {
    return { file: this.file, line: this.line, column };
  }

  /** See `Source`. */
  locate(path: Path, at?: "key" | "value"): Position {
    // JSON is YAML but for a few escapes; where it isn't, the line alone has to do.
    if (this.#parsed === undefined) this.#parsed = parseYaml(this.file, this.#text).source;
    return { line: this.line, column: this.#parsed?.locate(path, at).column ?? 1 };
  }
}

/** Cuts bytes into lines, however they come. */
export class LineSplitter {
  readonly #file: string;
  readonly #take: (line: ModelLine) => void;
  readonly #refuse: (problem: FileProblem) => void;
  #line = 0;
  #offset = 0;
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
    const offset = this.#offset;
    this.#offset += bytes.length + 1;
    if ("text" in decoded) {
      this.#take({ file: this.#file, line, text: decoded.text, offset, size: bytes.length });
    } else this.#stop({ ...decoded.problem, line, column: decoded.problem.column || 1 });
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
