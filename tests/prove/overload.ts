/**
 * Twice as much as can be answered: `deno task prove overload [SECONDS [TIMES]]`.
 *
 * A real `serve` process on one core is asked more and more until it falls behind; that is the maximum. Then twice as many queries a
 * second come for a minute, whatever is answered, and then half of the maximum. What is answered meanwhile must be nearly
 * as much as the maximum and young, what isn't must be counted, probes and `/healthz` must come in time, and a second after
 * the overload nothing is lost any more.
 *
 * On a machine that has other work, too, the time that the worker gets differs from one second to the next. So what counts
 * is how much is answered in the time that it got, and that it never had nothing to do (`schedstat`).
 *
 * All threads of the node share one core with each other, so that what is taken from health checks and the API is seen, and
 * with another program that never rests, so that one core of those that ask can ask for twice as much. Bars are ratios of
 * what the same machine did a moment before, or what clients bear.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { LineProcess } from "../store/line_process.ts";
import { Asking, counterOf, keepOnCore, prefer, sockets, sum } from "./fire/asking.ts";
import { NAME, Node } from "./fire/node.ts";
import { LATE_MS, type Second } from "./fire/offer.ts";
import { busiestThread, timesOf } from "./fire/threads.ts";
import { type Line, printLines } from "./fire/verdict.ts";
import { nowMs, type TimedSample } from "./stall/process.ts";

/** How a run differs from the full one. */
export interface OverloadOptions {
  /** Of the overload. */
  readonly seconds: number;
  /** Of the maximum that is offered. */
  readonly times: number;
  /** Of each step in which the maximum is looked for. */
  readonly maximumSeconds: number;
  readonly onStep: (line: string) => void;
}

/** What came of it. */
export interface OverloadReport {
  /** Answers a second, the most that there were where ever more was asked. */
  readonly maximum: number;
  /** Answers for a second of the worker's own time, at the maximum and in the overload, and for how much of it it had none. */
  readonly worker: {
    readonly perCpuSecond: number;
    readonly perCpuSecondInOverload: number;
    readonly idleShare: number;
  };
  /** Queries a second that were really asked. */
  readonly offered: number;
  readonly overload: readonly Second[];
  /** Of the time after it, at half of the maximum. */
  readonly after: readonly Second[];
  /** What the node counted in the overload. */
  readonly counted: Readonly<Record<"stale" | "kernelBuffer" | "overloadedSeconds", number>>;
  /** In the overload, milliseconds, in ascending order; by how much probes were late, and how long `/healthz` took. */
  readonly probesLateMs: readonly number[];
  readonly healthzMs: readonly number[];
}

const SERVED_MIN = 0.9;
const PROBE_LATE_MS_MAX = 100;
const HEALTHZ_P99_MS_MAX = 100;
const PROBED = 100;
const PROBE_INTERVAL_MS = 1_000;
const AFTER_SECONDS = 3;
const SOCKETS = 8;
/** Where the search for the maximum begins, by how much it goes on, and when it ends. */
const FIRST_PER_SECOND = 50_000;
const STEP = 1.5;
const FAR_MORE = 1.5;
/** What asks can ask no more where this share of a rate isn't reached. */
const REACHED = 0.9;
/** Share of answers that may be late: now and then a busy machine has no time for a core's own. */
const LATE_SHARE_MAX = 0.001;
/** Cores of the node, and the one of what asks. */
const NODE_CORE = 0;
const CLIENT_CORE = 1;
const SERVE_CORE_TEXT = "the node on one core, its clients on another";

/** Runs the proof; a minute of twice the maximum unless told otherwise. */
export async function prove([seconds = "60", times = "2"]: string[]): Promise<boolean> {
  const report = await overload({
    seconds: Number(seconds),
    times: Number(times),
    maximumSeconds: 2,
    onStep: (line) => console.log(line),
  });
  return printLines(judge(report, Number(times)));
}

