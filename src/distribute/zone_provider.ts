/**
 * The service beside a primary that gives zones to secondaries: what it is asked for, it transfers from its PowerDNS.
 *
 * Of several providers one hears each question. Where it can't answer it is silent, and the secondary asks again: another
 * provider may have what it asks for.
 *
 * For each transfer PowerDNS signs the zone, and all secondaries ask for a zone at the same time. A secondary says how long ago
 * it was told of the change: what was read since then has it, and is given to the next ones, too. That is a span and not a
 * time, since clocks differ; on its way it only gets too short.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { decodeMessage } from "../wire/message.ts";
import type { Broker, Message, Subscription } from "./broker.ts";
import {
  encodeDataReply,
  readDataRequest,
  type Subjects,
  type ZoneDataReply,
  type ZoneDataRequest,
} from "./messages.ts";
import type { ProviderMetrics } from "./metrics.ts";
import { TransferReader } from "./zone_messages.ts";
import { type DnsServer, lineOf, withDns } from "./zone_reading.ts";

/** Of the providers one hears each question. */
const QUEUE = "worker";
/** Transfers at the same time; more wait. */
const TRANSFERS_MAX = 8;
/** Questions that wait; with more they are left to other providers. */
const WAITING_MAX = 4_096;
/** How long a zone that was read may be given to others, milliseconds. */
const KEPT_MS = 5_000;
/** Bytes of zones that are kept so. */
const KEPT_SIZE_MAX = 32 * 1024 * 1024;
/** Share of a message that the text of a zone takes at most: JSON writes a tab, a quote or a backslash as two characters. */
const TEXT_SHARE = 0.7;

/** What a provider is made with. */
export interface ZoneProviderNeeds {
  /** The DNS side of the primary. */
  readonly dns: DnsServer;
  /** Stamps answers. */
  readonly clock: Clock;
  /** Hears what can't be answered. */
  readonly log: Logger;
  /** Counts. */
  readonly metrics: ProviderMetrics;
}

/** Answers questions for zones. */
export class ZoneProvider implements AsyncDisposable {
  readonly #needs: ZoneProviderNeeds;
  readonly #under = new Set<Promise<void>>();
  #isEnded = false;
  readonly #waiting: Question[] = [];
  /** What is read, or was read of late, by zone; in the order of reading. */
  readonly #read = new Map<string, Reading>();
  #readSize = 0;
  #running = 0;

  /** Answers nothing before it is subscribed. */
  constructor(needs: ZoneProviderNeeds) {
    this.#needs = needs;
  }

