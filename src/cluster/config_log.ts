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
  type StoredMsg,
  type StreamInfo,
} from "@nats-io/jetstream";
import { headers as messageHeaders, type NatsConnection } from "@nats-io/nats-core";
import { anySignal } from "../any_signal.ts";
import type { LogReplica } from "../change/log_replica.ts";
import type { Clock } from "../clock.ts";
import { Listeners } from "../listeners.ts";
import { askedAgain } from "../nats/asked_again.ts";
import { natsFault } from "../nats/fault.ts";
import { type BucketEntry, openConfigBucket } from "./config_bucket.ts";
import { StoreBusy } from "../store/database.ts";
import type { Logger } from "../telemetry/log.ts";
import {
  type LogBroker,
  LogFault,
  LogFollower,
  MissingPart,
  type Publication,
  type StoredMessage,
  type StoredMessages,
  type StreamState,
} from "./log_follower.ts";
import { LogTurns } from "./log_turns.ts";
import { decodeSnapshot, encodeSnapshot, type LogSnapshot, NewerLog } from "./log_wire.ts";
import {
  getModel,
  LOG_TYPE,
  manifestOf,
  ModelPartsFault,
  type ModelStore,
  putModel,
  sweepLogParts,
} from "./model_parts.ts";
import type { LogStatus } from "./port.ts";
import { SIGNATURE_HEADER, signatureOf } from "./signing.ts";
import type { Trust } from "./trust.ts";

/** Where the log is. */
export interface LogTerms {
  /** The stream. */
  readonly stream: string;
  /** Its only subject. */
  readonly subject: string;
  /** The bucket of what is too large for it. */
  readonly bucket: string;
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
/**
 * Waits for what a hint told of: it comes from the publisher, and may be here before the stream has it. Servers that have little
 * time, or elect a leader, take seconds to store a message; of one that they never store no more is heard, which is rare.
 */
const HINT_WAITS_MS = [2, 4, 8, 16, 32, 64, 128, ...Array.from({ length: 20 }, () => 250)];
/** The header that says after which sequence a message is to be. */
const AFTER_HEADER = "Nats-Expected-Last-Sequence";
/** The header that says which node publishes a message, for those that would publish at the same time. */
const NODE_HEADER = "Pleiades-Node";
/** Bytes of messages that are read by one request, or a little more, and how many messages. */
const READ_SIZE_MAX = 4 << 20;
const READ_MAX = 256;
/** Headers of a message that was read by one of those, and the server's word that this was all, or that there is nothing. */
const SEQUENCE_HEADER = "Nats-Sequence";
const LEFT_HEADER = "Nats-Num-Pending";
const READ_ENDS: ReadonlySet<number> = new Set([204, 404]);
/** JetStream's codes for a publication that expected another last sequence, or another last id. */
const WRONG_LAST: ReadonlySet<number> = new Set([10_071, 10_070]);

/** The log of a cluster, as far as a node takes part in it. */
export class ConfigLog {
  readonly #needs: LogNeeds;
  readonly #settled = new Listeners<void>();
  #wake = new AbortController();
  /** The last sequence of which was heard that something is to be there. */
  #hinted = 0;
  /** How often it wasn't. */
  #inVain = 0;
  #isCurrent = false;
  #fault: string | null = null;
  /** Of the connection; `null` = there is none. */
  #follower: LogFollower | null = null;
  #unreadable = 0;
  readonly #turns: LogTurns;

