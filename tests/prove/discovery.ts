/**
 * Discovery over long: `deno task prove discovery [consul [QUERIES_PER_SECOND] | many [SECONDS [PER_SECOND [REGISTRY]]] |
 * one-product [SECONDS [PER_SECOND [REGISTRY]]] | one-address [SECONDS [PER_SECOND [REGISTRY]]] | cpu [QUERIES] |
 * without [QUERIES [STARTS [SLICES]]] | subscribers [COUNT [streams | polls]] | oracle [ROUNDS] | kills [COUNT] |
 * fuzz [ROUNDS]]`; without a word all of them. A registry is `files` or `consul`; both when left out.
 *
 * - `consul`: two datacenters of three real servers each, joined over WAN, on addresses of loopback, both read through those
 *   of one. Meanwhile each zone is asked, and an instance comes and goes. A leader is killed, a follower is killed, a server is
 *   stopped for a while, and the other datacenter ends altogether and comes back. Each answer must be one of the two sets
 *   that the catalog holds by turns, the other zone must not notice, and what was lost must be read again within
 *   five seconds of its return.
 * - `many`: 10,000 instances at 500 addresses, in files or in a Consul, read by a node in a process of its own that has 100,000
 *   services, and registrations at a steady rate: from the write's answer to the answer over UDP, how long the node's main
 *   thread is busy without a break, and how much memory it has as time goes by. Of a turn the time is taken off for which the
 *   thread could have run while others did, or for which the machine itself stood still (`machine/standstills.ts`).
 * - `one-product`, `one-address`: the same with all instances in one product, and at one address.
 * - `cpu`: the processor time of the thread that answers, for SRV of discovery and for A of a pool, in pairs.
 * - `without`: the processor time of a node for answers of a pool, where there is discovery and where there isn't, in slices by turns.
 * - `subscribers`: so many streams of a look-up, and then as many that wait for it, beside some that never read: how long after
 *   a registration the last of them is told. Those who are told run on a thread of their own.
 * - `oracle`: random catalogs, answered over DNS and in look-ups as a plain reading of the rules says.
 * - `kills`: processes that are killed while they register: the file is always a whole one, and nothing stays beside it.
 * - `fuzz`: addresses, files, answers of Consul, and queries with bytes changed.
 *
 * @module
 */
import { ConsulServer, freeConsulPorts, ROOT_TOKEN } from "../consul/server.ts";
import { answerMutated, readMutated } from "../discovery/mutations.ts";
import { agreeWithOracle } from "../discovery/oracle.ts";
import { instance, SETTINGS, World, ZONE } from "../discovery/world.ts";
import { seededRng } from "../../src/clock.ts";
import { DISCOVERY } from "../../src/discovery/port.ts";
import { writeProviderFile } from "../../src/discovery/registration.ts";
import type { SocketAddress } from "../../src/ip.ts";
import type { Core } from "../../src/node/part.ts";
import { PARTS } from "../../src/node/parts.ts";
import { encodeQuery } from "../../src/wire/message.ts";
import { create, startTestNode, TEST_SETTINGS } from "../test_node.ts";
import { askInBatches } from "./discovery/batches.ts";
import type { ClientsOrder, ClientsReport } from "./discovery/clients.ts";
import { LONG_MS, type Turns } from "./discovery/turns.ts";
import {
  LATE_MS,
  type LateRegistration,
  registrations,
  type RegistrationsReport,
  SHAPES,
} from "./discovery/registrations.ts";
import { nowMs } from "./stall/process.ts";
import { withAndWithout } from "./discovery/without.ts";
import { ownMs, stoodStillMs, type Stretch } from "./machine/processor.ts";
import { Standstills } from "./machine/standstills.ts";

const ADDRESS = { gg: "http.web.prod.shop.gg", fr: "http.web.prod.shop.fr" } as const;
type Zone = keyof typeof ADDRESS;
const ZONES: readonly Zone[] = ["gg", "fr"];
const INSTANCES = 5;
/** Milliseconds within which a change is in the answers. */
const NEWS_MS = 1_000;
const BACK_MS = 5_000;

