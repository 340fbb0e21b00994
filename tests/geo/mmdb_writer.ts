/**
 * Writes MaxMind databases for tests: of every record size, with every length of pointers, with nested or flat records.
 *
 * Source: MaxMind DB File Format Specification, version 2.0.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { parsePrefix } from "../../src/ip.ts";

/** A value as the format knows it; an object is a map. */
export type MmdbValue =
  | string
  | boolean
  | MmdbNumber
  | readonly MmdbValue[]
  | { readonly [key: string]: MmdbValue };

/** A number of one of the format's types. */
export class MmdbNumber {
  constructor(readonly type: "double" | "float" | "uint16" | "uint32" | "uint64", readonly value: number) {}
}

/** What is known of a prefix; what is absent isn't written. */
export interface Facts {
  readonly latitude?: number | undefined;
  readonly longitude?: number | undefined;
  readonly country?: string | undefined;
  readonly registeredCountry?: string | undefined;
  readonly continent?: string | undefined;
  readonly asn?: number | undefined;
}

/** What to write. */
export interface MmdbContent {
  /** Longer prefixes win over shorter ones; IPv4 goes to `::/96` of a tree over IPv6. */
  readonly networks: readonly (readonly [prefix: string, record: MmdbValue])[];
  readonly ipVersion?: 4 | 6;
  readonly recordSize?: 24 | 28 | 32;
  readonly databaseType?: string;
  /** Unix seconds. */
  readonly buildEpoch?: number;
  /** Prefixes that lead to `::/96`, such as `::ffff:0:0/96`; they hold nothing else. */
  readonly aliases?: readonly { readonly bytes: Uint8Array; readonly length: number }[];
  /** Unused bytes before the data, so that pointers get longer. */
  readonly paddingBytes?: number;
  /** Whether all pointers take the longest form. */
  readonly longPointers?: boolean;
}

/** A record as MaxMind's City, Country and ASN databases have it. */
export function nestedRecord(facts: Facts, type: "double" | "float" = "double"): MmdbValue {
  const record: Record<string, MmdbValue> = { city: { geoname_id: new MmdbNumber("uint32", 1), names: {} } };
  if (facts.continent) record.continent = { code: facts.continent, names: { en: "A continent", de: "Ein" } };
  if (facts.country) record.country = { is_in_european_union: true, iso_code: facts.country };
  if (facts.registeredCountry) record.registered_country = { iso_code: facts.registeredCountry };
  if (facts.latitude !== undefined && facts.longitude !== undefined) {
    record.location = {
      accuracy_radius: new MmdbNumber("uint16", 20),
      latitude: new MmdbNumber(type, facts.latitude),
      longitude: new MmdbNumber(type, facts.longitude),
      time_zone: "Europe/London",
    };
  }
  if (facts.asn !== undefined) record.autonomous_system_number = new MmdbNumber("uint32", facts.asn);
  return { ...record, subdivisions: [{ iso_code: "ENG" }, { iso_code: "XX" }] };
}

/** A record as the databases have it that others make. */
export function flatRecord(facts: Facts, type: "double" | "float" = "float"): MmdbValue {
  const record: Record<string, MmdbValue> = { city: "A city", state1: "" };
  if (facts.country) record.country_code = facts.country;
  if (facts.continent) record.continent_code = facts.continent;
  if (facts.latitude !== undefined) record.latitude = new MmdbNumber(type, facts.latitude);
  if (facts.longitude !== undefined) record.longitude = new MmdbNumber(type, facts.longitude);
  if (facts.asn !== undefined) record.autonomous_system_number = new MmdbNumber("uint32", facts.asn);
  return { ...record, timezone: "" };
}

