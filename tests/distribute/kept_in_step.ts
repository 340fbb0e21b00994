/**
 * Zones with DNSSEC are made, changed and deleted through the proxy while services, name servers and the broker are ended and
 * started again at random and one secondary is away; then the records of each zone must be the same everywhere.
 *
 * @module
 */
import { seededRng } from "../../src/clock.ts";
import { digestOf, DnsConnection } from "../../src/distribute/zone_reading.ts";
import { freePort } from "../free_port.ts";
import {
  addressBody,
  answersOf,
  GuardedNats,
  Installation,
  type ServiceKind,
  startService,
  until,
  zoneBody,
} from "./installation.ts";
import { API_KEY } from "./power_dns_server.ts";

/** What a run is told. */
export interface RunOptions {
  readonly zones: number;
  readonly secondaries: number;
  /** Changes offered a second. */
  readonly rate: number;
  /** Of changes while all is well. */
  readonly calmSeconds: number;
  /** Of changes and faults. */
  readonly faultSeconds: number;
  /** Between two faults. */
  readonly faultEveryMs: number;
  /** Of the periodic check. */
  readonly periodicMs: number;
  /** What the executable is run by, for services that are processes and killed; `null` = they run here, and are ended. */
  readonly executable: readonly string[] | null;
  /** Whether `delv` looks at signatures. */
  readonly isValidated: boolean;
  readonly onStep: (step: string) => void;
}

/** What a run has seen. */
export interface RunSeen {
  /** Changes that PowerDNS took. */
  readonly changes: number;
  /** Changes that it refused, and how. */
  readonly refused: readonly string[];
  /** What was ended, by name. */
  readonly faults: ReadonlyMap<string, number>;
  /** Changes while all was well, and the transfers of all secondaries that they led to. */
  readonly calm: { readonly changes: number; readonly transfers: number };
  /** Transfers of all secondaries, but for those of the last moments of a service that was killed. */
  readonly transfers: number;
  /** Transfers in a quiet time with two checks. */
  readonly quietTransfers: number;
  /** From the last fault until all was the same, milliseconds. */
  readonly equalMs: number;
  /** Zones that differ somewhere. */
  readonly differing: readonly string[];
  /** From a change until a secondary answers it, with nothing else going on, milliseconds. */
  readonly aloneMs: readonly number[];
  /** The same while changes come at the rate. */
  readonly loadedMs: readonly number[];
  /** Zones that a validating resolver was asked about on each secondary, and those that it didn't take. */
  readonly validated: { readonly asked: number; readonly failed: readonly string[] };
}

/** Zones that only samples change. */
const SAMPLES = 8;
/** Changes under way at the same time. */
const CLIENTS = 8;
/** Zones that are never deleted, and may be looked at at the end. */
const KEPT = 5;
const AXFR = 'secondarysyncer_local_dns_proxy_queries_total{qtype="AXFR",state="permitted"}';
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms))); // Time is the subject.

