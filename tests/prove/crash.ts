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
 * Between the writes, when no lane has one on its way, a whole model of very many objects is applied, or that of the last
 * apply is gone back to: then either all lanes are as before, or all are as after. Such models are also planned, beside the
 * writes, which must leave no trace. The history keeps few generations, so that it is pruned all the time; what it keeps
 * must fold to what is stored.
 *
 * @module
 */
import { seededRng } from "../../src/clock.ts";
import { RECORDED_MAX } from "../../src/store/history.ts";
import { Store } from "../../src/store/store.ts";
import {
  applied,
  type LaneObjects,
  laneOf,
  MEMBER_PORT,
  nextWrite,
  NOTHING,
  type Write,
} from "./crash/lane.ts";
import { directDriver, restDriver } from "./crash/drivers.ts";

/** A process that writes. */
export interface Writer {
  /** Resolves to `true` when the write was acknowledged, to `false` when the process died before. */
  write(write: Write): Promise<boolean>;
  /** Applies a model in NDJSON; resolves to its generation, or to `null` when the process died before. */
  apply(lines: string): Promise<number | null>;
  /** Has the same planned, beside whatever else is done; resolves when that is over or the process died. */
  plan(lines: string): Promise<void>;
  /** Goes back to a generation; resolves like `write`. */
  rollback(to: number): Promise<boolean>;
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
  /** Applies and rollbacks that were sent. */
  readonly large: number;
  /** Plans that were asked for. */
  readonly plans: number;
  /** Of the store after it was opened again. */
  readonly generation: number;
  /** What is wrong; empty when nothing is. */
  readonly faults: readonly string[];
}

/** Runs the proof over REST on a real node; 20 kills, each within 1,000 writes, unless told otherwise. */
export async function prove([kills = "20", writes = "1000", by = "rest"]: string[]): Promise<boolean> {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  console.log(`seed ${seed}, ${kills} kills, each within ${writes} writes, ${LANES} lanes, by ${by}`);
  console.log("round   sent  acknowledged  on their way  of them kept  large  plans  generation  faults");
  let good = true;
  const options = {
    driver: by === "direct" ? directDriver : restDriver,
    kills: Number(kills),
    writes: Number(writes),
    lanes: LANES,
    seed,
  };
  let number = 0;
  for await (const { sent, acknowledged, kept, large, plans, generation, faults } of crash(options)) {
    const figures = [
      ++number,
      sent,
      acknowledged,
      sent - acknowledged,
      kept,
      large,
      plans,
      generation,
      faults.length,
    ];
    console.log(figures.map((figure, i) => String(figure).padStart(WIDTHS[i]!)).join(""));
    for (const fault of faults) console.log(`  ${fault}`);
    good &&= faults.length === 0;
  }
  return good;
}

/** Writes that are on their way at a time. */
const LANES = 8;
const WIDTHS = [5, 7, 14, 14, 14, 7, 7, 12, 8];
/** Generations that the history of a writer keeps: a rollback goes back by less. */
export const KEEP = 60;
/** Writes between two large changes. */
const PHASE_WRITES = 24;
/** Of so many phases one begins with a plan. */
const PLAN_EVERY = 3;

