/**
 * The model as files: pools, services and zones in YAML (or JSON) documents that are merged, or one object a
 * line (NDJSON) for bulk data.
 *
 * Each object is read and judged on its own, parts and zone text included, then handed on with its place and forgotten.
 * What can be told of a broken one is handed on as well, to be judged with the others: nothing of it is ever made.
 * Whoever takes the objects has all of them, and judges them against each other.
 *
 * Ids in files don't exist. Whoever replaces a stored model matches pools by name, services and zones by domain.
 *
 * @module
 */
import type { z } from "zod";
import {
  fallbackOf,
  type HealthBlock,
  healthSchema,
  type LoadbalancerBlock,
  loadbalancerSchema,
} from "./fallback_schema.ts";
import type { Fallback } from "./model.ts";
import {
  type PoolFile,
  poolFileSchema,
  type ServiceFile,
  serviceFileSchema,
  spelledPool,
  type ZoneFile,
  zoneFileSchema,
} from "./model_schema.ts";
import { isMapping, respell } from "../input/spelling.ts";
import { list } from "../input/fields.ts";
import { type JoinedPool, joinParts } from "./pool_parts.ts";
import { LineSplitter, type ModelLine, parseObject, readLine } from "./model_line.ts";
import {
  type FilePosition,
  type ObjectNoun,
  type ObjectPlace,
  type Place,
  Places,
  type RereadBytes,
} from "./places.ts";
import { ProblemList } from "./problem_list.ts";
import { lackOf, lackOfRule, type SteeringSettings } from "./steering.ts";
import { salvagePool, salvageService, salvageZone, standInName } from "./salvage.ts";
import { section, show, strictObject, unknownKeyMessage } from "../input/strict_object.ts";
import {
  type FileProblem,
  type Path,
  type Position,
  sortProblems,
  type Source,
  type YamlReading,
  type YamlSource,
} from "../input/yaml_source.ts";
import { readZoneText } from "./zone_text.ts";

/** A zone whose text was read. */
export interface ReadZone {
  /** Apex; lower-case, no final dot. */
  readonly domain: string;
  /** Zone-file text; empty where it can't be read. */
  readonly text: string;
  /** Names below the apex that have NS records: there the zone hands over to other servers. */
  readonly cuts: Iterable<string>;
}

/**
 * Takes the objects of a model, each fine in itself or else with what can be told of it. Each method gives the place of
 * the object that has its name already, which stays; `null` = there is none.
 */
export interface ModelSink {
  /** Takes a pool. */
  pool(pool: JoinedPool, place: Place): Place | null;
  /** Takes a service. */
  service(service: ServiceFile, place: Place): Place | null;
  /** Takes a zone. */
  zone(zone: ReadZone, place: Place): Place | null;
}

/** Something wrong between objects. */
export interface ObjectProblem extends ObjectPlace {
  /** What is wrong, with the value and the fix. */
  readonly message: string;
}

/** What a zone's `file:` leads to; `file` is its name in problems. */
export type ZoneFileReading = { readonly file: string; readonly text: string } | { readonly problem: string };

/**
 * Gets the text of a zone file.
 *
 * @param path as written, relative to `from`
 * @param from the file that names it
 */
export type ZoneFileReader = (path: string, from: string) => ZoneFileReading;

/** For models that come without files beside them, such as the body of a request. */
export const refuseZoneFiles: ZoneFileReader = () => ({
  problem: "zone files can't be read from here (write the records under text:)",
});

/** The sections of a model document, which are also the words that tell it from a settings file. */
export const MODEL_SECTIONS = ["pools", "services", "zones", "loadbalancer", "health"] as const;

/** Sections that only settings have, and any file of settings has some of. */
export const SETTINGS_SECTIONS = [
  "cluster",
  "node",
  "dns",
  "database",
  "api",
  "metrics",
  "log",
  "state",
  "gitops",
  "license",
] as const;

/** Those of a document that has no model in it. */
function settingsSections(document: Readonly<Record<string, unknown>>): string[] {
  const keys = Object.keys(document);
  if (["pools", "services", "zones"].some((key) => keys.includes(key))) return [];
  return keys.filter((key) => SETTINGS_SECTIONS.some((section) => section === key));
}

