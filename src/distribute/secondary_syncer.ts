/**
 * The service beside a secondary: what events say is done by its PowerDNS, which transfers zones from the listener here.
 *
 * A transfer goes on behind the call that asks for it, and PowerDNS says nowhere that it has failed. So the listener, through
 * which it goes, tells when it has begun and ended, and then the API is asked until the zone has the serial that was sent. Only
 * then is the zone's next job begun: a zone that is deleted while it is transferred leaves records behind that no zone owns.
 *
 * @module
 */
import type { Msg } from "@nats-io/nats-core";
import type { Clock, Rng } from "../clock.ts";
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import type { LinkTerms } from "../nats/link.ts";
import type { Logger } from "../telemetry/log.ts";
import type { WireRecord } from "../wire/response.ts";
import { Broker, type Subscription } from "./broker.ts";
import { DnsListener, type ZoneSource } from "./dns_listener.ts";
import {
  encodeDataRequest,
  encodeHello,
  encodeStateFault,
  encodeStateReply,
  EVENT_KINDS,
  type EventKind,
  HELLO_PREFIX,
  METRIC_WORD,
  readDataReply,
  readEvent,
  readStateRequest,
  serviceId,
  type Subjects,
  type ZoneState,
  type ZoneStateRequest,
} from "./messages.ts";
import type { SyncerMetrics } from "./metrics.ts";
import type { ApiZone, PowerDns } from "./powerdns.ts";
import { ZoneQueue } from "./queue.ts";
import { digestOf, type DnsServer, withDns } from "./zone_reading.ts";
import { ZoneTextReader } from "./zone_text.ts";

/** Longest wait for a provider, and for each part of its answer, milliseconds. */
const DATA_TIMEOUT_MS = 20_000;
/** Longest wait for PowerDNS to come for a zone that it was told to transfer, milliseconds. */
const TRANSFER_BEGIN_MS = 15_000;
/** Longest wait for PowerDNS to have stored what was sent, milliseconds: a million records take a minute. */
const STORE_MS = 120_000;
/** Between two looks whether it has; each look is a call of the API. */
const LOOK_MS = 10;
/** The longest time between two looks. */
const LOOK_MAX_MS = 500;
/** What a transfer gets to be stored in where its serial doesn't show it, milliseconds, beside the time that sending took. */
const GRACE_MS = 150;
/** How often a secondary says that it is there, milliseconds. */
export const HELLO_MS = 30_000;

/** What a syncer is made with. */
export interface SyncerNeeds {
  /** The host's name, from which its id is made. */
  readonly host: string;
  /** How NATS is connected to. */
  readonly link: LinkTerms;
  /** What is listened to. */
  readonly subjects: Subjects;
  /** The API of the local PowerDNS. */
  readonly powerDns: PowerDns;
  /** Its DNS side. */
  readonly dns: DnsServer;
  /** Where it transfers zones from. */
  readonly listen: SocketAddress;
  /** Zones that are worked on at the same time. */
  readonly workers: number;
  /** Wait before each job but deletes, milliseconds. */
  readonly eventDelayMs: number;
  /** Paces. */
  readonly clock: Clock;
  /** Spreads. */
  readonly rng: Rng;
  /** Hears what is done. */
  readonly log: Logger;
  /** Makes its metrics. @param running asked for the jobs that run */
  readonly metrics: (running: () => number) => SyncerMetrics;
}

/** What is to be done with a zone. */
type Job = "sync" | "delete";

/** A zone of that name is there, and isn't one that this program made. */
class ForeignZone extends Error {}

/** Transfers of a zone. */
interface Transfers {
  /** Those that go on. */
  underway: number;
  /** Told the serial of the next one that begins and ends; `null` = it failed. */
  readonly waiting: Set<{ isBegun: boolean; tell: (serial: number | null) => void }>;
  /** The last one that was sent whole, until it is known to be stored. */
  unstored: { readonly serial: number; readonly endedMs: number; readonly tookMs: number } | null;
}

/** Keeps the zones of one secondary in step. */
export class SecondarySyncer implements AsyncDisposable {
  readonly #needs: SyncerNeeds;
  readonly #metrics: SyncerMetrics;
  readonly #id: string;
  readonly #queue: ZoneQueue<Job>;
  readonly #listener: DnsListener;
  readonly #broker: Broker;
  readonly #ending = new AbortController();
  readonly #transfers = new Map<string, Transfers>();
  readonly #deleting = new Set<string>();
  readonly #greeting: Promise<void>;
  #session = "";
  #epoch = 0;

