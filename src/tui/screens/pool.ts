/**
 * What keys do in a pool: its members, its health check and its geo rules.
 *
 * @module
 */
import type { Command } from "../keys.ts";
import { topOf } from "../list.ts";
import type { MemberItem, PoolDetail, RuleItem } from "../messages.ts";
import { listHeight, type OpenPool, type Part, PART_NAMES, type State } from "../state.ts";
import { deleting, missing, moved, over, refreshed, type Step } from "../steps.ts";
import { checkForm, drainForm, memberForm, ruleForm } from "./forms.ts";

/** In a pool that is open. */
export function onPoolKey(state: State, pool: OpenPool, command: Command): Step {
  const { part, detail } = pool;
  if (command === "back") return refreshed({ ...state, pool: null, notice: null });
  const at = PART_NAMES.indexOf(part);
  const parts: Partial<Record<Command, Part>> = {
    members: "members",
    check: "check",
    rules: "rules",
    left: PART_NAMES[(at + 2) % 3]!,
    right: PART_NAMES[(at + 1) % 3]!,
  };
  const next = parts[command];
  if (next !== undefined) return [{ ...state, pool: { ...pool, part: next }, notice: null }, []];
  if (detail === null) return [state, []];
  if (part === "check") return onCheckKey(state, detail, command);
  const items = part === "members" ? detail.members : detail.rules;
  const height = listHeight(state);
  const cursor = moved(pool.cursors[part], command, { count: items.length, height });
  if (cursor !== null) {
    const top = topOf({ cursor, top: pool.tops[part], total: items.length }, height);
    const cursors = { ...pool.cursors, [part]: cursor };
    return [{ ...state, pool: { ...pool, cursors, tops: { ...pool.tops, [part]: top } } }, []];
  }
  return part === "members"
    ? onMembersKey(state, detail, detail.members[pool.cursors.members] ?? null, command)
    : onRulesKey(state, detail, detail.rules[pool.cursors.rules] ?? null, command);
}

function onMembersKey(state: State, detail: PoolDetail, member: MemberItem | null, command: Command): Step {
  const { pool } = detail;
  if (command === "create") return [over(state, { kind: "form", form: memberForm(pool, null) }), []];
  if (member === null) return [missing(state, "The pool has no member: c adds one"), []];
  const called = `${member.ipAddress ?? member.target}:${member.port}`;
  switch (command) {
    case "open":
      return [over(state, { kind: "form", form: memberForm(pool, member) }), []];
    case "drain":
      return [
        over(state, { kind: "form", form: drainForm(`member:${member.id}`, `${called} of ${pool.name}`) }),
        [],
      ];
    case "delete":
      return deleting(state, "member", { ...member, called: `member ${called} of ${pool.name}` });
    default:
      return [state, []];
  }
}

function onCheckKey(state: State, { pool, check }: PoolDetail, command: Command): Step {
  if (command === "open") {
    const form = checkForm(pool, check);
    if (form !== null) return [over(state, { kind: "form", form }), []];
    return [missing(state, `A calculated check is written in files: "pleiades config export" shows it`), []];
  }
  if (command !== "delete") return [state, []];
  if (check === null) return [missing(state, "The pool has no health check: Enter sets one"), []];
  return deleting(state, "healthCheck", {
    id: pool.id,
    revision: check.revision,
    called: `the health check of ${pool.name}`,
  });
}

function onRulesKey(state: State, detail: PoolDetail, rule: RuleItem | null, command: Command): Step {
  if (command === "create") {
    if (detail.members.length === 0) {
      return [missing(state, "A rule leads to a member: add one first (1, then c)"), []];
    }
    return [over(state, { kind: "form", form: ruleForm(detail, null) }), []];
  }
  if (rule === null) return [missing(state, "The pool has no geo rule: c adds one"), []];
  switch (command) {
    case "open":
      return [over(state, { kind: "form", form: ruleForm(detail, rule) }), []];
    case "delete": {
      const match = rule.cidr ?? rule.country ?? rule.continent ?? `AS${rule.asn}`;
      return deleting(state, "geoRule", {
        ...rule,
        called: `the geo rule for ${match} of ${detail.pool.name}`,
      });
    }
    default:
      return [state, []];
  }
}
