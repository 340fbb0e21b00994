/**
 * Consul as the register of services: each of them stands there as long as it runs, and a checker finds the secondaries there.
 *
 * ```text
 * pdns-secondary-syncer-<id> { Name: pdns-secondary-syncer, Tags, Meta: { host }, Check: TTL }   each service, at its agent
 * /v1/health/service/pdns-secondary-syncer?index=…&wait=…                                        followed by a checker
 * ```
 *
 * What Consul 1.21 says and doesn't mean: without the right to see anything it answers 200 and an empty list. Whether that is so
 * stands in headers, but not of an answer that was waited for, and is a fault here: a token that is deleted would have all
 * secondaries forgotten. An index that goes back means that the state was replaced, and 0 doesn't block.
 *
 * Source: developer.hashicorp.com/consul/api-docs
 *
 * @module
 */
import { z } from "zod";
import type { Clock, Rng } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";

/** How an agent is reached. */
export interface ConsulTerms {
  /** Without a path, such as `http://127.0.0.1:8500`. */
  readonly url: string;
  /** ACL token; `null` = none. */
  readonly token: string | null;
  /** PEM certificates of authorities that count beside the system's; `null` = none. */
  readonly ca: string | null;
}

/** What both sides are made with. */
export interface ConsulNeeds {
  /** How the agent is reached. */
  readonly terms: ConsulTerms;
  /** Paces. */
  readonly clock: Clock;
  /** Spreads. */
  readonly rng: Rng;
  /** Hears of faults, each once. */
  readonly log: Logger;
}

/** A service as it stands in the register. */
export interface Registered {
  /** Such as `secondary-syncer`. */
  readonly service: string;
  /** Of the host, by which its id is made. */
  readonly id: string;
  /** The host's name. */
  readonly host: string;
  /** Words by which services are told apart. */
  readonly tags: readonly string[];
  /** Whether it does what it is there for; else it stands there with a warning. */
  readonly isWell: () => boolean;
}

/** A service that says nothing for so long is taken for dead; it says three times as often that it isn't. */
const TTL_S = 30;
/** One that is dead for so long is struck off. */
const FORGET = "10m";
/** How long a question may be blocked. */
const WAIT_S = 60;
/** What an answer may take beyond that, milliseconds. */
const ANSWER_MS = 10_000;
/** What the last word may take, milliseconds. */
const GOODBYE_MS = 2_000;
/** Wait after the first fault, milliseconds; it doubles. */
const AGAIN_FIRST_MS = 500;
/** The longest wait. */
const AGAIN_MAX_MS = 10_000;
/** Bytes of an answer: ten thousand services. */
const ANSWER_MAX = 16 * 1024 * 1024;

/** Keeps a service in the register. */
export class ConsulRegistration implements AsyncDisposable {
  readonly #needs: ConsulNeeds;
  readonly #agent: Agent;
  readonly #entry: Registered;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #isRegistered = false;

  /** Begins to register it. */
  constructor(needs: ConsulNeeds, entry: Registered) {
    this.#needs = needs;
    this.#entry = entry;
    this.#agent = new Agent(needs.terms);
    this.#running = this.#run();
  }

  /** Strikes it off. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    // Where that fails its time passes.
    if (this.#isRegistered) {
      await this.#agent.put(`service/deregister/${this.#serviceId}`, null, AbortSignal.timeout(GOODBYE_MS))
        .catch(() => {});
    }
    this.#agent[Symbol.dispose]();
  }

  get #serviceId(): string {
    return `pdns-${this.#entry.service}-${this.#entry.id}`;
  }

  async #run(): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#ending;
    const faults = new Faults(this.#needs, "This service can't be registered with Consul");
    while (!signal.aborted) {
      try {
        if (!this.#isRegistered) await this.#register(signal);
        const word = this.#entry.isWell() ? "pass" : "warn";
        await this.#agent.put(`check/${word}/service:${this.#serviceId}`, null, signal);
        faults.heal();
        await clock.sleep(TTL_S * 1000 / 3, signal);
      } catch (error) {
        // An agent that was started again may have forgotten it.
        this.#isRegistered = false;
        await faults.pause(error, signal);
      }
    }
  }

  async #register(signal: AbortSignal): Promise<void> {
    const { service, host, tags } = this.#entry;
    await this.#agent.put("service/register?replace-existing-checks=true", {
      ID: this.#serviceId,
      Name: `pdns-${service}`,
      Tags: tags,
      Meta: { host },
      Check: { TTL: `${TTL_S}s`, Status: "passing", DeregisterCriticalServiceAfter: FORGET },
    }, signal);
    this.#isRegistered = true;
    this.#needs.log.info("Registered with Consul", { id: this.#serviceId });
  }
}

/** Follows which secondaries are registered. */
export class ConsulSecondaries implements AsyncDisposable {
  readonly #needs: ConsulNeeds;
  readonly #agent: Agent;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;

  /** Begins to ask. @param onHosts told all hosts, sorted, when they are known and whenever they change */
  constructor(
    needs: ConsulNeeds,
    tags: readonly string[],
    onHosts: (hosts: readonly string[]) => void,
  ) {
    this.#needs = needs;
    this.#agent = new Agent(needs.terms);
    this.#running = this.#run(tags, onHosts);
  }

