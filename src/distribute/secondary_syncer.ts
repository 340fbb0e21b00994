/**
 * The service beside a secondary: what events say is done by its PowerDNS, which transfers zones from the listener here.
 *
 * A transfer goes on behind the call that asks for it, and PowerDNS says nowhere that it has failed. So the listener, through
 * which it goes, tells when it has begun and ended, and then the API is asked until the zone has the serial that was sent. Only
 * then is the zone's next job begun: a zone that is deleted while it is transferred leaves records behind that no zone owns.
 *
 * @module
 */
import type { Clock, Rng } from "../clock.ts";
import { formatSocketAddress, type SocketAddress } from "../ip.ts";
import type { LinkTerms } from "../nats/link.ts";
import type { Logger } from "../telemetry/log.ts";
import { Broker, type Message, type Subscription } from "./broker.ts";
import { DnsListener, type TransferSource, type ZoneSource } from "./dns_listener.ts";
import { Greeting } from "./greeting.ts";
import {
  encodeDataRequest,
  encodeStateFault,
  encodeStateReply,
  EVENT_KINDS,
  type EventKind,
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
import { SerialQuery } from "./serial_query.ts";
import { type Before, Transfers } from "./transfers.ts";
import { digestOf, type DnsServer, withDns } from "./zone_reading.ts";
import { TransferReader } from "./zone_messages.ts";
import { ZoneTextReader } from "./zone_text.ts";

/** Longest wait for a provider, and for each part of its answer, milliseconds. */
const DATA_TIMEOUT_MS = 20_000;
/** How long PowerDNS gets to store what it transferred by itself, milliseconds; after that it is asked again and again anyway. */
const OWN_STORE_MS = 500;
/** A provider that hasn't begun to answer after so long may have ended: the next one is asked, too. PowerDNS waits for 10 s. */
const SECOND_MS = 4_000;
/** How long a provider may give an older serial than the primary had, milliseconds; after that it is taken for what there is. */
const BEHIND_MAX_MS = 20_000;
/** For so long a zone that was seen to be stored is taken for what it was; an event is checked 20 s after it. */
const FRESH_SECONDS = 30;
/** With more zones than these the API is asked for all of them at once. */
const SINGLE_MAX = 16;
/** Zones that are remembered. */
const KEPT_MAX = 100_000;

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
  /** Makes its metrics. @param counts asked for the jobs that run, and for those that failed */
  readonly metrics: (
    counts: { readonly running: () => number; readonly failing: () => number },
  ) => SyncerMetrics;
}

/** What is to be done with a zone. */
interface Job {
  readonly isDelete: boolean;
  /** What the primary had when it was told; `null` = that wasn't said. */
  readonly serial: number | null;
  /** When it was told, monotonic milliseconds. */
  readonly heardMs: number;
}

/** A zone that wasn't there. */
const NEVER: Before = { serial: -1, lastCheck: 0 };

/** What a provider is asked. */
interface Question {
  /** Whether the SOA record is all that is wanted. */
  readonly onlySoa: boolean;
  /** Aborted when it isn't wanted any more. */
  readonly signal: AbortSignal;
  /** Told of each message that comes. */
  readonly onBegin: () => void;
}

/** A zone of that name is there, and isn't one that this program made. */
class ForeignZone extends Error {}

/** Keeps the zones of one secondary in step. */
export class SecondarySyncer implements AsyncDisposable {
  readonly #needs: SyncerNeeds;
  readonly #metrics: SyncerMetrics;
  readonly #id: string;
  readonly #queue: ZoneQueue<Job>;
  readonly #listener: DnsListener;
  readonly #broker: Broker;
  readonly #serials: SerialQuery;
  readonly #transfers: Transfers;
  readonly #deleting = new Set<string>();
  /** Zones that were in step, as they were then: that they are there and ours need not be asked each time. */
  readonly #kept = new Map<string, Before>();
  /** Since when, monotonic milliseconds, the primary has had what is fetched, by zone. */
  readonly #since = new Map<string, number>();
  /** Jobs that were tried: what a provider read before that didn't do. */
  readonly #tried = new WeakSet<Job>();
  /** Zones whose serials stay lower than those that events say. */
  readonly #lower = new Set<string>();
  readonly #greeting: Greeting;
  /** Questions that are being answered. */
  readonly #answering = new Set<Promise<void>>();
  #epoch = 0;

