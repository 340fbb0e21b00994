/**
 * What a commit did, in a few words, from its entry in the history.
 *
 * @module
 */
import type { HistoryEntry, ObjectChange } from "../store/history.ts";

/** Objects named one by one; of more only the number is told. */
const NAMED_MAX = 3;

/** Says who did what: `by api: created service www.example.com`. */
export function changeWords({ via }: Pick<HistoryEntry, "via">, changes: Iterable<ObjectChange>): string {
  const all = [...changes];
  const named = all.slice(0, NAMED_MAX).map(wordsOf);
  const more = all.length - named.length;
  return `by ${via}: ${[...named, ...(more > 0 ? [`${more} more`] : [])].join(", ")}`;
}

function wordsOf({ kind, before, after }: ObjectChange): string {
  const verb = before === null ? "created" : after === null ? "deleted" : "changed";
  const name = NAME_KEYS.map((key) => textAt(after ?? before, key)).find((text) => text !== null);
  return `${verb} ${KIND_WORDS[kind] ?? kind}${name ? ` ${name}` : ""}`;
}

const KIND_WORDS: Readonly<Record<string, string>> = { healthCheck: "health check", geoRule: "geo rule" };

/** Whatever is called something is called by one of these. */
const NAME_KEYS = ["name", "domain", "ipAddress", "target"] as const;

function textAt(object: unknown, key: string): string | null {
  const value = typeof object === "object" && object !== null ? Reflect.get(object, key) : null;
  return typeof value === "string" ? value : null;
}
