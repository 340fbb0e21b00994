/**
 * Geo rules, grouped by what they look for.
 *
 * @module
 */

/** Sends clients to one member before the algorithm is asked. */
export interface ClientRule {
  /** What it looks at, and what that has to be. */
  readonly match:
    /** 4 or 16 bytes, of which so many bits count. */
    | { readonly kind: "cidr"; readonly prefix: readonly number[]; readonly bits: number }
    | { readonly kind: "asn"; readonly number: number }
    /** Two letters as one number, first letter high. */
    | { readonly kind: "country" | "continent"; readonly code: number };
  /** Index of the member (`Candidate.index`). */
  readonly member: number;
}

/** Rules that say the same of the client; their members are equals. */
export interface RuleGroup {
  /** Which one it is. */
  readonly number: number;
  /** What they look at. */
  readonly kind: Kind;
  /** Indices of the rules. */
  readonly rules: number[];
  /** Indices of their members, ascending: they rotate, so the order in which rules name them says nothing. */
  readonly members: number[];
  /** Of a prefix: the group of the next shorter one that covers it, which counts where none of its own members does. */
  readonly around: RuleGroup | null;
}

/** No rule's prefix covers the one asked about. */
const NO_CIDR: number = -1;
/** Nodes of the prefixes' tree from here on are inner ones; below each other nothing varies. */
const CIDR_INNER = 0;

/** What rules can look at. */
export type Kind = ClientRule["match"]["kind"];
const KINDS: readonly Kind[] = ["cidr", "asn", "country", "continent"];
/** The kinds that match by equality. */
export type NamedKind = Exclude<Kind, "cidr">;

/** Rules by what they look at, whoever of their members is up. */
export class RuleGroups {
  readonly #groups: RuleGroup[] = [];
  readonly #naming: Readonly<Record<Kind, RuleGroup[]>> = { cidr: [], asn: [], country: [], continent: [] };
  /** Of groups that look for a prefix: its length. */
  readonly #bits: number[] = [];
  readonly #named: Readonly<Record<NamedKind, Map<number, RuleGroup>>> = {
    asn: new Map(),
    country: new Map(),
    continent: new Map(),
  };
  readonly #cidrs4 = new CidrTree();
  readonly #cidrs6 = new CidrTree();

  /** Groups rules that look for the same. */
  constructor(rules: readonly ClientRule[]) {
    const byBits: number[][] = [];
    for (let i = 0; i < rules.length; i++) {
      const { match } = rules[i]!;
      if (match.kind === "cidr") {
        (byBits[match.bits] ??= []).push(i);
      } else {
        this.#addNamed(i, rules[i]!, match.kind, match.kind === "asn" ? match.number : match.code);
      }
    }
    // Longer prefixes are laid over shorter ones.
    for (const alike of byBits) {
      if (alike !== undefined) { for (const i of alike) this.#addCidr(i, rules[i]!); }
    }
    const named = new Set<string | number>();
    for (const group of this.#groups) {
      const { kind, members } = group;
      if (members.length > 1) members.sort((a, b) => a - b);
      const key = members.length === 1
        ? members[0]! * KINDS.length + KINDS.indexOf(kind)
        : `${kind} ${members}`;
      if (!named.has(key)) this.#naming[kind].push(group);
      named.add(key);
    }
  }

  /** How many groups there are. */
  get count(): number {
    return this.#groups.length;
  }

  /** A group of a kind for each set of members that any of them names. */
  naming(kind: Kind): readonly RuleGroup[] {
    return this.#naming[kind];
  }

  /** The group of rules that look for this; `null` = there is none. */
  named(kind: NamedKind, value: number): RuleGroup | null {
    return this.#named[kind].get(value) ?? null;
  }

  /** Where to begin with the prefixes of addresses of so many bytes: an inner node, or a leaf, which is negative. */
  cidrRoot(bytes: number): number {
    return this.#tree(bytes).root;
  }

  /** What the next bit leads to behind a node to which `depth` bits have led; a leaf leads to itself. */
  cidrChild(bytes: number, node: number, depth: number, bit: number): number {
    return node < CIDR_INNER ? node : this.#tree(bytes).child(node, depth, bit);
  }

  /** The group of the longest prefix that covers a leaf, or `null`. */
  groupAt(leaf: number): RuleGroup | null {
    return leaf === NO_CIDR ? null : this.#groups[groupOfLeaf(leaf)]!;
  }

  #tree(bytes: number): CidrTree {
    return bytes === 4 ? this.#cidrs4 : this.#cidrs6;
  }

  #addNamed(i: number, rule: ClientRule, kind: NamedKind, value: number): void {
    const known = this.#named[kind].get(value);
    if (known) join(i, rule, known);
    else this.#named[kind].set(value, this.#begin(i, rule));
  }

  #addCidr(i: number, rule: ClientRule): void {
    const { prefix, bits } = rule.match as Extract<ClientRule["match"], { readonly kind: "cidr" }>;
    const tree = this.#tree(prefix.length);
    const around = this.groupAt(tree.leafAt(prefix));
    // The same prefix once more has its own leaf already.
    if (around !== null && this.#bits[around.number] === bits) return join(i, rule, around);
    const group = this.#begin(i, rule, around);
    tree.put(prefix, bits, leafOf(group.number));
    this.#bits[group.number] = bits;
  }

  #begin(i: number, { match, member }: ClientRule, around: RuleGroup | null = null): RuleGroup {
    // What an array has room for when something is put into an empty one is sixteen times what most need.
    const group = { number: this.#groups.length, kind: match.kind, rules: [i], members: [member], around };
    this.#groups.push(group);
    return group;
  }
}