  /** Follows nothing before there is a session. */
  constructor(needs: LogNeeds) {
    this.#needs = needs;
    this.#turns = new LogTurns({ node: needs.terms.node, clock: needs.clock });
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
      callback: (error, message) => {
        if (error !== null) return;
        const { sequence } = this.#needs.replica.position();
        const author = message.headers?.get(NODE_HEADER);
        if (author) this.#turns.wants(author);
        const after = Number(message.headers?.get(AFTER_HEADER) || sequence);
        this.#hinted = Math.max(this.#hinted, after + 1);
        if (this.#hinted > sequence) this.#wake.abort();
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
    const { terms, replica, clock, log } = this.#needs;
    const broker = await StreamBroker.of(connection, { ...this.#needs, signal });
    this.#unreadable += this.#follower?.unreadable ?? 0;
    const follower = new LogFollower({
      ...{ broker, replica, log, node: terms.node, signal },
      published: (node) => this.#turns.published(node),
      pause: () => clock.sleep(0, signal).then(() => signal.throwIfAborted()),
    });
    this.#follower = follower;
    await follower.begin();
    await follower.read();
    await using writing = new SnapshotWriting(follower, { log, signal });
    for (let lost = 0; !signal.aborted;) {
      if (this.#fault !== null) log.info("The cluster's log is followed again");
      this.#fault = null;
      this.#isCurrent = true;
      this.#settled.tell();
      if (this.#wake.signal.aborted) this.#wake = new AbortController();
      if (await this.#cameByHint(follower, signal)) continue;
      if (replica.pendingCount() === 0) {
        if (await this.#rest(terms.lookMs, signal)) continue;
        if (!await follower.isSame()) return;
        await follower.read();
        writing.look();
        continue;
      }
      const waitMs = this.#turns.waitMs();
      if (waitMs > 0) {
        await this.#rest(waitMs, signal);
        continue;
      }
      const turn = await follower.turn();
      if (turn === "other") return;
      if (turn === "published") writing.begin();
      if (turn !== "lost") lost = 0;
      // A replica of the server may be behind.
      else await clock.sleep(HINT_WAITS_MS[Math.min(lost++, HINT_WAITS_MS.length - 1)]!, signal);
    }
  }

  /** Waits. @returns whether something came meanwhile */
  async #rest(ms: number, signal: AbortSignal): Promise<boolean> {
    const { signal: woken } = this.#wake;
    await this.#needs.clock.sleep(ms, anySignal([signal, woken]));
    return woken.aborted;
  }

  /** Reads what a hint told of, or waits a little for it. @returns whether there was a hint */
  async #cameByHint(follower: LogFollower, signal: AbortSignal): Promise<boolean> {
    const { replica } = this.#needs;
    if (this.#hinted <= replica.position().sequence) {
      this.#hinted = 0;
      this.#inVain = 0;
      return false;
    }
    if (await follower.read()) {
      this.#inVain = 0;
    } else if (this.#inVain < HINT_WAITS_MS.length && replica.pendingCount() === 0) {
      await this.#rest(HINT_WAITS_MS[this.#inVain++]!, signal);
    } else {
      // The server hasn't taken it.
      this.#hinted = 0;
      this.#inVain = 0;
    }
    return true;
  }
}

/** Writes one snapshot at a time, beside everything else. */
class SnapshotWriting implements AsyncDisposable {
  readonly #follower: LogFollower;
  readonly #needs: Pick<LogNeeds, "log"> & { readonly signal: AbortSignal };
  #writing: Promise<void> | null = null;
  /** Why it couldn't be written the last time. */
  #fault = "";

  constructor(follower: LogFollower, needs: Pick<LogNeeds, "log"> & { readonly signal: AbortSignal }) {
    this.#follower = follower;
    this.#needs = needs;
  }

  /** Writes one, if there is none being written and the log has become long. */
  begin(): void {
    this.#write(() => this.#follower.snapshot());
  }

  /** Writes one where it was lost. */
  look(): void {
    this.#write(() => this.#follower.replaceSnapshot());
  }

  #write(write: () => Promise<boolean>): void {
    this.#writing ??= this.#told(write).finally(() => this.#writing = null);
  }

  async #told(write: () => Promise<boolean>): Promise<void> {
    const { log, signal } = this.#needs;
    try {
      if (await write()) log.info("Wrote the model beside the cluster's log");
      this.#fault = "";
    } catch (error) {
      if (signal.aborted) return;
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== this.#fault) log.warn("The model can't be written beside the cluster's log", { reason });
      this.#fault = reason;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }
}

/** What of the headers the meaning of a message depends on. */
function encodingOf(isGzipped: boolean): Readonly<Record<string, string>> {
  return isGzipped ? { "Content-Encoding": "gzip" } : {};
}

/** What a stream is worked with. */
interface BrokerNeeds extends Pick<LogNeeds, "terms" | "trust" | "clock"> {
  /** Of the session. */
  readonly signal: AbortSignal;
}

/** The key of the snapshot. */
const SNAPSHOT_KEY = "log";

/** A stream of JetStream. */
class StreamBroker implements LogBroker {
  readonly sizeMax: number;
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #client: JetStreamClient;
  readonly #terms: LogTerms;
  readonly #trust: Trust;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #models: Promise<ModelStore> | null = null;
  /** Whether the stream lets messages be read many at a time. */
  #isDirect = false;

  private constructor(
    connection: NatsConnection,
    manager: JetStreamManager,
    client: JetStreamClient,
    { terms, trust, clock, signal }: BrokerNeeds,
  ) {
    this.sizeMax = (connection.info?.max_payload ?? 1 << 20) - FRAME_SIZE;
    this.#connection = connection;
    this.#manager = manager;
    this.#client = client;
    this.#terms = terms;
    this.#trust = trust;
    this.#clock = clock;
    this.#signal = signal;
  }

  static async of(
    connection: NatsConnection,
    needs: BrokerNeeds,
  ): Promise<StreamBroker> {
    const { domain } = needs.terms;
    // Whether there is JetStream is seen by what is asked first.
    const options = () => ({
      ...{ timeout: REQUEST_TIMEOUT_MS, checkAPI: false },
      ...(domain !== null && { domain }),
    });
    const manager = await jetstreamManager(connection, options());
    return new StreamBroker(connection, manager, jetstream(connection, options()), needs);
  }

  async open(): Promise<StreamState> {
    try {
      return await this.state();
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.status !== 404) throw error;
    }
    const { stream, subject, replicas = 1 } = this.#terms;
    return this.#stateOf(
      await this.#manager.streams.add({
        name: stream,
        subjects: [subject],
        num_replicas: replicas,
        allow_direct: true,
        description: "Changes of the configuration of Pleiades, in their order",
      }),
    );
  }

  async state(): Promise<StreamState> {
    return this.#stateOf(await this.#asked(() => this.#manager.streams.info(this.#terms.stream)));
  }

  #stateOf(
    { created, config, state: { first_seq: first, last_seq: last, messages } }: StreamInfo,
  ): StreamState {
    this.#isDirect = config.allow_direct === true;
    return { created, first, last, messages };
  }

  async after(sequence: number): Promise<StoredMessages> {
    const { stream, subject, domain } = this.#terms;
    if (!this.#isDirect) return await this.#oneAfter(sequence);
    const api = domain === null ? "$JS.API" : `$JS.${domain}.API`;
    const query = { seq: sequence + 1, next_by_subj: subject, batch: READ_MAX, max_bytes: READ_SIZE_MAX };
    const answers = await this.#connection.requestMany(
      `${api}.DIRECT.GET.${stream}`,
      JSON.stringify(query),
      { strategy: "sentinel", maxWait: REQUEST_TIMEOUT_MS },
    );
    const messages: StoredMessage[] = [];
    let left = 0;
    for await (const { data, headers } of answers) {
      const code = headers?.code ?? 0;
      if (READ_ENDS.has(code)) return { messages, hasMore: left > 0 };
      const seq = Number(headers?.get(SEQUENCE_HEADER));
      if (code !== 0 || headers === undefined || !Number.isSafeInteger(seq) || seq < 1) {
        throw new LogFault(`the server answers ${code} ${headers?.description ?? ""} when the log is read`);
      }
      left = Number(headers.get(LEFT_HEADER) || 0);
      messages.push(await this.#message({ data, header: headers, seq }));
    }
    // An empty message of another program ends the answer, too; without any the time is up.
    if (messages.length === 0) throw new LogFault("the server doesn't answer when the log is read");
    return { messages, hasMore: true };
  }

  /** From a stream that was made by hand, without direct access. */
  async #oneAfter(sequence: number): Promise<StoredMessages> {
    // The server takes both, though the library's type doesn't say so.
    const query = { seq: sequence + 1, next_by_subj: this.#terms.subject } as { seq: number };
    const stored = await this.#manager.streams.getMessage(this.#terms.stream, query);
    return { messages: stored === null ? [] : [await this.#message(stored)], hasMore: stored !== null };
  }

  async at(sequence: number): Promise<StoredMessage | null> {
    if (sequence === 0) return null;
    const stored = await this.#asked(() =>
      this.#manager.streams.getMessage(this.#terms.stream, { seq: sequence })
    );
    return stored && await this.#message(stored);
  }

  #asked<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    return askedAgain(ask, { clock: this.#clock, signal: this.#signal });
  }

  async #message({ data, header, seq }: Pick<StoredMsg, "data" | "header" | "seq">): Promise<StoredMessage> {
    const { subject } = this.#terms;
    const isGzipped = header.get("Content-Encoding") === "gzip";
    const message = { subject, bytes: data, headers: encodingOf(isGzipped) };
    const signature = header.get(SIGNATURE_HEADER);
    const isBelieved = await this.#trust.believes("A message of the cluster's log", message, signature);
    return { bytes: data, isGzipped, sequence: seq, id: header.get("Nats-Msg-Id"), isBelieved };
  }

  async publish({ bytes, isGzipped, id, after, afterId }: Publication): Promise<number | null> {
    const { subject } = this.#terms;
    const { signing } = this.#trust;
    if (signing?.canSign === false) throw withoutKey();
    const said = encodingOf(isGzipped);
    const headers = messageHeaders();
    headers.set("Content-Type", "application/json");
    headers.set(NODE_HEADER, this.#terms.node);
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

  async forget({ sequence, stamp }: Pick<LogSnapshot, "sequence" | "stamp">): Promise<void> {
    await this.#manager.streams.purge(this.#terms.stream, { seq: sequence });
    await sweepLogParts(await this.#modelStore(), stamp, this.#clock.unixMs());
  }

  async keep(body: Iterable<Uint8Array>, stamp: number): Promise<string> {
    const { signing } = this.#trust;
    if (signing?.canSign === false) throw withoutKey();
    const about = { stamp, type: LOG_TYPE, counts: {} };
    const { digest } = await putModel(await this.#modelStore(), { body, about, signal: this.#signal });
    return digest;
  }

  async *part(digest: string): AsyncGenerator<Uint8Array> {
    const store = await this.#modelStore();
    try {
      const manifest = await manifestOf(store, digest);
      if (manifest === null) throw new ModelPartsFault(`The model ${digest.slice(0, 12)} is missing`);
      yield* getModel(store, { manifest, signal: this.#signal });
    } catch (error) {
      if (!(error instanceof ModelPartsFault)) throw error;
      this.#trust.refuse(error.refused ?? "unreadable");
      throw new MissingPart(`what an entry of the log refers to can't be read: ${error.message}`, {
        cause: error,
      });
    }
  }

  async snapshot(): Promise<LogSnapshot | null> {
    const { bucket } = await this.#modelStore();
    let entry: BucketEntry | null;
    try {
      entry = await bucket.get(SNAPSHOT_KEY);
    } catch (error) {
      // Where the bucket was deleted it is made again the next time.
      this.#models = null;
      throw error;
    }
    if (entry === null) return null;
    const { value: bytes, headers } = entry;
    const message = { subject: SNAPSHOT_KEY, bytes };
    const what = "The snapshot of the cluster's log";
    if (!await this.#trust.believes(what, message, headers[SIGNATURE_HEADER])) return null;
    try {
      return decodeSnapshot(bytes);
    } catch {
      this.#trust.refuse("unreadable");
      return null;
    }
  }

  async putSnapshot(snapshot: LogSnapshot): Promise<void> {
    const { bucket, signing } = await this.#modelStore();
    const bytes = encodeSnapshot(snapshot);
    await bucket.put(SNAPSHOT_KEY, bytes, await signatureOf(signing, { subject: SNAPSHOT_KEY, bytes }));
  }

  /** Where models lie, which is opened when there is something for it. */
  async #modelStore(): Promise<ModelStore> {
    const { bucket, domain, replicas = 1 } = this.#terms;
    const needs = { clock: this.#clock, signal: this.#signal };
    this.#models ??= openConfigBucket(this.#connection, { bucket, domain, replicas }, needs).then((
      bucket,
    ) => ({
      ...{ bucket, signing: this.#trust.signing, clock: this.#clock },
    }));
    try {
      return await this.#models;
    } catch (error) {
      this.#models = null;
      throw error;
    }
  }
}

function withoutKey(): LogFault {
  return new LogFault("entries of this cluster are signed, and this node has no key (state.signing.key)");
}
