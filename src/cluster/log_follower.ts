/**
 * What a node does with the log that a broker has: finds its place in it, takes what comes after, and publishes its own.
 *
 * The broker is behind an interface of five calls, each of which may fail, and may have done its work all the same.
 *
 * @module
 */
import { newEntryId } from "../change/log_pending.ts";
import { linesOf, type LogBase, type LogMessage, type Taken, type Whole } from "../change/log_message.ts";
import { type LogReplica, messageEntry, positionsOf } from "../change/log_replica.ts";
import type { RecordedChange } from "../store/history_parts.ts";
import type { PendingEntry } from "../store/log.ts";
import type { LogFields, Logger } from "../telemetry/log.ts";
import { decodeMessage, encodeMessage, type LogSnapshot, NewerLog, type PackedMessage } from "./log_wire.ts";

/** A stream as it is at a moment. */
export interface StreamState {
  /** When it was made, as the broker says it: another one where it was made again. */
  readonly created: string;
  /** Sequence of the first message; one more than the last where there is none. */
  readonly first: number;
  /** Sequence of the last message that it ever had. */
  readonly last: number;
  /** How many it has. */
  readonly messages: number;
}

/** A message as a broker has it. */
export interface StoredMessage extends PackedMessage {
  /** Where. */
  readonly sequence: number;
  /** Whether it is signed as it must be; what isn't is left out. */
  readonly isBelieved: boolean;
  /** The id that it was published by; empty = none. */
  readonly id: string;
}

/** Messages that follow each other. */
export interface StoredMessages {
  /** In their order; none = there are none. */
  readonly messages: readonly StoredMessage[];
  /** Whether there may be more. */
  readonly hasMore: boolean;
}

/** What a publication goes by: the broker takes it only where its last message is this one. */
export interface Publication extends PackedMessage {
  /** Its own id. */
  readonly id: string;
  /** Sequence of the last message, 0 = there never was one. */
  readonly after: number;
  /** That message's id; empty = it has none. */
  readonly afterId: string;
}

/** A stream of a broker. */
export interface LogBroker {
  /** Bytes that a message may have. */
  readonly sizeMax: number;
  /** The stream as it is; it is made when it is missing. */
  open(): Promise<StreamState>;
  /** The stream as it is. */
  state(): Promise<StreamState>;
  /** The first messages after a sequence, as many as are sensibly read at once. */
  after(sequence: number): Promise<StoredMessages>;
  /** The message of a sequence; `null` = there is none. */
  at(sequence: number): Promise<StoredMessage | null>;
  /** Publishes. @returns the message's sequence; `null` = the last message is another one */
  publish(publication: Publication): Promise<number | null>;
  /** Forgets the messages before a snapshot, and what was kept for them. */
  forget(before: Pick<LogSnapshot, "sequence" | "stamp">): Promise<void>;
  /** Keeps bytes that are too large for a message, and what a message of this stamp refers to. @returns their digest */
  keep(body: Iterable<Uint8Array>, stamp: number): Promise<string>;
  /** What was kept. @throws {Error} for people, when it isn't there or another one */
  part(digest: string): AsyncIterable<Uint8Array>;
  /** The snapshot that was written last; `null` = there is none, or none that is believed. */
  snapshot(): Promise<LogSnapshot | null>;
  /** Writes a snapshot. */
  putSnapshot(snapshot: LogSnapshot): Promise<void>;
}

/** What a node does with the log that a broker has works with. */
export interface FollowerNeeds {
  /** The stream. */
  readonly broker: LogBroker;
  /** This node's copy. */
  readonly replica: LogReplica;
  /** Id of this node. */
  readonly node: string;
  /** Hears what is wrong. */
  readonly log: Logger;
  /** Hears whose entry the log has by now. */
  readonly published?: (node: string) => void;
  /** Lets others have their turn; it throws where the work is to end. */
  readonly pause?: () => Promise<void>;
  /** Ends what takes long. */
  readonly signal: AbortSignal;
  /** Messages after a snapshot until the next one is written. */
  readonly snapshotEvery?: number;
}

