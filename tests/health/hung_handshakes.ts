/**
 * Probes a backend that accepts, says nothing and never lets go, and ends when no probe has left a socket behind; if
 * one has, it never ends.
 *
 * Run as a process of its own: the tests of other files, which run at the same time, open sockets too.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../src/clock.ts";
import { checkTargetOf } from "../../src/config/check_target.ts";
import { HEALTH_CHECK_DEFAULTS } from "../../src/config/model.ts";
import { createProbe } from "../../src/health/probe.ts";

const run = createProbe({ version: "1.2.3", clock: systemClock, caCerts: [] });

for (const insecureSkipVerify of [false, true]) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const target = checkTargetOf({ ipAddress: "127.0.0.1", port: listener.addr.port }, {
    ...HEALTH_CHECK_DEFAULTS,
    type: "https",
    insecureSkipVerify,
  });
  const connections: Deno.Conn[] = [];
  const before = openSockets();
  for (let round = 1; round <= 3; round++) {
    const controller = new AbortController();
    const result = run(target, controller.signal);
    connections.push(await listener.accept());
    controller.abort();
    deepEqual(await result, { ok: false, error: "probe was stopped" });
    // What is closed is let go a moment later.
    while (openSockets() - before > round) await setImmediate();
  }
  for (const connection of connections) connection.close();
}

function openSockets(): number {
  return [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith("socket:");
    } catch (error) {
      // The descriptor of the folder itself, closed by now.
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }).length;
}
