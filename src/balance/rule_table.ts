/**
 * Geo rules as words: one by one, and laid out, grouped by what they look for with a tree of their prefixes. Hundreds are laid out by
 * who writes what is answered from, so that who answers finds all of it made and only reads (`rule_groups.ts`): to do it there was
 * a pause of half a millisecond, and of several where garbage was collected.
 *
 * @module
 */

/** Sends clients to one member before the algorithm is asked. */
export interface ClientRule {
  /** What it looks at, and what that has to be. */
  readonly match:
    /** 4 or 16 bytes, of which so many bits count. */
    | { readonly kind: "cidr"; readonly prefix: ArrayLike<number>; readonly bits: number }
    | { readonly kind: "asn"; readonly number: number }
    /** Two letters as one number, first letter high. */
    | { readonly kind: "country" | "continent"; readonly code: number };
  /** Index of the member (`Candidate.index`). */
  readonly member: number;
}

/** What rules can look at. */
export type Kind = ClientRule["match"]["kind"];
/** All of them, by the number that stands for each. */
export const KINDS: readonly Kind[] = ["cidr", "asn", "country", "continent"];
/** The kinds that match by equality. */
export type NamedKind = Exclude<Kind, "cidr">;
/** Index of prefixes among `KINDS`. */
const CIDR = 0;
/** Neither a group nor a word. */
const NONE = -1;

/**
 * Words of a table: a head, then the rules; where these are laid out, then their numbers by group, then groups, then nodes of the tree,
 * then the groups that `naming` tells of, for one kind after the other.
 */
export const TABLE = {
  /** How many words it has in all. */
  size: 0,
  /** Of the rules' words. */
  hash: 1,
  /** How many rules. */
  rules: 2,
  /** How many groups; 0 = rules aren't laid out, if there are any. */
  groups: 3,
  /** How many nodes. */
  nodes: 4,
  /** A node or a leaf, as two's complement: where the tree of IPv4 prefixes begins, … */
  root4: 5,
  /** … and that of IPv6 prefixes. */
  root6: 6,
  /** Where the groups of each named kind end, which come first, ordered by kind and value. */
  ends: 7,
  /** How many groups `naming` tells of, for each kind. */
  naming: 10,
  /** The rules, in their order. */
  head: 14,
} as const;

/** A rule. */
export const RULE = {
  /** Index into `KINDS`, and `IPV6` for a prefix of that family. */
  kind: 0,
  /** Bits of the prefix; otherwise the number, or two letters as one number. */
  value: 1,
  /** Big-endian words: one for IPv4, four for IPv6. */
  prefix: 2,
  /** Index of the member. */
  member: 6,
  size: 7,
} as const;

/** In `RULE.kind`. */
export const IPV6 = 0x100;

/** A group; behind the last one there is one more, where the numbers of rules end. */
export const GROUP = {
  /** The first of its rules, among the numbers of rules by group. */
  from: 0,
  /** The group around it, and 1 more; 0 = there is none. */
  around: 1,
  size: 2,
} as const;

/** A node of the tree: bits in which all prefixes agree are one node, so there are no more than two of them for a prefix. */
export const NODE = {
  /** How many bits lead to it, the one behind them saying which child is next; and a rule whose prefix begins with them. */
  head: 0,
  /** The leaf where other bits lead. */
  cover: 1,
  /** Two. */
  children: 2,
  size: 4,
} as const;

/** Of `NODE.head`, the number of bits; the rule is above them. */
export const NODE_BITS = 8;

/** No rule's prefix covers the one asked about. */
export const NO_CIDR: number = -1;
/** Nodes of the prefixes' tree from here on are inner ones; below each other nothing varies. */
export const CIDR_INNER = 0;

/** A leaf of the tree, by the number of the group whose prefix covers it; `groupOfLeaf` is its inverse. */
function leafOf(group: number): number {
  return NO_CIDR - 1 - group;
}

