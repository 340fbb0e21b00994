/**
 * A model that comes as bytes: the same whether as a document or as lines, on this thread or another.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Changes } from "../../src/change/commit.ts";
import { type Applied, type ApplyOptions, ChangeRefused, type Commit } from "../../src/change/edit.ts";
import { beginImport } from "../../src/change/model_import.ts";
import { exportModel, exportNdjson } from "../../src/model/model_export.ts";
import { formatProblem } from "../../src/input/yaml_source.ts";
import { StoreBusy } from "../../src/store/database.ts";
import { RECORDED_MAX } from "../../src/store/history.ts";
import { Store } from "../../src/store/store.ts";
import { watch, WATCH_INTERVAL_MS } from "../../src/store/watch.ts";
import { ManualClock } from "../clock.ts";
import { runs } from "../property_runs.ts";
import { dump } from "../store/dump.ts";
import { Folder } from "../store/folder.ts";
import { commitsArbitrary } from "./edit_arbitrary.ts";
import { keysToIds, revisionsByKey, storeOf, withoutIds } from "./model_keys.ts";
import { openFiles } from "./open_files.ts";
import { createPool, id, ORIGIN } from "./samples.ts";

const RUNS = { numRuns: runs(10) };

Deno.test("applying a document does what applying its objects as lines does", async () => {
  await fc.assert(
    fc.asyncProperty(commitsArbitrary, commitsArbitrary, async (before, given) => {
      using source = storeOf(given);
      const model = source.model();
      using byLines = storeOf(before);
      using byDocument = storeOf(before);
      const known = keysToIds(byLines.model());
      const lines = await apply(changesOf(byLines), [...exportNdjson(model)].join(""));
      const document = await apply(changesOf(byDocument), exportModel(model), { format: "yaml" });
      assert.equal(lines.kind, document.kind);
      if (lines.kind !== "applied" || document.kind !== "applied") return;
      assert.deepEqual(withoutIds(byLines.model()), withoutIds(byDocument.model()));
      assert.deepEqual(revisionsByKey(byLines), revisionsByKey(byDocument));
      assert.deepEqual(sizesOf(lines.commit), sizesOf(document.commit));
      assert.equal(historySize(byLines), historySize(byDocument));
      for (const store of [byLines, byDocument]) {
        for (const [key, id] of keysToIds(store.model())) assert.equal(id, known.get(key) ?? id, key);
        assert.deepEqual(store.database.all("PRAGMA foreign_key_check"), []);
        assert.deepEqual(temporaryTables(store), []);
      }
    }),
    RUNS,
  );
});

Deno.test("members keep the order that a file gives them", async () => {
  using store = Store.memory();
  const addresses = ["192.0.2.9", "192.0.2.1", "192.0.2.5"];
  const members = addresses.map((ipAddress) => ({ ipAddress, port: 443 }));
  await apply(changesOf(store), JSON.stringify({ pool: { name: "a", members } }));
  assert.deepEqual(store.model().pools[0]!.members.map(({ ipAddress }) => ipAddress), addresses);
});

Deno.test("every new object has an id of its own, however many come at once", async () => {
  using store = Store.memory();
  const pools = Array.from({ length: 20 }, (_, i) => {
    const members = Array.from({ length: i }, (_, j) => ({ ipAddress: `192.0.2.${j}`, port: 443 }));
    return `${JSON.stringify({ pool: { name: `p${i}`, members } })}\n`;
  });
  await apply(changesOf(store), pools.join("") + services(70));
  const model = store.model();
  for (const { name, members } of model.pools) assert.equal(`p${members.length}`, name);
  const ids = [...model.pools, ...model.pools.flatMap(({ members }) => members), ...model.services].map((
    { id },
  ) => id);
  assert.equal(new Set(ids).size, 20 + 190 + 70);
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
});

Deno.test("a document that isn't fine leaves nothing of it behind", async () => {
  using store = storeOf([[createPool(1)]]);
  const lines = dump(store);
  for (const text of ["pools: [", "services: [{ domain: www.example.com, pool: none }]"]) {
    assert.equal((await apply(changesOf(store), text, { format: "yaml" })).kind, "invalid");
    assert.deepEqual(dump(store), lines);
    assert.deepEqual(temporaryTables(store), []);
  }
});

Deno.test("the same lines a second time change nothing", async () => {
  await fc.assert(
    fc.asyncProperty(commitsArbitrary, commitsArbitrary, async (before, given) => {
      using source = storeOf(given);
      using store = storeOf(before);
      const text = [...exportNdjson(source.model())].join("");
      const first = await apply(changesOf(store), text);
      const lines = dump(store);
      const second = await apply(changesOf(store), text);
      assert.equal(second.kind, first.kind);
      if (second.kind === "applied") assert.equal(second.changed, false);
      assert.deepEqual(dump(store), lines);
    }),
    RUNS,
  );
});

Deno.test("a huge difference is an entry with counts, and says that everything was touched", async () => {
  using store = Store.memory();
  const changes = changesOf(store);
  const size = RECORDED_MAX + 1;
  const applied = await apply(changes, services(size));
  assert(applied.kind === "applied");
  assert.deepEqual([applied.commit.generation, applied.commit.everything], [1, true]);
  assert.deepEqual([...store.history.listed(1)], []);
  assert.equal([...store.history.changes(1)].length, size);
  assert.deepEqual(store.history.summary(1), { service: { created: size, changed: 0, deleted: 0 } });
  assert.equal(store.history.touchedSince(0).everything, true);
  await apply(changes, services(size - 1));
  assert.equal(store.history.summary(2), null);
  assert.equal([...store.history.changes(2)].length, 1);
  assert.equal(store.history.touchedSince(1).serviceIds.length, 1);
});

Deno.test("a large model is applied by another thread, and its commit is told here once", async () => {
  await using world = new FileWorld();
  const told: Commit[] = [];
  using _ = world.changes.subscribe((commit) => told.push(commit));
  const stop = new AbortController();
  const foreign: number[] = [];
  const watching = watch(world.store, {
    clock: world.clock,
    signal: stop.signal,
    onCommit: ({ generation }) => foreign.push(generation),
  });
  const applied = await apply(world.changes, services(3_000));
  assert(applied.kind === "applied");
  assert.equal(applied.counts.services, 3_000);
  assert.deepEqual(told, [applied.commit]);
  await world.clock.advance(WATCH_INTERVAL_MS);
  assert.deepEqual(foreign, []);
  world.changes.commit([createPool(1)], ORIGIN);
  assert.equal(world.store.generation(), 2);
  assert.equal(world.store.services.count(), 3_000);
  stop.abort();
  await watching;
});

Deno.test("a dry run on another thread says what would change, and changes nothing", async () => {
  await using world = new FileWorld();
  const applied = await apply(world.changes, services(3_000), { dryRun: true });
  assert(applied.kind === "applied");
  assert.deepEqual([applied.changed, applied.commit.generation], [true, 1]);
  assert.equal(world.store.generation(), 0);
});

Deno.test("a large YAML document is read by another thread as well", async () => {
  await using world = new FileWorld();
  const domains = Array.from({ length: 3_000 }, (_, i) => `  - domain: s${i}.example\n    ttl: 60\n`);
  const applied = await apply(world.changes, `services:\n${domains.join("")}`, { format: "yaml" });
  assert(applied.kind === "applied");
  assert.equal(world.store.services.byDomain("s2999.example")!.ttl, 60);
});

Deno.test("problems are found on another thread as they are here", async () => {
  await using world = new FileWorld();
  const applied = await apply(world.changes, `${services(3_000)}{"service":{"domain":"s7.example"}}\n`);
  assert.deepEqual(placesOf(applied), [
    'body:3001:22: service "s7.example" is defined twice (also at body:8:1); keep one',
  ]);
});

Deno.test("while a model is read others may write, and a second model waits for its turn", async () => {
  await using world = new FileWorld();
  const { stream, push, end } = controlled();
  const applying = apply(world.changes, stream);
  await push(services(3_000));
  world.changes.commit([createPool(1)], ORIGIN);
  const second = apply(world.changes, services(1));
  end();
  const [applied, then] = await Promise.all([applying, second]);
  assert(applied.kind === "applied" && then.kind === "applied");
  assert.deepEqual([applied.commit.generation, then.commit.generation], [2, 3]);
  assert.deepEqual([world.store.pools.count(), world.store.services.count()], [0, 1]);
});

Deno.test("a plan whose body doesn't come holds no apply up, and tells what it saw", async () => {
  await using world = new FileWorld();
  const { stream, push, end } = controlled();
  const planning = apply(world.changes, stream, { dryRun: true });
  await push(services(3_000));
  const applied = await apply(world.changes, services(3_000));
  assert(applied.kind === "applied" && applied.commit.generation === 1);
  end();
  const planned = await planning;
  assert(planned.kind === "applied" && planned.plan !== null);
  // Its thread may begin to read the stored model before or after the apply's commit.
  const { generation, changed } = planned.plan;
  assert.deepEqual(
    { generation, changed },
    generation === 0 ? { generation, changed: true } : { generation: 1, changed: false },
  );
  assert.equal(world.store.generation(), 1);
});

Deno.test("a model whose sender goes away changes nothing, and the next one is applied", async () => {
  await using world = new FileWorld();
  const { stream, push, fail } = controlled();
  const applying = apply(world.changes, stream);
  await push(services(3_000));
  fail(new Error("gone"));
  await assert.rejects(applying, /gone/);
  assert.equal(world.store.generation(), 0);
  assert.equal((await apply(world.changes, services(3_000))).kind, "applied");
});

Deno.test("an apply that is given up when all has been read changes nothing", async () => {
  await using world = new FileWorld();
  const giveUp = new AbortController();
  const { stream, push, end } = controlled();
  const applying = apply(world.changes, stream, { signal: giveUp.signal });
  await push(services(3_000));
  giveUp.abort();
  end();
  await assert.rejects(applying, { name: "AbortError" });
  assert.equal(world.store.generation(), 0);
  world.changes.commit([createPool(1)], ORIGIN);
});

Deno.test({
  name: "a document that is given up while it is read leaves nothing open, and nothing waits behind it",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using world = new FileWorld();
    const before = openFiles(world.folder.path);
    const giveUp = new AbortController();
    const { stream, push } = controlled();
    const applying = apply(world.changes, stream, { signal: giveUp.signal, format: "yaml" });
    const next = apply(world.changes, services(1));
    await push("services:\n" + "  - { domain: www.example.com }\n".repeat(3_000));
    giveUp.abort();
    await assert.rejects(applying, { name: "AbortError" });
    assert.equal((await next).kind, "applied");
    assert.deepEqual(openFiles(world.folder.path), before);
  },
});

Deno.test("an apply that is given up while it writes is undone", () => {
  using store = Store.memory();
  const changes = new Changes({ store, clock: new ManualClock(), isGivenUp: () => true });
  using reading = beginImport(() => store, { file: "body", format: "ndjson" });
  reading.write(new TextEncoder().encode(services(10)));
  const options = { origin: ORIGIN, dryRun: false, ifGeneration: null };
  reading.end();
  assert.throws(() => changes.applyJudged(reading.finish(), options), { name: "AbortError" });
  assert.deepEqual([store.generation(), store.services.count()], [0, 0]);
});

Deno.test("while another thread commits, nobody here waits for the lock", async () => {
  await using world = new FileWorld();
  let refused: unknown = null;
  const lend = world.store.lend.bind(world.store);
  world.store.lend = () => {
    const lent = lend();
    try {
      world.changes.commit([createPool(1)], ORIGIN);
    } catch (error) {
      refused = error;
    }
    return lent;
  };
  await apply(world.changes, services(3_000));
  assert(refused instanceof StoreBusy);
  assert.equal(world.changes.commit([createPool(1)], ORIGIN).generation, 2);
});

Deno.test("a model made for another generation is refused, on every thread", async () => {
  await using world = new FileWorld();
  world.changes.commit([createPool(1)], ORIGIN);
  for (const size of [1, 3_000]) {
    await assert.rejects(apply(world.changes, services(size), { ifGeneration: 0 }), (error) => {
      assert(error instanceof ChangeRefused);
      return error.kind === "stale";
    });
  }
  assert.equal((await apply(world.changes, services(3_000), { ifGeneration: 1 })).kind, "applied");
});

Deno.test("while the database is lent, commits are refused at once and verdicts wait", () => {
  using folder = new Folder();
  using store = Store.open(folder.file("pleiades.db"));
  const verdict = { state: "healthy", since: 1, lastError: null, latencyMs: 1, checkedAt: 1 } as const;
  const lent = store.lend();
  assert.throws(() => changesOf(store).commit([createPool(1)], ORIGIN), StoreBusy);
  store.verdicts.save([["a", verdict]]);
  assert.equal(store.verdicts.get("a"), null);
  lent[Symbol.dispose]();
  assert.deepEqual(store.verdicts.get("a"), verdict);
  assert.equal(changesOf(store).commit([createPool(1)], ORIGIN).poolIds[0], id(1));
});

/** A database on disk, with what commits to it. */
class FileWorld implements AsyncDisposable {
  readonly folder = new Folder();
  readonly clock = new ManualClock();
  readonly store: Store = Store.open(this.folder.file("pleiades.db"));
  readonly changes: Changes = new Changes({ store: this.store, clock: this.clock });

