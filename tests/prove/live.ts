/**
 * Changes under load: `deno task prove live [SECONDS [MEMBERS [PER_SECOND]]]`.
 *
 * A real `serve` process answers 20,000 queries a second from dnsperf while members are created, changed and
 * deleted over REST. Nothing may be lost, nothing may be SERVFAIL, and the very next answer after each call must show
 * the change.
 *
 * @module
 */
import { runQuery } from "../../src/dns_client.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { DnsLoad, isFlawless, type LoadReport, printLoad } from "../dns_load.ts";
import { program } from "../programs.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";

/** How a run differs from the full one. */
export interface LiveOptions {
  readonly seconds: number;
  /** Created, changed and deleted, spread over the time. */
  readonly members: number;
  /** Queries offered. */
  readonly perSecond: number;
}

/** What came of a run. */
export interface LiveReport extends Changed {
  readonly load: LoadReport;
}

/** What came of the changes. */
interface Changed {
  /** A line for each answer that didn't show the change before it. */
  readonly stale: readonly string[];
  readonly slowestMs: number;
}

const POOLS = 100;

/** Runs the proof; 30 s, 1,000 members and 20,000 queries a second unless told otherwise. */
export async function prove(
  [seconds = "30", members = "1000", perSecond = "20000"]: string[],
): Promise<boolean> {
  const report = await live({
    seconds: Number(seconds),
    members: Number(members),
    perSecond: Number(perSecond),
  });
  printLoad(report.load);
  console.log(`members            ${members} created, changed and deleted`);
  console.log(`slowest call       ${report.slowestMs.toFixed(1)} ms`);
  console.log(`stale answers      ${report.stale.length}`);
  for (const line of report.stale.slice(0, 10)) console.log(`  ${line}`);
  return isFlawless(report.load) && report.stale.length === 0;
}

/** Changes a node under load. */
export async function live({ seconds, members, perSecond }: LiveOptions): Promise<LiveReport> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-live-" });
  try {
    await using serve = await ServeProcess.start({
      args: ["--db", `${folder}/live.db`],
      executable: program("pleiades"),
    });
    const poolIds = await declare(serve);
    const questions = poolIds.map((_, i) => `s${i}.example.org A`);
    await using load = await DnsLoad.start({ server: serve.dns, questions, perSecond, seconds });
    const changed = await change(serve, poolIds, { members, seconds });
    return { ...changed, load: await load.report() };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function declare({ api }: ServeProcess): Promise<string[]> {
  const poolIds: string[] = [];
  for (let i = 0; i < POOLS; i++) {
    const json = { name: `pool${i}`, maxAnswers: 0 };
    const { id: poolId } = await call<{ id: string }>(api, { method: "POST", path: "/pools", json });
    const member = { ipAddress: `192.0.2.${i + 1}`, port: 443 };
    await call(api, { method: "POST", path: `/pools/${poolId}/members`, json: member });
    await call(api, { method: "POST", path: "/services", json: { domain: `s${i}.example.org`, poolId } });
    poolIds.push(poolId);
  }
  return poolIds;
}

/** Creates, changes and deletes each member, spread over the time, and asks after each call. */
async function change(
  serve: ServeProcess,
  poolIds: readonly string[],
  { members, seconds }: { readonly members: number; readonly seconds: number },
): Promise<Changed> {
  const stale: string[] = [];
  let slowestMs = 0;
  const start = performance.now();
  for (let i = 0; i < members; i++) {
    const pool = i % POOLS;
    const first = `198.51.${100 + (i >> 8)}.${i & 255}`;
    const second = `203.0.${113 + (i >> 8)}.${i & 255}`;
    const expect = async (method: string, path: string, json: unknown, present: string, absent: string) => {
      const begin = performance.now();
      const answer = await call<{ id: string }>(serve.api, { method, path, json });
      slowestMs = Math.max(slowestMs, performance.now() - begin);
      const addresses = await addressesOf(serve, `s${pool}.example.org`);
      if (present !== "" && !addresses.includes(present)) {
        stale.push(`${method} ${path}: ${present} is missing`);
      }
      if (addresses.includes(absent)) stale.push(`${method} ${path}: ${absent} is still there`);
      return answer;
    };
    const { id } = await expect(
      "POST",
      `/pools/${poolIds[pool]}/members`,
      { ipAddress: first, port: 443 },
      first,
      second,
    );
    await expect("PATCH", `/members/${id}`, { ipAddress: second }, second, first);
    await expect("DELETE", `/members/${id}`, undefined, "", second);
    // Spread over the whole run, so that there is no second of it without changes.
    const aheadMs = (i + 1) / members * (seconds - 1) * 1000 - (performance.now() - start);
    if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
  }
  return { stale, slowestMs };
}

async function addressesOf(serve: ServeProcess, name: string): Promise<string[]> {
  const { message } = await runQuery({
    server: serve.dns,
    name,
    type: TYPE.A,
    class: 1,
    ecs: null,
    tcp: false,
    udpSize: 1232,
    timeoutMs: 2000,
  });
  return message.answers.map((record) => record.data);
}
