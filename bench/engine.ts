/**
 * The engine alone: nanoseconds per answer, query bytes in, answer bytes out, by kind of answer; and whether it
 * allocates. Absolute figures move with the machine; what they are compared with is their neighbour in the table.
 *
 * `deno task bench engine [--rounds N]`. For a profile: `deno run -A --cpu-prof bench/main.ts engine`, where the
 * runtime has it.
 *
 * @module
 */
import { query } from "../tests/dns/packets.ts";
import { type Declared, World } from "../tests/dns/world.ts";
import { questions, tenThousandNames } from "./dns_names.ts";

/** Runs when no name is given. */
export const quick = true;

/** One kind of answer. */
interface Workload {
  readonly name: string;
  readonly world: Declared;
  readonly packets: readonly Uint8Array[];
}

const ANSWERS_A_ROUND = 300_000;
const HEAP_ANSWERS = 1_000_000;
const CLIENT = new Uint8Array([192, 0, 2, 53]);
const client = { stream: false, address: () => CLIENT };
const out = new Uint8Array(1232);

/** Prints the table. */
export function bench(args: string[]): Promise<void> {
  const flag = args.indexOf("--rounds");
  const rounds = flag < 0 ? 5 : Number(args[flag + 1]);
  console.log(`${"workload".padEnd(38)} ns/answer  heap growth over ${HEAP_ANSWERS} answers`);
  for (const workload of workloads()) {
    const ask = asker(workload);
    ask(ANSWERS_A_ROUND);
    const ns = Math.min(...Array.from({ length: rounds }, () => time(ask)));
    const before = Deno.memoryUsage().heapUsed;
    ask(HEAP_ANSWERS);
    const growth = Deno.memoryUsage().heapUsed - before;
    console.log(
      `${workload.name.padEnd(38)} ${ns.toFixed(0).padStart(9)}  ${(growth / 1024).toFixed(0)} KiB`,
    );
  }
  return Promise.resolve();
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
  const many = tenThousandNames();
  const names = questions(20_000);
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