/** The bytes of a file that holds all this. */
export function writeMmdb(content: MmdbContent): Uint8Array {
  const { recordSize = 28, ipVersion = 4 } = content;
  const data = new DataWriter(content.longPointers ?? false);
  data.reserve(content.paddingBytes ?? 0);
  const tree = buildTree(content, data);
  const nodes = numberNodes(tree);
  const metadata = new DataWriter(false);
  metadata.write({
    binary_format_major_version: new MmdbNumber("uint16", 2),
    binary_format_minor_version: new MmdbNumber("uint16", 0),
    build_epoch: new MmdbNumber("uint64", content.buildEpoch ?? 1_767_225_600),
    database_type: content.databaseType ?? "Test-City",
    description: {},
    ip_version: new MmdbNumber("uint16", ipVersion),
    languages: [],
    node_count: new MmdbNumber("uint32", nodes.size),
    record_size: new MmdbNumber("uint16", recordSize),
  });
  const parts = [
    writeTree(nodes, recordSize),
    new Uint8Array(16),
    Uint8Array.from(data.bytes),
    Uint8Array.from([0xab, 0xcd, 0xef, ...new TextEncoder().encode("MaxMind.com")]),
    Uint8Array.from(metadata.bytes),
  ];
  return new Uint8Array(Buffer.concat(parts));
}

/** A leaf is the offset of its data. */
type Edge = TreeNode | number | null;

interface TreeNode {
  readonly edges: [Edge, Edge];
}

function buildTree({ networks, ipVersion = 4, aliases = [] }: MmdbContent, data: DataWriter): TreeNode {
  const root: TreeNode = { edges: [null, null] };
  const offsets = new Map<string, number>();
  const parsed = networks.map(([text, record]) => ({ prefix: parsePrefix(text), record }));
  for (const { prefix, record } of parsed.sort((a, b) => depthOf(a.prefix) - depthOf(b.prefix))) {
    const key = JSON.stringify(record);
    const offset = offsets.get(key) ?? data.write(record);
    offsets.set(key, offset);
    const bits = [...ipVersion === 6 && prefix.family === 4 ? V4_BITS : [], ...bitsOf(prefix)];
    if (bits.length === 0) root.edges.fill(offset);
    else put(root, bits, offset);
  }
  if (aliases.length > 0) {
    const target: TreeNode = { edges: [null, null] };
    const v4 = put(root, V4_BITS, null, (edge) => typeof edge === "object" && edge !== null ? edge : target);
    for (const alias of aliases) put(root, bitsOf(alias), v4);
  }
  return root;

  function depthOf({ family, length }: { readonly family: 4 | 6; readonly length: number }): number {
    return ipVersion === 6 && family === 4 ? length + 96 : length;
  }
}

const V4_BITS: readonly number[] = new Array(96).fill(0);

/** Leads an edge to somewhere, and what was there before moves down. */
function put(
  root: TreeNode,
  bits: readonly number[],
  edge: Edge,
  replace: (before: Edge) => Edge = () => edge,
): Edge {
  let node = root;
  for (const bit of bits.slice(0, -1)) {
    let next = node.edges[bit]!;
    if (next === null || typeof next === "number") {
      next = { edges: [next ?? null, next ?? null] };
      node.edges[bit] = next;
    }
    node = next as TreeNode;
  }
  const last = bits.at(-1)!;
  return node.edges[last] = replace(node.edges[last]!);
}

function bitsOf({ bytes, length }: { readonly bytes: Uint8Array; readonly length: number }): number[] {
  return Array.from({ length }, (_, i) => bytes[i >> 3]! >> (7 - (i & 7)) & 1);
}

function numberNodes(root: TreeNode): ReadonlyMap<TreeNode, number> {
  const numbers = new Map<TreeNode, number>();
  const queue: Edge[] = [root];
  for (let i = 0; i < queue.length; i++) {
    const node = queue[i]!;
    if (typeof node === "number" || node === null || numbers.has(node)) continue;
    numbers.set(node, numbers.size);
    queue.push(...node.edges);
  }
  return numbers;
}

