/**
 * What goes wrong in a worker's thread: it is told and counted and the worker goes on, or it ends the worker loudly;
 * never the process.
 *
 * @module
 */
import assert from "node:assert/strict";
import { COUNTER } from "../../src/dns/counters.ts";
import { MAIN_PATIENCE } from "../../src/dns/fleet.ts";
import { NO_LIMITS } from "../../src/dns/limits.ts";
import type { SocketAddress } from "../../src/ip.ts";
import type { StreamDuty } from "../../src/dns/stream_service.ts";
import type { UdpDuty } from "../../src/dns/udp_service.ts";
import type { Order, Report } from "../../src/dns/worker.ts";
import { closeAbandoned } from "../../src/sockets/batch_socket.ts";
import { askTcp, askUdp } from "../dns/clients.ts";
import type { Failing } from "../dns/faulty_worker.ts";
import { ROOMY } from "../dns/loopback.ts";
import { addresses, query } from "../dns/packets.ts";
import { PLAIN, World } from "../dns/world.ts";

const WWW = query("www.example.com", "A");

type Listening = Extract<Report, { kind: "listening" }>;

const UDP: UdpDuty = { kind: "udp", transport: "auto", company: "none" };
const STREAMS: StreamDuty = { kind: "streams", limits: ROOMY, encrypted: null, beside: [] };

const EACH: readonly [UdpDuty | StreamDuty, (to: SocketAddress) => Promise<Uint8Array | null>][] = [
  [UDP, (to) => askUdp(to, WWW)],
  [STREAMS, (to) => askTcp(to, WWW)],
];

/** A worker of its own, without a fleet. */
class FaultyWorker implements Disposable {
  readonly world = new World({
    pools: [{ name: "web", members: ["192.0.2.1"] }],
    services: { "www.example.com": "web" },
  });
  readonly #worker = new Worker(new URL("../dns/faulty_worker.ts", import.meta.url), { type: "module" });
  readonly #reports: Report[] = [];
  #wake: () => void = () => {};
  /** Resolves with what ended it. */
  readonly ended: Promise<string>;

  private constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<Report>) => {
      this.#reports.push(data);
      this.#wake();
    };
    this.ended = new Promise((resolve) => {
      this.#worker.onerror = (event) => {
        event.preventDefault();
        resolve(event.message);
      };
    });
  }

  static async start(duty: UdpDuty | StreamDuty): Promise<[FaultyWorker, Listening["bound"]]> {
    const faulty = new FaultyWorker();
    faulty.#worker.postMessage(
      {
        kind: "start",
        options: {
          listen: [{ hostname: "127.0.0.1", port: 0 }],
          engine: PLAIN,
          duty,
          limits: NO_LIMITS,
          samplesPerSecond: 0,
          sampleEvery: 1,
          log: { level: "info", format: "json" },
          mainPatience: MAIN_PATIENCE,
        },
        snapshot: faulty.world.snapshot,
        board: faulty.world.board.buffer,
        awaitsSockets: false,
      } satisfies Order,
    );
    return [faulty, (await faulty.next("listening")).bound];
  }

  fail(how: Failing["how"]): void {
    this.#worker.postMessage({ kind: "fail", how } satisfies Failing);
  }

  async next<Kind extends Report["kind"]>(kind: Kind): Promise<Extract<Report, { kind: Kind }>> {
    for (;;) {
      const at = this.#reports.findIndex((report) => report.kind === kind);
      if (at >= 0) return this.#reports.splice(at, 1)[0] as Extract<Report, { kind: Kind }>;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  async stop(): Promise<void> {
    this.#worker.postMessage({ kind: "stop", graceMs: 0, isSucceeded: false } satisfies Order);
    await this.next("stopped");
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

for (const [duty, ask] of EACH) {
  Deno.test(`a rejection that nothing waits for is told and counted, and the worker goes on (${duty.kind})`, async () => {
    const [faulty, { addresses: [address] }] = await FaultyWorker.start(duty);
    using worker = faulty;
    for (let i = 1; i <= 3; i++) {
      worker.fail("reject");
      const { fault } = await worker.next("fault");
      assert.match(fault.reason, /on purpose[\s\S]*faulty_worker\.ts/);
      assert.equal(fault.asked, undefined);
      assert.equal(worker.world.board.lane(0)[COUNTER.faults], i);
      assert.deepEqual(addresses(await ask(address!)), ["192.0.2.1"]);
    }
    await worker.stop();
  });

  Deno.test(`an error that is thrown ends the worker, whose owner hears of it, and nothing else (${duty.kind})`, async () => {
    const [faulty] = await FaultyWorker.start(duty);
    using worker = faulty;
    worker.fail("throw");
    assert.match(await worker.ended, /on purpose/);
  });
}

Deno.test({
  name: "a worker whose socket is gone ends instead of turning on with nothing to answer",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const [faulty, { descriptors }] = await FaultyWorker.start(UDP);
    using worker = faulty;
    closeAbandoned(descriptors);
    // Another thread of this process may have taken the number meanwhile, but no other test: those beside it are why this one runs alone.
    const noSocket = /Cannot receive on UDP port \d+: (Bad file descriptor|Socket operation on non-socket)/;
    assert.match(await worker.ended, noSocket);
  },
});