/** A whole model document: for the JSON Schema, since the reader checks object by object. */
export const modelFileSchema: z.ZodType = strictObject({
  pools: list("pools", poolFileSchema).default([]).meta({ description: "Pools with their members" }),
  services: list("services", serviceFileSchema).default([]).meta({
    description: "Domains that pools answer",
  }),
  zones: list("zones", zoneFileSchema).default([]).meta({ description: "Zones of static records" }),
  loadbalancer: section(loadbalancerSchema, "Replaces the settings' static fallback"),
  health: section(healthSchema, "How the endpoints of loadbalancer are probed"),
});

/**
 * Reads documents and lines in any number.
 *
 * @example
 * ```ts
 * const reader = new ModelReader({ sink: staging, readZoneFile: refuseZoneFiles });
 * const lines = reader.openLines({ file: "bulk.ndjson", reread: null });
 * lines.write(new TextEncoder().encode('{"pool": {"name": "web"}}'));
 * lines.end();
 * const fallback = reader.finish();
 * ```
 */
export class ModelReader {
  /** What is wrong; without any when the reader is finished, everything is fine in itself. */
  readonly problems: ProblemList = new ProblemList();
  readonly #sink: ModelSink;
  readonly #readZoneFile: ZoneFileReader;
  readonly #steering: SteeringSettings | null;
  readonly #places = new Places();
  readonly #notes: FileProblem[] = [];
  readonly #blocks = new Map<"loadbalancer" | "health", { readonly value: unknown; readonly at: Spot }>();

  /**
   * Begins with nothing read.
   *
   * @param options.steering what notes are made by; `null` = none are made
   */
  constructor({ sink, readZoneFile, steering = null }: {
    readonly sink: ModelSink;
    readonly readZoneFile: ZoneFileReader;
    readonly steering?: SteeringSettings | null;
  }) {
    this.#sink = sink;
    this.#readZoneFile = readZoneFile;
    this.#steering = steering;
  }

  /** Adds problems of files that nothing can be read of. */
  addProblems(problems: readonly FileProblem[]): void {
    for (const problem of problems) this.problems.add(problem);
  }