  async [Symbol.asyncDispose](): Promise<void> {
    await this.changes.idle();
    this.store.close();
    this.folder[Symbol.dispose]();
  }
}

function apply(
  changes: Changes,
  body: string | ReadableStream<Uint8Array>,
  options: Partial<ApplyOptions> = {},
): Promise<Applied> {
  return changes.apply(typeof body === "string" ? streamOf(body) : body, {
    file: "body",
    format: "ndjson",
    origin: ORIGIN,
    dryRun: false,
    ifGeneration: null,
    signal: new AbortController().signal,
    ...options,
  });
}

function changesOf(store: Store): Changes {
  return new Changes({ store, clock: new ManualClock() });
}

function streamOf(text: string): ReadableStream<Uint8Array> {
  return new Blob([text]).stream();
}

/** A body whose end the test decides; `push` resolves when its reader wants more. */
function controlled() {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  writer.closed.catch(() => {});
  return {
    stream: readable,
    push: (text: string) => writer.write(new TextEncoder().encode(text)),
    end: () => void writer.close().catch(() => {}),
    fail: (reason: Error) => void writer.abort(reason),
  };
}

/** Lines of so many services; 3,000 of them are more than is handled in one turn. */
function services(count: number): string {
  return Array.from({ length: count }, (_, i) => `{"service":{"domain":"s${i}.example"}}\n`).join("");
}

function placesOf(applied: Applied): string[] {
  assert(applied.kind === "invalid", applied.kind);
  return applied.problems.map(formatProblem);
}

function sizesOf({ generation, everything, poolIds, serviceIds, zoneDomains, fallback }: Commit): unknown {
  return {
    generation,
    everything,
    pools: poolIds.length,
    services: serviceIds.length,
    zoneDomains,
    fallback,
  };
}

function historySize(store: Store): number {
  return [...store.history.changes(store.generation())].length;
}

function temporaryTables(store: Store): unknown[] {
  return store.database.all("SELECT name FROM temp.sqlite_schema");
}
