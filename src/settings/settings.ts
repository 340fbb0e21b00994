/**
 * The process's own settings: where it listens, what it is called, where its files lie.
 *
 * Flags win over the environment, the environment over the file, the file over defaults. Loading finds every
 * problem it can, looks into each file that a setting names, and gives settings only when there is none.
 * Durations are milliseconds here, whatever unit the file used; secrets are already resolved.
 *
 * @module
 */
import { dirname, isAbsolute, join, resolve } from "node:path";
import { isLoopback, parseIp, parseSocketAddress, type SocketAddress } from "../ip.ts";
import { fileFault } from "../input/file_fault.ts";
import { fallbackOf } from "../model/fallback_schema.ts";
import { readMapText } from "../geo/map_file_text.ts";
import type { Fallback } from "../model/model.ts";
import { pemFault } from "./pem.ts";
import { HEALTH_OF_NODE_KEYS, SECRET_PATHS, type SettingsFile, settingsFileSchema } from "./schema.ts";
import { takeOutAbsent } from "./absent.ts";
import { addEnvironment, type Environment, Layers } from "./layers.ts";
import { type DatabaseKind, openDatabase } from "../geo/database.ts";
import { type SettingsOutside, systemOutside } from "./outside.ts";
import { dropNulls, isMapping, respell, unshared } from "../input/spelling.ts";
import { lackOf, type SteeringSettings } from "../model/steering.ts";
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
import { readZoneText } from "../model/zone_text.ts";

/** Everything `serve` needs to know before it opens the database. Keys are those of the settings file. */
export interface Settings {
  /** Which cluster the node belongs to. */
  readonly cluster: { readonly id: string };
  /** What this node is called, and the site that it stands in. */
  readonly node: { readonly id: string; readonly region: string };
  /** How DNS is served. */
  readonly dns: {
    /** Canonical addresses. */
    readonly listenAddr: readonly string[];
    readonly port: number;
    /** From `--dns`; when not empty it stands in for `listenAddr` and `port`. */
    readonly listen: readonly { readonly hostname: string; readonly port: number }[];
    /** Zones this node is authoritative for: lower-case, no final dot. */
    readonly domain: readonly string[];
    readonly nameservers: readonly string[];
    /** Seconds; TTL of a static fallback that has none, and of synthesized SOA and NS. */
    readonly ttl: number;
    /** Zone files, read: text and the path it came from. */
    readonly zones: readonly { readonly domain: string; readonly file: string; readonly text: string }[];
    /** Whose client subnet (RFC 7871) is used; prefixes, empty = everybody's. */
    readonly ecs: { readonly enabled: boolean; readonly trustedResolvers: readonly string[] };
    readonly transport: "auto" | "linux" | "portable";
    /** Connections, and milliseconds that one may be idle. */
    readonly tcp: {
      readonly maxConnections: number;
      readonly maxConnectionsPerClient: number;
      readonly idleTimeout: number;
    };
    /** NSID (RFC 5001) text; empty = the option is ignored. */
    readonly nsid: string;
    /** What `version.bind CH TXT` and `id.server CH TXT` say; empty = REFUSED. */
    readonly chaos: { readonly version: string; readonly id: string };
  };
  /** The static fallback with its health block; `null` when `endpoints` is empty. */
  readonly fallback: Fallback | null;
  /** What this node makes of health; durations in milliseconds. */
  readonly health: {
    /** The longest wait for a first round of probes. */
    readonly startTimeout: number;
    /** When more than `share` of all targets (0–1, 0 = no guard) and at least `atLeast` turn down at once, they are held. */
    readonly flipGuard: { readonly share: number; readonly atLeast: number; readonly hold: number };
    /** What accepts TCP as long as the node can see; without targets there are none. */
    readonly canaries: {
      readonly targets: readonly SocketAddress[];
      readonly interval: number;
      readonly timeout: number;
      readonly hold: number;
    };
  };
  /** Absolute paths of databases that open, and where addresses are (degrees). */
  readonly geoip: {
    /** One for both families, or one for each; empty = none. */
    readonly database: readonly string[];
    /** Likewise. */
    readonly asnDatabase: readonly string[];
    readonly endpointLocations: Readonly<
      Record<string, { readonly latitude: number; readonly longitude: number }>
    >;
  };
  /** An absolute path that can be read. */
  readonly mapFile: { readonly path: string | null };
  /** A path, or `none`. */
  readonly database: { readonly path: string };
  /** How the REST API is served. */
  readonly api: {
    readonly enabled: boolean;
    readonly listenAddr: string;
    readonly port: number;
    readonly tls: { readonly certFile: string | null; readonly keyFile: string | null };
    /** Of this listener, and as many of one for metrics. */
    readonly maxConnections: number;
    readonly maxConnectionsPerClient: number;
    /** Bootstrap bearer tokens; empty on a loopback address = no login. */
    readonly tokens: readonly string[];
  };
  /** `listenAddr` null = on the API's listener. */
  readonly metrics: {
    readonly enablePrometheus: boolean;
    readonly listenAddr: string | null;
    readonly port: number;
  };
  /** What is logged, and how. */
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error";
    readonly format: "auto" | "text" | "json";
  };
  /** One query in `sample` is logged (0 = none), to a file by its absolute path, or to the log where that is empty. */
  readonly queryLog: { readonly sample: number; readonly maxPerSecond: number; readonly path: string };
  /** How much of the history is kept: generations, and bytes of objects before and after. */
  readonly history: { readonly keep: number; readonly maxBytes: number };
  /** How members by name are resolved; milliseconds. No resolvers = the system's. */
  readonly names: {
    readonly resolvers: readonly SocketAddress[];
    readonly minTtl: number;
    readonly maxTtl: number;
    readonly timeout: number;
  };
  /** Threads that answer DNS, at least 1. */
  readonly workers: number;
}

