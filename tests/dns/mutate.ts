/**
 * Queries gone wrong: a corpus of valid ones of every kind, and a seeded generator that damages them where a reader
 * is most likely to trip — lengths, counts, pointers, options — and at random.
 *
 * The same seed gives the same packets, so a failure is repeated by its seed and number.
 *
 * @module
 */
import { type Rng, seededRng } from "../../src/clock.ts";
import { query } from "./packets.ts";
import type { Declared } from "./world.ts";

/** Addresses of a name: answers of about 512 and of about 1232 bytes, where limits begin to count. */
const BORDERLINE = [26, 27, 28, 29, 30, 31, 70, 71, 72, 73, 74, 75];
const manyAddresses = (count: number) => Array.from({ length: count }, (_, i) => `10.0.0.${i}`);

/** A world in which the corpus meets every kind of answer. */
export const FUZZED: Declared = {
  pools: [
    { name: "web", members: ["192.0.2.10", "192.0.2.11", "2001:db8::10"] },
    {
      name: "weighted",
      algorithm: "weighted-round-robin",
      maxAnswers: 2,
      members: [{ ipAddress: "192.0.2.20", weight: 5 }, { ipAddress: "192.0.2.21", weight: 2 }],
    },
    { name: "large", maxAnswers: 0, members: manyAddresses(200) },
    ...BORDERLINE.map((count) => ({ name: `a${count}`, maxAnswers: 0, members: manyAddresses(count) })),
    { name: "none", members: [] },
  ],
  services: {
    "www.example.com": "web",
    "weighted.example.com": { pool: "weighted", ttl: 0 },
    "large.example.com": "large",
    "none.example.com": "none",
    "null.example.com": null,
    "*.apps.example.com": "web",
    ...Object.fromEntries(BORDERLINE.map((count) => [`a${count}.example.com`, `a${count}`])),
    "own.example.org": { pool: "web", ttl: 86_400 },
  },
  zones: {
    "example.com": `
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 604800 60
@ NS ns1
@ MX 10 mail
ns1 A 192.0.2.1
mail AAAA 2001:db8::25
c1 CNAME c2
c2 CNAME c3
c3 CNAME c4
c4 CNAME www
loop CNAME pool
pool CNAME loop
out CNAME www.example.net.
*.wild TXT "any"
deep.ent TXT "below"
sub NS ns.sub
sub NS ns1
ns.sub A 192.0.2.53
ns.sub AAAA 2001:db8::53
sub DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
text TXT ${`"${"t".repeat(250)}" `.repeat(20)}
`,
    "example.net": null,
  },
  nameservers: ["ns1.example.com", "ns2.example.com"],
};

const HEADER_SIZE = 12;
const LONGEST_NAME = [63, 63, 63, 61].map((size) => "x".repeat(size)).join(".");
const MOST_LABELS = Array<string>(127).fill("a").join(".");
const NAMES = [
  ...BORDERLINE.map((count) => `a${count}.example.com`),
  "www.example.com",
  "WWW.eXample.COM",
  "weighted.example.com",
  "large.example.com",
  "none.example.com",
  "null.example.com",
  "a.b.apps.example.com",
  "own.example.org",
  "below.own.example.org",
  "example.com",
  "ns1.example.com",
  "c1.example.com",
  "loop.example.com",
  "out.example.com",
  "x.wild.example.com",
  "ent.example.com",
  "host.sub.example.com",
  "sub.example.com",
  "text.example.com",
  "nope.example.com",
  "a.nope.example.com",
  "example.net",
  "elsewhere.test",
  ".",
  LONGEST_NAME,
  MOST_LABELS,
  "version.bind",
];
const TYPES = ["A", "AAAA", "TXT", "ANY", "SOA", "NS", "DS", "CNAME", "HTTPS", "AXFR", "UNKNOWN_4660"];
const EDNS = [
  {},
  { udpSize: 4096 },
  { udpSize: 512, dnssecOk: true, nsid: true },
  { udpSize: 700, ecs: "198.51.100.0/24" },
  { udpSize: 1232, ecs: "2001:db8:a::/56", nsid: true },
  { udpSize: 1232, ecs: "0.0.0.0/0" },
  { udpSize: 0, ednsVersion: 1 },
];