/** Runs it. */
export async function keptInStep(options: RunOptions): Promise<RunSeen> {
  const { zones, secondaries, rate, calmSeconds, faultSeconds, periodicMs, onStep } = options;
  const rng = seededRng(7);
  await using nats = await GuardedNats.start(secondaries);
  await using installation = await Installation.start({
    ...{ nats: nats.server, secondaries, broker: (user) => nats.broker(user) },
    checks:
      `eventCheckWaitTime: 1s\nnsec3CheckInterval: 1h\nperiodicalCheckInterval: ${periodicMs}ms\nsignatureCheckInterval: 1h`,
  });
  await using services = await Services.start(installation, options);
  using client = new Client(installation);

  onStep(`${zones} zones are made`);
  const samples = Array.from({ length: SAMPLES }, (_, i) => `s${i}.test.`);
  const names = Array.from({ length: zones }, (_, i) => `z${i}.test.`);
  await client.offer([...samples, ...names], Infinity, (zone) => client.make(zone));
  await until(() => services.connected(), (all) => all);
  await untilEqual(installation, [...samples, ...names], 600_000);

  onStep("changes one by one");
  let sampled = 0;
  const sample = async () => {
    const zone = samples[sampled % SAMPLES]!;
    const address = `192.0.${2 + (sampled >> 8 & 1)}.${(sampled & 0xff) + 1}`;
    const { powerDns } = installation.secondaries[sampled++ % secondaries]!;
    const fromMs = performance.now();
    await client.change("PATCH", `/zones/${zone}`, addressBody(zone, address));
    await until(() => answersOf(powerDns, `www.${zone}`, "A"), (found) => found.includes(address));
    return performance.now() - fromMs;
  };
  const aloneMs: number[] = [];
  while (aloneMs.length < Math.min(200, zones)) aloneMs.push(await sample());

  onStep(`${calmSeconds} s of ${rate} changes a second`);
  await untilEqual(installation, [...samples, ...names], 600_000);
  const before = { changes: client.taken, transfers: await services.transfers() };
  const loadedMs: number[] = [];
  const busy = new Set<string>();
  const work = changing(client, { rng, names, busy });
  const sampling = { isOn: true };
  const samplings = (async () => {
    while (sampling.isOn) loadedMs.push(await sample());
  })();
  await client.offer(ticks(calmSeconds * rate), rate, work);
  sampling.isOn = false;
  await samplings;
  await untilEqual(installation, [...samples, ...names], 60_000);
  const calm = {
    changes: client.taken - before.changes,
    transfers: await services.transfers() - before.transfers,
  };

  onStep(`${faultSeconds} s of changes and faults`);
  const ending = new AbortController();
  const failing = services.fail({ rng, nats, ending: ending.signal, seconds: faultSeconds });
  await client.offer(ticks(faultSeconds * rate), rate, work);
  ending.abort();
  await failing;
  onStep("all must be the same");
  const fromMs = performance.now();
  const differing = await untilEqual(installation, [...samples, ...names], 3 * periodicMs + 60_000);
  const equalMs = performance.now() - fromMs;
  await until(() => services.connected(), (all) => all);
  onStep("a quiet time");
  await pause(2 * periodicMs);
  const transfers = await services.transfers();
  await pause(2 * periodicMs);
  const quietTransfers = await services.transfers() - transfers;
  const { taken: changes, refused } = client;
  const validated = await validatedOf(installation, names.slice(0, options.isValidated ? KEPT : 0));
  return {
    ...{ changes, refused, faults: services.faults, calm, transfers, quietTransfers, equalMs, differing },
    ...{ aloneMs, loadedMs, validated },
  };
}

const ticks = (count: number) => Array.from({ length: count }, (_, i) => String(i));

/** A change of a zone that none goes on of: of twenty one is a new zone, and one a deleted one. */
function changing(
  client: Client,
  { rng, names, busy }: { readonly rng: () => number; readonly names: string[]; readonly busy: Set<string> },
): () => Promise<void> {
  let made = 0;
  return async () => {
    const draw = rng() % 20;
    const zone = draw === 0 ? `n${made++}-${rng() % 1_000}.test.` : names[rng() % names.length]!;
    if (busy.has(zone)) return;
    busy.add(zone);
    try {
      if (draw === 0) {
        if (await client.make(zone)) names.push(zone);
      } else if (draw === 1 && names.length > KEPT + 2 && names.indexOf(zone) >= KEPT) {
        names.splice(names.indexOf(zone), 1);
        await client.change("DELETE", `/zones/${zone}`);
      } else await client.change("PATCH", `/zones/${zone}`, addressBody(zone, `192.0.2.${rng() % 250 + 1}`));
    } finally {
      busy.delete(zone);
    }
  };
}

/** A client of the proxy that keeps its connections. */
class Client implements Disposable {
  readonly #installation: Installation;
  #client: Deno.HttpClient | null = null;
  /** Changes that were taken. */
  taken = 0;
  /** Changes that were refused, and how. */
  readonly refused: string[] = [];

  constructor(installation: Installation) {
    this.#installation = installation;
  }

  make(zone: string): Promise<boolean> {
    return this.change("POST", "/zones", zoneBody(zone, { dnssec: true, nsec3param: "1 0 0 -" }));
  }

