/**
 * What the decisions for a list follow from whatever the health of its members: made once, and shared by the maps of all its
 * states. A change of health then costs what it changes, in time and memory, and not what the list has in rules and sites.
 *
 * @module
 */
import { Rendezvous } from "./hash.ts";
import type { NamedMembers } from "./named_members.ts";
import type { Candidate } from "./ranking.ts";
import { RuleGroups } from "./rule_groups.ts";
import { Sites } from "./sites.ts";

/** A member, as far as that lasts. */
export type LastingMember = Pick<Candidate, "index" | "place" | "address">;

/** Members and rules of a list. */
export class Lasting {
  /** What clients are looked at for before the algorithm is asked. */
  readonly groups: RuleGroups;
  /** One more than the highest index of a member. */
  readonly size: number;
  /** Which of the members the map file names; `null` = it isn't asked, or there is none. */
  readonly named: NamedMembers | null;
  readonly #members: readonly LastingMember[];
  #sites: Sites | null = null;
  #rendezvous: Rendezvous | null = null;

  /**
   * Everything is made when it is asked for.
   *
   * @param members ascending by index; those that only make fences are among them
   * @param rules their table (`rule_table.ts`); empty = there are none
   */
  constructor(
    members: readonly LastingMember[],
    rules: Uint32Array,
    named: NamedMembers | null = null,
  ) {
    this.#members = members;
    this.named = named;
    this.groups = new RuleGroups(rules);
    this.size = members.length === 0 ? 0 : members.at(-1)!.index + 1;
  }

  /** Places at which members stand. */
  get sites(): Sites {
    return this.#sites ??= new Sites(this.#members);
  }

  /** How a hash ranks members. */
  get rendezvous(): Rendezvous {
    return this.#rendezvous ??= new Rendezvous(this.#members, this.size);
  }
}
