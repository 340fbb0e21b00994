/**
 * One question about any file of an operator: is it fine? Settings and models are told apart by what is in them,
 * so that the caller needn't say which.
 *
 * @module
 */
import { dirname } from "node:path";
import { MODEL_SECTIONS, refuseZoneFiles } from "../model/model_reader.ts";
import { countOf } from "../input/count.ts";
import { fileFault } from "../input/file_fault.ts";
import { OfflineModel } from "../change/offline_model.ts";
import { formatOf, formatOfHead, STDIN, zoneFilesBelow } from "../model/model_files.ts";
import { loadSettings, type Settings } from "../settings/settings.ts";
import { BLOCKS } from "../settings/blocks.ts";
import { judgeDatabases } from "../settings/databases.ts";
import type { Environment } from "../settings/loading.ts";
import { systemOutside } from "../settings/outside.ts";
import { isMapping } from "../input/spelling.ts";
import { type FileProblem, readYaml, type YamlReading } from "../input/yaml_source.ts";

/** What a path holds and how it is. */
export interface Validation {
  /** `settings` for a settings file; a path that can't be read counts as a model. */
  readonly kind: "settings" | "model";
  /** In printing order; none = it is fine. */
  readonly problems: readonly FileProblem[];
  /** What is let pass, though it has no effect. */
  readonly notes: readonly FileProblem[];
  /** What is in it, as `config validate` says it; empty for a model with problems. */
  readonly summary: string;
}

/**
 * Judges settings files, model directories, model files and NDJSON, each by itself; the environment holds secrets that
 * they name. Where one settings file is among them, notes say what of the models steers less than it says under it.
 *
 * @param stdin what comes where a path is `-`
 * @returns in the order of the paths
 */
export async function validatePaths(
  paths: readonly string[],
  env: Environment,
  stdin: () => ReadableStream<Uint8Array> = () => Deno.stdin.readable,
): Promise<Validation[]> {
  const typed = paths.includes(STDIN) ? new Uint8Array(await new Response(stdin()).arrayBuffer()) : null;
  const given = paths.map((path): Given => ({ path, typed: path === STDIN ? typed : null }));
  const contents = await Promise.all(given.map(attemptContent));
  const settings = new Map<string, SettingsValidation>();
  for (const [i, content] of contents.entries()) {
    if (content.kind === "settings") settings.set(paths[i]!, await validateSettings(given[i]!, env));
  }
  const [only, ...others] = settings.values();
  const known = only && others.length === 0 ? only.settings : null;
  const validations: Validation[] = [];
  for (const [i, content] of contents.entries()) {
    if (content.kind === "problem") {
      validations.push({ kind: "model", problems: [content.problem], notes: [], summary: "" });
    } else if (content.kind === "settings") validations.push(settings.get(paths[i]!)!.validation);
    else validations.push(await validateModel(given[i]!, { document: content.document, settings: known }));
  }
  return validations;
}

/** A path, with what came on stdin where that is meant. */
interface Given {
  readonly path: string;
  readonly typed: Uint8Array<ArrayBuffer> | null;
}

/** What is behind a path; a document that was parsed to find out needn't be parsed again. */
type Content =
  | { readonly kind: "settings" }
  | { readonly kind: "model"; readonly document: YamlReading | null }
  | { readonly kind: "problem"; readonly problem: FileProblem };

async function attemptContent(given: Given): Promise<Content> {
  try {
    return await contentOf(given);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    const message = `can't be read: ${fileFault(cause)}`;
    return { kind: "problem", problem: { file: given.path, line: 0, column: 0, message } };
  }
}

async function contentOf({ path, typed }: Given): Promise<Content> {
  if (typed === null && (await Deno.stat(path)).isDirectory) return { kind: "model", document: null };
  const format = typed ? formatOfHead(typed) : await formatOf(path);
  if (format === "ndjson") return { kind: "model", document: null };
  const document = readYaml(path, typed ?? await Deno.readFile(path));
  const value = document.source?.value;
  const keys = isMapping(value) ? Object.keys(value) : [];
  const count = (known: ReadonlySet<string>) => keys.filter((key) => known.has(key)).length;
  const modelCount = count(MODEL_ONLY);
  return modelCount > 0 && modelCount >= count(SETTINGS_ONLY)
    ? { kind: "model", document }
    : { kind: "settings" };
}

const SETTINGS_KEYS = BLOCKS.flatMap(({ shape }) => Object.keys(shape));

/** Both kinds of file have `loadbalancer` and `health`. */
const MODEL_ONLY: ReadonlySet<string> = new Set(MODEL_SECTIONS.filter((key) => !SETTINGS_KEYS.includes(key)));
const SETTINGS_ONLY: ReadonlySet<string> = new Set(
  SETTINGS_KEYS.filter((key) => !MODEL_SECTIONS.some((section) => section === key)),
);

interface SettingsValidation {
  readonly validation: Validation;
  readonly settings: Settings | null;
}

async function validateSettings({ path, typed }: Given, env: Environment): Promise<SettingsValidation> {
  const outside = typed === null
    ? systemOutside
    : { ...systemOutside, readFile: (file: string) => file === path ? typed : systemOutside.readFile(file) };
  const loaded = loadSettings({ file: path, env, fileOnly: true, outside });
  const { settings, problems, notes } = await judgeDatabases(loaded);
  const endpoints = settings?.fallback?.endpoints.length ?? 0;
  const zones = (settings?.dns.domain.length ?? 0) + (settings?.dns.zones.length ?? 0);
  const content = `${countOf(endpoints, "static endpoint")}, ${countOf(zones, "zone")}`;
  const summary = `0 pools, 0 members, 0 services (settings: ${content})`;
  return { settings, validation: { kind: "settings", problems, notes, summary } };
}

async function validateModel(
  given: Given,
  { document, settings }: { readonly document: YamlReading | null; readonly settings: Settings | null },
): Promise<Validation> {
  using model = await readModel(given, document, settings);
  const { problems, notes, counts } = model;
  return { kind: "model", problems, notes, summary: counts === null ? "" : summaryOf(counts) };
}

function readModel(
  { path, typed }: Given,
  document: YamlReading | null,
  settings: Settings | null,
): Promise<OfflineModel> {
  if (document !== null) {
    const readZoneFile = typed === null ? zoneFilesBelow(dirname(path)) : refuseZoneFiles;
    return OfflineModel.of((reader) => reader.addDocument(document), { readZoneFile, steering: settings });
  }
  return typed === null
    ? OfflineModel.read(path, settings)
    : OfflineModel.readBytes({ file: path, bytes: typed, format: "ndjson" }, settings);
}

function summaryOf({ pools, members, services, zones }: NonNullable<OfflineModel["counts"]>): string {
  const more = zones > 0 ? ` (and ${countOf(zones, "zone")})` : "";
  return `${countOf(pools, "pool")}, ${countOf(members, "member")}, ${countOf(services, "service")}${more}`;
}
