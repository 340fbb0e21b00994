/**
 * A license for 1,000 answers a second gives 1,000 in each: `deno task prove license [SECONDS [PER_SECOND [SERVICES [ONLY]]]]`.
 *
 * A real `serve` process with a token is asked 20,000 times a second by a process of its own, which counts what comes
 * back in each whole second of the clock: over UDP and over TCP, with one worker and with two, on both transports; over
 * UDP and TCP at once; and while a snapshot of a million services is written, because the settings are reloaded. The
 * answers of each second must be 1,000, give or take 1 %, and the rest REFUSED. Two nodes of one cluster that share the
 * license must together give no more; `cluster` as ONLY looks at them alone.
 *
 * @module
 */
import { NatsServer } from "../nats/server.ts";
import { buildC } from "../../bench/programs/c_program.ts";
import { issueToken } from "../../src/license/token.ts";
import { ServeProcess } from "../serve_process.ts";
import { nameOf, writeDatabase } from "./million.ts";

/** How a run differs from the full one. */
export interface LicenseOptions {
  /** Whole seconds that are looked at, for each row. */
  readonly seconds: number;
  /** Queries offered. */
  readonly perSecond: number;
  /** Answers that the token allows. */
  readonly limit: number;
  /** Of the large snapshot; 0 = it is left out. */
  readonly services: number;
  /** Rows to look at, by title; absent = all. */
  readonly only?: RegExp;
  /** Told what comes next. */
  readonly onStep: (step: string) => void;
}

/** What came back in one second. */
export interface Second {
  /** Unix seconds. */
  readonly at: number;
  readonly asked: number;
  /** Whatever isn't REFUSED. */
  readonly answered: number;
  readonly refused: number;
}

/** What was seen of one setting. */
export interface LicenseRow {
  readonly title: string;
  readonly seconds: readonly Second[];
}

const ANSWERED_SHARE_OFF = 0.01;
/** A machine that is busy asks less; with less than this the gate has nothing to do. */
const OFFERED_SHARE_MIN = 0.5;
const SECRET = "the-secret-of-this-proof";

/** Runs the proof; ten seconds a row, 20,000 queries a second, a million services and all rows unless told otherwise. */
export async function prove(
  [seconds = "10", perSecond = "20000", services = "1000000", only = ""]: string[],
): Promise<boolean> {
  const limit = 1_000;
  const rows = await licensed({
    ...{ seconds: Number(seconds), perSecond: Number(perSecond), services: Number(services), limit },
    only: new RegExp(only),
    onStep: (step) => console.log(step),
  });
  console.log(`${"".padEnd(44)}asked/s   answers in each second`);
  let isGood = true;
  for (const { title, seconds } of rows) {
    const least = Math.min(...seconds.map(({ asked }) => asked));
    const off = seconds.filter(({ answered }) => Math.abs(answered - limit) > limit * ANSWERED_SHARE_OFF);
    const isMet = off.length === 0 && least >= Number(perSecond) * OFFERED_SHARE_MIN;
    isGood &&= isMet;
    const answers = seconds.map(({ answered }) => answered).join(" ");
    console.log(`${title.padEnd(44)}${String(least).padStart(7)}   ${answers}  ${isMet ? "ok" : "MISSED"}`);
  }
  return isGood;
}

