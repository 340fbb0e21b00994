/**
 * A map file replaced under load: `deno task prove map_reload [PREFIXES [FILES [PER_SECOND]]]`.
 *
 * A real `serve` process answers 20,000 queries a second from dnsperf by a map file of a million prefixes. Ten times the
 * file is replaced by another one that sends a known client elsewhere, and once, halfway, by one whose last line is
 * broken. The known client asks all the while: what it gets must be of the file that is in effect or of the one that
 * is just being read; a broken one is never either. Nothing may be lost.
 *
 * @module
 */
import { runQuery } from "../../src/dns_client.ts";
import { parsePrefix } from "../../src/ip.ts";
import { TYPE } from "../../src/wire/record_type.ts";
import { DnsLoad, isFlawless, type LoadReport, printLoad } from "../dns_load.ts";
import { program } from "../programs.ts";
import { call } from "../rest.ts";
import { ServeProcess } from "../serve_process.ts";

/** How a run differs from the full one. */
export interface MapReloadOptions {
  /** Lines of each file. */
  readonly prefixes: number;
  /** Good files after the first one. */
  readonly files: number;
  /** Queries offered. */
  readonly perSecond: number;
}

/** What came of a run. */
export interface MapReloadReport {
  readonly load: LoadReport;
  /** From replacing the file until the node has heard, read and taken it, the slowest one. */
  readonly slowestMs: number;
  /** Answers that the known client looked at. */
  readonly looked: number;
  /** A line for each answer that wasn't of a file in effect. */
  readonly wrong: readonly string[];
  /** What the node logged of the broken file. */
  readonly refusal: string;
  /** What it should have said: `file:line:column`. */
  readonly brokenAt: string;
}

const DOMAIN = "www.example.org";
const CLIENT = parsePrefix("198.51.100.0/24");
const SECONDS_MAX = 600;

/** Runs the proof; ten files of a million prefixes at 20,000 queries a second unless told otherwise. */
export async function prove(
  [prefixes = "1000000", files = "10", perSecond = "20000"]: string[],
): Promise<boolean> {
  const report = await reloadMap({
    prefixes: Number(prefixes),
    files: Number(files),
    perSecond: Number(perSecond),
  });
  printLoad(report.load);
  console.log(`files              ${files} of ${prefixes} prefixes, and a broken one`);
  console.log(`slowest            ${report.slowestMs.toFixed(0)} ms until it was in the answers`);
  console.log(`answers looked at  ${report.looked}`);
  console.log(`wrong answers      ${report.wrong.length}`);
  for (const line of report.wrong.slice(0, 10)) console.log(`  ${line}`);
  console.log(`broken file        ${report.refusal}`);
  return isProved(report);
}

/** Whether nothing was lost, nothing was wrong, and the broken file was named with its place. */
export function isProved({ load, wrong, refusal, brokenAt }: MapReloadReport): boolean {
  return isFlawless(load) && wrong.length === 0 && refusal.includes(brokenAt);
}

