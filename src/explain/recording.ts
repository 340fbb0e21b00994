/**
 * What the engine said in the dry run of one answer, kept as it was said: references into the snapshot, nothing
 * looked up yet.
 *
 * @module
 */
import type { Reason } from "../balance/client_map.ts";
import type { Candidate } from "../balance/ranking.ts";
import type { Whom } from "../dns/selection.ts";
import type { AnswerSource, Trace } from "../dns/trace.ts";

/** A name and what answered it. */
export interface NamedStep {
  /** Wire form, lower-case. */
  readonly name: Uint8Array;
  /** 0 = the name isn't ours. */
  readonly entry: number;
  /** By what it was answered. */
  readonly source: AnswerSource;
}

/** A pool that was looked at. */
export interface PoolLook {
  /** Its record. */
  readonly pool: number;
  /** The list of its members of the family. */
  readonly list: number;
  /** Members that are up. */
  readonly up: number;
  /** Members that have to be. */
  readonly needed: number;
  /** Who rotates: indices of members of the list; `null` = the choice wasn't by rank. */
  leading: readonly number[] | null;
  /** Among which members they were ranked: those that are up, or all as if they were. */
  whom: Whom;
  /** The facts of the client that decided; `null` = the answer doesn't depend on it. */
  reason: { readonly candidates: readonly Candidate[]; readonly reason: Reason } | null;
  /** Set when `onAllDown` had to decide. */
  allDown: { readonly policy: number } | null;
}

/** The client a decision was made for. */
export interface DecidedFor {
  /** Where the address came from. */
  readonly source: "ecs" | "address";
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** Bits of it that are known. */
  readonly bits: number;
}

/** Who was chosen. */
export interface Choice {
  /** The list. */
  readonly list: number;
  /** Indices of its members, in order. */
  readonly members: readonly number[];
  /** By which turn. */
  readonly turn: { readonly ticket: number; readonly lead: number; readonly cycle: number };
  /** Seconds. */
  readonly ttl: number;
}

/** Keeps what one answer's trace says. */
export class Recording implements Trace {
  /** The question's name, then those that CNAMEs led to. */
  names: NamedStep[] = [];
  /** In the order of the chain; where an alias was chosen from them, those that its name leads to are no part of it. */
  pools: PoolLook[] = [];
  /** `null` = nothing depended on who asks. */
  decidedFor: DecidedFor | null = null;
  /** `null` = no member was answered. */
  choice: Choice | null = null;
  /** Bits of the client subnet for which the answer holds. */
  scopeBits = 0;

  /** Forgets everything, for the next answer. */
  begin(): void {
    this.names = [];
    this.pools = [];
    this.decidedFor = null;
    this.choice = null;
    this.scopeBits = 0;
  }

  /** See {@linkcode Trace}. */
  name(name: Uint8Array, entry: number, source: AnswerSource): void {
    this.names.push({ name: name.slice(), entry, source });
  }

  /** See {@linkcode Trace}. */
  pool(pool: number, list: number, up: number, needed: number): void {
    if (this.choice !== null) return;
    this.pools.push({ pool, list, up, needed, leading: null, whom: "up", reason: null, allDown: null });
  }

  /** See {@linkcode Trace}. */
  client(source: DecidedFor["source"], address: Uint8Array, bits: number): void {
    this.decidedFor = { source, address: address.slice(), bits };
  }

  /** See {@linkcode Trace}. */
  leading(list: number, whom: Whom, members: Uint32Array): void {
    const look = this.#lookAt(list);
    if (!look || this.choice) return;
    look.leading = [...members];
    look.whom = whom;
  }

  /** See {@linkcode Trace}. */
  reason(list: number, candidates: readonly Candidate[], reason: Reason): void {
    const look = this.#lookAt(list);
    if (look && !this.choice) look.reason = { candidates, reason };
  }

  /** See {@linkcode Trace}. */
  allDown(pool: number, policy: number): void {
    const look = this.pools.findLast((look) => look.pool === pool);
    if (look && !this.choice) look.allDown = { policy };
  }

  /** See {@linkcode Trace}. */
  chosen(list: number, members: Uint32Array, turn: Choice["turn"], ttl: number): void {
    this.choice ??= { list, members: [...members], turn: { ...turn }, ttl };
  }

  /** See {@linkcode Trace}. */
  scope(bits: number): void {
    this.scopeBits = bits;
  }

  /** The look at the pool that a member was chosen from. */
  get decider(): PoolLook | null {
    return this.choice && this.#lookAt(this.choice.list);
  }

  #lookAt(list: number): PoolLook | null {
    return this.pools.findLast((look) => look.list === list) ?? null;
  }
}
