/**
 * Commits, and what changes would do, in words.
 *
 * @module
 */
import type { NamedChange, Plan } from "../change/plan_report.ts";
import { countOf } from "../input/count.ts";
import type { ObjectKind } from "../store/history.ts";
import type { ChangeCounts } from "../store/replacement.ts";
import type { Preview } from "./messages.ts";

/** Lines of a preview about objects, before those about answers. */
const OBJECTS_FIRST = 8;
/** Lines about answers. */
const DIFFERENCES_SHOWN = 100;

/** Who made a commit, and by which way. */
export function authorWords({ by, via }: { readonly by: string; readonly via: string }): string {
  return by === "" ? `way of ${via}` : `${by} by way of ${via}`;
}

/** Some objects first, then what clients get, which must be in sight; the other objects are below. */
export function previewOf({ changed, changes, truncated, answers, refusals }: Plan): Preview {
  if (!changed) return { changed, lines: ["Nothing would change."], guards: refusals };
  const objects = changes.map(objectLine);
  const first = objects.length <= OBJECTS_FIRST ? objects : objects.slice(0, OBJECTS_FIRST - 1);
  const rest = objects.slice(first.length);
  const differences = answers.differences.slice(0, DIFFERENCES_SHOWN).map((each) =>
    `${each.name} ${each.type}${each.clients === "everyone" ? "" : ` for ${each.clients}`}: ` +
    `${sharesOf(each.before)} → ${sharesOf(each.after)}`
  );
  const others = answers.services -
    new Set(answers.differences.slice(0, DIFFERENCES_SHOWN).map(({ name }) => name)).size;
  return {
    changed,
    lines: [
      ...first,
      ...rest.length === 0 ? [] : [`  and ${rest.length}${truncated ? " or more" : ""} others, below`],
      "",
      ...differences.length === 0
        ? ["What clients get stays the same."]
        : ["What clients get:", ...differences],
      ...others > 0 ? [`and answers of ${others} more names`] : [],
      ...rest.length === 0 ? [] : ["", "The other objects:", ...rest],
    ],
    guards: refusals,
  };
}

/** `- member web/192.0.2.1:443 (with pool web)`. */
export function objectLine({ action, kind, name, with: along }: NamedChange): string {
  return `${SIGNS[action]} ${KIND_WORDS[kind]} ${name}${along === null ? "" : ` (with ${along})`}`;
}

const SIGNS = { created: "+", changed: "~", deleted: "-" } as const;

/** `1 pool created, 3 members deleted`. */
export function countWords(counts: ChangeCounts): string {
  return Object.entries(counts).flatMap(([kind, count]) =>
    (["created", "changed", "deleted"] as const)
      .filter((action) => count[action] > 0)
      .map((action) => `${countOf(count[action], KIND_NOUNS[kind as ObjectKind])} ${action}`)
  ).join(", ");
}

const KIND_NOUNS: Readonly<Record<ObjectKind, string>> = {
  pool: "pool",
  member: "member",
  healthCheck: "check",
  geoRule: "geo rule",
  service: "service",
  zone: "zone",
  fallback: "fallback",
  override: "override",
};

const KIND_WORDS = {
  pool: "pool",
  member: "member",
  healthCheck: "health check of",
  geoRule: "geo rule",
  service: "service",
  zone: "zone",
  fallback: "static fallback",
  override: "override",
} as const;

function sharesOf(shares: readonly { readonly address: string; readonly share: number }[]): string {
  if (shares.length === 0) return "no address";
  const shown = shares.slice(0, 4).map(({ address, share }) => `${address} ${Math.round(share * 100)} %`);
  return shown.join(", ") + (shares.length > 4 ? ` and ${shares.length - 4} more` : "");
}
