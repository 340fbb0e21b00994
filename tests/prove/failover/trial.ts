/**
 * One fault befalling one node: struck, watched until it must have left the answers, mended, watched until it must be back.
 *
 * @module
 */
import { call } from "../../rest.ts";
import type { ServeProcess } from "../../serve_process.ts";
import { PER_SITE, SITES, TLS_NAME } from "./backends.ts";
import { type Note, Prober } from "./prober.ts";
import type { Scenario, Stage } from "./scenarios.ts";

/** How members are checked. */
export interface Terms {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly rise: number;
  readonly fall: number;
  /** Beyond what `budget` promises: what a node and this process take on a busy machine, milliseconds. */
  readonly slackMs: number;
}

/** What one run of a scenario came to. */
export interface Trial {
  /** From the fault to the last question whose answer named a faulty backend, milliseconds. */
  readonly leaveMs: number;
  /** From the mend to the first question that was answered as before the fault; `Infinity` = it never was. */
  readonly returnMs: number;
  /** What the node promises for either, with the flip guard's hold where it must hold. */
  readonly bounds: { readonly leaveMs: number; readonly returnMs: number; readonly holdMs: number };
  /** Answers to questions asked after bound and slack that still named a faulty backend. */
  readonly wrong: number;
  /** How often the answers changed between naming a faulty backend and naming none. */
  readonly flips: number;
  readonly asked: number;
  /** Questions without an answer, and answers without an address. */
  readonly lost: number;
  /** By how much a question was late at most: what the machine made processes wait. */
  readonly lateMs: number;
  /** What the node said was wrong with the faulty backends, each phrase once. */
  readonly said: readonly string[];
}

/** Domain of the service that is asked for. */
export const DOMAIN = "www.example.org";

/** Watched beyond the deadline: three rounds of checks. */
const WATCH_ROUNDS = 3;
/** Longest wait for all backends to be well before the fault, milliseconds. */
const READY_MS = 30_000;

/** Runs a scenario once. */
export async function runTrial(
  node: ServeProcess,
  stage: Stage,
  { scenario, terms }: { readonly scenario: Scenario; readonly terms: Terms },
): Promise<Trial> {
  await declare(node, stage, { scenario, terms });
  const bounds = await promised(node, scenario);
  using prober = new Prober(node.dns, DOMAIN);
  const before = await ready(node, stage, { prober, scenario });

  // The first probes come with the pool, so without this every fault would meet the same point between two of them.
  await prober.until(performance.now() + Math.random() * terms.intervalMs);
  const { notes } = prober;
  const from = notes.length;
  const watchMs = WATCH_ROUNDS * terms.intervalMs;
  const struckMs = performance.now();
  await scenario.strike(stage);
  const deadlineMs = struckMs + bounds.leaveMs + terms.slackMs;
  await prober.until(Math.max(deadlineMs, performance.now()) + watchMs);
  const said = await complaints(node, stage.backends.slice(0, scenario.faulty).map(({ address }) => address));

  const mendMs = performance.now();
  await scenario.mend(stage);
  const mendedMs = performance.now();
  await prober.until(mendedMs + bounds.returnMs + terms.slackMs + watchMs);

  const faulty = new Set(stage.backends.slice(0, scenario.faulty).map(({ address }) => address));
  const seen = notes.slice(from).toSorted((a, b) => a.askedMs - b.askedMs);
  const during = seen.filter(({ askedMs }) => askedMs >= struckMs && askedMs < mendMs);
  const back = seen.find((note) => note.askedMs >= mendMs && sameNames(note.names, before));
  return {
    leaveMs: (during.findLast((note) => namesAny(note, faulty))?.askedMs ?? struckMs) - struckMs,
    returnMs: back ? Math.max(0, back.askedMs - mendedMs) : Infinity,
    bounds,
    wrong: during.filter((note) => note.askedMs > deadlineMs && namesAny(note, faulty)).length,
    flips: countFlips(seen, faulty),
    asked: seen.length,
    lost: prober.unanswered + seen.filter(({ names }) => names.length === 0).length,
    lateMs: prober.lateMs,
    said,
  };
}

