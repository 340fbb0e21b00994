/**
 * The model as files: pools, services and zones in YAML (or JSON) documents that are merged, or one object a
 * line (NDJSON) for bulk data.
 *
 * Reading finds every problem it can, not just the first: each object is checked on its own, then all of them are
 * checked against each other, also what can be told of those that are broken.
 *
 * Ids in files don't exist; what is read gets fresh ones. Whoever replaces a stored model matches pools by name,
 * services and zones by domain.
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
import { newId } from "./id.ts";
import type { Fallback, Member, Model, Pool, Service, Zone } from "./model.ts";
import {
  type PoolFile,
  poolFileSchema,
  type ServiceFile,
  serviceFileSchema,
  type ZoneFile,
  zoneFileSchema,
} from "./model_schema.ts";
import { isMapping, respell } from "../input/spelling.ts";
import { list } from "../input/fields.ts";
import { joinParts, repeated } from "./pool_parts.ts";
import { type ModelLine, parseObject, readLine, type RereadBytes } from "./model_line.ts";
import { nearest } from "../input/nearest.ts";
import { lackOf, lackOfRule, type SteeringSettings } from "./steering.ts";
import { isStandIn, salvagePool, salvageService, salvageZone, standInName } from "./salvage.ts";
import { section, show, strictObject, unknownKeyMessage } from "../input/strict_object.ts";
import {
  type FileProblem,
  type Path,
  type Position,
  sortProblems,
  type Source,
  type YamlSource,
} from "../input/yaml_source.ts";
import { delegationAbove, readZoneText } from "./zone_text.ts";

/** A model, or why there is none. */
export type ModelReading =
  | { readonly model: Model; readonly problems: readonly [] }
  | { readonly model: null; readonly problems: readonly FileProblem[] };

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
 * Collects documents and lines in any number, then joins them to a model.
 *
 * @example
 * ```ts
 * const reader = new ModelReader({ readZoneFile: refuseZoneFiles });
 * reader.addLine({ file: "bulk.ndjson", line: 1, text: '{"pool": {"name": "web"}}' });
 * const { model, problems } = reader.finish();
 * ```
 */
export class ModelReader {
  readonly #readZoneFile: ZoneFileReader;
  readonly #problems: FileProblem[] = [];
  readonly #pools = new Definitions<PoolFile>("pool");
  readonly #services = new Definitions<ServiceFile>("service");
  readonly #zones = new Definitions<ZoneFile>("zone");
  readonly #blocks = new Map<"loadbalancer" | "health", Defined<unknown>>();
  #standIns = 0;
  /** Known when the reader is finished. */
  #fallback: Fallback | null = null;
  #comparisonsLeft = COMPARISONS_MAX;

  /** Begins with nothing read. */
  constructor({ readZoneFile }: { readonly readZoneFile: ZoneFileReader }) {
    this.#readZoneFile = readZoneFile;
  }