/** Entries that are published together. */
const PUBLISHED_MAX = 500;
/** Bytes of what they do. What does more lies beside the log. */
const PUBLISHED_SIZE = 256 << 10;
/** Objects of a model that is all in one message. */
const INLINE_MAX = 500;
/** Objects that are taken by a thread of its own. */
const LARGE_FROM = 1_000;
/** Messages after a snapshot until the next one. */
const SNAPSHOT_EVERY = 1_000;
/** Objects in entries that are taken together, some of which belong to one message, at least: milliseconds of work. */
const TAKEN_MAX = 64;

/** Messages at the log's begin, or behind a node's place, that may be none of it. */
const STRAY_MAX = 8;

/** Looks at which a node finds no model beside the log, until it writes it though another one wrote the last entry. */
const MISSING_LOOKS = 3;

/** Why the log isn't followed; the message is for people. */
export class LogFault extends Error {
  /** The class, in logs. */
  override readonly name: string = "LogFault";
}

/** What a message refers to isn't beside the log. */
export class MissingPart extends LogFault {
  /** The class, in logs. */
  override readonly name = "MissingPart";
}

/** A message that was read, or a part of its entries. */
interface ReadMessage {
  readonly part: LogMessage;
  /** Of the whole message. */
  readonly sequence: number;
  /** Id that the message at the part's sequence was published by. */
  readonly id: string;
}

/** Whether what it does lies beside the log. */
function refers({ entries, base }: LogMessage): boolean {
  return entries.some(({ parts }) => parts !== null) || (base?.parts ?? null) !== null;
}

function objectsOf({ entries, base }: LogMessage): number {
  return entries.reduce((sum, { changes }) => sum + changes.length, base?.model.length ?? 0);
}

/** Whether it does so much, or may, that it is nothing for the main thread. */
function isLarge(message: LogMessage): boolean {
  return objectsOf(message) > LARGE_FROM || refers(message);
}

/** Follows the log of one broker. */
export class LogFollower {
  readonly #needs: FollowerNeeds;
  #last = 0;
  /** Id of the message at the sequence that was read. */
  #lastId = "";
  #unreadable = 0;
  /** What was said of messages that are left out. */
  readonly #told = new Set<string>();
  /** The last large entry that was kept beside the log, as it was then. */
  #kept = { id: "", generation: 0, parts: "" };
  /** Sequence of the last snapshot that is known of. */
  #snapshotAt = 0;
  /** Whether a node that comes later may need a snapshot: the log doesn't have all that it would begin with in itself. */
  #isSnapshotNeeded = false;
  /** How often it was looked for, and not there. */
  #missing = 0;
  /** Who wrote the last entry. */
  #author = "";

  /** Asks nothing yet. */
  constructor(needs: FollowerNeeds) {
    this.#needs = needs;
  }

  /** The last sequence of which is known. */
  get last(): number {
    return this.#last;
  }

  /** Messages that couldn't be read. */
  get unreadable(): number {
    return this.#unreadable;
  }

  /**
   * Opens the stream and finds this node's place in it.
   *
   * @throws {LogFault} when there is none
   */
  async begin(): Promise<void> {
    const state = await this.#needs.broker.open();
    this.#last = state.last;
    await this.#align(state);
    const { sequence } = this.#needs.replica.position();
    this.#lastId = (await this.#needs.broker.at(sequence))?.id ?? "";
    this.#author ||= this.#needs.replica.lastAuthor();
    // What it didn't look at may refer to something.
    if (state.first > 1 || sequence > 0) this.#isSnapshotNeeded = true;
  }

  /** Whether the stream is the one that was begun with; otherwise it is to be begun with again. */
  async isSame(): Promise<boolean> {
    const { broker, replica } = this.#needs;
    const { created, first, last } = await broker.state();
    const at = replica.position();
    this.#last = last;
    if (first > 1) this.#isSnapshotNeeded = true;
    if (created !== at.created || last < at.sequence) return false;
    return at.sequence === 0 || ((await broker.at(at.sequence))?.id ?? "") === this.#lastId;
  }

