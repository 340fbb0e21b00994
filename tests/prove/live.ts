/**
 * Changes under load: `deno task prove live [SECONDS [MEMBERS]]`.
 *
 * A real `serve` process answers 20,000 queries a second from dnsperf while members are created, changed and
 * deleted over REST. Nothing may be lost, nothing may be SERVFAIL, and the very next answer after each call must show
 * the change.
 *
 * @module
 */
import { runQuery } from "../../src/cli/query.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { program } from "../programs.ts";
import { ServeProcess } from "../serve_process.ts";

const OFFERED_PER_SECOND = 20_000;
const POOLS = 100;

/** Runs the proof; 30 s and 1,000 members unless told otherwise. */
export async function prove([seconds = "30", members = "1000"]: string[]): Promise<boolean> {
  const dnsperf = program("dnsperf");
  if (!dnsperf) throw new Error("dnsperf is missing (Debian: apt-get install dnsperf)");
  const folder = await Deno.makeTempDir({ prefix: "pleiades-live-" });
  try {
    await using serve = await ServeProcess.start({
      args: ["--db", `${folder}/live.db`],
      executable: program("pleiades"),
    });
    const poolIds = await declare(serve);
    await Deno.writeTextFile(`${folder}/queries`, poolIds.map((_, i) => `s${i}.example.org A\n`).join(""));
    const load = new Deno.Command(dnsperf, {
      args: [
        ...["-s", serve.dns.hostname, "-p", String(serve.dns.port), "-d", `${folder}/queries`],
        ...["-l", seconds, "-Q", String(OFFERED_PER_SECOND), "-q", "1000", "-b", "4096"],
      ],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const changed = change(serve, poolIds, { members: Number(members), seconds: Number(seconds) });
    const report = new TextDecoder().decode((await load.output()).stdout);
    return judge(report, await changed);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function declare(serve: ServeProcess): Promise<string[]> {
  const poolIds: string[] = [];
  for (let i = 0; i < POOLS; i++) {
    const pool = await call<{ id: string }>(serve, "POST", "/pools", { name: `pool${i}`, maxAnswers: 0 });
    await call(serve, "POST", `/pools/${pool.id}/members`, { ipAddress: `192.0.2.${i + 1}`, port: 443 });
    await call(serve, "POST", "/services", { domain: `s${i}.example.org`, poolId: pool.id });
    poolIds.push(pool.id);
  }
  return poolIds;
}

/** What came of the changes. */
interface Changed {
  readonly members: number;
  readonly stale: readonly string[];
  readonly slowestMs: number;
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
    const expect = async (method: string, path: string, body: unknown, present: string, absent: string) => {
      const begin = performance.now();
      const answer = await call<{ id: string }>(serve, method, path, body);
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
  return { members, stale, slowestMs };
}

async function call<Answer>(
  serve: ServeProcess,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const response = await fetch(`${serve.api}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return (text === "" ? undefined : JSON.parse(text)) as Answer;
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

function judge(report: string, { members, stale, slowestMs }: Changed): boolean {
  const figure = (label: string) => Number(new RegExp(`${label}:\\s+([\\d.]+)`).exec(report)?.[1] ?? NaN);
  const sent = figure("Queries sent");
  const lost = figure("Queries lost");
  const codes = /Response codes:\s+(.*)/.exec(report)?.[1] ?? "";
  console.log(`queries sent       ${sent} (${figure("Queries per second")} per second)`);
  console.log(`queries lost       ${lost}`);
  console.log(`response codes     ${codes}`);
  console.log(`members            ${members} created, changed and deleted`);
  console.log(`slowest call       ${slowestMs.toFixed(1)} ms`);
  console.log(`stale answers      ${stale.length}`);
  for (const line of stale.slice(0, 10)) console.log(`  ${line}`);
  return lost === 0 && sent > 0 && /^NOERROR \d+ \(100\.00%\)$/.test(codes) && stale.length === 0;
}
