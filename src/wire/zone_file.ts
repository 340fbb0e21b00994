/**
 * Master files: the text of a zone → records in wire form, with every fault found and placed.
 *
 * `parseZoneFile` reads one entry after the other and goes on behind a faulty one, so that one run shows all
 * that is to be fixed; `checkZone` then judges the records as a zone. Both take time linear in the text and
 * neither recurses. `$INCLUDE` is refused, because a zone is one text wherever it is stored, and `$GENERATE`,
 * because it makes records without bound.
 *
 * Sources: RFC 1035 §5, RFC 2308 §4 ($TTL), RFC 2181 §5 (sets of records), §8 (TTL), §10.1 (CNAME), RFC 1034
 * §4.2 (zone cuts), RFC 4592 §4 (wildcards), RFC 6672 §2.4 (DNAME).
 *
 * @module
 */

import {
  isAtOrBelow,
  isWildcard,
  labelOffsets,
  lowerCaseName,
  nameKey,
  nameSize,
  nameToWire,
  sameName,
  wireToName,
} from "./name.ts";
import { mapRdataNames, parseRdata, parseTtl, RdataError } from "./rdata.ts";
import { CLASS, classNumber, isMetaType, TYPE, typeName, typeNumber } from "./record_type.ts";
import { type Entry, type Problem, scanEntries, type Token } from "./zone_tokens.ts";

/** One record of a zone; its class is IN. */
export interface ZoneRecord {
  /** Lower-case, uncompressed wire form. */
  readonly owner: Uint8Array;
  /** The number of its type. */
  readonly type: number;
  /** Seconds, 0–2147483647. */
  readonly ttl: number;
  /** Wire form; names in it are uncompressed and keep their case. */
  readonly rdata: Uint8Array;
  /** Where it begins in the file, from 1. */
  readonly line: number;
}

/** What a zone file's reader must be told. */
export interface ZoneFileOptions {
  /** The zone's domain in presentation form; relative names end in it until `$ORIGIN` says otherwise. */
  readonly origin: string;
  /** Seconds for records that neither have a TTL nor follow a `$TTL` or a record with one. */
  readonly defaultTtl: number;
}

/** A fault stops being useful to people long before this; a binary file has one on nearly every line. */
export const PROBLEMS_MAX = 1000;

/**
 * Reads a master file.
 *
 * The TTL of a record without one is that of the last `$TTL`, else that of the record before, else
 * `defaultTtl`.
 *
 * @returns the records in their order, faulty ones left out, and at most `PROBLEMS_MAX` problems, by line
 * @throws {SyntaxError} only when `origin` is no name
 */
