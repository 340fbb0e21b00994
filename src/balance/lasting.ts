/**
 * What the decisions for a list follow from whatever the health of its members: made once, and shared by the maps of all its
 * states. A change of health then costs what it changes, in time and memory, and not what the list has in rules and sites.
 *
 * @module
 */
import { unitVector } from "../geo/location.ts";
import { Rendezvous } from "./hash.ts";
import type { NamedMembers } from "./named_members.ts";
import type { Candidate } from "./ranking.ts";
import { RuleGroups } from "./rule_groups.ts";

/** Members that stand at the same place. */
export interface Site {
  /** Of the unit vector to it, as are the next two. */
  readonly x: number;
  /** To 90° east. */
  readonly y: number;
  /** To the north pole. */
  readonly z: number;
  /** By index, ascending. */
  readonly members: readonly number[];
}

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
  #sites: readonly Site[] | null = null;
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

  /** Places at which members stand, in the order in which these do. */
  get sites(): readonly Site[] {
    return this.#sites ??= sitesOf(this.#members);
  }

  /** How a hash ranks members. */
  get rendezvous(): Rendezvous {
    return this.#rendezvous ??= new Rendezvous(this.#members, this.size);
  }
}

function sitesOf(members: readonly LastingMember[]): Site[] {
  const sites: { x: number; y: number; z: number; members: number[] }[] = [];
  const latitudes: number[] = [];
  const longitudes: number[] = [];
  // By a hash of a place: one more than the number of its site, in the first free room from there on; half of them stay free.
  const bits = 33 - Math.clz32(members.length);
  const rooms = new Uint32Array(2 ** bits);
  const vector = new Float64Array(3);
  for (let i = 0; i < members.length; i++) {
    const { index, place } = members[i]!;
    if (place === null) continue;
    const { latitude, longitude } = place;
    let room = hashOf(latitude, longitude) >>> 32 - bits;
    let site = rooms[room]! - 1;
    while (site >= 0 && (latitudes[site] !== latitude || longitudes[site] !== longitude)) {
      room = room + 1 & rooms.length - 1;
      site = rooms[room]! - 1;
    }
    if (site >= 0) {
      sites[site]!.members.push(index);
      continue;
    }
    unitVector(latitude, longitude, vector);
    rooms[room] = sites.push({ x: vector[0]!, y: vector[1]!, z: vector[2]!, members: [index] });
    latitudes.push(latitude);
    longitudes.push(longitude);
  }
  return sites;
}

/** Degrees as whole numbers, about as exact as places are. */
const HASHED_UNITS = 1e6;

function hashOf(latitude: number, longitude: number): number {
  return Math.imul(Math.imul(latitude * HASHED_UNITS, 0x9e3779b1) ^ longitude * HASHED_UNITS, 0x85ebca6b);
}
