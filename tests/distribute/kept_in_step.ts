/**
 * Zones with DNSSEC are made, changed and deleted through the proxy while services, name servers and the broker are ended and
 * started again at random and one secondary is away; then the records of each zone must be the same everywhere.
 *
 * @module
 */
import { type Clock, seededRng, systemClock } from "../../src/clock.ts";
import { readEvent } from "../../src/distribute/messages.ts";
import { digestOf, withDns } from "../../src/distribute/zone_reading.ts";
import { freePort } from "../free_port.ts";
import type { NatsServer } from "../nats/server.ts";
import { deleteIntoTransfers, orphansOf } from "./deletes.ts";
import { anchorsOf, delvSays } from "./delv.ts";
import {
  addressBody,
  answersOf,
  connectAs,
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
  /** Changes offered a second, those of samples among them. */
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
  /** Whether a Thursday comes, on which every signed zone is fetched again. */
  readonly hasThursday: boolean;
  /** Signed names of a large zone that is made while samples are taken; 0 = there is none. */
  readonly largeNames: number;
  /** Deletes of zones that are being transferred. */
  readonly deletes: number;
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
  /** From the last fault until all was found to be the same, milliseconds. */
  readonly equalMs: number;
  /** Zones that differ somewhere. */
  readonly differing: readonly string[];
  /** What the same change takes with and without the proxy, one after the other, milliseconds. */
  readonly proxy: { readonly throughMs: readonly number[]; readonly pastMs: readonly number[] };
  /** What changes took until a secondary answered them, with nothing else going on. */
  readonly alone: readonly Sample[];
  /** The same while changes come at the rate. */
  readonly loaded: readonly Sample[];
  /** Changes of samples that weren't taken, or that no secondary answered in a minute. */
  readonly lost: readonly string[];
  /** Where the time of a zone goes on the secondaries while changes come at the rate. */
  readonly stages: readonly StageTime[];
  /** Processor time for each change while changes come at the rate, milliseconds, by program. */
  readonly cpuMs: ReadonlyMap<string, number>;
  /** Calls of the API of all secondaries for each change while changes come at the rate, by kind. */
  readonly calls: ReadonlyMap<string, number>;
  /** The signing sync of a Thursday; `null` = there was none. */
  readonly thursday: {
    readonly zones: number;
    readonly transfers: number;
    readonly tookMs: number;
    readonly samples: readonly Sample[];
  } | null;
  /** Samples while a large zone came to all secondaries, and how long that took, infinite = it didn't; `null` = there was none. */
  readonly large: { readonly tookMs: number; readonly samples: readonly Sample[] } | null;
  /** Records on secondaries that belong to no zone. */
  readonly orphans: number;
  /** Answers of secondaries that a validating resolver judged, and those that it didn't take. */
  readonly validated: { readonly asked: number; readonly failed: readonly string[] };
}

/** What a change took, milliseconds. */
export interface Sample {
  /** From its sending until its event. */
  readonly toEventMs: number;
  /** From its event until a secondary answered it. */
  readonly toAnswerMs: number;
}

/** How long a step of a zone took on secondaries. */
export interface StageTime {
  readonly stage: string;
  readonly count: number;
  /** Upper bounds of the buckets that half and 99 of 100 are in, milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** What is waited for longer is told. */
const TELL_MS = 5_000;
/** Of the changes that are offered, so many are samples. */
const SAMPLE_SHARE = 0.1;
/** Zones that only samples change. */
const SAMPLES = 8;
/** Zones that are compared at the same time. */
const COMPARED_AT_ONCE = 4;
/** Changes under way at the same time. */
const CLIENTS = 8;
/** Zones that are never deleted, and may be looked at at the end. */
const KEPT = 5;
const AXFR = 'secondarysyncer_local_dns_proxy_queries_total{qtype="AXFR",state="permitted"}';
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms))); // Time is the subject.

