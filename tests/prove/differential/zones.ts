/**
 * Random zones to be served together: parents and children, delegations with and without glue, wildcards, empty
 * non-terminals, chains and loops of CNAMEs, DNAMEs, and records of many types. Labels are few, so that names meet.
 *
 * @module
 */
import type { Rng } from "../../../src/clock.ts";
import {
  labelOffsets,
  lowerCaseName,
  nameToWire,
  wireToAbsoluteName,
  wireToName,
} from "../../../src/wire/name.ts";
import { formatRdata } from "../../../src/wire/rdata.ts";
import { typeName } from "../../../src/wire/record_type.ts";
import { checkZone, parseZoneFile, type ZoneRecord } from "../../../src/wire/zone_file.ts";

/** A zone and its records. */
export interface RandomZone {
  readonly domain: string;
  readonly records: readonly ZoneRecord[];
}

/** Zones that are served together. */
export interface RandomWorld {
  readonly zones: readonly RandomZone[];
}

const LABELS = ["a", "b", "c", "d", "ns", "mail", "x-y", "_sip", "www"];
const FAMILIES_MAX = 4;
const RECORDS_MAX = 40;
const OUTSIDE = ["ns.outside.example.", "outside.example.", "."];

/** A world made of nothing but the numbers. */
export function randomWorld(rng: Rng): RandomWorld {
  const dice = new Dice(rng);
  const domains: string[] = [];
  for (let family = 0; family < dice.between(2, FAMILIES_MAX); family++) {
    const parent = `p${family}.test`;
    domains.push(parent);
    for (let child = dice.between(0, 4); child > 0; child--) {
      const above = dice.one(domains.filter((domain) => domain.endsWith(parent)));
      const domain = `${
        Array.from({ length: dice.between(1, 2) }, () => dice.one(LABELS)).join(".")
      }.${above}`;
      if (!domains.includes(domain)) domains.push(domain);
    }
  }
  return {
    zones: domains.map((domain) => ({ domain, records: new ZoneMaker(dice, domain, domains).records() })),
  };
}

/** The zone as every server reads it. */
export function zoneText({ records }: RandomZone): string {
  return records.map(({ owner, ttl, type, rdata }) =>
    `${wireToAbsoluteName(owner)} ${ttl} IN ${typeName(type)} ${formatRdata(type, rdata)}\n`
  ).join("");
}

/** Numbers made to choose with. */
export class Dice {
  readonly #rng: Rng;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** A whole number, both ends included. */
  between(min: number, max: number): number {
    return min + this.#rng() % (max - min + 1);
  }

  /** Whether one of so many cases is met. */
  oneIn(count: number): boolean {
    return this.#rng() % count === 0;
  }

  /** One of these. */
  one<T>(choices: readonly T[]): T {
    return choices[this.#rng() % choices.length]!;
  }
}

class ZoneMaker {
  readonly #dice: Dice;
  readonly #domain: string;
  readonly #domains: readonly string[];
  readonly #lines: string[] = [];

  constructor(dice: Dice, domain: string, domains: readonly string[]) {
    this.#dice = dice;
    this.#domain = domain;
    this.#domains = domains;
  }

  records(): readonly ZoneRecord[] {
    const dice = this.#dice;
    const ttl = dice.one([0, 60, 300, 86_400]);
    this.#lines.push(
      `@ ${ttl} SOA ${this.#target()} h.o. ${dice.between(1, 9)} 1 1 1 ${dice.one([0, 60, 3600])}`,
    );
    for (let i = dice.between(1, 3); i > 0; i--) this.#lines.push(`@ NS ${this.#server("@")}`);
    for (const child of this.#domains.filter((domain) => domain.endsWith(`.${this.#domain}`))) {
      if (dice.between(0, 3) > 0) this.#delegate(child.slice(0, -this.#domain.length - 1));
    }
    for (let i = dice.between(4, RECORDS_MAX); i > 0; i--) this.#add();
    return this.#served();
  }

