/**
 * The stream of all changes of a model, those of other processes included.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { Changes } from "../../src/change/commit.ts";
import { systemClock } from "../../src/clock.ts";
import { newId } from "../../src/model/id.ts";
import { memberFieldsSchema, poolFieldsSchema, serviceFieldsSchema } from "../../src/model/model_schema.ts";
import { Commits, type SeenCommit } from "../../src/node/commits.ts";
import type { Start } from "../../src/node/part.ts";
import { PARTS } from "../../src/node/parts.ts";
import { Store } from "../../src/store/store.ts";
import { WATCH_INTERVAL_MS } from "../../src/store/watch.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { askFor, startTestNode, until } from "../test_node.ts";

const ORIGIN = { via: "test", by: "", reason: "" };

function createPool(changes: Changes, name: string): string {
  const id = newId();
  changes.commit([{ kind: "createPool", id, fields: poolFieldsSchema.parse({ name }) }], ORIGIN);
  return id;
}

Deno.test("our own commits are told of in their turn, others' at the next look, until it ends", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/node.db`;
    using store = Store.open(path);
    using other = Store.open(path);
    const [changes, others] = [store, other].map((store) => new Changes({ store, clock: systemClock }));
    const clock = new ManualClock();
    const log = createLogger({ level: "debug", format: "json", clock, write: () => {} });
    const told: SeenCommit[] = [];
    const commits = new Commits({ store, changes: changes!, clock, log });
    commits.subscribe((commit) => told.push(commit));
    const own = createPool(changes!, "own");
    deepEqual(told.map(({ poolIds }) => poolIds), [[own]]);
    const foreign = createPool(others!, "foreign");
    equal(told.length, 1);
    await clock.advance(WATCH_INTERVAL_MS);
    equal(told.length, 2);
    equal(told[1]!.poolIds.includes(foreign), true);
    deepEqual(told.map(({ isForeign }) => isForeign), [false, true]);
    await commits[Symbol.asyncDispose]();
    createPool(changes!, "late");
    equal(told.length, 2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a listener that throws ends neither the commit nor the watch", async () => {
  const folder = await Deno.makeTempDir();
  const reported: unknown[] = [];
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    reported.push(event.error.message);
  };
  globalThis.addEventListener("error", onError);
  try {
    const path = `${folder}/node.db`;
    using store = Store.open(path);
    using other = Store.open(path);
    const [changes, others] = [store, other].map((store) => new Changes({ store, clock: systemClock }));
    const clock = new ManualClock();
    const lines: string[] = [];
    const log = createLogger({ level: "debug", format: "json", clock, write: (line) => lines.push(line) });
    await using commits = new Commits({ store, changes: changes!, clock, log });
    commits.subscribe(() => {
      throw new Error("on purpose");
    });
    createPool(changes!, "own");
    for (const name of ["foreign", "another"]) {
      createPool(others!, name);
      await clock.advance(WATCH_INTERVAL_MS);
    }
    deepEqual(reported, ["on purpose", "on purpose", "on purpose"]);
    deepEqual(lines, []);
  } finally {
    globalThis.removeEventListener("error", onError);
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("what another process commits while a node starts is answered", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/node.db`;
    const foreign: Start = () => {
      using other = Store.open(path);
      const changes = new Changes({ store: other, clock: systemClock });
      const poolId = createPool(changes, "web");
      changes.commit([
        {
          kind: "createMember",
          ...{ id: newId(), poolId, fields: memberFieldsSchema.parse({ ipAddress: "192.0.2.1", port: 443 }) },
        },
        {
          kind: "createService",
          ...{ id: newId(), fields: serviceFieldsSchema.parse({ domain: "www.example.com", poolId }) },
        },
      ], ORIGIN);
      return null;
    };
    await using node = await startTestNode({ database: { path } }, { parts: [...PARTS, foreign] });
    const addresses = await until(() => askFor(node, "www.example.com"), ({ length }) => length > 0);
    deepEqual(addresses, ["192.0.2.1"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
