/**
 * The model as text that reads back to the same model: YAML for people and Git, NDJSON for bulk.
 *
 * The output is canonical: pools by name, services and zones by domain, members by address or host name and port, keys in the
 * order of the documentation, what has its default value left out. So two exports differ only where the models
 * do, and export → read → export yields the same bytes.
 *
 * @module
 */
import { Document, visit } from "yaml";
import { parseIp } from "../ip.ts";
import { formatDuration } from "../input/duration.ts";
import { fallbackBlocks, healthSchema, loadbalancerSchema } from "./fallback_schema.ts";
import {
  addressOf,
  type HealthCheck,
  type Member,
  type Model,
  type Pool,
  type Service,
  type Zone,
} from "./model.ts";
import { healthCheckSchema, memberFieldsSchema, poolFileSchema, serviceFileSchema } from "./model_schema.ts";
import { isMapping } from "../input/spelling.ts";
import { compareText } from "../input/yaml_source.ts";

/** The model as canonical YAML; an empty model is a comment. */
export function exportModel(model: Model): string {
  return [...streamedYaml(streamed(model))].join("");
}

/** A model in memory, to be read once from one end to the other. */
export function streamed(model: Model): StreamedModel {
  return {
    pools: sortedPools(model),
    services: sortedServices(model),
    zones: sortedZones(model),
    fallback: model.fallback,
    names: poolNames(model),
  };
}

/** Canonical YAML of a model that is read as it is written, an object a text, so that others may have turns in between. */
export function* streamedYaml(model: StreamedModel): Generator<string> {
  let isBare = true;
  for (const [key, entries] of listsOf(model)) {
    let isFirst = true;
    for (const entry of entries) {
      // What an entry is written as doesn't depend on those around it.
      const text = yamlOf({ [key]: [entry] });
      yield isFirst ? text : text.slice(`${key}:\n`.length);
      isFirst = isBare = false;
    }
  }
  for (const [key, block] of filledBlocks(model)) {
    yield yamlOf({ [key]: block });
    isBare = false;
  }
  if (isBare) yield "# The model is empty.\n";
}

/** The same as JSON: the document that the YAML is. */
export function* streamedJson(model: StreamedModel): Generator<string> {
  let before = "{";
  for (const [key, entries] of listsOf(model)) {
    let isFirst = true;
    for (const entry of entries) {
      yield `${isFirst ? `${before}"${key}":[` : ","}${JSON.stringify(entry)}`;
      isFirst = false;
    }
    if (isFirst) continue;
    yield "]";
    before = ",";
  }
  for (const [key, block] of filledBlocks(model)) {
    yield `${before}"${key}":${JSON.stringify(block)}`;
    before = ",";
  }
  yield before === "{" ? "{}" : "}";
}

function* listsOf({ pools, services, zones, names }: StreamedModel): Generator<[string, Iterable<Entry>]> {
  yield ["pools", mapped(pools, (pool) => poolEntry(pool, names))];
  yield ["services", mapped(services, (service) => serviceEntry(service, names))];
  yield ["zones", mapped(zones, zoneEntry)];
}

function* mapped<Item>(items: Iterable<Item>, entryOf: (item: Item) => Entry): Generator<Entry> {
  for (const item of items) yield entryOf(item);
}

function filledBlocks(model: Pick<Model, "fallback">): [string, Entry][] {
  return Object.entries<Entry>(fallbackEntries(model)).filter(([, block]) => !isEmpty(block));
}

function yamlOf(value: Entry): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Scalar(key, node) {
      if (key === "key" || typeof node.value !== "string" || !node.value.includes("\n")) return;
      node.type = "BLOCK_LITERAL";
    },
  });
  return document.toString({ lineWidth: 0 });
}

/** What says nothing as NDJSON: no line at all would read as a file that got lost. */
export const EMPTY_NDJSON: string = `${JSON.stringify({ loadbalancer: {} })}\n`;

