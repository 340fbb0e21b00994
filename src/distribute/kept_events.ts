/**
 * Events that JetStream keeps for a while, so that zones can be looked at in full which changed while a secondary was away:
 * keys come and go, and zones are made again, without a serial that shows it.
 *
 * Only checkers read them. A secondary that could have events sent to it could have them sent to the others, too: the
 * server sends what is asked for to any subject that the question names.
 *
 * @module
 */
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { JetStreamApiError } from "@nats-io/jetstream/internal";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Logger } from "../telemetry/log.ts";
import { EVENT_KINDS, readEvent, type Subjects } from "./messages.ts";

/** The stream. */
const STREAM = "pleiades_zone_events";
/** How long a request to JetStream may take, milliseconds. */
const REQUEST_TIMEOUT_MS = 3_000;
/** Events that are kept at most. */
const EVENTS_MAX = 100_000;
/** Events that are read at most; of earlier ones the check of signatures and content finds what they said. */
const READ_MAX = 10_000;
/** Requests at the same time. */
const READS_AT_ONCE = 16;
const NANOS = 1_000_000;

/** What they are kept with. */
export interface KeptEventsNeeds {
  /** Whose events. */
  readonly subjects: Subjects;
  /** For how long, milliseconds. */
  readonly keptMs: number;
  /** Hears why they aren't kept. */
  readonly log: Logger;
}

/** The events of the last while. */
export class KeptEvents {
  readonly #needs: KeptEventsNeeds;
  #manager: JetStreamManager | null = null;

  /** None are kept before there is a connection. */
  constructor(needs: KeptEventsNeeds) {
    this.#needs = needs;
  }

  /** Has the server keep them from now on. @param ended aborted when the connection has ended */
  async use(connection: NatsConnection, ended: AbortSignal): Promise<void> {
    const { subjects, keptMs, log } = this.#needs;
    this.#manager = null;
    const config = {
      name: STREAM,
      subjects: EVENT_KINDS.map((kind) => subjects.events[kind]),
      ...{ max_age: keptMs * NANOS, max_msgs: EVENTS_MAX, description: "Pleiades: zones that changed" },
    };
    try {
      const manager = await jetstreamManager(connection, { timeout: REQUEST_TIMEOUT_MS });
      await manager.streams.add(config).catch(async (error) => {
        // It is there by other settings; where it isn't there, the first reason is the one that counts.
        if (!(error instanceof JetStreamApiError)) throw error;
        await manager.streams.update(STREAM, config).catch(() => {
          throw error;
        });
      });
      if (ended.aborted) return;
      this.#manager = manager;
      log.debug("JetStream keeps events", { stream: STREAM });
    } catch (error) {
      if (!ended.aborted) log.error("JetStream doesn't keep events", { error });
    }
  }

  /**
   * Zones that something happened to.
   *
   * @param sinceMs Unix milliseconds, by the clock of the server; `null` = as long as they are kept
   * @returns `null` = they aren't kept
   * @throws {Error} when JetStream doesn't say
   */
  async zonesSince(sinceMs: number | null): Promise<ReadonlySet<string> | null> {
    const manager = this.#manager;
    if (manager === null) return null;
    const { state: { first_seq, last_seq } } = await manager.streams.info(STREAM);
    let from = Math.max(first_seq, last_seq + 1 - READ_MAX);
    if (sinceMs !== null) {
      // The first one that isn't older; those that have gone since were older still.
      for (let to = last_seq + 1; from < to;) {
        const middle = Math.floor((from + to) / 2);
        const found = await manager.streams.getMessage(STREAM, { seq: middle });
        if (found === null || found.time.getTime() < sinceMs) from = middle + 1;
        else to = middle;
      }
    }
    const zones = new Set<string>();
    let next = from;
    const read = async () => {
      for (let seq = next++; seq <= last_seq; seq = next++) {
        const found = await manager.streams.getMessage(STREAM, { seq });
        const zone = found && this.#zoneOf(found.subject, found.data);
        if (zone !== null) zones.add(zone);
      }
    };
    await Promise.all(Array.from({ length: READS_AT_ONCE }, read));
    return zones;
  }

  #zoneOf(subject: string, data: Uint8Array): string | null {
    const { events } = this.#needs.subjects;
    const kind = EVENT_KINDS.find((each) => events[each] === subject);
    const event = kind === undefined ? null : readEvent(kind, data);
    return event !== null && "zone" in event ? event.zone : null;
  }
}
