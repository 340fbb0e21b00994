/**
 * What a node keeps of what it has observed, and what becomes of it when the database can't be written.
 *
 * @module
 */
import { deepEqual, equal, match } from "node:assert/strict";
import { healthMemory, namesMemory } from "../../src/node/observations.ts";
import { UNKNOWN_VERDICT } from "../../src/health/verdict.ts";
import { Store } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";

function logged(): { readonly log: ReturnType<typeof createLogger>; readonly lines: readonly string[] } {
  const lines: string[] = [];
  const log = createLogger({
    ...{ level: "debug", format: "json", clock: new ManualClock() },
    write: (line) => lines.push(line),
  });
  return { log, lines };
}

const DOWN = { ...UNKNOWN_VERDICT, state: "unhealthy" } as const;

Deno.test("verdicts and addresses are there at the next start, until they are forgotten", () => {
  using store = Store.memory();
  const { log, lines } = logged();
  const health = healthMemory(store, log);
  const names = namesMemory(store, log);
  health.keepVerdicts([["tcp 192.0.2.1:443", DOWN]]);
  names.save([["www.example.com", ["192.0.2.1"]]]);
  deepEqual([...health.verdicts()].map(([target, { state }]) => [target, state]), [[
    "tcp 192.0.2.1:443",
    "unhealthy",
  ]]);
  deepEqual([...names.each()], [["www.example.com", ["192.0.2.1"]]]);
  health.forgetVerdicts(["tcp 192.0.2.1:443"]);
  names.forget(["www.example.com"]);
  deepEqual([[...health.verdicts()], [...names.each()]], [[], []]);
  deepEqual(lines, []);
});

Deno.test("a database that can't be written costs a line in the log, and nothing else", () => {
  using store = Store.memory();
  const { log, lines } = logged();
  const fail = () => {
    throw new Error("disk full");
  };
  store.verdicts.save = fail;
  store.resolvedNames.save = fail;
  healthMemory(store, log).keepVerdicts([["tcp 192.0.2.1:443", DOWN]]);
  namesMemory(store, log).save([["www.example.com", ["192.0.2.1"]]]);
  equal(lines.length, 2);
  match(lines[0]!, /Cannot keep the last verdicts in the database.*disk full/);
  match(lines[1]!, /Cannot keep the addresses of names in the database.*disk full/);
});

Deno.test("nothing is written where nothing may be written", () => {
  using store = Store.none();
  const { log, lines } = logged();
  healthMemory(store, log).keepVerdicts([["tcp 192.0.2.1:443", DOWN]]);
  deepEqual([...healthMemory(store, log).verdicts()], []);
  deepEqual(lines, []);
});