  /** Ends the question that is asked. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    this.#agent[Symbol.dispose]();
  }

  async #run(tags: readonly string[], onHosts: (hosts: readonly string[]) => void): Promise<void> {
    const { signal } = this.#ending;
    const faults = new Faults(this.#needs, "Consul doesn't say which secondaries there are");
    let index = 0;
    let told: string | null = null;
    while (!signal.aborted) {
      try {
        let found = await this.#agent.secondaries({ index, tags, signal });
        // To a question that was blocked it doesn't say that it shows less than there is.
        if (index > 0 && found.hosts.length === 0) {
          found = await this.#agent.secondaries({ index: 0, tags, signal });
        }
        faults.heal();
        index = found.index < index ? 0 : found.index;
        const { hosts } = found;
        if (hosts.join(" ") !== told) onHosts(hosts);
        told = hosts.join(" ");
        if (index === 0) await faults.pause(null, signal);
      } catch (error) {
        index = 0;
        // What was last said holds: a register that is away says nothing about secondaries.
        await faults.pause(error, signal);
      }
    }
  }
}

/** The hosts of all secondaries that are registered now, sorted. @throws {Error} when Consul doesn't say */
export async function registeredSecondaries(
  terms: ConsulTerms,
  tags: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  using agent = new Agent(terms);
  return (await agent.secondaries({ index: 0, tags, signal })).hosts;
}

const SERVICES = z.array(z.object({
  Service: z.object({ Meta: z.record(z.string(), z.string()).nullable().default(null) }),
  Checks: z.array(z.object({ Status: z.string() })).nullable().default(null),
}));

/** The HTTP API of an agent. */
class Agent implements Disposable {
  readonly #terms: ConsulTerms;
  readonly #client: Deno.HttpClient | null;

  constructor(terms: ConsulTerms) {
    this.#terms = terms;
    this.#client = terms.ca === null ? null : Deno.createHttpClient({ caCerts: [terms.ca] });
  }

  async put(path: string, body: object | null, signal: AbortSignal): Promise<void> {
    const response = await this.#fetch(`agent/${path}`, {
      ...{ method: "PUT", body: body === null ? null : JSON.stringify(body) },
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    await response.body?.cancel();
  }

  async secondaries({ index, tags, signal }: {
    readonly index: number;
    readonly tags: readonly string[];
    readonly signal: AbortSignal;
  }): Promise<{ readonly index: number; readonly hosts: readonly string[] }> {
    const query = new URLSearchParams(tags.map((tag) => ["tag", tag]));
    if (index > 0) query.append("index", String(index));
    query.append("wait", `${WAIT_S}s`);
    // Consul adds up to a sixteenth to the wait.
    const longestMs = WAIT_S * 1000 * 17 / 16 + ANSWER_MS;
    const response = await this.#fetch(`health/service/pdns-secondary-syncer?${query}`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(longestMs)]),
    });
    const { headers } = response;
    const isFiltered = headers.get("x-consul-results-filtered-by-acls") === "true" ||
      (this.#terms.token === null && headers.get("x-consul-default-acl-policy") === "deny");
    const services = SERVICES.parse(JSON.parse(await textOf(response)));
    const hosts = services.filter(({ Checks }) => !Checks?.some(({ Status }) => Status === "critical"))
      .flatMap(({ Service }) => Service.Meta?.["host"] ?? []);
    if (isFiltered && hosts.length === 0) {
      throw new Error("it shows nothing to this token, or to none (distribute.consul.token)");
    }
    const at = Number(headers.get("x-consul-index"));
    return { index: Number.isSafeInteger(at) && at > 0 ? at : 0, hosts: [...new Set(hosts)].sort() };
  }

  [Symbol.dispose](): void {
    this.#client?.close();
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const { url, token } = this.#terms;
    const response = await fetch(`${url.replace(/\/$/, "")}/v1/${path}`, {
      ...init,
      redirect: "error",
      headers: { "Content-Type": "application/json", ...(token !== null && { "X-Consul-Token": token }) },
      ...(this.#client !== null && { client: this.#client }),
    });
    if (response.ok) return response;
    const reason = (await textOf(response)).trim().slice(0, 300);
    throw new Error(`${url} refuses with ${response.status}: ${reason}`);
  }
}

/** Says each fault once, and waits longer and longer. */
class Faults {
  readonly #needs: ConsulNeeds;
  readonly #message: string;
  #told = "";
  #failures = 0;

  constructor(needs: ConsulNeeds, message: string) {
    this.#needs = needs;
    this.#message = message;
  }

  heal(): void {
    this.#told = "";
    this.#failures = 0;
  }

  /** @param error `null` = it is only waited */
  async pause(error: unknown, signal: AbortSignal): Promise<void> {
    const { clock, rng, log } = this.#needs;
    if (signal.aborted) return;
    if (error !== null && String(error) !== this.#told) {
      this.#told = String(error);
      log.warn(this.#message, { error });
    }
    const longestMs = Math.min(AGAIN_FIRST_MS * 2 ** Math.min(this.#failures++, 10), AGAIN_MAX_MS);
    await clock.sleep(longestMs * (0.5 + rng() / 2 ** 33), signal);
  }
}

/** @throws {Error} when there is more than is taken */
async function textOf(response: Response): Promise<string> {
  let text = "";
  if (response.body === null) return text;
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.length > ANSWER_MAX) throw new Error(`Consul answers with more than ${ANSWER_MAX} bytes`);
  }
  return text;
}