  /** Whether PowerDNS has taken it; what nothing answers counts as neither. */
  async change(method: string, path: string, body?: object): Promise<boolean> {
    const { folder, url } = this.#installation;
    this.#client ??= Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(`${folder}/cacert.pem`)] });
    try {
      const response = await fetch(`${url}/api/v1/servers/localhost${path}`, {
        ...{ method, client: this.#client, headers: { "X-API-Key": API_KEY } },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (response.ok) this.taken++;
      // 502 is a proxy without its PowerDNS, 404 and 409 what a change of before has done after all.
      else if (![404, 409, 502].includes(response.status)) {
        this.refused.push(`${method} ${path}: ${response.status} ${text.trim().slice(0, 200)}`);
      }
      return response.ok;
    } catch {
      return false;
    }
  }

  /** Has something done for each, so many a second at most. */
  async offer(
    items: readonly string[],
    rate: number,
    act: (item: string) => Promise<unknown>,
  ): Promise<void> {
    const fromMs = performance.now();
    let next = 0;
    const run = async () => {
      for (let i = next++; i < items.length; i = next++) {
        await pause(fromMs + i * 1000 / rate - performance.now());
        await act(items[i]!);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, run));
  }

  [Symbol.dispose](): void {
    this.#client?.close();
  }
}

/** A service that is killed and started again. */
interface Killable {
  metric(name: string): Promise<number>;
  kill(): Promise<void>;
}

/** The services of an installation. */
class Services implements AsyncDisposable {
  readonly #installation: Installation;
  readonly #options: RunOptions;
  readonly #starts: readonly (readonly [name: ServiceKind, start: () => Promise<Killable>])[];
  readonly #running: (Killable | null)[] = [];
  #transfersBefore = 0;
  /** What was ended, by name. */
  readonly faults = new Map<string, number>();

  private constructor(installation: Installation, options: RunOptions) {
    this.#installation = installation;
    this.#options = options;
    const { executable } = options;
    const kinds: readonly (readonly [ServiceKind, number])[] = [
      ...([["api-proxy", 0], ["zone-provider", 0], ["zone-provider", 1]] as const),
      ...([["health-checker", 0], ["health-checker", 1]] as const),
      ...installation.secondaries.map((_, i) => ["secondary-syncer", i] as const),
    ];
    this.#starts = kinds.map(([kind, i]) => [
      kind,
      () =>
        executable === null
          ? startHere(kind, installation, i)
          : startProcess(kind, installation, i, executable),
    ]);
  }

  static async start(installation: Installation, options: RunOptions): Promise<Services> {
    const services = new Services(installation, options);
    // The first one makes the certificate.
    for (const [i, [, start]] of services.#starts.entries()) services.#running[i] = await start();
    return services;
  }

  async connected(): Promise<boolean> {
    const leading = this.#starts.flatMap(([kind], i) => kind === "health-checker" ? [this.#running[i]!] : []);
    const counts = await Promise.all(leading.map((each) => each.metric("healthchecker_leading")));
    return counts.reduce((sum, each) => sum + each, 0) === 1;
  }

  async transfers(): Promise<number> {
    const counts = await Promise.all(this.#running.map((each) => each?.metric(AXFR) ?? 0));
    return counts.reduce((sum, each) => sum + each, this.#transfersBefore);
  }

  /** Ends one after the other, name servers of secondaries and the broker, too; the last secondary is away for a third of the time. */
  async fail({ rng, nats, ending, seconds }: {
    readonly rng: () => number;
    readonly nats: GuardedNats;
    readonly ending: AbortSignal;
    readonly seconds: number;
  }): Promise<void> {
    const { faultEveryMs } = this.#options;
    const { secondaries } = this.#installation;
    const last = this.#starts.length - 1;
    const count = (name: string) => this.faults.set(name, (this.faults.get(name) ?? 0) + 1);
    const away = this.#kill(last).then(async () => {
      await pause(seconds * 1000 / 3);
      this.#running[last] = await this.#starts[last]![1]();
    });
    count("secondary away");
    while (!ending.aborted) {
      await pause(faultEveryMs);
      const i = rng() % (last + 3);
      if (i < last) {
        count(this.#starts[i]![0]);
        await this.#kill(i);
        this.#running[i] = await this.#starts[i]![1]();
      } else if (i === last) {
        count("NATS");
        await nats.server.kill();
        await nats.server.start();
      } else {
        count("PowerDNS of a secondary");
        const { powerDns } = secondaries[rng() % secondaries.length]!;
        await powerDns.kill();
        await powerDns.start();
      }
    }
    await away;
  }

  async #kill(i: number): Promise<void> {
    const ended = this.#running[i]!;
    this.#transfersBefore += await ended.metric(AXFR);
    this.#running[i] = null;
    await ended.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.#running) await each?.kill();
  }
}

async function startHere(kind: ServiceKind, installation: Installation, i: number): Promise<Killable> {
  const service = await startService(kind, installation.givenTo(kind, i));
  return {
    metric: (name) => Promise.resolve(service.metric(name)),
    kill: async () => await service[Symbol.asyncDispose](),
  };
}

async function startProcess(
  kind: ServiceKind,
  installation: Installation,
  i: number,
  [command, ...args]: readonly string[],
): Promise<Killable> {
  const { yaml, host } = installation.givenTo(kind, i);
  const port = freePort();
  const file = `${installation.folder}/${kind}-${i}.yaml`;
  const text = `${
    yaml.replace("service: { ", `service: { host: ${host}, `)
  }\nprometheus: { address: "127.0.0.1:${port}" }`;
  await Deno.writeTextFile(file, `distribute:\n${text.replaceAll(/^/gm, "  ")}\n`);
  const child = new Deno.Command(command!, {
    args: [...args, "distribute", kind, "-c", file],
    ...{ stdin: "null", stdout: "null", stderr: "null" },
  }).spawn();
  const metric = async (name: string) => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => null);
    const line = (await response?.text())?.split("\n").find((each) => each.startsWith(`${name} `));
    return line === undefined ? 0 : Number(line.slice(name.length + 1));
  };
  // While the broker is away nothing connects; that it serves is enough.
  await until(
    () =>
      fetch(`http://127.0.0.1:${port}/metrics`).then(
        ({ body }) => body!.cancel().then(() => true),
        () => false,
      ),
    (isUp) => isUp,
  );
  return {
    metric,
    kill: async () => {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

/** Waits until nothing differs, and says what still does. */
async function untilEqual(
  installation: Installation,
  names: readonly string[],
  longestMs: number,
): Promise<readonly string[]> {
  const endMs = performance.now() + longestMs;
  for (;;) {
    const differing = await differingZones(installation, names).catch((error) => [String(error)]);
    if (differing.length === 0 || performance.now() > endMs) return differing;
    await pause(200);
  }
}

/** Zones whose records aren't the same everywhere, signatures aside; each secondary's first 20. */
async function differingZones(
  { primary, secondaries }: Installation,
  names: readonly string[],
): Promise<string[]> {
  const open = (port: number) => DnsConnection.open({ hostname: "127.0.0.1", port }, 10_000);
  const held = async (server: { api: Installation["primary"]["api"] }): Promise<Map<string, number>> => {
    const zones: readonly { readonly name: string; readonly edited_serial: number }[] = JSON.parse(
      (await server.api("GET", "/zones")).text,
    );
    return new Map(zones.map(({ name, edited_serial }) => [name, edited_serial]));
  };
  const ours = await held(primary);
  const found: string[] = names.filter((name) => !ours.has(name)).map((name) =>
    `${name} isn't on the primary`
  );
  for (const { powerDns, host } of secondaries) {
    const theirs = await held(powerDns);
    const differing = new Set([
      ...[...ours].filter(([name, serial]) => theirs.get(name) !== serial).map(([name]) => name),
      ...[...theirs.keys()].filter((name) => !ours.has(name)),
    ]);
    found.push(
      ...[...differing].slice(0, 20).map((name) =>
        `${name} on ${host}: serial ${ours.get(name)} and ${theirs.get(name)}`
      ),
    );
  }
  // The content is looked at when serials are the same: that takes longer.
  if (found.length > 0) return found;
  using primaryDns = await open(primary.dnsPort);
  const digests = new Map<string, string>();
  for (const name of ours.keys()) digests.set(name, await digestOf(primaryDns, name));
  for (const { powerDns, host } of secondaries) {
    using dns = await open(powerDns.dnsPort);
    for (const [name, digest] of digests) {
      if (await digestOf(dns, name).catch(() => "none") !== digest) {
        found.push(`${name} on ${host}: its content`);
      }
    }
  }
  return found;
}

/** Has `delv` judge the signatures of zones on each secondary, by their keys on the primary. */
async function validatedOf(
  { primary, secondaries, folder }: Installation,
  names: readonly string[],
): Promise<RunSeen["validated"]> {
  const failed: string[] = [];
  for (const name of names) {
    const keys: readonly { readonly dnskey: string }[] = JSON.parse(
      (await primary.api("GET", `/zones/${name}/cryptokeys`)).text,
    );
    const anchors = keys.map(({ dnskey }) => {
      const [flags, protocol, algorithm, key] = dnskey.split(" ");
      return `${name} static-key ${flags} ${protocol} ${algorithm} "${key}";`;
    });
    await Deno.writeTextFile(`${folder}/anchors`, `trust-anchors { ${anchors.join(" ")} };\n`);
    for (const { powerDns, host } of secondaries) {
      const { stdout, stderr } = await new Deno.Command("delv", {
        args: [
          "@127.0.0.1",
          "-p",
          `${powerDns.dnsPort}`,
          "-a",
          `${folder}/anchors`,
          `+root=${name}`,
          name,
          "SOA",
        ],
      }).output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      if (!said.includes("; fully validated")) {
        failed.push(`${name} on ${host}: ${said.trim().split("\n")[0]}`);
      }
    }
  }
  return { asked: names.length * secondaries.length, failed };
}
