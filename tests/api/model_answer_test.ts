/** @module Tests of the whole model as an answer: sent in turns, from one commit, and let go of in the end. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { Hono } from "hono";
import { notModified } from "../../src/api/conditional.ts";
import { encodeAnswer, type Framing } from "../../src/api/http_answer.ts";
import { modelAnswer, modelOf, TAKEN_MAX_MS } from "../../src/api/model_answer.ts";
import { ApiProblem } from "../../src/api/problem.ts";
import { Changes } from "../../src/change/commit.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import { exportModel } from "../../src/model/model_export.ts";
import { Store } from "../../src/store/store.ts";
import { openFiles } from "../change/open_files.ts";
import { createPool, createService, ORIGIN } from "../change/samples.ts";
import { ManualClock } from "../clock.ts";

/** More than are read in one go. */
const SERVICES = 1_001;
const FRAMING: Framing = { isHead: false, minorVersion: 1, isLast: false, acceptsGzip: false };

/** A store on disk with many services, and an app that gives its model. */
class Bench implements Disposable {
  readonly folder = Deno.makeTempDirSync();
  readonly store = Store.open(`${this.folder}/pleiades.db`);
  readonly changes = new Changes({ store: this.store, clock: systemClock });
  /** How many models are being read. */
  reading = 0;
  /** How many turns others had. */
  turns = 0;
  /** Moves no slice. */
  readonly time = new ManualClock();
  readonly #clock: Pick<Clock, "monotonicMs" | "sleep"> = {
    monotonicMs: systemClock.monotonicMs,
    sleep: async (ms, signal) => {
      if (ms > 0) return await this.time.sleep(ms, signal);
      this.turns++;
      await setImmediate();
    },
  };
  readonly #app = new Hono();

  constructor() {
    const services = Array.from(
      { length: SERVICES },
      (_, i) => createService(i, { domain: `s${i}.example.com` }),
    );
    this.changes.commit(services, ORIGIN);
    this.#app.get("/model", notModified, (c) =>
      modelAnswer(c, this.#clock, () => {
        const read = modelOf(this.store);
        c.header("ETag", `"${read.generation}"`);
        this.reading++;
        return {
          model: read.model,
          [Symbol.dispose]: () => {
            this.reading--;
            read[Symbol.dispose]();
          },
        };
      }));
    this.#app.onError((error) =>
      new Response(null, { status: error instanceof ApiProblem ? error.status : 500 })
    );
  }

  async get(headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return await this.#app.request("/model", { headers });
  }

  [Symbol.dispose](): void {
    this.store.close();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

for (const accept of ["application/json", "application/yaml", "application/x-ndjson"]) {
  Deno.test(`a large model as ${accept} is sent while others have their turns, as one commit left it`, async () => {
    using bench = new Bench();
    const response = await bench.get({ accept });
    bench.changes.commit([createPool(1)], ORIGIN);
    const text = await response.text();
    // YAML takes its time: others wait for no more than a slice of it.
    ok(bench.turns > (accept === "application/yaml" ? 10 : 0), `others had ${bench.turns} turns`);
    equal(text.split("example.com").length - 1, SERVICES);
    ok(!text.includes("pool"), "what was committed meanwhile isn't in it");
    equal(response.headers.get("etag"), `"1"`);
    if (accept === "application/yaml") {
      equal(text, exportModel({ ...bench.store.model(), pools: [] }));
    }
    equal(bench.reading, 0);
  });
}

Deno.test("whatever becomes of an answer, the model is let go of", async () => {
  using bench = new Bench();
  // SQLite keeps a descriptor for the next connection.
  await (await bench.get()).text();
  const before = Deno.build.os === "linux" ? openFiles(bench.folder).length : 0;
  const isAllClosed = () => Deno.build.os !== "linux" || openFiles(bench.folder).length === before;
  const unchanged = await bench.get({ "if-none-match": `"1"` });
  equal(unchanged.status, 304);
  deepEqual([bench.reading, isAllClosed()], [0, true], "it is as the client has it");
  for (const acceptsGzip of [false, true]) {
    for (const pieces of [1, 2]) {
      const answer = encodeAnswer(await bench.get(), { ...FRAMING, acceptsGzip });
      for (let piece = 0; piece < pieces; piece++) await answer.next();
      await answer.return(undefined);
      deepEqual(
        [bench.reading, isAllClosed()],
        [0, true],
        `the client left after ${pieces}, packed: ${acceptsGzip}`,
      );
    }
    for await (const _ of encodeAnswer(await bench.get(), { ...FRAMING, acceptsGzip, isHead: true }));
    deepEqual([bench.reading, isAllClosed()], [0, true], "only the head was wanted");
    for await (const _ of encodeAnswer(await bench.get(), { ...FRAMING, acceptsGzip }));
    deepEqual([bench.reading, isAllClosed()], [0, true], "all was sent");
  }
});

Deno.test("of clients that read nothing of a model, so many hold one", async () => {
  using bench = new Bench();
  const held: Response[] = [];
  let refused: Response;
  while ((refused = await bench.get()).status === 200) held.push(refused);
  deepEqual([refused.status, held.length], [503, 8]);
  await held.pop()!.body!.cancel();
  const next = await bench.get();
  equal(next.status, 200);
  for (const { body } of [...held, next]) await body!.cancel();
  equal(bench.reading, 0);
});

Deno.test("a client that takes a model a little at a time has it for ten minutes", async () => {
  using bench = new Bench();
  const slow = await bench.get();
  const reader = slow.body!.getReader();
  ok((await reader.read()).value!.length > 0);
  await bench.time.advance(TAKEN_MAX_MS - 1);
  equal(bench.reading, 1);
  await bench.time.advance(1);
  equal(bench.reading, 0);
  await rejects(reader.read(), /taken too slowly: 10 minutes/);
  await (await bench.get()).text();
  equal(bench.time.sleeperCount, 0, "nothing waits for a model that was taken");
});
