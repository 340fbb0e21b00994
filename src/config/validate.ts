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
import { loadSettings, type Settings } from "./settings.ts";
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

/**
 * Judges settings files, model directories, model files and NDJSON, each by itself; the environment holds secrets that
 * they name. Where one settings file is among them, notes say what of the models steers less than it says under it.
 *
 * @returns in the order of the paths
 */
export async function validatePaths(paths: readonly string[], env: Environment): Promise<Validation[]> {
  const kinds = await Promise.all(paths.map(attemptKind));
  const settings = new Map<string, SettingsValidation>();
  for (const [i, kind] of kinds.entries()) {
    if (kind === "settings") settings.set(paths[i]!, validateSettings(paths[i]!, env));
  }
  const [only, ...others] = settings.values();
  const known = only && others.length === 0 ? only.settings : null;
  const validations: Validation[] = [];
  for (const [i, path] of paths.entries()) {
    const kind = kinds[i]!;
    if (typeof kind === "object") {
      validations.push({ kind: "model", problems: [kind], notes: [], summary: "" });
    } else if (kind === "model") validations.push(await validateModel(path, known));
    else validations.push(settings.get(path)!.validation);
  }
  return validations;
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

interface SettingsValidation {
  readonly validation: Validation;
  readonly settings: Settings | null;
}

function validateSettings(path: string, env: Environment): SettingsValidation {
  const { settings, problems, notes } = loadSettings({ file: path, env, fileOnly: true });
  const endpoints = settings?.fallback?.endpoints.length ?? 0;
  const zones = (settings?.dns.domain.length ?? 0) + (settings?.dns.zones.length ?? 0);
  const content = `${countOf(endpoints, "static endpoint")}, ${countOf(zones, "zone")}`;
  const summary = `0 pools, 0 members, 0 services (settings: ${content})`;
  return { settings, validation: { kind: "settings", problems, notes, summary } };
}

async function validateModel(path: string, settings: Settings | null): Promise<Validation> {
  const model = await loadModel(path);
  const { reading, counts } = model;
  const { pools, members, services, zones } = counts;
  const more = zones > 0 ? ` (and ${countOf(zones, "zone")})` : "";
  return {
    kind: "model",
    problems: reading.problems,
    notes: settings && reading.model !== null ? model.notes(settings) : [],
    summary: `${countOf(pools, "pool")}, ${countOf(members, "member")}, ${
      countOf(services, "service")
    }${more}`,
  };
}
