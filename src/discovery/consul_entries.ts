/**
 * What Consul says, as instances, jobs and name servers. Whatever comes is taken apart: what isn't as it should be is left out
 * and named, and nothing throws but a body that is no list at all.
 *
 * Consul takes things that DNS can't say: addresses such as `10.0.0.300`, host names as addresses, ports of −1, two tags for
 * one job, nodes whose names are no host names. Its service names and tags have no case.
 *
 * @module
 */
import { canonicalIp } from "../ip.ts";
import { nameToWire } from "../wire/name.ts";
import { type Address, fieldFault, formatAddress } from "./address.ts";
import type { Instance, NameServer } from "./catalog.ts";

/** What is wrong with an entry: its addresses; that it can't be placed, or reached. */
export interface EntryFault {
  /** For metrics. */
  readonly kind: "invalidip" | "untracked";
  /** For people, with the entry's name. */
  readonly message: string;
}

/** What a list of a service's instances says. */
export interface EntriesReading {
  /** In the order of the list. */
  readonly instances: readonly Instance[];
  /** Entries that are left out, or whose addresses are. */
  readonly faults: readonly EntryFault[];
}

/** Provider of those that don't say theirs. */
const UNKNOWN_PROVIDER = "consul";
const PREFIX = "glimpse:";
/** Of each that asks for none. */
export const USUAL_WEIGHT = 1;

/**
 * The jobs of each product, by the answer to `/v1/catalog/services`: both in lower case.
 *
 * @throws {SyntaxError} when it is no mapping of lists
 */
export function readJobs(document: unknown): ReadonlyMap<string, ReadonlySet<string>> {
  if (!isObject(document)) throw new SyntaxError("the services are no mapping");
  const jobs = new Map<string, Set<string>>();
  for (const [name, tags] of Object.entries(document)) {
    if (!Array.isArray(tags)) throw new SyntaxError("the tags of a service are no list");
    for (const tag of tags) {
      const job = typeof tag === "string" ? tagValue(tag.toLowerCase(), "job") : null;
      if (job === null || fieldFault("job", job) !== null) continue;
      const product = name.toLowerCase();
      if (fieldFault("product", product) !== null) continue;
      const known = jobs.get(product);
      if (known) known.add(job);
      else jobs.set(product, new Set([job]));
    }
  }
  return jobs;
}

/** What an entry of such a list says. */
export interface EntryReading {
  /** `null` = it is left out. Its weight is 0 where it has none but the usual one. */
  readonly instance: Instance | null;
  /** What Consul says that it weighs. */
  readonly weight: number;
  /** What is wrong with it, or with its addresses. */
  readonly faults: readonly EntryFault[];
}

/**
 * The instances of a product, by the answer to `/v1/health/service/PRODUCT?passing`.
 *
 * @throws {SyntaxError} when it is no list
 */
export function readEntries(document: unknown, zone: string): EntriesReading {
  if (!Array.isArray(document)) throw new SyntaxError("the instances are no list");
  return instancesOf(document.map((entry) => readEntry(entry, zone)));
}

/** What the entries of a list say together. */
export function instancesOf(entries: readonly EntryReading[]): EntriesReading {
  const byId = new Map<string, EntryReading>();
  const faults: EntryFault[] = [];
  for (const entry of entries) {
    if (entry.faults.length > 0) faults.push(...entry.faults);
    if (entry.instance !== null) byId.set(entry.instance.id, entry);
  }
  const weighted = new Set<string>();
  for (const { instance, weight } of byId.values()) {
    if (weight !== USUAL_WEIGHT) weighted.add(formatAddress(instance!.address));
  }
  const instances: Instance[] = [];
  for (const { instance, weight } of byId.values()) {
    const isWeighted = weighted.size > 0 && weighted.has(formatAddress(instance!.address));
    // The same object as long as it says the same.
    instances.push(isWeighted && instance!.weight !== weight ? { ...instance!, weight } : instance!);
  }
  return { instances, faults };
}