/** Looks at every row. */
export async function licensed(options: LicenseOptions): Promise<LicenseRow[]> {
  const { only = /^/, services, onStep } = options;
  const folder = await Deno.makeTempDir({ prefix: "pleiades-license-" });
  try {
    const bed = { ...options, folder, offer: await buildC("offer", folder) };
    const rows: LicenseRow[] = [];
    for (const { title, ...setting } of SETTINGS.filter(({ title }) => only.test(title))) {
      onStep(title);
      rows.push({ title, seconds: await look(bed, setting) });
    }
    if (only.test(CLUSTER)) {
      onStep(CLUSTER);
      rows.push({ title: CLUSTER, seconds: await lookAtCluster(bed) });
    }
    if (services === 0 || !only.test(LARGE)) return rows;
    const title = `UDP, while ${services.toLocaleString("en")} services are written`;
    onStep(title);
    writeDatabase(`${folder}/node.db`, services);
    rows.push({ title, seconds: await look(bed, { ...SETTINGS[0]!, workers: 2, isReloading: true }) });
    return rows;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Bed extends LicenseOptions {
  readonly folder: string;
  /** The program that asks. */
  readonly offer: string;
}

interface Setting {
  readonly transport: "linux" | "portable";
  readonly workers: number;
  readonly by: readonly ("udp" | "tcp")[];
  /** Whether the settings are reloaded all the time, with other TTLs, so that snapshots are written. */
  readonly isReloading?: boolean;
}

const SETTINGS: readonly (Setting & { readonly title: string })[] = [
  ...(["linux", "portable"] as const).flatMap((transport) =>
    [1, 2].flatMap((workers) =>
      [["udp"], ["tcp"], ["udp", "tcp"]].map((by) => ({
        title: `${by.join(" and ").toUpperCase().replace("AND", "and")}, ${workers} ${
          workers === 1 ? "worker" : "workers"
        }, ${transport}`,
        ...{ transport, workers, by: by as ("udp" | "tcp")[] },
      }))
    )
  ),
];

const CLUSTER = "UDP, two nodes of a cluster";
const LARGE = "UDP, while services are written";

/** What two nodes that share a license give together. */
async function lookAtCluster(bed: Bed): Promise<Second[]> {
  const { folder, limit, seconds, perSecond } = bed;
  await using server = await NatsServer.start();
  const token = tokenOf(limit);
  const started = (name: string) => {
    const settings = `${folder}/${name}.yaml`;
    Deno.writeTextFileSync(
      settings,
      `dns: { domain: example.org }\ncluster: { id: proof }\nnode: { id: ${name} }\n` +
        `license: { secret: ${SECRET}, key: ${token}, scope: cluster }\n` +
        `state: { heartbeatInterval: 500ms, heartbeatTTL: 3s, nats: { servers: ["${server.url}"] } }\n`,
    );
    return ServeProcess.start({ args: ["-c", settings, "--db", ":memory:"] });
  };
  await using a = await started("a");
  await using b = await started("b");
  for (const { api } of [a, b]) {
    for (;;) {
      const { license } = await (await fetch(`${api}/status`)).json();
      if (license.limit === limit / 2) break;
    }
  }
  const asked = await Promise.all(
    [a, b].map(({ dns }) => offered(bed, { port: dns.port, transport: "udp", perSecond: perSecond / 2 })),
  );
  return together(asked).slice(0, seconds);
}

function tokenOf(limit: number): string {
  return issueToken({ tier: "paid", maxRps: limit, iat: 0, exp: 253_402_300_799, id: "proof" }, SECRET);
}

async function look(bed: Bed, { transport, workers, by, isReloading = false }: Setting): Promise<Second[]> {
  const { folder, limit, seconds, perSecond } = bed;
  const settings = `${folder}/p.yaml`;
  const token = tokenOf(limit);
  const write = (ttl: number) =>
    Deno.writeTextFile(
      settings,
      `dns: { transport: ${transport}, ttl: ${ttl}, domain: example.org }\n` +
        `license: { secret: ${SECRET}, key: ${token} }\n`,
    );
  await write(30);
  await using node = await ServeProcess.start({
    args: [
      "-c",
      settings,
      "--db",
      isReloading ? `${folder}/node.db` : ":memory:",
      "--workers",
      String(workers),
    ],
  });
  const asking = by.map((transport) =>
    offered(bed, { port: node.dns.port, transport, perSecond: perSecond / by.length })
  );
  const asked = Promise.all(asking);
  if (isReloading) await reloadUntil(asked, node, write);
  return together(await asked).slice(0, seconds);
}

/** The seconds that all have seen: one may have begun a second later than another. */
function together(seen: readonly Second[][]): Second[] {
  const [first, ...others] = seen;
  return first!.flatMap((second) => {
    const same = others.map((each) => each.find(({ at }) => at === second.at));
    if (same.includes(undefined)) return [];
    const all = [second, ...same.filter((each) => each !== undefined)];
    const sum = (of: (each: Second) => number) => all.reduce((total, each) => total + of(each), 0);
    return [{
      at: second.at,
      asked: sum(({ asked }) => asked),
      answered: sum(({ answered }) => answered),
      refused: sum(({ refused }) => refused),
    }];
  });
}

async function reloadUntil(
  end: Promise<unknown>,
  node: ServeProcess,
  write: (ttl: number) => Promise<void>,
): Promise<void> {
  let isOver = false;
  const over = end.finally(() => isOver = true);
  for (let ttl = 31; !isOver; ttl++) {
    const reloaded = node.nextLine((line) => line.includes("eloaded"));
    await write(ttl);
    node.kill("SIGHUP");
    await Promise.race([reloaded, over]);
  }
}

async function offered(
  { offer, seconds }: Bed,
  { port, transport, perSecond }: {
    readonly port: number;
    readonly transport: string;
    readonly perSecond: number;
  },
): Promise<Second[]> {
  const args = [port, nameOf(0), transport, perSecond, seconds + 1].map(String);
  const { success, stdout, stderr } = await new Deno.Command(offer, { args }).output();
  if (!success) throw new Error(`Cannot make load: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trim().split("\n").map((line) => {
    const [at, asked, answered, refused] = line.split(" ").map(Number);
    return { at: at!, asked: asked!, answered: answered!, refused: refused! };
  });
}