  /** What it listens to. @param broker asked for at each question: how large a message may be */
  subscription({ zoneDataWildcard }: Subjects, broker: () => Pick<Broker, "payloadMax">): Subscription {
    return { subject: zoneDataWildcard, queue: QUEUE, hear: (message) => this.#hear(message, broker) };
  }

  /** Answers no more; resolves when nothing is transferred any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    this.#waiting.length = 0;
    await Promise.all(this.#under);
  }

  #hear(message: Message, broker: () => Pick<Broker, "payloadMax">): void {
    const { clock, log, metrics } = this.#needs;
    metrics.requests.inc();
    const request = readDataRequest(message.data);
    if ("fault" in request) {
      metrics.broken.inc();
      return log.warn("A question for a zone can't be read", {
        subject: message.subject,
        reason: request.fault,
      });
    }
    if (!message.reply || this.#isEnded) return;
    if (this.#waiting.length >= WAITING_MAX) {
      return log.warn("Too many questions wait; one is left unanswered", { zone: request.zone });
    }
    const sinceMs = clock.monotonicMs() - request.changedMsAgo;
    this.#waiting.push({ message, request, sinceMs });
    this.#start(broker);
  }

  #start(broker: () => Pick<Broker, "payloadMax">): void {
    while (this.#running < TRANSFERS_MAX && this.#waiting.length > 0) {
      const question = this.#waiting.shift()!;
      this.#running++;
      const work = this.#answer(question, broker()).catch((error) => {
        const { zone } = question.request;
        if (!this.#isEnded) this.#needs.log.warn("A zone can't be given", { zone, error });
      }).finally(() => {
        this.#under.delete(work);
        this.#running--;
        this.#start(broker);
      });
      this.#under.add(work);
    }
  }

  async #answer(
    { message, request, sinceMs }: Question,
    { payloadMax }: Pick<Broker, "payloadMax">,
  ): Promise<void> {
    const { metrics } = this.#needs;
    const { zone, inParts, asMessages, onlySoa } = request;
    const sizeMax = Math.floor(payloadMax * TEXT_SHARE) - 1_024;
    const replies = onlySoa
      ? await this.#soa(zone)
      : this.#repliesOf(zone, await this.#wholeSince(zone, sinceMs), { sizeMax, asMessages });
    if (replies.length > 1 && !inParts) {
      throw new Error(
        `the zone ${zone} doesn't fit into a message of ${payloadMax} bytes, and this secondary takes no parts ` +
          "(raise max_payload of the NATS server)",
      );
    }
    for (const each of replies) message.respond(each);
    metrics.responses.inc();
  }

  async #soa(zone: string): Promise<Uint8Array[]> {
    const answer = await this.#counted(
      "SOA",
      () => withDns(this.#needs.dns, (connection) => connection.soa(zone)),
    );
    if (answer === null) throw new Error(`the primary doesn't have the zone ${zone}`);
    const reply = { zone, text: answer.lines.join("\n"), messages: [], isSigned: answer.signature !== null };
    return [encodeDataReply({ ...reply, part: 0, parts: 1 }, this.#needs.clock.unixMs())];
  }

  /** The zone as it was at that time, monotonic milliseconds, or later; it is read once for all that ask for no less. */
  #wholeSince(zone: string, sinceMs: number): Promise<Given> {
    const kept = this.#read.get(zone);
    if (kept !== undefined && kept.begunMs >= sinceMs) return kept.given;
    this.#forget(zone);
    const begunMs = this.#needs.clock.monotonicMs();
    for (const [name, { begunMs: itsMs }] of this.#read) {
      if (begunMs - itsMs < KEPT_MS && this.#readSize < KEPT_SIZE_MAX) break;
      this.#forget(name);
    }
    const reading: Reading = { begunMs, size: 0, given: this.#whole(zone) };
    this.#read.set(zone, reading);
    reading.given.then(({ messages }) => {
      if (this.#read.get(zone) !== reading) return;
      // What is answered is kept beside them.
      reading.size = 3 * messages.reduce((sum, { length }) => sum + length, 0);
      this.#readSize += reading.size;
    }, () => this.#read.get(zone) === reading && this.#forget(zone));
    return reading.given;
  }

  #forget(zone: string): void {
    this.#readSize -= this.#read.get(zone)?.size ?? 0;
    this.#read.delete(zone);
  }

  #whole(zone: string): Promise<Given> {
    return this.#counted("AXFR", () =>
      withDns(this.#needs.dns, async (connection) => {
        const reader = new TransferReader(zone);
        const messages: Uint8Array[] = [];
        for await (const message of connection.messages(zone, reader)) {
          if (this.#isEnded) throw new Error("this provider ends");
          messages.push(message);
        }
        return { messages, isSigned: reader.isSigned, replies: new Map() };
      }));
  }

  /** What is answered, in parts of which each fits into a message; all that ask alike get the same. */
  #repliesOf(
    zone: string,
    { messages, isSigned, replies }: Given,
    { sizeMax, asMessages }: { readonly sizeMax: number; readonly asMessages: boolean },
  ): readonly Uint8Array[] {
    const form = `${asMessages} ${sizeMax}`;
    const made = replies.get(form);
    if (made !== undefined) return made;
    const parts = (asMessages ? messageParts(messages, sizeMax) : null) ?? textParts(messages, sizeMax);
    const encoded = parts.map((each, part) =>
      encodeDataReply({ zone, ...each, isSigned, part, parts: parts.length }, this.#needs.clock.unixMs())
    );
    replies.set(form, encoded);
    return encoded;
  }

  async #counted<Result>(qtype: string, ask: () => Promise<Result>): Promise<Result> {
    const { dnsCalls, dnsQueries } = this.#needs.metrics;
    let state = "failed";
    try {
      const result = await ask();
      state = "successful";
      return result;
    } finally {
      dnsCalls.labels("tcp", state).inc();
      dnsQueries.labels(qtype, state).inc();
    }
  }
}

/** A question for a zone. */
interface Question {
  readonly message: Message;
  readonly request: ZoneDataRequest;
  /** What was read of the zone since will do, monotonic milliseconds. */
  readonly sinceMs: number;
}

/** A zone that is read, or was. */
interface Reading {
  readonly begunMs: number;
  /** Bytes; 0 = it isn't known yet. */
  size: number;
  readonly given: Promise<Given>;
}

/** A zone. */
interface Given {
  /** As the primary wrote them. */
  readonly messages: readonly Uint8Array[];
  readonly isSigned: boolean;
  /** What was made of them, by form. */
  readonly replies: Map<string, readonly Uint8Array[]>;
}

/** A part of an answer. */
type Part = Pick<ZoneDataReply, "text" | "messages">;

/** Whole messages; `null` = there is one that doesn't fit. */
function messageParts(messages: readonly Uint8Array[], sizeMax: number): Part[] | null {
  const parts: { readonly text: ""; readonly messages: Uint8Array[] }[] = [];
  let size = Infinity;
  for (const message of messages) {
    // As base64, in quotes and with a comma.
    const ownSize = Math.ceil(message.length / 3) * 4 + 3;
    if (ownSize > sizeMax) return null;
    size += ownSize;
    if (size > sizeMax) {
      parts.push({ text: "", messages: [] });
      size = ownSize;
    }
    parts.at(-1)!.messages.push(message);
  }
  return parts;
}

/** Whole lines, one for each record; the SOA record first and only once. */
function textParts(messages: readonly Uint8Array[], sizeMax: number): Part[] {
  const texts: string[] = [];
  let lines: string[] = [];
  let size = 0;
  const records = messages.flatMap((message) => decodeMessage(message).answers);
  for (const record of records.slice(0, -1)) {
    const line = lineOf(record);
    size += line.length + 1;
    if (size > sizeMax && lines.length > 0) {
      texts.push(lines.join("\n"));
      [lines, size] = [[], line.length + 1];
    }
    lines.push(line);
  }
  texts.push(lines.join("\n"));
  return texts.map((text) => ({ text, messages: [] }));
}
