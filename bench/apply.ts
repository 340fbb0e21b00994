/**
 * What a whole model costs: `deno task bench apply [SERVICES [PER_POOL]]`.
 *
 * A model of so many services (100,000 unless told otherwise), so many of them by a pool of two members (1), is applied as NDJSON
 * to a database on disk: for the first time, again without a difference, and with a hundredth of the members
 * different. For each run: the time, how much of a core was used (the second figure: other programs don't change it),
 * the longest that the main thread was kept from its other work meanwhile, and the
 * memory of the process at its peak and afterwards, when the apply's thread is gone.
 *
 * @module
 */
import assert from "node:assert/strict";
import process from "node:process";
import { Changes } from "../src/change/commit.ts";
import { systemClock } from "../src/clock.ts";
import { Store } from "../src/store/store.ts";

/** With 100,000 services it takes some ten seconds. */
export const quick = true;

/** The shape of a model. */
interface Shape {
  /** How many services. */
  readonly size: number;
  /** How many of them share a pool. */
  readonly perPool: number;
}

/** Runs it; the arguments are the number of services, and how many of them share a pool. */
export async function bench([services = "100000", perPool = "1"]: string[]): Promise<void> {
  const shape = { size: Number(services), perPool: Number(perPool) };
  const { size } = shape;
  const pools = Math.ceil(size / shape.perPool);
  const folder = await Deno.makeTempDir({ prefix: "pleiades-bench-" });
  try {
    using store = Store.open(`${folder}/pleiades.db`);
    const changes = new Changes({ store, clock: systemClock });
    console.log(
      `${size.toLocaleString("en")} services, ${
        pools.toLocaleString("en")
      } pools of two members; MB of ${rssMb()} before`,
    );
    console.log(`${"".padEnd(24)}   seconds     CPU s   longest stall    peak MB   MB after`);
    const run = (name: string, weight: (i: number) => number) => measure(name, { changes, shape, weight });
    assert.equal(await run("first apply", () => 1), true);
    assert.deepEqual(store.counts(), { pools, members: 2 * pools, services: size, zones: 0 });
    assert.equal(await run("the same again", () => 1), false);
    assert.equal(await run("a hundredth different", (i) => i % 100 === 0 ? 2 : 1), true);
    assert.equal(store.generation(), 2);
    const { size: bytes } = await Deno.stat(`${folder}/pleiades.db`);
    console.log(`the file has ${(bytes / 1e6).toFixed(0)} MB`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function measure(
  name: string,
  { changes, shape, weight }: {
    readonly changes: Changes;
    readonly shape: Shape;
    readonly weight: (i: number) => number;
  },
): Promise<boolean> {
  using watch = new StallWatch();
  const start = performance.now();
  const cpuBefore = process.cpuUsage();
  const applied = await changes.apply(ReadableStream.from(modelBlocks(shape, weight)), {
    file: "bench",
    format: "ndjson",
    origin: { via: "bench", by: "", reason: "" },
    dryRun: false,
    ifGeneration: null,
    signal: new AbortController().signal,
  });
  const seconds = (performance.now() - start) / 1_000;
  await changes.idle();
  const { user, system } = process.cpuUsage(cpuBefore);
  assert.equal(applied.kind, "applied");
  const figures = [
    seconds.toFixed(1).padStart(10),
    ((user + system) / 1e6).toFixed(1).padStart(10),
    `${watch.longestMs.toFixed(0)} ms`.padStart(16),
    String(watch.peakMb).padStart(11),
    String(rssMb()).padStart(11),
  ];
  console.log(`${name.padEnd(24)}${figures.join("")}`);
  return applied.kind === "applied" && applied.changed;
}

/** The lines in blocks, made as they are asked for. */
function* modelBlocks({ size, perPool }: Shape, weight: (i: number) => number): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  const name = (i: number) => i.toString(36).padStart(5, "0");
  let text = "";
  for (let i = 0; i < size; i++) {
    const rest = `${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
    if (i % perPool === 0) {
      text += `{"pool":{"name":"pool-${name(i)}","algorithm":"weighted-round-robin","members":[` +
        `{"ipAddress":"10.${rest}","port":443,"weight":${
          weight(i)
        }},{"ipAddress":"11.${rest}","port":443}]}}\n`;
    }
    text += `{"service":{"domain":"${name(i)}.bench.example.com","pool":"pool-${name(i - i % perPool)}"}}\n`;
    if (text.length < 64 << 10) continue;
    yield encoder.encode(text);
    text = "";
  }
  yield encoder.encode(text);
}

/** How late a timer of a millisecond is at worst, and the most memory that was seen meanwhile. */
class StallWatch implements Disposable {
  longestMs = 0;
  peakMb = 0;
  #last = performance.now();
  readonly #timer = setInterval(() => {
    const now = performance.now();
    this.longestMs = Math.max(this.longestMs, now - this.#last);
    this.peakMb = Math.max(this.peakMb, rssMb());
    this.#last = performance.now();
  }, 1);

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function rssMb(): number {
  return Math.round(Deno.memoryUsage().rss / 1e6);
}