/** The number of the group whose prefix covers a leaf. */
export function groupOfLeaf(leaf: number): number {
  return NO_CIDR - 1 - leaf;
}

/** Where the parts of a table begin. */
export interface TableParts {
  /** Numbers of rules by group. */
  readonly numbers: number;
  /** Groups. */
  readonly groups: number;
  /** Nodes. */
  readonly nodes: number;
  /** What `naming` tells of. */
  readonly naming: number;
}

/** Where the parts of a table begin that has so many of each. */
export function partsOf(rules: number, groups: number, nodes: number): TableParts {
  const numbers = TABLE.head + rules * RULE.size;
  const groupsAt = numbers + rules;
  const nodesAt = groupsAt + (groups + 1) * GROUP.size;
  return { numbers, groups: groupsAt, nodes: nodesAt, naming: nodesAt + nodes * NODE.size };
}

/** The table of some rules, not laid out; without rules there is nothing to be. */
export function encodeRules(rules: readonly ClientRule[]): Uint32Array {
  const table = new Uint32Array(TABLE.head + rules.length * RULE.size);
  table[TABLE.size] = table.length;
  table[TABLE.rules] = rules.length;
  table[TABLE.root4] = table[TABLE.root6] = NO_CIDR;
  for (let i = 0; i < rules.length; i++) {
    const { match, member } = rules[i]!;
    const at = TABLE.head + i * RULE.size;
    const isIpv6 = match.kind === "cidr" && match.prefix.length === 16;
    table[at + RULE.kind] = KINDS.indexOf(match.kind) + (isIpv6 ? IPV6 : 0);
    table[at + RULE.member] = member;
    if (match.kind === "asn") table[at + RULE.value] = match.number;
    else if (match.kind !== "cidr") table[at + RULE.value] = match.code;
    else {
      table[at + RULE.value] = match.bits;
      for (let byte = 0; byte < match.prefix.length; byte++) {
        table[at + RULE.prefix + (byte >> 2)]! |= match.prefix[byte]! << 24 - (byte & 3) * 8;
      }
    }
  }
  table[TABLE.hash] = hashOfWords(table, undefined, TABLE.head);
  return table;
}

/** Whether the rules of a table are laid out. */
export function isLaidOut(table: Uint32Array): boolean {
  return table[TABLE.groups] !== 0 || table[TABLE.rules] === 0;
}

const FNV_BASIS = 0x811c9dc5;

/** FNV-1a over words, or a part of them. @param hash of what comes before them */
export function hashOfWords(words: Uint32Array, hash = FNV_BASIS, from = 0, to = words.length): number {
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ words[i]!, 0x01000193);
  return hash | 0;
}

/** Rules that say the same of the client. */
interface Group {
  /** Indices of the rules, ascending. */
  readonly rules: number[];
  /** Of prefixes: number of the group of the next shorter one that covers it; `NONE` = there is none. */
  readonly around: number;
}

