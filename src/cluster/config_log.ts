/**
 * The cluster's log on a broker: publishes what this node has committed, and takes what others have.
 *
 * ```text
 * Changes ─▶ pending ─▶ publish, if nothing came after what was read ─▶ GSLB_<CLUSTER>_LOG
 * GSLB_<CLUSTER>_LOG ─▶ one message after the other, by its sequence ─▶ LogReplica ─▶ Changes
 * ```
 *
 * The broker only carries the log. A message that comes on the subject is a hint to look, and the stream is looked at every
 * few seconds at any rate; so there is no consumer that could be lost, and a store that was wiped or restored is noticed. What
 * it has lost is pending again on every node that knows it.
 *
 * @module
 */
import {
  jetstream,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstreamManager,
  type MsgRequest,
  type StoredMsg,
  type StreamInfo,
} from "@nats-io/jetstream";
import { headers as messageHeaders, type NatsConnection } from "@nats-io/nats-core";
import type { LogReplica } from "../change/log_replica.ts";
import type { Clock } from "../clock.ts";
import { Listeners } from "../listeners.ts";
import { natsFault } from "../nats/fault.ts";
import { StoreBusy } from "../store/database.ts";
import type { Logger } from "../telemetry/log.ts";
import {
  type LogBroker,
  LogFault,
  LogFollower,
  type Publication,
  type StoredMessage,
  type StreamState,
} from "./log_follower.ts";
import { NewerLog } from "./log_wire.ts";
import type { LogStatus } from "./port.ts";
import { SIGNATURE_HEADER, signatureOf } from "./signing.ts";
import type { Trust } from "./trust.ts";

/** Where the log is. */
export interface LogTerms {
  /** The stream. */
  readonly stream: string;
  /** Its only subject. */
  readonly subject: string;
  /** This node. */
  readonly node: string;
  /** JetStream domain; `null` = the server's own. */
  readonly domain: string | null;
  /** Servers that keep a copy of what is made; 1 when left out. */
  readonly replicas?: number;
  /** How often the stream is looked at without a hint. */
  readonly lookMs: number;
}

/** What it works with. */
export interface LogNeeds {
  /** Where the log is. */
  readonly terms: LogTerms;
  /** This node's copy. */
  readonly replica: LogReplica;
  /** Paces what is repeated. */
  readonly clock: Clock;
  /** Hears what is wrong. */
  readonly log: Logger;
  /** Signs messages, and says which of others' are believed. */
  readonly trust: Trust;
}

/** How long a request may take. */
const REQUEST_TIMEOUT_MS = 3_000;
/** Wait after the first failure; it doubles, up to half of the time between looks. */
const RETRY_FIRST_MS = 100;
/** Of what a server takes: headers and framing need the rest. */
const FRAME_SIZE = 8 * 1024;
/** Waits for what a hint told of: it comes from the publisher, and may be here before the stream has it. */
const HINT_WAITS_MS = [2, 4, 8, 16, 32, 64, 128];
/** JetStream's codes for a publication that expected another last sequence, or another last id. */
const WRONG_LAST: ReadonlySet<number> = new Set([10_071, 10_070]);

/** The log of a cluster, as far as a node takes part in it. */
export class ConfigLog {
  readonly #needs: LogNeeds;
  readonly #settled = new Listeners<void>();
  #wake = new AbortController();
  #isHinted = false;
  #isCurrent = false;
  #fault: string | null = null;
  /** Of the connection; `null` = there is none. */
  #follower: LogFollower | null = null;
  #unreadable = 0;

  /** Follows nothing before there is a session. */
  constructor(needs: LogNeeds) {
    this.#needs = needs;
  }

