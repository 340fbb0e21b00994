/**
 * The process's own settings: where it listens, what it is called, where its files lie.
 *
 * Flags win over the environment, the environment over the file, the file over defaults. Loading finds every
 * problem it can, looks into each file that a setting names, and gives settings only when there is none. Databases may be
 * large, and are looked into apart, by `judgeDatabases`. What there is to set is in `blocks/`, a file a block.
 * Durations are milliseconds here, whatever unit the file used; secrets are already resolved.
 *
 * @module
 */
import { dirname, isAbsolute, join, resolve } from "node:path";
import type { Block, SettingsOf } from "./block.ts";
import { BLOCKS, settingsSchemaOf } from "./blocks.ts";
import { addEnvironment } from "./environment.ts";
import { settingsTree } from "./keys.ts";
import { Layers } from "./layers.ts";
import type {
  BlockShape,
  Environment,
  FileOf,
  Loading,
  NamedDatabase,
  SettingsFlags,
  ZoneInEffect,
} from "./loading.ts";
import type { DatabaseKind } from "../geo/database.ts";
import { takeOutAbsent } from "./absent.ts";
import { type SettingsOutside, systemOutside } from "./outside.ts";
import { replaceSecrets, secretFilesIn } from "./secrets.ts";
import { fileFault } from "../input/file_fault.ts";
import { SECRET_BYTES_MAX } from "../input/regular_file.ts";
import { dropNulls, isMapping, respell, unshared } from "../input/spelling.ts";
import { show } from "../input/strict_object.ts";
import {
  decodeText,
  type FileProblem,
  type Path,
  type Position,
  readYaml,
  sortProblems,
  type Source,
} from "../input/yaml_source.ts";

/** Everything `serve` needs to know before it opens the database. Keys are those of the settings file. */
export type Settings = SettingsOf<typeof BLOCKS>;

/** Largest settings file: it is read on the thread that everything but DNS runs on. */
const SETTINGS_SIZE_MAX = 1024 * 1024;

/** Read when no file is named and this one exists. */
const DEFAULT_SETTINGS_FILE = "/etc/pleiades/config.yaml";

/** Where settings come from. */
export interface SettingsInput {
  /** The file; without it `DEFAULT_SETTINGS_FILE` if that exists; `null` = no file at all. */
  readonly file?: string | null;
  /** Variables by name. */
  readonly env: Environment;
  /** Whether only the file is judged: the environment then holds secrets that the file refers to, but no settings. */
  readonly fileOnly?: boolean;
  /** What the command line says. */
  readonly flags?: SettingsFlags;
  /** The machine; tests put another in. */
  readonly outside?: SettingsOutside;
  /** Of a node that reloads; they aren't judged again. */
  readonly zonesInEffect?: readonly ZoneInEffect[];
}

/** The same, with other blocks than {@linkcode BLOCKS}. */
export interface SettingsInputOf<Blocks extends readonly Block[]> extends SettingsInput {
  /** What there is to set. */
  readonly blocks: Blocks;
}

/** The settings, or every problem. */
export type LoadedSettings<Loaded = Settings> =
  & {
    /** What is read, if anything. */
    readonly file: string | null;
    /** What is let pass, though it has no effect. */
    readonly notes: readonly FileProblem[];
    /** Databases that are named, to be looked into. */
    readonly databases: readonly NamedDatabase[];
    /** Files that hold secrets: those that secrets are read from, and the settings file where it spells one out. */
    readonly secretFiles: readonly string[];
  }
  & (
    | { readonly settings: Loaded; readonly problems: readonly [] }
    | {
      readonly settings: null;
      readonly problems: readonly FileProblem[];
      /** How many of the problems are databases that can't be taken. */
      readonly refusedDatabases: number;
    }
  );

/**
 * Puts the settings together.
 *
 * @example
 * ```ts
 * const { settings, problems } = loadSettings({ file: "pleiades.yaml", env: Deno.env.toObject() });
 * if (!settings) for (const problem of problems) console.error(formatProblem(problem));
 * ```
 */
export function loadSettings<const Blocks extends readonly Block[]>(
  input: SettingsInputOf<Blocks>,
): LoadedSettings<SettingsOf<Blocks>>;
/** The same with all blocks that there are. */
export function loadSettings(input: SettingsInput): LoadedSettings;
export function loadSettings(
  { file, env, fileOnly = false, flags = {}, outside = systemOutside, zonesInEffect = [], blocks = BLOCKS }:
    & SettingsInput
    & Partial<SettingsInputOf<readonly Block[]>>,
): LoadedSettings<object> {
  const path = file === undefined
    ? (outside.exists(DEFAULT_SETTINGS_FILE) ? DEFAULT_SETTINGS_FILE : null)
    : file;
  const document = path === null ? noFile() : readSettingsFile(path, outside);
  if (document.source === null) {
    const problems = sortProblems(document.problems);
    return {
      settings: null,
      problems,
      notes: [],
      databases: [],
      secretFiles: [],
      file: path,
      refusedDatabases: 0,
    };
  }
  const run = new Run({ ...document, source: document.source }, {
    blocks,
    env,
    flags,
    outside,
    folder: dirname(path ?? "."),
    file: path,
    fileOnly,
    zonesInEffect,
  });
  const settings = run.load();
  const { problems } = run;
  const known = { notes: run.notes, databases: run.databases, secretFiles: run.secretFiles, file: path };
  if (settings) return { settings, problems: [], ...known };
  return { settings: null, problems: sortProblems(problems), ...known, refusedDatabases: 0 };
}

