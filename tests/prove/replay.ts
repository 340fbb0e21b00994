/**
 * What `--replay` foretells is what comes: `deno task prove replay [SECONDS [NETWORKS]]`.
 *
 * A real `serve` process with the query sketch on is asked for 40 names, some far more often than others, by clients of
 * 2,000 networks, for 30 seconds and as fast as it answers: of most queries the sketch then sees a sample only. The process
 * is ended and started again on the same database. Each of several changes is planned over the recorded hours, then applied
 * for real; every name is asked once more for every network before and after, a whole rotation each, and the share of
 * answers that differ, weighted by what was really asked, is held against the one foretold.
 *
 * The error bar is two standard deviations, so one prediction in twenty may lie outside; none may lie beyond three.
 *
 * @module
 */
import { seededRng } from "../../src/clock.ts";
import type { Replay } from "../../src/change/guard.ts";
import { query } from "../dns/packets.ts";
import { program } from "../programs.ts";
import { ServeProcess } from "../serve_process.ts";
import { Asker } from "./replay/asker.ts";

/** How a run differs from the full one. */
export interface ReplayOptions {
  /** Of queries that are recorded. */
  readonly seconds: number;
  /** Networks that clients come from. */
  readonly networks: number;
  /** Told what comes next, and each line of the result. */
  readonly onStep: (step: string) => void;
}

/** What came of one change. */
export interface Foretold {
  readonly change: string;
  /** What the plan said. */
  readonly replay: Replay;
  /** Share of the queries asked that are really answered otherwise. */
  readonly share: number;
}

const NAMES = 40;
/** Members of each pool; a rotation has as many answers, and one of half of them as well. */
const MEMBERS = 4;
const ROTATION = 12;
/** Deviations of the error bar, of which there are two in it. */
const BARS_MAX = 1.5;

/** Runs the proof; 30 seconds and 2,000 networks unless told otherwise. */
export async function prove([seconds = "30", networks = "2000"]: string[]): Promise<boolean> {
  const found = await replay({
    seconds: Number(seconds),
    networks: Number(networks),
    onStep: (step) => console.log(step),
  });
  const isSampled = found.some(({ replay }) => replay.errorBar > 0);
  if (!isSampled) console.log("the sketch saw every query: nothing was uncertain");
  return isSampled && found.every(isWithin);
}

/** Whether what was foretold is what came, as far as it claims. */
export function isWithin({ replay: { share, errorBar }, share: real }: Foretold): boolean {
  // Answers are counted in whole rotations, shares as floats.
  return Math.abs(share - real) <= errorBar * BARS_MAX + 1e-9;
}