/** Runs one of them, or all. */
export async function prove([kind, ...args]: string[]): Promise<boolean> {
  const kinds: Readonly<Record<string, (args: string[]) => Promise<boolean>>> = {
    consul,
    "many": registering("many"),
    "one-product": registering("one-product"),
    "one-address": registering("one-address"),
    cpu,
    without,
    subscribers,
    oracle,
    kills,
    fuzz,
  };
  const wanted = kind === undefined ? Object.values(kinds) : [kinds[kind]];
  let isGood = true;
  for (const run of wanted) {
    if (run === undefined) throw new Error(`There are ${Object.keys(kinds).join(", ")}`);
    isGood = await run(args) && isGood;
  }
  return isGood;
}

function fuzz([rounds = "200000"]: string[]): Promise<boolean> {
  readMutated(+rounds, Date.now());
  answerMutated(+rounds, Date.now());
  console.log(`${rounds} texts were read, or refused in words, and ${rounds} queries answered`);
  return Promise.resolve(true);
}

/** Times that each of the two is measured. */
const PAIRS = 7;
const CPU_RATIO_MAX = 1.2;

async function cpu([queries = "20000"]: string[]): Promise<boolean> {
  const directory = await Deno.makeTempDir();
  const instances = Array.from(
    { length: 4 },
    (_, i) => instance(`i${i}`, { node: `h${i}`, ipAddress: `192.0.2.${i + 1}` }),
  );
  await Deno.writeTextFile(`${directory}/p.json`, JSON.stringify({ instances }));
  let core: Core | null = null;
  await using node = await startTestNode({ discovery: { ...SETTINGS, directory } }, {
    parts: [(each: Core) => (core = each, null), ...PARTS],
  });
  const poolId = await create(node, "/pools", { name: "web", maxAnswers: 0 });
  for (let i = 0; i < 4; i++) {
    await create(node, `/pools/${poolId}/members`, { ipAddress: `192.0.2.${i + 1}`, port: 80 });
  }
  await create(node, "/services", { domain: "www.example.org", poolId });
  const ours = core!.ports.find(DISCOVERY)!.dns!;
  const ofDiscovery = (type: number) =>
    load(ours, encodeQuery({ id: 1, name: `${ADDRESS.gg}.${ZONE}`, type }), +queries);
  const ofPool = () =>
    load(node.node.dns[0]!, encodeQuery({ id: 1, name: "www.example.org", type: 1 }), +queries);
  await ofPool();
  let isCheap = true;
  for (const [type, name] of [[1, "A"], [33, "SRV, with the addresses of its targets"]] as const) {
    await ofDiscovery(type);
    const ratios: number[] = [];
    for (let pair = 0; pair < PAIRS; pair++) ratios.push(await ofDiscovery(type) / await ofPool());
    ratios.sort((a, b) => a - b);
    const median = quantile(ratios, 0.5);
    isCheap &&= median <= CPU_RATIO_MAX;
    const all = ratios.map((each) => each.toFixed(2)).join(" ");
    console.log(
      `an answer of discovery (${name}) takes ${median.toFixed(2)} × an A answer of a pool (${all})`,
    );
  }
  await Deno.remove(directory, { recursive: true });
  return isCheap;
}

/** Asks so often, a batch at a time. @returns seconds of processor time that the whole process took for it */
async function load(server: SocketAddress, query: Uint8Array, queries: number): Promise<number> {
  const before = cpuSeconds();
  await askInBatches(server, query, queries);
  return cpuSeconds() - before;
}

/** How much more an answer of a pool may take where there is discovery. */
const WITH_RATIO_MAX = 1.02;

