/**
 * The quick way to read a provider's document with which nothing is wrong: by the runtime's own parser, which knows no places and
 * takes a key twice. Whatever isn't plainly right is left to the one that says where it is wrong (`provider_file.ts`).
 *
 * A provider writes all that it has again for each change of one instance: in the strict way ten thousand instances that change
 * a hundred times a second take all the time that there is.
 *
 * @module
 */
import { canonicalIp } from "../ip.ts";
import { nameToWire } from "../wire/name.ts";
import { type Address, parseAddress } from "./address.ts";
import type { Instance } from "./catalog.ts";
import type { ProviderTerms } from "./provider_file.ts";

/** Longer ones are read a step at a time: this one takes some milliseconds. */
export const LENGTH_MAX: number = 128 << 10;
const ID_LENGTH_MAX = 255;

/** Instances that are read in a step: some tenths of a millisecond where the code is new. */
const STEP = 32;

/** Reads a document in our format, in steps. @returns in its order; `null` = it is to be read strictly */
export function* readPlain(
  text: string,
  terms: ProviderTerms,
): Generator<void, readonly Instance[] | null> {
  if (text.length > LENGTH_MAX) return null;
  const list = instancesOf(text);
  // The list is a key's.
  return list && (yield* readPlainList(list, { text, keys: 1 }, terms));
}

/**
 * Reads elements of a document in our format, in steps.
 *
 * @param source their text, and how many keys it has that aren't theirs
 * @returns in their order; `null` = the document is to be read strictly
 */
export function* readPlainList(
  list: readonly unknown[],
  { text, keys }: { readonly text: string; readonly keys: number },
  terms: ProviderTerms,
): Generator<void, readonly Instance[] | null> {
  const reader = new PlainReader(terms);
  const byId = new Map<string, Instance>();
  for (const each of list) {
    const instance = reader.read(each);
    if (instance === null || byId.has(instance.id)) return null;
    byId.set(instance.id, instance);
    if (byId.size % STEP === 0) yield;
  }
  // A key that is there twice is one in what was read.
  if (colonsOf(text) !== reader.fields + keys) return null;
  return [...byId.values()];
}

/** Why a text can't be an id; `null` = it can. */
export function idFault(id: string): string | null {
  return id === "" || id.length > ID_LENGTH_MAX || /\p{Cc}/u.test(id)
    ? `id must be 1–${ID_LENGTH_MAX} visible characters`
    : null;
}

/** Why a text can't be the name of a machine; `null` = it can. */
export function nodeFault(host: string): string | null {
  try {
    nameToWire(host);
    return null;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    return cause.message;
  }
}

function instancesOf(text: string): readonly unknown[] | null {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    return null;
  }
  if (!isObject(document) || Object.keys(document).join() !== "instances") return null;
  const { instances } = document;
  return Array.isArray(instances) ? instances : null;
}

class PlainReader {
  /** Of all instances so far. */
  fields = 0;
  readonly #terms: ProviderTerms;
  /** What was read before: many instances have the same. */
  readonly #addresses = new Map<string, Address | null>();
  readonly #nodes = new Map<string, string | null>();

  constructor(terms: ProviderTerms) {
    this.#terms = terms;
  }

  read(value: unknown): Instance | null {
    if (!isObject(value)) return null;
    const { id, address: place, port, node, ipAddress, priority, weight } = value;
    const known = [id, place, port, node, ipAddress, priority, weight].filter((each) => each !== undefined);
    const count = Object.keys(value).length;
    if (known.length !== count || typeof id !== "string" || idFault(id) !== null) return null;
    this.fields += count;
    const address = typeof place === "string" ? this.#addressOf(place) : null;
    const host = node === undefined ? this.#terms.node : typeof node === "string" ? this.#nodeOf(node) : null;
    const ips = ipAddress === undefined
      ? this.#terms.ips
      : typeof ipAddress === "string"
      ? ipsOf(ipAddress)
      : null;
    if (address === null || host === null || ips === null) return null;
    if (!isNumber(port, 1) || !isNumber(priority ?? 0, 0) || !isNumber(weight ?? 0, 0)) return null;
    return {
      ...{ id, provider: this.#terms.provider, address, node: host, ips, port },
      priority: Number(priority ?? 0),
      weight: Number(weight ?? 0),
    };
  }

  #addressOf(text: string): Address | null {
    let address = this.#addresses.get(text);
    if (address === undefined) this.#addresses.set(text, address = addressIn(this.#terms.zone, text));
    return address;
  }

  #nodeOf(text: string): string | null {
    let node = this.#nodes.get(text);
    if (node === undefined) {
      node = nodeFault(text) === null ? text.toLowerCase().replace(/\.$/, "") : null;
      this.#nodes.set(text, node);
    }
    return node;
  }
}

function addressIn(zone: string, text: string): Address | null {
  try {
    const address = parseAddress(text);
    return address.zone === zone ? address : null;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    return null;
  }
}

function ipsOf(text: string): readonly string[] | null {
  const ip = canonicalIp(text);
  return ip === null ? null : [ip];
}

function isNumber(value: unknown, min: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= min && value <= 65_535;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/** Colons outside of texts: as many as there are keys. */
function colonsOf(json: string): number {
  let count = 0;
  let isText = false;
  for (let i = 0; i < json.length; i++) {
    const code = json.charCodeAt(i);
    if (code === QUOTE) isText = !isText;
    else if (isText && code === BACKSLASH) i++;
    else if (!isText && code === COLON) count++;
  }
  return count;
}
