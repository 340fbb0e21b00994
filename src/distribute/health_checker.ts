/**
 * The service beside a primary that holds secondaries against it, and orders what one of them lacks.
 *
 * ```text
 * event ── wait ──▶ the zone, on the primary and on each secondary ──▶ orders     event check
 * every 15 min, and when a secondary says hello ──▶ all serials       ──▶ orders     periodic check
 * when it says hello, with events kept ──▶ what changed meanwhile, in full ──▶ orders
 * every 12 h  ──▶ zone by zone: signatures, keys, content             ──▶ orders     signature check
 * Thursdays 01:00 UTC ──▶ every signed zone, to every secondary       ──▶ orders     signing sync
 * every 15 min ──▶ signed zones whose names aren't hashed as RFC 9276 says ──▶ set, and an event
 * ```
 *
 * What differs in the lists of both sides is looked at again, zone by zone, before it is ordered: zones change while lists are
 * read. What the check of signatures finds is looked at again as if an event had told of it: a zone may have been made or changed
 * a moment ago, and its event be under way. A zone is deleted only when the primary says of that very zone that there is none.
 * A secondary that doesn't answer is left out.
 *
 * @module
 */
import { anySignal } from "../any_signal.ts";
import type { Clock, Rng } from "../clock.ts";
import type { LinkTerms } from "../nats/link.ts";
import type { Logger } from "../telemetry/log.ts";
import { Broker, type Subscription } from "./broker.ts";
import { compare, mustConfirm, type Order, orderFor, type PrimaryZone } from "./compare.ts";
import { Greeting, HELLO_MS } from "./greeting.ts";
import { KeptEvents } from "./kept_events.ts";
import { Lease } from "./lease.ts";
import {
  encodeEvent,
  encodeStateRequest,
  epochOfReply,
  EVENT_KINDS,
  type EventKind,
  type Hello,
  HELLO_PREFIX,
  METRIC_WORD,
  readEvent,
  readHello,
  readStateReply,
  serviceId,
  type StateReply,
  type Subjects,
  ZONES_MAX,
  type ZoneState,
} from "./messages.ts";
import type { CheckerMetrics } from "./metrics.ts";
import type { PowerDns } from "./powerdns.ts";
import { ZoneQueue } from "./queue.ts";
import { digestOf, type DnsServer, withDns } from "./zone_reading.ts";

/** Longest wait for the state of a secondary, milliseconds. */
const STATE_TIMEOUT_MS = 10_000;
/** Zones that are looked at at the same time. */
const LOOKS_MAX = 4;
/** A secondary that says nothing for so long isn't there any more. */
const SILENT_MS = 4 * HELLO_MS;
/** The longest time between two zones of the signing sync, milliseconds: changes beside it must not be slower for it. */
const SIGNING_PACE_MAX_MS = 100;
/** The shortest one. */
const SIGNING_PACE_MIN_MS = 10;
/** How long all zones together take, if they take longer than with the longest time between two. */
const SIGNING_SPREAD_MS = 30 * 60_000;
/** Events that become due within this time are looked at together, milliseconds; no longer than a tenth of their wait. */
const COLLECT_MAX_MS = 1_000;
/** An order that would say the same again is given again after so long, milliseconds: a secondary needs a while to follow it. */
const AGAIN_MS = 10_000;
/** Orders to a secondary that are remembered. */
const ORDERS_MAX = 10_000;
/** Services that are remembered. */
const SERVICES_MAX = 4_096;
/** How names are hashed: RFC 9276 §3.1. */
export const NSEC3_PARAM = "1 0 0 -";
const WEEK_MS = 7 * 86_400_000;
/** 1970-01-01 was a Thursday; the sync is an hour later. */
const SIGNING_OFFSET_MS = 3_600_000;

/** How often what is checked. Milliseconds all. */
export interface CheckIntervals {
  /** From an event to its check. */
  readonly eventWaitMs: number;
  /** Between two lists of zones. */
  readonly refreshMs: number;
  /** Between two periodic checks. */
  readonly periodicMs: number;
  /** Between two looks at NSEC3 parameters. */
  readonly nsec3Ms: number;
  /** Between two checks of signatures. */
  readonly signatureMs: number;
  /** Of a signature's life, with less of which it is fetched again. */
  readonly remainingMs: number;
}