  /** Reads a document with any of the sections, as far as it could be parsed. */
  addDocument({ source, problems }: YamlReading): void {
    this.addProblems(problems);
    if (source === null) return;
    const root = source.value ?? {};
    if (!isMapping(root)) {
      return this.#reportAt(
        { source, path: [] },
        `a model is a mapping with ${MODEL_SECTIONS.join(", ")}, is ${show(root)}`,
      );
    }
    const settings = settingsSections(root);
    if (settings.length > 0) {
      const message = `this is a settings file (${settings.join(", ")}), not a model (keep it elsewhere)`;
      return this.problems.add({ file: source.file, ...source.locate([settings[0]!], "key"), message });
    }
    for (const [key, value] of Object.entries(root)) {
      if (value === null) continue;
      if (key === "pools" || key === "services" || key === "zones") this.#addList(key, value, source);
      else if (key === "loadbalancer" || key === "health") this.#addBlock(key, value, source);
      else if (!this.problems.isFull) {
        const message = unknownKeyMessage(key, { known: MODEL_SECTIONS });
        this.problems.add({ file: source.file, ...source.locate([key], "key"), message });
      }
    }
  }

  /**
   * Begins to read a file of NDJSON, to whose end nothing else is added. Blank lines are skipped.
   *
   * @param reread for the columns of problems that only show between objects; `null` = they have a line only
   */
  openLines({ file, reread }: { readonly file: string; readonly reread: RereadBytes | null }): LineSplitter {
    const numbers = this.#places.addLines(file, reread);
    return new LineSplitter({
      file,
      take: (line) => this.#addLine(line, numbers.add(line)),
      refuse: (problem) => this.problems.add(problem),
    });
  }

  /** Says that all is read. @returns the static fallback; `null` = there is none, or it is broken */
  finish(): Fallback | null {
    const fallback = this.#joinFallback();
    const lack = fallback && this.#steering && lackOf(fallback, this.#steering);
    if (lack) {
      const { source, path } = this.#blocks.get("loadbalancer")!.at;
      const message = `endpoints of loadbalancer only rotate: ${lack}`;
      this.#note({ source, path: [...path, "algorithm"] }, message);
    }
    return fallback;
  }

  /** Reports something wrong between objects. */
  report({ message, ...at }: ObjectProblem): void {
    if (!this.problems.isFull) this.problems.add({ ...this.#places.locate(at), message });
  }

  /** What steers less than it says, in printing order. */
  notes(): FileProblem[] {
    const sorted = sortProblems(this.#notes);
    if (sorted.length < NOTES_MAX) return sorted;
    const message = `no more than ${NOTES_MAX} such notes are shown`;
    return [...sorted, { file: sorted.at(-1)!.file, line: 0, column: 0, message }];
  }

  #addList(key: "pools" | "services" | "zones", list: unknown, source: Source): void {
    if (!Array.isArray(list)) {
      return this.#reportAt(
        { source, path: [key] },
        `${key} must be a list, is ${show(list)} (begin each one with "- ")`,
      );
    }
    const first = this.#places.addList(source, { key, length: list.length });
    for (const [i, value] of list.entries()) {
      if (this.problems.isFull) return;
      const at = { source, path: [key, i] };
      const place = first + i;
      if (key === "pools") {
        const pool = this.#parse(poolFileSchema, spelledPool(value), at);
        this.#addPool(pool ?? salvagePool(value, place), { at, place });
      } else if (key === "services") {
        const service = this.#parse(serviceFileSchema, value, at) ?? salvageService(value, place);
        this.#addService(service, { at, place });
      } else {
        const zone = this.#parse(zoneFileSchema, value, at) ?? salvageZone(value);
        if (zone) this.#addZone(zone, { at, place });
      }
    }
  }

  #addLine(line: ModelLine, place: Place): void {
    if (this.problems.isFull) return;
    const { object, problems, source } = readLine(line, { place });
    this.addProblems(problems);
    if (object === null || object.kind === "blank") return;
    const at = { source, path: [object.kind] };
    switch (object.kind) {
      case "pool":
        return this.#addPool(object.value, { at, place });
      case "service":
        return this.#addService(object.value, { at, place });
      case "zone":
        return this.#addZone(object.value, { at, place });
      default:
        return this.#addBlock(object.kind, object.value, source);
    }
  }

  #addPool(file: PoolFile, { at, place }: ObjectSpot): void {
    const { pool, problems } = joinParts(file);
    for (const { path, other, message } of problems) {
      const part = { ...at, path: [...at.path, ...path] };
      if (other === null) this.#reportAt(part, message);
      else this.#reportTwice(part, { message, first: locateIn({ ...at, path: [...at.path, ...other] }) });
    }
    this.#noteLacks(file, at);
    const first = this.#sink.pool(pool, place);
    if (first === null) return;
    this.#reportDefinedTwice({ noun: "pool", field: "name", name: pool.name }, { at, first });
    // What a repeated one refers to is judged all the same.
    this.#sink.pool({ ...pool, name: standInName(place) }, place);
  }

  #addService(service: ServiceFile, { at, place }: ObjectSpot): void {
    const first = this.#sink.service(service, place);
    if (first === null) return;
    this.#reportDefinedTwice({ noun: "service", field: "domain", name: service.domain }, { at, first });
    this.#sink.service({ ...service, domain: standInName(place) }, place);
  }

  #addZone({ domain, file, text }: ZoneFile, { at, place }: ObjectSpot): void {
    const reading = text === null ? this.#readZone(file, at) : { file: null, text };
    const content = reading && readZoneText(reading.text, { domain });
    for (const problem of content?.problems ?? []) {
      this.#reportInZone(problem, { at, file: reading!.file });
    }
    const first = this.#sink.zone({ domain, text: reading?.text ?? "", cuts: content?.cuts ?? [] }, place);
    if (first === null) return;
    this.#reportDefinedTwice({ noun: "zone", field: "domain", name: domain }, { at, first });
  }

  #addBlock(key: "loadbalancer" | "health", value: unknown, source: Source): void {
    const at = { source, path: [key] };
    if (isMapping(value) && Object.keys(value).length === 0) return;
    const before = this.#blocks.get(key);
    if (!before) return void this.#blocks.set(key, { value, at });
    this.#reportTwice(at, { message: `${key} is given twice`, first: locateIn(before.at) });
  }

  #parse<Value extends object>(schema: z.ZodType<Value>, value: unknown, at: Spot): Value | null {
    const parsed = parseObject(schema, { value, ...at });
    if (!Array.isArray(parsed)) return parsed;
    this.addProblems(parsed);
    return null;
  }

  #readZone(file: string | null, at: Spot): { readonly file: string; readonly text: string } | null {
    if (file === null) return null;
    const reading = this.#readZoneFile(file, at.source.file);
    if (!("problem" in reading)) return reading;
    this.#reportAt({ ...at, path: [...at.path, "file"] }, reading.problem);
    return null;
  }

  #reportInZone(
    { line, column, message }: Position & { readonly message: string },
    { at, file }: { readonly at: Spot; readonly file: string | null },
  ): void {
    if (file !== null) return this.problems.add({ file, line, column, message });
    const { source } = at;
    const path = [...at.path, "text"];
    const inText = "locateInText" in source ? source.locateInText(path, { line, column }) : null;
    if (inText !== null) this.problems.add({ file: source.file, ...inText, message });
    else this.#reportAt({ source, path }, `line ${line} of the text: ${message}`);
  }

  #joinFallback(): Fallback | null {
    const block = this.#blocks.get("loadbalancer");
    const healthGiven = this.#blocks.get("health");
    const loadbalancer: LoadbalancerBlock | null = block ? this.#parseBlock(loadbalancerSchema, block) : null;
    const health: HealthBlock | null = healthGiven ? this.#parseBlock(healthSchema, healthGiven) : null;
    if (healthGiven && !block) {
      this.#reportAt(
        healthGiven.at,
        "health checks the endpoints of loadbalancer, which is missing (add loadbalancer.endpoints, or give the pools a healthCheck)",
      );
    }
    if (!loadbalancer || (healthGiven && !health)) return null;
    const joined = fallbackOf(loadbalancer, health);
    if ("fallback" in joined) return joined.fallback;
    this.#reportAt(healthGiven!.at, joined.problem);
    return null;
  }

  #parseBlock<Value extends object>(
    schema: z.ZodType<Value>,
    { value, at }: { readonly value: unknown; readonly at: Spot },
  ): Value | null {
    const spelled = respell(value, at);
    this.addProblems(spelled.problems);
    return this.#parse(schema, value, { source: spelled.source, path: at.path });
  }

  #noteLacks(pool: PoolFile, { source, path }: Spot): void {
    if (this.#steering === null || this.#notes.length >= NOTES_MAX) return;
    const lack = lackOf(pool, this.#steering);
    if (lack !== null) {
      const message = `members of pool "${pool.name}" only rotate: ${lack}`;
      this.#note({ source, path: [...path, "algorithm"] }, message);
    }
    for (const [i, rule] of pool.geoRules.entries()) {
      const missing = lackOfRule(rule, this.#steering);
      if (missing === null) continue;
      this.#note({ source, path: [...path, "geoRules", i] }, `this geo rule never matches: ${missing}`);
    }
  }

  #note(at: Spot, message: string): void {
    if (this.#notes.length < NOTES_MAX) this.#notes.push({ ...locateIn(at), message });
  }

  #reportDefinedTwice(
    { noun, field, name }: { readonly noun: ObjectNoun; readonly field: string; readonly name: string },
    { at, first }: { readonly at: Spot; readonly first: Place },
  ): void {
    if (this.problems.isFull) return;
    this.#reportTwice({ ...at, path: [...at.path, field] }, {
      message: `${noun} "${name}" is defined twice`,
      first: this.#places.locate({ noun, place: first, path: [] }),
    });
  }

  #reportTwice(
    at: Spot,
    { message, first: { file, line, column } }: { readonly message: string; readonly first: FilePosition },
  ): void {
    this.#reportAt(at, `${message} (also at ${file}:${line}:${column}); keep one`);
  }

  #reportAt(at: Spot, message: string): void {
    if (!this.problems.isFull) this.problems.add({ ...locateIn(at), message });
  }
}

/** Notes are about what is let pass: a few show what is meant. */
const NOTES_MAX = 20;

/** Where something stands that is being read. */
interface Spot {
  readonly source: Source | YamlSource;
  readonly path: Path;
}

/** Where an object stands that is being read. */
interface ObjectSpot {
  readonly at: Spot;
  readonly place: Place;
}

function locateIn({ source, path }: Spot): FilePosition {
  return { file: source.file, ...source.locate(path) };
}
