/**
 * What the answer depends on where it depends on the client: opens the atlas for reading, turns the records of a list
 * into candidates and rules, and shares one `ClientMap` among all lists for which it would be the same.
 *
 * @module
 */
import { type Base, type ClientFacts, ClientMap } from "../balance/client_map.ts";
import { Extents } from "../balance/extents.ts";
import { MapFile } from "../balance/map_file.ts";
import { Mmdb } from "../balance/mmdb.ts";
import { NamedMembers } from "../balance/named_by_map.ts";
import type { Candidate } from "../balance/ranking.ts";
import type { ClientRule } from "../balance/rule_groups.ts";
import { Trie } from "../balance/trie.ts";
import { ALGORITHMS } from "../config/model.ts";
import type { Family } from "../ip.ts";
import type { Atlas } from "../snapshot/atlas.ts";
import { FACTS, LEFT_UNITS, LIST, NO_PLACE, PLACE_UNITS, RULE, RULE_KINDS } from "../snapshot/layout.ts";
import type { LiveBoard } from "../snapshot/live.ts";
import type { SnapshotView } from "../snapshot/view.ts";
import { rankAlike } from "./selection.ts";

/** The decisions for a list. */
export interface ClientsOfList {
  /** By client. */
  readonly map: ClientMap;
  /** What they were made for. */
  readonly candidates: readonly Candidate[];
  /** Addresses in an answer; 0 = all. */
  readonly max: number;
}

/** Maps kept before all are forgotten: those of former states of health are among them. */
const MAPS_MAX = 16_384;

/** An atlas opened for reading, with all that was made out by it; outlives snapshots. */
export class OpenAtlas implements ClientFacts {
  /** Of the atlas. */
  readonly edition: number;
  /** The map file. */
  readonly map: MapFile | null;
  readonly #city = new Map<Family, { mmdb: Mmdb; extents: Extents | null }>();
  readonly #asn = new Map<Family, Mmdb>();
  readonly #trie = new Trie();
  readonly #maps = new Map<string, ClientMap>();
  readonly #named = new Map<string, NamedMembers>();