/** What a checker is made with. */
export interface HealthCheckerNeeds {
  /** Of the process. */
  readonly boot: string;
  /** The name of this host. */
  readonly host: string;
  /** How NATS is connected to. */
  readonly link: LinkTerms;
  /** What is listened to. */
  readonly subjects: Subjects;
  /** The API of the primary. */
  readonly powerDns: PowerDns;
  /** Its DNS side. */
  readonly dns: DnsServer;
  /** Secondaries that are known beforehand. */
  readonly hosts: readonly string[];
  /** Whether others that say hello count, too. */
  readonly discovers: boolean;
  /** Whether checkers settle which of them checks. */
  readonly usesLease: boolean;
  /** How long JetStream keeps events, milliseconds; 0 = it doesn't. */
  readonly keptMs: number;
  /** How often what is checked. */
  readonly intervals: CheckIntervals;
  /** Paces. */
  readonly clock: Clock;
  /** Spreads. */
  readonly rng: Rng;
  /** Hears what differs. */
  readonly log: Logger;
  /** Makes its metrics. */
  readonly metrics: (
    counts: () => {
      readonly zones: number;
      readonly signedZones: number;
      readonly secondaries: number;
      readonly looks: number;
      readonly isLeading: boolean;
      readonly states: readonly {
        readonly host: string;
        readonly isMissed: boolean;
        readonly differing: number;
      }[];
      readonly services: readonly { readonly service: string; readonly host: string }[];
    },
  ) => CheckerMetrics;
}

/** A secondary that is checked. */
interface Secondary {
  readonly host: string;
  readonly id: string;
  /** Of its connection; `null` = it hasn't said. */
  session: string | null;
  /** Whether it may be asked about several zones at once. */
  takesLists: boolean;
  /** When it was heard last, monotonic milliseconds. */
  heardMs: number;
  /** How it is known: one that has said hello itself goes when it is silent. */
  readonly origin: "list" | "register" | "hello";
  /** Whether it was missed already, which is said once. */
  isMissed: boolean;
  /** Whether it couldn't say what it holds when it was asked last. */
  isUnsure: boolean;
  /** Since when it may have missed events that weren't looked at yet, Unix milliseconds, `null` there = ever; `null` = it hasn't. */
  missed: { readonly sinceMs: number | null } | null;
  /** Zones that weren't in step at its last check. */
  differing: number;
  /** What was ordered last because of which difference, and when, monotonic milliseconds; by zone. */
  readonly ordered: Map<string, { readonly difference: string; readonly atMs: number }>;
  /** Its check, and those that wait. */
  checking: Promise<void>;
  /** Ends what it is asked. */
  asking: AbortController;
}

/** How a zone is looked at. */
interface Look {
  /** That the primary has, as events say: a secondary that has it isn't looked at. `null` = what there is may not show in it. */
  readonly serial: number | null;
  /** What secondaries have that don't have it, by id; others aren't looked at. `null` = they weren't asked. */
  readonly answered: ReadonlyMap<string, number | null> | null;
  /** Whether content is compared, which takes a transfer of each side. */
  readonly withDigests: boolean;
  /** Whether what differs is ordered at once; else it is looked at again, as after an event. */
  readonly isSure: boolean;
  /** Whether a secondary was at work on it when it was looked at before; that is waited for once. */
  readonly isWaited?: boolean;
  /** The id of the only secondary that is looked at; `null` = all are. */
  readonly only: string | null;
  /** Where orders are counted. */
  readonly count: (kind: EventKind) => void;
}

/** What is to be looked at a while after an event, or after something was found to differ. */
interface Due {
  /** Monotonic milliseconds. */
  readonly atMs: number;
  /** Such that it counts for each event that came meanwhile. */
  readonly look: Look;
}

/** What shows in no serial alone, and all secondaries are asked. */
const FULL = { serial: null, answered: null } as const;

/** One look that does for two. */
function joined(waiting: Look, later: Look): Look {
  return {
    serial: waiting.serial === null ? null : later.serial,
    answered: waiting.answered && later.answered && new Map([...waiting.answered, ...later.answered]),
    withDigests: waiting.withDigests || later.withDigests,
    isSure: waiting.isSure || later.isSure,
    isWaited: waiting.isWaited === true && later.isWaited === true,
    only: waiting.only === later.only ? waiting.only : null,
    count: later.count,
  };
}

/** Between two zones of the signing sync, milliseconds. @param zones of them */
export function signingPaceMs(zones: number): number {
  return Math.max(SIGNING_PACE_MIN_MS, Math.min(SIGNING_PACE_MAX_MS, SIGNING_SPREAD_MS / Math.max(1, zones)));
}

/** Checks. */
export class HealthChecker implements AsyncDisposable {
  readonly #needs: HealthCheckerNeeds;
  readonly #metrics: CheckerMetrics;
  readonly #broker: Broker;
  readonly #lease: Lease;
  readonly #greeting: Greeting;
  readonly #queue: ZoneQueue<Look>;
  readonly #ending = new AbortController();
  readonly #loops: Promise<void>[];
  readonly #kept: KeptEvents | null;
  /** What goes on beside the loops. */
  readonly #under = new Set<Promise<void>>();
  /** Other services that have said that they are there, and when, monotonic milliseconds; by kind and host. */
  readonly #heard = new Map<
    string,
    { readonly service: string; readonly host: string; readonly heardMs: number }
  >();
  readonly #secondaries = new Map<string, Secondary>();
  /** Events that are to be checked, by zone. */
  readonly #due = new Map<string, Due>();
  #zones: ReadonlyMap<string, PrimaryZone>;
  /** They are read. */
  #refreshing: Promise<void> | null = null;