  /** Objects read so far that are fine in themselves. */
  get counts(): ModelCounts {
    let members = 0;
    for (const { value, broken } of this.#pools.all()) if (!broken) members += value.members.length;
    return { pools: this.#pools.size, members, services: this.#services.size, zones: this.#zones.size };
  }

  /** Adds problems that were found before a document could be handed over, such as bad syntax. */
  addProblems(problems: readonly FileProblem[]): void {
    for (const problem of problems) this.#report(problem);
  }

  /** Adds a document with any of the sections. */
  addDocument(source: YamlSource): void {
    const root = source.value ?? {};
    if (!isMapping(root)) {
      return this.#reportAt(
        { source, path: [] },
        `a model is a mapping with ${MODEL_SECTIONS.join(", ")}, is ${show(root)}`,
      );
    }
    for (const [key, value] of Object.entries(root)) {
      if (value === null) continue;
      if (key === "pools" || key === "services" || key === "zones") this.#addList(key, value, source);
      else if (key === "loadbalancer" || key === "health") this.#addBlock(key, value, source);
      else if (!this.#isFull()) {
        const at = source.locate([key], "key");
        this.#report({
          file: source.file,
          ...at,
          message: unknownKeyMessage(key, { known: MODEL_SECTIONS }),
        });
      }
    }
  }

  /**
   * Adds a line of NDJSON; blank ones are skipped.
   *
   * @param reread for the columns of problems that only show between lines
   */
  addLine(line: ModelLine, reread?: RereadBytes): void {
    const { object, problems, source } = readLine(line, reread);
    this.addProblems(problems);
    if (object === null) return;
    const broken = problems.length > 0;
    const place = { source, path: [object.kind] };
    if (object.kind === "pool") {
      this.#pools.add(object.value.name, { value: object.value, place, broken });
    } else if (object.kind === "service") {
      this.#services.add(object.value.domain, { value: object.value, place, broken });
    } else if (object.kind === "zone") {
      this.#zones.add(object.value.domain, { value: object.value, place, broken });
    } else if (object.kind !== "blank") this.#addBlock(object.kind, object.value, source);
    source.forgetText();
  }

  /** Checks the objects against each other; the reader is used up, but for its notes. */
  finish(): ModelReading {
    this.#reportDuplicates();
    const pools = this.#joinPools();
    const services = this.#joinServices(pools);
    const zones = this.#joinZones();
    const fallback = this.#joinFallback();
    this.#fallback = fallback;
    if (this.#problems.length > 0) return { model: null, problems: this.#sortedProblems() };
    return { model: { generation: 0, pools: [...pools.values()], services, zones, fallback }, problems: [] };
  }

  /** What steers less than it says where these settings hold, in printing order. */
  notes(settings: SteeringSettings): FileProblem[] {
    const notes: FileProblem[] = [];
    const note = ({ source, path }: Place, message: string) => {
      if (notes.length < NOTES_MAX) notes.push({ file: source.file, ...source.locate(path), message });
    };
    for (const { value, place } of this.#pools.all()) {
      const lack = lackOf(value, settings);
      if (lack !== null) {
        note(
          { ...place, path: [...place.path, "algorithm"] },
          `members of pool "${value.name}" only take turns: ${lack}`,
        );
      }
      for (const [i, rule] of value.geoRules.entries()) {
        const missing = lackOfRule(rule, settings);
        if (missing === null) continue;
        note({ ...place, path: [...place.path, "geoRules", i] }, `this geo rule never matches: ${missing}`);
      }
    }
    const fallback = this.#blocks.get("loadbalancer");
    const lack = this.#fallback && lackOf(this.#fallback, settings);
    if (fallback && lack) {
      const message = `endpoints of loadbalancer only take turns: ${lack}`;
      note({ ...fallback.place, path: [...fallback.place.path, "algorithm"] }, message);
    }
    const sorted = sortProblems(notes);
    if (notes.length < NOTES_MAX) return sorted;
    const message = `no more than ${NOTES_MAX} such notes are made`;
    return [...sorted, { file: sorted.at(-1)!.file, line: 0, column: 0, message }];
  }

  #addList(key: "pools" | "services" | "zones", list: unknown, source: Source): void {
    if (!Array.isArray(list)) {
      return this.#reportAt(
        { source, path: [key] },
        `${key} must be a list, is ${show(list)} (begin each one with "- ")`,
      );
    }
    for (const [i, value] of list.entries()) {
      if (this.#isFull()) return;
      const place = { source, path: [key, i] };
      if (key === "pools") this.#addPool(value, place);
      else if (key === "services") this.#addService(value, place);
      else this.#addZone(value, place);
    }
  }

  #addPool(value: unknown, place: Place): void {
    const pool = this.#parse(poolFileSchema, { value, place });
    const kept = pool ?? salvagePool(value, this.#standIns++);
    this.#pools.add(kept.name, { value: kept, place, broken: pool === null });
  }

  #addService(value: unknown, place: Place): void {
    const service = this.#parse(serviceFileSchema, { value, place });
    const kept = service ?? salvageService(value, this.#standIns++);
    this.#services.add(kept.domain, { value: kept, place, broken: service === null });
  }

  #addZone(value: unknown, place: Place): void {
    const zone = this.#parse(zoneFileSchema, { value, place });
    const kept = zone ?? salvageZone(value);
    if (kept) this.#zones.add(kept.domain, { value: kept, place, broken: zone === null });
  }

  #addBlock(key: "loadbalancer" | "health", value: unknown, source: Source): void {
    const place = { source, path: [key] };
    if (isMapping(value) && Object.keys(value).length === 0) return;
    const before = this.#blocks.get(key);
    if (before) {
      return this.#reportAt(place, `${key} is given twice (also at ${formatPlace(before.place)}); keep one`);
    }
    this.#blocks.set(key, { value, place, broken: false });
  }

  #parse<Value extends object>(
    schema: z.ZodType<Value>,
    { value, place }: { value: unknown; place: Place },
  ): Value | null {
    const parsed = parseObject(schema, { value, source: place.source, path: place.path });
    if (!Array.isArray(parsed)) return parsed;
    this.addProblems(parsed);
    return null;
  }

  #reportDuplicates(): void {
    for (const definitions of [this.#pools, this.#services, this.#zones]) {
      for (const { kind, name, first, second } of definitions.duplicates) {
        this.#reportAt(
          { source: second.source, path: [...second.path, kind === "pool" ? "name" : "domain"] },
          `${kind} "${name}" is defined twice (also at ${formatPlace(first)}); keep one`,
        );
      }
    }
  }

  #joinPools(): Map<string, Pool> {
    const pools = new Map<string, Pool>();
    const ids = new Map<string, string>();
    for (const { value } of this.#pools.all()) ids.set(value.name, newId());
    for (const { value, place } of this.#pools.all()) {
      const { fallbackPool, members: _, geoRules: __, ...fields } = value;
      const fallbackPoolId = fallbackPool === null ? null : ids.get(fallbackPool) ?? null;
      if (fallbackPool !== null) {
        this.#checkPoolName(fallbackPool, { ...place, path: [...place.path, "fallbackPool"] });
      }
      pools.set(value.name, {
        id: ids.get(value.name)!,
        ...fields,
        fallbackPoolId,
        ...this.#joinParts(value, place),
      });
    }
    this.#reportFallbackCycles();
    return pools;
  }

  #joinParts(pool: PoolFile, place: Place): Pick<Pool, "members" | "geoRules"> {
    const { members: fields, geoRules, problems } = joinParts(pool);
    for (const { path, other, message } of problems) {
      this.#reportAt(
        { ...place, path: [...place.path, ...path] },
        other === null
          ? message
          : repeated(message, formatPlace({ ...place, path: [...place.path, ...other] })),
      );
    }
    const members: Member[] = fields.map((member) => ({ id: newId(), ...member }));
    return {
      members,
      geoRules: geoRules.map(({ member, ...match }) => ({
        id: newId(),
        ...match,
        memberId: members[member]!.id,
      })),
    };
  }

  /** Follows each pool's chain of fallbacks; a cycle is reported once, at the pool of it that is met first. */
  #reportFallbackCycles(): void {
    const settled = new Set<string>();
    for (const { value } of this.#pools.all()) {
      const chain = new Set<string>();
      let name: string | null = value.name;
      while (name !== null && !settled.has(name) && !chain.has(name)) {
        chain.add(name);
        name = this.#pools.get(name)?.value.fallbackPool ?? null;
      }
      if (name !== null && chain.has(name)) {
        const names = [...chain];
        const cycle = [...names.slice(names.indexOf(name)), name].join(" → ");
        const { place } = this.#pools.get(name)!;
        this.#reportAt(
          { ...place, path: [...place.path, "fallbackPool"] },
          `pools fall back to each other in a circle: ${cycle} (let one of them have another onAllDown)`,
        );
      }
      for (const passed of chain) settled.add(passed);
    }
  }

  #joinServices(pools: ReadonlyMap<string, Pool>): Service[] {
    const services: Service[] = [];
    for (const { value: { pool, ...fields }, place } of this.#services.all()) {
      if (pool !== null) this.#checkPoolName(pool, { ...place, path: [...place.path, "pool"] });
      const joined = pool === null ? undefined : pools.get(pool);
      if (joined?.members.some(({ target }) => target === fields.domain)) {
        this.#reportAt(
          { ...place, path: [...place.path, "pool"] },
          `pool "${joined.name}" has the service's own name as a member (name the host that is behind it, or another pool)`,
        );
      }
      services.push({ id: newId(), ...fields, poolId: joined?.id ?? null });
    }
    return services;
  }

  #checkPoolName(name: string, place: Place): void {
    if (this.#pools.has(name) || this.#isFull()) return;
    this.#comparisonsLeft -= this.#pools.size;
    const near = this.#comparisonsLeft > 0 ? nearest(name, this.#pools.names()) : null;
    this.#reportAt(
      place,
      `pool "${name}" doesn't exist (${
        near === null ? "define it under pools:" : `did you mean "${near}"?`
      })`,
    );
  }

  #joinZones(): Zone[] {
    const zones: Zone[] = [];
    const cuts = new Map<string, ReadonlySet<string>>();
    for (const { value: { domain, file, text }, place } of this.#zones.all()) {
      const reading = text === null ? this.#readZone(file, place) : { file: null, text };
      cuts.set(domain, new Set());
      if (reading === null) continue;
      zones.push({ domain, text: reading.text });
      const content = readZoneText(reading.text, { domain });
      cuts.set(domain, new Set(content.cuts));
      for (const problem of content.problems) this.#reportInZone(problem, { place, file: reading.file });
    }
    this.#reportServicesBelow(cuts);
    return zones;
  }

  #readZone(file: string | null, place: Place): { readonly file: string; readonly text: string } | null {
    if (file === null) return null;
    const reading = this.#readZoneFile(file, place.source.file);
    if (!("problem" in reading)) return reading;
    this.#reportAt({ ...place, path: [...place.path, "file"] }, reading.problem);
    return null;
  }

  #reportInZone(
    { line, column, message }: Position & { readonly message: string },
    { place, file }: { readonly place: Place; readonly file: string | null },
  ): void {
    if (file !== null) return this.#report({ file, line, column, message });
    const { source } = place;
    const path = [...place.path, "text"];
    const at = "locateInText" in source ? source.locateInText(path, { line, column }) : null;
    if (at !== null) this.#report({ file: source.file, ...at, message });
    else this.#reportAt({ source, path }, `line ${line} of the text: ${message}`);
  }

  #reportServicesBelow(cuts: ReadonlyMap<string, ReadonlySet<string>>): void {
    if (cuts.size === 0) return;
    for (const { value, place } of this.#services.all()) {
      const cut = delegationAbove(value.domain, cuts);
      if (cut === null) continue;
      this.#reportAt(
        { ...place, path: [...place.path, "domain"] },
        `service "${value.domain}" is below "${cut}", which NS records delegate to other servers (serve the zone "${cut}" here too, or delete the delegation)`,
      );
    }
  }

  #joinFallback(): Fallback | null {
    const block = this.#blocks.get("loadbalancer");
    const healthDefined = this.#blocks.get("health");
    const loadbalancer: LoadbalancerBlock | null = block ? this.#parseBlock(loadbalancerSchema, block) : null;
    const health: HealthBlock | null = healthDefined ? this.#parseBlock(healthSchema, healthDefined) : null;
    if (healthDefined && !block) {
      this.#reportAt(
        healthDefined.place,
        "health checks the endpoints of loadbalancer, which is missing (add loadbalancer.endpoints, or give the pools a healthCheck)",
      );
    }
    if (!loadbalancer || (healthDefined && !health)) return null;
    const joined = fallbackOf(loadbalancer, health);
    if ("fallback" in joined) return joined.fallback;
    this.#reportAt(healthDefined!.place, joined.problem);
    return null;
  }

  #parseBlock<Value extends object>(
    schema: z.ZodType<Value>,
    { value, place }: Omit<Defined<unknown>, "broken">,
  ): Value | null {
    const spelled = respell(value, { source: place.source, path: place.path });
    this.addProblems(spelled.problems);
    return this.#parse(schema, { value, place: { source: spelled.source, path: place.path } });
  }

  #reportAt({ source, path }: Place, message: string): void {
    if (!this.#isFull()) this.#report({ file: source.file, ...source.locate(path), message });
  }

  #report(problem: FileProblem): void {
    if (!this.#isFull()) this.#problems.push(problem);
  }

  /** From then on no problem is looked for: each costs a guess and a place. */
  #isFull(): boolean {
    return this.#problems.length >= PROBLEMS_MAX;
  }

  #sortedProblems(): FileProblem[] {
    const sorted = sortProblems(this.#problems);
    if (!this.#isFull()) return sorted;
    const message = `no more than ${PROBLEMS_MAX} problems are looked for (fix these first)`;
    return [...sorted, { file: sorted.at(-1)!.file, line: 0, column: 0, message }];
  }
}

