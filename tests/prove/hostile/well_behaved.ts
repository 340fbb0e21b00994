/**
 * Clients that ask as they should, now and then, over TCP and HTTP: each must be answered, soon. One that is closed before
 * its answer asks once more, as resolvers and browsers do (RFC 7766 §6.2.4, RFC 9112 §9.3.1): a connection may give way to
 * another one in the moment in which it is made.
 *
 * @module
 */
import { askTcp } from "../../dns/clients.ts";
import { query, show } from "../../dns/packets.ts";
import { GOOD_NAMES, type Target } from "./target.ts";

const INTERVAL_MS = 250;
/** An answer that takes longer than that is none. */
const PATIENCE_MS = 5_000;

/** Some clients of one node. */
export class WellBehaved {
  /** A line for each question without the right answer. */
  readonly unanswered: string[] = [];
  /** Milliseconds. */
  readonly slowest = { tcpMs: 0, httpMs: 0 };
  readonly #target: Target;
  readonly #startMs = performance.now();
  #asked = 0;

  /** Asks nothing yet. */
  constructor(target: Target) {
    this.#target = target;
  }

  /** Asks until it is told to stop. */
  async run(over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await this.askAll();
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    }
  }

  /** Asks once each way. */
  async askAll(): Promise<void> {
    this.slowest.tcpMs = Math.max(this.slowest.tcpMs, await this.#timed("TCP", () => this.#overTcp()));
    this.slowest.httpMs = Math.max(this.slowest.httpMs, await this.#timed("HTTP", () => this.#overHttp()));
  }

  async #timed(how: string, ask: () => Promise<string | null>): Promise<number> {
    const startMs = performance.now();
    const late = Promise.withResolvers<string>();
    const timer = setTimeout(() => late.resolve(`nothing within ${PATIENCE_MS} ms`), PATIENCE_MS);
    const once = () => ask().catch((error) => String(error));
    const asked = once().then((fault) => fault === null ? null : once());
    const fault = await Promise.race([asked, late.promise]);
    clearTimeout(timer);
    if (fault !== null) {
      this.unanswered.push(`${((startMs - this.#startMs) / 1000).toFixed(0)} s ${how}: ${fault}`);
    }
    return performance.now() - startMs;
  }

  async #overTcp(): Promise<string | null> {
    const number = this.#asked++ % GOOD_NAMES.length;
    const answer = await askTcp(this.#target.serve.dns, query(GOOD_NAMES[number]!, "A"));
    const wanted = `A 192.0.2.${number + 1}`;
    if (answer === null) return "closed without an answer";
    return show(answer).includes(wanted) ? null : `not ${wanted}: ${show(answer)}`;
  }

  async #overHttp(): Promise<string | null> {
    const { hostname, port } = this.#target.http;
    for (const path of ["/readyz", "/api/v1/pools?limit=1"]) {
      const response = await fetch(`http://${hostname}:${port}${path}`);
      await response.body?.cancel();
      if (!response.ok) return `${path}: ${response.status}`;
    }
    return null;
  }
}
