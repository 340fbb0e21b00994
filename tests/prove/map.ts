/**
 * A map file of a million prefixes: `deno task prove map [PREFIXES [ADDRESSES]]`.
 *
 * For each of three files — IPv4, IPv6, and the worst there is: IPv6 with an address of its own on every line — it
 * measures what the table takes, how long it is from the call to the rules in effect (on a thread, as in a node), how
 * long the main thread stood still meanwhile, and what a look-up costs. Then 100,000 addresses, random ones and those at
 * and beside the ends of prefixes, are compared with an oracle: a dictionary of the lines, asked for each length from
 * the longest.
 *
 * @module
 */
import { compileMapFile, MapFile } from "../../src/geo/map_file_table.ts";
import { type Rng, seededRng } from "../../src/clock.ts";
import { formatIp } from "../../src/ip.ts";
import { deno } from "../../scripts/process.ts";
import { tableRule } from "../geo/map_file_oracle.ts";
import type { LoadFigures } from "./map/load.ts";

/** What a file is made of. */
export type Mix = "IPv4" | "IPv6" | "IPv6, no two lines alike";

/** What to measure. */
export interface MapOptions {
  readonly mix: Mix;
  /** Lines of the file. */
  readonly prefixes: number;
  /** Addresses that are compared. */
  readonly addresses: number;
  readonly seed: number;
}

/** What came of one file. */
export interface MapReport extends LoadFigures {
  readonly fileBytes: number;
  readonly bytesPerPrefix: number;
  /** A line for each address of which table and oracle say different things, the first ten of them. */
  readonly wrong: readonly string[];
}

const BYTES_PER_PREFIX_MAX = 100;
const LOAD_MS_MAX = 3_000;
const WRONG_MAX = 10;
const MIXES: readonly Mix[] = ["IPv4", "IPv6", "IPv6, no two lines alike"];

/** Runs the proof; a million prefixes and 100,000 addresses unless told otherwise. */
export async function prove([prefixes = "1000000", addresses = "100000"]: string[]): Promise<boolean> {
  console.log(
    `${prefixes} prefixes, ${addresses} addresses compared; bars: ${BYTES_PER_PREFIX_MAX} B, ${LOAD_MS_MAX} ms`,
  );
  let isGood = true;
  for (const mix of MIXES) {
    const report = await measure({
      mix,
      prefixes: Number(prefixes),
      addresses: Number(addresses),
      seed: 20_260_101,
    });
    console.log(`${mix}: ${textOfReport(report)}`);
    for (const line of report.wrong) console.log(`  ${line}`);
    isGood &&= meetsBars(report);
  }
  return isGood;
}

function textOfReport(report: MapReport): string {
  const { bytesPerPrefix, fileBytes, loadMs, cpuMs, stallMs, lookUpNs, rssBytes, wrong } = report;
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
  return [
    `${bytesPerPrefix.toFixed(1)} B a prefix`,
    `${mb(fileBytes)} loaded in ${loadMs.toFixed(0)} ms (${cpuMs.toFixed(0)} ms of CPU)`,
    `main thread still for ${stallMs.toFixed(0)} ms at most`,
    `${lookUpNs.toFixed(0)} ns a look-up`,
    `RSS ${mb(rssBytes.before)}, at most ${mb(rssBytes.peak)}, then ${mb(rssBytes.after)}`,
    wrong.length === 0 ? "equal to the oracle" : "NOT equal to the oracle:",
  ].join(", ");
}

/** Whether a file's figures are good enough. */
export function meetsBars({ bytesPerPrefix, loadMs, wrong }: MapReport): boolean {
  return bytesPerPrefix < BYTES_PER_PREFIX_MAX && loadMs < LOAD_MS_MAX && wrong.length === 0;
}

