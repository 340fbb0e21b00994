/**
 * Backends that are probed by TCP: `backends.ts COUNT INTERVAL_MS`. Says their ports in JSON when they listen. A
 * sample is when a connection was due at the latest, an interval after the one before, and by how much it came later;
 * a value of zero or less is in time.
 *
 * @module
 */
import { giveWay, takeShortSlices } from "../../../src/sockets/scheduling.ts";
import { measureUntilAsked, nowMs, type TimedSample } from "./process.ts";

const SLICE_NS = 100_000;

const [count, intervalMs] = Deno.args.map(Number);

const listeners = Array.from(
  { length: count! },
  () => Deno.listen({ hostname: "127.0.0.1", port: 0 }),
);

await measureUntilAsked(
  JSON.stringify(listeners.map(({ addr }) => addr.port)),
  async (signal) => {
    // What counts is when a connection comes, not when this process gets a processor: it takes a sixth of one, more than its part
    // beside many others, so that short slices alone don't help.
    takeShortSlices(SLICE_NS);
    giveWay(-20);
    const samples: TimedSample[] = [];
    signal.addEventListener("abort", () => listeners.forEach((listener) => listener.close()));
    await Promise.all(listeners.map(async (listener) => {
      let beforeMs = NaN;
      for await (const connection of listener) {
        connection.close();
        const atMs = nowMs();
        if (!Number.isNaN(beforeMs)) samples.push([beforeMs + intervalMs!, atMs - beforeMs - intervalMs!]);
        beforeMs = atMs;
      }
    }));
    return samples;
  },
);
