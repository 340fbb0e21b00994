/**
 * Services of others in Consul, as far as they are alive: what they say of themselves under one key.
 *
 * @module
 */
import { ConsulClient, type ConsulQuestion, type ConsulTerms } from "./client.ts";
import { follow } from "./following.ts";
import type { ConsulNeeds } from "./registration.ts";
import { Retrying } from "./retrying.ts";

/** Which services, and what of them. */
export interface ServiceQuery {
  /** What they are called. */
  readonly name: string;
  /** Words that each of them has. */
  readonly tags: readonly string[];
  /** Key of their metadata. */
  readonly key: string;
}

/** How long a question may be blocked. */
const WAIT_S = 60;
/** What an answer may take beyond that, milliseconds. */
const ANSWER_MS = 10_000;

/** Follows what services say of themselves. */
export class ServiceWatch implements AsyncDisposable {
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;

  /**
   * Begins to ask.
   *
   * @param onValues told all values, sorted, when they are known and whenever they change
   */
  constructor(needs: ConsulNeeds, query: ServiceQuery, onValues: (values: readonly string[]) => void) {
    this.#running = this.#run(needs, query, onValues);
  }

  /** Ends the question that is asked. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #run(
    { terms, clock, rng, log }: ConsulNeeds,
    query: ServiceQuery,
    onValues: (values: readonly string[]) => void,
  ): Promise<void> {
    const { signal } = this.#ending;
    const message = `Consul doesn't say which services are called ${query.name}`;
    const retrying = new Retrying({ clock, rng, log, message });
    using client = new ConsulClient(terms);
    using channel = client.channel();
    signal.addEventListener("abort", () => channel[Symbol.dispose](), { once: true });
    let told: string | null = null;
    await follow({
      question: () => questionOf(query),
      ask: (question) => channel.ask(question),
      take: ({ document }) => {
        const values = valuesIn(document, query.key);
        retrying.succeed();
        const text = JSON.stringify(values);
        if (text !== told) onValues(values);
        told = text;
        return true;
      },
      // What was last said holds: a Consul that is away says nothing about services.
      fail: (cause) => retrying.fail(cause, signal),
      ...{ signal, clock },
    });
  }
}

/** What services say of themselves now, sorted. @throws {Error} when Consul doesn't say, or `signal` is aborted before */
export async function valuesOf(
  terms: ConsulTerms,
  query: ServiceQuery,
  signal: AbortSignal,
): Promise<readonly string[]> {
  using client = new ConsulClient(terms);
  using channel = client.channel();
  signal.addEventListener("abort", () => channel[Symbol.dispose](), { once: true });
  const { document } = await channel.ask({ ...questionOf(query), index: 0 });
  return valuesIn(document, query.key);
}

function questionOf({ name, tags }: ServiceQuery): Omit<ConsulQuestion, "index"> {
  return {
    path: `/v1/health/service/${encodeURIComponent(name)}`,
    query: { tag: tags },
    ...{ waitSeconds: WAIT_S, answerMs: ANSWER_MS, mayBeFiltered: false },
  };
}

/** Each once, sorted. @throws {SyntaxError} when it is no list */
function valuesIn(document: unknown, key: string): readonly string[] {
  if (!Array.isArray(document)) throw new SyntaxError("Consul's list of services is none");
  const values = new Set<string>();
  for (const entry of document) {
    const checks = at(entry, "Checks");
    if (Array.isArray(checks) && checks.some((check) => at(check, "Status") === "critical")) continue;
    const value = at(at(at(entry, "Service"), "Meta"), key);
    if (typeof value === "string") values.add(value);
  }
  return [...values].sort();
}

function at(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? Reflect.get(value, key)
    : undefined;
}
