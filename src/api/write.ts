/**
 * A request's write: one commit, and the wait until DNS answers from it.
 *
 * @module
 */
import type { Context, MiddlewareHandler } from "hono";
import type { Edit, Origin, Terms } from "../change/edit.ts";
import { CONFIG_LOG } from "../cluster/port.ts";
import type { Plan } from "../change/plan_report.ts";
import { etagOf } from "./conditional.ts";
import { originOf } from "./origin.ts";
import type { ApiParts } from "./ports.ts";
import { shownPlan } from "./plan.ts";
import { ApiProblem } from "./problem.ts";

/** How long an answer waits for the DNS workers to take a change over, milliseconds. */
export const SETTLE_MS = 5_000;

/** How long it waits where that is a whole model, milliseconds: a million services are compiled again. */
export const SETTLE_MODEL_MS = 60_000;

/** How long it waits for the cluster's log, milliseconds: servers on other continents answer in a tenth of it. */
export const LOG_MS = 2_000;

/** A commit that was made or, in a dry run, could be made. */
export interface Written {
  /** Whether nothing was kept. */
  readonly dryRun: boolean;
  /**
   * Resolves when DNS answers from the commit, or after `SETTLE_MS`: then the change is stored all the same, and
   * the answer says `Pleiades-Settled: false`.
   */
  settled(): Promise<void>;
}

/**
 * Commits an edit, or several as one, in the name of a request, whose query is that of `writeQuery`.
 *
 * Between this call and the return nothing else is committed here, so what is read next is what was written.
 *
 * @throws {ChangeRefused} when an edit can't be made; nothing is written
 */
export function write(
  c: Context,
  parts: ApiParts,
  edit: Edit | readonly Edit[],
  about: OwnWords = NO_WORDS,
): Written {
  const edits = [edit].flat();
  const origin = withWords(originOf(c), about);
  const dryRun = isDryRun(c);
  const generation = dryRun
    ? answerWith(c, parts.changes.dryRun(edits, origin))
    : parts.changes.commit(edits, origin, termsOf(c)).generation;
  c.header("Pleiades-Generation", String(parts.store.generation()));
  return {
    dryRun,
    settled: () => dryRun ? Promise.resolve() : settle(c, parts, { generation, timeoutMs: SETTLE_MS }),
  };
}

/**
 * Has a request that only asks what an edit would do answered with the plan of it. One that reaches very many pools holds nothing
 * else up meanwhile.
 *
 * @throws {ChangeRefused} when the edit can't be made
 */
export async function planned(
  c: Context,
  parts: ApiParts,
  edit: Edit,
  about: OwnWords = NO_WORDS,
): Promise<void> {
  const origin = withWords(originOf(c), about);
  const { signal } = c.req.raw;
  try {
    answerWith(c, await parts.changes.plan([edit], origin, signal));
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new ApiProblem(400, "The client ended the call before there was a plan");
  }
  c.header("Pleiades-Generation", String(parts.store.generation()));
}

/** What an object says of itself, which stands in its entry where the request says nothing. */
export interface OwnWords {
  /** Who answers for it. */
  readonly owner: string;
  /** Why it is there. */
  readonly reason: string;
}

/** Of objects that say neither. */
export const NO_WORDS: OwnWords = { owner: "", reason: "" };

function withWords(origin: Origin, { owner, reason }: OwnWords): Origin {
  return { ...origin, by: origin.by || owner, reason: origin.reason || reason };
}

/** Has a request answered with a plan, whatever its handler gives. */
export function answerWith(c: Context, plan: Plan): number {
  c.set(PLAN, plan);
  return plan.generation;
}

/** Answers dry runs with what they found: one kind of answer for all writes. */
export const answerPlans: MiddlewareHandler = async (c, next) => {
  await next();
  const plan: Plan | undefined = c.get(PLAN);
  if (plan === undefined || !c.res.ok) return;
  const headers = new Headers({ "content-type": "application/json", etag: etagOf(plan.generation) });
  const generation = c.res.headers.get("pleiades-generation");
  if (generation !== null) headers.set("pleiades-generation", generation);
  c.res = undefined;
  c.res = new Response(JSON.stringify(shownPlan(plan)), { headers });
};

const PLAN = "plan";

/** Whether a request's change is forced. @throws {ApiProblem} 400 when it doesn't say why */
export function termsOf(c: Context): Required<Terms> {
  const force = c.req.query("force") === "true";
  if (force && (c.req.query("reason") ?? "").trim() === "") {
    throw new ApiProblem(400, "A change that is forced asks for a reason (add &reason=…)");
  }
  return { force };
}

/** Whether a request only asks what would happen. */
export function isDryRun(c: Context): boolean {
  return c.req.query("dryRun") === "true";
}

/** Resolves when DNS answers from the generation; after `timeoutMs` the answer says that it doesn't yet. */
export async function settle(
  c: Context,
  { node, clock, log, ports }: ApiParts,
  { generation, timeoutMs }: { readonly generation: number; readonly timeoutMs: number },
): Promise<void> {
  const logged = ports.find(CONFIG_LOG)?.outcome(generation, LOG_MS) ?? null;
  const waiting = new AbortController();
  const settled = node.settled(generation).then(() => true);
  const late = clock.sleep(timeoutMs, waiting.signal).then(() => false);
  const inTime = await Promise.race([settled, late]).finally(() => waiting.abort());
  if (!inTime) {
    log.warn("DNS workers are slow to take a change over", { generation, waitedMs: timeoutMs });
    c.header("Pleiades-Settled", "false");
  }
  const outcome = await logged;
  if (outcome?.kind === "pending") c.header("Pleiades-Log", "pending");
  if (outcome?.kind !== "conflict") return;
  throw new ApiProblem(
    409,
    `Another node of the cluster was faster, and this change is undone: ${outcome.why}`,
  );
}
