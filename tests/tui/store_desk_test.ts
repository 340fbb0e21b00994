/**
 * The database as the terminal UI uses it: lists, changes, refusals, and what is wrong with the file in words.
 *
 * @module
 */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Changes } from "../../src/change/commit.ts";
import { systemClock } from "../../src/clock.ts";
import { POOL_DEFAULTS } from "../../src/model/model.ts";
import type { ListingRequest } from "../../src/store/listing.ts";
import { Store } from "../../src/store/store.ts";
import { guardSettings } from "../../src/tui/guard_settings.ts";
import type { Answer, ChangeTerms, Intent } from "../../src/tui/messages.ts";
import { FileUnusable, StoreDesk } from "../../src/tui/store_desk.ts";
import { DeskFixture } from "./store_fixture.ts";

const ALL: ListingRequest = { filter: "", from: { kind: "start" }, limit: 100 };
const SAVE: ChangeTerms = { isPreview: false, force: false, reason: "" };
const PREVIEW: ChangeTerms = { ...SAVE, isPreview: true };

async function ask<Kind extends Answer["kind"]>(
  { desk }: Pick<DeskFixture, "desk">,
  question: Parameters<StoreDesk["answer"]>[0],
  kind: Kind,
): Promise<Extract<Answer, { kind: Kind }>> {
  const answer = await desk.answer(question);
  equal(answer.kind, kind, JSON.stringify(answer));
  return answer as Extract<Answer, { kind: Kind }>;
}

const change = (intent: Intent, terms: ChangeTerms = SAVE) => ({ kind: "change", intent, terms }) as const;

Deno.test("the pool picker has unassigned pools first, then those of services, each part from A to Z", async () => {
  await using fixture = new DeskFixture({
    pools: { a: [], B: [], c: [], "1": [], D: [], e: [] },
    services: { "x.example.org": "D", "y.example.org": "a", "z.example.org": "a", "w.example.org": "a" },
  });
  const { listing } = await ask(fixture, { kind: "choices", request: ALL }, "choices");
  deepEqual(listing.rows.map(({ name, service, services }) => `${name} ${service ?? "-"} ${services}`), [
    "1 - 0",
    "B - 0",
    "c - 0",
    "e - 0",
    "a w.example.org 3",
    "D x.example.org 1",
  ]);
});

Deno.test("a window of a list is found by place, by name, and by a part of names in any case", async () => {
  const names = Array.from({ length: 50 }, (_, i) => `pool-${String(i).padStart(2, "0")}`);
  await using fixture = new DeskFixture({
    pools: Object.fromEntries(names.map((name) => [name, []])),
    services: { "a_b.example.org": "pool-07", "axb.example.org": null },
  });
  const pools = async (request: Partial<ListingRequest>) => {
    const { listing } = await ask(fixture, { kind: "pools", request: { ...ALL, ...request } }, "pools");
    return [listing.total, listing.offset, listing.rows.map(({ name }) => name).join(" ")];
  };
  const at = (name: string, before: number) => ({ kind: "name", name, before, known: null }) as const;
  deepEqual(await pools({ limit: 2 }), [50, 0, "pool-00 pool-01"]);
  deepEqual(await pools({ limit: 2, from: { kind: "end" } }), [50, 48, "pool-48 pool-49"]);
  deepEqual(await pools({ limit: 2, from: at("pool-20", 1) }), [50, 19, "pool-19 pool-20"]);
  deepEqual(await pools({ limit: 2, from: at("pool-20", -3) }), [50, 23, "pool-23 pool-24"]);
  deepEqual(await pools({ limit: 3, from: at("pool-00", 9) }), [50, 0, "pool-00 pool-01 pool-02"]);
  // What is gone is passed over, and behind the last row there is the end.
  deepEqual(await pools({ limit: 2, from: at("pool-19x", 1) }), [50, 19, "pool-19 pool-20"]);
  deepEqual(await pools({ limit: 2, from: at("pool-zz", 0) }), [50, 48, "pool-48 pool-49"]);
  deepEqual(await pools({ filter: "OOL-1", limit: 2 }), [10, 0, "pool-10 pool-11"]);
  deepEqual(await pools({ filter: "OOL-1", limit: 2, from: at("pool-15", 1) }), [10, 4, "pool-14 pool-15"]);
  // A place is believed for as long as the generation is the same.
  const known = { place: 7, total: 9, generation: 1 };
  deepEqual(await pools({ limit: 1, from: { ...at("pool-20", 0), known } }), [9, 7, "pool-20"]);
  deepEqual(
    await pools({ limit: 1, from: { ...at("pool-20", 0), known: { ...known, generation: 0 } } }),
    [50, 20, "pool-20"],
  );
  deepEqual(await pools({ filter: "nothing" }), [0, 0, ""]);
  const { listing } = await ask(fixture, { kind: "services", request: { ...ALL, filter: "_b" } }, "services");
  deepEqual(listing.rows.map(({ domain, pool }) => `${domain} ${pool}`), ["a_b.example.org pool-07"]);
  const byPool = await ask(fixture, { kind: "services", request: { ...ALL, filter: "pool-07" } }, "services");
  equal(byPool.listing.total, 1);
});

