/**
 * Geo rules, grouped by what they look for.
 *
 * @module
 */

/** Sends clients to one member before the algorithm is asked. */
export interface ClientRule {
  /** What it looks at, and what that has to be. */
  readonly match:
    | { readonly kind: "cidr"; readonly prefix: Uint8Array; readonly bits: number }
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
/** The kinds that match by equality. */
export type NamedKind = Exclude<Kind, "cidr">;

/** Rules by what they look at, whoever of their members is up. */
export class RuleGroups {
  readonly #groups: RuleGroup[] = [];
  readonly #kinds: Readonly<Record<Kind, RuleGroup[]>> = { cidr: [], asn: [], country: [], continent: [] };
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
    const cidrs: number[] = [];
    for (const [i, { match }] of rules.entries()) {
      if (match.kind === "cidr") cidrs.push(i);
      else {this.#add(
          i,
          rules[i]!,
          this.#groupNamed(match.kind, match.kind === "asn" ? match.number : match.code),
        );}
    }
    // Longer prefixes are laid over shorter ones.
    const bitsOf = (i: number) => (rules[i]!.match as { readonly bits: number }).bits;
    for (const i of cidrs.sort((a, b) => bitsOf(a) - bitsOf(b) || a - b)) this.#addCidr(i, rules[i]!);
    for (const { members } of this.#groups) members.sort((a, b) => a - b);
  }

  /** How many groups there are. */
  get count(): number {
    return this.#groups.length;
  }

  /** The groups of a kind. */
  of(kind: Kind): readonly RuleGroup[] {
    return this.#kinds[kind];
  }

  /** The group of rules that look for this; `null` = there is none. */
  named(kind: NamedKind, value: number): RuleGroup | null {
    return this.#named[kind].get(value) ?? null;
  }

  /** Where to begin with the prefixes of addresses of so many bytes: an inner node, or a leaf, which is negative. */
  cidrRoot(bytes: number): number {
    return this.#tree(bytes).root;
  }

  /** What is behind a node; a leaf is behind itself. */
  cidrChild(bytes: number, node: number, bit: number): number {
    return node < CIDR_INNER ? node : this.#tree(bytes).child(node, bit);
  }

  /** The group of the longest prefix that covers a leaf, or `null`. */
  groupAt(leaf: number): RuleGroup | null {
    return leaf === NO_CIDR ? null : this.#groups[groupOfLeaf(leaf)]!;
  }

  #tree(bytes: number): CidrTree {
    return bytes === 4 ? this.#cidrs4 : this.#cidrs6;
  }

  #groupNamed(kind: NamedKind, value: number): RuleGroup {
    const known = this.#named[kind].get(value);
    if (known) return known;
    const group = this.#begin(kind);
    this.#named[kind].set(value, group);
    return group;
  }

  #addCidr(i: number, rule: ClientRule): void {
    const { prefix, bits } = rule.match as Extract<ClientRule["match"], { readonly kind: "cidr" }>;
    const tree = this.#tree(prefix.length);
    const before = tree.at(prefix, bits);
    const around = this.groupAt(before.leaf);
    // The same prefix once more has its own leaf already.
    const isSame = around !== null && before.depth === bits && this.#bits[around.number] === bits;
    const group = isSame ? around : this.#begin("cidr", around);
    if (!isSame) tree.put(prefix, bits, leafOf(group.number));
    this.#bits[group.number] = bits;
    this.#add(i, rule, group);
  }

  #add(i: number, { member }: ClientRule, { rules, members }: RuleGroup): void {
    rules.push(i);
    if (!members.includes(member)) members.push(member);
  }

  #begin(kind: Kind, around: RuleGroup | null = null): RuleGroup {
    const group = { number: this.#groups.length, rules: [], members: [], around };
    this.#groups.push(group);
    this.#kinds[kind].push(group);
    return group;
  }
}

/** A leaf of the tree, by the number of the group whose prefix covers it; `groupOfLeaf` is its inverse. */
function leafOf(group: number): number {
  return NO_CIDR - 1 - group;
}

function groupOfLeaf(leaf: number): number {
  return NO_CIDR - 1 - leaf;
}

/** The prefixes of one family as a binary tree, walked beside the databases' trees: a step takes no search. */
class CidrTree {
  /** Where to begin. */
  root = NO_CIDR;
  /** Two words a node, one for each bit. */
  readonly #words: number[] = [];

  child(node: number, bit: number): number {
    return this.#words[node * 2 + bit]!;
  }

  /** The leaf on the way to a prefix, none being longer, and how many bits lead to it. */
  at(prefix: Uint8Array, bits: number): { readonly leaf: number; readonly depth: number } {
    let node = this.root;
    let depth = 0;
    while (node >= CIDR_INNER && depth < bits) node = this.child(node, bitAt(prefix, depth++));
    return { leaf: node, depth };
  }

  /** Lays a prefix over what is there, none of which is longer. */
  put(prefix: Uint8Array, bits: number, leaf: number): void {
    if (bits === 0) {
      this.root = leaf;
      return;
    }
    let node = this.root = this.#opened(this.root);
    for (let bit = 0; bit < bits - 1; bit++) {
      const at = node * 2 + bitAt(prefix, bit);
      node = this.#words[at] = this.#opened(this.#words[at]!);
    }
    this.#words[node * 2 + bitAt(prefix, bits - 1)] = leaf;
  }

  /** The node as an inner one: what covers a leaf covers both of its halves. */
  #opened(node: number): number {
    return node < CIDR_INNER ? this.#words.push(node, node) / 2 - 1 : node;
  }
}

function bitAt(address: Uint8Array, bit: number): number {
  return address[bit >> 3]! >> (7 - (bit & 7)) & 1;
}