  #add(): void {
    const dice = this.#dice;
    switch (dice.between(0, 9)) {
      case 0:
        return this.#delegate(this.#owner());
      case 1:
        return void this.#lines.push(`${this.#owner()} DNAME ${this.#target()}`);
      case 2:
      case 3:
        return void this.#lines.push(`${this.#wildcardOr(this.#owner())} CNAME ${this.#target()}`);
      case 4:
        return void this.#lines.push(`${dice.oneIn(4) ? "*" : `*.${this.#owner()}`} ${this.#data()}`);
      default:
        for (let i = dice.between(1, dice.oneIn(20) ? 60 : 3); i > 0; i--) {
          this.#lines.push(`${this.#owner()} ${this.#data()}`);
        }
    }
  }

  #delegate(cut: string): void {
    const dice = this.#dice;
    if (cut === "@") return;
    for (let i = dice.oneIn(12) ? 13 : dice.between(1, 3); i > 0; i--) {
      this.#lines.push(`${cut} NS ${this.#server(cut)}`);
    }
    if (dice.oneIn(3)) this.#lines.push(`${cut} DS ${dice.between(0, 9)} 13 2 ${"AB".repeat(32)}`);
  }

  /** A name server's name, in all the places where one may lie, often with its addresses. */
  #server(cut: string): string {
    const dice = this.#dice;
    const below = `${dice.one(["ns", "a", "b", "c"])}${cut === "@" ? "" : `.${cut}`}`;
    const server = dice.one([below, below, this.#owner(), this.#target()]);
    if (!server.endsWith(".") && !dice.oneIn(4)) {
      for (let i = dice.oneIn(15) ? 30 : dice.between(1, 2); i > 0; i--) {
        this.#lines.push(`${server} A ${this.#ipv4()}`);
      }
      if (dice.oneIn(2)) this.#lines.push(`${server} AAAA ${this.#ipv6()}`);
    }
    return server;
  }

  #owner(): string {
    const dice = this.#dice;
    if (dice.oneIn(12)) return "@";
    return Array.from({ length: dice.one([1, 1, 1, 2, 2, 3]) }, () => dice.one(LABELS)).join(".");
  }

  #wildcardOr(owner: string): string {
    return this.#dice.oneIn(4) && owner !== "@" ? `*.${owner}` : owner;
  }

  /** A name that something leads to: here, in another zone, nowhere. */
  #target(): string {
    const dice = this.#dice;
    if (dice.oneIn(8)) return dice.one(OUTSIDE);
    if (dice.oneIn(4)) return `${this.#owner().replace("@", "a")}.${dice.one(this.#domains)}.`;
    if (dice.oneIn(10)) return `${"L".repeat(60)}.${"M".repeat(60)}.${this.#owner().replace("@", "a")}`;
    const owner = this.#owner();
    return dice.oneIn(10) ? owner.toUpperCase() : owner;
  }

  #data(): string {
    const dice = this.#dice;
    const number = dice.between(0, 65_535);
    return dice.one([
      () => `A ${this.#ipv4()}`,
      () => `A ${this.#ipv4()}`,
      () => `AAAA ${this.#ipv6()}`,
      () => `MX ${number} ${this.#target()}`,
      () =>
        `TXT ${
          Array.from({ length: dice.between(1, 3) }, () => `"${"t".repeat(dice.between(0, 200))}"`).join(" ")
        }`,
      () => `SRV 1 2 ${number} ${this.#target()}`,
      () => `PTR ${this.#target()}`,
      () => `CAA 0 issue "ca${number}.example"`,
      () => `NAPTR 1 ${number} "u" "E2U+sip" "!^.*$!sip:x@y!" .`,
      () => `HTTPS 1 ${this.#target()} alpn=h2,h3 port=${number}`,
      () => `SVCB 0 ${this.#target()}`,
      () => `LOC 52 22 ${dice.between(0, 59)} N 4 53 32 E -2m`,
      () => `CERT PKIX ${number} RSASHA256 AAEC`,
      () => `SSHFP 4 2 ${"0A".repeat(32)}`,
      () => `TLSA 3 1 1 ${"0B".repeat(32)}`,
      () => `RP ${this.#target()} ${this.#target()}`,
      () => `HINFO a "b ${number}"`,
      () => `EUI48 00-00-5e-00-53-${(number & 0xff).toString(16).padStart(2, "0")}`,
      () => `URI 1 ${number} "ftp://x"`,
      () => `TYPE65280 \\# 2 ${number.toString(16).padStart(4, "0")}`,
    ])();
  }

  #ipv4(): string {
    return `192.0.2.${this.#dice.between(0, 255)}`;
  }

  #ipv6(): string {
    return `2001:db8::${this.#dice.between(1, 0xffff).toString(16)}`;
  }

  /** What a zone may hold of the lines: those that make a problem go, the apex stays. */
  #served(): readonly ZoneRecord[] {
    const parsed = parseZoneFile(`$TTL 300\n${this.#lines.join("\n")}\n`, {
      origin: `${this.#domain}.`,
      defaultTtl: 300,
    });
    let { records }: { records: readonly ZoneRecord[] } = parsed;
    for (;;) {
      const { records: served, problems } = checkZone(`${this.#domain}.`, records);
      if (problems.length === 0) return served;
      // Beside a CNAME all else is at fault; here the CNAME goes.
      const faulty = new Set(
        problems.map(({ line, message }) => Number(/CNAME on line (\d+)/.exec(message)?.[1] ?? line)),
      );
      const left = records.filter(({ line }) => !faulty.has(line));
      const lacksServer = problems.some(({ message }) => message.includes("no NS record"));
      if (left.length === records.length && !lacksServer) throw new Error(JSON.stringify(problems));
      records = lacksServer ? [...left, ...this.#lastServer()] : left;
    }
  }

  #lastServer(): readonly ZoneRecord[] {
    const { records } = parseZoneFile("@ NS ns.o.", { origin: `${this.#domain}.`, defaultTtl: 300 });
    return records.map((record) => ({ ...record, line: 0 }));
  }
}