/**
 * The model as NDJSON, an object a line. Each text is some whole lines with their line feeds: a stream that carried
 * line by line would spend more on its chunks than on what is in them.
 */
export function* exportNdjson(model: Model): Generator<string> {
  if (isEmptyModel(model)) yield EMPTY_NDJSON;
  else yield* streamedNdjson(streamed(model));
}

/** The same of a model that is read as it is written; of an empty one nothing comes. */
export function* streamedNdjson(model: StreamedModel): Generator<string> {
  let block = "";
  for (const object of lineObjects(model)) {
    block += `${JSON.stringify(object)}\n`;
    if (block.length < BLOCK_LENGTH) continue;
    yield block;
    block = "";
  }
  if (block !== "") yield block;
}

/** As long as pipes and sockets take at once. */
const BLOCK_LENGTH = 64 * 1024;

function* lineObjects({ pools, services, zones, fallback, names }: StreamedModel): Generator<Entry> {
  for (const pool of pools) yield { pool: poolEntry(pool, names) };
  for (const service of services) yield { service: serviceEntry(service, names) };
  for (const zone of zones) yield { zone: zoneEntry(zone) };
  for (const [key, block] of filledBlocks({ fallback })) yield { [key]: block };
}

/** A model that is read once from one end to the other: pools by name, services and zones by domain. */
export interface StreamedModel extends Pick<Model, "zones" | "fallback"> {
  /** With all their parts. */
  readonly pools: Iterable<Pool>;
  /** Read after the pools. */
  readonly services: Iterable<Service>;
  /** The names of pools by id. */
  readonly names: PoolNames;
}

/** Finds the name of a pool. */
export interface PoolNames {
  /** Its name; `undefined` = there is no such pool. */
  get(id: string): string | undefined;
}

/** A model as texts without any id: equal models give equal texts, whatever node they lie on. */
export function* canonicalTexts(
  { pools, services, zones, fallback, names }: StreamedModel,
): Generator<string> {
  for (const pool of pools) yield JSON.stringify(poolEntry(pool, names));
  for (const service of services) yield JSON.stringify(serviceEntry(service, names));
  for (const zone of zones) yield JSON.stringify(zoneEntry(zone));
  yield JSON.stringify(fallbackEntries({ fallback }));
}

type Entry = Readonly<Record<string, unknown>>;

function poolEntry(pool: Pool, names: PoolNames): Entry {
  const members = pool.members.toSorted(compareMembers);
  const addresses = new Map(members.map((member) => [member.id, addressOf(member)]));
  const entry = withoutDefaults({
    ...pool,
    members: null,
    healthCheck: null,
    geoRules: null,
    fallbackPool: pool.fallbackPoolId === null ? null : names.get(pool.fallbackPoolId) ?? null,
  }, POOL_DEFAULTS);
  const geoRules = pool.geoRules.map(({ memberId, ...match }) =>
    withoutDefaults({ ...match, member: addresses.get(memberId) }, GEO_RULE_DEFAULTS)
  );
  const { discover, ...rest } = entry;
  const isFoundOnly = discover !== undefined && members.length === 0;
  return {
    ...isFoundOnly ? { ...rest, members: { discover } } : entry,
    ...(members.length > 0 && { members: members.map(memberEntry) }),
    // An empty mapping would read as a check with every default, which is not the same as no check.
    ...(pool.healthCheck && { healthCheck: checkEntry(pool.healthCheck) }),
    ...(geoRules.length > 0 && {
      geoRules: geoRules.toSorted((a, b) => compareText(JSON.stringify(a), JSON.stringify(b))),
    }),
  };
}

function checkEntry(check: HealthCheck): Entry {
  const checks = check.checks.map(checkEntry);
  return { type: check.type, ...withoutDefaults({ ...check, checks }, CHECK_DEFAULTS) };
}

function memberEntry(member: Member): Entry {
  return withoutDefaults({ ...member }, MEMBER_DEFAULTS);
}

