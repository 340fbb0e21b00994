/**
 * A service of ours in Consul: it stands there as long as it runs, and says again and again how it is (a TTL check).
 *
 * Source: developer.hashicorp.com/consul/api-docs/agent/service
 *
 * @module
 */
import type { Clock, Rng } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";
import { type Channel, ConsulClient, type ConsulTerms } from "./client.ts";
import { Retrying } from "./retrying.ts";

/** What is needed to be in Consul, and to follow what is. */
export interface ConsulNeeds {
  /** How an agent is reached. */
  readonly terms: ConsulTerms;
  /** Paces. */
  readonly clock: Clock;
  /** Spreads. */
  readonly rng: Rng;
  /** Hears of faults, each once. */
  readonly log: Logger;
}

/** A service as it stands there. */
export interface ConsulService {
  /** Once at the agent. */
  readonly id: string;
  /** What others like it are called as well. */
  readonly name: string;
  /** Words by which services of a name are told apart. */
  readonly tags: readonly string[];
  /** What else is said of it. */
  readonly meta: Readonly<Record<string, string>>;
  /** Whether it does what it is there for; else it stands there with a warning. */
  readonly isWell: () => boolean;
}

/** A service that says nothing for so long is taken for dead; it says three times as often that it isn't. */
const TTL_S = 30;
/** One that is dead for so long is struck off. */
const FORGET = "10m";
/** What an answer may take, milliseconds. */
const ANSWER_MS = 10_000;
/** What the last word may take, milliseconds. */
const GOODBYE_MS = 2_000;

/** Keeps a service in Consul. */
export class ConsulRegistration implements AsyncDisposable {
  readonly #needs: ConsulNeeds;
  readonly #client: ConsulClient;
  readonly #service: ConsulService;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #isRegistered = false;

  /** Begins to register it. */
  constructor(needs: ConsulNeeds, service: ConsulService) {
    this.#needs = needs;
    this.#service = service;
    this.#client = new ConsulClient(needs.terms);
    this.#running = this.#run();
  }

  /** Strikes it off. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    if (this.#isRegistered) {
      using channel = this.#client.channel();
      // Where that fails its time passes.
      await channel.change({
        path: `/v1/agent/service/deregister/${encodeURIComponent(this.#service.id)}`,
        ...{ body: null, answerMs: GOODBYE_MS },
      }).catch(() => {});
    }
    this.#client[Symbol.dispose]();
  }

  async #run(): Promise<void> {
    const { clock, rng, log } = this.#needs;
    const { signal } = this.#ending;
    const { id, isWell } = this.#service;
    const retrying = new Retrying({
      clock,
      rng,
      log,
      message: "This service can't be registered with Consul",
    });
    using channel = this.#client.channel();
    signal.addEventListener("abort", () => channel[Symbol.dispose](), { once: true });
    while (!signal.aborted) {
      try {
        if (!this.#isRegistered) await this.#register(channel);
        await channel.change({
          path: `/v1/agent/check/${isWell() ? "pass" : "warn"}/service:${encodeURIComponent(id)}`,
          ...{ body: null, answerMs: ANSWER_MS },
        });
        retrying.succeed();
        await clock.sleep(TTL_S * 1000 / 3, signal);
      } catch (error) {
        if (signal.aborted) return;
        // An agent that was started again may have forgotten it.
        this.#isRegistered = false;
        await retrying.fail(error, signal);
      }
    }
  }

  async #register(channel: Channel): Promise<void> {
    const { id, name, tags, meta } = this.#service;
    await channel.change({
      path: "/v1/agent/service/register?replace-existing-checks=true",
      body: {
        ...{ ID: id, Name: name, Tags: tags, Meta: meta },
        Check: { TTL: `${TTL_S}s`, Status: "passing", DeregisterCriticalServiceAfter: FORGET },
      },
      answerMs: ANSWER_MS,
    });
    this.#isRegistered = true;
    this.#needs.log.info("Registered with Consul", { id });
  }
}
