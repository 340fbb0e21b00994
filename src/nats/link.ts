/**
 * A connection to one of several NATS servers, for ever: when it ends, for whatever reason, another one is made.
 *
 * By other terms it is made again at once: renewed certificates and other credentials count without a restart.
 *
 * A new connection begins with nothing: no subscription, no watch and no byte of the one before is carried over, as the
 * library's own reconnecting would. So whatever a session sets up is set up on a server of which it knows what it has, and
 * nothing that was said while there was no server arrives when it means something else.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  type NatsConnection,
  NatsConnectionImpl,
  nkeyAuthenticator,
} from "@nats-io/nats-core/internal";
import { anySignal } from "../any_signal.ts";
import type { Clock, Rng } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { natsFault } from "./fault.ts";
import { useDenoTransport } from "./transport.ts";

/** How servers are connected to. */
export interface LinkTerms {
  /** `nats://host:port` or `tls://host:port`, one at least. */
  readonly servers: readonly string[];
  /** By which the server's monitoring shows the connection. */
  readonly name: string;
  /** Where answers to requests come in, and no other client may read. */
  readonly inboxPrefix: string;
  /** Time between pings; a server is given up at the third that goes out while the two before aren't answered. */
  readonly pingIntervalMs: number;
  /** PEM texts; `null` = there is none. */
  readonly tls: {
    /** Authorities besides the system's. */
    readonly ca: string | null;
    /** The certificate to show. */
    readonly client: { readonly cert: string; readonly key: string } | null;
    /** Whether the server begins with the handshake; it must for a client certificate. */
    readonly handshakeFirst: boolean;
  };
  /** One kind at most; `null` = not that one. */
  readonly auth: {
    readonly user: string | null;
    readonly password: string | null;
    readonly token: string | null;
    readonly nkeySeed: string | null;
    /** Text of a credentials file. */
    readonly creds: string | null;
  };
}

/** What a link is made with. */
export interface LinkNeeds {
  /** How servers are connected to, until there are others. */
  readonly terms: LinkTerms;
  /** Paces what is tried again. */
  readonly clock: Clock;
  /** Spreads what nodes would do at the same time. */
  readonly rng: Rng;
  /** Hears of connections, and why there is none. */
  readonly log: Logger;
  /**
   * Runs on every connection that is made, until it ends; the connection is closed when it settles.
   *
   * @param ended aborted when the connection has ended
   */
  readonly session: (connection: NatsConnection, ended: AbortSignal) => Promise<void>;
}

/** How a link stands. */
export interface LinkStatus {
  /** As in the settings; `null` = there is no connection. */
  readonly server: string | null;
  /** Why there is no connection, for people; `null` = there is one, or none was tried yet. */
  readonly fault: string | null;
}

/** The longest that a server may take to answer, milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;
/**
 * After so long another connection is begun beside one that isn't answered, to the next server. A network that swallows packets
 * may let them pass again, and the system sends the first one of a connection again after 1 s, 3 s and 7 s only.
 */
const ALONE_MS = 1_000;
/** Wait after the first connection that fails; it doubles, and each wait is drawn between its half and its whole. */
const WAIT_FIRST_MS = 250;
/** The longest wait: what heals is found within it, and a thousand nodes are some thousand attempts a second. */
const WAIT_MAX_MS = 1_000;

/** A connection that was made. */
interface Made {
  readonly connection: NatsConnection;
  /** As in the settings. */
  readonly server: string;
}

/** A connection, again and again. */
export class NatsLink implements AsyncDisposable {
  readonly #needs: LinkNeeds;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  /** Connections that are being made, also those that aren't wanted any more. */
  readonly #dialing = new Set<Promise<void>>();
  /** Counts servers that were dialed, from one of them on. */
  #turn: number;
  #terms: LinkTerms;
  /** Aborted when there are other terms. */
  #changed = new AbortController();
  #status: LinkStatus = { server: null, fault: null };

