/**
 * What a change would do, for people: every object that it creates, changes or deletes, with the names that people know
 * them by, and what goes along with what. Read from the entry that the history has of it inside the transaction.
 *
 * @module
 */
import { targetOf } from "../model/override.ts";
import type { ObjectChange, ObjectKind } from "../store/history.ts";
import type { ChangeCounts } from "../store/replacement.ts";
import type { Store } from "../store/store.ts";
import {
  type AnswersForeseen,
  DIFFERENCES_MAX,
  type Examination,
  type GuardRefusal,
  type Replay,
} from "./guard.ts";

/** What a change would do. */
export interface Plan extends ObjectsReport {
  /** The generation that it was made for. */
  readonly generation: number;
  /** Whether anything would differ. */
  readonly changed: boolean;
  /** What clients would get. */
  readonly answers: AnswersForeseen;
  /** What would refuse it, unless it is forced. */
  readonly refusals: readonly GuardRefusal[];
  /** What recorded queries would get; `null` = it wasn't asked for, or nothing is recorded. */
  readonly replay: Replay | null;
}

/** The objects of a change. */
export interface ObjectsReport {
  /** How many of each kind are created, changed and deleted; kinds without any are left out. */
  readonly objects: ChangeCounts;
  /** Each of them, as many as are shown. */
  readonly changes: readonly NamedChange[];
  /** Whether there are more. */
  readonly truncated: boolean;
}

/** What becomes of one object. */
export interface NamedChange extends ObjectChange {
  /** What people call it: `web`, `web/192.0.2.10:443`, `www.example.com`. */
  readonly name: string;
  /** What becomes of it. */
  readonly action: "created" | "changed" | "deleted";
  /** What it goes along with (`pool web`); `null` = the change is about itself. */
  readonly with: string | null;
}

/** The plan of a change whose generation the open transaction holds. */
export function planOf(store: Store, generation: number, examination: Examination): Plan {
  return {
    generation: generation - 1,
    changed: true,
    objects: store.history.counts(generation),
    ...namedChanges(store.history.changes(generation), store),
    ...examination,
  };
}

/** The plan of a change that leaves everything as it is. */
export function emptyPlan(generation: number, examination: Examination): Plan {
  return { generation, changed: false, objects: {}, changes: [], truncated: false, ...examination };
}

/**
 * Names the objects of a change, as many as are shown.
 *
 * @param store where the names of pools are looked up that the change doesn't tell of
 */
export function namedChanges(
  changes: Iterable<ObjectChange>,
  store: Pick<Store, "pools" | "members">,
): Omit<ObjectsReport, "objects"> {
  const shown: ObjectChange[] = [];
  let truncated = false;
  for (const change of changes) {
    truncated = shown.length === DIFFERENCES_MAX;
    if (truncated) break;
    shown.push(change);
  }
  const names = new Names(shown, store);
  const named = shown.map((change) => ({
    ...change,
    name: names.of(change),
    action: actionOf(change),
    with: names.ownerOf(change),
  }));
  // What people look for first.
  const ordered = named.sort((a, b) => RANKS[a.kind] - RANKS[b.kind] || compare(a.name, b.name));
  return { changes: ordered, truncated };
}

const RANKS: Readonly<Record<ObjectKind, number>> = {
  service: 0,
  pool: 1,
  member: 2,
  healthCheck: 3,
  geoRule: 4,
  zone: 5,
  fallback: 6,
  override: 7,
};

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function actionOf({ before, after }: ObjectChange): NamedChange["action"] {
  return before === null ? "created" : after === null ? "deleted" : "changed";
}

/** Fields that names are made of, of any kind of object. */
type Fields = Readonly<Record<string, unknown>>;

/** What objects are called; those that the change deletes are looked for in what it tells of them. */
class Names {
  readonly #told = new Map<string, Fields>();
  readonly #deleted = new Set<string>();
  readonly #store: Pick<Store, "pools" | "members">;

  constructor(changes: readonly ObjectChange[], store: Pick<Store, "pools" | "members">) {
    this.#store = store;
    for (const { kind, id, before, after } of changes) {
      const key = `${kind} ${id}`;
      this.#told.set(key, (after ?? before) as Fields);
      if (after === null) this.#deleted.add(key);
    }
  }

  of({ kind, id, before, after }: ObjectChange): string {
    const fields = (after ?? before) as Fields;
    switch (kind) {
      case "pool":
        return String(fields["name"]);
      case "member":
        return `${this.#pool(fields["poolId"])}/${endpoint(fields)}`;
      case "healthCheck":
        return this.#pool(id);
      case "geoRule":
        return `${this.#pool(fields["poolId"])} ${matchOf(fields)}`;
      case "service":
        return String(fields["domain"]);
      case "zone":
        return id;
      case "fallback":
        return "static fallback";
      case "override":
        return `${fields["state"]} ${this.#target(String(fields["target"]))}`;
    }
  }

  /** The object that takes this one along: what is deleted goes with its pool, or its member. */
  ownerOf({ kind, before, after }: ObjectChange): string | null {
    const fields = (before ?? {}) as Fields;
    const poolId = fields["poolId"];
    const isPoolGone = this.#deleted.has(`pool ${poolId}`);
    if (after !== null || kind === "pool" || kind === "service") return null;
    if (isPoolGone) return `pool ${this.#pool(poolId)}`;
    const memberId = kind === "geoRule"
      ? fields["memberId"]
      : kind === "override"
      ? memberOf(String(fields["target"]))
      : null;
    const isMemberGone = this.#deleted.has(`member ${memberId}`);
    return isMemberGone ? `member ${this.#member(String(memberId))}` : null;
  }

  #pool(id: unknown): string {
    const told = this.#told.get(`pool ${id}`);
    return String(told?.["name"] ?? this.#store.pools.get(String(id))?.name ?? id);
  }

  #member(id: string): string {
    const told = this.#told.get(`member ${id}`) ?? this.#store.members.get(id);
    if (!told) return id;
    const { poolId, ...fields } = told as Fields & { readonly poolId: unknown };
    return `${this.#pool(poolId)}/${endpoint(fields)}`;
  }

  #target(text: string): string {
    const target = targetOf({ target: text });
    if (target.kind === "region") return `region ${target.name}`;
    return target.kind === "pool" ? `pool ${this.#pool(target.id)}` : `member ${this.#member(target.id)}`;
  }
}

function memberOf(text: string): string | null {
  const target = targetOf({ target: text });
  return target.kind === "member" ? target.id : null;
}

function endpoint(fields: Fields): string {
  const address = String(fields["ipAddress"] ?? fields["target"]);
  return address.includes(":") ? `[${address}]:${fields["port"]}` : `${address}:${fields["port"]}`;
}

function matchOf(fields: Fields): string {
  for (const kind of ["cidr", "country", "continent", "asn"]) {
    if (fields[kind] !== null && fields[kind] !== undefined) return `${kind} ${fields[kind]}`;
  }
  return "";
}
