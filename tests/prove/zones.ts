/**
 * Zones stay in step whatever happens to services, broker and secondaries: `deno task prove zones [ZONES [SECONDARIES
 * [SECONDS]]]`.
 *
 * A real primary and real secondaries; zones with DNSSEC are made, changed and deleted through the proxy at up to 50 a second,
 * while services are ended and started again at random, the broker is killed, and one secondary is away for a while. At the end, within
 * one periodic check, the records of each zone are the same everywhere (signatures aside). Transfers are counted against changes, and a
 * quiet time behind it must see none.
 *
 * @module
 */
import { digestOf, DnsConnection } from "../../src/distribute/zone_reading.ts";
import { seededRng } from "../../src/clock.ts";
import {
  addressBody,
  answersOf,
  GuardedNats,
  Installation,
  type TestService,
  until,
  zoneBody,
} from "../distribute/installation.ts";

/** What a run is told. */
export interface ZonesOptions {
  readonly zones: number;
  readonly secondaries: number;
  /** Of changes and faults. */
  readonly seconds: number;
  readonly onStep: (step: string) => void;
}

/** What a run has seen. */
export interface ZonesSeen {
  /** Changes that PowerDNS took. */
  readonly changes: number;
  /** Changes that it refused. */
  readonly refused: number;
  /** Services and brokers that were ended. */
  readonly faults: number;
  /** By all secondaries. */
  readonly transfers: number;
  /** By all secondaries in a quiet time with two checks. */
  readonly quietTransfers: number;
  /** Zones that differ somewhere. */
  readonly differing: readonly string[];
  /** From a change until a secondary answers it, with nothing else going on, milliseconds. */
  readonly answeredMs: readonly number[];
}

/** Changes that are offered, a second. */
const RATE = 50;
/** Between two faults, milliseconds. */
const FAULT_EVERY_MS = 2_000;
/** The times of the checks; the periodic one is what all must be equal within. */
const CHECKS =
  "eventCheckWaitTime: 1s\nnsec3CheckInterval: 1h\nperiodicalCheckInterval: 5s\nsignatureCheckInterval: 1h";
const PERIODIC_MS = 5_000;

/** Runs the proof; 1,000 zones, three secondaries and two minutes unless told otherwise. */
export async function prove(
  [zones = "1000", secondaries = "3", seconds = "120"]: string[],
): Promise<boolean> {
  const seen = await keptInStep({
    ...{ zones: Number(zones), secondaries: Number(secondaries), seconds: Number(seconds) },
    onStep: (step) => console.log(step),
  });
  const sorted = [...seen.answeredMs].sort((a, b) => a - b);
  const p99 = sorted[Math.ceil(sorted.length * 0.99) - 1]!;
  const rows: readonly (readonly [string, string, boolean])[] = [
    ["changes taken, refused", `${seen.changes}, ${seen.refused}`, seen.refused === 0],
    ["services and brokers ended", String(seen.faults), seen.faults > 0],
    ["transfers", String(seen.transfers), true],
    ["zones that differ", String(seen.differing.length), seen.differing.length === 0],
    ["transfers in a quiet time", String(seen.quietTransfers), seen.quietTransfers === 0],
    [
      "change to answer, p50 and p99, ms",
      `${sorted[sorted.length >> 1]!.toFixed(0)}, ${p99.toFixed(0)}`,
      p99 < 500,
    ],
  ];
  for (const each of seen.differing.slice(0, 20)) console.log(`differs: ${each}`);
  for (const [what, figure, isGood] of rows) {
    console.log(`${what.padEnd(36)}${figure.padEnd(16)}${isGood ? "ok" : "MISSED"}`);
  }
  return rows.every(([, , isGood]) => isGood);
}

/** Makes zones, has things go wrong, and looks. */
export async function keptInStep({ zones, secondaries, seconds, onStep }: ZonesOptions): Promise<ZonesSeen> {
  const rng = seededRng(7);
  await using nats = await GuardedNats.start(secondaries);
  await using installation = await Installation.start({
    ...{ nats: nats.server, secondaries, checks: CHECKS },
    broker: (user) => nats.broker(user),
  });
  await using services = await Services.start(installation);
  let changes = 0;
  let refused = 0;
  const change = async (method: string, path: string, body?: object): Promise<boolean> => {
    const { status } = await installation.api(method, path, body).catch(() => ({ status: 0 }));
    if (status >= 200 && status < 300) changes++;
    else if (status !== 0) refused++;
    return status >= 200 && status < 300;
  };
  onStep(`${zones} zones are made`);
  const names: string[] = [];
  const make = async (name: string) => {
    if (await change("POST", "/zones", zoneBody(name, { dnssec: true, nsec3param: "1 0 0 -" }))) {
      names.push(name);
    }
  };
  for (let i = 0; i < zones; i++) await make(`z${i}.test.`);
  await services.inStep(names.length);

  onStep("changes are answered");
  const answeredMs: number[] = [];
  for (let i = 0; i < 50; i++) {
    const zone = names[i % names.length]!;
    const address = `192.0.2.${i + 1}`;
    const fromMs = performance.now();
    await change("PATCH", `/zones/${zone}`, addressBody(zone, address));
    const { powerDns } = installation.secondaries[i % secondaries]!;
    await until(() => answersOf(powerDns, `www.${zone}`, "A"), (found) => found.includes(address));
    answeredMs.push(performance.now() - fromMs);
  }

  onStep(`${seconds} s of changes and faults`);
  const endMs = performance.now() + seconds * 1000;
  const failing = services.failUntil(endMs, { rng, nats });
  for (let i = 0; performance.now() < endMs; i++) {
    const nextMs = performance.now() + 1000 / RATE;
    const at = rng() % names.length;
    const zone = names[at]!;
    const draw = rng() % 20;
    if (draw === 0) await make(`n${i}.test.`);
    else if (draw === 1 && names.length > 2) {
      if (await change("DELETE", `/zones/${zone}`)) names.splice(at, 1);
    } else await change("PATCH", `/zones/${zone}`, addressBody(zone, `192.0.2.${rng() % 250 + 1}`));
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, nextMs - performance.now())));
  }
  const faults = await failing;
  onStep("a checker leads, and one periodic check");
  await services.isChecked();
  await new Promise((resolve) => setTimeout(resolve, 2 * PERIODIC_MS));
  const transfers = services.transfers();
  const differing = await differingZones(installation, names);
  onStep("a quiet time");
  await new Promise((resolve) => setTimeout(resolve, 2 * PERIODIC_MS));
  return {
    changes,
    refused,
    faults,
    transfers,
    quietTransfers: services.transfers() - transfers,
    differing,
    answeredMs,
  };
}

