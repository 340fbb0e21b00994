/**
 * What other nodes said of each address, whether or not it counts: that depends on who is heard of, and may change without
 * a word of theirs.
 *
 * @module
 */
import type { PeerReport, ReportKey } from "../health/peers.ts";
import type { AddressReport } from "./wire_format.ts";

/** Reports of all nodes together: 50 nodes with 10,000 addresses each. One takes 300 bytes or so. */
export const REPORTS_MAX = 500_000;

/** The boot of a node that counts; `null` = none does. */
export type BootOf = (node: string) => string | null;

interface Entry {
  readonly boot: string;
  readonly seq: number;
  readonly reports: readonly PeerReport[];
}

/** The reports. */
export class PeerReports {
  readonly #bootOf: BootOf;
  readonly #byAddress = new Map<string, Map<string, Entry>>();
  /** Each node's addresses, so that all of it can be forgotten. */
  readonly #addressesOf = new Map<string, Set<string>>();
  /** Targets are few, and each text is kept once. */
  readonly #targets = new Map<string, string>();
  #size = 0;

  /** Begins with none. */
  constructor(bootOf: BootOf) {
    this.#bootOf = bootOf;
  }

  /** How many addresses all nodes have reported, each node's counted by itself. */
  get size(): number {
    return this.#size;
  }

  /** Whether this report of a node on an address, or a later one of the same boot, was taken: nothing would come of it again. */
  knows(node: string, address: string, { boot, seq }: Pick<AddressReport, "boot" | "seq">): boolean {
    const known = this.#byAddress.get(address)?.get(node);
    return known?.boot === boot && seq <= known.seq;
  }

  /**
   * Takes what a node says of an address, unless something newer of it is known.
   *
   * @returns what differs of that which counts; `null` = it isn't taken
   */
  put(node: string, address: string, { boot, seq, targets }: AddressReport): readonly ReportKey[] | null {
    const active = this.#bootOf(node);
    const nodes = this.#byAddress.get(address);
    const before = nodes?.get(node);
    if (before?.boot === boot ? seq <= before.seq : before !== undefined && before.boot === active) {
      return null;
    }
    if (before === undefined && this.#size >= REPORTS_MAX) return null;
    const reports = targets.map(({ target, state }): PeerReport => ({
      node,
      address,
      target: this.#interned(target),
      state,
    }));
    // An address without targets stays known, so that a late report on it doesn't come back.
    const entry: Entry = { boot, seq, reports };
    if (before === undefined) this.#size++;
    if (nodes) nodes.set(node, entry);
    else this.#byAddress.set(address, new Map([[node, entry]]));
    let addresses = this.#addressesOf.get(node);
    if (!addresses) this.#addressesOf.set(node, addresses = new Set());
    addresses.add(address);
    if (boot !== active) return [];
    return differing(before?.boot === active ? before.reports : [], reports);
  }

  /** What the nodes that count say of a target. */
  reports(address: string, target: string): PeerReport[] {
    const found: PeerReport[] = [];
    for (const [node, { boot, reports }] of this.#byAddress.get(address) ?? []) {
      const report = reports.find((each) => each.target === target);
      if (report && this.#bootOf(node) === boot) found.push(report);
    }
    return found;
  }

  /** Forgets all that a node said; takes time in proportion. */
  forget(node: string): void {
    for (const address of this.#addressesOf.get(node) ?? []) {
      const nodes = this.#byAddress.get(address)!;
      if (nodes.delete(node)) this.#size--;
      if (nodes.size === 0) this.#byAddress.delete(address);
    }
    this.#addressesOf.delete(node);
  }

  /** The nodes of which something is known. */
  nodes(): IterableIterator<string> {
    return this.#addressesOf.keys();
  }

  #interned(target: string): string {
    const known = this.#targets.get(target);
    if (known !== undefined) return known;
    // Whoever sends other targets all the time only loses the saving.
    if (this.#targets.size < TARGETS_KEPT_MAX) this.#targets.set(target, target);
    return target;
  }
}

const TARGETS_KEPT_MAX = 10_000;

/** The targets on which two reports of a node on an address differ. */
function differing(before: readonly PeerReport[], after: readonly PeerReport[]): ReportKey[] {
  const isIn = ({ target, state }: PeerReport, list: readonly PeerReport[]) =>
    list.some((each) => each.target === target && each.state === state);
  const changed = after.filter((report) => !isIn(report, before));
  const gone = before.filter(({ target }) => !after.some((each) => each.target === target));
  return [...changed, ...gone];
}
