/**
 * What guards say of a change: figures in, refusals out. Nothing here knows how a change is made, or whether it is forced.
 *
 * - `empties-live-name`: a name had an address of a family for some clients and would have none. It counts whatever
 *   takes it away: the pool or its last member goes, members are disabled or overridden, a check is bound to fail
 *   (health is frozen, so only what is declared), `poolId: null`, a geofence, a zone cut above, a zone that goes under
 *   names that something else answered. A name whose pool is deleted counts although the static fallback may answer it
 *   from then on. It doesn't count where the change itself takes away what answers the name
 *   (`Subject.isRemoved`): a deleted or renamed service, and of a zone that stays the owner of an A, AAAA or CNAME record
 *   that its new text lacks; that is what was asked for, and `deleted-share` counts it where services are many. The names
 *   of a zone that is deleted as a whole are listed: an edit that deletes it doesn't show its text.
 * - `moved-share`: answers move, of more than the share of all. Overrides are exempt, since moving answers is what they are
 *   for.
 * - `deleted-share`: of a kind of objects more than the share goes, those included that go along with others.
 *
 * Shares are judged only where so many names, or objects of the kind, exist: a small node is changed in large steps.
 *
 * @module
 */
import type { GuardRefusal } from "../change/guard.ts";
import type { Differences } from "./differences.ts";

/** From where on a change is refused. */
export interface GuardLimits {
  /** 0–1 of all answers may move; 1 = all. */
  readonly movedShare: number;
  /** 0–1 of the objects of each kind may be deleted; 1 = all. */
  readonly deletedShare: number;
  /** Of fewer names or objects no share is judged. */
  readonly minObjects: number;
}

/** What a change does. */
export interface Change {
  /** To answers. */
  readonly differences: Pick<Differences, "movedWeight" | "emptied" | "emptiedNames">;
  /** Names that stay, but whose pool is deleted. */
  readonly losingPool?: readonly string[];
  /** All names before, and what they weigh together. */
  readonly names: { readonly count: number; readonly weight: number };
  /** To objects, by kind. */
  readonly deleted: readonly DeletedObjects[];
  /** Whether only overrides come, change or go. */
  readonly isOverride: boolean;
}

/** Objects of a kind that go. */
export interface DeletedObjects {
  /** In the plural, as people say it: `pools`, `services`, `members`, `zones`. */
  readonly kind: string;
  /** How many there are before. */
  readonly before: number;
  /** How many of them go. */
  readonly deleted: number;
  /** Some of these, for people. */
  readonly names: readonly string[];
}

const NAMES_MAX = 10;

/** What guards say of a change; nothing = it may be made. */
export function judge(change: Change, limits: GuardLimits): GuardRefusal[] {
  return [
    ...emptiesLiveName(change),
    ...losesPool(change),
    ...movesTooMuch(change, limits),
    ...change.deleted.flatMap((objects) => deletesTooMuch(objects, limits)),
  ];
}

function emptiesLiveName({ differences: { emptied, emptiedNames } }: Change): GuardRefusal[] {
  if (emptiedNames === 0) return [];
  const byName = Map.groupBy(emptied, ({ name }) => name);
  const names = [...byName].slice(0, NAMES_MAX).map(([name, entries]) => {
    const clients = new Set(entries.flatMap(({ clients }) => clients));
    const whose = clients.has("everyone") ? "" : ` for ${listed([...clients], clients.size)}`;
    return `${name} (${entries.map(({ type }) => type).join(", ")}${whose})`;
  });
  return [{
    guard: "empties-live-name",
    message: `${counted(emptiedNames, "name")} would lose the last address: ${listed(names, emptiedNames)}`,
    names: [...byName.keys()].slice(0, NAMES_MAX),
  }];
}

function losesPool({ differences: { emptied }, losingPool = [] }: Change): GuardRefusal[] {
  const said = new Set(emptied.map(({ name }) => name));
  const names = losingPool.filter((name) => !said.has(name));
  if (names.length === 0) return [];
  return [{
    guard: "empties-live-name",
    message: `${counted(names.length, "name")} would lose the pool that answers: ${
      listed(names, names.length)
    }`,
    names: names.slice(0, NAMES_MAX),
  }];
}

function movesTooMuch(
  { differences: { movedWeight }, names, isOverride }: Change,
  { movedShare, minObjects }: GuardLimits,
): GuardRefusal[] {
  if (isOverride || names.count < minObjects || names.weight <= 0) return [];
  const share = movedWeight / names.weight;
  if (share <= movedShare) return [];
  return [{
    guard: "moved-share",
    message: `${percent(share, movedShare)} of all answers would move, and the limit is ${
      percent(movedShare)
    }`,
    names: [],
  }];
}

function deletesTooMuch(
  { kind, before, deleted, names }: DeletedObjects,
  { deletedShare, minObjects }: GuardLimits,
): GuardRefusal[] {
  if (before < minObjects || deleted / before <= deletedShare) return [];
  const which = names.length === 0 ? "" : `: ${listed(names, deleted)}`;
  return [{
    guard: "deleted-share",
    message:
      `${deleted} of ${before} ${kind} would be deleted (${
        percent(deleted / before, deletedShare)
      }), and the limit is ` +
      `${percent(deletedShare)}${which}`,
    names: names.slice(0, NAMES_MAX),
  }];
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** The first ten, and how many more there are. */
function listed(names: readonly string[], count: number): string {
  const shown = names.slice(0, NAMES_MAX);
  const more = count - shown.length;
  return shown.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** With three digits; of shares beyond a limit that look like it with as many as it takes to tell them apart. */
function percent(share: number, limit = NaN): string {
  for (let digits = 3;; digits++) {
    const shown = Number((share * 100).toPrecision(digits));
    if (shown !== Number((limit * 100).toPrecision(digits)) || digits === DIGITS_MAX) return `${shown} %`;
  }
}

/** What a number has. */
const DIGITS_MAX = 15;