/** Kills a writer again and again, on one database in a temporary folder, and judges each time what is left. */
export async function* crash({ driver, kills, writes, lanes, seed }: CrashOptions): AsyncGenerator<Round> {
  const folder = await Deno.makeTempDir({ prefix: "pleiades-crash-" });
  try {
    const rng = seededRng(seed);
    const path = `${folder}/crash.db`;
    const states: Lane[] = Array.from({ length: lanes }, () => ({ objects: NOTHING, onTheWay: null }));
    for (let kill = 0; kill < kills; kill++) {
      const { isLarge, ...counts } = await writeUntilKilled(await driver(path), {
        states,
        killAt: 1 + rng() % writes,
        rng,
      });
      yield { ...counts, ...judge(path, states, isLarge) };
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A lane after its last acknowledged write, and after the one that was sent and not acknowledged. */
interface Lane {
  objects: LaneObjects;
  onTheWay: LaneObjects | null;
}

/** What was sent until the end. */
interface Sent {
  readonly sent: number;
  readonly acknowledged: number;
  readonly large: number;
  readonly plans: number;
  /** Whether it was a large change that was on its way. */
  readonly isLarge: boolean;
}

async function writeUntilKilled(
  writer: Writer,
  { states, killAt, rng }: { readonly states: Lane[]; readonly killAt: number; readonly rng: () => number },
): Promise<Sent> {
  let [sent, acknowledged, large, plans] = [0, 0, 0, 0];
  /** What is planned beside the writes; one at a time. */
  let planning: Promise<void> | null = null;
  let dead = false;
  let killed: Promise<void> | null = null;
  // One kill of two falls into a large change.
  const killAtPhase = rng() % 2 === 0 ? 1 + Math.floor(killAt / PHASE_WRITES) : Infinity;
  const kill = () => {
    dead = true;
    return writer.kill();
  };
  const killWithin = (us: number) => killed = after(rng() % us, kill);
  const expectDead = () => {
    if (!dead) throw new Error("The writer ended before it was killed");
  };
  const run = async (lane: Lane, number: number, phaseEnd: number) => {
    while (!dead && sent < phaseEnd) {
      const write = nextWrite(number, lane.objects, rng);
      lane.onTheWay = applied(lane.objects, write);
      const done = writer.write(write);
      if (++sent >= killAt && !killed && killAtPhase === Infinity) killWithin(KILL_DELAY_MAX_US);
      if (!await done) return expectDead();
      acknowledged++;
      lane.objects = lane.onTheWay;
      lane.onTheWay = null;
    }
  };
  let isLarge = false;
  let last: { readonly generation: number; readonly lanes: readonly LaneObjects[] } | null = null;
  try {
    for (let phase = 1; !dead; phase++) {
      const phaseEnd = sent + PHASE_WRITES;
      if (planning === null && phase % PLAN_EVERY === 1) {
        plans++;
        planning = writer.plan(modelOf(states.map(({ objects }) => reapplied(objects)), phase))
          .finally(() => planning = null);
      }
      await Promise.all(states.map((lane, number) => run(lane, number, phaseEnd)));
      if (dead) break;
      const back: typeof last = phase % 2 === 0 ? last : null;
      const lanes: readonly LaneObjects[] = back?.lanes ?? states.map(({ objects }) => reapplied(objects));
      for (const [i, lane] of states.entries()) lane.onTheWay = lanes[i]!;
      isLarge = true;
      const done: Promise<number | null> = back
        ? writer.rollback(back.generation).then((isDone) => isDone ? back.generation : null)
        : writer.apply(modelOf(lanes, phase));
      sent++;
      large++;
      if (phase >= killAtPhase && !killed) killWithin(LARGE_KILL_DELAY_MAX_US);
      const generation = await done;
      if (generation === null) {
        expectDead();
        break;
      }
      isLarge = false;
      acknowledged++;
      last = { generation, lanes };
      for (const [i, lane] of states.entries()) {
        lane.objects = lanes[i]!;
        lane.onTheWay = null;
      }
    }
  } finally {
    await (killed ?? kill());
    await planning;
  }
  return { sent, acknowledged, large, plans, isLarge };
}

/** What an apply makes of a lane: each object is another one, or is gone. */
function reapplied({ pools, services }: LaneObjects): LaneObjects {
  const [gone, ...names] = Object.keys(pools);
  return {
    pools: Object.fromEntries(
      names.map((name) => [name, { ...pools[name]!, maxAnswers: (pools[name]!.maxAnswers + 1) % 100 }]),
    ),
    services: Object.fromEntries(
      Object.entries(services).map(([domain, { pool, ttl }]) => [domain, {
        pool: pool === gone ? null : pool,
        ttl: (ttl + 1) % 300,
      }]),
    ),
  };
}

/** The lanes as a model, with so many more services that the history keeps them in parts. */
function modelOf(lanes: readonly LaneObjects[], version: number): string {
  const lines: unknown[] = [];
  for (const { pools, services } of lanes) {
    for (const [name, { maxAnswers, members }] of Object.entries(pools)) {
      const listed = Object.entries(members).map(([ipAddress, weight]) => ({
        ipAddress,
        port: MEMBER_PORT,
        weight,
      }));
      lines.push({ pool: { name, maxAnswers, members: listed } });
    }
    for (const [domain, { pool, ttl }] of Object.entries(services)) {
      lines.push({ service: { domain, ttl, ...pool !== null && { pool } } });
    }
  }
  for (let i = 0; i <= RECORDED_MAX; i++) {
    lines.push({ service: { domain: `zz${i}.filler.example.org`, ttl: version % 300 } });
  }
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** Somewhat longer than a call takes, so that kills fall before, into and behind its commit. */
const KILL_DELAY_MAX_US = 3_000;
/** The same of a large change. */
const LARGE_KILL_DELAY_MAX_US = 400_000;

/** Waits some microseconds, which no timer can. */
async function after<Result>(us: number, work: () => Promise<Result>): Promise<Result> {
  const end = performance.now() + us / 1_000;
  while (performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 0));
  return await work();
}

/** Opens what the killed process left, and takes it as what the lanes have from now on. */
function judge(
  path: string,
  states: Lane[],
  isLarge: boolean,
): Pick<Round, "kept" | "generation" | "faults"> {
  using store = Store.open(path);
  const faults = [...soundness(store)];
  let [kept, undone] = [0, 0];
  for (const [number, lane] of states.entries()) {
    const found = laneOf(store, number);
    const text = JSON.stringify(found);
    const without = JSON.stringify(lane.objects);
    const withIt = lane.onTheWay && JSON.stringify(lane.onTheWay);
    if (text === withIt) kept++;
    else if (text === without) undone++;
    else faults.push(`lane ${number} has ${text} instead of ${without}` + (withIt ? ` or ${withIt}` : ""));
    lane.objects = found;
    lane.onTheWay = null;
  }
  if (isLarge && kept > 0 && undone > 0) {
    faults.push(`a large change was kept of ${kept} lanes, and not of ${undone}`);
  }
  return { kept: isLarge ? Math.min(kept, 1) : kept, generation: store.generation(), faults };
}

/** What must hold of any database, whatever was written. */
function* soundness(store: Store): Generator<string> {
  const { integrity_check: integrity } = store.database.get<{ integrity_check: string }>(
    "PRAGMA integrity_check",
  )!;
  if (integrity !== "ok") yield `integrity_check: ${integrity}`;
  if (store.database.get("PRAGMA foreign_key_check")) yield "a reference leads nowhere";
  const { entries } = store.database.get<{ entries: number }>("SELECT count(*) AS entries FROM history")!;
  const [now, oldest] = [store.generation(), store.history.oldest()];
  if (now > 0 && entries !== now - oldest + 1) {
    yield `generations ${oldest} to ${now} with ${entries} history entries`;
  }
  if (entries < Math.min(now, KEEP)) yield `${entries} history entries of generation ${now}`;
  yield* disagreements(store, oldest);
}

/** Where the history, folded, isn't what is stored, or where an entry doesn't begin as the one before has ended. */
function* disagreements(store: Store, oldest: number): Generator<string> {
  const told = new Map<string, string | null>();
  for (let generation = Math.max(1, oldest); generation <= store.generation(); generation++) {
    for (const { kind, id, before, after } of store.history.changes(generation)) {
      const key = `${kind} ${id}`;
      const known = told.get(key);
      const first = before === null ? null : JSON.stringify(before);
      if (known !== undefined && known !== first) {
        yield `${key} was ${known}, and ${generation} says ${first}`;
      }
      told.set(key, after === null ? null : JSON.stringify(after));
    }
  }
  const stored = new Map(storedObjects(store));
  for (const [key, object] of told) {
    const found = stored.get(key) ?? null;
    if (found !== object) yield `the history tells ${key} is ${object}, the tables hold ${found}`;
  }
  for (const { key } of store.database.iterate<{ key: string }>(WRITTEN_SINCE, oldest, oldest, oldest)) {
    if (!told.has(key)) yield `the history doesn't tell of ${key}`;
  }
}

const WRITTEN_SINCE = "SELECT 'pool ' || id AS key FROM pools WHERE revision >= ? " +
  "UNION ALL SELECT 'member ' || id FROM members WHERE revision >= ? " +
  "UNION ALL SELECT 'service ' || id FROM services WHERE revision >= ?";

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