const OPT = "00002904d000000000";
const COOKIE = "000a0008" + "1122334455667788";
const COOKIES = "000a0018" + "1122334455667788" + "01000000" + "675a1b2c".repeat(3);
/** The key `k`, HMAC-SHA256, a MAC of four bytes. */
const TSIG = "016b00" + "00fa00ff00000000" + "0021" + "0b686d61632d73686132353600" + "0000675a1b2c012c" +
  "0004aabbccdd" +
  "000100000000";

/** Additional records in hex, and how many they are: cookies, signatures, both. */
const ADDITIONALS: readonly [records: string, count: number][] = [
  [`${OPT}000c${COOKIE}`, 1],
  [`${OPT}001c${COOKIES}`, 1],
  [`${OPT}0028${COOKIE}${COOKIES}`, 1],
  [TSIG, 1],
  [`${OPT}001c${COOKIES}${TSIG}`, 2],
  [`c00c${TSIG.slice(6)}`, 1],
];

function withAdditionals(packet: Uint8Array, [records, count]: readonly [string, number]): Uint8Array {
  const longer = new Uint8Array([...packet, ...Uint8Array.fromHex(records)]);
  longer[11] = count;
  return longer;
}

/** Valid queries with cookies and signatures, one of them without a question. */
const EXTENDED: readonly Uint8Array[] = [
  ...NAMES.flatMap((name, n) =>
    ADDITIONALS.map((records, i) =>
      withAdditionals(query(name, TYPES[(n + i) % TYPES.length]!, { id: 0xff00 + i }), records)
    )
  ),
  withAdditionals(new Uint8Array(HEADER_SIZE), ADDITIONALS[0]!),
];

/** Valid queries: every name of interest in every type, with EDNS of every kind in turn; then those with more. */
export const CORPUS: readonly Uint8Array[] = NAMES.flatMap((name, n) =>
  TYPES.flatMap((type, t) =>
    [0, 1, 2].map((i) =>
      query(name, type, {
        ...EDNS[(n + t * 3 + i) % EDNS.length],
        class: name === "version.bind" ? "CH" : "IN",
        id: (n * TYPES.length + t) * 7 & 0xffff,
      })
    )
  )
).concat(EXTENDED);

/** Largest packet that is made. */
export const MUTATED_MAX = 2048;

/** Values at which lengths, counts and pointers change their meaning. */
const EDGES = [0, 1, 2, 3, 4, 7, 8, 11, 12, 0x29, 0x3e, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xfe, 0xff];

/** Gives damaged queries without end. */
export class Mutator {
  readonly #random: Rng;
  readonly #bytes = new Uint8Array(MUTATED_MAX);
  #size = 0;

  constructor(seed: number) {
    this.#random = seededRng(seed);
  }

  /** A number below `limit`. */
  below(limit: number): number {
    return this.#random() % limit;
  }

  /** The next packet: one of the corpus after none to four kinds of damage; valid until the next call. */
  next(): Uint8Array {
    this.#copy(CORPUS[this.below(CORPUS.length)]!);
    this.#bytes[0] = this.below(256);
    this.#bytes[1] = this.below(256);
    for (let left = this.below(5); left > 0; left--) DAMAGES[this.below(DAMAGES.length)]!(this);
    return this.#bytes.subarray(0, this.#size);
  }