/** How many objects there are. */
export interface ModelCounts {
  /** Pools by name. */
  readonly pools: number;
  /** Members of all pools. */
  readonly members: number;
  /** Services by domain. */
  readonly services: number;
  /** Zones by domain. */
  readonly zones: number;
}

/** Nobody reads more, and a million broken lines must not fill the memory with sentences. */
const PROBLEMS_MAX = 1000;

/** Notes are about what is let pass: a few show what is meant. */
const NOTES_MAX = 20;

/** Names that a missing one is compared with, of all missing ones together: some 100 ms. */
const COMPARISONS_MAX = 100_000;

interface Place {
  readonly source: Source | YamlSource;
  readonly path: Path;
}

interface Defined<Value> {
  readonly value: Value;
  readonly place: Place;
  /** Whether it is only what can be told of an object with problems of its own. */
  readonly broken: boolean;
}

interface Duplicate {
  readonly kind: string;
  readonly name: string;
  readonly first: Place;
  readonly second: Place;
}

/** Objects by name, in the order of the files; of two with one name the second has a stand-in's. */
class Definitions<Value> {
  readonly duplicates: Duplicate[] = [];
  readonly #byName = new Map<string, Defined<Value>>();
  #fine = 0;

  constructor(readonly kind: string) {}

  /** How many are fine in themselves. */
  get size(): number {
    return this.#fine;
  }

  add(name: string, defined: Defined<Value>): void {
    const first = this.#byName.get(name);
    if (!defined.broken) this.#fine++;
    if (!first) return void this.#byName.set(name, defined);
    this.duplicates.push({ kind: this.kind, name, first: first.place, second: defined.place });
    // What it refers to is judged all the same.
    this.#byName.set(standInName(-this.duplicates.length), { ...defined, broken: true });
  }

  all(): Iterable<Defined<Value>> {
    return this.#byName.values();
  }

  get(name: string): Defined<Value> | undefined {
    return this.#byName.get(name);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  names(): Iterable<string> {
    return this.#byName.keys().filter((name) => !isStandIn(name));
  }
}

function formatPlace({ source, path }: Place): string {
  const { line, column } = source.locate(path);
  return `${source.file}:${line}:${column}`;
}
