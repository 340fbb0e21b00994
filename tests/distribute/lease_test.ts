/**
 * Which of several checkers checks, around a real NATS server that is ended and started again.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { type Clock, seededRng, systemClock } from "../../src/clock.ts";
import { Broker } from "../../src/distribute/broker.ts";
import { Lease } from "../../src/distribute/lease.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { until } from "./installation.ts";

/** Of the keys here; in operation they live for 15 s. */
const LEASE_MS = 1_000;

/** One that would like to check. */
class Contender implements AsyncDisposable {
  readonly lease: Lease;
  readonly #broker: Broker;
  /** What goes on on connections. */
  readonly #keeping: Promise<void>[] = [];
  #isEnded = false;

  constructor(id: string, { url }: NatsServer, clock: Clock = systemClock) {
    const log = createLogger({ level: "error", format: "json", clock, write: () => {} });
    this.lease = new Lease({ id, isWanted: true, clock, log, onLead: () => {}, leaseMs: LEASE_MS });
    this.#broker = new Broker(
      {
        terms: {
          ...{ servers: [url], name: id, inboxPrefix: `_INBOX_${id}`, pingIntervalMs: 10_000 },
          tls: { ca: null, client: null, handshakeFirst: false },
          auth: { user: null, password: null, token: null, nkeySeed: null, creds: null },
        },
        ...{ clock: systemClock, rng: seededRng(id.length), log },
      },
      [],
      (connection, ended) => void this.#keeping.push(this.lease.keep(connection, ended)),
    );
  }

  get isConnected(): boolean {
    return this.#broker.isConnected;
  }

  /** Whether it checks; one that was ended doesn't. */
  get isLeading(): boolean {
    return !this.#isEnded && this.lease.held !== null;
  }

  get epoch(): number {
    return this.lease.held?.epoch ?? 0;
  }

  /** Ends it; as a crash does, without letting the key go, where the server is away. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    await this.lease.release();
    await this.#broker[Symbol.asyncDispose]();
    await Promise.all(this.#keeping);
  }
}

testWith(
  ["nats-server"],
  "after a restart of the broker one checker checks within twenty seconds, whatever went with it",
  async (test) => {
    await using server = await NatsServer.start();
    await using one = new Contender("one", server);
    await using other = new Contender("the-other", server);
    const both = [one, other];
    const leading = () => both.filter(({ isLeading }) => isLeading).length;
    const atOnce: number[] = [];
    /** Resolves when all that run are connected, and one checks. */
    const settled = () =>
      until(() => {
        const count = leading();
        atOnce.push(count);
        return [count, both.filter(({ isConnected }) => isConnected).length];
      }, ([count, connected]) => count === 1 && connected! >= 1);
    await settled();
    await until(() => both.every(({ isConnected }) => isConnected), (all) => all);
    const leader = () => both.find(({ isLeading }) => isLeading)!;

    await test.step("the one that did goes on where the store is kept", async () => {
      await settled();
      const { epoch } = leader();
      await server.kill();
      await until(() => both.some(({ isConnected }) => isConnected), (isOne) => !isOne);
      await server.start();
      await until(() => both.every(({ isConnected }) => isConnected), (all) => all);
      await settled();
      // On a slow machine its key may have gone meanwhile; the epoch is never a lower one.
      ok(leader().epoch >= epoch);
    });

    await test.step("one of them does, with a higher epoch than any before, where the store is lost", async () => {
      await settled();
      const epochs = both.map(({ epoch }) => epoch);
      await server.kill({ wipe: true });
      await until(() => both.some(({ isConnected }) => isConnected), (isOne) => !isOne);
      // Their time passes while there is no server.
      await until(leading, (count) => count === 0);
      await server.start();
      await settled();
      ok(leader().epoch > Math.max(...epochs));
    });

    await test.step("the other one does, in the time that is promised, where the one that did has gone with the broker", async () => {
      await settled();
      const gone = leader();
      const { epoch } = gone;
      await server.kill();
      await until(() => both.some(({ isConnected }) => isConnected), (isOne) => !isOne);
      await gone[Symbol.asyncDispose]();
      await server.start();
      await until(() => both.some(({ isConnected }) => isConnected), (isOne) => isOne);
      // Far longer than it takes with keys of a second, and what is said of those of operation.
      ok(await settled() < 20_000);
      ok(leader() !== gone && leader().epoch > epoch);
    });

    // A key that is stored is never held by two.
    deepEqual(atOnce.filter((count) => count > 1), []);

    await test.step("one that was stopped for two minutes knows that another one checks before it says anything", async () => {
      for (const each of both) await each[Symbol.asyncDispose]();
      // Its time stands still unless it is moved; it is behind that of others, as their clocks may be.
      const clock = new ManualClock(Date.now() - 3_600_000);
      await using stopped = new Contender("stopped", server, clock);
      await until(async () => {
        if (clock.sleeperCount > 0) await clock.advance(LEASE_MS / 4);
        return stopped.isLeading;
      }, (is) => is);
      const { epoch } = stopped;
      await using next = new Contender("next", server);
      await until(() => next.isLeading, (is) => is);
      ok(next.epoch > epoch);
      await clock.stall(120_000);
      equal(stopped.isLeading, false);
    });
  },
);
