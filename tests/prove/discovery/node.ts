/**
 * A node in a process of its own, whose main thread says how long its turns are: `node.ts ORDER` (JSON, {@linkcode NodeOrder}).
 * Says where it answers when it does ({@linkcode NodeReady}), and after each line that comes in how long turns have been since
 * the line before ({@linkcode Turns}). It ends when its input does.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { systemClock } from "../../../src/clock.ts";
import { DISCOVERY } from "../../../src/discovery/port.ts";
import type { SocketAddress } from "../../../src/ip.ts";
import type { Core } from "../../../src/node/part.ts";
import { PARTS } from "../../../src/node/parts.ts";
import type { Settings } from "../../../src/settings/settings.ts";
import { createLogger } from "../../../src/telemetry/log.ts";
import { startTestNode, TEST_SETTINGS } from "../../test_node.ts";
import { processorOf } from "../spread/processor.ts";

/** What it is. */
export interface NodeOrder {
  /** `null` = it has none. */
  readonly discovery: Settings["discovery"] | null;
  /** Its database; `null` = one in memory. */
  readonly database: string | null;
}

/** Where it answers. */
export interface NodeReady {
  readonly discovery: SocketAddress | null;
  readonly dns: SocketAddress;
  readonly api: string;
}

/** The longest turn of the main thread's event loop, milliseconds. */
export interface Turns {
  readonly longestMs: number;
  /** Without the time for which it could have run and others had the processors. */
  readonly ownMs: number;
  /** Processor time of the turn that took most of it: without what it waited for, such as the disk or the collector's threads. */
  readonly busyMs: number;
}

const TICK_MS = 1;

const { discovery, database }: NodeOrder = JSON.parse(Deno.args[0]!);
let core: Core | null = null;
await using node = await startTestNode({
  dns: { ...TEST_SETTINGS.dns, domain: ["example.org"] },
  ...discovery !== null && { discovery },
  ...database !== null && { database: { path: database } },
}, {
  parts: [(each: Core) => (core = each, null), ...PARTS],
  log: createLogger({
    level: "warn",
    format: "json",
    clock: systemClock,
    write: (line) => console.error(line),
  }),
});
const say = (what: NodeReady | Turns) => console.log(JSON.stringify(what));
say({ discovery: core!.ports.find(DISCOVERY)?.dns ?? null, dns: node.node.dns[0]!, api: node.api });

const NONE: Turns = { longestMs: 0, ownMs: 0, busyMs: 0 };
let turns = NONE;
const look = () => ({ atMs: performance.now(), ...processorOf(process.pid) });
let last = look();
const looking = setInterval(() => {
  const now = look();
  const tookMs = now.atMs - last.atMs - TICK_MS;
  const ownMs = tookMs - (now.waitedMs - last.waitedMs);
  turns = {
    longestMs: Math.max(turns.longestMs, tookMs),
    ownMs: Math.max(turns.ownMs, ownMs),
    busyMs: Math.max(turns.busyMs, now.ranMs - last.ranMs),
  };
  last = now;
}, TICK_MS);
for await (const _ of createInterface({ input: process.stdin })) {
  say(turns);
  turns = NONE;
}
clearInterval(looking);