Deno.test("a wrong field is refused with its name, and nothing is written", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  const rows: ReadonlyArray<readonly [Intent, pointer: string]> = [
    [{ kind: "pool", id: null, revision: null, values: { name: "no such name" } }, "/name"],
    [
      { kind: "pool", id: fixture.ids["web"]!, revision: 1, values: { fallbackPool: "none" } },
      "/fallbackPool",
    ],
    [{ kind: "pool", id: null, revision: null, values: { name: "x", maxAnswers: "many" } }, "/maxAnswers"],
    [member(fixture, { address: "", port: 443 }), "/address"],
    [member(fixture, { address: "192.0.2.300", port: 443 }), "/address"],
    [member(fixture, { address: "192.0.2.1", port: 70_000 }), "/port"],
    [{ kind: "service", id: null, revision: null, values: { domain: "x".repeat(300) } }, "/domain"],
    [rule(fixture, { match: "country", value: "Germany" }), "/value"],
    [
      { kind: "healthCheck", poolId: fixture.ids["web"]!, revision: null, values: { intervalMs: 1 } },
      "/intervalMs",
    ],
    [drain(fixture, { duration: "long", drainMs: "0s", reason: "test" }), "/duration"],
    [drain(fixture, { duration: "1h", drainMs: "0s", reason: "" }), "/reason"],
  ];
  for (const [intent, pointer] of rows) {
    const { problems } = await ask(fixture, change(intent), "refused");
    equal(problems[0]!.pointer, pointer, JSON.stringify(problems));
  }
  equal(fixture.desk.generation, 1);
});

function member(
  { ids }: DeskFixture,
  values: Intent extends infer I ? I extends { values: infer V } ? V : never : never,
): Intent {
  return { kind: "member", id: null, poolId: ids["web"]!, revision: null, values };
}

function rule({ ids }: DeskFixture, values: Readonly<Record<string, unknown>>): Intent {
  const memberId = "0".repeat(32);
  return { kind: "geoRule", id: null, poolId: ids["web"]!, revision: null, values: { ...values, memberId } };
}

function drain({ ids }: DeskFixture, values: Readonly<Record<string, unknown>>): Intent {
  return { kind: "drain", target: `pool:${ids["web"]}`, values };
}

Deno.test("an edit for a row that was changed meanwhile is refused, and says who did it", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  const id = fixture.ids["web"]!;
  {
    using store = Store.open(fixture.path);
    new Changes({ store, clock: systemClock }).commit(
      [{ kind: "updatePool", id, fields: { ...POOL_DEFAULTS, name: "www" } }],
      { via: "api", by: "grace", reason: "" },
    );
  }
  const intent: Intent = { kind: "pool", id, revision: 1, values: { name: "shop" } };
  const { refusal, since } = await ask(fixture, change(intent), "refused");
  equal(refusal, "stale");
  equal(since, "changed by grace by way of api as generation 2");
});

Deno.test("a form changes what it shows and leaves the rest as it is stored", async () => {
  await using fixture = new DeskFixture({ pools: { web: ["192.0.2.1"] } });
  const id = fixture.ids["web"]!;
  await ask(
    fixture,
    change({ kind: "pool", id, revision: 1, values: { algorithm: "hash", minHealthy: "50%" } }),
    "done",
  );
  await ask(fixture, change({ kind: "pool", id, revision: 2, values: { name: "www" } }), "done");
  const { pool } = await ask(fixture, { kind: "pool", id }, "pool");
  deepEqual([pool!.pool.name, pool!.pool.algorithm, pool!.pool.minHealthy, pool!.members.length], [
    "www",
    "hash",
    "50%",
    1,
  ]);
});