/** A question. */
export interface RandomQuestion {
  readonly name: string;
  readonly type: string;
  /** `null` = without EDNS. */
  readonly udpSize: number | null;
}

const ASKED_TYPES = [
  "A",
  "A",
  "A",
  "AAAA",
  "NS",
  "SOA",
  "MX",
  "TXT",
  "CNAME",
  "DS",
  "DS",
  "DNAME",
  "HTTPS",
  "SRV",
  "TYPE65280",
  "LOC",
];

/** Questions about a zone: its names, those above, beside and below them, in any case. */
export function* randomQuestions(zone: RandomZone, count: number, rng: Rng): Generator<RandomQuestion> {
  const dice = new Dice(rng);
  const names = new Set<string>([zone.domain]);
  for (const { owner, rdata, type } of zone.records) {
    const lower = lowerCaseName(owner);
    for (const offset of labelOffsets(lower)) {
      const name = wireToName(lower, offset);
      if (name.endsWith(zone.domain)) names.add(name);
    }
    if (typeName(type) === "CNAME") names.add(wireToName(rdata));
  }
  const known = [...names];
  for (let i = 0; i < count; i++) {
    const base = dice.one(known).replace(/^\*/, dice.one(["*", "any"]));
    const name = dice.one([
      base,
      base,
      base,
      `${dice.one(LABELS)}.${base}`,
      `zz.${dice.one(LABELS)}.${base}`,
      `*.${base}`,
    ]);
    const owned = zone.records[dice.between(0, zone.records.length - 1)]!;
    const [asked, type] = dice.oneIn(3)
      ? [wireToName(owned.owner), typeName(owned.type)]
      : [name, dice.one(ASKED_TYPES)];
    try {
      nameToWire(asked);
    } catch {
      continue;
    }
    yield {
      name: dice.oneIn(10) ? asked.toUpperCase() : asked,
      type,
      udpSize: dice.one([null, null, 1232, 4096]),
    };
  }
}
