/**
 * Tries one server as a node would use it: connects, logs in, asks whether it stores, and leaves. Nothing is written.
 *
 * @module
 */
import { jetstreamManager } from "@nats-io/jetstream";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import { natsFault } from "./fault.ts";
import { type LinkTerms, optionsOf } from "./link.ts";
import { useDenoTransport } from "./transport.ts";

/** Which server, and for how long it may take to answer each step. */
export interface TrialTerms {
  /** How it is connected to; its list of servers has no say. */
  readonly link: LinkTerms;
  /** As in the settings. */
  readonly server: string;
  /** JetStream domain; `null` = the server's own. */
  readonly domain: string | null;
  /** Longest wait for the connection, and again for JetStream, milliseconds. */
  readonly timeoutMs: number;
}

/** Why it can't be used, in words without its name; `null` = it can. */
export async function trialFault({ link, server, domain, timeoutMs }: TrialTerms): Promise<string | null> {
  useDenoTransport();
  try {
    const connection = await NatsConnectionImpl.connect({
      ...optionsOf(link, server),
      timeout: timeoutMs,
    });
    try {
      await jetstreamManager(connection, { timeout: timeoutMs, ...(domain !== null && { domain }) });
      return null;
    } finally {
      await connection.close();
    }
  } catch (error) {
    return natsFault(error, server).slice(`${server}: `.length);
  }
}