Deno.test("a preview of a delete names what goes along and what clients get after, and a guard's refusal", async () => {
  await using fixture = new DeskFixture({
    pools: { web: ["192.0.2.1"] },
    services: { "www.example.org": "web" },
  });
  fixture.desk.guardBy(guardSettings({ config: undefined, env: {} }));
  const intent: Intent = { kind: "delete", what: "pool", id: fixture.ids["web"]!, revision: 1 };
  const { preview } = await ask(fixture, change(intent, PREVIEW), "preview");
  ok(preview.lines.includes("- pool web"), preview.lines.join("\n"));
  ok(preview.lines.includes("- member web/192.0.2.1:443 (with pool web)"));
  ok(preview.lines.includes("www.example.org A: 192.0.2.1 100 % → no address"));
  equal(preview.guards[0]!.guard, "empties-live-name");
  const { refusal } = await ask(fixture, change(intent), "refused");
  equal(refusal, "guarded");
  await ask(fixture, change(intent, { isPreview: false, force: true, reason: "gone for good" }), "done");
});

Deno.test("a preview of a drain shows the shares when it has come to its end", async () => {
  await using fixture = new DeskFixture({
    pools: { web: ["192.0.2.1", "192.0.2.2"] },
    services: { "www.example.org": "web" },
  });
  fixture.desk.guardBy(guardSettings({ config: undefined, env: {} }));
  const target = `member:${fixture.ids["192.0.2.1"]}`;
  const intent: Intent = {
    kind: "drain",
    target,
    values: { duration: "1h", drainMs: "5m", reason: "new disk" },
  };
  const { preview } = await ask(fixture, change(intent, PREVIEW), "preview");
  ok(
    preview.lines.includes("www.example.org A: 192.0.2.1 50 %, 192.0.2.2 50 % → 192.0.2.2 100 %"),
    preview.lines.join("\n"),
  );
  const { generation } = await ask(fixture, change(intent), "done");
  const { pool } = await ask(fixture, { kind: "pool", id: fixture.ids["web"]! }, "pool");
  deepEqual(pool!.members.map(({ override }) => override), ["drain", ""]);
  // Overrides are no part of the model that a rollback goes back to: they are removed.
  await ask(fixture, change({ kind: "undo", generation }), "done");
  const after = await ask(fixture, { kind: "pool", id: fixture.ids["web"]! }, "pool");
  deepEqual(after.pool!.members.map(({ override }) => override), ["", ""]);
});

Deno.test("an undo takes one generation back, whichever it is, unless another one stands on it", async () => {
  await using fixture = new DeskFixture({ pools: { web: ["192.0.2.1"] } });
  const rename = (name: string, revision: number): Intent => ({
    ...{ kind: "pool", id: fixture.ids["web"]!, revision, values: { name } },
  });
  await ask(fixture, change(rename("a", 1)), "done");
  await ask(fixture, change(rename("b", 2)), "done");
  const other: Intent = { kind: "pool", id: null, revision: null, values: { name: "other" } };
  await ask(fixture, change(other), "done");
  const { problems } = await ask(fixture, change({ kind: "undo", generation: 2 }), "refused");
  match(problems[0]!.message, /^The pool a was changed again by generation 3 \(ada\): undo that first/);
  const { preview } = await ask(fixture, change({ kind: "undo", generation: 3 }, PREVIEW), "preview");
  deepEqual(preview.lines.slice(0, 1), ["~ pool a"]);
  await ask(fixture, change({ kind: "undo", generation: 3 }), "done");
  const { pool } = await ask(fixture, { kind: "pool", id: fixture.ids["web"]! }, "pool");
  equal(pool!.pool.name, "a");
  // What came between stays.
  equal((await ask(fixture, { kind: "pools", request: ALL }, "pools")).listing.total, 2);
  const { listing } = await ask(fixture, { kind: "history", request: ALL }, "history");
  deepEqual(
    listing.rows.map(({ generation, via, what, reason }) => `${generation} ${via} ${what} ${reason}`),
    [
      "5 rollback 1 pool changed of generation 3",
      "4 tui 1 pool created ",
      "3 tui 1 pool changed ",
      "2 tui 1 pool changed ",
      "1 api 1 pool created, 1 member created ",
    ],
  );
  const { lines } = await ask(fixture, { kind: "generation", generation: 3 }, "generation");
  deepEqual(lines.slice(1), ["1 pool changed", "", "~ pool b"]);
});