export function parseZoneFile(
  text: string,
  options: ZoneFileOptions,
): { records: ZoneRecord[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const report = (problem: Problem) => {
    if (problems.length < PROBLEMS_MAX) problems.push(problem);
  };
  const reader = new ZoneReader(options, report);
  for (const entry of scanEntries(text, report)) {
    reader.read(entry);
    if (problems.length >= PROBLEMS_MAX) break;
  }
  return { records: reader.records, problems: inOrder(problems) };
}

/** The records of a zone as they are to be served, and what is wrong with them. */
export interface CheckedZone {
  /** In the order of the file, duplicates dropped, each set of records with its lowest TTL. */
  readonly records: ZoneRecord[];
  /** At most `PROBLEMS_MAX`, by line; with any, the zone must not be served. */
  readonly problems: Problem[];
}

/**
 * Judges records as a zone.
 *
 * - There is exactly one SOA record, at the apex, and an NS record at the apex.
 * - No owner lies outside the zone.
 * - A CNAME record is alone at its name (RFC 2181 §10.1), as is a DNAME with names below it (RFC 6672 §2.4).
 * - Below a zone cut there are only A and AAAA records (glue); at the cut only NS, DS and glue.
 * - No wildcard owns NS or DNAME records (RFC 4592 §4.2, §4.4).
 *
 * A record that is there twice counts once (RFC 2181 §5). Where the TTLs of a set of records differ, the lowest
 * is taken for all of them, because that is how receivers must read such a set (RFC 2181 §5.2).
 *
 * @param apex the zone's domain in presentation form
 * @throws {SyntaxError} only when `apex` is no name
 */
export function checkZone(apex: string, records: readonly ZoneRecord[]): CheckedZone {
  const zone = new ZoneIndex(lowerCaseName(nameToWire(apex)), records);
  const problems: Problem[] = [];
  const report = (line: number, message: string) => problems.push({ line, column: 1, message });
  checkApex(zone, report);
  for (const node of zone.nodes.values()) {
    checkNode(zone, node, report);
    if (problems.length >= PROBLEMS_MAX) break;
  }
  return { records: zone.records, problems: inOrder(problems) };
}

/** Turns entries into records; remembers what one entry leaves to the next. */
class ZoneReader {
  readonly records: ZoneRecord[] = [];
  readonly #report: (problem: Problem) => void;
  readonly #defaultTtl: number;
  #origin: Uint8Array;
  /** Of the record before; `null` at the start. */
  #owner: Uint8Array | null = null;
  /** Whether the owner before was faulty; then what leans on it is dropped without a problem of its own. */
  #ownerIsFaulty = false;
  #directiveTtl: number | null = null;
  #lastTtl: number | null = null;

  constructor({ origin, defaultTtl }: ZoneFileOptions, report: (problem: Problem) => void) {
    this.#origin = lowerCaseName(nameToWire(origin));
    this.#defaultTtl = defaultTtl;
    this.#report = report;
  }

  read(entry: Entry): void {
    const first = entry.tokens[0]!;
    if (first.kind === "plain" && first.text.startsWith("$")) this.#readDirective(entry.tokens);
    else this.#readRecord(entry);
  }

  #readDirective(tokens: readonly Token[]): void {
    const [directive, argument] = tokens as [Token, Token?];
    const name = directive.text.toUpperCase();
    if (name === "$INCLUDE") {
      this.#problem(directive, "$INCLUDE isn't supported; put the file's records here");
    } else if (name === "$GENERATE") {
      this.#problem(
        directive,
        "$GENERATE isn't supported; write the records it stands for, or use a wildcard",
      );
    } else if (name !== "$ORIGIN" && name !== "$TTL") {
      this.#problem(directive, `"${directive.text}" is no directive; there are $ORIGIN and $TTL`);
    } else if (!argument) {
      this.#problem(directive, name === "$TTL" ? "$TTL needs a time, such as 1h" : "$ORIGIN needs a name");
    } else {
      if (name === "$TTL") this.#readTtlDirective(argument);
      else this.#origin = this.#readName(argument) ?? this.#origin;
      if (tokens[2]) this.#problem(tokens[2], `"${tokens[2].text}" is too much for ${name}; remove it`);
    }
  }

  #readTtlDirective(argument: Token): void {
    const ttl = parseTtl(argument.text);
    if (ttl === null) this.#problem(argument, `"${argument.text}" is no TTL; ${TTL_FORMS}`);
    else this.#directiveTtl = ttl;
  }

  #readRecord({ tokens, startsBlank }: Entry): void {
    const first = tokens[0]!;
    if (!startsBlank) {
      const owner = this.#readName(first);
      this.#ownerIsFaulty = owner === null;
      this.#owner = owner ?? this.#owner;
    } else if (this.#owner === null && !this.#ownerIsFaulty) {
      this.#problem(first, "the first record has no owner; begin the line with a name or @");
      this.#ownerIsFaulty = true;
    }
    const { typeIndex, ttl } = this.#readTtlAndClass(tokens, startsBlank ? 0 : 1);
    const type = typeIndex === null ? null : this.#readType(tokens, typeIndex);
    if (type === null) return;
    const rdata = this.#readData(type, tokens, typeIndex!);
    if (rdata === null || this.#ownerIsFaulty) return;
    this.#lastTtl = ttl ?? this.#lastTtl;
    this.records.push({
      owner: this.#owner!,
      type,
      ttl: ttl ?? this.#directiveTtl ?? this.#lastTtl ?? this.#defaultTtl,
      rdata,
      line: first.line,
    });
  }

  /** Reads TTL and class, either first and each at most once; `typeIndex` is `null` when one is faulty. */
  #readTtlAndClass(tokens: readonly Token[], from: number): { typeIndex: number | null; ttl: number | null } {
    let ttl: number | null = null;
    let hasClass = false;
    let index = from;
    for (; index < Math.min(tokens.length, from + 2); index++) {
      const token = tokens[index]!;
      if (token.kind !== "plain") break;
      const number = classNumber(token.text);
      if (!hasClass && number !== null) {
        hasClass = true;
        if (number === CLASS.IN) continue;
        this.#problem(token, `the class ${token.text} isn't served; write IN or nothing`);
        return { typeIndex: null, ttl };
      }
      if (ttl !== null || !/^\d/.test(token.text)) break;
      ttl = parseTtl(token.text);
      if (ttl === null) {
        this.#problem(token, `"${token.text}" is no TTL; ${TTL_FORMS}`);
        return { typeIndex: null, ttl };
      }
    }
    return { typeIndex: index, ttl };
  }

  #readType(tokens: readonly Token[], index: number): number | null {
    const token = tokens[index];
    if (!token) {
      this.#problemBehind(tokens.at(-1)!, "the record's type is missing, such as A or CNAME");
      return null;
    }
    const type = token.kind === "plain" ? typeNumber(token.text) : null;
    if (type === null) {
      this.#problem(
        token,
        `"${token.text}" is no record type; a type not known by name is written TYPE123`,
      );
    } else if (isMetaType(type)) {
      this.#problem(token, `${typeName(type)} can't be the type of a record in a zone; remove the record`);
      return null;
    }
    return type;
  }

  #readData(type: number, tokens: readonly Token[], typeIndex: number): Uint8Array | null {
    try {
      return parseRdata(type, tokens.slice(typeIndex + 1), this.#origin);
    } catch (error) {
      if (!(error instanceof RdataError)) throw error;
      const token = tokens[typeIndex + 1 + error.tokenIndex];
      if (token) this.#problem(token, error.message);
      else this.#problemBehind(tokens.at(-1)!, error.message);
      return null;
    }
  }

  #readName(token: Token): Uint8Array | null {
    try {
      if (token.kind !== "plain") {
        throw new SyntaxError(`Cannot read the name ${token.text}: remove the quotes`);
      }
      return lowerCaseName(nameToWire(token.text, this.#origin));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#problem(token, error.message);
      return null;
    }
  }

  #problem({ line, column }: Token, message: string): void {
    this.#report({ line, column, message: shortened(message) });
  }

  #problemBehind({ line, endColumn }: Token, message: string): void {
    this.#report({ line, column: endColumn, message: shortened(message) });
  }
}

