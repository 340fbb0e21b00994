/**
 * What a provider registers: its complete state as one JSON document, in the format of Consul's service files or in ours.
 *
 * ```json
 * { "instances": [{ "id": "web-1", "address": "http.web.prod.shop.gg", "port": 8080 }] }
 * ```
 *
 * ```json
 * { "services": [{
 *   "id": "web-1", "name": "shop", "port": 8080,
 *   "tags": ["glimpse:provider=chef", "glimpse:product=shop", "glimpse:env=prod", "glimpse:job=web", "glimpse:service=http"]
 * }] }
 * ```
 *
 * A document counts as a whole or not at all, and all that is wrong with it is said, with line and column. Services of
 * Consul's format that have none of the tags aren't ours, and are passed over.
 *
 * @module
 */
import { nearest } from "../input/nearest.ts";
import { JsonFault, type JsonNode, parseJson, Positions } from "../input/json_source.ts";
import type { FileProblem } from "../input/yaml_source.ts";
import { canonicalIp } from "../ip.ts";
import { toEnd } from "../slices.ts";
import { type Address, type ADDRESS_FIELDS, fieldFault, parseAddress } from "./address.ts";
import type { Instance } from "./catalog.ts";
import { idFault, nodeFault, readPlain } from "./plain_document.ts";

/** Largest document, bytes: some 20,000 instances. */
export const PROVIDER_BYTES_MAX: number = 8 << 20;
/** Problems that are said of a document. */
const PROBLEMS_MAX = 100;

/** What a document is read with. */
export interface ProviderTerms {
  /** Who registers. */
  readonly provider: string;
  /** The zone in which they are. */
  readonly zone: string;
  /** The machine that they run on, where they don't say another. */
  readonly node: string;
  /** Its addresses. */
  readonly ips: readonly string[];
  /** Whether checks of Consul's format are passed over: without Consul they would never be run. */
  readonly ignoreScripts: boolean;
}

/** What became of a document. */
export interface ProviderReading {
  /** In the order of the document; empty where there are problems. */
  readonly instances: readonly Instance[];
  /** Likewise. */
  readonly problems: readonly FileProblem[];
}

/** Reads a document. @param file the name that problems carry */
export function readProvider(file: string, bytes: Uint8Array, terms: ProviderTerms): ProviderReading {
  return toEnd(readProviderInSteps(file, bytes, terms));
}