/** Replaces the map file of a node under load. */
export async function reloadMap({ prefixes, files, perSecond }: MapReloadOptions): Promise<MapReloadReport> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-map-" });
  try {
    const path = `${folder}/clients.map`;
    await replace(path, mapOf(0, { prefixes, files }));
    await Deno.writeTextFile(`${folder}/settings.yaml`, `mapFile: { path: ${path} }\n`);
    await using serve = await ServeProcess.start({
      args: ["-c", `${folder}/settings.yaml`, "--db", `${folder}/map.db`],
      executable: program("pleiades"),
    });
    await declare(serve, files);
    const client = new KnownClient(serve);
    await using load = await DnsLoad.start({
      server: serve.dns,
      questions: [`${DOMAIN} A`],
      perSecond,
      seconds: SECONDS_MAX,
    });
    const ending = new AbortController();
    const asking = client.askOn(ending.signal);
    let slowestMs = 0;
    let refusal = "";
    try {
      for (let version = 1; version <= files; version++) {
        if (version === Math.ceil(files / 2)) {
          const broken = `${mapOf(files + 1, { prefixes: prefixes - 1, files })}${BROKEN_LINE}\n`;
          refusal = await taken(serve, path, broken);
          await client.ask();
        }
        client.begun = version;
        const startMs = performance.now();
        await taken(serve, path, mapOf(version, { prefixes, files }));
        client.done = version;
        await client.ask();
        slowestMs = Math.max(slowestMs, performance.now() - startMs);
      }
    } finally {
      ending.abort();
      await asking;
    }
    const { looked, wrong } = client;
    const brokenAt = `${path}:${prefixes}:${BROKEN_COLUMN}: `;
    return { load: await load.stop(), slowestMs, looked, wrong, refusal, brokenAt };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const BROKEN_LINE = "10.0.0.0/33 192.0.2.1";
/** Of `/33`. */
const BROKEN_COLUMN = 9;

/** A line each for the known client and for who asks from this machine, the others for clients that never ask. */
function mapOf(version: number, { prefixes, files }: { readonly prefixes: number; readonly files: number }) {
  const lines = [`198.51.100.0/24 ${addressOf(version)}`, `127.0.0.0/8 ${addressOf(version)}`];
  for (let i = lines.length; i < prefixes; i++) {
    lines.push(`${16 + (i >> 16)}.${i >> 8 & 255}.${i & 255}.0/24 ${addressOf((i + version) % (files + 1))}`);
  }
  return `${lines.join("\n")}\n`;
}

/** The version is the address; one more than there are files is that of the broken one. */
function addressOf(version: number): string {
  return `10.200.0.${version}`;
}

/** Replaces the file and says so to the node; gives what it logs of the file, once it has taken it or won't. */
async function taken(serve: ServeProcess, path: string, text: string): Promise<string> {
  const heard = serve.nextLine((line) => /"(Loaded the map file|Map file not loaded)/.test(line));
  const done = serve.nextLine((line) => /"(Reloaded|Not reloaded)/.test(line));
  await replace(path, text);
  serve.kill("SIGHUP");
  await done;
  return (JSON.parse(await heard) as { readonly message: string }).message;
}

/** All or nothing, as `mv` does it. */
async function replace(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, text);
  await Deno.rename(`${path}.new`, path);
}

async function declare({ api }: ServeProcess, files: number): Promise<void> {
  const members = Array.from({ length: files + 2 }, (_, i) => ({ ipAddress: addressOf(i), port: 443 }));
  const json = {
    pools: [{ name: "mapped", algorithm: "map-file", maxAnswers: 1, members }],
    services: [{ domain: DOMAIN, pool: "mapped" }],
  };
  await call(api, { method: "POST", path: "/apply", json });
}

/** Asks, and notes what isn't of a file in effect. */
class KnownClient {
  looked = 0;
  readonly wrong: string[] = [];
  /** The version in effect. */
  done = 0;
  /** The version in effect or just coming into it. */
  begun = 0;
  readonly #serve: ServeProcess;

  constructor(serve: ServeProcess) {
    this.#serve = serve;
  }

  async askOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.ask();
      await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS));
    }
  }

  async ask(): Promise<void> {
    const oldest = this.done;
    const { message } = await runQuery({
      ...{ server: this.#serve.dns, name: DOMAIN, type: TYPE.A, class: 1 },
      ...{ ecs: CLIENT, tcp: false, udpSize: 1232, timeoutMs: 5_000 },
    });
    this.looked++;
    const said = message.answers.map(({ data }) => data).join(", ");
    if (said !== addressOf(oldest) && said !== addressOf(this.begun)) {
      this.wrong.push(`"${said}" while file ${oldest} was in effect, ${this.begun} begun`);
    }
  }
}

/** Between two questions of the known client. */
const LOOK_INTERVAL_MS = 5;
