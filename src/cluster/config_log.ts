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
import { newEntryId } from "../change/log_pending.ts";
import type { LogMessage, LogReplica } from "../change/log_replica.ts";
import type { Clock } from "../clock.ts";
import { natsFault } from "../nats/fault.ts";
import { StoreBusy } from "../store/database.ts";
import type { Logger } from "../telemetry/log.ts";
import type { LogStatus } from "./port.ts";
import { decodeMessage, encodeMessage, NewerLog, type PackedMessage } from "./log_wire.ts";

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
}

/** How long a request may take. */
const REQUEST_TIMEOUT_MS = 3_000;
/** Entries that are published together. */
const PUBLISHED_MAX = 500;
/** Messages that are taken together. */
const TAKEN_MAX = 100;
/** Of what a server takes: headers and framing need the rest. */
const FRAME_SIZE = 8 * 1024;
/** Waits for what a hint told of: it comes from the publisher, and may be here before the stream has it. */
const HINT_WAITS_MS = [2, 4, 8, 16, 32, 64, 128];
/** JetStream's code for a publication that expected another last sequence. */
const WRONG_LAST_SEQUENCE = 10_071;

/** The log of a cluster, as far as a node takes part in it. */
export class ConfigLog {
  readonly #needs: LogNeeds;
  readonly #waiting = new Set<() => void>();
  #wake = new AbortController();
  #isHinted = false;
  #isCurrent = false;
  #isConnected = false;
  #fault: string | null = null;
  #last = 0;
  #unreadable = 0;

  /** Follows nothing before there is a session. */
  constructor(needs: LogNeeds) {
    this.#needs = needs;
  }

  /** How it stands. */
  status(): LogStatus {
    const { replica } = this.#needs;
    const { stamp, sequence } = replica.position();
    return {
      ...{ isCurrent: this.#isCurrent, fault: this.#fault, stamp, unreadable: this.#unreadable },
      pending: replica.pendingCount(),
      behind: this.#isConnected ? Math.max(this.#last - sequence, 0) : 0,
    };
  }

  /** Says that something is to be published. */
  wake(): void {
    this.#wake.abort();
  }

  /** Calls `hear` whenever pending entries were settled, until the result is disposed of. */
  onSettled(hear: () => void): Disposable {
    this.#waiting.add(hear);
    return { [Symbol.dispose]: () => void this.#waiting.delete(hear) };
  }

  /** Follows the log over one connection until the signal. */
  async session(connection: NatsConnection, signal: AbortSignal): Promise<void> {
    const { terms: { subject, domain, lookMs }, clock, log } = this.#needs;
    const options = { timeout: REQUEST_TIMEOUT_MS, ...(domain !== null && { domain }) };
    connection.subscribe(subject, {
      callback: () => {
        this.#isHinted = true;
        this.#wake.abort();
      },
    });
    while (!signal.aborted) {
      try {
        const manager = await jetstreamManager(connection, options);
        const client = jetstream(connection, options);
        this.#isConnected = true;
        await this.#follow(new Broker(connection, manager, client, this.#needs.terms), signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#isCurrent = false;
        const fault = error instanceof LogFault || error instanceof NewerLog || error instanceof StoreBusy
          ? error.message
          : natsFault(error, connection.getServer());
        if (fault !== this.#fault) log.warn("The cluster's log isn't followed", { reason: fault });
        this.#fault = fault;
        await clock.sleep(lookMs / 2, signal);
      } finally {
        if (signal.aborted) this.#isConnected = this.#isCurrent = false;
      }
    }
  }

  async #follow(broker: Broker, signal: AbortSignal): Promise<void> {
    const { replica, terms: { lookMs }, log } = this.#needs;
    const info = await broker.open();
    this.#last = info.state.last_seq;
    await this.#align(broker, info);
    while (!signal.aborted) {
      await this.#read(broker, signal);
      if (this.#fault !== null) log.info("The cluster's log is followed again");
      this.#fault = null;
      this.#isCurrent = true;
      if (replica.pendingCount() > 0) {
        await this.#publish(broker);
        continue;
      }
      if (await this.#rest(signal, lookMs)) continue;
      const { created, state } = await broker.info();
      this.#last = state.last_seq;
      const at = replica.position();
      // Made again, or restored: what it has must be compared with what this node has.
      if (created !== at.created || state.last_seq < at.sequence) return;
    }
  }

  /** @returns whether there is something to do; otherwise it is time to look */
  async #rest(signal: AbortSignal, lookMs: number): Promise<boolean> {
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
    if (this.#isHinted || this.#needs.replica.pendingCount() > 0) return true;
    const { signal: woken } = this.#wake;
    await this.#needs.clock.sleep(lookMs, AbortSignal.any([signal, woken]));
    return woken.aborted;
  }

  /** Takes all that comes after what was read. */
  async #read(broker: Broker, signal: AbortSignal): Promise<void> {
    const { replica, clock } = this.#needs;
    const waits = this.#isHinted ? [...HINT_WAITS_MS] : [];
    this.#isHinted = false;
    while (!signal.aborted) {
      const from = replica.position();
      const messages: LogMessage[] = [];
      let read = from.sequence;
      while (messages.length < TAKEN_MAX) {
        const stored = await broker.next(read + 1);
        if (stored === null) break;
        read = stored.seq;
        const message = this.#decoded(stored, messages.length > 0);
        if (message === "later") break;
        if (message !== null) messages.push(message);
      }
      this.#last = Math.max(this.#last, read);
      if (messages.length > 0) {
        this.#take(messages);
        waits.length = 0;
        continue;
      }
      if (read > from.sequence) replica.skip({ created: from.created, sequence: read });
      const wait = waits.shift();
      if (wait === undefined) return;
      await clock.sleep(wait, signal);
    }
  }

  /** `null` = it isn't one. What a newer release wrote is met when all before it was taken. */
  #decoded(stored: StoredMsg, hasOthers: boolean): LogMessage | "later" | null {
    try {
      return decodeMessage(packedOf(stored), stored.seq);
    } catch (error) {
      if (error instanceof NewerLog) {
        if (hasOthers) return "later";
        throw error;
      }
      this.#unreadable++;
      const reason = error instanceof Error ? error.message.slice(0, REASON_MAX) : String(error);
      this.#needs.log.warn("A message of the cluster's log can't be read, and is left out", {
        sequence: stored.seq,
        reason,
      });
      return null;
    }
  }