/** The table with its rules laid out. @param encoded as `encodeRules` gives it */
export function layRules(encoded: Uint32Array): Uint32Array {
  const rules = encoded.subarray(TABLE.head);
  const count = encoded[TABLE.rules]!;
  const groups: Group[] = [];
  const byBits: number[][] = [];
  const named: number[] = [];
  for (let rule = 0; rule < count; rule++) {
    if (kindOf(rules, rule) === CIDR) (byBits[valueOf(rules, rule)] ??= []).push(rule);
    else named.push(rule);
  }
  addNamed(rules, named, groups);
  const trees = new CidrTrees(rules);
  // Longer prefixes are laid over shorter ones.
  for (const alike of byBits) if (alike !== undefined) { for (const rule of alike) trees.add(rule, groups); }
  const naming = namingOf(rules, groups);
  const parts = partsOf(count, groups.length, trees.size);
  const table = new Uint32Array(parts.naming + naming.length);
  table.set(encoded);
  table[TABLE.size] = table.length;
  table[TABLE.groups] = groups.length;
  table[TABLE.nodes] = trees.size;
  table[TABLE.root4] = trees.root4;
  table[TABLE.root6] = trees.root6;
  let from = 0;
  for (let number = 0; number < groups.length; number++) {
    const { rules: own, around } = groups[number]!;
    const at = parts.groups + number * GROUP.size;
    table[at + GROUP.from] = from;
    table[at + GROUP.around] = around + 1;
    for (let i = 0; i < own.length; i++) table[parts.numbers + from++] = own[i]!;
    const kind = kindOf(rules, own[0]!);
    for (let later = Math.max(kind, 1); later < KINDS.length && kind !== CIDR; later++) {
      table[TABLE.ends + later - 1] = number + 1;
    }
  }
  table[parts.groups + groups.length * GROUP.size + GROUP.from] = from;
  table.set(trees.words, parts.nodes);
  for (let i = 0; i < naming.length; i++) {
    table[TABLE.naming + kindOf(rules, groups[naming[i]!]!.rules[0]!)]!++;
    table[parts.naming + i] = naming[i]!;
  }
  return table;
}

function kindOf(rules: Uint32Array, rule: number): number {
  return rules[rule * RULE.size + RULE.kind]! & ~IPV6;
}

function valueOf(rules: Uint32Array, rule: number): number {
  return rules[rule * RULE.size + RULE.value]!;
}

function memberOf(rules: Uint32Array, rule: number): number {
  return rules[rule * RULE.size + RULE.member]!;
}

/** Adds groups of the rules that match by equality, by kind and value. */
function addNamed(rules: Uint32Array, named: number[], groups: Group[]): void {
  named.sort((a, b) => kindOf(rules, a) - kindOf(rules, b) || valueOf(rules, a) - valueOf(rules, b));
  let [kind, value] = [NONE, NONE];
  for (const rule of named) {
    if (kindOf(rules, rule) === kind && valueOf(rules, rule) === value) {
      groups.at(-1)!.rules.push(rule);
      continue;
    }
    [kind, value] = [kindOf(rules, rule), valueOf(rules, rule)];
    groups.push({ rules: [rule], around: NONE });
  }
}

/** A group for each set of members that rules of a kind name together, by kind. */
function namingOf(rules: Uint32Array, groups: readonly Group[]): number[] {
  const seen = new Set<string | number>();
  const naming: number[][] = KINDS.map(() => []);
  for (let number = 0; number < groups.length; number++) {
    const own = groups[number]!.rules;
    const kind = kindOf(rules, own[0]!);
    const key = own.length === 1
      ? memberOf(rules, own[0]!) * KINDS.length + kind
      : `${kind} ${[...new Set(own.map((rule) => memberOf(rules, rule)))].sort((a, b) => a - b)}`;
    if (seen.has(key)) continue;
    seen.add(key);
    naming[kind]!.push(number);
  }
  return naming.flat();
}

/**
 * The prefixes of each family as a binary tree, walked a bit at a time beside the databases' trees: a step takes no search.
 */
class CidrTrees {
  root4 = NO_CIDR;
  root6 = NO_CIDR;
  /** Nodes of both trees, as they are written. */
  readonly words: number[] = [];
  readonly #rules: Uint32Array;

  constructor(rules: Uint32Array) {
    this.#rules = rules;
  }

  /** How many nodes there are. */
  get size(): number {
    return this.words.length / NODE.size;
  }

  /** Lays the prefix of a rule over what is there, none of which is longer; a group is added where it has none. */
  add(rule: number, groups: Group[]): void {
    const bits = this.#rules[rule * RULE.size + RULE.value]!;
    const leaf = this.#leafAt(rule);
    const around = leaf === NO_CIDR ? NONE : groupOfLeaf(leaf);
    // The same prefix once more has its own leaf already.
    const known = around === NONE ? null : groups[around]!;
    if (known !== null && this.#rules[known.rules[0]! * RULE.size + RULE.value] === bits) {
      known.rules.push(rule);
      return;
    }
    groups.push({ rules: [rule], around });
    this.#put(rule, bits, leafOf(groups.length - 1));
  }