/** The same in steps of some instances: a large one takes hundreds of milliseconds. */
export function* readProviderInSteps(
  file: string,
  bytes: Uint8Array,
  terms: ProviderTerms,
): Generator<void, ProviderReading> {
  if (bytes.length > PROVIDER_BYTES_MAX) {
    return refused(file, "", 0, `it has more than ${PROVIDER_BYTES_MAX >> 20} MiB`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    return refused(file, "", 0, "it isn't UTF-8");
  }
  const instances = yield* readPlain(text, terms);
  if (instances !== null) return { instances, problems: [] };
  try {
    return yield* new DocumentReader(file, text, terms).read(yield* parseJson(text));
  } catch (cause) {
    if (!(cause instanceof JsonFault)) throw cause;
    return refused(file, text, cause.at, cause.message);
  }
}

/**
 * The name of a service by the variable that holds its port, as schedulers name them: `PORT_HTTP` is `http`, and `PORT`
 * alone, or nothing, `unknown`.
 */
export function serviceOfPort(variable: string): string {
  return variable.toLowerCase().replace(/^port(_|$)/, "") || "unknown";
}

function refused(file: string, text: string, at: number, message: string): ProviderReading {
  return { instances: [], problems: [{ file, ...new Positions(text).of(at), message }] };
}

type Fields = ReadonlyMap<string, JsonNode>;

const OURS = ["id", "address", "port", "node", "ipAddress", "priority", "weight"];

class DocumentReader {
  readonly #file: string;
  readonly #positions: Positions;
  readonly #terms: ProviderTerms;
  readonly #problems: FileProblem[] = [];
  readonly #byId = new Map<string, Instance>();

  constructor(file: string, text: string, terms: ProviderTerms) {
    this.#file = file;
    this.#positions = new Positions(text);
    this.#terms = terms;
  }

  *read(root: JsonNode): Generator<void, ProviderReading> {
    yield* this.#readRoot(root);
    if (this.#problems.length > 0) return { instances: [], problems: this.#problems };
    return { instances: [...this.#byId.values()], problems: [] };
  }

  *#readRoot(root: JsonNode): Generator<void, void> {
    const { value } = root;
    if (!isFields(value)) return this.#problem(root, "the document must be an object");
    const forms = ["instances", "service", "services"].filter((key) => value.has(key));
    if (forms.length !== 1) {
      const message = forms.length > 1
        ? `give ${forms.join(" or ")}, not both`
        : "instances is required (or, as in Consul, service or services)";
      return this.#problem(value.get(forms[1]!) ?? root, message);
    }
    const [form] = forms as [string];
    const node = value.get(form)!;
    if (form === "service") return this.#readService(node);
    if (!isList(node.value)) return this.#problem(node, `${form} must be a list`);
    for (const element of node.value) {
      if (this.#problems.length >= PROBLEMS_MAX) return;
      if (form === "services") this.#readService(element);
      else this.#readInstance(element);
      yield;
    }
    for (const [key, { at }] of form === "instances" ? value : []) {
      if (key !== form) this.#problem({ at }, `${JSON.stringify(key)} isn't known here; remove it`);
    }
  }

  #readInstance(node: JsonNode): void {
    const { value: fields } = node;
    if (!isFields(fields)) return this.#problem(node, "an instance must be an object");
    for (const [key, { at }] of fields) {
      if (OURS.includes(key)) continue;
      const guess = nearest(key, OURS);
      this.#problem(
        { at },
        `${JSON.stringify(key)} isn't known here${guess ? `; did you mean ${guess}?` : ""}`,
      );
    }
    const text = this.#required(node, fields, "address");
    if (text === null) return;
    let address: Address;
    try {
      address = parseAddress(text);
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      return this.#problem(fields.get("address")!, cause.message);
    }
    if (address.zone !== this.#terms.zone) {
      const message = `the zone of the address must be ${this.#terms.zone}, is ${address.zone}`;
      return this.#problem(fields.get("address")!, message);
    }
    this.#add(node, fields, {
      address,
      priority: this.#number(fields, "priority", 0, 65_535) ?? 0,
      weight: this.#number(fields, "weight", 0, 65_535) ?? 0,
      ip: this.#textOf(fields, "ipAddress"),
      at: fields.get("ipAddress"),
    });
  }

  #readService(node: JsonNode): void {
    if (!isFields(node.value)) return this.#problem(node, "a service must be an object");
    // Consul takes keys in any case.
    const fields = new Map([...node.value].map(([key, value]) => [key.toLowerCase(), value] as const));
    const tags = this.#tags(fields.get("tags"));
    if (tags === null || tags.size === 0) return;
    const name = this.#required(node, fields, "name");
    if (name === null) return;
    for (const check of ["check", "checks"]) {
      const at = fields.get(check);
      if (at && !this.#terms.ignoreScripts && hasContent(at)) {
        this.#problem(at, `${check} is never run without Consul (discovery.ignoreScripts passes over it)`);
      }
    }
    const address = this.#addressOf(fields.get("tags")!, tags, name);
    if (address === null) return;
    const weights = fields.get("weights");
    const passing = weights && isFields(weights.value) ? weights.value : new Map<string, JsonNode>();
    this.#add(node, fields, {
      address,
      priority: 0,
      weight: this.#number(passing, "passing", 0, 65_535) ?? 0,
      ip: this.#textOf(fields, "address") || null,
      at: fields.get("address"),
    });
  }

  /** The tags with our prefix, by name; `null` = something is wrong with them. */
  #tags(node: JsonNode | undefined): Map<string, string> | null {
    const tags = new Map<string, string>();
    if (node === undefined || node.value === null) return tags;
    if (!isList(node.value)) {
      this.#problem(node, "tags must be a list");
      return null;
    }
    for (const tag of node.value) {
      const [, key, value] = /^glimpse:([a-z]+)=(.*)$/s.exec(String(tag.value)) ?? [];
      if (key === undefined || value === undefined) continue;
      if (tags.has(key) && tags.get(key) !== value) {
        this.#problem(tag, `there are two tags glimpse:${key}`);
        return null;
      }
      tags.set(key, value);
    }
    return tags;
  }

  #addressOf(node: JsonNode, tags: ReadonlyMap<string, string>, name: string): Address | null {
    const parts = { zone: this.#terms.zone } as Record<(typeof ADDRESS_FIELDS)[number], string>;
    for (const field of ["service", "job", "env", "product"] as const) {
      const value = tags.get(field) ?? (field === "product" ? name : undefined);
      const fault = value === undefined
        ? `the tag glimpse:${field} is missing`
        : fieldFault(field, value.toLowerCase());
      if (fault !== null) {
        this.#problem(node, fault);
        return null;
      }
      parts[field] = value!.toLowerCase();
    }
    if (parts.product !== name.toLowerCase()) {
      this.#problem(node, `glimpse:product must be the name ${JSON.stringify(name)}, is ${parts.product}`);
      return null;
    }
    return parts;
  }

  #add(
    node: JsonNode,
    fields: Fields,
    { address, priority, weight, ip, at }: Pick<Instance, "address" | "priority" | "weight"> & {
      readonly ip: string | null;
      readonly at: JsonNode | undefined;
    },
  ): void {
    const { provider, node: ownNode, ips } = this.#terms;
    const port = this.#number(fields, "port", 1, 65_535);
    if (port === null) {
      if (!fields.has("port")) this.#problem(node, "port is required (1–65535)");
      return;
    }
    const canonical = ip === null ? null : canonicalIp(ip);
    if (ip !== null && canonical === null) {
      return this.#problem(
        at ?? node,
        `the address must be an IPv4 or IPv6 address, is ${JSON.stringify(ip)}`,
      );
    }
    const { service, job, env, product } = address;
    const id = this.#textOf(fields, "id") ?? `${product}-${env}-${job}-${service}-${port}`;
    const faultOfId = idFault(id);
    if (faultOfId !== null) return this.#problem(fields.get("id") ?? node, faultOfId);
    if (this.#byId.has(id)) {
      return this.#problem(fields.get("id") ?? node, `the id ${JSON.stringify(id)} is there twice`);
    }
    const host = this.#textOf(fields, "node");
    const fault = host === null ? null : nodeFault(host);
    if (fault !== null) return this.#problem(fields.get("node")!, fault);
    this.#byId.set(id, {
      ...{ id, provider, address, port, priority, weight },
      node: host?.toLowerCase().replace(/\.$/, "") ?? ownNode,
      ips: canonical === null ? ips : [canonical],
    });
  }

  #required(node: JsonNode, fields: Fields, key: string): string | null {
    if (!fields.has(key)) this.#problem(node, `${key} is required`);
    return this.#textOf(fields, key);
  }

  #textOf(fields: Fields, key: string): string | null {
    const node = fields.get(key);
    if (node === undefined || node.value === null) return null;
    if (typeof node.value === "string") return node.value;
    this.#problem(node, `${key} must be a text in quotes`);
    return null;
  }

  #number(fields: Fields, key: string, min: number, max: number): number | null {
    const node = fields.get(key);
    if (node === undefined) return null;
    const { value } = node;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
    const shown = typeof value === "object" ? "" : `, is ${JSON.stringify(value)}`;
    this.#problem(node, `${key} must be a number from ${min} to ${max}${shown}`);
    return null;
  }

  #problem({ at }: Pick<JsonNode, "at">, message: string): void {
    if (this.#problems.length >= PROBLEMS_MAX) return;
    this.#problems.push({ file: this.#file, ...this.#positions.of(at), message });
  }
}

function hasContent({ value }: JsonNode): boolean {
  return isList(value) ? value.length > 0 : isFields(value) ? value.size > 0 : value !== null;
}

function isFields(value: JsonNode["value"]): value is Fields {
  return value instanceof Map;
}

function isList(value: JsonNode["value"]): value is readonly JsonNode[] {
  return Array.isArray(value);
}