function writeTree(numbers: ReadonlyMap<TreeNode, number>, recordSize: 24 | 28 | 32): Uint8Array {
  const tree = new Uint8Array(numbers.size * recordSize / 4);
  const valueOf = (edge: Edge) =>
    edge === null ? numbers.size : typeof edge === "number" ? numbers.size + 16 + edge : numbers.get(edge)!;
  let at = 0;
  for (const { edges } of numbers.keys()) {
    const [left, right] = edges.map((edge) => bigEndian(valueOf(edge), 4)) as [number[], number[]];
    const node = recordSize === 24
      ? [...left.slice(1), ...right.slice(1)]
      : recordSize === 32
      ? [...left, ...right]
      : [...left.slice(1), left[0]! << 4 | right[0]!, ...right.slice(1)];
    tree.set(node, at);
    at += node.length;
  }
  return tree;
}

const TYPE = {
  text: 2,
  double: 3,
  uint16: 5,
  uint32: 6,
  map: 7,
  uint64: 9,
  array: 11,
  boolean: 14,
  float: 15,
};

/** Writes values one after the other; a text that was written before becomes a pointer. */
class DataWriter {
  readonly bytes: number[] = [];
  readonly #texts = new Map<string, number>();
  readonly #longPointers: boolean;

  constructor(longPointers: boolean) {
    this.#longPointers = longPointers;
  }

  reserve(bytes: number): void {
    for (let i = 0; i < bytes; i++) this.bytes.push(0);
  }

  /** Gives the offset of the value. */
  write(value: MmdbValue): number {
    const offset = this.bytes.length;
    if (typeof value === "string") this.#writeText(value);
    else if (typeof value === "boolean") this.#writeHead(TYPE.boolean, value ? 1 : 0);
    else if (value instanceof MmdbNumber) this.#writeNumber(value);
    else if (Array.isArray(value)) {
      this.#writeHead(TYPE.array, value.length);
      for (const element of value) this.write(element);
    } else {
      const entries = Object.entries(value as { readonly [key: string]: MmdbValue });
      this.#writeHead(TYPE.map, entries.length);
      for (const [key, inner] of entries) {
        this.#writeText(key);
        this.write(inner);
      }
    }
    return offset;
  }

  #writeText(text: string): void {
    const known = this.#texts.get(text);
    if (known !== undefined) return this.#writePointer(known);
    this.#texts.set(text, this.bytes.length);
    const utf8 = new TextEncoder().encode(text);
    this.#writeHead(TYPE.text, utf8.length);
    this.bytes.push(...utf8);
  }

  #writeNumber({ type, value }: MmdbNumber): void {
    const view = new DataView(new ArrayBuffer(8));
    if (type === "double") view.setFloat64(0, value);
    else if (type === "float") view.setFloat32(0, value);
    const bytes = type === "double" || type === "float"
      ? new Uint8Array(view.buffer, 0, type === "double" ? 8 : 4)
      : shortest(value);
    this.#writeHead(TYPE[type], bytes.length);
    this.bytes.push(...bytes);
  }

  #writePointer(offset: number): void {
    const POINTER = 1 << 5;
    if (this.#longPointers || offset >= 526_336 + (1 << 27)) {
      this.bytes.push(POINTER | 3 << 3, ...bigEndian(offset, 4));
    } else if (offset < 2048) this.bytes.push(POINTER | offset >> 8, offset & 255);
    else if (offset < 526_336) {
      const value = offset - 2048;
      this.bytes.push(POINTER | 1 << 3 | value >> 16, ...bigEndian(value & 0xffff, 2));
    } else {
      const value = offset - 526_336;
      this.bytes.push(POINTER | 2 << 3 | value >> 24, ...bigEndian(value & 0xffffff, 3));
    }
  }

  #writeHead(type: number, size: number): void {
    const [control, ...rest] = size < 29
      ? [size]
      : size < 285
      ? [29, size - 29]
      : size < 65_821
      ? [30, ...bigEndian(size - 285, 2)]
      : [31, ...bigEndian(size - 65_821, 3)];
    if (type < 8) this.bytes.push(type << 5 | control!, ...rest);
    else this.bytes.push(control!, type - 7, ...rest);
  }
}

function shortest(value: number): number[] {
  const bytes = bigEndian(value, 8);
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? [] : bytes.slice(first);
}

function bigEndian(value: number, length: number): number[] {
  return Array.from({ length }, (_, i) => Math.floor(value / 256 ** (length - 1 - i)) % 256);
}
