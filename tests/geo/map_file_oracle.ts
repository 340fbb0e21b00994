/**
 * The slow truth about map files: a list of prefixes that is walked for each address.
 *
 * @module
 */
import { canonicalIp, formatIp, parsePrefix, type Prefix, prefixContains } from "../../src/ip.ts";
import type { MapFile } from "../../src/geo/map_file_table.ts";

/** One line. */
export interface OracleRule {
  readonly prefix: Prefix;
  /** In their canonical form, sorted and joined by commas. */
  readonly addresses: string;
}

/** The rules of a text without faults. */
export function oracleRules(text: string): OracleRule[] {
  return text.split("\n").map((line) => line.replace(/#.*/, "").trim()).filter((line) => line !== "").map(
    (line) => {
      const [prefix, addresses] = line.split(/\s+/);
      return { prefix: parsePrefix(prefix!), addresses: sorted(addresses!.split(",")) };
    },
  );
}

/** What the longest prefix around an address names; "" = nothing. */
export function oracleFind(rules: readonly OracleRule[], address: Uint8Array): string {
  const best = rules.filter(({ prefix }) => prefixContains(prefix, address))
    .reduce<OracleRule | null>((a, b) => a && a.prefix.length > b.prefix.length ? a : b, null);
  return best?.addresses ?? "";
}

/** What a table says of an address, in the oracle's form. */
export function tableFind(map: MapFile, address: Uint8Array): string {
  return tableRule(map, map.rule(map.find(address)));
}

/** The addresses of a rule, in the oracle's form. */
export function tableRule(map: MapFile, rule: number): string {
  if (rule === 0) return "";
  const count = map.endpointCount(rule);
  return sorted(Array.from({ length: count }, (_, i) => {
    const at = map.endpointAt(rule, i);
    return formatIp(map.bytes.slice(at, at + 16));
  }));
}

function sorted(addresses: readonly string[]): string {
  return addresses.map((address) => canonicalIp(address)).sort().join(",");
}
