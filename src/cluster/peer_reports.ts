/**
 * What other nodes said of each address, whether or not it counts: that depends on who is heard of, and may change without
 * a word of theirs.
 *
 * @module
 */
import type { PeerReport, ReportKey } from "../health/peers.ts";
import { type AddressReport, type Found, seqDigest } from "./wire_format.ts";

/** Reports of all nodes together: 50 nodes with 10,000 addresses each. One takes 150 bytes or so. */
export const REPORTS_MAX = 500_000;

/** The boot of a node that counts; `null` = none does. */
export type BootOf = (node: string) => string | null;

/** What was found at one target. */
interface Said {
  readonly target: string;
  readonly state: PeerReport["state"];
}

interface Entry {
  readonly boot: string;
  readonly seq: number;
  readonly said: readonly Said[];
}

/** What is known of an address, by node. Of what names it one text is kept. */
interface Known {
  readonly address: string;
  readonly nodes: Map<string, Entry>;
}

/** The reports. */
export class PeerReports {
  readonly #bootOf: BootOf;
  readonly #byAddress = new Map<string, Known>();
  /** What each node has reported on, so that all of it can be forgotten. */
  readonly #reportedBy = new Map<string, Set<Known>>();
  /** Few things are said of a great many addresses, and each is kept once: `<target> <state>`. */
  readonly #sayings = new Map<string, readonly [Said]>();
  #size = 0;

  /** Begins with none. */
  constructor(bootOf: BootOf) {
    this.#bootOf = bootOf;
  }

  /** How many addresses all nodes have reported, each node's counted by itself. */
  get size(): number {
    return this.#size;
  }

  /** The report of a node on an address that was taken last: nothing would come of it again, or of earlier ones of its boot. */
  latest(node: string, address: string): Pick<AddressReport, "boot" | "seq"> | null {
    return this.#byAddress.get(address)?.nodes.get(node) ?? null;
  }

  /**
   * Takes what a node says of an address, unless something newer of it is known.
   *
   * @returns what differs of that which counts; `null` = it isn't taken
   */
  put(node: string, address: string, { boot, seq, targets }: AddressReport): readonly ReportKey[] | null {
    const active = this.#bootOf(node);
    const known = this.#byAddress.get(address);
    const before = known?.nodes.get(node);
    if (before?.boot === boot ? seq <= before.seq : before !== undefined && before.boot === active) {
      return null;
    }
    if (before === undefined && this.#size >= REPORTS_MAX) return null;
    // An address without targets stays known, so that a late report on it doesn't come back.
    const said = targets.length === 1
      ? this.#saying(targets[0]!)
      : targets.flatMap((one) => this.#saying(one));
    // One text of a boot, too: of equal ones that which is kept.
    const entry: Entry = { boot: [active, before?.boot].find((each) => each === boot) ?? boot, seq, said };
    if (before === undefined) this.#size++;
    const at = known ?? { address, nodes: new Map<string, Entry>() };
    if (!known) this.#byAddress.set(address, at);
    at.nodes.set(node, entry);
    let reported = this.#reportedBy.get(node);
    if (!reported) this.#reportedBy.set(node, reported = new Set());
    reported.add(at);
    if (boot !== active) return [];
    return differing(before?.boot === active ? before.said : [], said)
      .map(({ target }) => ({ address: at.address, target }));
  }

  /** Whether all that a process of a node has found is here; takes time in proportion. */
  hasAll(node: string, boot: string, { addresses, digest }: Found): boolean {
    const reported = this.#reportedBy.get(node);
    if ((reported?.size ?? 0) < addresses) return false;
    for (const { nodes } of reported ?? []) {
      const entry = nodes.get(node)!;
      if (entry.boot !== boot || entry.said.length === 0) continue;
      addresses--;
      digest -= seqDigest(entry.seq);
    }
    return addresses === 0 && digest === 0;
  }

  /** What the nodes that count say of a target. */
  reports(address: string, target: string): PeerReport[] {
    const found: PeerReport[] = [];
    const known = this.#byAddress.get(address);
    if (known === undefined) return found;
    for (const [node, { boot, said }] of known.nodes) {
      const report = said.find((each) => each.target === target);
      if (report && this.#bootOf(node) === boot) {
        found.push({ node, address: known.address, target, state: report.state });
      }
    }
    return found;
  }

  /** Forgets all that a node said; takes time in proportion. */
  forget(node: string): void {
    for (const { address, nodes } of this.#reportedBy.get(node) ?? []) {
      if (nodes.delete(node)) this.#size--;
      if (nodes.size === 0) this.#byAddress.delete(address);
    }
    this.#reportedBy.delete(node);
  }

  /** The nodes of which something is known. */
  nodes(): IterableIterator<string> {
    return this.#reportedBy.keys();
  }

  #saying({ target, state }: Said): readonly [Said] {
    const key = `${target} ${state}`;
    const known = this.#sayings.get(key);
    if (known !== undefined) return known;
    const saying = [{ target, state }] as const;
    // Whoever says something else all the time only loses the saving.
    if (this.#sayings.size < SAYINGS_KEPT_MAX) this.#sayings.set(key, saying);
    return saying;
  }
}

const SAYINGS_KEPT_MAX = 10_000;

/** That in which what a node says of an address differs. */
function differing(before: readonly Said[], after: readonly Said[]): Said[] {
  const isIn = ({ target, state }: Said, list: readonly Said[]) =>
    list.some((each) => each.target === target && each.state === state);
  const changed = after.filter((report) => !isIn(report, before));
  const gone = before.filter(({ target }) => !after.some((each) => each.target === target));
  return [...changed, ...gone];
}