/** Adds a rule that looks for the same. */
function join(i: number, { member }: ClientRule, { rules, members }: RuleGroup): void {
  rules.push(i);
  if (!members.includes(member)) members.push(member);
}

/** A leaf of the tree, by the number of the group whose prefix covers it; `groupOfLeaf` is its inverse. */
function leafOf(group: number): number {
  return NO_CIDR - 1 - group;
}

function groupOfLeaf(leaf: number): number {
  return NO_CIDR - 1 - leaf;
}

/**
 * The prefixes of one family as a binary tree, walked a bit at a time beside the databases' trees: a step takes no search. Bits in
 * which all prefixes agree are one node, so there are no more than two of them for a prefix.
 */
class CidrTree {
  /** Where to begin. */
  root = NO_CIDR;
  readonly #nodes: number[] = [];
  /** By node: a prefix whose first `NODE.bits` bits lead to it. */
  readonly #prefixes: (readonly number[])[] = [];

  /** What is behind a node of which so many bits were looked at. */
  child(node: number, depth: number, bit: number): number {
    const at = node * NODE.size;
    if (depth === this.#nodes[at]) return this.#nodes[at + NODE.children + bit]!;
    return bitAt(this.#prefixes[node]!, depth) === bit ? node : this.#nodes[at + NODE.cover]!;
  }

  /** The leaf on the way to a prefix, none being longer. */
  leafAt(prefix: readonly number[]): number {
    let node = this.root;
    for (let known = 0; node >= CIDR_INNER;) {
      const at = node * NODE.size;
      const forkBits = this.#nodes[at]!;
      if (sharedBits(prefix, this.#prefixes[node]!, known, forkBits) < forkBits) {
        return this.#nodes[at + NODE.cover]!;
      }
      node = this.#nodes[at + NODE.children + bitAt(prefix, forkBits)]!;
      known = forkBits;
    }
    return node;
  }

  /** Lays a prefix over what is there, none of which is longer. */
  put(prefix: readonly number[], bits: number, leaf: number): void {
    if (bits === 0) {
      this.root = leaf;
      return;
    }
    // The word that leads to the node at hand; negative = the root's.
    let from = -1;
    for (let known = 0;;) {
      const node = from < 0 ? this.root : this.#nodes[from]!;
      if (node < CIDR_INNER) return this.#lead(from, this.#fork(prefix, bits - 1, { cover: node, leaf }));
      const at = node * NODE.size;
      const forkBits = this.#nodes[at]!;
      const shared = sharedBits(prefix, this.#prefixes[node]!, known, forkBits);
      if (shared === forkBits) {
        from = at + NODE.children + bitAt(prefix, forkBits);
        known = forkBits;
        if (forkBits < bits - 1) continue;
        this.#nodes[from] = leaf;
        return;
      }
      const cover = this.#nodes[at + NODE.cover]!;
      const own = this.#fork(prefix, bits - 1, { cover, leaf });
      const fork = this.#fork(prefix, shared, { cover, leaf: own });
      this.#nodes[fork * NODE.size + NODE.children + 1 - bitAt(prefix, shared)] = node;
      return this.#lead(from, fork);
    }
  }

  #lead(from: number, node: number): void {
    if (from < 0) this.root = node;
    else this.#nodes[from] = node;
  }

  /** A node behind the first bits of a prefix: its next bit leads to `leaf`, which may be a node, and all others to what covers it. */
  #fork(
    prefix: readonly number[],
    bits: number,
    { cover, leaf }: { readonly cover: number; readonly leaf: number },
  ): number {
    const bit = bitAt(prefix, bits);
    this.#nodes.push(bits, cover, bit === 0 ? leaf : cover, bit === 0 ? cover : leaf);
    return this.#prefixes.push(prefix) - 1;
  }
}

/** Where a node's parts lie. */
const NODE = {
  /** How many bits lead to it: the one behind them says which child is next. */
  bits: 0,
  /** The leaf where other bits lead. */
  cover: 1,
  /** Two. */
  children: 2,
  size: 4,
} as const;

/** How many leading bits two prefixes share that share `known`; `most` where it is no less. */
function sharedBits(a: readonly number[], b: readonly number[], known: number, most: number): number {
  for (let byte = known >> 3; byte * 8 < most; byte++) {
    const differing = a[byte]! ^ b[byte]!;
    if (differing !== 0) return Math.min(most, byte * 8 + Math.clz32(differing) - 24);
  }
  return most;
}

function bitAt(address: readonly number[], bit: number): number {
  return address[bit >> 3]! >> (7 - (bit & 7)) & 1;
}