  /** Opens every file; they were found sound when the atlas was made. */
  constructor(atlas: Atlas) {
    this.edition = atlas.edition;
    this.map = atlas.map ? new MapFile(atlas.map) : null;
    for (const [i, file] of atlas.city.entries()) {
      const mmdb = new Mmdb(new Uint8Array(file));
      const bounds = atlas.extents[i];
      const opened = { mmdb, extents: bounds ? new Extents(bounds) : null };
      for (const family of familiesOf(mmdb)) if (!this.#city.has(family)) this.#city.set(family, opened);
    }
    for (const file of atlas.asn) {
      const mmdb = new Mmdb(new Uint8Array(file));
      for (const family of familiesOf(mmdb)) if (!this.#asn.has(family)) this.#asn.set(family, mmdb);
    }
  }

  /** The first database of places that knows of the family. */
  city(family: Family): { readonly mmdb: Mmdb; readonly extents: Extents | null } | null {
    return this.#city.get(family) ?? null;
  }

  /** The first database of autonomous systems that knows of the family. */
  asn(family: Family): Mmdb | null {
    return this.#asn.get(family) ?? null;
  }

  /** Which of these addresses the map file names; `null` = there is none. */
  named(addresses: readonly Uint8Array[]): NamedMembers | null {
    if (!this.map) return null;
    const key = addresses.join("|");
    const known = this.#named.get(key);
    if (known) return known;
    const named = new NamedMembers(this.map, addresses);
    this.#named.set(key, named);
    return named;
  }

  /** The map that goes by this key; made when there is none. */
  mapFor(key: string, options: () => ConstructorParameters<typeof ClientMap>[0]): ClientMap {
    const known = this.#maps.get(key);
    if (known) return known;
    if (this.#maps.size >= MAPS_MAX) {
      this.#maps.clear();
      this.#named.clear();
      this.#trie.clear();
    }
    const made = new ClientMap(options(), this, this.#trie);
    this.#maps.set(key, made);
    return made;
  }
}

function familiesOf(mmdb: Mmdb): Family[] {
  return ([4, 6] as const).filter((family) => mmdb.root(family) >= 0);
}

/** The lists of one snapshot as candidates, rules and decisions. */
export class Clients {
  readonly #records: Uint32Array;
  readonly #board: LiveBoard;
  readonly #atlas: OpenAtlas;

  /** Reads nothing yet. */
  constructor(view: SnapshotView, board: LiveBoard, atlas: OpenAtlas) {
    this.#records = view.records;
    this.#board = board;
    this.#atlas = atlas;
  }

  /** The members of a list, up or not. */
  candidates(list: number): Candidate[] {
    const count = this.#word(list + LIST.count);
    return Array.from({ length: count }, (_, index) => this.#candidate(list, index));
  }

  /** The decisions for a list with facts and its members' health of now. */
  of(list: number, max: number): ClientsOfList {
    return this.#decisions(list, max, () => true);
  }

  /** The same without those that drain: who is answered past them; `null` = nobody else is there. */
  past(list: number, max: number): ClientMap | null {
    const { map, candidates } = this.#decisions(list, max, ({ left }) => left === 1);
    return candidates.length === 0 ? null : map;
  }

  #decisions(list: number, max: number, isWanted: (candidate: Candidate) => boolean): ClientsOfList {
    const facts = this.#word(list + LIST.facts);
    const geofence = this.#word(facts + FACTS.geofence) === 1;
    const candidates = this.candidates(list).filter((candidate) =>
      (candidate.isUp || geofence) && isWanted(candidate)
    );
    const rules = this.#rules(list, candidates);
    const base = this.#base(list, candidates);
    const options = { candidates, rules, base, geofence, max };
    return { map: this.#atlas.mapFor(keyOf(options), () => options), candidates, max };
  }

  #base(list: number, candidates: readonly Candidate[]): Base {
    const algorithm = this.#word(list + LIST.algorithm);
    switch (ALGORITHMS[algorithm]) {
      case "geoip":
        return { kind: "nearest" };
      case "map-file":
        return {
          kind: "mapped",
          named: this.#atlas.named(this.candidates(list).map(({ address }) => address)),
        };
      case "hash":
        return { kind: "hashed" };
      default:
        return { kind: "alike", ranking: rankAlike(algorithm, candidates) };
    }
  }

  #candidate(list: number, index: number): Candidate {
    const member = list + LIST.members + index * LIST.memberSize;
    const slot = this.#word(member + LIST.memberSlot);
    const rank = this.#word(member + LIST.memberRank);
    return {
      index,
      isUp: this.#board.isUp(slot),
      weight: rank & 0xffff,
      priority: rank >>> 16,
      rttUs: this.#board.rtt[slot]!,
      left: this.#left(list, index),
      place: this.#place(list, index),
      address: this.#address(list, index),
    };
  }

  #left(list: number, index: number): number {
    const facts = this.#word(list + LIST.facts);
    if (facts === 0) return 1;
    return this.#word(facts + FACTS.places + index * FACTS.placeSize + FACTS.placeLeft) / LEFT_UNITS;
  }

  #place(list: number, index: number): Candidate["place"] {
    const facts = this.#word(list + LIST.facts);
    if (facts === 0) return null;
    const at = facts + FACTS.places + index * FACTS.placeSize;
    const latitude = this.#word(at + FACTS.placeLatitude) | 0;
    if (latitude === NO_PLACE) return null;
    return {
      latitude: latitude / PLACE_UNITS,
      longitude: (this.#word(at + FACTS.placeLongitude) | 0) / PLACE_UNITS,
    };
  }

  #address(list: number, index: number): Uint8Array {
    const address = new Uint8Array(this.#word(list + LIST.addressSize));
    const words = new DataView(address.buffer);
    const from = list + LIST.members + this.#word(list + LIST.count) * LIST.memberSize +
      index * address.length / 4;
    for (let i = 0; i < address.length / 4; i++) words.setUint32(i * 4, this.#word(from + i));
    return address;
  }

  /** Rules whose member is among the candidates. */
  #rules(list: number, candidates: readonly Candidate[]): ClientRule[] {
    const facts = this.#word(list + LIST.facts);
    const from = facts + FACTS.places + this.#word(list + LIST.count) * FACTS.placeSize;
    return Array.from({ length: this.#word(facts + FACTS.rules) }, (_, i) => from + i * RULE.size)
      .map((at) => ({
        match: this.#match(at),
        candidate: candidates.findIndex(({ index }) => index === this.#word(at + RULE.member)),
      }))
      .filter(({ candidate }) => candidate >= 0);
  }

  #match(at: number): ClientRule["match"] {
    const value = this.#word(at + RULE.value);
    const kind = RULE_KINDS[this.#word(at + RULE.kind)]!;
    if (kind === "asn") return { kind, number: value };
    if (kind !== "cidr4" && kind !== "cidr6") return { kind, code: value };
    const prefix = new Uint8Array(kind === "cidr4" ? 4 : 16);
    const words = new DataView(prefix.buffer);
    for (let i = 0; i < prefix.length / 4; i++) words.setUint32(i * 4, this.#word(at + RULE.prefix + i));
    return { kind: "cidr", prefix, bits: value };
  }

  #word(at: number): number {
    return this.#records[at]!;
  }
}

/** Says everything that decisions depend on, so that lists with equal keys share them. */
function keyOf(
  { candidates, rules, base, geofence, max }: ConstructorParameters<typeof ClientMap>[0],
): string {
  const byAddress = base.kind === "mapped" || base.kind === "hashed";
  const members = candidates.map(({ index, isUp, weight, left, place, address }) =>
    `${index} ${isUp} ${weight} ${left} ${place?.latitude} ${place?.longitude} ${byAddress ? address : ""}`
  );
  const order = base.kind === "alike" ? `${base.ranking.lead} ${base.ranking.order}` : "";
  return [base.kind, order, geofence, max, ...members, JSON.stringify(rules)].join("|");
}