const TTL_FORMS = "write seconds up to 2147483647, or a time such as 1h30m";

/** Characters of a message that are shown; a faulty line of a megabyte must not become a message of one. */
const MESSAGE_LENGTH_MAX = 300;

/** A message that fits: its middle, where the value is quoted, gives way to the fault and the fix. */
function shortened(message: string): string {
  if (message.length <= MESSAGE_LENGTH_MAX) return message;
  return `${message.slice(0, MESSAGE_LENGTH_MAX / 2)}…${message.slice(1 - MESSAGE_LENGTH_MAX / 2)}`;
}

function inOrder(problems: readonly Problem[]): Problem[] {
  return problems.toSorted((a, b) => a.line - b.line || a.column - b.column).slice(0, PROBLEMS_MAX);
}

/** All records of one name. */
interface ZoneNode {
  readonly owner: Uint8Array;
  readonly key: string;
  readonly records: ZoneRecord[];
}

/** The records of a zone by name, with its cuts. */
class ZoneIndex {
  readonly apex: Uint8Array;
  readonly records: ZoneRecord[];
  readonly nodes: ReadonlyMap<string, ZoneNode>;
  readonly #cuts = new Set<string>();
  readonly #redirected = new Set<string>();

  constructor(apex: Uint8Array, records: readonly ZoneRecord[]) {
    this.apex = apex;
    this.records = withLowestTtl(withoutDuplicates(records));
    this.nodes = groupByOwner(this.records);
    const apexKey = nameKey(apex);
    for (const { key, records } of this.nodes.values()) {
      if (key !== apexKey && records.some(({ type }) => type === TYPE.NS)) this.#cuts.add(key);
      if (records.some(({ type }) => type === TYPE.DNAME)) this.#redirected.add(key);
    }
  }

  isCut({ key }: ZoneNode): boolean {
    return this.#cuts.has(key);
  }

