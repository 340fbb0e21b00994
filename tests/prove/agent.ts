/**
 * Real agents in networks of their own: `deno task prove agent`.
 *
 * Five servers with a TLS service, each behind a wire of its own, keep two records at Knot with an interval of 5 s: one without
 * regions, one with two of them. They join; one is killed and one hangs, for three minutes; they are left alone; the network is
 * cut into two and three, for three minutes. Beside that, three more servers are replaced by the command line while a client
 * resolves and connects 50 times a second, at Knot and at BIND with a secondary, and commands are ended at each of their steps.
 * Before that, twenty agents join at once at Knot and at BIND, ten times each; a change is waited for at BIND's secondary; half
 * hours are simulated; and a simulated day passes, after which no memory may be kept. It takes some nine minutes and needs
 * root, for the networks.
 *
 * @module
 */
import { deno, ROOT } from "../../scripts/process.ts";
import { CheckLoop } from "../../src/agent/loop.ts";
import { seededRng, systemClock } from "../../src/clock.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { type Make, NameServer, ZONE } from "../agent/name_servers.ts";
import { freePort } from "../free_port.ts";
import { Fleet, recordsAt, seconds, told, until } from "./agent/fleet.ts";
import { ServerNetworks } from "./agent/networks.ts";
import { isReplaced, REPLACED } from "./agent/replacing.ts";
import { leavesNoLock } from "./agent/stopping.ts";

const INTERVAL_MS = 5_000;
const SERVERS = 5;
const ALL = Array.from({ length: SERVERS }, (_, i) => i);
/** The sides of the cut network, which are the regions of the second name. */
const SIDES = { one: [0, 1], two: [2, 3, 4] };
/** Without regions, and with. */
const NAMES = [{ fqdn: `www.${ZONE}`, regions: null }, { fqdn: `far.${ZONE}`, regions: SIDES }] as const;
const [PLAIN, REGIONAL] = NAMES.map(({ fqdn }) => fqdn) as [string, string];
/** How long each fault lasts, seconds. */
const FAULT_S = 180;
/** One round with its probes, and a second for what it takes. */
const HEALED_MAX_S = 6.25 + 1.25 + 1;

const signal = new AbortController().signal;
const log = createLogger({ level: "warn", format: "text", clock: systemClock });

/** Runs all of it, or what is named: `first` (without networks), `servers`, `stopping`. */
export async function prove(parts: string[]): Promise<boolean> {
  const isRun = (part: string) => parts.length === 0 || parts.includes(part);
  const results: boolean[] = [];
  if (isRun("first")) {
    results.push(
      await joinAtOnce("knot"),
      await joinAtOnce("bind"),
      await isWaitedFor(),
      await isSimulated(),
      await isForgotten(),
    );
  }
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "pleiades-prove-agent-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  if (isRun("servers")) results.push(...await keep(folder));
  if (isRun("stopping")) results.push(await leavesNoLock(folder));
  return results.every(Boolean);
}

/** What is proved of servers in networks. */
async function keep(folder: string): Promise<boolean[]> {
  await makeCertificate(folder);
  await using networks = await ServerNetworks.lay(SERVERS + 4 * REPLACED);
  await using knot = await NameServer.start("knot", { hostname: networks.bridge });
  await using fleet = new Fleet({ networks, from: 0, names: NAMES, primary: knot.address, folder });
  const replacing = { networks, folder };
  const results = [await joins(fleet)];
  const sinceMs = performance.now();
  results.push(...await dieAndHang(fleet));
  results.push(
    ...await Promise.all([
      staysAway(fleet, sinceMs),
      isReplaced({ ...replacing, make: "bind", from: SERVERS, livesOnS: 15 }),
    ]),
    await comeBack(fleet),
    await isQuiet(fleet, knot),
    ...await Promise.all([
      isCut(fleet, networks),
      isReplaced({ ...replacing, make: "knot", from: SERVERS + 2 * REPLACED, livesOnS: 3 }),
    ]),
  );
  for (const [fqdn, sizes] of fleet.sizes) {
    const least = Math.min(...sizes);
    results.push(told(least >= 1, `${fqdn} was never empty: ${sizes.length} reads, ${least} at least`));
  }
  const own = fleet.ownRemovals();
  for (const line of own.slice(0, 3)) console.log(`      ${line}`);
  results.push(told(own.length === 0, "no server removed itself"));
  return results;
}