  /**
   * Publishes what is pending. Where others were faster, their entries come first, and are taken.
   *
   * @returns what was done; `lost` = neither, since what came first can't be read yet; `other` = the stream isn't the one
   * that was begun with
   */
  async turn(): Promise<"published" | "taken" | "lost" | "other"> {
    // A message without an id can't be expected to be the last one: by its sequence there may be another one in its place.
    const isNamed = this.#lastId !== "" || this.#needs.replica.position().sequence === 0;
    if (!isNamed && !await this.isSame()) return "other";
    if (await this.publish()) return "published";
    if (await this.read()) return "taken";
    return await this.isSame() ? "lost" : "other";
  }

  /**
   * Takes what comes after what was read, until there is no more.
   *
   * @returns whether there was any
   * @throws {LogFault} when it doesn't go on where this node ends
   * @throws {NewerLog} when a newer release wrote it; what comes before was taken
   */
  async read(): Promise<boolean> {
    const { replica, broker } = this.#needs;
    for (let isAny = false;; isAny = true) {
      const { messages, hasMore } = await broker.after(replica.position().sequence);
      if (messages.length === 0) return isAny;
      this.#last = Math.max(this.#last, messages.at(-1)!.sequence);
      try {
        await this.#takeStored(messages);
      } catch (error) {
        if (!(error instanceof MissingPart) || !await this.#takeSnapshot()) throw error;
        continue;
      }
      if (!hasMore) return true;
    }
  }

  /** Goes on from a model of later, where what comes next can't be had any more. @returns whether there is one */
  async #takeSnapshot(): Promise<boolean> {
    const { replica, broker } = this.#needs;
    const { created, sequence } = replica.position();
    const snapshot = await this.#snapshotOf(created);
    if (snapshot === null || snapshot.sequence <= sequence) return false;
    const message = messageOf(snapshot);
    if (replica.knownOf(message) === null || await this.#take([message]) !== "taken") return false;
    this.#lastId = (await broker.at(snapshot.sequence))?.id ?? "";
    return true;
  }

  /** Takes messages that follow each other, with a pause wherever it was enough for once. */
  async #takeStored(stored: readonly StoredMessage[]): Promise<void> {
    const { replica, pause } = this.#needs;
    const { created, sequence } = replica.position();
    let before = { sequence, id: this.#lastId };
    let some: ReadMessage[] = [];
    let objects = 0;
    for (const { sequence, id, ...rest } of stored) {
      const message = this.#decoded({ sequence, id, ...rest }, some.length > 0);
      if (message === "later") break;
      if (message === null) {
        if (!await this.#takeSome(some)) return;
        [some, objects] = [[], 0];
        replica.skip({ created, sequence });
        this.#lastId = id;
      } else {
        // What is pending is made again each time: the more of it, the more is taken at once.
        const objectsMax = Math.max(TAKEN_MAX, replica.pendingCount());
        if (isLarge(message)) {
          if (!await this.#takeSome(some)) return;
          [some, objects] = [[], 0];
        }
        for (const part of replica.partsOf(message, { before: before.sequence, objectsMax })) {
          some.push({ part, sequence, id: part.sequence === sequence ? id : before.id });
          objects += objectsOf(part);
          if (objects < objectsMax && !isLarge(part)) continue;
          if (!await this.#takeSome(some)) return;
          [some, objects] = [[], 0];
          await pause?.();
        }
      }
      before = { sequence, id };
    }
    await this.#takeSome(some);
  }

  /** @returns whether all of it was taken, or left out; the rest is to be read again */
  async #takeSome(some: readonly ReadMessage[]): Promise<boolean> {
    const [first] = some;
    if (first === undefined) return true;
    if (await this.#take(some.map(({ part }) => part)) !== "taken") {
      await this.#leaveOut(first.sequence);
      this.#lastId = first.id;
      return false;
    }
    const { sequence } = this.#needs.replica.position();
    const last = some.findLast(({ part }) => part.sequence === sequence);
    if (last !== undefined) this.#lastId = last.id;
    return last === some.at(-1);
  }

  /** It was written by a program that doesn't go by the log: every node leaves it out. */
  async #leaveOut(sequence: number): Promise<void> {
    const { replica } = this.#needs;
    if (!await this.isSame()) throw new LogFault("the server has another log than before; it is compared");
    this.#unreadable++;
    this.#tellOnce("A message of the cluster's log doesn't follow the one before it, and is left out", {
      sequence,
    });
    replica.skip({ created: replica.position().created, sequence });
  }

