/**
 * A node in a process of its own, whose main thread says how long its turns are: `node.ts ORDER` (JSON, {@linkcode NodeOrder}).
 * Says where it answers when it does ({@linkcode NodeReady}), and answers each line that comes in ({@linkcode NodeQuestion}). It ends
 * when its input does.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { systemClock } from "../../../src/clock.ts";
import { DISCOVERY } from "../../../src/discovery/port.ts";
import type { Core } from "../../../src/node/part.ts";
import { PARTS } from "../../../src/node/parts.ts";
import { createLogger } from "../../../src/telemetry/log.ts";
import { startTestNode, TEST_SETTINGS } from "../../test_node.ts";
import { processorOf, type Stretch, stretchOf } from "../machine/processor.ts";
import { Threads } from "./threads.ts";
import { LONG_MAX, LONG_MS, type NodeOrder, type NodeQuestion, type NodeReady, type Turns } from "./turns.ts";

const TICK_MS = 1;

const { discovery, database, isWatched }: NodeOrder = JSON.parse(Deno.args[0]!);
const threads = isWatched ? new Threads() : null;
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
const say = (what: unknown) => console.log(JSON.stringify(what));
const ready: NodeReady = {
  ...{ discovery: core!.ports.find(DISCOVERY)?.dns ?? null, dns: node.node.dns[0]!, api: node.api },
};
say(ready);

const NONE: Turns = { longestMs: 0, busyMs: 0, long: [] };
let turns = NONE;
let long: Stretch[] = [];
let last = processorOf(process.pid);
const watch = () => {
  const now = processorOf(process.pid);
  const { tookMs, ...stretch } = stretchOf(last, now);
  const turn = { ...stretch, tookMs: tookMs - TICK_MS };
  turns = {
    longestMs: Math.max(turns.longestMs, turn.tookMs),
    busyMs: Math.max(turns.busyMs, turn.ranMs),
    long,
  };
  if (turn.tookMs > LONG_MS && long.length < LONG_MAX) long.push(turn);
  last = now;
};
const watching = isWatched ? setInterval(watch, TICK_MS) : undefined;
for await (const line of createInterface({ input: process.stdin })) {
  const question: NodeQuestion = JSON.parse(line);
  switch (question.kind) {
    case "turns":
      say(turns);
      long = [];
      turns = NONE;
      break;
    case "memory":
      say(await threads?.memory());
      break;
    case "steps":
      say(threads?.steps(question));
  }
}
clearInterval(watching);
threads?.close();