  #take(messages: readonly LogMessage[]): void {
    const taken = this.#needs.replica.take(messages);
    for (const settled of this.#waiting) settled();
    if (taken.kind === "taken") {
      for (const { node, by, why } of taken.conflicts) {
        this.#needs.log.warn("A change doesn't fit what others changed before it, and is undone", {
          ...{ node, by, reason: why },
        });
      }
      return;
    }
    if (taken.kind === "foreign") {
      throw new LogFault(
        "this node has a model of its own, and the cluster has another: export this one, remove the node's database, " +
          "and apply what the cluster lacks",
      );
    }
    // What the position says is compared with what the broker has.
    this.#needs.replica.skip({ created: "", sequence: 0 });
    throw new LogFault("the broker's log doesn't go on where this node's ends; it is compared");
  }

  async #publish(broker: Broker): Promise<void> {
    const { replica } = this.#needs;
    const { head: prev, stamp, sequence } = replica.position();
    for (let count = PUBLISHED_MAX;; count = Math.ceil(count / 2)) {
      const entries = replica.pending(count).map(({ generation: _, ...entry }) => entry);
      const message = { prev, stamp: stamp + entries.length, entries, base: null };
      const packed = encodeMessage(message);
      if (packed.bytes.length > broker.sizeMax) {
        if (entries.length > 1) {
          count = entries.length;
          continue;
        }
        throw new LogFault(
          `a change of ${packed.bytes.length} bytes is more than the server takes (max_payload ${broker.sizeMax})`,
        );
      }
      const at = await broker.publish(packed, sequence);
      // Others were faster: their entries come first.
      if (at === null) this.#isHinted = true;
      else this.#take([{ ...message, sequence: at }]);
      return;
    }
  }

  /** Makes sure that the position is one of this stream, and finds it if it isn't. */
  async #align(broker: Broker, { created, state }: StreamInfo): Promise<void> {
    const { replica } = this.#needs;
    const at = replica.position();
    if (at.created === created && at.sequence <= state.last_seq) {
      if (at.sequence === 0 || at.sequence < state.first_seq) return;
      const stored = await broker.at(at.sequence);
      if (stored === null || idsOf(stored)?.includes(at.head) !== false) return;
    }
    if (state.messages === 0) {
      replica.skip({ created, sequence: state.last_seq });
      if (!replica.isBlank() && (at.head !== "" || replica.hasOwnModel())) await this.#begin(broker);
      return;
    }
    for (let sequence = state.last_seq; sequence >= state.first_seq; sequence--) {
      const stored = await broker.at(sequence);
      const ids = stored && idsOf(stored);
      const known = ids?.findLast((id) => replica.knows(id));
      if (known === undefined) continue;
      const again = replica.goBackTo(known, { created, sequence: sequence - 1 });
      if (again > 0) {
        this.#needs.log.warn("The server has lost entries of the cluster's log; they are published again", {
          entries: again,
        });
      }
      return;
    }
    if (at.head === "") return replica.skip({ created, sequence: state.first_seq - 1 });
    const last = await broker.at(state.last_seq);
    const theirs = last === null ? 0 : decodeMessage(packedOf(last), last.seq).stamp;
    if (theirs >= at.stamp) {
      throw new LogFault(
        `the server's log (${theirs} entries) has nothing in common with this node's (${at.stamp} entries)`,
      );
    }
    replica.skip({ created, sequence: state.last_seq });
    await this.#begin(broker);
  }

  /** Has the log begin with this node's model: the server has none of it, or an older one. */
  async #begin(broker: Broker): Promise<void> {
    const { replica, terms: { node } } = this.#needs;
    const { head: prev, stamp, sequence } = replica.position();
    const base = { id: newEntryId(), node, ...replica.base() };
    const message = { prev, stamp: stamp + 1, entries: [], base };
    const packed = encodeMessage(message);
    if (packed.bytes.length > broker.sizeMax) {
      throw new LogFault(
        `a model of ${packed.bytes.length} bytes is more than the server takes (max_payload ${broker.sizeMax})`,
      );
    }
    const at = await broker.publish(packed, sequence);
    if (at === null) throw new LogFault("another node was faster to begin the log");
    this.#take([{ ...message, sequence: at }]);
    this.#needs.log.info("The cluster's log begins with this node's model", { entries: stamp });
  }
}