  /** `null` = it isn't one. What a newer release wrote is met when all before it was taken. */
  #decoded(stored: StoredMessage, hasOthers: boolean): LogMessage | "later" | null {
    if (!stored.isBelieved) return null;
    try {
      return decodeMessage(stored, stored.sequence);
    } catch (error) {
      if (error instanceof NewerLog) {
        if (hasOthers) return "later";
        throw error;
      }
      this.#unreadable++;
      const reason = error instanceof Error ? error.message.slice(0, REASON_MAX) : String(error);
      this.#tellOnce("A message of the cluster's log can't be read, and is left out", {
        sequence: stored.sequence,
        reason,
      });
      return null;
    }
  }

  /** Whoever publishes what is none may do so a thousand times a second. */
  #tellOnce(message: string, fields: LogFields): void {
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#needs.log.warn(message, fields);
  }

  /** @returns `broken` = they don't follow the head; `unreadable` = what the first refers to isn't what it should be */
  async #take(
    messages: readonly LogMessage[],
    whole: Whole | null = null,
  ): Promise<"taken" | "broken" | "unreadable"> {
    const { replica, broker, signal } = this.#needs;
    if (!messages.some(isLarge) && !replica.hasMuchPending()) {
      return this.#taken(messages, replica.take(messages, { whole }));
    }
    const part = (digest: string) => broker.part(digest);
    return this.#taken(messages, await replica.takeLarge(messages, { whole, part, signal }));
  }

  #taken(messages: readonly LogMessage[], taken: Taken): "taken" | "broken" | "unreadable" {
    const { log, published } = this.#needs;
    if (messages.some(refers)) this.#isSnapshotNeeded = true;
    if (taken.kind === "foreign") {
      throw new LogFault(
        "this node has a model of its own, and the cluster has another: export this one, remove the node's database, " +
          "and apply what the cluster lacks",
      );
    }
    if (taken.kind === "unreadable") {
      log.warn("What a message of the cluster's log refers to can't be read", {
        reason: taken.reason.slice(0, REASON_MAX),
      });
    }
    if (taken.kind !== "taken") return taken.kind;
    for (const { entries, base } of messages) {
      this.#author = entries.at(-1)?.node ?? base?.node ?? this.#author;
      published?.(this.#author);
    }
    for (const { node, by, why } of taken.conflicts) {
      log.warn("A change and what others changed don't fit together", {
        ...{ node, by, reason: why },
      });
    }
    return "taken";
  }

  /**
   * Publishes what is pending, as far as it fits one message.
   *
   * @returns whether the log has it; otherwise another entry comes first
   * @throws {LogFault} when it fits none
   */
  async publish(): Promise<boolean> {
    const { replica, broker } = this.#needs;
    const { head: prev, stamp, sequence } = replica.position();
    for (let countMax = PUBLISHED_MAX;;) {
      const { entries: small, large } = replica.pending({ countMax, sizeMax: PUBLISHED_SIZE });
      const entries = large === null ? small : [messageEntry(large, [], await this.#keep(large, stamp + 1))];
      if (entries.length === 0) return true;
      const message = { prev, stamp: stamp + entries.length, entries, base: null };
      const packed = encodeMessage(message);
      if (packed.bytes.length > broker.sizeMax) {
        if (entries.length > 1) {
          countMax = Math.ceil(entries.length / 2);
          continue;
        }
        throw new LogFault(
          `a change of ${packed.bytes.length} bytes is more than the server takes (max_payload ${broker.sizeMax})`,
        );
      }
      const id = replica.endOf(message);
      const at = await broker.publish({ ...packed, id, after: sequence, afterId: this.#lastId });
      if (at === null) return false;
      const published = [{ ...message, sequence: at }];
      this.#taken(published, replica.take(published));
      this.#lastId = id;
      return true;
    }
  }

  /** Puts beside the log what a pending entry does. @returns the digest */
  async #keep({ id, generation }: PendingEntry, stamp: number): Promise<string> {
    if (this.#kept.id === id && this.#kept.generation === generation) return this.#kept.parts;
    using changes = this.#needs.replica.pendingChanges(id);
    const parts = await this.#needs.broker.keep(linesOf(changes.value), stamp);
    this.#kept = { id, generation, parts };
    return parts;
  }

  /**
   * Writes the model of now beside the log for nodes that come later, when the log has become long and this node wrote the last
   * entry; the log then forgets what lies before the snapshot of before.
   *
   * @returns whether it did
   */
  async snapshot(): Promise<boolean> {
    const { replica, broker, node, snapshotEvery = SNAPSHOT_EVERY } = this.#needs;
    const now = replica.position();
    if (this.#author !== node || now.head === "" || now.sequence - this.#snapshotAt < snapshotEvery) {
      return false;
    }
    const before = await this.#snapshotOf(now.created);
    this.#snapshotAt = before?.sequence ?? 0;
    if (now.sequence - this.#snapshotAt < snapshotEvery) return false;
    await this.#writeSnapshot();
    if (before !== null) await broker.forget(before);
    return true;
  }

  /**
   * Writes the model of now beside the log where there was one and is none any more: the bucket was lost. Who wrote the last entry
   * does it, and others where it doesn't. It is to be called again and again.
   *
   * @returns whether it did
   */
  async replaceSnapshot(): Promise<boolean> {
    const { replica, node } = this.#needs;
    const { created, head } = replica.position();
    if (!this.#isSnapshotNeeded || head === "") return false;
    const isOwn = this.#author === node;
    try {
      const isThere = await this.#snapshotOf(created) !== null;
      this.#missing = isThere ? 0 : this.#missing + 1;
      if (isThere || this.#missing < (isOwn ? 1 : MISSING_LOOKS)) return false;
      this.#missing = 0;
      await this.#writeSnapshot();
      return true;
    } catch (error) {
      // Another node may not be allowed to.
      if (isOwn) throw error;
      return false;
    }
  }

  async #writeSnapshot(): Promise<void> {
    const { replica, broker, node } = this.#needs;
    using model = replica.model();
    const { position: { created, sequence, head: position, stamp }, recent, changes } = model.value;
    // Where it fails it isn't tried at each entry.
    this.#snapshotAt = sequence;
    const parts = await broker.keep(linesOf(changes), stamp);
    await broker.putSnapshot({ created, sequence, position, stamp, node, recent, parts });
    this.#isSnapshotNeeded = true;
  }

  /** The snapshot of a stream; `null` = there is none. */
  async #snapshotOf(created: string): Promise<LogSnapshot | null> {
    const snapshot = await this.#needs.broker.snapshot();
    return snapshot?.created === created ? snapshot : null;
  }

  /** Makes sure that the position is one of this stream, and finds it if it isn't. */
  async #align({ created, first, last, messages }: StreamState): Promise<void> {
    const { replica, log } = this.#needs;
    const at = replica.position();
    if (at.created === created && at.sequence <= last && await this.#isAt(at.sequence, first)) return;
    if (messages === 0) return await this.#beginEmpty({ created, last });
    const { messages: found, read } = await this.#all(first);
    // What it doesn't show may be what this node has in common with it.
    if (read < last && await this.#needs.broker.at(last) !== null) {
      throw new LogFault("a replica of the server is behind; the log is read again");
    }
    const all = followingOf(found);
    const snapshot = await this.#snapshotOf(created);
    // What is before the first message is in the snapshot, if there is any.
    const begin = snapshot !== null && snapshot.sequence + 1 >= first && snapshot.sequence <= last
      ? [messageOf(snapshot), ...all.filter(({ sequence }) => sequence > snapshot.sequence)]
      : all;
    if (begin.length === 0) return await this.#beginEmpty({ created, last });
    for (const message of all.toReversed()) {
      const known = replica.knownOf(message);
      if (known === null) continue;
      // Its entries after the position, if there are any, are taken when it is read.
      const lost = replica.goBackTo(known, { created, sequence: message.sequence - 1 });
      if (lost > 0) {
        log.warn("The server has lost entries of the cluster's log; they are published again", { lost });
      }
      return;
    }
    const oldest = begin[0]!;
    if (oldest.base !== null && replica.knownOf(oldest) !== null) {
      // This node was away for longer than the log reaches back.
      replica.skip({ created, sequence: oldest.sequence - 1 });
      if (await this.#take([oldest]) === "taken") return;
    }
    if ((all.at(-1)?.stamp ?? 0) < at.stamp) return await this.#beginWithModel({ created, last });
    // The stream is the one that it followed, and was trimmed meanwhile.
    const isOurs = at.head !== "" && at.created === created && at.sequence < first;
    await this.#beginAgain(begin, { created, whole: isOurs ? "ours" : "another" });
  }

  /** All messages of the stream that can be read, and up to which sequence it was read. */
  async #all(first: number): Promise<{ readonly messages: readonly LogMessage[]; readonly read: number }> {
    const all: LogMessage[] = [];
    for (let read = first - 1;;) {
      const { messages, hasMore } = await this.#needs.broker.after(read);
      for (const stored of messages) {
        const message = readable(stored);
        if (message !== null) all.push(message);
        read = stored.sequence;
      }
      if (!hasMore || messages.length === 0) return { messages: all, read };
    }
  }

  /** Whether a sequence, which was read, is followed by what this node has to take next. */
  async #isAt(sequence: number, first: number): Promise<boolean> {
    const { replica } = this.#needs;
    const { head } = replica.position();
    // What can't be read says nothing of its place: what comes before it does.
    for (let at = sequence; at > sequence - STRAY_MAX; at--) {
      if (at < first) return at + 1 === first && (at > 0 || (head === "" && !replica.hasOwnModel()));
      const message = await this.#messageAt(at);
      if (message !== null) return replica.endOf(message) === head;
    }
    return false;
  }

  /** There is no entry, whatever others may have published. */
  async #beginEmpty(at: Pick<StreamState, "created" | "last">): Promise<void> {
    const { replica } = this.#needs;
    if (replica.position().head !== "" || replica.hasOwnModel()) return await this.#beginWithModel(at);
    replica.skip({ created: at.created, sequence: at.last });
  }

  /** Takes the log from its begin, or from the snapshot: this node has nothing in common with it, and less. */
  async #beginAgain(
    messages: readonly LogMessage[],
    { created, whole }: Pick<StreamState, "created"> & { readonly whole: Whole },
  ): Promise<void> {
    const { replica, log } = this.#needs;
    const begin = messages[0]!;
    if (begin.prev !== "" && begin.base === null) {
      throw new LogFault("the server's log doesn't reach back to its begin, and this node has none of it");
    }
    if (!replica.isBlank() && !replica.hasOwnModel()) {
      log.warn(
        whole === "ours"
          ? "This node was away for longer than the cluster's log reaches back: it takes the model as it is there"
          : "The server has another log than this node, and a longer one: it is taken, and keeps what both have by one name",
      );
    }
    replica.skip({ created, sequence: begin.sequence - 1 });
    // A model that no log knows of stays, unless it is the one that the log begins with.
    const hasOwnModel = replica.hasOwnModel();
    if (await this.#take(hasOwnModel ? [begin] : messages, hasOwnModel ? null : whole) !== "taken") {
      throw new LogFault("the begin of the server's log can't be taken");
    }
  }

  /** `null` = there is none, or it can't be read. */
  async #messageAt(sequence: number): Promise<LogMessage | null> {
    const stored = await this.#needs.broker.at(sequence);
    return stored && readable(stored);
  }

  /** A model for a message: in it where it is small, and else beside the log. */
  async #model(changes: Iterable<RecordedChange>, stamp: number): Promise<Pick<LogBase, "model" | "parts">> {
    const model: RecordedChange[] = [];
    const rest = changes[Symbol.iterator]();
    for (let next = rest.next(); !next.done; next = rest.next()) {
      model.push(next.value);
      if (model.length <= INLINE_MAX) continue;
      const all = function* () {
        yield* model;
        for (let next = rest.next(); !next.done; next = rest.next()) yield next.value;
      };
      return { model: [], parts: await this.#needs.broker.keep(linesOf(all()), stamp) };
    }
    return { model, parts: null };
  }

  /** Has the log begin with this node's model: the server has none of it, or an older one. */
  async #beginWithModel({ created, last }: Pick<StreamState, "created" | "last">): Promise<void> {
    const { replica, broker, node } = this.#needs;
    const { head: prev, stamp } = replica.position();
    using model = replica.model();
    const { recent, changes } = model.value;
    const base = { id: newEntryId(), node, recent, position: null, ...await this.#model(changes, stamp + 1) };
    const message = { prev, stamp: stamp + 1, entries: [], base };
    const packed = encodeMessage(message);
    const afterId = (await broker.at(last))?.id ?? "";
    const id = replica.endOf(message);
    const at = await broker.publish({ ...packed, id, after: last, afterId });
    if (at === null) throw new LogFault("another node was faster to begin the log");
    replica.skip({ created, sequence: last });
    await this.#take([{ ...message, sequence: at }]);
    this.#lastId = id;
    this.#needs.log.info("The cluster's log begins with this node's model", { entries: stamp });
  }
}

