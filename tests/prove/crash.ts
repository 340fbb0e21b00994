/**
 * Kills a writer in the midst of its work: `deno task prove crash [KILLS [WRITES [direct]]]`.
 *
 * A process gets random writes, several at a time, and is ended by `kill -9` at a random one. Then its database must
 * be sound, hold every write that was acknowledged, and of the others only whole ones. The same database goes on
 * through all rounds.
 *
 * What makes this easy to judge: the writes go in lanes. A lane owns the objects whose names begin with its number,
 * and sends a write when the one before was acknowledged. So whatever the lanes do together, each lane's objects must
 * be what they are after its last acknowledged write, or after the one that was on its way; nothing else is right.
 *
 * @module
 */
import { seededRng } from "../../src/clock.ts";
import { Store } from "../../src/store/store.ts";
import { applied, type LaneObjects, laneOf, nextWrite, NOTHING, type Write } from "./crash/lane.ts";
import { directDriver, restDriver } from "./crash/drivers.ts";

/** A process that writes. */
export interface Writer {
  /** Resolves to `true` when the write was acknowledged, to `false` when the process died before. */
  write(write: Write): Promise<boolean>;
  /** `kill -9`; resolves when the process is gone. */
  kill(): Promise<void>;
}

/** Starts a writer on a database file. */
export type Driver = (path: string) => Promise<Writer>;

/** What a run is to do. */
export interface CrashOptions {
  readonly driver: Driver;
  readonly kills: number;
  /** Writes of a round, during one of which the kill falls. */
  readonly writes: number;
  readonly lanes: number;
  readonly seed: number;
}

/** What came of one round. */
export interface Round {
  readonly sent: number;
  readonly acknowledged: number;
  /** Writes that were on their way and are found whole. */
  readonly kept: number;
  /** Of the store after it was opened again. */
  readonly generation: number;
  /** What is wrong; empty when nothing is. */
  readonly faults: readonly string[];
}

/** Runs the proof over REST on a real node; 20 kills, each within 1,000 writes, unless told otherwise. */
export async function prove([kills = "20", writes = "1000", by = "rest"]: string[]): Promise<boolean> {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  console.log(`seed ${seed}, ${kills} kills, each within ${writes} writes, ${LANES} lanes, by ${by}`);
  console.log("round   sent  acknowledged  on their way  of them kept  generation  faults");
  let good = true;
  const options = {
    driver: by === "direct" ? directDriver : restDriver,
    kills: Number(kills),
    writes: Number(writes),
    lanes: LANES,
    seed,
  };
  let number = 0;
  for await (const { sent, acknowledged, kept, generation, faults } of crash(options)) {
    const figures = [++number, sent, acknowledged, sent - acknowledged, kept, generation, faults.length];
    console.log(figures.map((figure, i) => String(figure).padStart(WIDTHS[i]!)).join(""));
    for (const fault of faults) console.log(`  ${fault}`);
    good &&= faults.length === 0;
  }
  return good;
}

/** Writes that are on their way at a time. */
const LANES = 8;
const WIDTHS = [5, 7, 14, 14, 14, 12, 8];