  private constructor(needs: HealthCheckerNeeds, zones: ReadonlyMap<string, PrimaryZone>) {
    this.#needs = needs;
    this.#zones = zones;
    const { link, boot, hosts, clock, rng, log, usesLease, intervals, subjects, keptMs } = needs;
    this.#kept = keptMs === 0 ? null : new KeptEvents({ subjects, keptMs, log });
    for (const host of hosts) this.#secondaries.set(serviceId(host), this.#secondaryOf(host, "list"));
    this.#metrics = needs.metrics(() => ({
      zones: this.#zones.size,
      signedZones: [...this.#zones.values()].filter(({ isSigned }) => isSigned).length,
      secondaries: this.#secondaries.size,
      looks: this.#queue.size,
      isLeading: this.#lease.held !== null,
      states: [...this.#secondaries.values()],
      services: this.#services(),
    }));
    this.#lease = new Lease({ id: boot, isWanted: usesLease, clock, log, onLead: () => this.#introduce() });
    this.#queue = new ZoneQueue<Look>({
      ...{ workers: LOOKS_MAX, clock, rng },
      run: (zone, look) => this.#look(zone, look),
      join: joined,
      onFault: (zone, _, error) => log.warn("A zone can't be checked; it is tried again", { zone, error }),
    });
    this.#broker = new Broker(
      { terms: link, clock, rng, log },
      this.#subscriptions(),
      (connection, ended) => {
        this.#follow(
          this.#lease.keep(connection, ended).catch((error) =>
            log.error("The lease isn't kept any more", { error })
          ),
        );
        if (this.#kept !== null) this.#follow(this.#kept.use(connection, ended));
        this.#greeting.connected();
        // Events of the time without a connection weren't heard.
        this.checkAll();
      },
    );
    this.#greeting = new Greeting({
      ...{ service: "health-checker", host: needs.host, clock },
      publish: (subject, data) => this.#broker.publishNow(subject, data),
    });
    this.#metrics.refreshCycles.inc();
    this.#loops = [
      this.#events(),
      this.#every(intervals.refreshMs, () => this.#refresh()),
      this.#every(intervals.periodicMs, () => this.checkAll()),
      this.#every(intervals.signatureMs, () => this.checkSignatures()),
      this.#thursdays(),
      this.#nsec3(),
    ];
  }

  /** Reads the primary's zones and begins to check. @throws {PowerDnsError} when they can't be read */
  static async start(needs: HealthCheckerNeeds): Promise<HealthChecker> {
    return new HealthChecker(needs, await primaryZones(needs.powerDns));
  }

  /** Whether NATS is connected to. */
  get isConnected(): boolean {
    return this.#broker.isConnected;
  }

  /** Whether this checker is the one that checks. */
  get isLeading(): boolean {
    return this.#lease.held !== null;
  }

  /** Ends what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#wake.abort();
    await this.#queue[Symbol.asyncDispose]();
    await this.#lease.release();
    await this.#greeting[Symbol.asyncDispose]();
    await this.#broker[Symbol.asyncDispose]();
    await Promise.all([...this.#loops, ...this.#under]);
    await Promise.all([...this.#secondaries.values()].map(({ checking }) => checking));
  }

  /** Goes by these from now on, beside those of the list; what comes is checked at once. */
  findSecondaries(hosts: readonly string[]): void {
    const { log } = this.#needs;
    const ids = new Set(hosts.map(serviceId));
    for (const [id, { host, origin, asking }] of this.#secondaries) {
      if (origin !== "register" || ids.has(id)) continue;
      this.#secondaries.delete(id);
      asking.abort();
      log.warn("A secondary has gone", { secondary: host });
    }
    for (const host of hosts) {
      const id = serviceId(host);
      if (this.#secondaries.has(id)) continue;
      this.#secondaries.set(id, this.#secondaryOf(host, "register"));
      log.info("A secondary has come", { secondary: host });
      this.checkAll(id);
    }
  }

  /** The periodic check: all serials of all secondaries, or of one. Checks of the same secondary come one after the other. */
  async checkAll(only: string | null = null): Promise<void> {
    const { signal } = this.#ending;
    if (!this.isLeading || signal.aborted) return;
    if (only === null) this.#metrics.periodicCycles.inc();
    this.#forgetSilent();
    const asked = [...this.#secondaries.values()].filter(({ id }) => only === null || only === id);
    await Promise.all(
      asked.map((secondary) =>
        secondary.checking = secondary.checking.then(() => this.#check(secondary)).catch((error) => {
          if (!signal.aborted) this.#needs.log.warn("A check failed", { secondary: secondary.host, error });
        })
      ),
    );
  }

  async #check(secondary: Secondary): Promise<void> {
    const { log, clock, intervals } = this.#needs;
    if (!this.isLeading || this.#ending.signal.aborted) return;
    await this.#refresh();
    const states = await this.#states(secondary, null);
    if (states === null) return;
    const { orders, foreign } = compare({
      ...{ primary: this.#zones, secondary: states },
      ...{ nowMs: clock.unixMs(), remainingMs: intervals.remainingMs },
    });
    if (foreign.length > 0) {
      log.error("A secondary holds zones of its own under names of the primary; they are left alone", {
        ...{ secondary: secondary.host, zones: foreign.slice(0, 20), count: foreign.length },
      });
    }
    secondary.differing = orders.length;
    if (mustConfirm(orders, states.size) && !await this.#isConfirmed(secondary, orders)) return;
    for (const order of orders) await this.#confirmAndOrder(secondary, order);
  }

  /** Looks at each zone of both sides: signatures, keys, content. */
  async checkSignatures(): Promise<void> {
    if (!this.isLeading) return;
    await this.#refresh();
    const { clock, intervals } = this.#needs;
    const { signal } = this.#ending;
    const zones = [...this.#zones.keys()];
    const paceMs = Math.min(signingPaceMs(zones.length), intervals.signatureMs / 4 / zones.length);
    const count = (kind: EventKind) => this.#metrics.signingOrders.labels(METRIC_WORD[kind]).inc();
    for (const zone of zones) {
      this.#queue.add(zone, { ...FULL, withDigests: true, isSure: false, only: null, count });
      await clock.sleep(paceMs, signal);
      if (signal.aborted || !this.isLeading) return;
    }
    this.#metrics.signingCycles.inc();
  }

  /** Has every secondary fetch every signed zone, whatever its serial. */
  async signingSync(): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#ending;
    this.#metrics.signingCycles.inc();
    const signed = [...this.#zones].filter(([, { isSigned }]) => isSigned);
    for (const [zone, { serial }] of signed) {
      for (const secondary of this.#secondaries.values()) {
        this.#order(secondary, { kind: "modified", zone, reason: "signatures" }, serial);
        this.#metrics.signingOrders.labels("change").inc();
      }
      await clock.sleep(signingPaceMs(signed.length), signal);
      if (signal.aborted || !this.isLeading) return;
    }
  }

  #subscriptions(): Subscription[] {
    const { subjects, log } = this.#needs;
    const events = EVENT_KINDS.map((kind): Subscription => ({
      subject: subjects.events[kind],
      hear: ({ data, subject }) => {
        const event = readEvent(kind, data);
        if ("fault" in event) {
          this.#metrics.broken.inc();
          return log.warn("An event can't be read", { subject, reason: event.fault });
        }
        this.#metrics.received.labels(METRIC_WORD[kind]).inc();
        this.#noteEvent(event.zone, event.serial);
      },
    }));
    const hello: Subscription = {
      subject: `${HELLO_PREFIX}*`,
      hear: ({ data, subject }) => {
        const said = readHello(data);
        if ("fault" in said || subject !== HELLO_PREFIX + serviceId(said.host)) {
          this.#metrics.broken.inc();
          return log.warn("A hello can't be read", { subject });
        }
        this.#noteService(said);
        if (said.service === "secondary-syncer") this.#hearHello(said);
      },
    };
    return [...events, hello];
  }

  #noteService({ service, host }: Hello): void {
    const heardMs = this.#needs.clock.monotonicMs();
    const key = `${service} ${host}`;
    if (!this.#heard.has(key) && this.#heard.size < SERVICES_MAX) {
      this.#needs.log.info("A service is there", { service, host });
    }
    if (this.#heard.has(key) || this.#heard.size < SERVICES_MAX) {
      this.#heard.set(key, { service, host, heardMs });
    }
  }

  /** Services that were heard of late; what is silent is forgotten. */
  #services(): { readonly service: string; readonly host: string }[] {
    const sinceMs = this.#needs.clock.monotonicMs() - SILENT_MS;
    for (const [key, { heardMs }] of this.#heard) if (heardMs < sinceMs) this.#heard.delete(key);
    return [...this.#heard.values()];
  }

  /** One that has just connected may have missed events: it is checked at once. */
  #hearHello({ host, session, takesLists }: Hello): void {
    const { discovers, clock, log } = this.#needs;
    const id = serviceId(host);
    let secondary = this.#secondaries.get(id);
    if (secondary === undefined) {
      if (!discovers) return;
      secondary = this.#secondaryOf(host, "hello");
      this.#secondaries.set(id, secondary);
      log.info("A secondary has come", { secondary: host });
    }
    // One whose PowerDNS was away is asked again before the next check of all.
    const isNews = secondary.session !== session || secondary.isMissed || secondary.isUnsure;
    const silentMs = clock.monotonicMs() - secondary.heardMs;
    const isFirst = secondary.session === null || secondary.missed?.sinceMs === null;
    if (isNews) {
      const sinceMs = clock.unixMs() - silentMs - MARGIN_MS;
      secondary.missed = {
        sinceMs: isFirst ? null : Math.min(sinceMs, secondary.missed?.sinceMs ?? sinceMs),
      };
    }
    secondary.session = session;
    secondary.takesLists = takesLists;
    secondary.isMissed = false;
    secondary.heardMs += silentMs;
    if (!isNews) return;
    secondary.ordered.clear();
    // What was asked before that won't be answered any more.
    secondary.asking.abort();
    secondary.asking = new AbortController();
    this.checkAll(id);
    this.#startCatchingUp(secondary);
  }

  #startCatchingUp(secondary: Secondary): void {
    this.#follow(
      this.#catchUp(secondary).catch((error) => {
        if (this.#ending.signal.aborted) return;
        this.#needs.log.warn("Zones that changed while a secondary was away can't be looked at", {
          ...{ secondary: secondary.host, error },
        });
      }),
    );
  }

  #follow(work: Promise<void>): void {
    const under = work.finally(() => this.#under.delete(under));
    this.#under.add(under);
  }

  /** Looks in full at the zones that changed while a secondary was away: serials don't show each change. */
  async #catchUp(secondary: Secondary): Promise<void> {
    const { clock, intervals, log } = this.#needs;
    const { signal } = this.#ending;
    if (this.#kept === null) return;
    // What serials show is ordered meanwhile, and done.
    await clock.sleep(intervals.eventWaitMs, signal);
    const { id, host, missed } = secondary;
    if (signal.aborted || !this.isLeading || missed === null) return;
    const zones = await this.#kept.zonesSince(missed.sinceMs);
    if (zones === null) return;
    if (secondary.missed === missed) secondary.missed = null;
    if (zones.size === 0) return;
    log.info("Zones that changed while a secondary was away are looked at", {
      ...{ secondary: host, zones: zones.size },
    });
    const count = (kind: EventKind) => this.#metrics.periodicOrders.labels(METRIC_WORD[kind]).inc();
    for (const zone of zones) {
      this.#queue.add(zone, { ...FULL, withDigests: true, isSure: true, only: id, count });
      await clock.sleep(signingPaceMs(zones.size), signal);
      if (signal.aborted || !this.isLeading) return;
    }
  }

  #secondaryOf(host: string, origin: Secondary["origin"]): Secondary {
    const heardMs = this.#needs.clock.monotonicMs();
    return {
      ...{
        host,
        id: serviceId(host),
        session: null,
        takesLists: false,
        heardMs,
        origin,
        isMissed: false,
        differing: 0,
      },
      ...{
        isUnsure: false,
        missed: null,
        ordered: new Map(),
        checking: Promise.resolve(),
        asking: new AbortController(),
      },
    };
  }

  #forgetSilent(): void {
    const { clock, log } = this.#needs;
    for (const [id, { host, heardMs, origin }] of this.#secondaries) {
      if (origin !== "hello" || clock.monotonicMs() - heardMs < SILENT_MS) continue;
      this.#secondaries.delete(id);
      log.warn("A secondary has gone", { secondary: host });
    }
  }

  /** @param serial that it said: then its loss shows in serials */
  #noteEvent(zone: string, serial: number | null): void {
    const count = (kind: EventKind) => this.#metrics.ordered.labels(METRIC_WORD[kind]).inc();
    this.#lookLater(zone, { ...FULL, serial, withDigests: false, isSure: true, only: null, count });
  }

  #lookLater(zone: string, look: Look): void {
    const { clock, intervals } = this.#needs;
    // The look that is due comes first; one for all that was said after it comes behind.
    const atMs = clock.monotonicMs() + intervals.eventWaitMs;
    if (!this.#due.has(zone)) {
      this.#due.set(zone, { atMs, look });
      // Those before it are due sooner, and waited for already.
      if (this.#due.size === 1) this.#wake.abort("due");
    } else {
      const waiting = this.#again.get(zone);
      this.#again.set(zone, { atMs, look: waiting === undefined ? look : joined(waiting.look, look) });
    }
  }

  /** Zones with further events since the one that is due. */
  readonly #again = new Map<string, Due>();
  #wake = new AbortController();
  /** Zones whose serials are looked at together in a moment; `next` = what an event said that is due later. */
  readonly #bySerial = new Map<string, { readonly look: Look; readonly next: number | null }>();
  #isCollecting = false;

  async #events(): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const nowMs = clock.monotonicMs();
      let nextMs = Infinity;
      for (const [zone, { atMs, look }] of this.#due) {
        // Events come in the order in which they are due.
        if (atMs > nowMs) {
          nextMs = atMs;
          break;
        }
        this.#due.delete(zone);
        const again = this.#again.get(zone);
        this.#again.delete(zone);
        if (again !== undefined) this.#due.set(zone, again);
        if (!this.isLeading) continue;
        if (look.serial === null) this.#queue.add(zone, look);
        else this.#bySerial.set(zone, { look, next: again?.look.serial ?? null });
      }
      if (this.#bySerial.size > 0) this.#startLookingAtSerials();
      await clock.sleep(Math.min(nextMs - clock.monotonicMs(), MINUTE_MS), this.#wake.signal);
    }
  }

  async #every(intervalMs: number, action: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#needs;
    const { signal } = this.#ending;
    for (;;) {
      await clock.sleep(intervalMs, signal);
      if (signal.aborted) return;
      try {
        await action();
      } catch (error) {
        log.warn("A check failed; it comes again", { error });
      }
    }
  }

  async #thursdays(): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#ending;
    for (;;) {
      const passedMs = (clock.unixMs() - SIGNING_OFFSET_MS) % WEEK_MS;
      await clock.sleep(WEEK_MS - passedMs, signal);
      if (signal.aborted) return;
      if (this.isLeading) await this.signingSync();
    }
  }

  async #nsec3(): Promise<void> {
    const { clock, intervals, log } = this.#needs;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      // At once, but not before it is known who checks.
      if (this.isLeading) {
        await this.#ensureNsec3().catch((error) =>
          log.warn("NSEC3 parameters can't be looked at", { error })
        );
        await clock.sleep(intervals.nsec3Ms, signal);
      } else await clock.sleep(Math.min(SECOND_MS, intervals.nsec3Ms), signal);
    }
  }

  async #ensureNsec3(): Promise<void> {
    const { powerDns, subjects, clock, log } = this.#needs;
    this.#metrics.nsec3Cycles.inc();
    await this.#refresh();
    for (const [zone, { isSigned }] of this.#zones) {
      if (this.#ending.signal.aborted || !this.isLeading) return;
      if (!isSigned) continue;
      try {
        if (await powerDns.nsec3Param(zone) === NSEC3_PARAM) continue;
        await powerDns.setNsec3Param(zone, NSEC3_PARAM);
        log.info("Names are hashed as RFC 9276 says", { zone });
        const event = { kind: "modified" as const, zone, atMs: clock.unixMs(), serial: null, epoch: null };
        this.#broker.publish(subjects.events.modified, encodeEvent(event));
        // What a client publishes doesn't come back to it.
        this.#noteEvent(zone, null);
      } catch (error) {
        log.warn("NSEC3 parameters can't be set", { zone, error });
      }
    }
  }

  /** Checks of several secondaries at a time go by one list: what differs is looked at again anyway. */
  #refresh(): Promise<void> {
    return this.#refreshing ??= this.#readZones().finally(() => this.#refreshing = null);
  }

  async #readZones(): Promise<void> {
    this.#zones = await primaryZones(this.#needs.powerDns);
    this.#metrics.refreshCycles.inc();
  }

  /** Whether the primary says the same a second time, when so much is to be deleted. */
  async #isConfirmed({ host }: Secondary, orders: readonly Order[]): Promise<boolean> {
    const { log, clock, intervals } = this.#needs;
    const gone = orders.filter(({ kind }) => kind === "delete").map(({ zone }) => zone);
    log.warn("Many zones of a secondary aren't on the primary; the primary is read again", {
      ...{ secondary: host, zones: gone.length },
    });
    const before = this.#zones;
    await clock.sleep(intervals.eventWaitMs, this.#ending.signal);
    if (this.#ending.signal.aborted) return false;
    const after = await primaryZones(this.#needs.powerDns);
    const isSame = before.size === after.size && [...before.keys()].every((zone) => after.has(zone));
    if (!isSame) log.warn("The primary lists other zones now; nothing is deleted before the next check");
    return isSame;
  }

  /** Looks at the one zone on both sides again, and orders what it still lacks. */
  async #confirmAndOrder(secondary: Secondary, { zone }: Order): Promise<void> {
    const count = (kind: EventKind) => this.#metrics.periodicOrders.labels(METRIC_WORD[kind]).inc();
    // It changes now, and its event is checked by itself.
    if (this.#due.has(zone) || this.#ending.signal.aborted) return;
    try {
      const held = await this.#held(zone, false);
      const look = { ...FULL, withDigests: false, isSure: true, only: secondary.id, count };
      const found = await this.#lookAt(secondary, zone, held, look);
      if (found === "under way") this.#lookLater(zone, { ...look, isWaited: true });
    } catch (error) {
      this.#needs.log.warn("A zone can't be checked", { zone, secondary: secondary.host, error });
    }
  }

  #startLookingAtSerials(): void {
    if (this.#isCollecting) return;
    this.#isCollecting = true;
    this.#follow(
      this.#lookAtSerials().catch((error) => {
        if (!this.#ending.signal.aborted) this.#needs.log.warn("Serials can't be looked at", { error });
      }),
    );
  }

  /** Asks each secondary for the serials of all zones at once whose events are due now, or are in a moment. */
  async #lookAtSerials(): Promise<void> {
    const { clock, intervals } = this.#needs;
    await clock.sleep(Math.min(intervals.eventWaitMs / 10, COLLECT_MAX_MS), this.#ending.signal);
    this.#isCollecting = false;
    const looks = [...this.#bySerial];
    this.#bySerial.clear();
    if (this.#ending.signal.aborted || !this.isLeading) return;
    const secondaries = [...this.#secondaries.values()];
    for (let i = 0; i < looks.length; i += ZONES_MAX) {
      const part = looks.slice(i, i + ZONES_MAX);
      const zones = part.map(([zone]) => zone);
      const states = await Promise.all(secondaries.map((each) => this.#serials(each, zones)));
      const answers = secondaries.map(({ id }, j) => ({ id, states: states[j]! }));
      for (const [zone, { look, next }] of part) this.#judgeSerials(zone, { look, next, answers });
    }
  }

  /** What secondaries have of zones; `null` = one doesn't say. */
  async #serials(secondary: Secondary, zones: readonly string[]): Promise<StateReply | null> {
    const asked = { withSignatures: false };
    if (secondary.takesLists) return await this.#states(secondary, zones, asked);
    const states = await Promise.all(zones.map((zone) => this.#states(secondary, [zone], asked)));
    if (states.every((each) => each === null)) return null;
    return new Map(states.flatMap((each, i) => {
      const state = each?.get(zones[i]!);
      return state === undefined ? [] : [[zones[i]!, state] as const];
    }));
  }

  /** @param next what a later event said, which is looked at again in its time */
  #judgeSerials(zone: string, { look, next, answers }: {
    readonly look: Look;
    readonly next: number | null;
    readonly answers: readonly { readonly id: string; readonly states: StateReply | null }[];
  }): void {
    const answered = new Map<string, number | null>();
    let isUnderWay = false;
    for (const { id, states } of answers) {
      if (states === null || (look.only !== null && look.only !== id)) continue;
      const state = states.get(zone);
      const serial = state?.serial ?? null;
      if (state?.isUnderWay) isUnderWay = true;
      else if (serial === null || (serial !== look.serial && serial !== next)) answered.set(id, serial);
    }
    if (answered.size > 0) this.#queue.add(zone, { ...look, answered });
    // A later event is looked at anyway.
    const isDue = this.#due.has(zone);
    if (isUnderWay && !look.isWaited && !isDue) this.#lookLater(zone, { ...look, isWaited: true });
  }

  async #look(zone: string, look: Look): Promise<void> {
    if (!this.isLeading) return;
    const { answered, only } = look;
    const all = [...this.#secondaries.values()].filter(({ id }) =>
      (only === null || only === id) && (answered === null || answered.has(id))
    );
    const differing = answered === null ? all : await this.#differing(all, zone, answered);
    if (differing.length === 0) return;
    const held = await this.#held(zone, look.withDigests);
    const looked = await Promise.all(differing.map((each) => this.#lookAt(each, zone, held, look)));
    if (looked.includes("unsure")) this.#lookLater(zone, { ...look, isSure: true });
    else if (looked.includes("under way") && !look.isWaited) {
      this.#lookLater(zone, { ...look, isWaited: true });
    }
  }

  /** Those whose serial isn't that which the primary's API says; what answers say may be another one, and is looked at then. */
  async #differing(
    secondaries: readonly Secondary[],
    zone: string,
    answered: ReadonlyMap<string, number | null>,
  ): Promise<readonly Secondary[]> {
    const found = await this.#needs.powerDns.zone(zone);
    return secondaries.filter(({ id }) => answered.get(id) !== (found?.serial ?? null));
  }

  /** Orders what the zone lacks there, unless that is to be looked at again, or being done. */
  async #lookAt(
    secondary: Secondary,
    zone: string,
    held: PrimaryZone | null,
    look: Pick<Look, "withDigests" | "isSure" | "isWaited" | "count">,
  ): Promise<"done" | "unsure" | "under way"> {
    const { clock, intervals, log } = this.#needs;
    const states = await this.#states(secondary, [zone], look);
    if (states === null) return "done";
    const state: ZoneState | undefined = states.get(zone);
    if (state?.isForeign) return "done";
    const order: Order | null = held === null
      ? (state === undefined ? null : { kind: "delete", zone, reason: "extra" })
      : orderFor(zone, { held, state, nowMs: clock.unixMs(), remainingMs: intervals.remainingMs });
    if (order === null) return "done";
    // It is at work on it already, and what is ordered would be done a second time. But what the primary hasn't is fetched in
    // vain, again and again.
    if (state?.isUnderWay && !(look.isWaited && order.kind === "delete")) return "under way";
    if (!look.isSure) return "unsure";
    if (this.#isUnderWay(secondary, order, [held, state])) return "done";
    log.info("A secondary isn't in step", {
      ...{ secondary: secondary.host, zone, reason: order.reason, kind: order.kind },
      ...{ serial: held?.serial, has: state?.serial },
    });
    this.#order(secondary, order, held?.serial ?? null);
    look.count(order.kind);
    return "done";
  }

  /** Whether it was ordered a moment ago, when both sides were as they are now. */
  #isUnderWay(
    { ordered }: Secondary,
    { zone, kind }: Order,
    sides: readonly (PrimaryZone | ZoneState | null | undefined)[],
  ): boolean {
    const seen = sides.map((each) => each && [each.serial, each.signature, each.digest]);
    const difference = JSON.stringify([kind, seen]);
    const nowMs = this.#needs.clock.monotonicMs();
    const last = ordered.get(zone);
    if (last?.difference === difference && nowMs - last.atMs < AGAIN_MS) return true;
    if (ordered.size >= ORDERS_MAX) ordered.clear();
    ordered.set(zone, { difference, atMs: nowMs });
    return false;
  }

  /** What the primary holds of a zone; `null` = it has none. @throws {Error} when it doesn't say */
  async #held(zone: string, withDigests: boolean): Promise<PrimaryZone | null> {
    const { powerDns, dns } = this.#needs;
    const found = await powerDns.zone(zone);
    if (found === null) return null;
    const held: PrimaryZone = { serial: found.serial, isSigned: found.dnssec };
    if (!found.dnssec && !withDigests) return held;
    // What PowerDNS has kept of earlier answers would hide what is stored now.
    await powerDns.flush(zone);
    return await withDns(dns, async (connection) => {
      const soa = await connection.soa(zone);
      if (soa === null) throw new Error(`the primary has ${zone} and doesn't answer it`);
      return {
        ...held,
        // SOA-EDIT: what is answered counts, and the API may say another serial for a while.
        serial: soa.serial,
        signature: soa.signature,
        ...(withDigests && { digest: await digestOf(connection, zone) }),
      };
    });
  }

  /** What a secondary holds; `null` = it doesn't say. */
  async #states(
    secondary: Secondary,
    zones: readonly string[] | null,
    { withDigests = false, withSignatures = zones !== null }: {
      readonly withDigests?: boolean;
      readonly withSignatures?: boolean;
    } = {},
  ): Promise<StateReply | null> {
    const { subjects, clock, log } = this.#needs;
    const { asking } = secondary;
    const heard: { reply: ReturnType<typeof readStateReply> | null } = { reply: null };
    const epoch = this.#lease.held?.epoch ?? null;
    const isAnswered = await this.#broker.request(
      subjects.zoneState + secondary.id,
      encodeStateRequest({ zones, epoch, withSignatures, withDigests }, clock.unixMs()),
      {
        timeoutMs: STATE_TIMEOUT_MS,
        isWhole: (data) => {
          heard.reply = readStateReply(data);
          this.#lease.outdo(epochOfReply(data));
          return true;
        },
        signal: anySignal([this.#ending.signal, asking.signal]),
      },
    );
    const said = heard.reply;
    if (asking.signal.aborted) return null;
    if (!isAnswered || said === null) {
      if (!secondary.isMissed && this.#broker.isConnected && !this.#ending.signal.aborted) {
        log.warn("A secondary doesn't answer (is its host name spelt as it is there?)", {
          secondary: secondary.host,
        });
        secondary.isMissed = true;
      }
      return null;
    }
    secondary.isUnsure = "fault" in said;
    if ("fault" in said) {
      log.warn("A secondary can't say what it holds", { secondary: secondary.host, reason: said.fault });
      return null;
    }
    secondary.isMissed = false;
    secondary.heardMs = clock.monotonicMs();
    return said;
  }

  #order({ id }: Secondary, { kind, zone }: Order, serial: number | null): void {
    const { subjects, clock } = this.#needs;
    const { held } = this.#lease;
    if (held === null) return;
    const event = { kind, zone, atMs: clock.unixMs(), serial, epoch: held.epoch };
    this.#broker.publishNow(`${subjects.events[kind]}.${id}`, encodeEvent(event));
  }

  /** All hear of the new epoch at once, so that nothing of the checker before is obeyed any more. */
  #introduce(): void {
    this.checkAll();
    // One may have come back while none was checking.
    for (const secondary of this.#secondaries.values()) {
      if (secondary.missed !== null) this.#startCatchingUp(secondary);
    }
  }
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
/** Clocks differ, and a secondary is gone for a while before it isn't heard. */
const MARGIN_MS = 2 * MINUTE_MS;

/** All zones of a primary. @throws {PowerDnsError} when they can't be read */
export async function primaryZones(powerDns: PowerDns): Promise<Map<string, PrimaryZone>> {
  const zones = await powerDns.zones();
  return new Map(zones.map(({ name, serial, dnssec }) => [name, { serial, isSigned: dnssec }]));
}