  /** Begins to listen and to connect. @throws {Error} when the local address can't be had */
  constructor(needs: SyncerNeeds) {
    this.#needs = needs;
    const { host, clock, rng, log, workers } = needs;
    this.#id = serviceId(host);
    this.#serials = new SerialQuery(needs.dns.server);
    this.#transfers = new Transfers({ ...needs, serials: this.#serials });
    this.#queue = new ZoneQueue<Job>({
      ...{ workers, clock, rng },
      run: (zone, job, signal) => this.#run(zone, job, signal),
      onFault: (zone, { isDelete }, error) =>
        log.warn("A zone isn't in step; it is tried again", {
          ...{ zone, job: isDelete ? "delete" : "sync", error },
        }),
    });
    this.#metrics = needs.metrics({ running: () => this.#queue.running, failing: () => this.#queue.failing });
    this.#listener = new DnsListener({
      address: needs.listen,
      log,
      source: this.#source(),
      onQuery: (qtype, isPermitted) =>
        this.#metrics.queries.labels(qtype, isPermitted ? "permitted" : "prohibited").inc(),
      onTransfer: (zone) => this.#transfers.begins(zone),
    });
    this.#broker = new Broker(
      { terms: needs.link, clock, rng, log },
      this.#subscriptions(),
      () => {
        this.#greeting.connected();
        // What failed for lack of a connection need not wait any longer.
        this.#queue.hurry();
      },
    );
    this.#greeting = new Greeting({
      ...{ service: "secondary-syncer", host, clock },
      publish: (subject, data) => this.#broker.publishNow(subject, data),
    });
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
    await this.#broker[Symbol.asyncDispose]();
    await this.#queue[Symbol.asyncDispose]();
    await this.#listener[Symbol.asyncDispose]();
    await this.#greeting[Symbol.asyncDispose]();
    await this.#serials[Symbol.asyncDispose]();
    await Promise.all(this.#answering);
  }

  #subscriptions(): Subscription[] {
    const { subjects } = this.#needs;
    const events = EVENT_KINDS.flatMap((kind) =>
      [subjects.events[kind], `${subjects.events[kind]}.${this.#id}`].map((subject) => ({
        subject,
        hear: (message: Message) => this.#hear(kind, message),
      }))
    );
    const state = {
      subject: subjects.zoneState + this.#id,
      hear: (message: Message) => {
        const work = this.#answerState(message)
          .catch((error) => this.#needs.log.debug("An answer can't be given any more", { error }))
          .finally(() => this.#answering.delete(work));
        this.#answering.add(work);
      },
    };
    return [...events, state];
  }

  #hear(kind: EventKind, message: Message): void {
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
    // A checker that orders it to be added has seen that it isn't there.
    if (kind === "add") this.#kept.delete(event.zone);
    const heardMs = this.#needs.clock.monotonicMs();
    this.#queue.add(event.zone, { isDelete: kind === "delete", serial: event.serial, heardMs });
  }

  /** Whoever has led later than another knows better; what has no epoch is no order. */
  #isOfLeader(epoch: number | null): boolean {
    if (epoch === null) return true;
    if (epoch < this.#epoch) return false;
    this.#epoch = epoch;
    return true;
  }

  async #run(zone: string, job: Job, signal: AbortSignal): Promise<void> {
    const { log, clock, eventDelayMs } = this.#needs;
    try {
      if (job.isDelete) await this.#delete(zone, signal);
      else {
        if (eventDelayMs > 0) await clock.sleep(eventDelayMs, signal);
        if (!signal.aborted) await this.#sync(zone, job, signal);
      }
    } catch (error) {
      // It may not be there any more, or be of another kind.
      this.#kept.delete(zone);
      if (!(error instanceof ForeignZone)) throw error;
      log.error(error.message, { zone });
    }
  }

  async #sync(zone: string, job: Job, signal: AbortSignal): Promise<void> {
    const { clock, log, eventDelayMs } = this.#needs;
    const fromMs = clock.monotonicMs();
    const before = this.#kept.get(zone) ?? await this.#made(zone);
    // It drops what it is asked for while it stores what it transferred by itself.
    await this.#transfers.stored(zone, null, signal, OWN_STORE_MS);
    this.#since.set(zone, this.#tried.has(job) ? fromMs : job.heardMs + eventDelayMs);
    this.#tried.add(job);
    const isSoon = before.lastCheck >= Math.floor(clock.unixMs() / 1000) - 1;
    const sent = await this.#transfers.retrieve(zone, signal, isSoon).finally(() => this.#since.delete(zone));
    if (signal.aborted) return;
    if (sent === null) throw new Error(`PowerDNS couldn't transfer ${zone}`);
    const { serial } = sent;
    const isStored = await this.#transfers.stored(zone, before, signal);
    if (signal.aborted) return;
    if (!isStored) throw new Error(`PowerDNS hasn't stored serial ${serial} of ${zone}`);
    if (this.#isBehind(zone, serial, job)) {
      throw new Error(`a provider gives serial ${serial} of ${zone}, and the primary had ${job.serial}`);
    }
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(zone, { serial, lastCheck: Math.floor(clock.unixMs() / 1000) });
    const nowMs = clock.monotonicMs();
    this.#metrics.transfers.inc();
    const { stages } = this.#metrics;
    stages.wait.observe((fromMs - job.heardMs) / 1000);
    stages.fetch.observe((sent.endedMs - sent.tookMs - fromMs) / 1000);
    stages.transfer.observe(sent.tookMs / 1000);
    stages.store.observe((nowMs - sent.endedMs) / 1000);
    log.info("Zone is in step", { zone, serial, ms: Math.round(nowMs - fromMs) });
  }

  /** The zone, which is made if there is none. @throws {ForeignZone} and {PowerDnsError} */
  async #made(zone: string): Promise<Before> {
    const { powerDns } = this.#needs;
    const found = await powerDns.secondaryZone(zone);
    if (found !== null) this.#expectOwn(found);
    else await powerDns.createSecondary(zone, formatSocketAddress(this.address));
    return found ?? NEVER;
  }

  /** Of several primaries one may have the change a little later, and its provider gives what was before. */
  #isBehind(zone: string, serial: number, { serial: told, heardMs }: Job): boolean {
    // RFC 1982 §3.2, where half of all numbers are lower than a number.
    const isLower = told !== null && serial !== told && ((told - serial) >>> 0) < 0x8000_0000;
    if (!isLower) {
      this.#lower.delete(zone);
      return false;
    }
    // With some kinds of SOA-EDIT what is answered is lower than what the API has said, for ever.
    if (this.#lower.has(zone)) return false;
    if (this.#needs.clock.monotonicMs() - heardMs <= BEHIND_MAX_MS) return true;
    this.#lower.add(zone);
    return false;
  }

  async #delete(zone: string, signal: AbortSignal): Promise<void> {
    const { powerDns, log } = this.#needs;
    this.#kept.delete(zone);
    const found = await powerDns.secondaryZone(zone);
    if (found === null) return;
    this.#expectOwn(found);
    this.#deleting.add(zone);
    try {
      // PowerDNS may have begun a transfer by itself, when it was time to refresh the zone.
      await this.#transfers.quiet(zone, signal);
      await this.#transfers.stored(zone, null, signal);
      if (signal.aborted) return;
      await powerDns.deleteZone(zone);
      this.#lower.delete(zone);
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

  #source(): ZoneSource {
    return {
      soa: async (zone, gone) => {
        const found = await this.#ask(zone, { onlySoa: true, gone });
        return found && "soa" in found ? [found.soa, ...found.records] : null;
      },
      zone: (zone, gone) =>
        this.#deleting.has(zone) ? Promise.resolve(null) : this.#ask(zone, { onlySoa: false, gone }),
    };
  }

  /** Asks a provider, and another one when that one is silent; `null` = none answers with the zone. */
  async #ask(zone: string, { onlySoa, gone }: { readonly onlySoa: boolean; readonly gone: AbortSignal }) {
    const { clock, log } = this.#needs;
    const ending = new AbortController();
    const waiting = new AbortController();
    // Without a reason an exception is made, with the stack that it was made on.
    const end = () => {
      ending.abort("over");
      waiting.abort("over");
    };
    gone.addEventListener("abort", end);
    if (gone.aborted) end();
    let isBegun = false;
    const onBegin = () => {
      isBegun = true;
      waiting.abort("begun");
    };
    let failures = 0;
    const { promise, resolve } = Promise.withResolvers<TransferSource | null>();
    const ask = async () => {
      const question = { onlySoa, signal: ending.signal, onBegin };
      const found = await this.#askOne(zone, question).catch((error) => {
        log.warn("What a provider gives of a zone can't be taken", { zone, error });
        return null;
      });
      failures++;
      if (found !== null || failures === asked) {
        resolve(found);
        waiting.abort("over");
      }
    };
    let asked = 1;
    ask();
    await clock.sleep(SECOND_MS, waiting.signal);
    if (!isBegun && !ending.signal.aborted && failures === 0) {
      asked++;
      ask();
    }
    const found = await promise;
    gone.removeEventListener("abort", end);
    end();
    this.#metrics.dataRequests.labels(found === null ? "failed" : "successful").inc();
    return found;
  }

  /** @throws {Error} when what comes isn't the zone */
  async #askOne(
    zone: string,
    { onlySoa, signal, onBegin }: Question,
  ): Promise<TransferSource | null> {
    const { subjects, clock } = this.#needs;
    const since = this.#since.get(zone);
    const changedMsAgo = since === undefined ? 0 : Math.max(0, Math.floor(clock.monotonicMs() - since));
    const reader = new ZoneTextReader(zone);
    const transfer = new TransferReader(zone);
    const messages: Uint8Array[] = [];
    let next = 0;
    let fault: unknown = null;
    const isWhole = (data: Uint8Array) => {
      onBegin();
      try {
        const reply = readDataReply(data);
        if ("fault" in reply) throw new Error(reply.fault);
        if (reply.zone !== zone) throw new Error(`the answer is about ${reply.zone}`);
        if (reply.part !== next++) {
          throw new Error(`part ${reply.part} comes in the place of part ${next - 1}`);
        }
        for (const message of reply.messages) transfer.take(message);
        messages.push(...reply.messages);
        reader.add(reply.text);
        return next === reply.parts;
      } catch (error) {
        fault = error;
        return true;
      }
    };
    const isAnswered = await this.#broker.request(
      subjects.zoneData + this.#id,
      encodeDataRequest(
        { zone, onlySoa, inParts: !onlySoa, asMessages: !onlySoa, changedMsAgo },
        clock.unixMs(),
      ),
      { timeoutMs: DATA_TIMEOUT_MS, isWhole, signal },
    );
    if (fault !== null) throw fault;
    if (!isAnswered) return null;
    return messages.length > 0 ? { serial: transfer.serial, messages } : reader.finish();
  }

  async #answerState(message: Message): Promise<void> {
    const { clock, log } = this.#needs;
    this.#metrics.stateRequests.inc();
    const request = readStateRequest(message.data);
    if ("fault" in request) {
      this.#metrics.ignored.labels("broken").inc();
      return log.warn("A question for the state of zones can't be read", { reason: request.fault });
    }
    // One of a checker that leads no more is answered, and its orders are ignored. So are those of one whose clock is
    // behind: it hears of the epoch in the answer, and takes a higher one.
    this.#isOfLeader(request.epoch);
    let state = "successful";
    let data: Uint8Array;
    try {
      const { zones } = request;
      const before = this.#underWay(zones);
      const kept = zones?.map((zone) => this.#kept.get(zone)) ?? [];
      const states = await this.#states(request);
      // What began, or has ended, while it was looked at may be in it by half.
      const news = zones?.filter((zone, i) => kept[i] !== this.#kept.get(zone)) ?? [];
      for (const zone of new Set([...before, ...this.#underWay(zones), ...news])) {
        states.set(zone, { ...states.get(zone) ?? { serial: null, isForeign: false }, isUnderWay: true });
      }
      data = encodeStateReply(states, clock.unixMs(), this.#epoch === 0 ? null : this.#epoch);
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

  /** Zones of those that are asked about, `null` = all, of which something is done or waits. */
  #underWay(zones: readonly string[] | null): string[] {
    return zones === null ? [...this.#queue.zones()] : zones.filter((zone) => this.#queue.has(zone));
  }

  async #states(request: ZoneStateRequest): Promise<Map<string, ZoneState>> {
    const { withSignatures, withDigests } = request;
    const states = new Map<string, ZoneState>();
    let { zones } = request;
    if (zones !== null && !withSignatures && !withDigests) {
      const asked = zones;
      const known = await Promise.all(asked.map((zone) => this.#known(zone)));
      for (const [i, state] of known.entries()) if (state !== null) states.set(asked[i]!, state);
      zones = asked.filter((_, i) => known[i] === null);
    }
    const found = await this.#found(zones);
    for (const each of found) {
      states.set(each.name, {
        ...{ serial: each.serial, isForeign: !this.#isOwn(each) },
        ...(each.lastCheck > 0 && { checkedSeconds: each.lastCheck }),
      });
    }
    // A zone that was never transferred has serial 0, as one may have that was.
    const inDoubt = found.map(({ name }) => [name, states.get(name)!] as const).filter((
      [, { serial, isForeign }],
    ) => !isForeign && (withSignatures || withDigests || serial === 0));
    if (inDoubt.length === 0) return states;
    const { powerDns, dns } = this.#needs;
    await withDns(dns, async (connection) => {
      for (const [name, state] of inDoubt) {
        // What PowerDNS has kept of earlier answers would hide what is stored now.
        if (zones !== null) await powerDns.flush(name);
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

  /** A zone that was in step, and is answered as it was then; `null` = that is to be looked at. */
  async #known(zone: string): Promise<ZoneState | null> {
    const kept = this.#kept.get(zone);
    // What it holds doesn't count while it is worked on.
    if (this.#queue.has(zone)) return { serial: kept?.serial ?? null, isForeign: false };
    if (kept === undefined) return null;
    // It was answered a moment ago, and the check of its own event asks for it.
    const sinceSeconds = this.#needs.clock.unixMs() / 1000 - kept.lastCheck;
    const isFresh = sinceSeconds >= 0 && sinceSeconds < FRESH_SECONDS;
    if (!isFresh && await this.#serials.serial(zone) !== kept.serial) return null;
    return { serial: kept.serial, isForeign: false, checkedSeconds: kept.lastCheck };
  }

  /** These zones, `null` = all, as far as they are there. */
  async #found(zones: readonly string[] | null): Promise<ApiZone[]> {
    const { powerDns } = this.#needs;
    if (zones === null) return await powerDns.secondaryZones();
    if (zones.length > SINGLE_MAX) {
      const wanted = new Set(zones);
      return (await powerDns.secondaryZones()).filter(({ name }) => wanted.has(name));
    }
    const found: ApiZone[] = [];
    for (const zone of zones) {
      const each = await powerDns.secondaryZone(zone);
      if (each !== null) found.push(each);
    }
    return found;
  }
}
