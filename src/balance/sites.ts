/**
 * Places at which members stand, as numbers that lie side by side: an object for each of hundreds takes longer to make than all of the
 * rest, and to walk over.
 *
 * @module
 */
import { unitVector } from "../geo/location.ts";
import type { Candidate } from "./ranking.ts";

/** Members by place, in the order in which the first of each stands among them. */
export class Sites {
  /** How many there are. */
  readonly count: number;
  /** Of each the unit vector to it: to 0° east on the equator, to 90° east, and to the north pole. */
  readonly vectors: Float64Array;
  /** Indices of members by site, each one's ascending. */
  readonly members: Uint32Array;
  /** Where those of each begin, and in the end where those of the last one do end. */
  readonly starts: Uint32Array;

  /** Puts those together that stand at the same place. @param members ascending by index */
  constructor(members: readonly Pick<Candidate, "index" | "place">[]) {
    const sites = new Uint32Array(members.length);
    const first: number[] = [];
    // By a hash of a place: one more than the number of its site, in the first free room from there on; half of them stay free.
    const bits = 33 - Math.clz32(members.length);
    const rooms = new Uint32Array(2 ** bits);
    this.starts = new Uint32Array(members.length + 1);
    let placed = 0;
    for (let i = 0; i < members.length; i++) {
      const { place } = members[i]!;
      if (place === null) continue;
      const { latitude, longitude } = place;
      let room = hashOf(latitude, longitude) >>> 32 - bits;
      for (; rooms[room] !== 0; room = room + 1 & rooms.length - 1) {
        const other = members[first[rooms[room]! - 1]!]!.place!;
        if (other.latitude === latitude && other.longitude === longitude) break;
      }
      if (rooms[room] === 0) rooms[room] = first.push(i);
      sites[i] = rooms[room]!;
      this.starts[rooms[room]!]!++;
      placed++;
    }
    this.count = first.length;
    this.vectors = new Float64Array(this.count * 3);
    for (let site = 0; site < this.count; site++) {
      const { latitude, longitude } = members[first[site]!]!.place!;
      unitVector(latitude, longitude, this.vectors, site * 3);
      this.starts[site + 1]! += this.starts[site]!;
    }
    this.members = new Uint32Array(placed);
    const next = this.starts.slice();
    for (let i = 0; i < members.length; i++) {
      const site = sites[i]!;
      if (site !== 0) this.members[next[site - 1]!++] = members[i]!.index;
    }
  }
}

/** Where none of the members' places is asked for. */
export const NO_SITES: Sites = new Sites([]);

/** Degrees as whole numbers, about as exact as places are. */
const HASHED_UNITS = 1e6;

function hashOf(latitude: number, longitude: number): number {
  return Math.imul(Math.imul(latitude * HASHED_UNITS, 0x9e3779b1) ^ longitude * HASHED_UNITS, 0x85ebca6b);
}