async function without([queries = "2000", starts = "12", slices = "40"]: string[]): Promise<boolean> {
  const { discovery, chance, idle } = await withAndWithout({
    ...{ queries: +queries, starts: +starts, slices: +slices, services: 1_000, instances: REGISTERED },
  });
  const shown = (ratios: readonly number[]) => {
    const { mean, error } = meanOf(ratios);
    return `${mean.toFixed(3)} × (± ${error.toFixed(3)}; ${ratios.map((each) => each.toFixed(3)).join(" ")})`;
  };
  const milliseconds = (seconds: number) => `${(seconds * 1000).toFixed(1)} ms`;
  console.log(
    [
      `where ${REGISTERED} instances are registered, answers of a pool take`,
      `  all threads ${shown(discovery.all)}`,
      `  the thread that answers ${shown(discovery.answering)}`,
      `the processor time of a node without discovery; another node without it`,
      `  all threads ${shown(chance.all)}`,
      `  the thread that answers ${shown(chance.answering)}`,
      `while nothing is asked ${milliseconds(idle.discovery)} a second, without discovery ${
        milliseconds(idle.plain)
      }`,
    ].join("\n"),
  );
  return meanOf(discovery.all).mean <= WITH_RATIO_MAX;
}

/** The mean, and by how much chance has moved it (its standard error). */
function meanOf(values: readonly number[]): { readonly mean: number; readonly error: number } {
  const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
  const squares = values.reduce((sum, each) => sum + (each - mean) ** 2, 0);
  return { mean, error: Math.sqrt(squares / Math.max(1, values.length - 1) / values.length) };
}

/** Of the threads that aren't this one. */
function cpuSeconds(): number {
  let sum = 0;
  for (const { name } of Deno.readDirSync("/proc/self/task")) {
    const comm = Deno.readTextFileSync(`/proc/self/task/${name}/comm`);
    if (!comm.startsWith("worker-")) continue;
    sum += Number(Deno.readTextFileSync(`/proc/self/task/${name}/schedstat`).split(" ")[0]) / 1e9;
  }
  return sum;
}

/** Processor time of the main thread, milliseconds: on a machine with other work it says more than the clock. */
function mainThreadMs(): number {
  return Number(Deno.readTextFileSync("/proc/self/schedstat").split(" ")[0]) / 1e6;
}

const TOLD_MS = 1_000;
/** Clients that never read what they are told. */
const STALLED = 50;

async function subscribers([count = "5000", ...kinds]: string[]): Promise<boolean> {
  let isGood = true;
  for (const kind of kinds.length > 0 ? kinds : ["streams", "polls"]) {
    const tookMs = await tell({ streams: 0, polls: 0, [kind]: +count, stalled: STALLED });
    console.log(
      `${count} ${kind} beside ${STALLED} that stall were told within ${Math.round(tookMs)} ms of the call`,
    );
    isGood &&= tookMs <= TOLD_MS;
  }
  return isGood;
}

/** @returns milliseconds from a registration to when all have it */
async function tell(clients: Pick<ClientsOrder, "streams" | "polls" | "stalled">): Promise<number> {
  const directory = await Deno.makeTempDir();
  const connections = 2 * (clients.streams + clients.polls + clients.stalled);
  await using node = await startTestNode({
    discovery: { ...SETTINGS, directory },
    api: { ...TEST_SETTINGS.api, maxConnections: connections, maxConnectionsPerClient: connections },
  });
  const register = (instances: readonly unknown[]) =>
    fetch(`${node.api}/providers/p`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ instances }),
    }).then((response) => response.text());
  await register([instance("a", { ipAddress: "192.0.2.1" })]);
  const { hostname, port } = new URL(node.api);
  // Not on the thread that tells them.
  const worker = new Worker(new URL("./discovery/clients.ts", import.meta.url), { type: "module" });
  const reported = { ready: Promise.withResolvers<number>(), told: Promise.withResolvers<number>() };
  worker.onmessage = ({ data: report }: MessageEvent<ClientsReport>) => {
    if (report.kind === "failed") throw new Error(report.reason);
    reported[report.kind].resolve(report.kind === "told" ? report.atMs : 0);
  };
  try {
    worker.postMessage(
      {
        ...{ hostname, port: Number(port), path: `/api/v1/lookup/${ADDRESS.gg}`, ...clients },
        ...{ first: "192.0.2.1", last: "192.0.2.77" },
      } satisfies ClientsOrder,
    );
    await reported.ready.promise;
    await pause(1_000);
    using busy = new Busy();
    const cpuBefore = mainThreadMs();
    const start = performance.timeOrigin + performance.now();
    await register([instance("a", { ipAddress: "192.0.2.77" })]);
    const callMs = Math.round(performance.timeOrigin + performance.now() - start);
    const toldMs = await reported.told.promise - start;
    console.log(
      `the call took ${callMs} ms; the main thread was busy for ${busy.take()} ms at a time at most, and took ${
        Math.round(mainThreadMs() - cpuBefore)
      } ms of processor time`,
    );
    return toldMs;
  } finally {
    worker.terminate();
    await Deno.remove(directory, { recursive: true });
  }
}

