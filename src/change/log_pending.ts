/**
 * Keeps what is committed for the cluster's log, in the transaction that commits it: so an entry is never lost between
 * the two, whoever commits, on whatever thread, in whatever process.
 *
 * @module
 */
import type { LogEntry } from "../store/log.ts";
import type { Store } from "../store/store.ts";
import { ChangeRefused, type Origin } from "./edit.ts";

/** Characters of objects in JSON that an entry may have: some half a million services. It is one text in the database. */
export const ENTRY_LENGTH_MAX = 200_000_000;

/** What a pure function of time does happens on every node by itself. */
const STAYS_HERE: ReadonlySet<string> = new Set(["expiry"]);

/**
 * Keeps what a generation did, which the history has, for the log; nothing where this node takes part in none.
 *
 * @throws {ChangeRefused} when it is more than an entry may have
 */
export function pendForLog(
  store: Store,
  { generation, origin, at, force }: {
    readonly generation: number;
    readonly origin: Origin;
    readonly at: number;
    readonly force: boolean;
  },
): void {
  const member = store.log.member();
  if (member === null || STAYS_HERE.has(origin.via)) return;
  const { node, boot } = member;
  const { via, by, reason } = origin;
  const changes = changesOf(store, generation);
  store.log.pend(generation, { id: newEntryId(), node, boot, at, via, by, reason, force, changes });
}

/**
 * What a generation did to objects, as an entry of the log has it.
 *
 * @throws {ChangeRefused} when it is more than an entry may have
 */
export function changesOf(store: Store, generation: number): LogEntry["changes"] {
  const changes: {
    -readonly [Key in keyof LogEntry["changes"][number]]: LogEntry["changes"][number][Key];
  }[] = [];
  let length = 0;
  for (const { kind, id, before, after } of store.history.changes(generation)) {
    const texts = [before, after].map((object) => object === null ? null : JSON.stringify(object));
    length += (texts[0]?.length ?? 0) + (texts[1]?.length ?? 0);
    if (length > ENTRY_LENGTH_MAX) throw tooLarge();
    changes.push({ kind, id, before: texts[0]!, after: texts[1]! });
  }
  return changes;
}

/** An id that no other entry has. */
export function newEntryId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

function tooLarge(): ChangeRefused {
  const message =
    `This changes more than ${ENTRY_LENGTH_MAX / 1e6} MB of objects, which is more than one entry of ` +
    "the cluster's log takes: change it in several steps";
  return new ChangeRefused("invalid", [{ pointer: "", message }]);
}