interface SettingsDocument {
  readonly source: Source | null;
  readonly values: Record<string, unknown>;
  readonly problems: readonly FileProblem[];
}

/** A new one each time, since environment and flags are written into it. */
function noFile(): SettingsDocument {
  return {
    source: { file: "settings", locate: () => ({ line: 0, column: 0 }) },
    values: {},
    problems: [],
  };
}

function readSettingsFile(path: string, outside: SettingsOutside): SettingsDocument {
  const refuse = (message: string, at: Position = { line: 0, column: 0 }) => ({
    source: null,
    values: {},
    problems: [{ file: path, ...at, message }],
  });
  const bytes = attempt(() => outside.readFile(path, SETTINGS_SIZE_MAX));
  if ("reason" in bytes) return refuse(`can't be read: ${bytes.reason}`);
  const { length } = bytes.value;
  if (length > SETTINGS_SIZE_MAX) {
    return refuse(
      `the file has ${length} bytes, settings may have ${SETTINGS_SIZE_MAX} (is this another file?)`,
    );
  }
  const { source, problems } = readYaml(path, bytes.value);
  if (source === null) return { source, values: {}, problems };
  const values = unshared(source.value ?? {});
  if (!isMapping(values)) {
    return refuse(
      `settings are a mapping with keys such as dns, api and database, is ${show(values)}`,
      source.locate([]),
    );
  }
  const spelled = respell(values, { source, path: [] });
  dropNulls(values);
  return { source: spelled.source, values, problems: [...problems, ...spelled.problems] };
}

/** What a run is given beside the file. */
type RunOptions =
  & Pick<Loading, "env" | "flags" | "outside" | "fileOnly" | "zonesInEffect">
  & {
    readonly blocks: readonly Block[];
    /** Of the settings file: relative paths in it start here. */
    readonly folder: string;
    /** The settings file itself, if there is one. */
    readonly file: string | null;
  };

/** One run of putting settings together; collects problems on the way. */
class Run implements Loading {
  readonly problems: FileProblem[];
  readonly notes: FileProblem[] = [];
  readonly databases: NamedDatabase[] = [];
  readonly secretFiles: string[] = [];
  readonly zonesInEffect: readonly ZoneInEffect[];
  readonly env: Environment;
  readonly flags: SettingsFlags;
  readonly outside: SettingsOutside;
  readonly fileOnly: boolean;
  readonly #layers: Layers;
  readonly #blocks: readonly Block[];
  readonly #folder: string;
  readonly #settingsFile: string | null;
  /** What was left out of these would be missed by checks of how their keys go together. */
  readonly #faultySections = new Set<PropertyKey>();
  /** What the schema made of the layers. */
  #file: Readonly<Record<string, unknown>> = {};

  constructor(
    { source, values, problems }: SettingsDocument & { readonly source: Source },
    { blocks, env, flags, outside, folder, file, fileOnly, zonesInEffect }: RunOptions,
  ) {
    this.problems = [...problems];
    this.env = env;
    this.flags = flags;
    this.outside = outside;
    this.fileOnly = fileOnly;
    this.zonesInEffect = zonesInEffect;
    this.#layers = new Layers(values, source);
    this.#blocks = blocks;
    this.#folder = folder;
    this.#settingsFile = file;
  }

