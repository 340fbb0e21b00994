/**
 * The way back from a large change: `deno task prove rollback [SERVICES]`.
 *
 * A model of many services is replaced by one in which every one of them is another, and which lacks members, services
 * and pools; then it is rolled back. The export must be the same text as before, each row the same with its id and its
 * place, and ten answers from each pool the same in the same order. While a thread does it, this one goes on.
 *
 * @module
 */
import { systemClock } from "../../src/clock.ts";
import { Changes } from "../../src/change/commit.ts";
import { exportModel } from "../../src/model/model_export.ts";
import type { Model } from "../../src/model/model.ts";
import { Store } from "../../src/store/store.ts";
import { query } from "../dns/packets.ts";
import { parseIp } from "../../src/ip.ts";
import { worldOf } from "../explain/world.ts";
import { Folder } from "../store/folder.ts";

/** What came of a run. */
export interface RollbackReport {
  /** What isn't as it was; empty when all is. */
  readonly faults: readonly string[];
  /** Objects that came back, changed back or went again. */
  readonly objects: number;
  readonly applyMs: number;
  readonly rollbackMs: number;
  /** Longest time in which this thread couldn't do anything else while it was rolled back. */
  readonly pauseMs: number;
}

/** Pauses that a thread of 2 cores which others use, too, may have. */
const PAUSE_MAX_MS = 250;

/** Runs the proof; 100,000 services unless told otherwise. */
export async function prove([services = "100000"]: string[]): Promise<boolean> {
  const { faults, objects, applyMs, rollbackMs, pauseMs } = await rollBack(Number(services));
  for (const fault of faults) console.log(fault);
  console.log(`${objects} objects`);
  console.log(`applied in ${applyMs.toFixed(0)} ms, rolled back in ${rollbackMs.toFixed(0)} ms`);
  console.log(`longest pause of the main thread ${pauseMs.toFixed(0)} ms (at most ${PAUSE_MAX_MS})`);
  return faults.length === 0 && pauseMs <= PAUSE_MAX_MS;
}

/** Applies, applies another one, rolls back, and compares. */
export async function rollBack(services: number): Promise<RollbackReport> {
  using folder = new Folder();
  using store = Store.open(folder.file("node.db"));
  const changes = new Changes({ store, clock: systemClock });
  try {
    await apply(changes, linesBefore(services));
    const before = stateOf(store);
    const applyMs = await timed(() => apply(changes, linesAfter(services)));
    let objects = 0;
    const pauses = watchPauses();
    const rollbackMs = await timed(async () => {
      const { signal } = new AbortController();
      const rolledBack = await changes.rollback({
        to: 1,
        origin: { by: "", reason: "" },
        dryRun: false,
        signal,
      });
      for (const { created, changed, deleted } of Object.values(rolledBack.objects)) {
        objects += created + changed + deleted;
      }
    });
    const pauseMs = pauses.stop();
    const after = stateOf(store);
    const faults = (Object.keys(before) as (keyof State)[]).filter((key) => before[key] !== after[key])
      .map((key) => `${key}: not as before`);
    if (store.generation() !== 3) faults.push(`generation ${store.generation()} instead of 3`);
    return { faults, objects, applyMs, rollbackMs, pauseMs };
  } finally {
    await changes.idle();
  }
}

/** Services of a pool. */
const SHARE = 100;
/** Answers that are asked of each pool. */
const TURNS = 10;

/** Members aren't in the order of their addresses. */
const MEMBERS = [4, 2, 1, 3];

function poolLine(i: number, members: readonly number[]): string {
  const pool = {
    name: `pool-${i}`,
    members: members.map((last) => ({ ipAddress: `192.0.${i % 256}.${last}`, port: 443 })),
    geoRules: [{ cidr: "198.51.100.0/24", member: `192.0.${i % 256}.${members[0]}` }],
  };
  return `${JSON.stringify({ pool })}\n`;
}

function* linesBefore(services: number): Generator<string> {
  for (let i = 0; i < services / SHARE; i++) yield poolLine(i, MEMBERS);
  for (let i = 0; i < services; i++) {
    yield `{"service":{"domain":"s${i}.example","pool":"pool-${Math.floor(i / SHARE)}","ttl":30}}\n`;
  }
}

/** Each pool without its first member and with a new one, some pools gone, every service another one or gone. */
function* linesAfter(services: number): Generator<string> {
  const pools = Math.ceil(services / SHARE * 0.9);
  for (let i = 0; i < pools; i++) yield poolLine(i, [...MEMBERS.slice(1), 9]);
  for (let i = 0; i < services; i++) {
    const domain = i % 10 === 0 ? `new-s${i}.example` : `s${i}.example`;
    yield `{"service":{"domain":"${domain}","pool":"pool-${i % pools}","ttl":60}}\n`;
  }
}

async function apply(changes: Changes, lines: Iterable<string>): Promise<void> {
  const applied = await changes.apply(
    ReadableStream.from(inBlocks(lines)).pipeThrough(new TextEncoderStream()),
    {
      file: "body",
      format: "ndjson",
      origin: { via: "test", by: "", reason: "" },
      dryRun: false,
      ifGeneration: null,
      signal: new AbortController().signal,
    },
  );
  if (applied.kind !== "applied" || !applied.changed) throw new Error(JSON.stringify(applied).slice(0, 500));
  await changes.idle();
}

function* inBlocks(lines: Iterable<string>): Generator<string> {
  let block = "";
  for (const line of lines) {
    block += line;
    if (block.length < 1 << 16) continue;
    yield block;
    block = "";
  }
  yield block;
}

interface State {
  readonly export: string;
  readonly rows: string;
  readonly answers: string;
}

function stateOf(store: Store): State {
  const model = store.model();
  const rows = ["pools", "members", "geo_rules", "services"].map((table) =>
    store.database.all<Record<string, unknown>>(`SELECT * FROM ${table} ORDER BY id`)
      .map(({ revision: _, ...row }) => JSON.stringify(row)).join("\n")
  );
  return { export: exportModel(model), rows: rows.join("\n"), answers: answersOf(model) };
}

function answersOf({ pools, services }: Model): string {
  const asked = [...new Map(services.map((service) => [service.poolId, service])).values()];
  const { engine } = worldOf({ pools, services: asked });
  const client = { stream: false, address: () => parseIp("192.0.2.53")! };
  const answers: string[] = [];
  for (const { domain } of asked) {
    const packet = query(domain, "A");
    for (let turn = 0; turn < TURNS; turn++) {
      const out = new Uint8Array(512);
      const size = engine.answer(packet, packet.length, client, out, out.length);
      answers.push(out.slice(0, size).toHex());
    }
  }
  return answers.join("\n");
}

async function timed(work: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

/** The longest time between two turns. */
function watchPauses(): { stop(): number } {
  let longest = 0;
  let last = performance.now();
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 5);
  return {
    stop: () => {
      look();
      clearInterval(timer);
      return longest;
    },
  };
}