const REGISTERED = 10_000;
const SERVICES = 100_000;
const ANSWERED_MS = { p99: 100, worst: 300 } as const;
/** Longest time that the main thread may be busy without a break. */
const PAUSE_MS = 20;
/** How much more memory there may be at the end than after a fifth of the time; of a shorter run it says nothing. */
const GROWTH_MAX = 1.1;
const GROWTH_SECONDS_MIN = 300;

function registering(name: keyof typeof SHAPES): (args: string[]) => Promise<boolean> {
  return async ([seconds = "30", perSecond = "100", ...kinds]) => {
    await using stack = new AsyncDisposableStack();
    const standstills = await watchMachine(stack);
    let isGood = true;
    for (const registry of kinds.length > 0 ? kinds : ["files", "consul"]) {
      if (registry !== "files" && registry !== "consul") throw new Error("There are files and consul");
      const report = await registrations({
        ...{ shape: SHAPES[name], registry, instances: REGISTERED, services: SERVICES },
        ...{ seconds: +seconds, perSecond: +perSecond },
      });
      isGood = judge(`${name}, ${registry}`, report, +seconds, standstills) && isGood;
    }
    if (!await standstills.isSeeing) console.log("Whether the machine stood still isn't seen: it takes root");
    return isGood;
  };
}

/** Until the stack is disposed of. */
async function watchMachine(stack: AsyncDisposableStack): Promise<Standstills> {
  const folder = await Deno.makeTempDir();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  return stack.use(await Standstills.start(folder));
}