/** Largest settings file: it is read on the thread that everything but DNS runs on. */
const SETTINGS_SIZE_MAX = 1024 * 1024;

/** Read when no file is named and this one exists. */
const DEFAULT_SETTINGS_FILE = "/etc/pleiades/config.yaml";

/** What the command line says. */
export interface SettingsFlags {
  /** `--db FILE`. */
  readonly db?: string;
  /** `--dns ADDR:PORT`, any number of times; port 0 = any free one. */
  readonly dns?: readonly string[];
  /** `--api ADDR:PORT`; port 0 = any free one. */
  readonly api?: string;
  /** `--workers N`. */
  readonly workers?: number;
}

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
}

/** The settings, or every problem. */
export type LoadedSettings =
  & {
    /** What is read, if anything. */
    readonly file: string | null;
    /** What is let pass, though it has no effect. */
    readonly notes: readonly FileProblem[];
  }
  & (
    | { readonly settings: Settings; readonly problems: readonly [] }
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
export function loadSettings(
  { file, env, fileOnly = false, flags = {}, outside = systemOutside }: SettingsInput,
): LoadedSettings {
  const path = file === undefined
    ? (outside.exists(DEFAULT_SETTINGS_FILE) ? DEFAULT_SETTINGS_FILE : null)
    : file;
  const document = path === null ? noFile() : readSettingsFile(path, outside);
  if (document.source === null) {
    const problems = sortProblems(document.problems);
    return { settings: null, problems, notes: [], file: path, refusedDatabases: 0 };
  }
  const loading = new Loading({ ...document, source: document.source }, {
    env,
    outside,
    folder: dirname(path ?? "."),
    fileOnly,
  });
  if (!fileOnly) loading.addEnvironment();
  const settings = loading.load(flags);
  const { notes, problems, refusedDatabases } = loading;
  if (settings) return { settings, problems: [], notes, file: path };
  return { settings: null, problems: sortProblems(problems), notes, file: path, refusedDatabases };
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
  const bytes = attempt(() => outside.readFile(path));
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

/** One run of putting settings together; collects problems on the way. */
class Loading {
  readonly problems: FileProblem[];
  readonly notes: FileProblem[] = [];
  /** How many databases were refused. */
  refusedDatabases = 0;
  readonly #layers: Layers;
  readonly #env: Environment;
  readonly #outside: SettingsOutside;
  /** Of the settings file: relative paths in it start here. */
  readonly #folder: string;
  readonly #fileOnly: boolean;
  /** What was left out of these would be missed by checks of how their keys go together. */
  readonly #faultySections = new Set<PropertyKey>();

  constructor(
    { source, values, problems }: SettingsDocument & { readonly source: Source },
    { env, outside, folder, fileOnly }: {
      readonly env: Environment;
      readonly outside: SettingsOutside;
      readonly folder: string;
      readonly fileOnly: boolean;
    },
  ) {
    this.problems = [...problems];
    this.#layers = new Layers(values, source);
    this.#env = env;
    this.#outside = outside;
    this.#folder = folder;
    this.#fileOnly = fileOnly;
  }

  addEnvironment(): void {
    this.problems.push(...addEnvironment(this.#layers, this.#env));
  }

  load(flags: SettingsFlags): Settings | null {
    this.#addFlags(flags);
    this.problems.push(...takeOutAbsent(this.#layers));
    const file = this.#parse();
    if (file === null) return null;
    const settings = this.#settingsOf(file, flags);
    return this.problems.length === 0 ? settings : null;
  }

  /** What is wrong is reported and left out, so that the files which the rest names are looked at in the same run. */
  #parse(): SettingsFile | null {
    const parsed = settingsFileSchema.safeParse(this.#layers.values, ONCE);
    if (parsed.success) return parsed.data;
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
      const rest = settingsFileSchema.safeParse(this.#layers.values, ONCE);
      if (rest.success) return rest.data;
      faults = rest.error.issues;
    }
    return null;
  }

  #addFlags({ db, workers }: SettingsFlags): void {
    if (db !== undefined) this.#layers.set(["database", "path"], { value: db, origin: "--db" });
    if (workers !== undefined) this.#layers.set(["workers"], { value: workers, origin: "--workers" });
  }

  #settingsOf(file: SettingsFile, flags: SettingsFlags): Settings {
    const { cluster, node, dns, log, health, geoip, mapFile, metrics, queryLog, history, names } = file;
    const { startTimeout, flipGuard, canaries } = health;
    const secrets = this.#resolveSecrets(file);
    this.#noteWithoutEffect(file);
    const fallback = this.#fallbackOf(file);
    if (fallback) this.#noteSteering(fallback, file);
    return {
      cluster,
      node: { id: node.id || this.#hostName(), region: node.region },
      dns: {
        listenAddr: dns.listenAddr,
        port: dns.port,
        listen: this.#listenFlags(flags, dns.port),
        domain: [...new Set(dns.domain)],
        nameservers: dns.nameservers,
        ttl: dns.ttl,
        zones: this.#readZones(file),
        ecs: dns.ecs,
        transport: dns.transport,
        tcp: dns.tcp,
        nsid: dns.nsid,
        chaos: dns.chaos,
      },
      fallback,
      health: {
        startTimeout,
        flipGuard,
        canaries: { ...canaries, targets: canaries.targets.map((text) => parseSocketAddress(text)) },
      },
      geoip: {
        database: geoip.database.map((path, i) => this.#mmdb(["geoip", "database", i], path, "city")),
        asnDatabase: geoip.asnDatabase.map((path, i) => this.#mmdb(["geoip", "asnDatabase", i], path, "asn")),
        endpointLocations: geoip.endpointLocations,
      },
      mapFile: { path: this.#mapFile(["mapFile", "path"], mapFile.path) },
      database: { path: this.#databasePath(file.database.path) },
      api: this.#apiOf(file, { flags, tokens: secrets.get("api.tokens.*") ?? [] }),
      metrics,
      log,
      history,
      queryLog: {
        ...queryLog,
        path: queryLog.path === "" ? "" : this.#resolve(["queryLog", "path"], queryLog.path),
      },
      names: { ...names, resolvers: names.resolvers.map((text) => parseSocketAddress(text)) },
      workers: file.workers ?? Math.min(WORKERS_MAX, Math.max(1, this.#outside.processors() - 1)),
    };
  }

  #noteWithoutEffect({ api }: SettingsFile): void {
    if (api.webuiPath === "") return;
    const message =
      "api.webuiPath has no effect: this version has no web console (remove it, or leave it for later)";
    this.notes.push(this.#layers.problem(["api", "webuiPath"], message));
  }

  #noteSteering(fallback: Fallback, settings: SteeringSettings): void {
    const lack = lackOf(fallback, settings);
    if (lack === null) return;
    const message = `endpoints of loadbalancer only take turns: ${lack}`;
    this.notes.push(this.#layers.problem(["loadbalancer", "algorithm"], message));
  }

  #hostName(): string {
    const id = this.#outside.hostname().replaceAll(".", "-").replace(/[^A-Za-z0-9_-]/g, "").slice(0, 63);
    return id === "" ? "node" : id;
  }

  #listenFlags({ dns = [] }: SettingsFlags, port: number): SocketAddress[] {
    return dns.flatMap((text) => this.#socketFlag(text, { flag: "--dns", port }) ?? []);
  }

  #socketFlag(
    text: string,
    { flag, port }: { readonly flag: string; readonly port: number },
  ): SocketAddress | null {
    try {
      return parseSocketAddress(text, port);
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      this.problems.push({ file: flag, line: 0, column: 0, message: cause.message });
      return null;
    }
  }

  #apiOf(
    { api }: SettingsFile,
    { flags, tokens }: { readonly flags: SettingsFlags; readonly tokens: readonly string[] },
  ): Settings["api"] {
    const flag = flags.api === undefined
      ? null
      : this.#socketFlag(flags.api, { flag: "--api", port: api.port });
    const listenAddr = flag?.hostname ?? api.listenAddr;
    // Tokens that are given but can't be resolved are reported already.
    const isOpen = api.enabled && api.tokens.length === 0 && !isLoopback(parseIp(listenAddr)!);
    if (isOpen && !this.#faultySections.has("api")) {
      const message = `${listenAddr} isn't a loopback address, so everybody could change the model ` +
        `(set api.tokens, or listen on 127.0.0.1)`;
      if (flag) this.problems.push({ file: "--api", line: 0, column: 0, message });
      else this.#problem(["api", "listenAddr"], message);
    }
    return {
      enabled: api.enabled,
      listenAddr,
      port: flag?.port ?? api.port,
      tls: this.#tlsOf(api.tls),
      maxConnections: api.maxConnections,
      maxConnectionsPerClient: api.maxConnectionsPerClient,
      tokens,
    };
  }

  /** Makes sure that TLS can be served with the files, both or none. */
  #tlsOf({ certFile, keyFile }: SettingsFile["api"]["tls"]): Settings["api"]["tls"] {
    const at = (key: "certFile" | "keyFile") => ["api", "tls", key];
    const cert = certFile === null ? null : this.#readText(at("certFile"), certFile);
    const key = keyFile === null ? null : this.#readText(at("keyFile"), keyFile);
    const fault = cert !== null && key !== null ? pemFault({ cert, key }, this.#outside.tlsRefusal) : null;
    if (fault !== null) {
      this.#problem(at(fault.key), `${fault.key === "certFile" ? certFile : keyFile} ${fault.reason}`);
    }
    return {
      certFile: certFile === null ? null : this.#resolve(at("certFile"), certFile),
      keyFile: keyFile === null ? null : this.#resolve(at("keyFile"), keyFile),
    };
  }

  #fallbackOf({ loadbalancer, health }: SettingsFile): Fallback | null {
    const written = this.#layers.values["health"];
    const isGiven = isMapping(written) &&
      Object.keys(written).some((key) => !HEALTH_OF_NODE_KEYS.includes(key));
    const joined = fallbackOf(loadbalancer, isGiven ? health : null);
    if ("fallback" in joined) return joined.fallback;
    if (!this.#faultySections.has("health")) {
      this.problems.push(this.#layers.problem(["health"], joined.problem));
    }
    return null;
  }

  #databasePath(path: string | null): string {
    if (path === "none" || path === ":memory:") return path;
    return path === null
      ? defaultDatabasePath(this.#env, this.#outside)
      : this.#resolve(["database", "path"], path);
  }

  #readZones({ dns }: SettingsFile): Settings["dns"]["zones"] {
    const seen = new Set<string>();
    return dns.zones.flatMap(({ domain, file }, i) => {
      if (seen.has(domain)) {
        this.problems.push(
          this.#layers.problem(["dns", "zones", i, "domain"], `zone "${domain}" is given twice; keep one`),
        );
      }
      seen.add(domain);
      const at = ["dns", "zones", i, "file"];
      const text = this.#readText(at, file);
      if (text === null) return [];
      const path = this.#resolve(at, file);
      for (const problem of readZoneText(text, { domain, defaultTtl: dns.ttl }).problems) {
        this.problems.push({ file: this.#shown(file), ...problem });
      }
      return [{ domain, file: path, text }];
    });
  }

  /** Opens a MaxMind DB, so that a broken one is found now and not with the first query. */
  #mmdb(at: Path, path: string, kind: DatabaseKind): string {
    const known = this.problems.length;
    const resolved = this.#resolve(at, path);
    const bytes = attempt(() => this.#outside.readFile(resolved));
    if ("reason" in bytes) this.#problem(at, `${path} can't be read: ${bytes.reason}`);
    else {
      const opened = attempt(() => openDatabase(bytes.value, kind));
      if ("reason" in opened) this.#problem(at, `${path} is no database to go by: ${opened.reason}`);
    }
    if (this.problems.length > known) this.refusedDatabases++;
    return resolved;
  }

  /**
   * A map file may be large, and a node compiles it on a thread of its own: here it is only made sure that it can be
   * read, unless nothing but the file is judged.
   */
  #mapFile(at: Path, path: string | null): string | null {
    if (path === null) return null;
    const resolved = this.#resolve(at, path);
    const bytes = attempt(() => this.#outside.readFile(resolved));
    if ("reason" in bytes) this.#problem(at, `${path} can't be read: ${bytes.reason}`);
    else if (this.#fileOnly) {
      const { problems } = readMapText(bytes.value);
      this.problems.push(...problems.map((problem) => ({ file: this.#shown(path), ...problem })));
    }
    return resolved;
  }

  #readText(at: Path, path: string): string | null {
    const bytes = attempt(() => this.#outside.readFile(this.#resolve(at, path)));
    if ("reason" in bytes) {
      this.#problem(at, `${path} can't be read: ${bytes.reason}`);
      return null;
    }
    const decoded = decodeText(this.#shown(path), bytes.value);
    if ("text" in decoded) return decoded.text;
    this.problems.push(decoded.problem);
    return null;
  }

  /** The secrets of each pattern of `SECRET_PATHS` that is set. */
  #resolveSecrets(file: SettingsFile): ReadonlyMap<string, readonly string[]> {
    return new Map(SECRET_PATHS.map((pattern) => {
      const found = valuesAt(file, pattern.split("."));
      return [pattern, found.flatMap(({ path, value }) => this.#secret(path, value) ?? [])];
    }));
  }

  #secret(at: Path, value: string): string | null {
    if (value.startsWith("${")) {
      const name = /^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$/.exec(value)?.[1];
      if (name === undefined) {
        return this.#problem(at, "a secret from the environment is written ${NAME} and nothing else");
      }
      return this.#env[name] ||
        this.#problem(at, `the environment variable ${name} isn't set (export it before the start)`);
    }
    if (!value.startsWith("file:")) return value;
    const path = value.slice("file:".length);
    const bytes = attempt(() => this.#outside.readFile(this.#resolve(at, path)));
    if ("reason" in bytes) {
      return this.#problem(at, `the secret's file ${path} can't be read: ${bytes.reason}`);
    }
    return new TextDecoder().decode(bytes.value).trim() ||
      this.#problem(at, `the secret's file ${path} is empty`);
  }

  #problem(at: Path, message: string): null {
    this.problems.push(this.#layers.problem(at, message));
    return null;
  }

  /** Relative paths start at the settings file's folder; those of flags and variables where the shell is. */
  #resolve(at: Path, path: string): string {
    return this.#layers.isFromFile(at) ? resolve(this.#folder, path) : resolve(path);
  }

  /** A file beside the settings, named as shortly as the settings file was. */
  #shown(path: string): string {
    return isAbsolute(path) ? path : join(this.#folder, path);
  }
}

/** Settings are parsed once a start: to compile a parser for them first would take 5 ms longer than it saves. */
const ONCE = { jitless: true } as const;

/** More threads than this wait for each other's sockets; `workers` may say otherwise. */
const WORKERS_MAX = 8;

function defaultDatabasePath(env: Environment, outside: SettingsOutside): string {
  const system = "/var/lib/pleiades";
  if (outside.isWritable(system)) return `${system}/pleiades.db`;
  const state = env["XDG_STATE_HOME"] || resolve(outside.homeFolder(), ".local/state");
  return resolve(state, "pleiades/pleiades.db");
}

/** The texts that a pattern such as `api.tokens.*` leads to. */
function valuesAt(
  value: unknown,
  pattern: readonly string[],
): { readonly path: Path; readonly value: string }[] {
  const [step, ...rest] = pattern;
  if (step === undefined) return typeof value === "string" ? [{ path: [], value }] : [];
  const inner: [PropertyKey, unknown][] = step === "*"
    ? (Array.isArray(value) ? [...value.entries()] : [])
    : (isMapping(value) ? [[step, value[step]]] : []);
  return inner.flatMap(([key, next]) =>
    valuesAt(next, rest).map((found) => ({ path: [key, ...found.path], value: found.value }))
  );
}

function attempt<Value>(action: () => Value): { readonly value: Value } | { readonly reason: string } {
  try {
    return { value: action() };
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    return { reason: fileFault(cause) };
  }
}
