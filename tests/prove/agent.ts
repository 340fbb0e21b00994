/**
 * Real agents in networks of their own: `deno task prove agent`.
 *
 * Five servers with a TLS service, each behind a wire of its own, keep one record at Knot with an interval of 5 s. They join, one
 * is killed, one hangs, the network is cut into two and three, without regions and with them; then they are left alone, and
 * three of them are replaced one after the other while a client connects 50 times a second. Before that, twenty agents join at
 * once at Knot and at BIND, ten times each; a change is waited for at BIND's secondary; and a simulated day passes, after
 * which no memory may be kept. It takes some four minutes and needs root, for the networks.
 *
 * @module
 */
import { deno } from "../../scripts/process.ts";
import { CheckLoop } from "../../src/agent/loop.ts";
import { connectionProbe } from "../../src/agent/peer_probe.ts";
import { NO_RECORDS } from "../../src/agent/records.ts";
import { Rfc2136Records } from "../../src/agent/records/rfc2136.ts";
import { rollingReplace } from "../../src/agent/rolling_replace.ts";
import { seededRng, systemClock } from "../../src/clock.ts";
import type { SocketAddress } from "../../src/ip.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { KEY, KEY_SECRET, type Make, NameServer, ZONE } from "../agent/name_servers.ts";
import { freePort } from "../free_port.ts";
import { ServerNetworks } from "./agent/networks.ts";

const FQDN = `www.${ZONE}`;
const PORT = 8443;
const INTERVAL_MS = 5_000;
const SERVERS = 5;
/** Those that take the places of others. */
const SPARES = 3;
const signal = new AbortController().signal;
const log = createLogger({ level: "warn", format: "text", clock: systemClock });

/** Runs all of it. */
export async function prove(): Promise<boolean> {
  const first = [
    await joinAtOnce("knot"),
    await joinAtOnce("bind"),
    await isWaitedFor(),
    await isForgotten(),
  ];
  await using networks = await ServerNetworks.lay(SERVERS + SPARES);
  await using knot = await NameServer.start("knot", { hostname: networks.bridge });
  const folder = await Deno.makeTempDir({ prefix: "pleiades-prove-agent-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const stage = new Stage({ networks, knot, folder });
  stack.use(stage);
  await stage.makeCertificate();
  const results = [
    ...first,
    await joins(stage),
    await dies(stage),
    await hangs(stage),
    await isQuiet(stage),
    await isCut(stage, { withRegions: false }),
    await isCut(stage, { withRegions: true }),
    await isReplaced(stage),
  ];
  const smallest = Math.min(...stage.sizes);
  results.push(
    told(smallest >= 1, `the record was never empty: ${stage.sizes.length} reads, ${smallest} at least`),
  );
  return results.every(Boolean);
}

/** Twenty agents whose first rounds begin at once; a reader asks 50 times a second. */
async function joinAtOnce(make: Make): Promise<boolean> {
  await using server = await NameServer.start(make);
  const records = recordsAt(server.address);
  const addresses = Array.from({ length: 20 }, (_, i) => `192.0.2.${i + 1}`);
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
        const { values } = await records.read(fqdn, "A", signal);
        wasThere ||= values.length > 0;
        if (wasThere) reads++;
        if (wasThere && values.length === 0) empty++;
        await systemClock.sleep(20, signal);
      }
    })();
    let needed = 0;
    do {
      await Promise.all(loops.map((loop) => loop.round(signal)));
      needed++;
    } while (needed < 10 && (await records.read(fqdn, "A", signal)).values.length < addresses.length);
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
    const expected = await records.read(FQDN, "A", signal);
    await records.write(FQDN, "A", [`192.0.2.${last}`], { ttl: 5, wait: true, expected }, signal);
    if (await secondary.serial() < await primary.serial()) {
      return told(false, "BIND's secondary lags behind a write");
    }
  }
  const tookS = (performance.now() - start) / 3_000;
  return told(true, `BIND's secondary has a change when its writer goes on, ${seconds(tookS)} later`);
}

/** A day of rounds, in which a server comes and goes. */
async function isForgotten(): Promise<boolean> {
  const script = new URL("agent/day.ts", import.meta.url).pathname;
  const { output } = await deno(["run", "-A", "--quiet", "--v8-flags=--expose-gc", script], { quiet: true });
  const grown = Number(output);
  return told(output !== "" && grown < 0.5, `24 simulated hours take ${output.trim()} MB of memory`);
}

function recordsAt(server: SocketAddress, secondaries: readonly SocketAddress[] = []): Rfc2136Records {
  return new Rfc2136Records({ server, zone: ZONE, key: KEY, secondaries, clock: systemClock, log });
}