/** Twenty agents whose first rounds begin at once; a reader asks 50 times a second. */
async function joinAtOnce(make: Make): Promise<boolean> {
  await using server = await NameServer.start(make);
  const records = recordsAt(server.address);
  const addresses = Array.from({ length: 20 }, (_, i) => `192.0.2.${i + 1}`);
  const sizeOf = async (fqdn: string) =>
    (await records.read(fqdn, "A", signal).catch(() => null))?.values.length ?? null;
  let [rounds, empty, reads] = [0, 0, 0];
  for (let time = 0; time < 10; time++) {
    const fqdn = `join${time}.${ZONE}`;
    const loops = addresses.map((self, i) =>
      new CheckLoop({
        ...{ fqdn, self, records, log, intervalMs: INTERVAL_MS, clock: systemClock },
        limits: { minimumFailures: 3, maximumFailures: 60 },
        probe: () => Promise.resolve(null),
        rng: seededRng(time * 100 + i + 1),
      })
    );
    let [isOver, wasThere] = [false, false];
    const reading = (async () => {
      while (!isOver) {
        const size = await sizeOf(fqdn);
        wasThere ||= size !== null && size > 0;
        if (wasThere && size !== null) reads++;
        if (wasThere && size === 0) empty++;
        await systemClock.sleep(20, signal);
      }
    })();
    let needed = 0;
    do {
      // On a busy machine a connection may be refused: as in an agent, that round is given up.
      await Promise.allSettled(loops.map((loop) => loop.round(signal)));
      needed++;
    } while (needed < 10 && await sizeOf(fqdn) !== addresses.length);
    isOver = true;
    await reading;
    rounds = Math.max(rounds, needed);
  }
  const words = `20 agents join at once at ${make}, 10 times: all there after ${rounds} rounds at most, ` +
    `${empty} of ${reads} reads empty`;
  return told(rounds <= 3 && empty === 0, words);
}

/** A write that waits comes back when BIND's secondary has it. */
async function isWaitedFor(): Promise<boolean> {
  const at = { hostname: "127.0.0.1", port: freePort() };
  await using primary = await NameServer.start("bind", { secondary: at });
  await using secondary = await NameServer.start("bind", { primary: primary.address }, at.port);
  const records = recordsAt(primary.address, [secondary.address]);
  const start = performance.now();
  for (const last of [1, 2, 3]) {
    const expected = await records.read(PLAIN, "A", signal);
    await records.write(PLAIN, "A", [`192.0.2.${last}`], { ttl: 5, wait: true, expected }, signal);
    if (await secondary.serial() < await primary.serial()) {
      return told(false, "BIND's secondary lags behind a write");
    }
  }
  const tookS = (performance.now() - start) / 3_000;
  return told(true, `BIND's secondary has a change when its writer goes on, ${seconds(tookS)} later`);
}

/** The half hours of the suite: killed, hung, cut with and without regions. */
async function isSimulated(): Promise<boolean> {
  const startMs = performance.now();
  const args = ["test", "-A", "--no-check", "--quiet", "--unstable-net", "tests/agent/simulation_test.ts"];
  const { code, output } = await deno(args, { quiet: true });
  if (code !== 0) console.log(output.slice(-2_000));
  const tookS = (performance.now() - startMs) / 1000;
  return told(
    code === 0,
    `killed, hung and cut off for 30 simulated minutes each: as promised (${seconds(tookS)})`,
  );
}

/** A day of rounds, in which a server comes and goes. */
async function isForgotten(): Promise<boolean> {
  const script = `${ROOT}/tests/prove/agent/day.ts`;
  const { output } = await deno(["run", "-A", "--quiet", "--v8-flags=--expose-gc", script], { quiet: true });
  const grown = Number(output);
  return told(output !== "" && grown < 0.5, `24 simulated hours take ${output.trim()} MB of memory`);
}

async function makeCertificate(folder: string): Promise<void> {
  const words =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=server -keyout key -out cert";
  await new Deno.Command("openssl", { args: words.split(" "), cwd: folder, stderr: "null" }).output();
}

async function joins(fleet: Fleet): Promise<boolean> {
  for (const server of ALL) fleet.start(server);
  const tookS = await until(() => NAMES.every(({ fqdn }) => fleet.has(fqdn, ...ALL)), 60);
  return told(tookS !== null, `five servers that start at once are in both records after ${seconds(tookS)}`);
}

