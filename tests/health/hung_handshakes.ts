/**
 * Probes a backend that accepts, says nothing and never lets go, and ends when no probe has left a connection behind; if
 * one has, it never ends.
 *
 * Run as a process of its own: the tests of other files, which run at the same time, open connections too.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../src/clock.ts";
import { checkTargetOf } from "../../src/desired/check_target.ts";
import { HEALTH_CHECK_DEFAULTS } from "../../src/model/model.ts";
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
  const before = openConnections();
  for (let round = 1; round <= 3; round++) {
    const controller = new AbortController();
    const result = run(target, controller.signal);
    connections.push(await listener.accept());
    controller.abort();
    deepEqual(await result, { ok: false, error: "probe was stopped" });
    // What is closed is let go a moment later.
    while (openConnections() - before > round) await setImmediate();
  }
  for (const connection of connections) connection.close();
}

/** TCP alone: the runtime opens socket pairs for its own threads when it likes to. */
function openConnections(): number {
  const ours = new Set([...Deno.readDirSync("/proc/self/fd")].map(({ name }) => inodeOf(name)));
  const tcp = Deno.readTextFileSync("/proc/self/net/tcp").split("\n").map((line) =>
    line.trim().split(/\s+/)[9]
  );
  return tcp.filter((inode) => inode !== undefined && ours.has(inode)).length;
}

/** `null` for what is no socket, or is closed by now, like the descriptor of the folder itself. */
function inodeOf(descriptor: string): string | null {
  try {
    return /^socket:\[(\d+)\]$/.exec(Deno.readLinkSync(`/proc/self/fd/${descriptor}`))?.[1] ?? null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