/**
 * Those of messages that follow each other, as every node takes them: not what was published once more, or out of place. Where
 * the first ones are such, most of those behind them don't follow.
 */
function followingOf(messages: readonly LogMessage[]): readonly LogMessage[] {
  for (let from = 0; from < Math.min(messages.length, STRAY_MAX); from++) {
    const chain = chainOf(messages.slice(from));
    if (2 * chain.length >= messages.length - from) return chain;
  }
  return messages;
}

function chainOf(messages: readonly LogMessage[]): readonly LogMessage[] {
  const chain: LogMessage[] = [];
  let [head, stamp] = ["", 0];
  for (const message of messages) {
    const positions = positionsOf(message);
    const follows = chain.length === 0 || message.base !== null || positions.includes(head);
    if (!follows || message.stamp <= stamp) continue;
    chain.push(message);
    [head, stamp] = [positions.at(-1)!, message.stamp];
  }
  return chain;
}

/** As a message that comes before all others. */
function messageOf({ sequence, position, stamp, node, recent, parts }: LogSnapshot): LogMessage {
  const base: LogBase = { id: newEntryId(), node, recent, position, model: [], parts };
  // It follows no position that any node has.
  return { sequence, prev: "-", stamp, entries: [], base };
}

/** `null` = it can't be read, or isn't believed. @throws {NewerLog} when a newer release wrote it */
function readable(stored: StoredMessage): LogMessage | null {
  if (!stored.isBelieved) return null;
  try {
    return decodeMessage(stored, stored.sequence);
  } catch (error) {
    if (error instanceof NewerLog) throw error;
    return null;
  }
}

/** What is told of a message that can't be read: its sender wrote part of it. */
const REASON_MAX = 200;