  #copy(packet: Uint8Array): void {
    this.#bytes.set(packet);
    this.#size = packet.length;
  }

  flipBits(): void {
    if (this.#size === 0) return;
    for (let left = 1 + this.below(8); left > 0; left--) {
      this.#bytes[this.below(this.#size)]! ^= 1 << this.below(8);
    }
  }

  setByte(): void {
    if (this.#size > 0) this.#bytes[this.below(this.#size)] = this.#edge();
  }

  truncate(): void {
    this.#size = this.below(this.#size + 1);
  }

  append(): void {
    for (let left = this.below(64); left > 0 && this.#size < MUTATED_MAX; left--) {
      this.#bytes[this.#size++] = this.#byte();
    }
  }

  /** The beginning of this one, the end of another. */
  splice(): void {
    const other = CORPUS[this.below(CORPUS.length)]!;
    const at = this.below(this.#size + 1);
    const end = other.subarray(this.below(other.length)).subarray(0, MUTATED_MAX - at);
    this.#bytes.set(end, at);
    this.#size = at + end.length;
  }

  /** Some bytes a second time. */
  repeat(): void {
    const from = this.below(this.#size + 1);
    const size = Math.min(this.below(this.#size - from + 1), MUTATED_MAX - this.#size);
    this.#bytes.copyWithin(from + size, from, this.#size);
    this.#size += size;
  }

  /** Opcode, flags and counts. */
  setHeader(): void {
    this.#bytes[2 + this.below(HEADER_SIZE - 2)] = this.#edge();
  }

  setLabelLength(): void {
    this.#bytes[this.#label()] = this.below(2) === 0 ? this.#edge() : this.below(256);
  }

  /** A pointer where a label should be: back, forward, to itself. */
  setPointer(): void {
    const at = this.#label();
    this.#bytes[at] = 0xc0 | this.below(64) * (this.below(8) === 0 ? 1 : 0);
    this.#bytes[at + 1] = this.below(2) === 0 ? at : this.below(256);
  }

  setQuestionType(): void {
    const at = this.#questionEnd() - 4;
    this.#bytes[at + this.below(4)] = this.below(256);
  }

  /** Size, version, flags, lengths and contents of OPT, wherever it begins. */
  setOpt(): void {
    const at = this.#questionEnd();
    if (at + 11 >= this.#size) return;
    const offset = this.below(4) === 0 ? this.below(11) : this.below(this.#size - at);
    this.#bytes[at + offset] = this.below(2) === 0 ? this.#edge() : this.below(256);
  }

  /** Another option in OPT, its lengths right or wrong. */
  addOption(): void {
    const at = this.#questionEnd();
    if (at + 11 > this.#size || this.#size + 64 > MUTATED_MAX) return;
    const size = this.below(24);
    const grown = (this.#bytes[at + 9]! << 8 | this.#bytes[at + 10]!) + 4 + size +
      this.below(2) * this.below(4);
    this.#bytes[at + 9] = grown >>> 8;
    this.#bytes[at + 10] = grown;
    this.#bytes[this.#size++] = 0;
    this.#bytes[this.#size++] = this.below(4) === 0 ? this.below(256) : 8;
    this.#bytes[this.#size++] = 0;
    this.#bytes[this.#size++] = this.below(4) === 0 ? this.#edge() : size;
    for (let i = 0; i < size; i++) this.#bytes[this.#size++] = i < 4 ? this.below(3) : this.below(256);
  }

  /** Client subnets of every family, length and scope, mostly with as many bytes as the length asks for. */
  setSubnet(): void {
    const at = this.#questionEnd();
    if (at + 19 > this.#size) return;
    const length = this.below(140);
    this.#bytes[at + 16] = this.below(4);
    this.#bytes[at + 17] = length;
    this.#bytes[at + 18] = this.below(4) === 0 ? this.#edge() : 0;
  }

  noise(): void {
    this.#size = this.below(128);
    for (let i = 0; i < this.#size; i++) this.#bytes[i] = this.below(256);
  }

  /** Position of one of the question's labels, as far as they can be followed. */
  #label(): number {
    let at = HEADER_SIZE;
    for (let left = this.below(5); left > 0 && at < this.#size; left--) at += this.#bytes[at]! + 1;
    return Math.min(at, MUTATED_MAX - 2);
  }

  #questionEnd(): number {
    let at = HEADER_SIZE;
    while (at < this.#size && this.#bytes[at] !== 0) at += this.#bytes[at]! + 1;
    return Math.min(at + 5, MUTATED_MAX - 5);
  }

  #edge(): number {
    return EDGES[this.below(EDGES.length)]!;
  }

  #byte(): number {
    return this.below(2) === 0 ? this.#edge() : this.below(256);
  }
}

const DAMAGES: readonly ((mutator: Mutator) => void)[] = [
  (mutator) => mutator.flipBits(),
  (mutator) => mutator.setByte(),
  (mutator) => mutator.truncate(),
  (mutator) => mutator.append(),
  (mutator) => mutator.splice(),
  (mutator) => mutator.repeat(),
  (mutator) => mutator.setHeader(),
  (mutator) => mutator.setLabelLength(),
  (mutator) => mutator.setPointer(),
  (mutator) => mutator.setQuestionType(),
  (mutator) => mutator.setOpt(),
  (mutator) => mutator.addOption(),
  (mutator) => mutator.setSubnet(),
  (mutator) => mutator.noise(),
];