/** Writes a file, loads it as a node does, and looks addresses up in it. */
export async function measure(options: MapOptions): Promise<MapReport> {
  const rng = seededRng(options.seed);
  const rules = makeRules(options, rng);
  const folder = await Deno.makeTempDir();
  try {
    const text = new TextEncoder().encode(rules.map(({ line }) => line).join("\n"));
    await Deno.writeFile(`${folder}/clients.map`, text);
    const addresses = sampleAddresses(rules, { count: 65_536, rng });
    await Deno.writeFile(`${folder}/addresses`, joined(addresses));
    const table = compileMapFile(text);
    return {
      ...await loadFigures(folder, rules[0]!.bits),
      fileBytes: text.length,
      bytesPerPrefix: table.byteLength / options.prefixes,
      wrong: compare(new MapFile(table), rules, sampleAddresses(rules, { count: options.addresses, rng })),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Rule {
  readonly bits: 32 | 128;
  readonly address: bigint;
  readonly length: number;
  /** As the oracle writes them. */
  readonly addresses: string;
  readonly line: string;
}

/** Three in ten lie within an earlier prefix; there is a default route, and lines are in no order. */
function makeRules({ mix, prefixes }: MapOptions, rng: Rng): Rule[] {
  const bits = mix === "IPv4" ? 32 : 128;
  const rules: Rule[] = [];
  const seen = new Set<string>();
  const add = (address: bigint, length: number) => {
    const key = `${address}/${length}`;
    if (seen.has(key)) return;
    seen.add(key);
    const addresses = mix === "IPv6, no two lines alike" ? [ownAddress(rules.length)] : someSites(rng);
    const line = `${textOf(address, bits)}/${length} ${addresses.join(",")}`;
    rules.push({ bits, address, length, addresses: addresses.toSorted().join(","), line });
  };
  add(0n, 0);
  while (rules.length < prefixes) {
    const outer = rng() % 10 < 3 ? rules[rng() % rules.length]! : null;
    const shortest = outer ? outer.length + 1 : bits === 32 ? 12 : 24;
    const length = Math.min(bits, shortest + rng() % (bits === 32 ? 14 : 33));
    const base = outer ? outer.address >> BigInt(bits - outer.length) : bits === 32 ? 0n : 1n;
    const fixed = outer ? outer.length : bits === 32 ? 0 : 3;
    if (length < fixed) continue;
    add(base << BigInt(bits - fixed) | randomBits(rng, length - fixed) << BigInt(bits - length), length);
  }
  return rules;
}

function someSites(rng: Rng): string[] {
  const first = rng() % 200;
  const sites = Array.from({ length: 1 + rng() % 3 }, (_, i) => (first + 7 * i) % 200);
  return sites.map((site) => site % 2 === 0 ? `192.0.2.${site}` : `2001:db8::${site.toString(16)}`);
}

function ownAddress(line: number): string {
  return `10.${line >> 16 & 255}.${line >> 8 & 255}.${line & 255}`;
}

function randomBits(rng: Rng, count: number): bigint {
  let value = 0n;
  for (let bits = 0; bits < count; bits += 32) value = value << 32n | BigInt(rng());
  return BigInt.asUintN(count, value);
}

async function loadFigures(folder: string, bits: number): Promise<LoadFigures> {
  const args = [
    "run",
    "-A",
    "tests/prove/map/load.ts",
    `${folder}/clients.map`,
    `${folder}/addresses`,
    `${bits}`,
  ];
  const { code, output, stdout } = await deno(args, { quiet: true });
  if (code !== 0) throw new Error(`The process that loads the map file ended with ${code}: ${output}`);
  return JSON.parse(stdout);
}

/** 16 bytes each. */
function joined(addresses: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(addresses.length * 16);
  for (const [i, address] of addresses.entries()) bytes.set(address, i * 16);
  return bytes;
}

/** Random addresses, and the ends of prefixes with the addresses beside them. */
function sampleAddresses(
  rules: readonly Rule[],
  { count, rng }: { readonly count: number; readonly rng: Rng },
): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => {
    const { bits, address, length } = rules[rng() % rules.length]!;
    const last = address | (1n << BigInt(bits - length)) - 1n;
    const choices = [
      randomBits(rng, bits),
      address | randomBits(rng, bits - length),
      address,
      last,
      address - 1n,
      last + 1n,
    ];
    return bytesOf(choices[i % choices.length]!, bits);
  });
}

function compare(map: MapFile, rules: readonly Rule[], addresses: readonly Uint8Array[]): string[] {
  const dictionary = new Map(
    rules.map(({ address, length, addresses }) => [`${address}/${length}`, addresses]),
  );
  const lengths = [...new Set(rules.map(({ length }) => length))].sort((a, b) => b - a);
  const wrong: string[] = [];
  for (const bytes of addresses) {
    const bits = bytes.length * 8;
    const value = numberOf(bytes);
    const length = lengths.find((length) => dictionary.has(`${masked(value, bits, length)}/${length}`));
    const right = length === undefined ? "" : dictionary.get(`${masked(value, bits, length)}/${length}`)!;
    const said = tableRule(map, map.rule(map.find(bytes)));
    if (said !== right) {
      wrong.push(`${formatIp(bytes)}: ${said || "nothing"} instead of ${right || "nothing"}`);
    }
    if (wrong.length === WRONG_MAX) break;
  }
  return wrong;
}

function masked(value: bigint, bits: number, length: number): bigint {
  return value >> BigInt(bits - length) << BigInt(bits - length);
}

function textOf(address: bigint, bits: 32 | 128): string {
  return formatIp(bytesOf(address, bits));
}

/** Cut to the bits there are, so that it may stand beside either end of all addresses. */
function bytesOf(value: bigint, bits: number): Uint8Array {
  const hex = BigInt.asUintN(bits, value).toString(16).padStart(bits / 4, "0");
  return Uint8Array.fromHex(hex);
}

function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${bytes.toHex()}`);
}