/** Kills a writer again and again, on one database in a temporary folder, and judges each time what is left. */
export async function* crash({ driver, kills, writes, lanes, seed }: CrashOptions): AsyncGenerator<Round> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-crash-" });
  try {
    const rng = seededRng(seed);
    const path = `${folder}/crash.db`;
    const states: Lane[] = Array.from({ length: lanes }, () => ({ objects: NOTHING, onTheWay: null }));
    for (let kill = 0; kill < kills; kill++) {
      const counts = await writeUntilKilled(await driver(path), { states, killAt: 1 + rng() % writes, rng });
      yield { ...counts, ...judge(path, states) };
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A lane after its last acknowledged write, and the write that was sent and not acknowledged. */
interface Lane {
  objects: LaneObjects;
  onTheWay: Write | null;
}

async function writeUntilKilled(
  writer: Writer,
  { states, killAt, rng }: { readonly states: Lane[]; readonly killAt: number; readonly rng: () => number },
): Promise<{ sent: number; acknowledged: number }> {
  let sent = 0;
  let acknowledged = 0;
  let dead = false;
  let killed: Promise<void> | null = null;
  const kill = () => {
    dead = true;
    return writer.kill();
  };
  const run = async (lane: Lane, number: number) => {
    while (!dead) {
      const write = nextWrite(number, lane.objects, rng);
      lane.onTheWay = write;
      const done = writer.write(write);
      if (++sent === killAt) killed = after(rng() % KILL_DELAY_MAX_US, kill);
      if (!await done) {
        if (!dead) throw new Error("The writer ended before it was killed");
        return;
      }
      acknowledged++;
      lane.objects = applied(lane.objects, write);
      lane.onTheWay = null;
    }
  };
  try {
    await Promise.all(states.map(run));
  } finally {
    await (killed ?? kill());
  }
  return { sent, acknowledged };
}

/** Somewhat longer than a call takes, so that kills fall before, into and behind its commit. */
const KILL_DELAY_MAX_US = 3_000;

/** Waits some microseconds, which no timer can. */
async function after<Result>(us: number, work: () => Promise<Result>): Promise<Result> {
  const end = performance.now() + us / 1_000;
  while (performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 0));
  return await work();
}

/** Opens what the killed process left, and takes it as what the lanes have from now on. */
function judge(path: string, states: Lane[]): Pick<Round, "kept" | "generation" | "faults"> {
  using store = Store.open(path);
  const faults = [...soundness(store)];
  let kept = 0;
  for (const [number, lane] of states.entries()) {
    const found = laneOf(store, number);
    const without = JSON.stringify(lane.objects);
    const withIt = lane.onTheWay && JSON.stringify(applied(lane.objects, lane.onTheWay));
    if (JSON.stringify(found) === withIt) kept++;
    else if (JSON.stringify(found) !== without) {
      faults.push(
        `lane ${number} has ${JSON.stringify(found)} instead of ${without}` +
          (withIt ? ` or ${withIt}` : ""),
      );
    }
    lane.objects = found;
    lane.onTheWay = null;
  }
  return { kept, generation: store.generation(), faults };
}

/** What must hold of any database, whatever was written. */
function* soundness(store: Store): Generator<string> {
  const { integrity_check: integrity } = store.database.get<{ integrity_check: string }>(
    "PRAGMA integrity_check",
  )!;
  if (integrity !== "ok") yield `integrity_check: ${integrity}`;
  if (store.database.get("PRAGMA foreign_key_check")) yield "a reference leads nowhere";
  const { entries } = store.database.get<{ entries: number }>("SELECT count(*) AS entries FROM history")!;
  if (entries !== store.generation()) {
    yield `generation ${store.generation()} with ${entries} history entries`;
  }
  const stored = JSON.stringify(storedObjects(store));
  const told = JSON.stringify(toldObjects(store));
  if (stored !== told) yield `the history tells ${told}, the tables hold ${stored}`;
}

/** Every object by the history alone: after its last change. */
function toldObjects(store: Store): [string, string][] {
  const objects = new Map<string, string>();
  const rows = store.database.iterate<{ kind: string; id: string; after: string | null }>(
    "SELECT kind, id, after FROM history_changes ORDER BY generation",
  );
  for (const { kind, id, after } of rows) {
    if (after === null) objects.delete(`${kind} ${id}`);
    else objects.set(`${kind} ${id}`, after);
  }
  return [...objects].sort();
}

function storedObjects(store: Store): [string, string][] {
  const objects: [string, string][] = [];
  for (const { members, healthCheck: _, geoRules: __, ...pool } of store.pools.each()) {
    objects.push([`pool ${pool.id}`, JSON.stringify(pool)]);
    for (const { id, ...member } of members) {
      const { seq } = store.members.get(id)!;
      objects.push([`member ${id}`, JSON.stringify({ id, poolId: pool.id, ...member, seq })]);
    }
  }
  for (const service of store.services.each()) {
    objects.push([`service ${service.id}`, JSON.stringify(service)]);
  }
  return objects.sort();
}
