/**
 * The engine alone: nanoseconds per answer, query bytes in, answer bytes out, by kind of answer; whether it allocates;
 * and where the time goes. Absolute figures move with the machine; what they are compared with is their neighbour in
 * the table.
 *
 * The account by stage is of partial pipelines, made of the engine's own parts: reading the query; that and finding the
 * name; both and choosing members; the whole. A stage's figure is the difference to the one before.
 *
 * `deno task bench engine --worst` looks at single queries instead, those that take the longest (`engine_worst.ts`).
 *
 * `deno task bench engine [--rounds N] [--heap ANSWERS]`: the heap is watched over ten million answers of each kind
 * unless told otherwise, 0 = not at all. A heap that moves is an error. For a profile:
 * `deno run -A --cpu-prof bench/main.ts engine`, where the runtime has it.
 *
 * @module
 */
import { Query } from "../src/dns/query.ts";
import { EMPTY_GEO_DATA } from "../src/geo/geo_data.ts";
import { Clients, OpenGeoData } from "../src/dns/clients.ts";
import { Selection } from "../src/dns/selection.ts";
import { hashSuffix } from "../src/snapshot/name_hash.ts";
import { cursorOf, listOf, maxAnswersOf, poolOf, serviceOf, SnapshotView } from "../src/snapshot/view.ts";
import { query } from "../tests/dns/packets.ts";
import { type Declared, World } from "../tests/dns/world.ts";
import { benchWorst } from "./engine/worst.ts";
import { geoDataOf, SITES } from "./dns/geo_database.ts";
import { declared, geoDatabase, questions, siteAddresses, WORKLOADS, ZONE } from "./dns/workloads.ts";

/** Runs when no name is given. */
export const quick = true;

/** One kind of answer. */
interface Workload {
  readonly name: string;
  readonly world: Declared;
  readonly packets: readonly Uint8Array[];
}

const ANSWERS_A_ROUND = 300_000;
/** Enough for what is kept of an answer, a tenth of a byte of it, to show. */
const HEAP_ANSWERS = 10_000_000;
/** What the runtime itself may need meanwhile, bytes. Garbage gathers to many times as much before it is collected. */
const HEAP_CHANGE_MAX = 1 << 20;
const CLIENT = new Uint8Array([192, 0, 2, 53]);
const client = { stream: false, address: () => CLIENT };
const out = new Uint8Array(1232);

/** Prints the table. */
export function bench(args: string[]): Promise<void> {
  if (args.includes("--worst")) return benchWorst();
  const rounds = numberAfter(args, "--rounds") ?? 5;
  const heapAnswers = numberAfter(args, "--heap") ?? HEAP_ANSWERS;
  const moving: string[] = [];
  console.log(`${"workload".padEnd(38)} ns/answer  heap change over ${heapAnswers} answers`);
  for (const workload of workloads()) {
    const ask = asker(workload);
    ask(ANSWERS_A_ROUND);
    const ns = Math.min(...Array.from({ length: rounds }, () => time(ask)));
    const change = heapChange(ask, heapAnswers);
    // Less than before is just as telling: the collector found something to do.
    if (Math.abs(change) > HEAP_CHANGE_MAX) moving.push(workload.name);
    console.log(
      `${workload.name.padEnd(38)} ${ns.toFixed(0).padStart(9)}  ${(change / 1024).toFixed(0)} KiB`,
    );
  }
  printStages(rounds);
  return moving.length === 0
    ? Promise.resolve()
    : Promise.reject(new Error(`The heap moves with answers of: ${moving.join(", ")}`));
}

/** Bytes. */
function heapChange(ask: (count: number) => void, answers: number): number {
  const before = Deno.memoryUsage().heapUsed;
  ask(answers);
  return Deno.memoryUsage().heapUsed - before;
}

function numberAfter(args: readonly string[], flag: string): number | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : Number(args[at + 1]);
}

function printStages(rounds: number): void {
  const stages = stagesOf(workloads()[1]!);
  for (const { ask } of stages) ask(ANSWERS_A_ROUND);
  const best = stages.map(() => Infinity);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { ask }] of stages.entries()) best[i] = Math.min(best[i]!, time(ask));
  }
  console.log(`\nof ${workloads()[1]!.name}:`);
  for (const [i, { name }] of stages.entries()) {
    const own = best[i]! - (best[i - 1] ?? 0);
    console.log(`${name.padEnd(38)} ${own.toFixed(0).padStart(9)}`);
  }
}

/** A pipeline up to and with the stage it is called by. */
interface Stage {
  readonly name: string;
  readonly ask: (count: number) => void;
}