  /** The leaf on the way to a rule's prefix. */
  #leafAt(rule: number): number {
    let node = this.#rootOf(rule);
    while (node >= CIDR_INNER) {
      const at = node * NODE.size;
      const forkBits = bitsOfNode(this.words[at]!);
      if (this.#sharedBits(rule, this.words[at]!) < forkBits) return this.words[at + NODE.cover]!;
      node = this.words[at + NODE.children + this.#bitAt(rule, forkBits)]!;
    }
    return node;
  }

  #put(rule: number, bits: number, leaf: number): void {
    if (bits === 0) return this.#lead(NONE, rule, leaf);
    // The word that leads to the node at hand.
    let from = NONE;
    for (;;) {
      const node = from === NONE ? this.#rootOf(rule) : this.words[from]!;
      if (node < CIDR_INNER) return this.#lead(from, rule, this.#fork(rule, bits - 1, { cover: node, leaf }));
      const at = node * NODE.size;
      const forkBits = bitsOfNode(this.words[at]!);
      const shared = this.#sharedBits(rule, this.words[at]!);
      if (shared === forkBits) {
        from = at + NODE.children + this.#bitAt(rule, forkBits);
        if (forkBits < bits - 1) continue;
        return this.#lead(from, rule, leaf);
      }
      const cover = this.words[at + NODE.cover]!;
      const own = this.#fork(rule, bits - 1, { cover, leaf });
      const fork = this.#fork(rule, shared, { cover, leaf: own });
      this.words[fork * NODE.size + NODE.children + 1 - this.#bitAt(rule, shared)] = node;
      return this.#lead(from, rule, fork);
    }
  }

  #lead(from: number, rule: number, node: number): void {
    if (from !== NONE) this.words[from] = node;
    else if (this.#isIpv6(rule)) this.root6 = node;
    else this.root4 = node;
  }

  /** A node behind the first bits of a prefix: its next bit leads to `leaf`, which may be a node, and all others to what covers it. */
  #fork(
    rule: number,
    bits: number,
    { cover, leaf }: { readonly cover: number; readonly leaf: number },
  ): number {
    const bit = this.#bitAt(rule, bits);
    this.words.push(rule << NODE_BITS | bits, cover, bit === 0 ? leaf : cover, bit === 0 ? cover : leaf);
    return this.size - 1;
  }

  #rootOf(rule: number): number {
    return this.#isIpv6(rule) ? this.root6 : this.root4;
  }

  #isIpv6(rule: number): boolean {
    return (this.#rules[rule * RULE.size + RULE.kind]! & IPV6) !== 0;
  }

  #bitAt(rule: number, bit: number): number {
    return bitOfWords(this.#rules, rule * RULE.size + RULE.prefix, bit);
  }

  /** How many leading bits a rule's prefix shares with those that lead to a node, no more of which count. */
  #sharedBits(rule: number, head: number): number {
    const most = bitsOfNode(head);
    const [a, b] = [rule, head >>> NODE_BITS].map((each) => each * RULE.size + RULE.prefix) as [
      number,
      number,
    ];
    for (let word = 0; word * 32 < most; word++) {
      const differing = this.#rules[a + word]! ^ this.#rules[b + word]!;
      if (differing !== 0) return Math.min(most, word * 32 + Math.clz32(differing));
    }
    return most;
  }
}

/** How many bits lead to a node. */
export function bitsOfNode(head: number): number {
  return head & 2 ** NODE_BITS - 1;
}

/** A bit of an address that begins at a word. */
export function bitOfWords(words: Uint32Array, at: number, bit: number): number {
  return words[at + (bit >>> 5)]! >>> 31 - (bit & 31) & 1;
}