  /** Begins to listen and to connect. @throws {Error} when the local address can't be had */
  constructor(needs: SyncerNeeds) {
    this.#needs = needs;
    const { host, clock, rng, log, workers } = needs;
    this.#id = serviceId(host);
    this.#queue = new ZoneQueue<Job>({
      ...{ workers, clock, rng },
      run: (zone, job, signal) => this.#run(zone, job, signal),
      onFault: (zone, job, error) =>
        log.warn("A zone isn't in step; it is tried again", { zone, job, error }),
    });
    this.#metrics = needs.metrics(() => this.#queue.running);
    this.#listener = new DnsListener({
      address: needs.listen,
      log,
      source: this.#source(),
      onQuery: (qtype, isPermitted) =>
        this.#metrics.queries.labels(qtype, isPermitted ? "permitted" : "prohibited").inc(),
      onTransfer: (zone) => this.#transferBegins(zone),
    });
    this.#broker = new Broker(
      { terms: needs.link, clock, rng, log },
      this.#subscriptions(),
      () => {
        this.#session = crypto.randomUUID();
        this.#sayHello();
      },
    );
    this.#greeting = this.#greet();
  }

  /** Where PowerDNS transfers from. */
  get address(): SocketAddress {
    return this.#listener.address;
  }

  /** Whether NATS is connected to. */
  get isConnected(): boolean {
    return this.#broker.isConnected;
  }

  /** Ends what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#broker[Symbol.asyncDispose]();
    await this.#queue[Symbol.asyncDispose]();
    await this.#listener[Symbol.asyncDispose]();
    await this.#greeting;
  }

  #subscriptions(): Subscription[] {
    const { subjects } = this.#needs;
    const events = EVENT_KINDS.flatMap((kind) =>
      [subjects.events[kind], `${subjects.events[kind]}.${this.#id}`].map((subject) => ({
        subject,
        hear: (message: Msg) => this.#hear(kind, message),
      }))
    );
    const state = {
      subject: subjects.zoneState + this.#id,
      hear: (message: Msg) => void this.#answerState(message),
    };
    return [...events, state];
  }

  async #greet(): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await clock.sleep(HELLO_MS, signal);
      if (!signal.aborted) this.#sayHello();
    }
  }

  #sayHello(): void {
    const { host, clock } = this.#needs;
    const hello = encodeHello({ host, session: this.#session }, clock.unixMs());
    this.#broker.publishNow(HELLO_PREFIX + this.#id, hello);
  }

  #hear(kind: EventKind, message: Msg): void {
    const { log } = this.#needs;
    const event = readEvent(kind, message.data);
    if ("fault" in event) {
      this.#metrics.ignored.labels("broken").inc();
      return log.warn("An event can't be read", { subject: message.subject, reason: event.fault });
    }
    this.#metrics.events.labels(METRIC_WORD[kind]).inc();
    if (!this.#isOfLeader(event.epoch)) {
      this.#metrics.ignored.labels("stale").inc();
      return log.warn("An order of a checker that leads no more is ignored", { zone: event.zone, kind });
    }
    log.debug("Event", { zone: event.zone, kind });
    this.#queue.add(event.zone, kind === "delete" ? "delete" : "sync");
  }

  /** Whoever has led later than another knows better; what has no epoch is no order. */
  #isOfLeader(epoch: number | null): boolean {
    if (epoch === null) return true;
    if (epoch < this.#epoch) return false;
    this.#epoch = epoch;
    return true;
  }

  async #run(zone: string, job: Job, signal: AbortSignal): Promise<void> {
    const { log, powerDns, clock, eventDelayMs } = this.#needs;
    try {
      if (job === "delete") await this.#delete(zone, signal);
      else {
        await clock.sleep(eventDelayMs, signal);
        if (!signal.aborted) await this.#sync(zone, signal);
      }
      if (!signal.aborted) await powerDns.flush(zone);
    } catch (error) {
      if (!(error instanceof ForeignZone)) throw error;
      log.error(error.message, { zone });
    }
  }

  async #sync(zone: string, signal: AbortSignal): Promise<void> {
    const { powerDns, clock, log } = this.#needs;
    const fromMs = clock.monotonicMs();
    const before = await powerDns.zone(zone);
    if (before === null) await powerDns.createSecondary(zone, formatSocketAddress(this.address));
    else this.#expectOwn(before);
    await this.#stored(zone, before?.serial ?? null, signal);
    const serial = await this.#retrieve(zone, signal);
    if (signal.aborted) return;
    if (serial === null) throw new Error(`PowerDNS couldn't transfer ${zone}`);
    await this.#stored(zone, before?.serial ?? null, signal);
    this.#metrics.transfers.inc();
    log.info("Zone is in step", { zone, serial, ms: Math.round(clock.monotonicMs() - fromMs) });
  }

  async #delete(zone: string, signal: AbortSignal): Promise<void> {
    const { powerDns, log } = this.#needs;
    const found = await powerDns.zone(zone);
    if (found === null) return;
    this.#expectOwn(found);
    this.#deleting.add(zone);
    try {
      // PowerDNS may have begun a transfer by itself, when it was time to refresh the zone.
      await this.#quiet(zone, signal);
      await this.#stored(zone, null, signal);
      if (signal.aborted) return;
      await powerDns.deleteZone(zone);
      log.info("Zone is deleted", { zone });
    } finally {
      this.#deleting.delete(zone);
    }
  }

  #expectOwn(zone: ApiZone): void {
    if (this.#isOwn(zone)) return;
    throw new ForeignZone(
      `A zone of this name is there that isn't kept in step (${zone.kind}, not transferred from ` +
        `${formatSocketAddress(this.address)}); it is left alone`,
    );
  }

  #isOwn({ kind, masters }: ApiZone): boolean {
    return /^(?:Slave|Secondary)$/.test(kind) && masters.includes(formatSocketAddress(this.address));
  }

  /** Has PowerDNS transfer the zone; the serial that was sent, `null` = it wasn't. */
  async #retrieve(zone: string, signal: AbortSignal): Promise<number | null> {
    const { powerDns, clock } = this.#needs;
    const { promise, resolve } = Promise.withResolvers<number | null>();
    const { waiting } = this.#transfersOf(zone);
    const ended = new AbortController();
    const waiter = {
      isBegun: false,
      tell: (serial: number | null) => {
        ended.abort();
        resolve(serial);
      },
    };
    waiting.add(waiter);
    try {
      await powerDns.retrieve(zone);
      const end = AbortSignal.any([signal, ended.signal]);
      await clock.sleep(TRANSFER_BEGIN_MS, end);
      // One that has begun ends: the provider's answer and the connection both have their time.
      if (!end.aborted && waiter.isBegun) await clock.sleep(STORE_MS, end);
      if (!ended.signal.aborted) resolve(null);
      return await promise;
    } finally {
      waiting.delete(waiter);
      this.#forget(zone);
    }
  }

  #transferBegins(zone: string): (serial: number | null) => void {
    const { clock } = this.#needs;
    const transfers = this.#transfersOf(zone);
    const served = [...transfers.waiting];
    for (const waiter of served) waiter.isBegun = true;
    transfers.underway++;
    const fromMs = clock.monotonicMs();
    return (serial) => {
      transfers.underway--;
      const endedMs = clock.monotonicMs();
      if (serial !== null) transfers.unstored = { serial, endedMs, tookMs: endedMs - fromMs };
      for (const waiter of served) waiter.tell(serial);
      this.#forget(zone);
    };
  }

  #transfersOf(zone: string): Transfers {
    let transfers = this.#transfers.get(zone);
    if (transfers === undefined) {
      transfers = { underway: 0, waiting: new Set(), unstored: null };
      this.#transfers.set(zone, transfers);
    }
    return transfers;
  }

  /** Lets go of what is known of a zone's transfers when nothing depends on it. */
  #forget(zone: string): void {
    const transfers = this.#transfers.get(zone);
    const isIdle = transfers?.underway === 0 && transfers.waiting.size === 0;
    if (isIdle && transfers.unstored === null) this.#transfers.delete(zone);
  }

  /** Resolves when no transfer of the zone goes on. */
  async #quiet(zone: string, signal: AbortSignal): Promise<void> {
    const { clock } = this.#needs;
    while (!signal.aborted && (this.#transfers.get(zone)?.underway ?? 0) > 0) {
      await clock.sleep(LOOK_MS, signal);
    }
  }

  /**
   * Resolves when PowerDNS has stored what it transferred last.
   *
   * @param before the serial that the zone had: the same again shows nothing
   */
  async #stored(zone: string, before: number | null, signal: AbortSignal): Promise<void> {
    const { powerDns, clock } = this.#needs;
    const { unstored } = this.#transfers.get(zone) ?? {};
    if (!unstored) return;
    const deadlineMs = unstored.endedMs + STORE_MS;
    for (let waitMs = LOOK_MS; !signal.aborted; waitMs = Math.min(waitMs * 1.5, LOOK_MAX_MS)) {
      const found = await powerDns.zone(zone);
      if (found === null || (found.serial === unstored.serial && found.serial !== before)) break;
      const passedMs = clock.monotonicMs() - unstored.endedMs;
      if (found.serial === unstored.serial && passedMs > GRACE_MS + unstored.tookMs) break;
      if (clock.monotonicMs() > deadlineMs) {
        throw new Error(
          `PowerDNS hasn't stored serial ${unstored.serial} of ${zone}; it has ${found.serial}`,
        );
      }
      await clock.sleep(waitMs, signal);
    }
    const transfers = this.#transfers.get(zone);
    if (transfers?.unstored === unstored) transfers.unstored = null;
    this.#forget(zone);
  }

  #source(): ZoneSource {
    return {
      soa: async (zone) => {
        const found = await this.#ask(zone, true);
        return found && [found.soa, ...found.records];
      },
      zone: (zone) => this.#deleting.has(zone) ? Promise.resolve(null) : this.#ask(zone, false),
    };
  }

  /** Asks a provider; `null` = none answers with the zone. */
  async #ask(
    zone: string,
    onlySoa: boolean,
  ): Promise<{ readonly soa: WireRecord; readonly records: readonly WireRecord[] } | null> {
    const { subjects, clock, log } = this.#needs;
    const reader = new ZoneTextReader(zone);
    let next = 0;
    let fault: unknown = null;
    const isWhole = (data: Uint8Array) => {
      try {
        const reply = readDataReply(data);
        if ("fault" in reply) throw new Error(reply.fault);
        if (reply.zone !== zone) throw new Error(`the answer is about ${reply.zone}`);
        if (reply.part !== next++) {
          throw new Error(`part ${reply.part} comes in the place of part ${next - 1}`);
        }
        reader.add(reply.text);
        return next === reply.parts;
      } catch (error) {
        fault = error;
        return true;
      }
    };
    const isAnswered = await this.#broker.request(
      subjects.zoneData + this.#id,
      encodeDataRequest({ zone, onlySoa, inParts: !onlySoa }, clock.unixMs()),
      { timeoutMs: DATA_TIMEOUT_MS, isWhole, signal: this.#ending.signal },
    );
    try {
      if (fault !== null) throw fault;
      const found = isAnswered ? reader.finish() : null;
      this.#metrics.dataRequests.labels(found === null ? "failed" : "successful").inc();
      return found;
    } catch (error) {
      this.#metrics.dataRequests.labels("failed").inc();
      log.warn("What a provider gives of a zone can't be taken", { zone, error });
      return null;
    }
  }

  async #answerState(message: Msg): Promise<void> {
    const { clock, log } = this.#needs;
    this.#metrics.stateRequests.inc();
    const request = readStateRequest(message.data);
    if ("fault" in request) {
      this.#metrics.ignored.labels("broken").inc();
      return log.warn("A question for the state of zones can't be read", { reason: request.fault });
    }
    // One of a checker that leads no more is answered, and its orders are ignored.
    this.#isOfLeader(request.epoch);
    let state = "successful";
    let data: Uint8Array;
    try {
      data = encodeStateReply(await this.#states(request), clock.unixMs());
      const { payloadMax } = this.#broker;
      if (data.length > payloadMax) {
        throw new Error(
          `the state takes ${data.length} bytes, and max_payload of the NATS server is ${payloadMax}`,
        );
      }
    } catch (error) {
      state = "failed";
      log.warn("Cannot say what this secondary holds", { error });
      data = encodeStateFault(error instanceof Error ? error.message : String(error), clock.unixMs());
    }
    message.respond(data);
    this.#metrics.stateResponses.labels(state).inc();
  }

  async #states({ zone, withSignatures, withDigests }: ZoneStateRequest): Promise<Map<string, ZoneState>> {
    const { powerDns, dns } = this.#needs;
    const found = zone === null
      ? await powerDns.zones()
      : [await powerDns.zone(zone)].filter((each) => each !== null);
    const states = new Map<string, ZoneState>(
      found.map((each) => [each.name, { serial: each.serial, isForeign: !this.#isOwn(each) }]),
    );
    // A zone that was never transferred has serial 0, as one may have that was.
    const inDoubt = [...states].filter(([, { serial, isForeign }]) =>
      !isForeign && (withSignatures || withDigests || serial === 0)
    );
    if (inDoubt.length === 0) return states;
    await withDns(dns, async (connection) => {
      for (const [name, state] of inDoubt) {
        // What PowerDNS has kept of earlier answers would hide what is stored now.
        if (zone !== null) await powerDns.flush(name);
        const soa = await connection.soa(name);
        const isStored = soa !== null && soa.serial === state.serial;
        states.set(name, {
          ...state,
          serial: soa === null ? null : state.serial,
          ...(withSignatures && isStored && { signature: soa.signature }),
          ...(withDigests && soa !== null && { digest: await digestOf(connection, name) }),
        });
      }
    });
    return states;
  }
}