function judge(report: OverloadReport, times: number): Line[] {
  const { maximum, worker, offered, overload, after, counted, probesLateMs, healthzMs } = report;
  const answered = sum(overload, (second) => second.answered) / overload.length;
  const { perCpuSecond, perCpuSecondInOverload, idleShare } = worker;
  const served = perCpuSecondInOverload / perCpuSecond * (1 - idleShare);
  const lost = sum(overload, ({ asked, answered }) => asked - answered);
  const told = counted.stale + counted.kernelBuffer;
  const p99 = Math.max(...overload.map(({ ageMs }) => ageMs.p99));
  const most = Math.max(...overload.map(({ ageMs }) => ageMs.most));
  const late = sum(overload, (second) => second.late);
  const rest = after.slice(1);
  const line = (what: string, figure: string, isMet: boolean): Line => ({ what, figure, isMet });
  return [
    line("offered, of the maximum", `${(offered / maximum).toFixed(2)}`, offered >= 0.95 * times * maximum),
    line(
      `answered a second, of ${maximum.toFixed(0)}; and in the time that it got`,
      `${answered.toFixed(0)}; ${served.toFixed(2)}`,
      served >= SERVED_MIN,
    ),
    line(
      `age of answers, p99 of the worst second, > ${LATE_MS} ms, oldest`,
      `${p99.toFixed(1)}, ${late}, ${most.toFixed(1)} ms`,
      p99 < LATE_MS && late <= LATE_SHARE_MAX * answered * overload.length,
    ),
    line(
      "lost, and counted (stale, kernel_buffer)",
      `${lost}, ${counted.stale} + ${counted.kernelBuffer}`,
      Math.abs(told - lost) <= 0.01 * lost,
    ),
    line(
      "seconds counted as overloaded",
      counted.overloadedSeconds.toFixed(1),
      counted.overloadedSeconds > 0.5 * overload.length,
    ),
    line(
      `latest of ${probesLateMs.length} probes`,
      `${(probesLateMs.at(-1) ?? NaN).toFixed(1)} ms`,
      probesLateMs.length > 0 && probesLateMs.at(-1)! <= PROBE_LATE_MS_MAX,
    ),
    line(
      `/healthz, p99 of ${healthzMs.length}`,
      `${quantile(healthzMs, 0.99).toFixed(1)} ms`,
      quantile(healthzMs, 0.99) <= HEALTHZ_P99_MS_MAX,
    ),
    line(
      "lost when it was over for a second",
      `${sum(rest, ({ asked, answered }) => asked - answered)} of ${sum(rest, ({ asked }) => asked)}`,
      rest.every(({ asked, answered }) => asked === answered),
    ),
  ];
}

function quantile(ascending: readonly number[], share: number): number {
  return ascending[Math.ceil(share * ascending.length) - 1] ?? NaN;
}