/** Runs it. */
export async function keptInStep(options: RunOptions): Promise<RunSeen> {
  const { zones, secondaries, rate, calmSeconds, faultSeconds, periodicMs, onStep } = options;
  const { hasThursday, largeNames } = options;
  const rng = seededRng(7);
  await using nats = await GuardedNats.start(secondaries);
  await using installation = await Installation.start({
    ...{ nats: nats.server, secondaries, broker: (user) => nats.broker(user) },
    // As docs/distribute.md says for many small zones.
    primary: ["signing-threads=1"],
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
  await untilEqual(installation, [...samples, ...names], { longestMs: 600_000, onStep, isQuick: true });

  onStep("changes one by one");
  await using sampler = await Sampler.start(installation, { nats, client, samples });
  const alone = await sampler.take(Math.min(200, zones));
  onStep(`  ${toldOf(alone)}`);
  const proxy = await proxyTimes(installation, { client, zone: samples[0]!, count: Math.min(200, zones) });

  onStep(`${calmSeconds} s of ${rate} changes a second`);
  await untilEqual(installation, [...samples, ...names], { longestMs: 600_000, onStep, isQuick: true });
  const before = { changes: client.taken, transfers: await services.transfers() };
  const meter = await services.meter(nats.server);
  const busy = new Set<string>();
  const work = changing(client, { rng, names, busy });
  const others = rate * (1 - SAMPLE_SHARE);
  const loaded = await sampler.takeDuring(
    client.offer(ticks(calmSeconds * others), others, work),
    1_000 / (rate * SAMPLE_SHARE),
  );
  const { stages, cpuMs, calls } = await meter(client.taken - before.changes);
  const allMs = [...cpuMs.values()].reduce((sum, ms) => sum + ms, 0);
  onStep(`  processor time for each of ${client.taken - before.changes} changes: ${allMs.toFixed(1)} ms`);
  onStep(`  ${toldOf(loaded)}`);
  await untilEqual(installation, [...samples, ...names], { longestMs: 60_000, onStep, isQuick: true });
  const calm = {
    changes: client.taken - before.changes,
    transfers: await services.transfers() - before.transfers,
  };
  if (hasThursday) onStep("a Thursday");
  const thursday = hasThursday ? await thursdayOf(installation, { services, sampler }) : null;
  if (thursday !== null) onStep(`  ${toldOf(thursday.samples)}`);
  if (largeNames > 0) onStep(`a zone of ${largeNames} signed names`);
  const large = largeNames > 0 ? await largeZone(installation, { client, sampler, names: largeNames }) : null;
  if (large !== null) onStep(`  ${toldOf(large.samples)}`);
  if (options.deletes > 0) onStep(`${options.deletes} deletes into transfers`);
  if (options.deletes > 0) await deleteIntoTransfers(installation, { nats, rounds: options.deletes });
  onStep(`${faultSeconds} s of changes and faults`);
  const ending = new AbortController();
  const failing = services.fail({ rng, nats, ending: ending.signal, seconds: faultSeconds });
  await client.offer(ticks(faultSeconds * rate), rate, work);
  ending.abort();
  await failing;
  onStep("all must be the same");
  const { differing, tookMs: equalMs } = await untilEqual(
    installation,
    [...samples, ...names],
    { longestMs: 3 * periodicMs + 60_000, onStep, isQuick: false },
  );
  await until(() => services.connected(), (all) => all);
  onStep("a quiet time");
  await until(() => services.idle(), (isIdle) => isIdle);
  await pause(periodicMs);
  const transfers = await services.transfers();
  await pause(2 * periodicMs);
  const quietTransfers = await services.transfers() - transfers;
  const { taken: changes, refused } = client;
  const validated = await validatedOf(installation, names.slice(0, options.isValidated ? KEPT : 0));
  return {
    ...{ changes, refused, faults: services.faults, calm, transfers, quietTransfers, equalMs, differing },
    ...{ proxy, alone, loaded, lost: sampler.lost, stages, cpuMs, calls, thursday, large, validated },
    orphans: orphansOf(installation.secondaries.map(({ powerDns }) => powerDns)),
  };
}

/** Samples that took longer are named. */
const SLOW_MS = 300;

/** What is known of a phase is told when it ends: the whole takes minutes. */
function toldOf(samples: readonly Sample[]): string {
  const times = samples.map(({ toAnswerMs }) => toAnswerMs).sort((a, b) => a - b);
  const at = (share: number) => times[Math.ceil(times.length * share) - 1]?.toFixed(0);
  const slowest = samples.map(({ toAnswerMs }, i) => ({ i, toAnswerMs }))
    .filter(({ toAnswerMs }) => toAnswerMs > SLOW_MS)
    .map(({ i, toAnswerMs }) => `${toAnswerMs.toFixed(0)} (${i})`);
  return `event to answer of ${times.length}: half within ${at(0.5)} ms, 99 of 100 within ${at(0.99)} ms` +
    (slowest.length > 0 ? `; slow, and which: ${slowest.slice(0, 10).join(", ")}` : "");
}

const ticks = (count: number) => Array.from({ length: count }, (_, i) => String(i));

/** Changes zones one after the other, and sees how long it takes until a secondary answers the change. */
class Sampler implements AsyncDisposable {
  readonly #installation: Installation;
  readonly #needs: { readonly client: Client; readonly samples: readonly string[] };
  readonly #connection: Awaited<ReturnType<typeof connectAs>>;
  /** When the last event of a zone was made, Unix milliseconds. */
  readonly #events = new Map<string, number>();
  #taken = 0;
  /** What didn't arrive, and why. */
  readonly lost: string[] = [];

  private constructor(
    installation: Installation,
    needs: { readonly client: Client; readonly samples: readonly string[] },
    connection: Awaited<ReturnType<typeof connectAs>>,
  ) {
    this.#installation = installation;
    this.#needs = needs;
    this.#connection = connection;
  }

  /** Listens to events. */
  static async start(
    installation: Installation,
    { nats, client, samples }: {
      readonly nats: GuardedNats;
      readonly client: Client;
      readonly samples: readonly string[];
    },
  ): Promise<Sampler> {
    const connection = await connectAs(nats, "health-checker");
    const sampler = new Sampler(installation, { client, samples }, connection);
    connection.subscribe("zone.modified", {
      callback: (_, { data }) => {
        const event = readEvent("modified", data);
        if ("zone" in event) sampler.#events.set(event.zone, event.atMs);
      },
    });
    await connection.flush();
    return sampler;
  }

  /** So many of them. */
  async take(count: number): Promise<readonly Sample[]> {
    const taken: Sample[] = [];
    for (let i = 0; i < count; i++) taken.push(...await this.#one());
    return taken;
  }

  /** As many as there is time for until that has ended. @param everyMs between the beginnings of two, at least */
  async takeDuring(work: Promise<unknown>, everyMs = 0): Promise<readonly Sample[]> {
    const taken: Sample[] = [];
    const during = { is: true };
    const ended = work.finally(() => during.is = false);
    for (let nextMs = performance.now(); during.is; nextMs = Math.max(nextMs + everyMs, performance.now())) {
      await pause(nextMs - performance.now());
      taken.push(...await this.#one());
    }
    await ended;
    return taken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close();
  }

  /** One; none when it is lost. */
  async #one(): Promise<readonly Sample[]> {
    const { client, samples } = this.#needs;
    const { secondaries } = this.#installation;
    const i = this.#taken++;
    const zone = samples[i % samples.length]!;
    const address = `198.51.${100 + Math.floor(i / 250) % 100}.${i % 250 + 1}`;
    const { powerDns, host } = secondaries[i % secondaries.length]!;
    const sentMs = Date.now();
    if (!await client.change("PATCH", `/zones/${zone}`, addressBody(zone, address))) {
      this.lost.push(`${zone} ${address}: the change wasn't taken`);
      return [];
    }
    const takenMs = Date.now();
    const isAnswered = await until(
      () => answersOf(powerDns, `www.${zone}`, "A"),
      (found) => found.includes(address),
    ).then(() => true, (error) => void this.lost.push(`${zone} ${address} on ${host}: ${error.message}`));
    if (!isAnswered) return [];
    const eventMs = Math.max(this.#events.get(zone) ?? takenMs, sentMs);
    return [{ toEventMs: eventMs - sentMs, toAnswerMs: Date.now() - eventMs }];
  }
}

/** The last one goes through the proxy, so that its event says what there is. */
async function proxyTimes(
  { primary }: Installation,
  { client, zone, count }: { readonly client: Client; readonly zone: string; readonly count: number },
): Promise<RunSeen["proxy"]> {
  const throughMs: number[] = [];
  const pastMs: number[] = [];
  const path = `/zones/${zone}`;
  for (let i = 0; i < count; i++) {
    const body = addressBody(zone, `203.0.113.${i % 250 + 1}`);
    const fromMs = performance.now();
    await primary.api("PATCH", path, body);
    const betweenMs = performance.now();
    await client.change("PATCH", path, body);
    pastMs.push(betweenMs - fromMs);
    throughMs.push(performance.now() - betweenMs);
  }
  return { throughMs, pastMs };
}

/** A checker that has a Thursday now orders every signed zone of every secondary, while samples are taken. */
async function thursdayOf(
  installation: Installation,
  { services, sampler }: { readonly services: Services; readonly sampler: Sampler },
): Promise<NonNullable<RunSeen["thursday"]>> {
  // 1970-01-01 was a Thursday.
  const weekMs = 7 * 86_400_000;
  const thursdayMs = Math.ceil(Date.now() / weekMs) * weekMs + 3_600_000;
  const shiftMs = thursdayMs - 10_000 - Date.now();
  const clock: Clock = { ...systemClock, unixMs: () => systemClock.unixMs() + shiftMs };
  await using checker = await installation.checker({ clock, isAlone: true });
  const before = await services.transfers();
  const fromMs = performance.now();
  const ordered = () =>
    checker.metric('healthchecker_interval_signing_sync_published_zone_events_total{event_type="change"}');
  const zones = checker.metric("healthchecker_actual_dnssec_primary_zone_count");
  const done = async () => {
    const endMs = fromMs + 60_000 + zones * 500;
    while (ordered() < zones * installation.secondaries.length && performance.now() < endMs) await pause(50);
  };
  const samples = await sampler.takeDuring(done());
  const tookMs = performance.now() - fromMs;
  await until(() => services.idle(), (isIdle) => isIdle);
  return { zones, transfers: await services.transfers() - before, tookMs, samples };
}

/** A zone of so many names, signed, is made and comes to all secondaries, while samples are taken. */
async function largeZone(
  { secondaries }: Installation,
  { client, sampler, names }: { readonly client: Client; readonly sampler: Sampler; readonly names: number },
): Promise<NonNullable<RunSeen["large"]>> {
  const lines = Array.from({ length: names }, (_, i) => `h${i} 60 IN A 192.0.2.${i % 250 + 1}`);
  const zone = ["@ 60 IN SOA ns1 hostmaster 1 10800 3600 604800 3600", "@ 60 IN NS ns1", ...lines].join("\n");
  const query = "SELECT count(*) AS n FROM records WHERE type = 'A' AND name LIKE '%.large.test'";
  const here = () => secondaries.map(({ powerDns }) => Number(powerDns.rows(query)[0]?.["n"]));
  const whenAll = async (count: number): Promise<boolean> => {
    const endMs = performance.now() + 180_000;
    while (here().some((each) => each !== count)) {
      if (performance.now() > endMs) return false;
      await pause(500);
    }
    return true;
  };
  const fromMs = performance.now();
  let isThere = false;
  const coming = async () => {
    const body = {
      ...zoneBody("large.test."),
      nameservers: [],
      zone: `$ORIGIN large.test.\n${zone}\n`,
      dnssec: true,
    };
    isThere = await client.change("POST", "/zones", body) && await whenAll(names);
  };
  const samples = await sampler.takeDuring(coming());
  const tookMs = isThere ? performance.now() - fromMs : Infinity;
  // Others are compared record by record, again and again.
  await client.change("DELETE", "/zones/large.test.");
  await whenAll(0);
  return { tookMs, samples };
}

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
  /** Its metrics as text; empty = it doesn't say. */
  text(): Promise<string>;
  /** `null` = it is no process of its own. */
  readonly pid: number | null;
  kill(): Promise<void>;
}

/** The value of a metric, labels as they are exposed; 0 = there is none. */
function valueIn(text: string, name: string): number {
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

/** The services of an installation. */
class Services implements AsyncDisposable {
  readonly #installation: Installation;
  readonly #options: RunOptions;
  readonly #starts: readonly (readonly [name: ServiceKind, start: () => Promise<Killable>])[];
  readonly #running: (Killable | null)[] = [];
  #transfersBefore = 0;
  /** One that is stopped, and mustn't be killed. */
  #stopped: Killable | null = null;
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
    const texts = await Promise.all(leading.map((each) => each.text()));
    const counts = texts.map((text) => valueIn(text, "healthchecker_leading"));
    return counts.reduce((sum, each) => sum + each, 0) === 1;
  }

  async transfers(): Promise<number> {
    const texts = await Promise.all(this.#running.map((each) => each?.text() ?? ""));
    return texts.reduce((sum, text) => sum + valueIn(text, AXFR), this.#transfersBefore);
  }

  /** Whether no secondary works on anything. */
  async idle(): Promise<boolean> {
    const texts = await Promise.all(this.#running.map((each) => each?.text() ?? ""));
    return texts.every((text) => valueIn(text, "secondarysyncer_worker_lock_count") === 0);
  }

  /** Begins to measure; what it gives is told the changes and ends it. */
  async meter(
    nats: NatsServer,
  ): Promise<(changes: number) => Promise<Pick<RunSeen, "stages" | "cpuMs" | "calls">>> {
    const [stagesBefore, cpuBefore] = [await this.#stages(), await this.#cpu(nats)];
    const callsBefore = await this.#calls();
    return async (changes) => {
      const [stages, cpu, calls] = [await this.#stages(), await this.#cpu(nats), await this.#calls()];
      const forEach = (counts: ReadonlyMap<string, number>, before: ReadonlyMap<string, number>) =>
        new Map(
          [...counts].map((
            [name, count],
          ) => [name, (count - (before.get(name) ?? 0)) / Math.max(1, changes)]),
        );
      return {
        stages: [...stages].map(([stage, counts]) => stageTime(stage, counts, stagesBefore.get(stage))),
        cpuMs: forEach(cpu, cpuBefore),
        calls: forEach(calls, callsBefore),
      };
    };
  }

  /** Calls of the API of all secondaries so far, by kind. */
  async #calls(): Promise<Map<string, number>> {
    const calls = new Map<string, number>();
    for (const each of this.#running) {
      const lines = (await each?.text() ?? "").matchAll(
        /^secondarysyncer_powerdns_api_call_total\{state="\w+",type="(\w+)"\} (\d+)$/gm,
      );
      for (const [, type, count] of lines) calls.set(type!, (calls.get(type!) ?? 0) + Number(count));
    }
    return calls;
  }

  /** Of all syncers together: jobs that took no longer than each bound, by step. */
  async #stages(): Promise<Map<string, Map<number, number>>> {
    const stages = new Map<string, Map<number, number>>();
    for (const each of this.#running) {
      const lines = (await each?.text() ?? "").matchAll(
        /^secondarysyncer_sync_duration_seconds_bucket\{stage="(\w+)",le="([^"]+)"\} (\d+)$/gm,
      );
      for (const [, stage, le, count] of lines) {
        const bounds = stages.get(stage!) ?? new Map<number, number>();
        const bound = le === "+Inf" ? Infinity : Number(le);
        stages.set(stage!, bounds.set(bound, (bounds.get(bound) ?? 0) + Number(count)));
      }
    }
    return stages;
  }

  /** Processor time so far, milliseconds, by program; those that run here have none of their own. */
  async #cpu(nats: NatsServer): Promise<Map<string, number>> {
    const { primary, secondaries } = this.#installation;
    const rows: readonly (readonly [string, number | null])[] = [
      ...this.#starts.map(([kind], i) => [kind, this.#running[i]?.pid ?? null] as const),
      ["PowerDNS, primary", primary.pid],
      ...secondaries.map(({ powerDns }) => ["PowerDNS, secondaries", powerDns.pid] as const),
      ["NATS", nats.pid],
      ["this test", Deno.pid],
    ];
    const used = new Map<string, number>();
    for (const [name, pid] of rows) {
      if (pid === null) continue;
      // proc_pid_stat(5): fields 14 and 15, in hundredths of a second.
      const fields = (await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "")).split(") ")[1]?.split(
        " ",
      );
      const ticks = Number(fields?.[11] ?? 0) + Number(fields?.[12] ?? 0);
      used.set(name, (used.get(name) ?? 0) + ticks * 10);
    }
    return used;
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
    const stopped = this.#stopLeader(Math.min(20, seconds / 3)).then((isStopped) => {
      if (isStopped) count("leading checker stopped for a while");
    });
    while (!ending.aborted) {
      await pause(faultEveryMs);
      const i = rng() % (last + 3);
      if (i < last) {
        if (this.#running[i] === this.#stopped) continue;
        count(this.#starts[i]![0]);
        await this.#kill(i);
        this.#running[i] = await this.#starts[i]![1]();
      } else if (i === last) {
        const wipe = rng() % 2 === 0;
        count(wipe ? "NATS wiped" : "NATS");
        await nats.server.kill({ wipe });
        await nats.server.start();
      } else {
        count("PowerDNS of a secondary");
        const { powerDns } = secondaries[rng() % secondaries.length]!;
        await powerDns.kill();
        await powerDns.start();
      }
    }
    await away;
    await stopped;
  }

  /** Stops the checker that checks, longer than its lease lasts, and has it go on; whether there was one that is a process. */
  async #stopLeader(seconds: number): Promise<boolean> {
    for (const each of this.#running) {
      if (each?.pid == null || valueIn(await each.text(), "healthchecker_leading") === 0) continue;
      this.#stopped = each;
      Deno.kill(each.pid, "SIGSTOP");
      await pause(seconds * 1000);
      Deno.kill(each.pid, "SIGCONT");
      this.#stopped = null;
      return true;
    }
    return false;
  }

  async #kill(i: number): Promise<void> {
    const ended = this.#running[i]!;
    this.#transfersBefore += valueIn(await ended.text(), AXFR);
    this.#running[i] = null;
    await ended.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.#running) await each?.kill();
  }
}

function stageTime(
  stage: string,
  counts: ReadonlyMap<number, number>,
  before: ReadonlyMap<number, number> | undefined,
): StageTime {
  const rows = [...counts].map(([bound, count]) => [bound, count - (before?.get(bound) ?? 0)] as const)
    .sort(([a], [b]) => a - b);
  const count = rows.at(-1)?.[1] ?? 0;
  const boundOf = (share: number) => (rows.find(([, below]) => below >= count * share)?.[0] ?? NaN) * 1000;
  return { stage, count, p50Ms: boundOf(0.5), p99Ms: boundOf(0.99) };
}

async function startHere(kind: ServiceKind, installation: Installation, i: number): Promise<Killable> {
  const service = await startService(kind, installation.givenTo(kind, i));
  return {
    text: () => Promise.resolve(service.text()),
    pid: null,
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
  const settings = `${
    yaml.replace("service: { ", `service: { host: ${host}, `)
  }\nprometheus: { address: "127.0.0.1:${port}" }`;
  await Deno.writeTextFile(file, `distribute:\n${settings.replaceAll(/^/gm, "  ")}\n`);
  const child = new Deno.Command(command!, {
    args: [...args, "distribute", kind, "-c", file],
    ...{ stdin: "null", stdout: "null", stderr: "null" },
  }).spawn();
  const text = async () =>
    await fetch(`http://127.0.0.1:${port}/metrics`).then((response) => response.text(), () => "");
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
    text,
    pid: child.pid,
    kill: async () => {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

/** Waits until nothing differs, and says what still does, and how long it was until nothing did. */
async function untilEqual(
  installation: Installation,
  names: readonly string[],
  { longestMs, onStep, isQuick }: {
    readonly longestMs: number;
    readonly onStep: (step: string) => void;
    /** Whether the same serials are enough. */
    readonly isQuick: boolean;
  },
): Promise<{ readonly differing: readonly string[]; readonly tookMs: number }> {
  const fromMs = performance.now();
  let toldMs = fromMs;
  for (;;) {
    // Looking takes a while, too: what is the same was so when the look began.
    const tookMs = performance.now() - fromMs;
    const differing = await differingZones(installation, names, isQuick).catch((error) => [String(error)]);
    if (differing.length === 0 || tookMs > longestMs) return { differing, tookMs };
    if (performance.now() - toldMs > TELL_MS) {
      onStep(`  still differ, or aren't there: ${differing.length}, such as ${differing[0]}`);
      toldMs = performance.now();
    }
    await pause(200);
  }
}

/** Zones whose records aren't the same everywhere, signatures aside; each secondary's first 20. */
async function differingZones(
  { primary, secondaries }: Installation,
  names: readonly string[],
  isQuick: boolean,
): Promise<string[]> {
  // On a connection that is kept each transfer waits for a delayed acknowledgement, 40 ms.
  const digest = (port: number, name: string) =>
    withDns(
      { server: { hostname: "127.0.0.1", port }, timeoutMs: 10_000 },
      (connection) => digestOf(connection, name),
    );
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
  if (found.length > 0 || isQuick) return found;
  const compared = async (name: string) => {
    const ourDigest = await digest(primary.dnsPort, name);
    for (const { powerDns, host } of secondaries) {
      if (await digest(powerDns.dnsPort, name).catch(() => "none") !== ourDigest) {
        found.push(`${name} on ${host}: its content`);
      }
    }
  };
  const left = [...ours.keys()];
  const compareOnes = async () => {
    for (let name = left.pop(); name !== undefined; name = left.pop()) await compared(name);
  };
  await Promise.all(Array.from({ length: COMPARED_AT_ONCE }, compareOnes));
  return found;
}

/** Has `delv` judge what each secondary answers of zones, also of a name that there isn't. */
async function validatedOf(
  installation: Installation,
  names: readonly string[],
): Promise<RunSeen["validated"]> {
  const failed: string[] = [];
  let asked = 0;
  for (const zone of names) {
    const anchors = await anchorsOf(installation, zone);
    for (const { powerDns, host } of installation.secondaries) {
      for (const [name, type] of [[zone, "SOA"], [`none.${zone}`, "A"]] as const) {
        asked++;
        const said = await delvSays({ anchors, zone, powerDns, name, type });
        if (!said.includes("fully validated")) {
          failed.push(`${name} ${type} on ${host}: ${said.trim().split("\n")[0]}`);
        }
      }
    }
  }
  return { asked, failed };
}