Deno.test("a change waits for another process's lock, and questions are answered meanwhile", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  const other = new DatabaseSync(fixture.path);
  other.exec("BEGIN IMMEDIATE");
  const waited = Promise.withResolvers<void>();
  const intent: Intent = { kind: "pool", id: null, revision: null, values: { name: "new" } };
  const saved = fixture.desk.answer(change(intent), () => waited.resolve());
  await waited.promise;
  equal((await ask(fixture, { kind: "pools", request: ALL }, "pools")).listing.total, 1);
  other.exec("COMMIT");
  other.close();
  equal((await saved).kind, "done");
});

Deno.test("what another process commits is noticed; what it observes isn't", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  equal(fixture.desk.look(), null);
  using store = Store.open(fixture.path);
  store.verdicts.save([["tcp 192.0.2.1 443", {
    state: "healthy",
    since: 1,
    lastError: null,
    latencyMs: 1,
    checkedAt: 1,
  }]]);
  equal(fixture.desk.look(), null);
  new Changes({ store, clock: systemClock }).commit(
    [{ kind: "createPool", id: "a".repeat(32), fields: { ...POOL_DEFAULTS, name: "www" } }],
    { via: "api", by: "", reason: "" },
  );
  deepEqual(fixture.desk.look(), { isReplaced: false });
  equal(fixture.desk.generation, 2);
});

Deno.test("a file that is gone is said to be gone, and one that comes in its place is opened", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  await using other = new DeskFixture({ pools: { shop: [], mail: [] } });
  Deno.renameSync(fixture.path, `${fixture.path}.away`);
  throws(
    () => fixture.desk.look(),
    (error: unknown) => error instanceof FileUnusable && /is gone: bring it back/.test(error.message),
  );
  const intent: Intent = { kind: "pool", id: null, revision: null, values: { name: "new" } };
  match((await ask(fixture, change(intent), "failed")).message, /is gone/);
  {
    // As `restore` does it: a whole file takes the place.
    using store = Store.open(other.path);
    store.checkpoint();
  }
  Deno.copyFileSync(other.path, fixture.path);
  deepEqual(fixture.desk.look(), { isReplaced: true });
  equal((await ask(fixture, { kind: "pools", request: ALL }, "pools")).listing.total, 2);
});

Deno.test("a file that a newer program takes over while it is open is read no further, and nothing is written", async () => {
  await using fixture = new DeskFixture({ pools: { web: [] } });
  const newer = new DatabaseSync(fixture.path);
  newer.exec("PRAGMA user_version = 999");
  newer.close();
  const says = /was brought up to date by a newer program.*leave with q and start that one/;
  throws(
    () => fixture.desk.look(),
    (error: unknown) => error instanceof FileUnusable && !error.isFinal && says.test(error.message),
  );
  const intent: Intent = { kind: "pool", id: null, revision: null, values: { name: "new" } };
  match((await ask(fixture, change(intent), "failed")).message, says);
});

Deno.test("a database of a newer program, of another program and of none is refused in a sentence", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const opened = (path: string) => () => new StoreDesk({ path, author: "" }, systemClock);
    const says = (wanted: RegExp) => (error: unknown) =>
      error instanceof FileUnusable && error.isFinal && wanted.test(error.message);
    const made = (name: string, sql: string) => {
      Store.open(`${folder}/${name}`).close();
      const database = new DatabaseSync(`${folder}/${name}`);
      database.exec(sql);
      database.close();
      return `${folder}/${name}`;
    };
    throws(
      opened(made("newer.db", "PRAGMA user_version = 999")),
      says(/run the newer program.*The file was not changed/),
    );
    throws(opened(made("older.db", "PRAGMA user_version = 3")), says(/start the node of this version once/));
    throws(opened(made("foreign.db", "PRAGMA application_id = 7")), says(/database of another program/));
    Deno.writeTextFileSync(`${folder}/text`, "no database".repeat(100));
    throws(opened(`${folder}/text`), says(/--db FILE|damaged/));
    throws(opened(folder), says(/./));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
