/**
 * The service beside a primary that gives zones to secondaries: what it is asked for, it transfers from its PowerDNS.
 *
 * Of several providers one hears each question. Where it can't answer it is silent, and the secondary asks again: another
 * provider may have what it asks for.
 *
 * @module
 */
import type { Msg } from "@nats-io/nats-core";
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Broker, Subscription } from "./broker.ts";
import { encodeDataReply, readDataRequest, type Subjects, type ZoneDataRequest } from "./messages.ts";
import type { ProviderMetrics } from "./metrics.ts";
import { type DnsServer, lineOf, withDns } from "./zone_reading.ts";

/** Of the providers one hears each question. */
const QUEUE = "worker";
/** Transfers at the same time; more wait. */
const TRANSFERS_MAX = 8;
/** Questions that wait; with more they are left to other providers. */
const WAITING_MAX = 4_096;
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
  readonly #waiting: { readonly message: Msg; readonly request: ZoneDataRequest }[] = [];
  #running = 0;

  /** Answers nothing before it is subscribed. */
  constructor(needs: ZoneProviderNeeds) {
    this.#needs = needs;
  }

  /** What it listens to. @param broker asked for at each question: how large a message may be */
  subscription({ zoneDataWildcard }: Subjects, broker: () => Broker): Subscription {
    return { subject: zoneDataWildcard, queue: QUEUE, hear: (message) => this.#hear(message, broker) };
  }

  /** Answers no more; resolves when nothing is transferred any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    this.#waiting.length = 0;
    await Promise.all(this.#under);
  }

  #hear(message: Msg, broker: () => Broker): void {
    const { log, metrics } = this.#needs;
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
    this.#waiting.push({ message, request });
    this.#start(broker);
  }

  #start(broker: () => Broker): void {
    while (this.#running < TRANSFERS_MAX && this.#waiting.length > 0) {
      const { message, request } = this.#waiting.shift()!;
      this.#running++;
      const work = this.#answer(message, request, broker()).catch((error) => {
        if (!this.#isEnded) this.#needs.log.warn("A zone can't be given", { zone: request.zone, error });
      }).finally(() => {
        this.#under.delete(work);
        this.#running--;
        this.#start(broker);
      });
      this.#under.add(work);
    }
  }

  async #answer(message: Msg, request: ZoneDataRequest, { payloadMax }: Broker): Promise<void> {
    const { clock, metrics } = this.#needs;
    const { zone, inParts, onlySoa } = request;
    const sizeMax = Math.floor(payloadMax * TEXT_SHARE) - 1_024;
    const { texts, isSigned } = onlySoa ? await this.#soa(zone) : await this.#whole(zone, sizeMax);
    if (texts.length > 1 && !inParts) {
      throw new Error(
        `the zone ${zone} doesn't fit into a message of ${payloadMax} bytes, and this secondary takes no parts ` +
          "(raise max_payload of the NATS server)",
      );
    }
    for (const [part, text] of texts.entries()) {
      message.respond(encodeDataReply({ zone, text, isSigned, part, parts: texts.length }, clock.unixMs()));
    }
    metrics.responses.inc();
  }

  async #soa(zone: string): Promise<Given> {
    const answer = await this.#counted(
      "SOA",
      () => withDns(this.#needs.dns, (connection) => connection.soa(zone)),
    );
    if (answer === null) throw new Error(`the primary doesn't have the zone ${zone}`);
    return { texts: [answer.lines.join("\n")], isSigned: answer.signature !== null };
  }

  /** Parts of whole lines, each of which fits into a message. */
  #whole(zone: string, sizeMax: number): Promise<Given> {
    return this.#counted("AXFR", () =>
      withDns(this.#needs.dns, async (connection) => {
        const texts: string[] = [];
        let lines: string[] = [];
        let size = 0;
        let isSigned = false;
        for await (const record of connection.transfer(zone)) {
          if (this.#isEnded) throw new Error("this provider ends");
          const line = lineOf(record);
          isSigned ||= line.includes("\tRRSIG\t");
          size += line.length + 1;
          if (size > sizeMax && lines.length > 0) {
            texts.push(lines.join("\n"));
            [lines, size] = [[], line.length + 1];
          }
          lines.push(line);
        }
        texts.push(lines.join("\n"));
        return { texts, isSigned };
      }));
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

/** A zone, or a part of it, as text. */
interface Given {
  readonly texts: readonly string[];
  readonly isSigned: boolean;
}