/** What the proof works with. */
class Stage implements AsyncDisposable {
  readonly networks: ServerNetworks;
  readonly knot: NameServer;
  readonly records: Rfc2136Records;
  /** Of all reads since the first server joined. */
  readonly sizes: number[] = [];
  readonly #folder: string;
  readonly #running = new Map<number, Deno.ChildProcess>();
  /** What is in the record, read all the time. */
  addresses: readonly string[] = [];
  #isOver = false;
  readonly #watching: Promise<void>;

  constructor(
    { networks, knot, folder }: {
      readonly networks: ServerNetworks;
      readonly knot: NameServer;
      readonly folder: string;
    },
  ) {
    this.networks = networks;
    this.knot = knot;
    this.#folder = folder;
    this.records = recordsAt(knot.address);
    this.#watching = this.#watch();
  }

  async makeCertificate(): Promise<void> {
    const words =
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=server -keyout key -out cert";
    await new Deno.Command("openssl", { args: words.split(" "), cwd: this.#folder, stderr: "null" }).output();
  }

  start(server: number, { region = "" } = {}): void {
    const { networks, knot } = this;
    const address = networks.address(server);
    const regions = `{ one: [${networks.address(0)}/32, ${networks.address(1)}/32], two: [${
      [2, 3, 4].map((other) => `${networks.address(other)}/32`).join(", ")
    }] }`;
    const config = `${this.#folder}/${server}.yaml`;
    Deno.writeTextFileSync(
      config,
      [
        "log: { level: warn }",
        "agent:",
        `  fqdn: ${FQDN}`,
        `  tcpPort: ${PORT}`,
        "  doTls: true",
        "  checkInterval: 5s",
        `  rfc2136: { server: "${networks.bridge}:${knot.address.port}", zone: ${ZONE}, keyName: agents, secret: "${KEY_SECRET}" }`,
        ...(region === "" ? [] : [`  region: ${region}`, `  regions: ${regions}`]),
        "",
      ].join("\n"),
    );
    const script = new URL("agent/server.ts", import.meta.url).pathname;
    const args = [
      "netns",
      "exec",
      networks.namespace(server),
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      "--quiet",
    ];
    const files = [`${this.#folder}/cert`, `${this.#folder}/key`];
    const child = new Deno.Command("ip", {
      args: [...args, "--unstable-net", script, address, String(PORT), ...files, config],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#running.set(server, child);
  }

  /** Ends a server at once, and its agent with it. */
  async kill(server: number): Promise<void> {
    const child = this.#running.get(server)!;
    this.#running.delete(server);
    child.kill("SIGKILL");
    await child.stdin.close().catch(() => {});
    await child.status;
  }

  async tell(server: number, word: "hang" | "serve"): Promise<void> {
    const writer = this.#running.get(server)!.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${word}\n`));
    writer.releaseLock();
  }

  /** Whether these servers are in the record, and no others. */
  has(...servers: readonly number[]): boolean {
    const wanted = servers.map((server) => this.networks.address(server)).toSorted();
    return JSON.stringify(this.addresses.toSorted()) === JSON.stringify(wanted);
  }

  /** Seconds until something holds; `null` = it took too long. */
  async until(holds: () => boolean, maxS: number): Promise<number | null> {
    const start = performance.now();
    const passedS = () => (performance.now() - start) / 1000;
    while (!holds()) {
      if (passedS() > maxS) return null;
      await systemClock.sleep(20, signal);
    }
    return passedS();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#watching;
    for (const server of [...this.#running.keys()]) await this.kill(server);
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const { values } = await this.records.read(FQDN, "A", signal).catch(() => NO_RECORDS);
      this.addresses = values;
      if (this.sizes.length > 0 || values.length > 0) this.sizes.push(values.length);
      await systemClock.sleep(20, signal);
    }
  }
}

function told(isGood: boolean, words: string): boolean {
  console.log(`${isGood ? "ok   " : "WRONG"} ${words}`);
  return isGood;
}

const seconds = (s: number | null) => s === null ? "never" : `${s.toFixed(1)} s`;

const ALL = Array.from({ length: SERVERS }, (_, i) => i);

async function joins(stage: Stage): Promise<boolean> {
  for (const server of ALL) stage.start(server);
  const tookS = await stage.until(() => stage.has(...ALL), 60);
  return told(tookS !== null, `five servers that start at once are in the record after ${seconds(tookS)}`);
}

async function dies(stage: Stage): Promise<boolean> {
  await stage.kill(1);
  const tookS = await stage.until(() => stage.has(0, 2, 3, 4), 60);
  stage.start(1);
  const backS = await stage.until(() => stage.has(...ALL), 30);
  return told(
    tookS !== null && tookS <= 19.75 && backS !== null,
    `a killed server is removed after ${seconds(tookS)} (19.75 at most), and back ${
      seconds(backS)
    } after its start`,
  );
}

async function hangs(stage: Stage): Promise<boolean> {
  await stage.tell(2, "hang");
  const tookS = await stage.until(() => stage.has(0, 1, 3, 4), 60);
  await stage.tell(2, "serve");
  const backS = await stage.until(() => stage.has(...ALL), 30);
  return told(
    tookS !== null && tookS <= 23.5 && backS !== null,
    `a hung TLS server is removed after ${seconds(tookS)} (23.5 at most), and back ${
      seconds(backS)
    } after it answers`,
  );
}

async function isQuiet(stage: Stage): Promise<boolean> {
  // What was under way may still be written.
  await stage.until(() => false, 7);
  const before = await stage.knot.serial();
  await stage.until(() => false, 40);
  const writes = await stage.knot.serial() - before;
  return told(writes === 0 && stage.has(...ALL), `40 s with nothing wrong: ${writes} writes`);
}

async function isCut(stage: Stage, { withRegions }: { readonly withRegions: boolean }): Promise<boolean> {
  const [one, two] = [[0, 1], [2, 3, 4]];
  if (withRegions) {
    for (const server of ALL) await stage.kill(server);
    for (const server of ALL) stage.start(server, { region: one.includes(server) ? "one" : "two" });
    await stage.until(() => stage.has(...ALL), 30);
  }
  await stage.networks.cut(one, two);
  const from = stage.sizes.length;
  await stage.until(() => false, 40);
  const sizes = stage.sizes.slice(from);
  await stage.networks.heal(one, two);
  const backS = await stage.until(() => stage.has(...ALL), 30);
  const least = Math.min(...sizes);
  const isGood = backS !== null && (withRegions ? least === SERVERS : least >= 1 && least < SERVERS);
  return told(
    isGood,
    `cut into 2 and 3 ${
      withRegions ? "with" : "without"
    } regions for 40 s: ${least} addresses at least, all back after ${seconds(backS)}`,
  );
}

/** Three of the servers go, one after the other, each 3 s after it was to be destroyed. */
async function isReplaced(stage: Stage): Promise<boolean> {
  const { networks, records } = stage;
  for (const server of [3, 4]) await stage.kill(server);
  if (await stage.until(() => stage.has(0, 1, 2), 60) === null) return told(false, "three servers are left");
  const client = new Client(stage);
  const destroyed: string[] = [];
  const ends: Promise<void>[] = [];
  const destroyer = {
    destroy: ([address]: readonly string[]) => {
      const server = [0, 1, 2].find((each) => networks.address(each) === address)!;
      const spare = SERVERS + destroyed.push(address!) - 1;
      ends.push(
        systemClock.sleep(3_000, signal).then(() => stage.kill(server)).then(() => stage.start(spare)),
      );
      return Promise.resolve();
    },
  };
  const start = performance.now();
  try {
    await rollingReplace({
      fqdn: FQDN,
      type: "A",
      intervalMs: INTERVAL_MS,
      records,
      probe: connectionProbe({ port: PORT, tls: true, http: null, version: "0" }),
      region: { filter: (addresses) => Promise.resolve(addresses) },
      destroyer,
      clock: systemClock,
      log,
    }, signal);
  } finally {
    await client[Symbol.asyncDispose]();
    await Promise.all(ends);
  }
  const tookS = (performance.now() - start) / 1000;
  const lock = (await records.read(`_blocked.${FQDN}`, "TXT", signal)).values.length;
  const isGood = client.failed.length === 0 && new Set(destroyed).size === 3 && destroyed.length === 3 &&
    stage.has(5, 6, 7) && lock === 0;
  for (const failure of client.failed.slice(0, 5)) console.log(`      ${failure}`);
  return told(
    isGood,
    `three servers were replaced in ${
      seconds(tookS)
    }: ${client.connected} connections, ${client.failed.length} failed, ` +
      `${destroyed.length} destroyed, ${lock === 0 ? "no lock left" : "a lock is left"}`,
  );
}

/** Resolves when the TTL is over, and connects to one address after the other, 50 times a second. */
class Client implements AsyncDisposable {
  readonly failed: string[] = [];
  connected = 0;
  #isOver = false;
  readonly #running: Promise<void>;

  constructor(stage: Stage) {
    this.#running = this.#run(stage);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #run({ records }: Stage): Promise<void> {
    const under: Promise<void>[] = [];
    let known = await records.read(FQDN, "A", signal);
    let untilMs = performance.now() + known.ttl * 1000;
    for (let nextMs = performance.now(); !this.#isOver; nextMs += 20) {
      if (performance.now() >= untilMs) {
        known = await records.read(FQDN, "A", signal);
        untilMs = performance.now() + known.ttl * 1000;
      }
      under.push(this.#connect(known.values[under.length % known.values.length]!));
      await systemClock.sleep(Math.max(0, nextMs - performance.now()), signal);
    }
    await Promise.all(under);
  }

  async #connect(hostname: string): Promise<void> {
    try {
      (await Deno.connect({ hostname, port: PORT })).close();
      this.connected++;
    } catch (error) {
      this.failed.push(`${hostname}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