  /** How it stands. */
  status(): LogStatus {
    const { replica } = this.#needs;
    const { stamp, head, sequence } = replica.position();
    return {
      ...{ isCurrent: this.#isCurrent, fault: this.#fault, stamp },
      unreadable: this.#unreadable + (this.#follower?.unreadable ?? 0),
      ...{ head, pending: replica.pendingCount(), conflicts: replica.conflictCount() },
      behind: Math.max((this.#follower?.last ?? 0) - sequence, 0),
    };
  }

  /** Says that something is to be published. */
  wake(): void {
    this.#wake.abort();
  }

  /** Calls `hear` whenever something was taken or published, until the result is disposed of. */
  onSettled(hear: () => void): Disposable {
    return this.#settled.add(hear);
  }

  /** Follows the log over one connection until the signal. */
  async session(connection: NatsConnection, signal: AbortSignal): Promise<void> {
    const { terms: { subject, lookMs }, clock, log } = this.#needs;
    connection.subscribe(subject, {
      callback: () => {
        this.#isHinted = true;
        this.#wake.abort();
      },
    });
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.#follow(connection, signal);
      } catch (error) {
        if (signal.aborted) break;
        failures = this.#isCurrent ? 0 : failures + 1;
        const fault = error instanceof LogFault || error instanceof NewerLog || error instanceof StoreBusy
          ? error.message
          : natsFault(error, connection.getServer());
        if (fault !== this.#fault) log.warn("The cluster's log isn't followed", { reason: fault });
        this.#fault = fault;
        this.#isCurrent = false;
        await clock.sleep(Math.min(RETRY_FIRST_MS * 2 ** failures, lookMs / 2), signal);
      }
    }
    this.#isCurrent = false;
    this.#unreadable += this.#follower?.unreadable ?? 0;
    this.#follower = null;
  }

  async #follow(connection: NatsConnection, signal: AbortSignal): Promise<void> {
    const { terms, replica, log } = this.#needs;
    const broker = await StreamBroker.of(connection, this.#needs);
    this.#unreadable += this.#follower?.unreadable ?? 0;
    const follower = new LogFollower({ broker, replica, log, node: terms.node });
    this.#follower = follower;
    await follower.begin();
    while (!signal.aborted) {
      const turn = await this.#turn(follower, signal);
      if (this.#fault !== null) log.info("The cluster's log is followed again");
      this.#fault = null;
      this.#isCurrent = true;
      this.#settled.tell();
      if (turn === "other") return;
      if (turn === "idle" && !await this.#rest(signal) && !await follower.isSame()) return;
    }
  }

  /** @returns whether there is something to do; otherwise it is time to look */
  async #rest(signal: AbortSignal): Promise<boolean> {
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
    if (this.#isHinted || this.#needs.replica.pendingCount() > 0) return true;
    const { signal: woken } = this.#wake;
    await this.#needs.clock.sleep(this.#needs.terms.lookMs, AbortSignal.any([signal, woken]));
    return woken.aborted;
  }

  /** One turn, and a little wait for what a hint told of. */
  async #turn(follower: LogFollower, signal: AbortSignal): Promise<"again" | "idle" | "other"> {
    const waits = this.#isHinted ? HINT_WAITS_MS : [];
    this.#isHinted = false;
    for (const wait of waits) {
      if (signal.aborted || await follower.read()) break;
      if (this.#needs.replica.pendingCount() > 0) break;
      await this.#needs.clock.sleep(wait, signal);
    }
    return await follower.turn();
  }
}

/** What of the headers the meaning of a message depends on. */
function encodingOf(isGzipped: boolean): Readonly<Record<string, string>> {
  return isGzipped ? { "Content-Encoding": "gzip" } : {};
}

/** A stream of JetStream. */
class StreamBroker implements LogBroker {
  readonly sizeMax: number;
  readonly #manager: JetStreamManager;
  readonly #client: JetStreamClient;
  readonly #terms: LogTerms;
  readonly #trust: Trust;

  private constructor(
    connection: NatsConnection,
    manager: JetStreamManager,
    client: JetStreamClient,
    { terms, trust }: Pick<LogNeeds, "terms" | "trust">,
  ) {
    this.sizeMax = (connection.info?.max_payload ?? 1 << 20) - FRAME_SIZE;
    this.#manager = manager;
    this.#client = client;
    this.#terms = terms;
    this.#trust = trust;
  }

  static async of(
    connection: NatsConnection,
    needs: Pick<LogNeeds, "terms" | "trust">,
  ): Promise<StreamBroker> {
    const { domain } = needs.terms;
    const options = { timeout: REQUEST_TIMEOUT_MS, ...(domain !== null && { domain }) };
    const manager = await jetstreamManager(connection, options);
    return new StreamBroker(connection, manager, jetstream(connection, options), needs);
  }

  async open(): Promise<StreamState> {
    try {
      return await this.state();
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.status !== 404) throw error;
    }
    const { stream, subject, replicas = 1 } = this.#terms;
    return stateOf(
      await this.#manager.streams.add({
        name: stream,
        subjects: [subject],
        num_replicas: replicas,
        description: "Changes of the configuration of Pleiades, in their order",
      }),
    );
  }

  async state(): Promise<StreamState> {
    return stateOf(await this.#manager.streams.info(this.#terms.stream));
  }

  async next(sequence: number): Promise<StoredMessage | null> {
    // The server takes both, though the library's type doesn't say so.
    const query = { seq: sequence, next_by_subj: this.#terms.subject } as MsgRequest;
    return this.#message(await this.#manager.streams.getMessage(this.#terms.stream, query));
  }

  async at(sequence: number): Promise<StoredMessage | null> {
    if (sequence === 0) return null;
    return this.#message(await this.#manager.streams.getMessage(this.#terms.stream, { seq: sequence }));
  }

  async #message(stored: StoredMsg | null): Promise<StoredMessage | null> {
    if (stored === null) return null;
    const { subject, data, header, seq } = stored;
    const isGzipped = header.get("Content-Encoding") === "gzip";
    const message = { subject, bytes: data, headers: encodingOf(isGzipped) };
    const signature = header.get(SIGNATURE_HEADER);
    const isBelieved = await this.#trust.believes("A message of the cluster's log", message, signature);
    return { bytes: data, isGzipped, sequence: seq, id: header.get("Nats-Msg-Id"), isBelieved };
  }

  async publish({ bytes, isGzipped, id, after, afterId }: Publication): Promise<number | null> {
    const { subject } = this.#terms;
    const { signing } = this.#trust;
    if (signing?.canSign === false) {
      throw new LogFault("entries of this cluster are signed, and this node has no key (state.signing.key)");
    }
    const said = encodingOf(isGzipped);
    const headers = messageHeaders();
    headers.set("Content-Type", "application/json");
    const signature = await signatureOf(signing, { subject, bytes, headers: said });
    for (const [name, value] of Object.entries({ ...said, ...signature })) headers.set(name, value);
    try {
      const { seq } = await this.#client.publish(subject, bytes, {
        ...{ headers, timeout: REQUEST_TIMEOUT_MS, retries: 0 },
        msgID: id,
        // The sequence alone could be that of a stream that was made again.
        expect: {
          ...{ streamName: this.#terms.stream, lastSequence: after },
          ...(afterId !== "" && { lastMsgID: afterId }),
        },
      });
      return seq;
    } catch (error) {
      if (error instanceof JetStreamApiError && WRONG_LAST.has(error.code)) return null;
      throw error;
    }
  }
}

function stateOf(
  { created, state: { first_seq: first, last_seq: last, messages } }: StreamInfo,
): StreamState {
  return { created, first, last, messages };
}
