/**
 * Geo rules, grouped by what they look for.
 *
 * @module
 */

/** Sends clients to one candidate before the algorithm is asked. */
export interface ClientRule {
  /** What it looks at, and what that has to be. */
  readonly match:
    | { readonly kind: "cidr"; readonly prefix: Uint8Array; readonly bits: number }
    | { readonly kind: "asn"; readonly number: number }
    /** Two letters as one number, first letter high. */
    | { readonly kind: "country" | "continent"; readonly code: number };
  /** Position among the candidates. */
  readonly candidate: number;
}

/** Rules that say the same of the client; their candidates are equals. */
export interface RuleGroup {
  /** Indices of the rules. */
  readonly rules: number[];
  /** Their candidates by position, all of them equals. */
  readonly candidates: { readonly order: number[]; lead: number };
}

/** No rule's prefix covers the one asked about. */
export const NO_CIDR: number = -1;
/** Some rule's prefix lies inside the one asked about. */
export const INSIDE: number = -2;

/** The rules of a map by what they look at. */
export class RuleGroups {
  /** Whether some rule looks at the network. */
  readonly hasAsn: boolean;
  /** Whether some rule looks at the country. */
  readonly hasCountry: boolean;
  /** Whether some rule looks at the continent. */
  readonly hasContinent: boolean;
  readonly #groups: RuleGroup[] = [];
  readonly #named = new Map<string, RuleGroup>();
  /** Longest prefix first. */
  readonly #cidrs: { readonly prefix: Uint8Array; readonly bits: number; readonly group: number }[] = [];

  /** Groups rules that look for the same. */
  constructor(rules: readonly ClientRule[]) {
    for (const [i, { match, candidate }] of rules.entries()) {
      const key = match.kind === "cidr"
        ? `cidr ${match.prefix} ${match.bits}`
        : keyOf(match.kind, match.kind === "asn" ? match.number : match.code);
      let group = this.#named.get(key);
      if (!group) {
        group = { rules: [], candidates: { order: [], lead: 0 } };
        this.#named.set(key, group);
        if (match.kind === "cidr") this.#cidrs.push({ ...match, group: this.#groups.length });
        this.#groups.push(group);
      }
      group.rules.push(i);
      if (group.candidates.order.includes(candidate)) continue;
      group.candidates.lead = group.candidates.order.push(candidate);
    }
    this.#cidrs.sort((a, b) => b.bits - a.bits);
    const has = (kind: ClientRule["match"]["kind"]) => rules.some((rule) => rule.match.kind === kind);
    this.hasAsn = has("asn");
    this.hasCountry = has("country");
    this.hasContinent = has("continent");
  }

  /** How many groups there are. */
  get count(): number {
    return this.#groups.length;
  }

  /** A group by the number that `cidrAt` gives. */
  at(group: number): RuleGroup {
    return this.#groups[group]!;
  }

  /** The group of rules that look for this; `null` = there is none. */
  named(kind: "asn" | "country" | "continent", value: number): RuleGroup | null {
    return this.#named.get(keyOf(kind, value)) ?? null;
  }

  /** The group of the longest prefix that covers all of this one, `NO_CIDR`, or `INSIDE`. */
  cidrAt(prefix: Uint8Array, depth: number): number {
    for (const cidr of this.#cidrs) {
      if (cidr.prefix.length !== prefix.length) continue;
      if (!agree(cidr.prefix, prefix, Math.min(cidr.bits, depth))) continue;
      return cidr.bits > depth ? INSIDE : cidr.group;
    }
    return NO_CIDR;
  }
}

function keyOf(kind: "asn" | "country" | "continent", value: number): string {
  return `${kind} ${value}`;
}

function agree(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  const bytes = bits >> 3;
  for (let i = 0; i < bytes; i++) if (a[i] !== b[i]) return false;
  const rest = bits & 7;
  return rest === 0 || (a[bytes]! ^ b[bytes]!) >> (8 - rest) === 0;
}