  /** Begins to connect, and returns at once. */
  constructor(needs: LinkNeeds) {
    this.#needs = needs;
    this.#terms = needs.terms;
    this.#turn = needs.rng();
    useDenoTransport();
    this.#running = this.#run();
  }

  /** How it stands. */
  status(): LinkStatus {
    return this.#status;
  }

  /** Goes by other terms: the connection is made again by them. The same ones change nothing. */
  use(terms: LinkTerms): void {
    if (JSON.stringify(terms) === JSON.stringify(this.#terms)) return;
    this.#terms = terms;
    this.#told.clear();
    this.#changed.abort();
  }

  /** Ends the connection; resolves when the session has ended, too. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    await Promise.all(this.#dialing);
  }

  async #run(): Promise<void> {
    const { clock, rng, log } = this.#needs;
    const { signal } = this.#ending;
    for (let failures = 0; !signal.aborted;) {
      if (this.#changed.signal.aborted) {
        this.#changed = new AbortController();
        failures = 0;
      }
      const { signal: changed } = this.#changed;
      const made = await this.#dial(anySignal([signal, changed]));
      if (made !== null) {
        const { connection, server } = made;
        failures = 0;
        this.#status = { server, fault: null };
        log.info("Connected to NATS", { server });
        const fault = await this.#use(connection, { server, changed });
        this.#status = { server: null, fault: changed.aborted ? null : fault };
        if (signal.aborted) return;
        if (changed.aborted) log.info("The connection to NATS is made again, by other settings");
        else log.warn("The connection to NATS has ended", { reason: fault });
      }
      const longestMs = Math.min(WAIT_FIRST_MS * 2 ** Math.min(failures++, 10), WAIT_MAX_MS);
      await clock.sleep(longestMs * (0.5 + rng() / 2 ** 33), anySignal([signal, changed]));
    }
  }

  /**
   * Connects to the next server, and to the one after it as well where that doesn't answer, until one does.
   *
   * @returns `null` = all have failed, or the signal was aborted
   */
  async #dial(over: AbortSignal): Promise<Made | null> {
    const { clock } = this.#needs;
    const { servers } = this.#terms;
    const { promise, resolve } = Promise.withResolvers<Made | null>();
    const settled = new AbortController();
    const signal = anySignal([over, settled.signal]);
    let underWay = 0;
    const dial = async (server: string, ended: AbortController) => {
      underWay++;
      const connection = await this.#connect(server, signal);
      underWay--;
      if (connection !== null && signal.aborted) await abandon(connection, server);
      else if (connection !== null) {
        resolve({ connection, server });
        settled.abort();
      }
      ended.abort();
    };
    while (!signal.aborted) {
      const ended = new AbortController();
      const dialing = dial(servers[this.#turn++ % servers.length]!, ended)
        .finally(() => this.#dialing.delete(dialing));
      this.#dialing.add(dialing);
      await clock.sleep(ALONE_MS, anySignal([signal, ended.signal]));
      if (underWay === 0) break;
      if (ended.signal.aborted) await clock.sleep(WAIT_FIRST_MS, signal);
    }
    resolve(null);
    return await promise;
  }

  /** `null` = it can't be reached, which is said once unless the signal was aborted. */
  async #connect(server: string, over: AbortSignal): Promise<NatsConnection | null> {
    const { log } = this.#needs;
    try {
      return await NatsConnectionImpl.connect(optionsOf(this.#terms, server));
    } catch (error) {
      if (over.aborted) return null;
      const fault = natsFault(error, server);
      // With several servers their faults alternate, and each is told once.
      if (!this.#told.has(fault)) log.warn("Cannot connect to NATS", { reason: fault });
      if (this.#told.size >= TOLD_MAX) this.#told.clear();
      this.#told.add(fault);
      this.#status = { server: null, fault };
      return null;
    }
  }

  /** Resolves with the reason when the connection has ended. */
  async #use(
    connection: NatsConnection,
    { server, changed }: { readonly server: string; readonly changed: AbortSignal },
  ): Promise<string> {
    this.#told.clear();
    const ended = new AbortController();
    const closed = connection.closed().then((reason) => {
      ended.abort();
      return reason ?? null;
    });
    const stop = () => void connection.close();
    const over = anySignal([this.#ending.signal, changed]);
    over.addEventListener("abort", () => ended.abort(), { once: true });
    if (over.aborted) ended.abort();
    let fault: unknown = null;
    try {
      await this.#needs.session(connection, ended.signal);
    } catch (error) {
      fault = error;
    }
    stop();
    const reason = await closed ?? fault;
    await endTimers(connection, server);
    return reason === null ? `${server}: the connection was closed` : natsFault(reason, server);
  }

  /** What was said since the last connection. */
  readonly #told = new Set<string>();
}

/** Closes a connection that came after another one, or too late. */
async function abandon(connection: NatsConnection, server: string): Promise<void> {
  await connection.close();
  await endTimers(connection, server);
}

/**
 * Ends what the library leaves running on a connection that was closed between two of its own steps: its pings, begun
 * behind the close, or due while it closed; requests and subscriptions with a time-out, which it takes until all that hear
 * of its state have heard; and the monitor of a watch whose subscription was refused, which would tell of it for ever. The
 * monitor listens for this one word.
 */
async function endTimers(connection: NatsConnection, server: string): Promise<void> {
  const { protocol } = connection as NatsConnectionImpl;
  protocol.heartbeats.cancel();
  protocol.muxSubscriptions.close();
  protocol.subscriptions.close();
  protocol.dispatchStatus({ type: "disconnect", server });
  // A ping that was due is sent in this turn of the event loop, cleared or not, and has the next one follow (`src/timer.ts`).
  await new Promise((resolve) => void setImmediate(resolve));
  protocol.heartbeats.cancel();
}

/**
 * Waits until the server has taken what was said before; what waits for its word waits for ever when the connection has ended.
 *
 * @returns whether it has; `false` = the signal came before
 */
export async function isFlushed(connection: NatsConnection, ended: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<void>();
  ended.addEventListener("abort", () => resolve(), { once: true });
  if (!ended.aborted) await Promise.race([connection.flush(), promise]);
  return !ended.aborted;
}

/** More faults than a dozen servers have. */
const TOLD_MAX = 64;

/** What the library is to be told for a server. */
export function optionsOf(
  { name, inboxPrefix, pingIntervalMs, tls, auth }: LinkTerms,
  server: string,
): ConnectionOptions {
  const { protocol, host } = new URL(server);
  const { ca, client, handshakeFirst } = tls;
  const isFirst = handshakeFirst || client !== null;
  const isEncrypted = protocol === "tls:" || ca !== null || isFirst;
  return {
    servers: [host],
    name,
    inboxPrefix,
    ...{ reconnect: false, ignoreClusterUpdates: true, noEcho: true, noAsyncTraces: true },
    timeout: CONNECT_TIMEOUT_MS,
    pingInterval: pingIntervalMs,
    maxPingOut: 2,
    ...(isEncrypted && { tls: { ...(ca !== null && { ca }), ...client, handshakeFirst: isFirst } }),
    ...(auth.user !== null && { user: auth.user, pass: auth.password ?? "" }),
    ...(auth.token !== null && { token: auth.token }),
    ...authenticatorOf(auth),
  };
}

function authenticatorOf({ creds, nkeySeed }: LinkTerms["auth"]): { readonly authenticator?: Authenticator } {
  const bytes = (text: string) => new TextEncoder().encode(text);
  if (creds !== null) return { authenticator: credsAuthenticator(bytes(creds)) };
  return nkeySeed === null ? {} : { authenticator: nkeyAuthenticator(bytes(nkeySeed)) };
}
