/**
 * What every service says over NATS as long as it runs: that it is there, with each connection and twice a minute.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { encodeHello, HELLO_PREFIX, serviceId } from "./messages.ts";

/** How often it is said, milliseconds. */
export const HELLO_MS = 30_000;

/** What a greeting is made with. */
export interface GreetingNeeds {
  /** Such as `zone-provider`. */
  readonly service: string;
  /** The name of this host. */
  readonly host: string;
  /** Paces and stamps. */
  readonly clock: Clock;
  /** Says it on the connection that there is, or not at all. */
  readonly publish: (subject: string, data: Uint8Array) => void;
}

/** Says that a service is there. */
export class Greeting implements AsyncDisposable {
  readonly #needs: GreetingNeeds;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #session = "";

  /** Says nothing before there is a connection. */
  constructor(needs: GreetingNeeds) {
    this.#needs = needs;
    this.#running = this.#run();
  }

  /** There is a new connection: what was said on the one before may be lost. */
  connected(): void {
    this.#session = crypto.randomUUID();
    this.#say();
  }

  /** Says no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await this.#needs.clock.sleep(HELLO_MS, signal);
      if (!signal.aborted && this.#session !== "") this.#say();
    }
  }

  #say(): void {
    const { service, host, clock, publish } = this.#needs;
    publish(
      HELLO_PREFIX + serviceId(host),
      encodeHello({ service, host, session: this.#session, takesLists: true }, clock.unixMs()),
    );
  }
}