/** Why the log isn't followed, for people. */
class LogFault extends Error {}

/** What is told of a message that can't be read: its sender wrote part of it. */
const REASON_MAX = 200;

/** Ids of a message's entries; `null` = it can't be read. */
function idsOf(stored: StoredMsg): readonly string[] | null {
  try {
    const { entries, base } = decodeMessage(packedOf(stored), stored.seq);
    return base === null ? entries.map(({ id }) => id) : [...base.recent.toReversed(), base.id];
  } catch {
    return null;
  }
}

function packedOf({ data, header }: StoredMsg): PackedMessage {
  return { bytes: data, isGzipped: header.get("Content-Encoding") === "gzip" };
}

/** The stream. */
class Broker {
  /** Bytes that a message may have. */
  readonly sizeMax: number;
  readonly #manager: JetStreamManager;
  readonly #client: JetStreamClient;
  readonly #terms: LogTerms;

  constructor(
    connection: NatsConnection,
    manager: JetStreamManager,
    client: JetStreamClient,
    terms: LogTerms,
  ) {
    this.sizeMax = (connection.info?.max_payload ?? 1 << 20) - FRAME_SIZE;
    this.#manager = manager;
    this.#client = client;
    this.#terms = terms;
  }

  /** The stream as it is; it is made when it is missing. */
  async open(): Promise<StreamInfo> {
    try {
      return await this.info();
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.status !== 404) throw error;
    }
    const { stream, subject } = this.#terms;
    return await this.#manager.streams.add({
      name: stream,
      subjects: [subject],
      description: "Changes of the configuration of Pleiades, in their order",
    });
  }

  async info(): Promise<StreamInfo> {
    return await this.#manager.streams.info(this.#terms.stream);
  }

  /** The first message from a sequence on; `null` = there is none. */
  async next(sequence: number): Promise<StoredMsg | null> {
    // The server takes both, though the library's type doesn't say so.
    const query = { seq: sequence, next_by_subj: this.#terms.subject } as MsgRequest;
    return await this.#manager.streams.getMessage(this.#terms.stream, query);
  }

  /** The message of a sequence; `null` = there is none. */
  async at(sequence: number): Promise<StoredMsg | null> {
    return await this.#manager.streams.getMessage(this.#terms.stream, { seq: sequence });
  }

  /** Publishes behind a sequence. @returns the message's; `null` = there is another one behind it already */
  async publish({ bytes, isGzipped }: PackedMessage, after: number): Promise<number | null> {
    const headers = messageHeaders();
    headers.set("Content-Type", "application/json");
    if (isGzipped) headers.set("Content-Encoding", "gzip");
    try {
      const { seq } = await this.#client.publish(this.#terms.subject, bytes, {
        ...{ headers, timeout: REQUEST_TIMEOUT_MS, retries: 0 },
        expect: { streamName: this.#terms.stream, lastSequence: after },
      });
      return seq;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return null;
      throw error;
    }
  }
}