/** Server 1 is killed, and the service of server 2 hangs. */
async function dieAndHang(fleet: Fleet): Promise<boolean[]> {
  const gone = async (server: number, fqdn: string) =>
    await until(() => !fleet.addresses(fqdn).includes(fleet.address(server)), 60);
  await fleet.kill(1);
  const dead = Promise.all([gone(1, PLAIN), gone(1, REGIONAL)]);
  await fleet.tell(2, "hang");
  const hung = Promise.all([gone(2, PLAIN), gone(2, REGIONAL)]);
  const wordsOf = (taken: readonly (number | null)[]) =>
    `${seconds(taken[0]!)} (with regions ${seconds(taken[1]!)})`;
  const [killed, silent] = [await dead, await hung];
  const isWithin = (taken: readonly (number | null)[], maxS: number) =>
    taken.every((s) => s !== null && s <= maxS);
  return [
    told(isWithin(killed, 19.75), `a killed server is removed after ${wordsOf(killed)}, 19.75 at most`),
    told(isWithin(silent, 23.5), `a hung TLS server is removed after ${wordsOf(silent)}, 23.5 at most`),
  ];
}

/** Until three minutes are over: the killed one stays away, the others stay; the hung one comes back, and goes again. */
async function staysAway(fleet: Fleet, sinceMs: number): Promise<boolean> {
  const [well, dead, hung] = [
    [0, 3, 4].map((each) => fleet.address(each)),
    fleet.address(1),
    fleet.address(2),
  ];
  let [reads, wrong, back] = [0, 0, 0];
  fleet.onRead = (_, addresses) => {
    reads++;
    if (addresses.includes(dead) || !well.every((each) => addresses.includes(each))) wrong++;
    if (addresses.includes(hung)) back++;
  };
  await until(() => performance.now() - sinceMs > FAULT_S * 1000, 2 * FAULT_S);
  fleet.onRead = () => {};
  return told(
    wrong === 0,
    `for three minutes the other three stay and the killed one stays away: ${wrong} of ${reads} reads say otherwise ` +
      `(the hung one's agent adds it again: in ${(back / reads * 100).toFixed(0)} % of the reads)`,
  );
}

async function comeBack(fleet: Fleet): Promise<boolean> {
  fleet.start(1);
  await fleet.tell(2, "serve");
  const tookS = await until(() => NAMES.every(({ fqdn }) => fleet.has(fqdn, ...ALL)), 30);
  return told(tookS !== null, `both are back ${seconds(tookS)} after they are well`);
}

async function isQuiet(fleet: Fleet, knot: NameServer): Promise<boolean> {
  // What was under way may still be written.
  await until(() => false, 7);
  const before = await knot.serial();
  await until(() => false, 40);
  const writes = await knot.serial() - before;
  const isWhole = NAMES.every(({ fqdn }) => fleet.has(fqdn, ...ALL));
  return told(writes === 0 && isWhole, `40 s with nothing wrong: ${writes} writes`);
}

async function isCut(fleet: Fleet, networks: ServerNetworks): Promise<boolean> {
  const { one, two } = SIDES;
  const from = new Map<string, number>(NAMES.map(({ fqdn }) => [fqdn, fleet.sizes.get(fqdn)!.length]));
  await networks.cut(one, two);
  await until(() => false, FAULT_S);
  const least = (fqdn: string) => Math.min(...fleet.sizes.get(fqdn)!.slice(from.get(fqdn)));
  const sizes = [least(PLAIN), least(REGIONAL)] as const;
  await networks.heal(one, two);
  const healedMs = performance.now();
  let wrongMs = healedMs;
  fleet.onRead = (fqdn) => {
    if (!fleet.has(fqdn, ...ALL)) wrongMs = performance.now();
  };
  await until(() => false, 20);
  fleet.onRead = () => {};
  const backS = (wrongMs - healedMs) / 1000;
  const isGood = backS <= HEALED_MAX_S && sizes[0] >= 1 && sizes[0] < SERVERS && sizes[1] === SERVERS;
  return told(
    isGood,
    `cut into 2 and 3 for three minutes: ${sizes[0]} addresses at least without regions, ${sizes[1]} with, ` +
      `all back, and staying, after ${seconds(backS)} (${HEALED_MAX_S} at most)`,
  );
}
