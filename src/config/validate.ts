/**
 * One question about any file of an operator: is it fine? Settings and models are told apart by what is in them,
 * so that nobody has to say which.
 *
 * @module
 */
import { MODEL_SECTIONS } from "./cluster_yaml.ts";
import { countOf } from "./count.ts";
import { fileFault } from "./file_fault.ts";
import { formatOf, loadModel } from "./model_files.ts";
import { loadSettings } from "./settings.ts";
import type { Environment } from "./settings_layers.ts";
import { settingsTree } from "./settings_keys.ts";
import { isMapping } from "./spelling.ts";
import { type FileProblem, readYaml } from "./yaml_source.ts";

/** What a path holds and how it is. */
export interface Validation {
  /** `settings` for a settings file; a path that can't be read counts as a model. */
  readonly kind: "settings" | "model";
  /** In printing order; none = it is fine. */
  readonly problems: readonly FileProblem[];
  /** What is let pass, though it has no effect. */
  readonly notes: readonly FileProblem[];
  /** What is in it, as `config validate` says it. */
  readonly summary: string;
}

/** Judges a settings file, a model directory, a model file or NDJSON; the environment holds secrets that it names. */
export async function validatePath(path: string, env: Environment): Promise<Validation> {
  const kind = await attemptKind(path);
  if (typeof kind === "object") return { kind: "model", problems: [kind], notes: [], summary: "" };
  return kind === "settings" ? validateSettings(path, env) : await validateModel(path);
}

async function attemptKind(path: string): Promise<Validation["kind"] | FileProblem> {
  try {
    return await kindOf(path);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    return { file: path, line: 0, column: 0, message: `can't be read: ${fileFault(cause)}` };
  }
}

async function kindOf(path: string): Promise<Validation["kind"]> {
  if ((await Deno.stat(path)).isDirectory || await formatOf(path) === "ndjson") return "model";
  const { source } = readYaml(path, await Deno.readFile(path));
  const keys = isMapping(source?.value) ? Object.keys(source.value) : [];
  const count = (known: ReadonlySet<string>) => keys.filter((key) => known.has(key)).length;
  const modelCount = count(MODEL_ONLY);
  return modelCount > 0 && modelCount >= count(SETTINGS_ONLY) ? "model" : "settings";
}

const SETTINGS_KEYS = settingsTree().entries.map(({ path }) => path[0]!);

/** Both kinds of file have `loadbalancer` and `health`. */
const MODEL_ONLY: ReadonlySet<string> = new Set(MODEL_SECTIONS.filter((key) => !SETTINGS_KEYS.includes(key)));
const SETTINGS_ONLY: ReadonlySet<string> = new Set(
  SETTINGS_KEYS.filter((key) => !MODEL_SECTIONS.some((section) => section === key)),
);

function validateSettings(path: string, env: Environment): Validation {
  const { settings, problems, notes } = loadSettings({ file: path, env, fileOnly: true });
  const endpoints = settings?.fallback?.endpoints.length ?? 0;
  const zones = (settings?.dns.domain.length ?? 0) + (settings?.dns.zones.length ?? 0);
  const content = `${countOf(endpoints, "static endpoint")}, ${countOf(zones, "zone")}`;
  return {
    kind: "settings",
    problems,
    notes,
    summary: `0 pools, 0 members, 0 services (settings: ${content})`,
  };
}

async function validateModel(path: string): Promise<Validation> {
  const { reading, counts } = await loadModel(path);
  const { pools, members, services, zones } = counts;
  const more = zones > 0 ? ` (and ${countOf(zones, "zone")})` : "";
  return {
    kind: "model",
    problems: reading.problems,
    notes: [],
    summary: `${countOf(pools, "pool")}, ${countOf(members, "member")}, ${
      countOf(services, "service")
    }${more}`,
  };
}
