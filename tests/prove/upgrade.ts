/**
 * A node that a newer version is to replace, whose schema is one higher: `deno task prove upgrade [POINTS]`.
 *
 * The newer version is a copy of these sources with one more migration. It is killed at points spread over the time from
 * its first word to the older one to its last; each time the older one must go on answering and changing its model, and
 * its file be of the older schema. At last the newer one is left alone: then it has the place, and the file is of the newer
 * schema.
 *
 * @module
 */
import { runQuery } from "../../src/dns_client.ts";
import { Database } from "../../src/store/database.ts";
import { SCHEMA_VERSION, userVersion } from "../../src/store/schema.ts";
import { CLASS, TYPE } from "../../src/wire/record_type.ts";
import { ROOT } from "../../scripts/process.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";

/** What came of a run. */
export interface UpgradeReport {
  /** Processes that were killed before they were ready, and those that had been quicker. */
  readonly killed: number;
  readonly quicker: number;
  /** A line for each time that the older process didn't go on as it was. */
  readonly faults: readonly string[];
  /** Schema of the file at the end. */
  readonly schema: number;
}

/** Runs the proof; 20 points unless told otherwise. */
export async function prove([points = "20"]: string[]): Promise<boolean> {
  const report = await upgrade(Number(points));
  console.log(`killed             ${report.killed}, and ${report.quicker} were ready before`);
  console.log(`faults             ${report.faults.length}`);
  for (const fault of report.faults) console.log(`  ${fault}`);
  console.log(`schema at the end  ${report.schema}, of ${SCHEMA_VERSION} before`);
  return isGood(report);
}

/** Whether nothing was harmed. */
export function isGood({ killed, faults, schema }: UpgradeReport): boolean {
  return killed > 0 && faults.length === 0 && schema === SCHEMA_VERSION + 1;
}

const NAME = "www.example.org";

/** Kills a newer version at so many points, and then lets one be. */
export async function upgrade(points: number): Promise<UpgradeReport> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-upgrade-" });
  const started: ServeProcess[] = [];
  try {
    const database = `${folder}/pleiades.db`;
    const newer = await newerVersion(`${folder}/newer`);
    // From the sources, as the newer one is: the points are spread over the time that these take.
    const first = await ServeProcess.start({ args: ["--db", database], executable: null });
    started.push(first);
    await declare(first);
    const args = [
      ...["--db", database, "--replace", "--dns", `127.0.0.1:${first.dns.port}`],
      ...["--api", new URL(first.api).host],
    ];
    // What a hand-over takes on this machine, one of the same version shows.
    const older = await ServeProcess.start({ args, executable: null });
    started.push(older);
    await first.ended();
    const begin = (): ServeProcess => {
      const process = ServeProcess.spawn({ args, executable: newer });
      started.push(process);
      return process;
    };
    let tookMs = SHARE * JSON.parse(older.lines.find((line) => line.includes('"Took over"'))!).frozenMs;
    let [killed, quicker] = [0, 0];
    const faults: string[] = [];
    for (let point = 0; point < points; point++) {
      const process = begin();
      const end = process.ended();
      await process.line((line) => line.includes('"Taking over"'));
      const afterMs = tookMs * point / points;
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      if (process.lines.some((line) => line.includes('"Pleiades answers DNS"'))) {
        // It has the place: another run, with a shorter time, shows more.
        quicker++;
        tookMs = afterMs;
        break;
      }
      process.kill("SIGKILL");
      await end;
      killed++;
      const fault = await faultOf(older, { database, point });
      if (fault !== null) faults.push(`killed after ${afterMs.toFixed(0)} ms: ${fault}`);
    }
    if (quicker === 0) {
      const last = begin();
      await last.ready();
      await older.ended();
    }
    return { killed, quicker, faults, schema: schemaOf(database) };
  } finally {
    for (const each of started) await each[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Of the time that a hand-over took, the last point: the newer version may be a little quicker. */
const SHARE = 0.9;

/** A program that runs these sources with one more migration. */
async function newerVersion(folder: string): Promise<string> {
  await Deno.mkdir(folder);
  const { success } = await new Deno.Command("cp", {
    args: ["-r", ...["src", "main.ts", "deno.json", "deno.lock"].map((name) => `${ROOT}/${name}`), folder],
  }).output();
  if (!success) throw new Error("The sources can't be copied");
  const schema = `${folder}/src/store/schema.ts`;
  const text = await Deno.readTextFile(schema);
  const end = text.indexOf("\n];\n");
  await Deno.writeTextFile(
    schema,
    `${text.slice(0, end)}\n  "CREATE TABLE newer (one INTEGER) STRICT",${text.slice(end)}`,
  );
  const program = `${folder}/pleiades`;
  const line = `exec ${Deno.execPath()} run -A --unstable-net --no-check ${folder}/main.ts "$@"`;
  await Deno.writeTextFile(program, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  return program;
}

async function declare({ api }: ServeProcess): Promise<void> {
  const post = (path: string, json: unknown) =>
    call<{ readonly id: string }>(api, { method: "POST", path, json });
  const pool = await post("/pools", { name: "web" });
  await post(`/pools/${pool.id}/members`, { ipAddress: "192.0.2.1", port: 80 });
  await post("/services", { domain: NAME, poolId: pool.id });
}

/** What is wrong with the process that is to have gone on; `null` = nothing. */
async function faultOf(
  { dns, api, lines }: ServeProcess,
  { database, point }: { readonly database: string; readonly point: number },
): Promise<string | null> {
  try {
    const { message } = await runQuery({
      server: dns,
      ...{ name: NAME, type: TYPE.A, class: CLASS.IN, ecs: null, tcp: false, udpSize: 1232 },
      timeoutMs: 5_000,
    });
    if (message.answers.length !== 1) return `it answers ${message.answers.length} addresses`;
    // What it was asked before the freeze was over is refused for a moment.
    for (let tries = 0;; tries++) {
      try {
        await call(api, { method: "POST", path: "/pools", json: { name: `after-${point}` } });
        break;
      } catch (error) {
        if (tries === 50 || !String(error).includes("503")) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    const schema = schemaOf(database);
    return schema === SCHEMA_VERSION ? null : `the file's schema is ${schema}`;
  } catch (error) {
    return `${error} (its log ends: ${lines.at(-1)})`;
  }
}

function schemaOf(database: string): number {
  const opened = new Database(database, { readOnly: true });
  try {
    return userVersion(opened);
  } finally {
    opened.close();
  }
}