/** The services of an installation, each of which may be ended and started again. */
class Services implements AsyncDisposable {
  readonly #starts: readonly (() => Promise<TestService>)[];
  readonly #running: TestService[];
  /** Of syncers that were ended. */
  #transfersBefore = 0;

  private constructor(starts: readonly (() => Promise<TestService>)[], running: TestService[]) {
    this.#starts = starts;
    this.#running = running;
  }

  static async start(installation: Installation): Promise<Services> {
    const starts = [
      () => installation.proxy(),
      () => installation.provider(),
      () => installation.provider(),
      () => installation.checker(),
      ...installation.secondaries.map((_, i) => () => installation.syncer(i)),
    ];
    const running: TestService[] = [];
    for (const start of starts) running.push(await start());
    return new Services(starts, running);
  }

  transfers(): number {
    return this.#transfersBefore + this.#running.reduce((sum, each) => sum + transfersOf(each), 0);
  }

  /** Resolves when a checker leads: where the one before was ended without a broker, its time must pass. */
  async isChecked(): Promise<void> {
    await until(() => this.#running[3]!.metric("healthchecker_leading"), (is) => is === 1);
  }

  /** Resolves when all secondaries have transferred so many zones. */
  async inStep(zones: number): Promise<void> {
    const syncers = this.#running.slice(4);
    let before = -1;
    // A thousand zones take longer than anything else waits for.
    while (syncers.some((syncer) => transfersOf(syncer) < zones) && this.transfers() > before) {
      before = this.transfers();
      await new Promise((resolve) => setTimeout(resolve, PERIODIC_MS));
    }
  }

  /** Ends one after the other, and the broker; the last secondary stays away for a third of the time. */
  async failUntil(
    endMs: number,
    { rng, nats }: { readonly rng: () => number; readonly nats: GuardedNats },
  ): Promise<number> {
    const fromMs = performance.now();
    let faults = 1;
    const last = this.#running.length - 1;
    const away = this.#end(last).then(async () => {
      await new Promise((resolve) => setTimeout(resolve, (endMs - fromMs) / 3));
      this.#running[last] = await this.#starts[last]!();
    });
    while (performance.now() < endMs - FAULT_EVERY_MS) {
      await new Promise((resolve) => setTimeout(resolve, FAULT_EVERY_MS));
      const i = rng() % (last + 1);
      faults++;
      if (i === last) {
        await nats.server.kill();
        await nats.server.start();
      } else {
        await this.#end(i);
        this.#running[i] = await this.#starts[i]!();
      }
    }
    await away;
    return faults;
  }

  async #end(i: number): Promise<void> {
    this.#transfersBefore += transfersOf(this.#running[i]!);
    const ended = this.#running[i]!;
    this.#running[i] = { ...ended, metric: () => 0, [Symbol.asyncDispose]: () => Promise.resolve() };
    await ended[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.#running) await each[Symbol.asyncDispose]();
  }
}

const transfersOf = (service: TestService) => service.metric("secondarysyncer_transferred_zones_total");

/** Zones whose records aren't the same everywhere, signatures aside. */
async function differingZones(
  { primary, secondaries }: Installation,
  names: readonly string[],
): Promise<string[]> {
  const open = (port: number) => DnsConnection.open({ hostname: "127.0.0.1", port }, 10_000);
  const found: string[] = [];
  using ours = await open(primary.dnsPort);
  for (const { powerDns, host } of secondaries) {
    using theirs = await open(powerDns.dnsPort);
    for (const zone of names) {
      const [a, b] = [await digestOf(ours, zone), await digestOf(theirs, zone).catch(() => "none")];
      const [x, y] = [await ours.soa(zone), await theirs.soa(zone)];
      if (a !== b) found.push(`${zone} on ${host}: serial ${x?.serial} and ${y?.serial}`);
    }
    const held: readonly { readonly name: string }[] = JSON.parse((await powerDns.api("GET", "/zones")).text);
    for (const { name } of held) {
      if (!names.includes(name)) found.push(`${name} on ${host}, which is deleted`);
    }
  }
  return found;
}