  /** The nearest name above that is a zone cut or owns a DNAME record. */
  occluderOf({ owner, key }: ZoneNode): { name: string; by: "NS" | "DNAME" } | null {
    if (this.#cuts.size + this.#redirected.size === 0) return null;
    for (const offset of labelOffsets(owner).slice(1)) {
      const above = key.slice(offset);
      const by = this.#cuts.has(above) ? "NS" : this.#redirected.has(above) ? "DNAME" : null;
      if (by !== null) return { name: wireToName(owner, offset), by };
    }
    return null;
  }
}

type Report = (line: number, message: string) => void;

function checkApex(zone: ZoneIndex, report: Report): void {
  const apex = wireToName(zone.apex);
  const atApex = zone.nodes.get(nameKey(zone.apex))?.records ?? [];
  const [first, ...more] = atApex.filter(({ type }) => type === TYPE.SOA);
  if (!first) {
    report(1, `the zone ${apex} has no SOA record; add one such as @ SOA ns1 hostmaster 1 1h 10m 1w 1m`);
  }
  for (const { line } of more) {
    report(line, `the zone ${apex} has a second SOA record; the first is on line ${first!.line}; remove one`);
  }
  if (!atApex.some(({ type }) => type === TYPE.NS)) {
    report(first?.line ?? 1, `the zone ${apex} has no NS record at its apex; add one such as @ NS ns1`);
  }
}

function checkNode(zone: ZoneIndex, node: ZoneNode, report: Report): void {
  const name = wireToName(node.owner);
  if (!isAtOrBelow(node.owner, zone.apex)) {
    const apex = wireToName(zone.apex);
    for (const { line } of node.records) {
      report(line, `${name} is outside the zone ${apex}; remove the record, or its final dot if it has one`);
    }
    return;
  }
  checkAliases(node, name, report);
  const occluder = zone.occluderOf(node);
  const isApex = sameName(node.owner, zone.apex);
  for (const { type, line } of node.records) {
    const fault = faultOf(type, {
      isApex,
      isCut: zone.isCut(node),
      isWildcard: isWildcard(node.owner),
      occluder,
    });
    if (fault !== null) report(line, `${typeName(type)} record at ${name}: ${fault}`);
  }
}

/** Where in its zone a name is. */
interface Position {
  readonly isApex: boolean;
  readonly isCut: boolean;
  readonly isWildcard: boolean;
  readonly occluder: { readonly name: string; readonly by: "NS" | "DNAME" } | null;
}

function faultOf(type: number, { isApex, isCut, isWildcard, occluder }: Position): string | null {
  const isGlue = type === TYPE.A || type === TYPE.AAAA;
  if (type === TYPE.SOA && !isApex) return "only the apex of the zone has one; remove it";
  if (isWildcard && (type === TYPE.NS || type === TYPE.DNAME)) {
    return "a wildcard can't have one; name each host";
  }
  if (occluder?.by === "DNAME") return `it is below the DNAME record of ${occluder.name}; remove one of them`;
  if (occluder && !isGlue) return `${occluder.name} is delegated, and below it only A and AAAA are allowed`;
  if (isCut && !isGlue && !AT_CUT.has(type)) {
    return "the name is delegated; move it into the zone delegated to";
  }
  if (type === TYPE.DS && isApex) return "it belongs in the parent zone; move it there";
  if (type === TYPE.DS && !isCut) return "the name isn't delegated; add its NS records or remove it";
  return null;
}

/** What the parent may hold at a cut besides glue: RFC 4035 §2.6. */
const AT_CUT: ReadonlySet<number> = new Set([TYPE.NS, TYPE.DS, TYPE.NSEC, TYPE.RRSIG]);

/** What may stand beside a CNAME record: RFC 4035 §2.5. */
const BESIDE_CNAME: ReadonlySet<number> = new Set([TYPE.CNAME, TYPE.NSEC, TYPE.RRSIG]);

function checkAliases({ records }: ZoneNode, name: string, report: Report): void {
  for (const alias of [TYPE.CNAME, TYPE.DNAME]) {
    const [first, ...more] = records.filter(({ type }) => type === alias);
    for (const { line } of more) {
      report(
        line,
        `${name} has a second ${typeName(alias)} record; the first is on line ${first!.line}; remove one`,
      );
    }
    if (!first || alias === TYPE.DNAME) continue;
    for (const { type, line } of records) {
      if (BESIDE_CNAME.has(type)) continue;
      report(
        line,
        `${
          typeName(type)
        } record at ${name}: no other record is allowed beside the CNAME on line ${first.line}`,
      );
    }
  }
}

function withoutDuplicates(records: readonly ZoneRecord[]): ZoneRecord[] {
  const seen = new Set<string>();
  return records.filter(({ owner, type, rdata }) => {
    const key = `${nameKey(owner)} ${type} ${lowerCaseNames(type, rdata).toHex()}`;
    const isNew = !seen.has(key);
    seen.add(key);
    return isNew;
  });
}

/** Names in record data are the same in any case, RFC 4034 §6.2. */
function lowerCaseNames(type: number, rdata: Uint8Array): Uint8Array {
  return mapRdataNames(type, { bytes: rdata, at: 0, end: rdata.length }, (at) => {
    const end = at + nameSize(rdata, at);
    return { name: lowerCaseName(rdata.subarray(at, end)), end };
  });
}

function withLowestTtl(records: ZoneRecord[]): ZoneRecord[] {
  const lowest = new Map<string, number>();
  const keys = records.map(({ owner, type }) => `${nameKey(owner)} ${type}`);
  records.forEach(({ ttl }, i) => lowest.set(keys[i]!, Math.min(ttl, lowest.get(keys[i]!) ?? ttl)));
  return records.map((record, i) => {
    const ttl = lowest.get(keys[i]!)!;
    return ttl === record.ttl ? record : { ...record, ttl };
  });
}

function groupByOwner(records: readonly ZoneRecord[]): Map<string, ZoneNode> {
  const nodes = new Map<string, ZoneNode>();
  for (const record of records) {
    const key = nameKey(record.owner);
    const node = nodes.get(key);
    if (node) node.records.push(record);
    else nodes.set(key, { owner: record.owner, key, records: [record] });
  }
  return nodes;
}