function judge(
  title: string,
  report: RegistrationsReport,
  seconds: number,
  standstills: Standstills,
): boolean {
  const { tookMs, lost, unwritten, readMs, beganMs, turns, memory, stream, service, late, cpuSeconds } =
    report;
  const worstOwnMs = Math.max(
    Math.min(LATE_MS, tookMs.at(-1) ?? 0),
    ...report.slow.map(({ fromMs, tookMs }) => tookMs - standstills.ofAll(fromMs, fromMs + tookMs)),
  );
  const [median, p99, worst] = [0.5, 0.99, 1].map((share) => quantile(tookMs, share));
  // Where the machine stood still for longer than may be, what the node did meanwhile can't be told.
  const own = (turn: Stretch) => stoodStillMs(turn, standstills) > PAUSE_MS ? null : ownMs(turn, standstills);
  const longestOf = ({ long, longestMs }: Turns) =>
    Math.max(Math.min(longestMs, LONG_MS), ...long.map((turn) => own(turn) ?? 0));
  const shown = (those: Turns) =>
    `${longestOf(those).toFixed(1)} ms (with waits for a processor ${
      those.longestMs.toFixed(1)
    } ms; most processor time of one ${those.busyMs.toFixed(1)} ms)`;
  const long = turns.registering.long.filter(({ tookMs }) => tookMs > PAUSE_MS);
  const stoodStill = standstills.longerThan(LONG_MS);
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const growth = memory.late / memory.early;
  console.log(
    [
      `${title}: ${tookMs.length} registrations in ${seconds} s, ${lost} lost, ${unwritten} not written: answered over UDP after ` +
      `${median!.toFixed(0)} ms (median), ${p99!.toFixed(0)} ms (p99), ${worst!.toFixed(0)} ms (worst; ${
        worstOwnMs.toFixed(0)
      } ms where the machine didn't stand still)`,
      `  longest turn of the node's main thread ${shown(turns.registering)}; at rest ${shown(turns.rest)}; ` +
      `while all were read (${(readMs / 1000).toFixed(1)} s) ${shown(turns.reading)}`,
      `  ${long.length} turns above ${PAUSE_MS} ms with waits, of them ${
        long.filter((turn) => (own(turn) ?? 0) > PAUSE_MS).length
      } by themselves; in ${
        long.filter((turn) => own(turn) === null).length
      } the machine stood still for longer than that, and nothing can be said of them`,
      ...long.toSorted((a, b) => (own(b) ?? 0) - (own(a) ?? 0)).slice(0, TURNS_SHOWN)
        .map((turn) => turnLine(turn, beganMs, standstills)),
      `  the machine's processors stood still ${stoodStill.times} times for more than ${LONG_MS} ms, ${
        stoodStill.longestMs.toFixed(1)
      } ms at most`,
      `  processor time ${cpuSeconds.all.toFixed(1)} s, of it the main thread's ${
        cpuSeconds.main.toFixed(1)
      } s`,
      ...late.map(lateLine),
      `  memory ${mebibytes(memory.early)} after a fifth of the time, ${mebibytes(memory.late)} at its end`,
      `  over TCP ${stream.answers} instances of the first address, ${stream.bytes} bytes${
        stream.isTruncated ? ", and TC" : ""
      }; a service is answered ${service.join(" ")}`,
    ].join("\n"),
  );
  return lost + unwritten === 0 && p99! <= ANSWERED_MS.p99 && worstOwnMs <= ANSWERED_MS.worst &&
    longestOf(turns.registering) <= PAUSE_MS && service.length > 0 &&
    (seconds < GROWTH_SECONDS_MIN || growth <= GROWTH_MAX);
}

function turnLine(turn: Stretch, beganMs: number, standstills: Standstills): string {
  const { toMs, tookMs, ranMs, queuedMs } = turn;
  const ms = (each: number) => each.toFixed(0);
  return `    ${ms(tookMs)} ms at ${((toMs - beganMs) / 1000).toFixed(1)} s: it ran for ${
    ms(ranMs)
  }, queued for ${ms(queuedMs)}, the machine stood still for ${ms(stoodStillMs(turn, standstills))}`;
}

const TURNS_SHOWN = 20;

function lateLine({ atSeconds, tookMs, writeMs, steps, askerMs }: LateRegistration): string {
  const ms = (each: number) => each.toFixed(0);
  const lists = steps.lists.filter(([from]) => tookMs === null || from < tookMs);
  return [
    `  at ${atSeconds.toFixed(1)} s ${tookMs === null ? "never" : `${ms(tookMs)} ms`}`,
    `written in ${ms(writeMs)}`,
    `${lists.length} lists: ${
      lists.slice(0, LISTS_SHOWN).map(([from, to]) => `${ms(from)}–${ms(to)}`).join(" ")
    }`,
    `read at ${steps.readMs.map(ms).join(" ") || "no time"}`,
    `told at ${steps.toldMs === null ? "no time" : ms(steps.toldMs)}`,
    `the asker away for ${ms(askerMs)} at most`,
  ].join(", ");
}

const LISTS_SHOWN = 10;