/** How often a sequence of answers changed between naming one of them and naming none. */
export function countFlips(notes: readonly Note[], faulty: ReadonlySet<string>): number {
  return notes.filter((note, i) => i > 0 && namesAny(note, faulty) !== namesAny(notes[i - 1]!, faulty))
    .length;
}

/** Whether an answer names one of them. */
export function namesAny({ names }: Note, faulty: ReadonlySet<string>): boolean {
  return names.some((name) => faulty.has(name));
}

function sameNames(some: readonly string[], others: readonly string[]): boolean {
  return some.toSorted().join() === others.toSorted().join();
}

/** Makes the pool and the service of a scenario the whole model of the node. */
export async function declare(
  node: ServeProcess,
  { backends }: Stage,
  { scenario: { steering, check }, terms }: {
    readonly scenario: Pick<Scenario, "steering" | "check">;
    readonly terms: Terms;
  },
): Promise<void> {
  const { intervalMs, timeoutMs, rise, fall } = terms;
  const members = backends.map(({ address, site, ports }) => ({
    ipAddress: address,
    port: ports[check],
    priority: site + 1,
    ...SITES[site],
  }));
  const byRule = {
    algorithm: "geoip",
    maxAnswers: 1,
    geoRules: [{ cidr: "127.0.0.0/8", member: backends[0]!.address }],
  };
  const pool = {
    name: "backends",
    ...(steering === "rule" ? byRule : { algorithm: "failover", maxAnswers: 0 }),
    members,
    healthCheck: {
      type: check,
      ...(check === "https" ? { httpHost: TLS_NAME } : {}),
      ...{ intervalMs, timeoutMs, rise, fall },
    },
  };
  const services = [{ domain: DOMAIN, pool: pool.name, ttl: 1 }];
  await call(node.api, { method: "POST", path: "/apply", json: { pools: [pool], services } });
}

interface Budget {
  readonly pools: readonly {
    readonly refusing: { readonly detection: { readonly worstMs: number } };
    readonly hanging: { readonly detection: { readonly worstMs: number } };
    readonly back: { readonly worstMs: number };
  }[];
  readonly flipGuardHoldMs: number | null;
}

async function promised(node: ServeProcess, { kind, isMass }: Scenario): Promise<Trial["bounds"]> {
  const budget = await call<Budget>(node.api, { method: "GET", path: `/budget?name=${DOMAIN}` });
  const pool = budget.pools[0]!;
  const holdMs = isMass ? budget.flipGuardHoldMs ?? 0 : 0;
  return { leaveMs: pool[kind].detection.worstMs + holdMs, returnMs: pool.back.worstMs, holdMs };
}

/**
 * Waits until all backends are well and the answers name whom they should; gives those.
 *
 * @throws {Error} with what the node says of each when that doesn't come about
 */
export async function ready(
  node: ServeProcess,
  { backends }: Stage,
  { prober, scenario: { steering } }: {
    readonly prober: Prober;
    readonly scenario: Pick<Scenario, "steering">;
  },
): Promise<readonly string[]> {
  const wanted = backends.slice(0, steering === "rule" ? 1 : PER_SITE).map(({ address }) => address);
  const untilMs = performance.now() + READY_MS;
  while (performance.now() < untilMs) {
    const { names } = await prober.next(() => true);
    if (!sameNames(names, wanted)) continue;
    if ((await healths(node)).every(({ health: { state } }) => state === "healthy")) return wanted;
  }
  throw new Error(
    `The backends aren't all well after ${READY_MS} ms: ${JSON.stringify(await healths(node))}`,
  );
}

interface MemberHealth {
  readonly ipAddress: string;
  readonly health: { readonly state: string; readonly lastError: string | null };
}

async function healths(node: ServeProcess): Promise<readonly MemberHealth[]> {
  const [pool] = await call<{ id: string }[]>(node.api, { method: "GET", path: "/pools" });
  return await call(node.api, { method: "GET", path: `/pools/${pool!.id}/members` });
}

async function complaints(node: ServeProcess, faulty: readonly string[]): Promise<string[]> {
  const of = (await healths(node)).filter(({ ipAddress }) => faulty.includes(ipAddress));
  return [...new Set(of.map(({ health: { lastError } }) => lastError ?? "nothing"))];
}
