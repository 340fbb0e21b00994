/**
 * Geo rules, grouped by what they look for: read from the words in which they lie.
 *
 * @module
 */
import {
  bitOfWords,
  bitsOfNode,
  CIDR_INNER,
  type ClientRule,
  encodeRules,
  GROUP,
  groupOfLeaf,
  IPV6,
  isLaidOut,
  type Kind,
  KINDS,
  layRules,
  type NamedKind,
  NO_CIDR,
  NODE,
  NODE_BITS,
  partsOf,
  RULE,
  TABLE,
  type TableParts,
} from "./rule_table.ts";

/** Rules that say the same of the client; their members are equals. */
export interface RuleGroup {
  /** Which one it is. */
  readonly number: number;
  /** Indices of their members, ascending: they rotate, so the order in which rules name them says nothing. */
  readonly members: readonly number[];
  /** Of a prefix: the group of the next shorter one that covers it, which counts where none of its own members does. */
  readonly around: RuleGroup | null;
}

/** Rules by what they look at, whoever of their members is up. */
export class RuleGroups {
  readonly #words: Uint32Array;
  readonly #parts: TableParts;
  /** Those that were asked for, by number. */
  readonly #groups: (RuleGroup | undefined)[] = [];

  /** Lays the rules out where they aren't. @param table empty = there are none */
  constructor(table: Uint32Array) {
    this.#words = table.length === 0 ? NO_RULES : isLaidOut(table) ? table : layRules(table);
    this.#parts = partsOf(this.#words[TABLE.rules]!, this.count, this.#words[TABLE.nodes]!);
  }

  /** How many groups there are. */
  get count(): number {
    return this.#words[TABLE.groups]!;
  }

  /** Of a kind a group for each set of members that its rules name: how many. */
  namingCount(kind: Kind): number {
    return this.#words[TABLE.naming + KINDS.indexOf(kind)]!;
  }

  /** The i-th of them. */
  namingAt(kind: Kind, i: number): RuleGroup {
    let at = this.#parts.naming + i;
    for (let before = KINDS.indexOf(kind) - 1; before >= 0; before--) {
      at += this.#words[TABLE.naming + before]!;
    }
    return this.#group(this.#words[at]!);
  }

  /** The group of rules that look for this; `null` = there is none. */
  named(kind: NamedKind, value: number): RuleGroup | null {
    const end = TABLE.ends + KINDS.indexOf(kind) - 1;
    let low = kind === "asn" ? 0 : this.#words[end - 1]!;
    let high = this.#words[end]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#words[this.#ruleAt(this.#ruleOf(middle, 0)) + RULE.value]! < value) low = middle + 1;
      else high = middle;
    }
    if (low === this.#words[end]! || this.#words[this.#ruleAt(this.#ruleOf(low, 0)) + RULE.value] !== value) {
      return null;
    }
    return this.#group(low);
  }

  /** Where to begin with the prefixes of addresses of so many bytes: an inner node, or a leaf, which is negative. */
  cidrRoot(bytes: number): number {
    return this.#words[bytes === 4 ? TABLE.root4 : TABLE.root6]! | 0;
  }

  /** What the next bit leads to behind a node to which `depth` bits have led; a leaf leads to itself. */
  cidrChild(node: number, depth: number, bit: number): number {
    if (node < CIDR_INNER) return node;
    const words = this.#words;
    const at = this.#parts.nodes + node * NODE.size;
    const head = words[at]!;
    if (depth === bitsOfNode(head)) return words[at + NODE.children + bit]! | 0;
    const prefix = this.#ruleAt(head >>> NODE_BITS) + RULE.prefix;
    return bitOfWords(words, prefix, depth) === bit ? node : words[at + NODE.cover]! | 0;
  }

  /** The group of the longest prefix that covers a leaf, or `null`. */
  groupAt(leaf: number): RuleGroup | null {
    return leaf === NO_CIDR ? null : this.#group(groupOfLeaf(leaf));
  }

  /** The first rule of a group, in their order, that names a member that counts. */
  ruleOf({ number }: RuleGroup, counts: (member: number) => boolean): ClientRule | null {
    for (let i = 0; i < this.#rulesIn(number); i++) {
      const at = this.#ruleAt(this.#ruleOf(number, i));
      const member = this.#words[at + RULE.member]!;
      if (counts(member)) return { match: this.#matchAt(at), member };
    }
    return null;
  }

  #group(number: number): RuleGroup {
    return this.#groups[number] ??= this.#makeGroup(number);
  }

  #makeGroup(number: number): RuleGroup {
    const members: number[] = [];
    for (let i = 0; i < this.#rulesIn(number); i++) {
      const member = this.#words[this.#ruleAt(this.#ruleOf(number, i)) + RULE.member]!;
      if (!members.includes(member)) members.push(member);
    }
    if (members.length > 1) members.sort((a, b) => a - b);
    const around = this.#words[this.#parts.groups + number * GROUP.size + GROUP.around]!;
    return { number, members, around: around === 0 ? null : this.#group(around - 1) };
  }

  #rulesIn(group: number): number {
    const at = this.#parts.groups + group * GROUP.size + GROUP.from;
    return this.#words[at + GROUP.size]! - this.#words[at]!;
  }

  /** The number of a group's i-th rule. */
  #ruleOf(group: number, i: number): number {
    return this
      .#words[this.#parts.numbers + this.#words[this.#parts.groups + group * GROUP.size + GROUP.from]! + i]!;
  }

  #ruleAt(rule: number): number {
    return TABLE.head + rule * RULE.size;
  }

  #matchAt(at: number): ClientRule["match"] {
    const words = this.#words;
    const value = words[at + RULE.value]!;
    const kind = KINDS[words[at + RULE.kind]! & ~IPV6]!;
    if (kind === "asn") return { kind, number: value };
    if (kind !== "cidr") return { kind, code: value };
    const size = (words[at + RULE.kind]! & IPV6) === 0 ? 4 : 16;
    const prefix = Array.from(
      { length: size },
      (_, byte) => words[at + RULE.prefix + (byte >> 2)]! >>> 24 - (byte & 3) * 8 & 0xff,
    );
    return { kind, prefix, bits: value };
  }
}

/** The table of no rules. */
const NO_RULES = encodeRules([]);
