/**
 * Whose turn it is: which pair of the live board's ticket slots, one for each family, belongs to which service.
 *
 * @module
 */

/** The static fallback's ticket slots; services get those behind. */
export const FALLBACK_TICKET = 0;

/** The tables before, as far as tickets go. */
export interface FormerTickets {
  /** Ticket slots that the live board must have. */
  readonly ticketSlots: number;
  /** The first of the two ticket slots of a service; `undefined` when there is no such service. */
  ticketOf(name: Uint8Array): number | undefined;
}

/** Ticket slots given out, and the first ones of pairs that are free again. */
export interface KeptTickets {
  /** One more than the largest slot ever handed out. */
  readonly size: number;
  /** First slots. */
  readonly free: readonly number[];
}

/** Hands out pairs of ticket slots; a service keeps its pair from one snapshot to the next. */
export class Tickets {
  /** One more than the largest slot ever handed out. */
  size: number;
  /** Only while a snapshot is written: kept for longer, every snapshot would keep all those before it alive. */
  #previous: FormerTickets | undefined;
  #free: number[] = [];
  /** Pairs that were taken over, by half their slot; only while a snapshot is written. */
  #kept: Uint8Array | null;
  /** By a change that isn't seen yet. */
  #held: { readonly taken: number[]; readonly givenBack: number[] } | null = null;

  /** All that the former tables' services had is theirs still. */
  constructor(previous: FormerTickets | undefined) {
    this.#previous = previous;
    this.size = Math.max(previous?.ticketSlots ?? 0, FALLBACK_TICKET + 2);
    this.#kept = new Uint8Array(this.size / 2);
    this.#kept[FALLBACK_TICKET / 2] = 1;
  }

  /** The first slot of the pair of a service: the one that it had, or another. */
  take(name: Uint8Array): number {
    const former = this.#kept ? this.#previous?.ticketOf(name) : undefined;
    // The tables before may have changed since, so that a pair is another service's or lies behind those known here.
    if (former !== undefined && this.#kept![former / 2] === 0) {
      this.#kept![former / 2] = 1;
      return former;
    }
    const ticket = this.#free.pop() ?? this.#behindAll();
    this.#held?.taken.push(ticket);
    return ticket;
  }

  #behindAll(): number {
    this.size += 2;
    return this.size - 2;
  }

  /** Holds pairs that are given back from now on until `commit`: they are in use until then. */
  begin(): void {
    this.#held = { taken: [], givenBack: [] };
  }

  /** Lets the pairs go that were given back. */
  commit(): void {
    this.#free.push(...this.#held!.givenBack);
    this.#held = null;
  }

  /** Takes back what was handed out since `begin`, and leaves the rest as it was. */
  rollBack(): void {
    this.#free.push(...this.#held!.taken);
    this.#held = null;
  }

  /** Says that no service has the pair any more. */
  giveBack(ticket: number): void {
    (this.#held?.givenBack ?? this.#free).push(ticket);
  }

  /** What a later process can take over. */
  keep(): KeptTickets {
    return { size: this.size, free: this.#free };
  }

  /** Takes over what an earlier process gave out. */
  load({ size, free }: KeptTickets): void {
    this.size = size;
    this.#free = [...free];
    this.#kept = null;
  }

  /** Ends the writing: what no service took over can be handed out again. */
  settle(): void {
    this.#kept!.forEach((kept, pair) => {
      if (!kept) this.#free.push(pair * 2);
    });
    this.#kept = null;
    this.#previous = undefined;
  }
}