/** Name servers by zone, by the answer to `/v1/agent/members?wan`: all that haven't left, be they there or not. */
export function readServers(document: unknown): ReadonlyMap<string, readonly NameServer[]> {
  if (!Array.isArray(document)) throw new SyntaxError("the members are no list");
  const servers = new Map<string, NameServer[]>();
  for (const member of document) {
    if (!isObject(member) || member["Status"] === LEFT) continue;
    const { Name: name, Addr: addr } = member;
    const [, host, zone] = /^(.+)\.([0-9a-z]{2})$/.exec(typeof name === "string" ? name.toLowerCase() : "") ??
      [];
    const ip = typeof addr === "string" ? canonicalIp(addr) : null;
    if (host === undefined || zone === undefined || ip === null) continue;
    const known = servers.get(zone);
    if (known) known.push({ host, ips: [ip] });
    else servers.set(zone, [{ host, ips: [ip] }]);
  }
  return servers;
}

/** The datacenters whose names are zones. */
export function readZones(document: unknown): readonly string[] {
  if (!Array.isArray(document)) throw new SyntaxError("the datacenters are no list");
  return document.filter((name): name is string => typeof name === "string")
    .map((name) => name.toLowerCase()).filter((name) => fieldFault("zone", name) === null);
}

/**
 * The nodes of a datacenter, by the answer to `/v1/catalog/nodes`.
 *
 * @throws {SyntaxError} when it is no list of them: there is always one
 */
export function readNodes(document: unknown): readonly string[] {
  if (!Array.isArray(document)) throw new SyntaxError("the nodes are no list");
  const names = document.map((node) => isObject(node) ? text(node["Node"]) : "").filter((name) =>
    name !== ""
  );
  if (names.length === 0) throw new SyntaxError("there are no nodes");
  return names;
}

/**
 * What a node has, by the answer to `/v1/catalog/node-services/NODE`, as entries without checks; of a node that there isn't nothing.
 *
 * @throws {SyntaxError} when it says nothing of a node
 */
export function readNode(
  document: unknown,
): { readonly node: unknown; readonly services: readonly unknown[] } {
  if (document === null) return { node: null, services: [] };
  if (!isObject(document)) throw new SyntaxError("the node is no mapping");
  const { Node: node, Services: services } = document;
  if (services === null || node === null) return { node: null, services: [] };
  if (!isObject(node) || !Array.isArray(services)) throw new SyntaxError("the node has no list of services");
  return { node, services };
}

/** Reads one service of a node; one without a tag of ours is no instance, and that is no fault. */
export function readServiceOf(node: unknown, service: unknown, zone: string): EntryReading {
  const tags = isObject(service) ? service["Tags"] : null;
  const isAnnounced = Array.isArray(tags) &&
    tags.some((tag) => typeof tag === "string" && tag.toLowerCase().startsWith(PREFIX));
  return isAnnounced ? readEntry({ Node: node, Service: service }, zone) : NOTHING;
}

const NOTHING: EntryReading = { instance: null, weight: USUAL_WEIGHT, faults: [] };

/**
 * What of each node fails, by lists of checks: ids of its services, and an empty one where all of it fails.
 *
 * @throws {SyntaxError} when it is no list
 */
export function readFailing(document: unknown): ReadonlyMap<string, ReadonlySet<string>> {
  if (!Array.isArray(document)) throw new SyntaxError("the checks are no list");
  const failing = new Map<string, Set<string>>();
  for (const check of document) {
    if (!isObject(check) || check["Status"] === "passing") continue;
    const [node, id] = [text(check["Node"]), text(check["ServiceID"])];
    const known = failing.get(node);
    if (known) known.add(id);
    else failing.set(node, new Set([id]));
  }
  return failing;
}

/** As Consul counts: 1 = alive, 2 = leaving, 4 = failed. */
const LEFT = 3;

/** Reads one entry. */
export function readEntry(entry: unknown, zone: string): EntryReading {
  const faults: EntryFault[] = [];
  const instance = readInstance(entry, zone, faults);
  // Where all of an address have the usual weight, none has asked for one, and an SRV record says 0.
  const weight = instance?.weight ?? USUAL_WEIGHT;
  return weight === USUAL_WEIGHT
    ? { instance: instance && { ...instance, weight: 0 }, weight, faults }
    : { instance, weight, faults };
}

