/**
 * A client that resolves and connects 50 times a second, at each of a zone's servers in rotation: half of its connections go to
 * what was just answered, half to what a cache still has, which keeps an answer as long as its TTL lets it.
 *
 * @module
 */
import { systemClock } from "../../../src/clock.ts";
import { runQuery } from "../../../src/dns_client.ts";
import type { SocketAddress } from "../../../src/ip.ts";
import { TYPE } from "../../../src/wire/record_type.ts";
import { PORT } from "./fleet.ts";

/** An answer that is kept. */
interface Kept {
  readonly addresses: readonly string[];
  readonly untilMs: number;
}

/** Begins at once, and ends when it is disposed of. */
export class Client implements AsyncDisposable {
  readonly failed: string[] = [];
  connected = 0;
  #count = 0;
  #isOver = false;
  readonly #fqdn: string;
  readonly #servers: readonly SocketAddress[];
  readonly #kept: (Kept | undefined)[] = [];
  readonly #running: Promise<void>;

  constructor(fqdn: string, servers: readonly SocketAddress[]) {
    this.#fqdn = fqdn;
    this.#servers = servers;
    this.#running = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    const signal = new AbortController().signal;
    const under: Promise<void>[] = [];
    for (let nextMs = performance.now(); !this.#isOver; nextMs += 20) {
      under.push(this.#once(this.#count++));
      await systemClock.sleep(Math.max(0, nextMs - performance.now()), signal);
    }
    await Promise.all(under);
  }

  async #once(count: number): Promise<void> {
    const at = count % this.#servers.length;
    try {
      const startMs = performance.now();
      const fresh = await this.#ask(this.#servers[at]!, startMs);
      let kept = this.#kept[at];
      if (kept === undefined || kept.untilMs <= startMs) kept = this.#kept[at] = fresh;
      const turn = Math.floor(count / this.#servers.length);
      const { addresses } = turn % 2 === 0 ? fresh : kept;
      const hostname = addresses[Math.floor(turn / 2) % addresses.length];
      if (hostname === undefined) throw new Error(`server ${at} answers with no address`);
      await this.#connect(hostname, turn % 2 === 0 ? "fresh" : "kept");
    } catch (error) {
      this.failed.push(error instanceof Error ? error.message : String(error));
    }
  }

  async #ask(server: SocketAddress, startMs: number): Promise<Kept> {
    const { message } = await runQuery({
      ...{ server, name: this.#fqdn, type: TYPE.A, class: 1, ecs: null, tcp: false },
      ...{ udpSize: 1232, timeoutMs: 5_000 },
    });
    const records = message.answers.filter(({ type }) => type === TYPE.A);
    const ttl = Math.min(...records.map(({ ttl }) => ttl));
    return { addresses: records.map(({ data }) => data), untilMs: startMs + ttl * 1000 };
  }

  async #connect(hostname: string, how: string): Promise<void> {
    try {
      (await Deno.connect({ hostname, port: PORT })).close();
      this.connected++;
    } catch (cause) {
      throw new Error(`${hostname} (${how}): ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
  }
}
