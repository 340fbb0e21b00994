/**
 * One generation taken back, and no other: each object that it touched is to be what it was before. That is only told of
 * objects which are still as that generation left them, and on which nothing stands that came later; whatever else was changed
 * since stays.
 *
 * @module
 */
import type { RecordedChange } from "../store/history_parts.ts";
import type { PastChange } from "../store/past.ts";
import type { Store } from "../store/store.ts";
import { ChangeRefused } from "./edit.ts";
import { recordedText } from "./history_json.ts";
import { NOUNS, nowOf } from "./log_changes.ts";
import { expectReach } from "./past.ts";

/** Faults that are told at once. */
const FAULTS_MAX = 5;

/**
 * What a generation did, turned round.
 *
 * @throws {ChangeRefused} `not-found` or `gone` when it isn't known, `stale` when later generations touched the same objects
 */
export function reversed(store: Store, generation: number): RecordedChange[] {
  expectReach(store.history, generation);
  expectReach(store.history, generation - 1);
  const text = (json: unknown) => json === null ? null : JSON.stringify(json);
  const changes = [...store.history.changes(generation)].map(({ kind, id, before, after }) => ({
    ...{ kind, id, before: text(after), after: text(before) },
  }));
  const faults = [...faultsOf(store, changes, generation)].slice(0, FAULTS_MAX);
  if (faults.length > 0) {
    throw new ChangeRefused("stale", faults.map((message) => ({ pointer: "", message })));
  }
  return changes;
}

function* faultsOf(
  store: Store,
  changes: readonly RecordedChange[],
  generation: number,
): Generator<string> {
  const own = new Set(changes.map(({ kind, id }) => `${kind} ${id}`));
  for (const change of changes) {
    // One that has ended, or is gone, is none that could be in the way.
    if (change.kind === "override") continue;
    const { kind, id, before, after } = change as PastChange;
    const left = before === null ? null : recordedText(kind, before);
    if (nowOf(store, kind, id) !== left) yield changedAgain(store, change as PastChange, generation);
    else if (after === null) yield* whatStandsOn(store, change as PastChange, { own, generation });
  }
}

function changedAgain(store: Store, change: PastChange, generation: number): string {
  const later = store.history.lastOf(change);
  const entry = later === null || later <= generation ? null : store.history.get(later);
  const by = entry === null ? "" : ` by generation ${later} (${entry.by || entry.via})`;
  return `The ${NOUNS[change.kind]} ${
    nameOf(change)
  } was changed again${by}: undo that first, or go back over both ` +
    `(pleiades rollback)`;
}

/** What would have to go along, though it came later. */
function* whatStandsOn(
  store: Store,
  { kind, id, ...change }: PastChange,
  { own, generation }: { readonly own: ReadonlySet<string>; readonly generation: number },
): Generator<string> {
  const name = nameOf({ kind, id, ...change });
  const since = `after generation ${generation}: undo that first`;
  if (kind === "pool") {
    const parts = [
      ...store.members.rowsOf(id).map((member) => `member ${member.id}`),
      ...store.geoRules.rowsOf(id).map((rule) => `geoRule ${rule.id}`),
      ...store.healthChecks.get(id) === null ? [] : [`healthCheck ${id}`],
    ];
    if (parts.some((part) => !own.has(part))) yield `Something was put into pool ${name} ${since}`;
    const service = store.services.someOf(id, own.size + 1).find((each) => !own.has(`service ${each.id}`));
    if (service) yield `Service ${service.domain} was given pool ${name} ${since}`;
    const pool = store.pools.fallingBackTo(id).find((each) => !own.has(`pool ${each.id}`));
    if (pool) yield `Pool ${pool.name} was given pool ${name} to fall back to ${since}`;
  } else if (kind === "member" && store.geoRules.towards(id).some((rule) => !own.has(`geoRule ${rule.id}`))) {
    yield `A geo rule was made for member ${name} ${since}`;
  }
}

function nameOf({ id, before, after }: PastChange): string {
  const { name, domain, ipAddress, target, port } = JSON.parse(before ?? after ?? "{}");
  return name ?? domain ?? (port === undefined ? id : `${ipAddress ?? target} port ${port}`);
}