function stagesOf({ world: declaration, packets }: Workload): Stage[] {
  const world = new World(declaration);
  const asked = new Query();
  const view = new SnapshotView(world.snapshot);
  asked.seed = view.seed;
  const selection = new Selection(
    view,
    world.board,
    new Clients(view, world.board, new OpenGeoData(EMPTY_GEO_DATA)),
  );
  let sink = 0;
  const stage = (name: string, step: (packet: Uint8Array) => number): Stage => ({
    name,
    ask: (count) => {
      for (let i = 0; i < count; i++) sink = sink + step(packets[i % packets.length]!) | 0;
      // What comes of it is looked at, so that no step may be left out as useless.
      if (sink === 0) throw new Error(`Cannot measure "${name}": it came to nothing`);
    },
  });
  const parse = (packet: Uint8Array) => asked.parse(packet, packet.length) + asked.nameLength;
  const lookUp = (packet: Uint8Array) => {
    parse(packet);
    return findEntry(view, asked);
  };
  const choose = (packet: Uint8Array) => {
    parse(packet);
    return chooseMembers(view, selection, findEntry(view, asked));
  };
  return [
    stage("parse: question, name in lower case, hash", parse),
    stage("look up: name, else encloser and wildcard", lookUp),
    stage("choose: health, rotation", choose),
    stage(
      "write: question, records, header",
      (packet) => world.engine.answer(packet, packet.length, client, out, out.length),
    ),
  ];
}

/** What the engine does to find what answers. */
function findEntry(view: SnapshotView, asked: Query): number {
  for (let label = 0; label < asked.labels; label++) {
    const entry = view.find(asked.hashes[label]!, asked.name, asked.starts[label]!, asked.nameLength);
    if (entry === 0) continue;
    if (label === 0) return entry;
    const hash = hashSuffix(asked.hashes[label]!, view.asterisk);
    return view.findWildcard(hash, asked.name, asked.starts[label]!, asked.nameLength);
  }
  return 0;
}

/** What the engine does to choose; none where there is no service. */
function chooseMembers({ records }: SnapshotView, selection: Selection, entry: number): number {
  const service = entry === 0 ? 0 : serviceOf(records, entry);
  if (service === 0) return 0;
  const pool = poolOf(records, service);
  const list = listOf(records, pool, 4);
  selection.limits.max = maxAnswersOf(records, pool);
  if (selection.eligible(list) === 0) return 0;
  return selection.choose(list, cursorOf(records, service, 4), "up", client.address);
}

function time(ask: (count: number) => void): number {
  const start = performance.now();
  ask(ANSWERS_A_ROUND);
  return (performance.now() - start) * 1e6 / ANSWERS_A_ROUND;
}

/** Asks the workload's questions in turn; every one must be answered. */
function asker({ name, world, packets }: Workload): (count: number) => void {
  const { engine } = new World(world);
  return (count) => {
    for (let i = 0; i < count; i++) {
      const packet = packets[i % packets.length]!;
      const size = engine.answer(packet, packet.length, client, out, out.length);
      if (size === 0) throw new Error(`Cannot measure "${name}": question ${i} got no answer`);
    }
  };
}

function workloads(): Workload[] {
  const b = WORKLOADS.find(({ id }) => id === "b")!;
  const c = WORKLOADS.find(({ id }) => id === "c")!;
  const many = declared(b);
  const names = questions(b).map(({ name }) => name);
  const www: Declared = {
    pools: [{ name: "web", members: ["192.0.2.10", "192.0.2.11"] }],
    services: { "www.example.com": "web" },
    zones: { "example.com": CHAIN },
  };
  return [
    { name: "one name", world: www, packets: [query("www.example.com", "A")] },
    { name: "10,000 names, 10 % NXDOMAIN", world: many, packets: names.map((each) => query(each, "A")) },
    {
      name: "10,000 names, EDNS",
      world: many,
      packets: names.map((each) => query(each, "A", { udpSize: 1232 })),
    },
    {
      name: "10,000 names, EDNS client subnet",
      world: many,
      packets: names.map((each, i) => query(each, "A", { ecs: `198.51.${i & 255}.0/24` })),
    },
    {
      name: "NXDOMAIN only",
      world: many,
      packets: names.map((each) => query(`absent.${each}`, "A")),
    },
    { name: "CNAME chain of three to a service", world: www, packets: [query("c1.example.com", "A")] },
    {
      name: "10,000 geo names, EDNS client subnet",
      world: {
        pools: Array.from({ length: 10_000 }, (_, i) => ({
          name: `p${i}`,
          algorithm: "geoip",
          members: SITES.map(({ latitude, longitude }, site) => ({
            ipAddress: siteAddresses(i)[site]!,
            latitude,
            longitude,
          })),
        })),
        services: Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`n${i}.${ZONE}`, `p${i}`])),
        geoData: geoDataOf(geoDatabase().bytes),
      },
      packets: questions(c).slice(0, 200_000).map(({ name, subnet }) => query(name, "A", { ecs: subnet! })),
    },
    {
      name: "weighted pool of 20, 8 answers",
      world: {
        pools: [{
          name: "weighted",
          algorithm: "weighted-round-robin",
          maxAnswers: 8,
          members: Array.from({ length: 20 }, (_, i) => ({ ipAddress: `192.0.2.${i}`, weight: 1 + i })),
        }],
        services: { "www.example.com": "weighted" },
      },
      packets: [query("www.example.com", "A")],
    },
  ];
}

const CHAIN = `
$TTL 300
@  SOA ns1 hostmaster 7 3600 600 604800 60
@  NS ns1
c1 CNAME c2
c2 CNAME c3
c3 CNAME www
`;