/** Overloads a node of its own. */
export async function overload(
  { seconds, times, maximumSeconds, onStep }: OverloadOptions,
): Promise<OverloadReport> {
  await using backends = new LineProcess(new URL("stall/backends.ts", import.meta.url), [
    String(PROBED),
    String(PROBE_INTERVAL_MS),
  ]);
  const ports: readonly number[] = JSON.parse((await backends.receive())!);
  await using node = await Node.start({ dns: { transport: "linux" }, pools: [probedPool(ports)] });
  const { serve } = node;
  const isAlone = await keepOnCore(serve.pid, NODE_CORE);
  onStep(`${availableParallelism()} processors; ${isAlone ? SERVE_CORE_TEXT : "no core of its own"}`);
  await using asking = await Asking.start({
    ...{ server: serve.dns, name: NAME, isRandom: false, sources: sockets(SOCKETS) },
  });
  await using healthz = new LineProcess(new URL("stall/healthz.ts", import.meta.url), [
    serve.api.replace("/api/v1", "/healthz"),
  ]);
  await healthz.receive();
  await using spinning = new LineProcess(new URL("fire/spin.ts", import.meta.url), []);
  await spinning.receive();
  await keepOnCore(spinning.pid, NODE_CORE);
  for (const { pid } of [backends, asking, healthz]) await keepOnCore(pid, CLIENT_CORE);
  for (const { pid } of [serve, backends, asking, healthz, spinning]) await prefer(pid);
  const worker = await busiestThread(
    serve.pid,
    () => asking.ask({ perSecond: FIRST_PER_SECOND, seconds: 1 }),
  );
  const { most: maximum, perCpuSecond } = await mostOf(asking, worker, maximumSeconds);
  onStep(`at most ${maximum.toFixed(0)} answers a second`);
  const before = await countersOf(serve.api);
  const beginMs = nowMs();
  const timeBefore = timesOf(worker);
  const asked = asking.ask({ perSecond: times * maximum, seconds });
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const endMs = nowMs();
  const time = timesOf(worker);
  const { seconds: during } = await asked;
  const counted = differenceOf(before, await countersOf(serve.api));
  for (const [i, { asked, answered, ageMs: { p50, p99, most } }] of during.entries()) {
    if (i % Math.ceil(seconds / 10) > 0) continue;
    onStep(
      `second ${i}: ${asked} asked, ${answered} answered, ages ${p50.toFixed(1)}, ${p99.toFixed(1)}, ` +
        `${most.toFixed(1)} ms (p50, p99, oldest)`,
    );
  }
  const { seconds: after } = await asking.ask({ perSecond: maximum / 2, seconds: AFTER_SECONDS });
  for (const [i, { asked, answered, ageMs: { p50, p99, most } }] of after.entries()) {
    onStep(
      `second ${i} after it: ${asked} asked, ${answered} answered, ages ${p50.toFixed(1)}, ${
        p99.toFixed(1)
      }, ` +
        `${most.toFixed(1)} ms`,
    );
  }
  const [probesLateMs, healthzMs] = await Promise.all([backends, healthz].map(async (watcher) => {
    const samples: TimedSample[] = JSON.parse((await watcher.ask("stop"))!);
    return samples.filter(([atMs]) => atMs >= beginMs && atMs < endMs).map(([, value]) => value)
      .sort((a, b) => a - b);
  }));
  return {
    ...{ maximum, overload: during, after, counted },
    worker: {
      perCpuSecond,
      perCpuSecondInOverload: sum(during, ({ answered }) => answered) / (time.runMs - timeBefore.runMs) *
        1000,
      idleShare: 1 - (time.runMs + time.waitMs - timeBefore.runMs - timeBefore.waitMs) / (endMs - beginMs),
    },
    offered: sum(during, ({ asked }) => asked) / seconds,
    ...{ probesLateMs: probesLateMs!, healthzMs: healthzMs! },
  };
}

/** The most answers in a second, where more and more is asked until it is far more than is answered, and in one of the worker's. */
async function mostOf(
  asking: Asking,
  worker: string,
  seconds: number,
): Promise<{ readonly most: number; readonly perCpuSecond: number }> {
  let most = 0;
  let perCpuSecond = 0;
  for (let perSecond = FIRST_PER_SECOND;; perSecond *= STEP) {
    const before = timesOf(worker);
    const outcome = await asking.ask({ perSecond, seconds });
    const answered = sum(outcome.seconds, (second) => second.answered);
    perCpuSecond = Math.max(perCpuSecond, answered / (timesOf(worker).runMs - before.runMs) * 1000);
    most = Math.max(most, ...outcome.seconds.map(({ answered }) => answered));
    const asked = sum(outcome.seconds, (second) => second.asked) / seconds;
    if (asked > FAR_MORE * most || asked < REACHED * perSecond) return { most, perCpuSecond };
  }
}

/** A pool whose members are probed at these ports of 127.0.0.1. */
function probedPool(ports: readonly number[]): unknown {
  return {
    name: "probed",
    members: ports.map((port) => ({ ipAddress: "127.0.0.1", port })),
    healthCheck: { type: "tcp", intervalMs: PROBE_INTERVAL_MS, timeoutMs: PROBE_INTERVAL_MS / 2 },
  };
}

type Counted = OverloadReport["counted"];

async function countersOf(api: string): Promise<Counted> {
  const dropped = (reason: string) => counterOf(api, "pleiades_dns_dropped_total", `reason="${reason}"`);
  return {
    stale: await dropped("stale"),
    kernelBuffer: await dropped("kernel_buffer"),
    overloadedSeconds: await counterOf(api, "pleiades_dns_overloaded_seconds_total"),
  };
}

function differenceOf(before: Counted, after: Counted): Counted {
  return {
    stale: after.stale - before.stale,
    kernelBuffer: after.kernelBuffer - before.kernelBuffer,
    overloadedSeconds: after.overloadedSeconds - before.overloadedSeconds,
  };
}
