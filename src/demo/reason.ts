/**
 * Why an answer said what it said, in a few words: the service, its pool, and how many of its members are up.
 *
 * It reads the database at the time of the telling, a moment after the answer; for a page that is exact, ask for
 * the explanation of a name from the node itself.
 *
 * @module
 */
import { checkTargetOf } from "../desired/check_target.ts";
import type { HealthCheck, Member, OnAllDown, Pool, Service } from "../model/model.ts";
import type { Message } from "../wire/message.ts";
import { RCODE, rcodeName, TYPE } from "../wire/record_type.ts";

/** What is declared and believed, as far as reasons need it. */
export interface Beliefs {
  /** The service of exactly this domain, or `null`. */
  service(domain: string): Service | null;
  /** The pool with its members, or `null`. */
  pool(id: string): Pool | null;
  /** Whether the target with this key is not known to be down. */
  isUp(key: string): boolean;
}

/** Says why, without a full stop: `pool web, 2 of 3 up`. */
export function reasonFor({ rcode, questions, answers }: Message, beliefs: Beliefs): string {
  const [question] = questions;
  if (rcode === RCODE.REFUSED) return "outside every zone";
  if (rcode === RCODE.NXDOMAIN) return "no such name";
  if (!question || rcode !== RCODE.NOERROR) return rcodeName(rcode);
  // Behind an alias it is the service at its end that chose.
  const address = answers.find(({ type }) => type === TYPE.A || type === TYPE.AAAA);
  const type = address?.type ?? question.type;
  const service = type === TYPE.A || type === TYPE.AAAA
    ? serviceFor((address ?? question).name.toLowerCase(), beliefs)
    : null;
  if (service?.poolId) return reasonOfPool(service.poolId, type === TYPE.A ? 4 : 6, beliefs);
  return answers.length > 0 ? "static record" : "no record of this type";
}

/** The service of the name itself, else the closest wildcard above it. */
function serviceFor(name: string, { service }: Beliefs): Service | null {
  for (let domain = name, above = name; domain !== ""; domain = above === "" ? "" : `*.${above}`) {
    const found = service(domain);
    if (found) return found;
    const dot = above.indexOf(".");
    above = dot < 0 ? "" : above.slice(dot + 1);
  }
  return null;
}

function reasonOfPool(poolId: string, family: 4 | 6, beliefs: Beliefs): string {
  const parts: string[] = [];
  // A chain of fallbacks has no cycle; the bound is for a database that another process changes while we read.
  for (let id: string | null = poolId; id !== null && parts.length < FALLBACKS_MAX;) {
    const pool = beliefs.pool(id);
    if (!pool) break;
    const { text, next } = judge(pool, family, beliefs);
    parts.push(text);
    id = next;
  }
  return parts.join(", so ");
}

const FALLBACKS_MAX = 8;

function judge(pool: Pool, family: 4 | 6, { isUp }: Beliefs): { text: string; next: string | null } {
  const enabled = pool.members.filter((member) => member.enabled);
  const ours = enabled.filter(({ ipAddress }) => ipAddress?.includes(":") === (family === 6));
  const isMemberUp = (member: Member) => isUpUnder(pool.healthCheck, member, isUp);
  const up = ours.filter(isMemberUp).length;
  if (ours.length === 0) return { text: `pool ${pool.name} has no IPv${family} member`, next: null };
  const text = `pool ${pool.name}, ${up} of ${ours.length} up`;
  if (up > 0) return { text, next: null };
  if (enabled.some(isMemberUp)) return { text: `${text}, though others are`, next: null };
  if (pool.onAllDown === "fallback") return { text, next: pool.fallbackPoolId };
  return { text: `${text}, so ${LAST_RESORTS[pool.onAllDown]}`, next: null };
}

function isUpUnder(check: HealthCheck | null, member: Member, isUp: (key: string) => boolean): boolean {
  const { ipAddress, port } = member;
  return check === null || ipAddress === null || isUp(checkTargetOf({ ipAddress, port }, check).key);
}

const LAST_RESORTS: Readonly<Record<Exclude<OnAllDown, "fallback">, string>> = {
  all: "all of them rotate",
  none: "nothing",
  "last-healthy": "those that went down last",
};