  load(): object | null {
    const tree = settingsTree(this.#blocks);
    if (!this.fileOnly) this.problems.push(...addEnvironment(this.#layers, this.env, tree));
    this.#addFlags();
    this.problems.push(...takeOutAbsent(this.#layers, tree));
    const file = this.#parse();
    if (file === null) return null;
    this.#file = file;
    const parts = this.#blocks.map((block) => block.settings?.(file, this) ?? this.of(block));
    return this.problems.length === 0 ? Object.assign({}, ...parts) : null;
  }

  of<Shape extends BlockShape>({ shape }: { readonly shape: Shape }): FileOf<Shape> {
    for (const [key, schema] of Object.entries(shape)) {
      const isThere = this.#blocks.some((block) => block.shape[key] === schema);
      if (!isThere) throw new Error(`The settings have no block with ${key}`);
    }
    const own = Object.keys(shape).map((key) => [key, this.#file[key]]);
    // The schema of the very same shape made it.
    return Object.fromEntries(own) as FileOf<Shape>;
  }

  written(section: string): Readonly<Record<string, unknown>> {
    const values = this.#layers.values[section];
    return isMapping(values) ? values : {};
  }

  isFaulty(section: string): boolean {
    return this.#faultySections.has(section);
  }

  problem(at: Path, message: string): void {
    this.problems.push(this.#layers.problem(at, message));
  }

  report(problems: readonly FileProblem[]): void {
    this.problems.push(...problems);
  }

  note(at: Path, message: string): void {
    this.notes.push(this.#layers.problem(at, message));
  }

  database(at: Path, shown: string, kind: DatabaseKind): string {
    const path = this.resolve(at, shown);
    this.databases.push({ path, kind, shown, problem: (message) => this.#layers.problem(at, message) });
    return path;
  }

  resolve(at: Path, path: string): string {
    return this.#layers.isFromFile(at) ? resolve(this.#folder, path) : resolve(path);
  }

  shown(path: string): string {
    return isAbsolute(path) ? path : join(this.#folder, path);
  }

  readable(at: Path, path: string): string {
    const resolved = this.resolve(at, path);
    const opened = attempt(() => this.outside.expectReadable(resolved));
    if ("reason" in opened) this.problem(at, `${path} can't be read: ${opened.reason}`);
    return resolved;
  }

  readBytes(at: Path, path: string, bytesMax?: number): Uint8Array | null {
    const bytes = attempt(() => this.outside.readFile(this.resolve(at, path), bytesMax));
    if ("value" in bytes) return bytes.value;
    this.problem(at, `${path} can't be read: ${bytes.reason}`);
    return null;
  }

  readText(at: Path, path: string, bytesMax?: number): string | null {
    const bytes = this.readBytes(at, path, bytesMax);
    if (bytes === null) return null;
    const decoded = decodeText(this.shown(path), bytes);
    if ("text" in decoded) return decoded.text;
    this.problems.push(decoded.problem);
    return null;
  }

  #addFlags(): void {
    const { db, workers } = this.flags;
    if (db !== undefined) this.#layers.set(["database", "path"], { value: db, origin: "--db" });
    if (workers !== undefined) this.#layers.set(["workers"], { value: workers, origin: "--workers" });
  }

  /** What is wrong is reported and left out, so that the files which the rest names are looked at in the same run. */
  #parse(): Readonly<Record<string, unknown>> | null {
    const schema = settingsSchemaOf(this.#blocks);
    const parsed = schema.safeParse(this.#layers.values, ONCE);
    if (parsed.success) return this.#withSecrets(parsed.data);
    this.problems.push(...this.#layers.problems(parsed.error));
    for (const { path } of parsed.error.issues) {
      if (path[0] !== undefined) this.#faultySections.add(path[0]);
    }
    let faults = parsed.error.issues;
    // Some faults are about keys that go together, such as a latitude without a longitude: then the mapping goes.
    for (const depth of [Infinity, 2, 1]) {
      for (const issue of faults) {
        const keys = issue.code === "unrecognized_keys" ? issue.keys : [];
        const paths = keys.length > 0 ? keys.map((key) => [...issue.path, key]) : [issue.path];
        for (const path of paths) this.#layers.remove(path.slice(0, depth));
      }
      const rest = schema.safeParse(this.#layers.values, ONCE);
      if (rest.success) return this.#withSecrets(rest.data);
      faults = rest.error.issues;
    }
    return null;
  }

  /** One that can't be resolved is reported and stays as it is written: it counts as given. */
  #withSecrets(file: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const { shape } = settingsSchemaOf(this.#blocks);
    for (const { path, file: named } of secretFilesIn(file)) this.secretFiles.push(this.resolve(path, named));
    const replace = (written: string, at: Path) => {
      const secret = this.secret(at, written);
      if ("value" in secret) return secret.value;
      this.problem(at, secret.reason);
      return written;
    };
    return Object.fromEntries(
      Object.entries(file).map(([key, value]) => [
        key,
        replaceSecrets(value, { schema: shape[key]!, path: [key], replace }),
      ]),
    );
  }

  secret(at: Path, written: string): { readonly value: string } | { readonly reason: string } {
    if (written.startsWith("${")) {
      const name = /^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$/.exec(written)?.[1];
      if (name === undefined) {
        return { reason: "a secret from the environment is written ${NAME} and nothing else" };
      }
      const value = this.env[name];
      return value
        ? { value }
        : { reason: `the environment variable ${name} isn't set (export it before the start)` };
    }
    if (!written.startsWith("file:")) {
      if (this.#settingsFile !== null && this.#layers.isFromFile(at)) {
        this.secretFiles.push(this.#settingsFile);
      }
      return { value: written };
    }
    const path = written.slice("file:".length);
    this.secretFiles.push(this.resolve(at, path));
    const bytes = attempt(() => this.outside.readFile(this.resolve(at, path), SECRET_BYTES_MAX));
    if ("reason" in bytes) return { reason: `the secret's file ${path} can't be read: ${bytes.reason}` };
    const value = new TextDecoder().decode(bytes.value).trim();
    return value === "" ? { reason: `the secret's file ${path} is empty` } : { value };
  }
}

/** Settings are parsed once a start: to compile a parser for them first would take 5 ms longer than it saves. */
const ONCE = { jitless: true } as const;

function attempt<Value>(action: () => Value): { readonly value: Value } | { readonly reason: string } {
  try {
    return { value: action() };
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    return { reason: fileFault(cause) };
  }
}