/** How long this thread is busy without a break. */
class Busy implements Disposable {
  #longestMs = 0;
  #lastMs = performance.now();
  readonly #timer = setInterval(() => {
    const nowMs = performance.now();
    this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs - 1);
    this.#lastMs = nowMs;
  }, 1);

  take(): number {
    const longestMs = this.#longestMs;
    this.#longestMs = 0;
    return Math.round(longestMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function oracle([rounds = "10000"]: string[]): Promise<boolean> {
  agreeWithOracle(+rounds, Date.now());
  console.log(`${rounds} catalogs are answered as they should be, over DNS and in look-ups`);
  return Promise.resolve(true);
}

/** Registers without end, and is killed at some moment. */
const REGISTERING = `
import { writeProviderFile } from ${
  JSON.stringify(new URL("../../src/discovery/registration.ts", import.meta.url).href)
};
const bytes = [1, 2].map((n) => new TextEncoder().encode(JSON.stringify({ instances: [], n: String(n).repeat(50_000) })));
console.log("begun");
for (let i = 0;; i++) await writeProviderFile(Deno.args[0], "p", bytes[i % 2]);
`;

async function kills([count = "100"]: string[]): Promise<boolean> {
  const directory = await Deno.makeTempDir();
  const script = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(script, REGISTERING);
  const random = seededRng(Date.now());
  let isGood = true;
  await writeProviderFile(
    directory,
    "p",
    new TextEncoder().encode(JSON.stringify({ n: "0".repeat(50_000) })),
  );
  for (let i = 0; i < +count; i++) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-config", "-A", "--quiet", script, directory],
      ...{ stdin: "null", stdout: "piped", stderr: "null" },
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    await pause(random() % 20);
    child.kill("SIGKILL");
    await reader.cancel();
    await child.status;
    const { n } = JSON.parse(await Deno.readTextFile(`${directory}/p.json`));
    isGood &&= n.length === 50_000 && new Set(n).size === 1;
  }
  await writeProviderFile(directory, "p", new TextEncoder().encode("{}"));
  const left = [...Deno.readDirSync(directory)].map(({ name }) => name);
  isGood &&= left.join() === "p.json";
  console.log(`${count} processes were killed while they registered; what is left: ${left.join(", ")}`);
  await Deno.remove(directory, { recursive: true });
  await Deno.remove(script);
  return isGood;
}

async function consul([perSecond = "20"]: string[]): Promise<boolean> {
  await using stack = new AsyncDisposableStack();
  const standstills = await watchMachine(stack);
  const ports = freeConsulPorts();
  const hosts = { gg: [1, 2, 3].map((n) => `127.0.1.${n}`), fr: [1, 2, 3].map((n) => `127.0.2.${n}`) };
  const servers: Record<Zone, ConsulServer[]> = { gg: [], fr: [] };
  for (const zone of ZONES) {
    for (const [i, host] of hosts[zone].entries()) {
      const server = await ConsulServer.start({
        ...{ datacenter: zone, node: `${zone}${i + 1}`, host, ports, servers: 3, acl: true },
        join: hosts[zone].filter((each) => each !== host).map((each) => `${each}:${ports.lan}`),
        joinWan: hosts[zone === "gg" ? "fr" : "gg"].map((each) => `${each}:${ports.wan}`),
      });
      servers[zone].push(stack.use(server));
    }
  }
  for (const zone of ZONES) await servers[zone][0]!.untilLed();
  for (const zone of ZONES) {
    for (let i = 0; i < INSTANCES; i++) await put(servers[zone], i, zone);
  }
  const world = stack.use(World.start({}, {
    ...{ directory: null, servers: [], otherZones: "forward" },
    consul: {
      addresses: hosts.gg.map((hostname) => ({ hostname, port: ports.http })),
      ...{ token: ROOT_TOKEN, tokenKey: "discovery.consul.token", tls: null },
    },
  }));
  const asker = (zone: Zone) => new Asker(world, zone, +perSecond, standstills);
  const askers = { gg: asker("gg"), fr: asker("fr") };
  for (const asker of Object.values(askers)) await asker.untilRight();
  const toggling = new Toggling(servers.gg, world);
  const phases: Phase[] = [];
  const phase = async (name: string, work: () => Promise<void>) => {
    for (const asker of Object.values(askers)) asker.begin();
    const start = performance.now();
    await work();
    const result = {
      name,
      seconds: (performance.now() - start) / 1000,
      gg: askers.gg.end(),
      fr: askers.fr.end(),
    };
    console.log(describe(result));
    phases.push(result);
  };
  const running = Promise.all([...Object.values(askers).map((asker) => asker.run()), toggling.run()]);
  let backMs = 0;
  const back = async (zone: Zone) => {
    const start = performance.now();
    while (world.discovery.catalog.standingOf(zone) !== "fresh") await pause(20);
    const took = performance.now() - start;
    backMs = Math.max(backMs, took);
    console.log(`  ${zone} is read again after ${Math.round(took)} ms`);
  };
  await phase("nothing happens", () => pause(10_000));
  for (const kind of ["leader", "follower"] as const) {
    const at = await memberOf(servers.gg, kind);
    await phase(`the ${kind} of gg is killed`, async () => {
      await servers.gg[at]!.kill();
      await pause(10_000);
    });
    await phase("it comes back", async () => {
      servers.gg[at]!.run();
      await servers.gg[at]!.untilLed();
      await back("gg");
      await pause(3_000);
    });
  }
  await phase("the server of gg that is asked says nothing", async () => {
    servers.gg[0]!.signal("SIGSTOP");
    await pause(15_000);
    servers.gg[0]!.signal("SIGCONT");
    await servers.gg[0]!.untilLed();
    await back("gg");
  });
  await phase("all of fr is gone", async () => {
    for (const server of servers.fr) await server.kill();
    while (world.discovery.catalog.standingOf("fr") !== "stale") await pause(20);
    await pause(10_000);
  });
  await phase("fr comes back", async () => {
    for (const server of servers.fr) server.run();
    await servers.fr[0]!.untilLed();
    await back("fr");
    await pause(3_000);
  });
  for (const each of [...Object.values(askers), toggling]) each.stop();
  await running;
  const [before] = phases;
  const wrong = phases.reduce((sum, { gg, fr }) => sum + gg.wrong + fr.wrong, 0);
  const gone = phases.filter(({ name }) => name.includes("fr"));
  const isUndisturbed = gone.every(({ gg }) => gg.p99 <= Math.max(5, 2 * before!.gg.p99));
  const news = toggling.news.toSorted((a, b) => a - b);
  console.log(
    `${wrong} wrong answers; a change was answered after ${quantile(news, 0.5)} ms (median), ${
      quantile(news, 0.99)
    } ms (p99) ` +
      `of ${news.length}; read again after ${Math.round(backMs)} ms at most`,
  );
  return wrong === 0 && isUndisturbed && backMs <= BACK_MS;
}

interface Phase {
  readonly name: string;
  readonly seconds: number;
  readonly gg: Tallied;
  readonly fr: Tallied;
}

interface Tallied {
  readonly asked: number;
  readonly wrong: number;
  /** Milliseconds, less those for which the machine stood still. */
  readonly p99: number;
}

function describe({ name, seconds, gg, fr }: Phase): string {
  const of = (zone: string, { asked, wrong, p99 }: Tallied) =>
    `${zone}: ${asked} asked, ${wrong} wrong, p99 ${p99.toFixed(1)} ms`;
  return `${name} (${seconds.toFixed(0)} s) · ${of("gg", gg)} · ${of("fr", fr)}`;
}

/** Asks one zone. */
class Asker {
  readonly #world: World;
  readonly #zone: Zone;
  readonly #everyMs: number;
  readonly #standstills: Standstills;
  #isOver = false;
  #wrong = 0;
  /** When each was asked, milliseconds since 1970, and how long its answer took. */
  #asked: (readonly [fromMs: number, tookMs: number])[] = [];

  constructor(world: World, zone: Zone, perSecond: number, standstills: Standstills) {
    this.#world = world;
    this.#zone = zone;
    this.#standstills = standstills;
    this.#everyMs = 1000 / perSecond;
  }

  async untilRight(): Promise<void> {
    while (!await this.#isRight()) await pause(20);
  }

  begin(): void {
    this.#wrong = 0;
    this.#asked = [];
  }

  end(): Tallied {
    const took = this.#asked
      .map(([fromMs, tookMs]) => tookMs - this.#standstills.ofAll(fromMs, fromMs + tookMs))
      .sort((a, b) => a - b);
    return { asked: took.length, wrong: this.#wrong, p99: quantile(took, 0.99) };
  }

  stop(): void {
    this.#isOver = true;
  }

  async run(): Promise<void> {
    while (!this.#isOver) {
      const fromMs = nowMs();
      if (!await this.#isRight()) this.#wrong++;
      const tookMs = nowMs() - fromMs;
      this.#asked.push([fromMs, tookMs]);
      await pause(Math.max(0, this.#everyMs - tookMs));
    }
  }

  /** All instances that stay, and of gg maybe the one that comes and goes. */
  async #isRight(): Promise<boolean> {
    try {
      const { answers } = await this.#world.ask(ADDRESS[this.#zone], "A");
      const got = answers.map(({ data }) => data).sort().join();
      const stay = Array.from({ length: INSTANCES }, (_, i) => ipOf(i, this.#zone)).sort();
      const withOne = [...stay, ipOf(INSTANCES, this.#zone)].sort();
      return got === stay.join() || this.#zone === "gg" && got === withOne.join();
    } catch {
      return false;
    }
  }
}

/** Registers an instance, and takes it back, while there is anyone who takes it. */
class Toggling {
  readonly #servers: readonly ConsulServer[];
  readonly #world: World;
  #isOver = false;
  /** Milliseconds from a write's answer to its being answered. */
  readonly news: number[] = [];

  constructor(servers: readonly ConsulServer[], world: World) {
    this.#servers = servers;
    this.#world = world;
  }

  stop(): void {
    this.#isOver = true;
  }

  async run(): Promise<void> {
    for (let isThere = false; !this.#isOver; isThere = !isThere) {
      const isWritten = isThere
        ? await anyOf(this.#servers, "/v1/catalog/deregister", {
          Node: nodeOf("gg"),
          ServiceID: idOf(INSTANCES),
        })
        : await put(this.#servers, INSTANCES, "gg");
      const start = performance.now();
      while (isWritten && performance.now() - start < 10 * NEWS_MS) {
        const { answers } = await this.#world.ask(ADDRESS.gg, "A");
        if (answers.some(({ data }) => data === ipOf(INSTANCES, "gg")) !== isThere) {
          this.news.push(Math.round(performance.now() - start));
          break;
        }
        await pause(2);
      }
      await pause(400);
    }
  }
}

function put(servers: readonly ConsulServer[], i: number, zone: Zone): Promise<boolean> {
  return anyOf(servers, "/v1/catalog/register", {
    ...{ Node: nodeOf(zone), Address: "192.0.2.1" },
    Service: {
      ...{ ID: idOf(i), Service: "shop", Address: ipOf(i, zone), Port: 8000 + i },
      Tags: [
        "glimpse:provider=prove",
        "glimpse:product=shop",
        "glimpse:env=prod",
        "glimpse:job=web",
        "glimpse:service=http",
      ],
    },
  });
}

/** By whichever server takes it; servers that don't run or don't lead don't. */
async function anyOf(servers: readonly ConsulServer[], path: string, body: unknown): Promise<boolean> {
  for (const server of servers) {
    const answer = await server.call("PUT", path, body).catch(() => null);
    if (answer?.status === 200) return true;
  }
  return false;
}

async function memberOf(servers: readonly ConsulServer[], kind: "leader" | "follower"): Promise<number> {
  for (;;) {
    for (const server of servers) {
      const answer = await server.call("GET", "/v1/status/leader").catch(() => null);
      if (typeof answer?.json !== "string") continue;
      const at = servers.findIndex(({ host }) => String(answer.json).startsWith(`${host}:`));
      if (at >= 0) return kind === "leader" ? at : (at + 1) % servers.length;
    }
    await pause(100);
  }
}

function nodeOf(zone: Zone): string {
  return `outside-${zone}`;
}

function idOf(i: number): string {
  return `web-${i}`;
}

function ipOf(i: number, zone: Zone): string {
  return `198.51.100.${(zone === "gg" ? 0 : 100) + i + 1}`;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

function pause(ms: number): Promise<void> {
  // Time is the subject.
  return new Promise((resolve) => setTimeout(resolve, ms));
}