function readInstance(entry: unknown, zone: string, faults: EntryFault[]): Instance | null {
  const node = isObject(entry) ? entry["Node"] : null;
  const service = isObject(entry) ? entry["Service"] : null;
  if (!isObject(entry) || !isObject(node) || !isObject(service)) {
    faults.push({ kind: "untracked", message: "An entry has no node or no service" });
    return null;
  }
  const { Node: host, Address: nodeIp } = node;
  const { ID: serviceId, Service: product, Address: ownIp, Port: port, Tags: tags } = service;
  const id = `${text(host)}/${text(serviceId)}`;
  const leftOut = (reason: string) => {
    faults.push({ kind: "untracked", message: `${id.slice(0, 300)} is left out: ${reason}` });
    return null;
  };
  if (text(host) === "" || text(serviceId) === "") return leftOut("it has no node or no id");
  if (isCritical(entry["Checks"])) return null;
  const address = placeOf(text(product).toLowerCase(), tags, zone);
  if (typeof address === "string") return leftOut(address);
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return leftOut(`port must be 1–65535, is ${JSON.stringify(port)}`);
  }
  const target = text(host).toLowerCase().replace(/\.$/, "");
  if (!isName(target)) return leftOut(`the node's name can't be one of DNS`);
  const ip = text(ownIp) || text(nodeIp);
  const canonical = canonicalIp(ip);
  if (canonical === null) {
    faults.push({
      kind: "invalidip",
      message: `${id} has no IP address, but ${JSON.stringify(ip.slice(0, 100))}`,
    });
  }
  return {
    ...{ id, address: address.address, port, priority: 0, node: target },
    provider: address.provider,
    ips: canonical === null ? [] : [canonical],
    weight: weightOf(service["Weights"]),
  };
}

/** Where an instance is found, and who registered it; a text = why it isn't found anywhere. */
function placeOf(
  product: string,
  tags: unknown,
  zone: string,
): { readonly address: Address; readonly provider: string } | string {
  const values = new Map<string, string>();
  for (const tag of Array.isArray(tags) ? tags : []) {
    if (typeof tag !== "string" || !tag.toLowerCase().startsWith(PREFIX)) continue;
    const folded = tag.toLowerCase();
    const key = folded.slice(PREFIX.length).split("=", 1)[0]!;
    const value = tagValue(folded, key);
    if (value === null) continue;
    if (values.has(key) && values.get(key) !== value) return `there are two tags ${PREFIX}${key}`;
    values.set(key, value);
  }
  if (values.has("product") && values.get("product") !== product) {
    return `${PREFIX}product isn't the name of the service`;
  }
  const [service = "", job = "", env = ""] = ["service", "job", "env"].map((key) => values.get(key) ?? "");
  for (
    const [field, value] of [["service", service], ["job", job], ["env", env], ["product", product]] as const
  ) {
    const fault = fieldFault(field, value);
    if (fault !== null) return fault;
  }
  return {
    address: { service, job, env, product, zone },
    provider: values.get("provider") || UNKNOWN_PROVIDER,
  };
}

/** Those of which a check fails are mostly not in the list; but a node's check may come a moment later. */
function isCritical(checks: unknown): boolean {
  return Array.isArray(checks) && checks.some((check) => isObject(check) && check["Status"] === "critical");
}

function weightOf(weights: unknown): number {
  const passing = isObject(weights) ? weights["Passing"] : USUAL_WEIGHT;
  return typeof passing === "number" && Number.isInteger(passing) && passing >= 0 && passing <= 65_535
    ? passing
    : USUAL_WEIGHT;
}

function tagValue(tag: string, key: string): string | null {
  const start = `${PREFIX}${key}=`;
  return tag.startsWith(start) ? tag.slice(start.length) : null;
}

function isName(name: string): boolean {
  try {
    return nameToWire(name).length > 1;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    return false;
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