/** Records, plans, applies and asks again. */
export async function replay({ seconds, networks, onStep }: ReplayOptions): Promise<Foretold[]> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-replay-" });
  try {
    const start = async (sketch: boolean) => {
      const settings = `${folder}/settings.yaml`;
      await Deno.writeTextFile(settings, `queries: { sketch: ${sketch} }\nguards: { movedPercent: 100 }\n`);
      return await ServeProcess.start({
        args: ["-c", settings, "--db", `${folder}/replay.db`],
        executable: program("pleiades"),
      });
    };
    const asked = new Map<string, number>();
    await using first = await start(true);
    await apply(first, modelOf({}));
    onStep(`asking for ${seconds} s`);
    await record(first, { seconds, networks, asked });
    onStep(`${sum(asked.values())} queries of ${asked.size} pairs of name and network`);
    first.kill("SIGTERM");
    await first.ended();
    // What is asked to compare answers is no traffic.
    await using node = await start(false);
    const results: Foretold[] = [];
    for (const [change, terms] of CHANGES) {
      const before = await rotations(node, asked.keys());
      const { replay } = await plan(node, modelOf(terms));
      await apply(node, modelOf(terms));
      const after = await rotations(node, asked.keys());
      await apply(node, modelOf({}));
      const share = movedShare(asked, before, after);
      const foretold = { change, replay: replay!, share };
      onStep(
        `${change}: foretold ${percent(replay!.share)} ± ${percent(replay!.errorBar)}, came ${
          percent(share)
        }` +
          (isWithin(foretold) ? "" : "  MISSED"),
      );
      results.push(foretold);
    }
    return results;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** How a model differs from the one that was recorded under. */
interface Terms {
  /** Whether the rules for networks lead to other members. */
  readonly turnsRules?: boolean;
  /** Pools that lack their last two members: those with a number below this. */
  readonly halves?: number;
  /** Whether the most popular name goes to another pool. */
  readonly movesFirst?: boolean;
}

const CHANGES: readonly (readonly [string, Terms])[] = [
  ["rules of networks lead elsewhere", { turnsRules: true }],
  ["half of the pools lose two members", { halves: NAMES / 2 }],
  ["the most popular name gets another pool", { movesFirst: true }],
  ["all of it at once", { turnsRules: true, halves: NAMES / 2, movesFirst: true }],
];

/** NDJSON of a model: a third of the pools rotate, a third go by a hash of the client, all have rules for some networks. */
function modelOf({ turnsRules = false, halves = 0, movesFirst = false }: Terms): string {
  const pools = Array.from({ length: NAMES }, (_, i) => {
    const kept = i < halves ? MEMBERS - 2 : MEMBERS;
    return {
      pool: {
        name: `p${i}`,
        algorithm: i % 3 === 1 ? "hash" : "round-robin",
        maxAnswers: 1,
        members: Array.from({ length: kept }, (_, k) => ({ ipAddress: addressOf(i, k), port: 80 })),
        geoRules: [
          { cidr: "198.18.0.0/17", member: addressOf(i, turnsRules ? 1 : 0) },
          ...(i % 3 === 2 ? [{ cidr: "198.18.128.0/18", member: addressOf(i, turnsRules ? 0 : 1) }] : []),
        ],
      },
    };
  });
  const services = Array.from({ length: NAMES }, (_, i) => ({
    service: { domain: nameOf(i), pool: `p${movesFirst && i === 0 ? NAMES - 1 : i}` },
  }));
  return [...pools, ...services].map((line) => `${JSON.stringify(line)}\n`).join("");
}

function addressOf(pool: number, member: number): string {
  return `10.0.${pool}.${member + 1}`;
}

function nameOf(i: number): string {
  return `n${i}.example.org`;
}

/** The first 128 lie within the rules for 198.18.0.0/17, the next 64 within those for the next /18. */
function networkOf(i: number): string {
  return i < 256 ? `198.18.${i}.0/24` : `100.${64 + (i >> 8)}.${i & 255}.0/24`;
}

async function record(
  { dns }: ServeProcess,
  { seconds, networks, asked }: {
    readonly seconds: number;
    readonly networks: number;
    readonly asked: Map<string, number>;
  },
): Promise<void> {
  const rng = seededRng(7);
  const packets = new Map<string, Uint8Array>();
  const packetOf = (pair: string) => {
    let packet = packets.get(pair);
    if (!packet) packets.set(pair, packet = packetFor(pair));
    return packet;
  };
  using asker = new Asker(dns);
  const endMs = performance.now() + seconds * 1000;
  while (performance.now() < endMs) {
    const pairs = Array.from({ length: Asker.batch }, () => {
      // The first name gets about a quarter of all queries, the last one a thousandth.
      const name = Math.floor(NAMES * ((rng() / 2 ** 32) ** 3));
      return pairOf(name, rng() % networks);
    });
    await asker.ask(pairs.map(packetOf));
    for (const pair of pairs) asked.set(pair, (asked.get(pair) ?? 0) + 1);
  }
}

function pairOf(name: number, network: number): string {
  return `${nameOf(name)} ${networkOf(network)}`;
}

function packetFor(pair: string): Uint8Array {
  const [name, ecs] = pair.split(" ");
  return query(name!, "A", { ecs: ecs! });
}

/** How often each address comes for each pair, in a whole rotation of its own. */
async function rotations(
  { dns }: ServeProcess,
  pairs: Iterable<string>,
): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
  using asker = new Asker(dns);
  const all = new Map<string, Map<string, number>>();
  for (const pair of pairs) {
    const addresses = await asker.ask(Array<Uint8Array>(ROTATION).fill(packetFor(pair)));
    const counts = new Map<string, number>();
    for (const address of addresses) counts.set(address, (counts.get(address) ?? 0) + 1);
    all.set(pair, counts);
  }
  return all;
}

/** Share of the queries that get another answer: of each pair the part by which its addresses' shares differ. */
function movedShare(
  asked: ReadonlyMap<string, number>,
  before: ReadonlyMap<string, ReadonlyMap<string, number>>,
  after: ReadonlyMap<string, ReadonlyMap<string, number>>,
): number {
  let moved = 0;
  for (const [pair, count] of asked) {
    const [was, is] = [before.get(pair)!, after.get(pair)!];
    let same = 0;
    for (const [address, times] of was) same += Math.min(times, is.get(address) ?? 0);
    moved += count * (1 - same / ROTATION);
  }
  return moved / sum(asked.values());
}

async function plan({ api }: ServeProcess, model: string): Promise<{ readonly replay: Replay | null }> {
  return await (await send(`${api}/plan?replay=2h`, model)).json();
}

async function apply({ api }: ServeProcess, model: string): Promise<void> {
  await (await send(`${api}/apply?force=true&reason=proof`, model)).body?.cancel();
}

async function send(url: string, body: string): Promise<Response> {
  const response = await fetch(url, {
    method: "POST",
    body,
    headers: { "content-type": "application/x-ndjson" },
  });
  if (!response.ok) throw new Error(`POST ${url}: ${response.status} ${await response.text()}`);
  return response;
}

function sum(counts: Iterable<number>): number {
  let all = 0;
  for (const count of counts) all += count;
  return all;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(3)} %`;
}