function serviceEntry({ poolId, ...service }: Service, names: PoolNames): Entry {
  const pool = poolId === null ? null : names.get(poolId) ?? null;
  return withoutDefaults({ ...service, pool }, SERVICE_DEFAULTS);
}

function zoneEntry({ domain, text }: Zone): Entry {
  return { domain, text };
}

function fallbackEntries(
  { fallback }: Pick<Model, "fallback">,
): { readonly loadbalancer?: Entry; readonly health?: Entry } {
  if (fallback === null) return {};
  const { loadbalancer, health } = fallbackBlocks(fallback);
  const weights = Object.fromEntries(Object.entries(fallback.weights).sort(([a], [b]) => compareText(a, b)));
  const { http, ...fields } = health;
  const { http: httpDefaults, ...defaults } = HEALTH_DEFAULTS;
  const httpEntry = withoutDefaults(isMapping(http) ? http : {}, isMapping(httpDefaults) ? httpDefaults : {});
  return {
    loadbalancer: withoutDefaults({ ...loadbalancer, weights }, LOADBALANCER_DEFAULTS),
    health: { ...withoutDefaults(fields, defaults), ...(!isEmpty(httpEntry) && { http: httpEntry }) },
  };
}

/** What the schemas make of objects that have nothing but what is required. */
const POOL_DEFAULTS: Entry = poolFileSchema.parse({ name: "any" });
const MEMBER_DEFAULTS: Entry = memberFieldsSchema.parse({ ipAddress: "192.0.2.1", port: 1 });
const CHECK_DEFAULTS: Entry = healthCheckSchema.parse({});
const SERVICE_DEFAULTS: Entry = serviceFileSchema.parse({ domain: "example.com" });
const LOADBALANCER_DEFAULTS: Entry = loadbalancerSchema.parse({});
const GEO_RULE_DEFAULTS: Entry = { cidr: null, country: null, continent: null, asn: null, member: null };
/** Durations as text, as files have them. */
const HEALTH_DEFAULTS: Entry = (() => {
  const { type, port, checkInterval, timeout, rise, fall, http } = healthSchema.parse({});
  return {
    type,
    port,
    checkInterval: formatDuration(checkInterval),
    timeout: formatDuration(timeout),
    rise,
    fall,
    http: { ...http },
  };
})();
const REQUIRED: ReadonlySet<string> = new Set(["name", "ipAddress", "port", "domain", "member", "endpoints"]);

/** Keys in the order of the schema, whatever order the object has, so that equal models are equal texts. */
function withoutDefaults(entry: Entry, defaults: Entry): Entry {
  const kept = Object.entries(defaults).filter(([key, byDefault]) => {
    const value = entry[key] ?? null;
    return value !== null && (REQUIRED.has(key) || JSON.stringify(value) !== JSON.stringify(byDefault));
  });
  return Object.fromEntries(kept.map(([key]) => [key, entry[key]]));
}

function poolNames({ pools }: Model): PoolNames {
  return new Map(pools.map(({ id, name }) => [id, name]));
}

function sortedPools({ pools }: Model): Pool[] {
  return pools.toSorted((a, b) => compareText(a.name, b.name));
}

function sortedServices({ services }: Model): Service[] {
  return services.toSorted((a, b) => compareText(a.domain, b.domain));
}

function sortedZones({ zones }: Model): Zone[] {
  return zones.toSorted((a, b) => compareText(a.domain, b.domain));
}

/** IPv4 before IPv6, by number, then names; then by port. */
function compareMembers(a: Member, b: Member): number {
  return compareText(sortKey(a), sortKey(b)) || a.port - b.port;
}

function sortKey(member: Member): string {
  const bytes = parseIp(member.ipAddress ?? "");
  return bytes === null ? `\u00ff${member.target}` : String.fromCharCode(bytes.length, ...bytes);
}

function isEmptyModel({ pools, services, zones, fallback }: Model): boolean {
  return pools.length + services.length + zones.length === 0 && fallback === null;
}

function isEmpty(section: object): boolean {
  return Object.keys(section).length === 0;
}
