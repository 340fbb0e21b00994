/**
 * A node's map file: what is taken, what is refused, and who hears of it.
 *
 * @module
 */
import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { MAP_FILE_WATCH_MS, MapFileSource } from "../../src/geo/watched_map_file.ts";
import { MapFile } from "../../src/geo/map_file_table.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { ManualClock } from "../clock.ts";
import { failingThreads, FAILURES } from "../failing_threads.ts";

Deno.test("a map file is taken, and told of", async () => {
  await using world = await openWorld("10.0.0.0/8 192.0.2.1\n2001:db8::/32 192.0.2.2\n");
  await world.source.reload();
  deepEqual(world.told, [world.source.current]);
  equal(new MapFile(world.source.current!).prefixes, 2);
  match(world.metrics(), /^pleiades_map_file_prefixes 2$/m);
  match(world.metrics(), /^pleiades_map_file_loads_total\{result="success"\} 1$/m);
});

Deno.test("a file with faults changes nothing but the log, which names each place, and a counter", async () => {
  await using world = await openWorld("10.0.0.0/8 192.0.2.1\n");
  await world.source.reload();
  const before = world.source.current;
  await world.write("10.0.0.0/8 192.0.2.1\n10.0.0.0/33 192.0.2.1\n11.0.0.0/8 x\n");
  await world.source.reload();
  equal(world.source.current, before);
  equal(world.told.length, 1);
  deepEqual(world.errors(), [
    `Map file not loaded: ${world.path}:2:9: "/33" is no length of an IPv4 prefix (write /0 to /32)`,
    `Map file not loaded: ${world.path}:3:12: "x" is no IP address (write such as 192.0.2.1 or 2001:db8::1)`,
    "The previous rules of the map file stay",
  ]);
  match(world.metrics(), /^pleiades_map_file_prefixes 1$/m);
  match(world.metrics(), /^pleiades_map_file_loads_total\{result="error"\} 1$/m);
});

Deno.test("a file that can't be read at the start leaves the node without rules, loudly", async () => {
  await using world = await openWorld(null);
  await world.source.reload();
  equal(world.source.current, null);
  deepEqual(world.errors(), [
    `Map file not loaded: ${world.path}: can't be read: there is no such file`,
    "No rules of a map file are in effect",
  ]);
});

Deno.test("a change is noticed by itself, when the file has been at rest for a look", async () => {
  await using world = await openWorld("10.0.0.0/8 192.0.2.1\n");
  await world.source.reload();
  await world.write("10.0.0.0/8 192.0.2.1\n11.0.0.0/8 192.0.2.1\n");
  await world.look();
  await world.write("10.0.0.0/8 192.0.2.1\n11.0.0.0/8 192.0.2.1\n12.0.0.0/8 192.0.2.1\n");
  await world.look();
  equal(world.told.length, 1, "half of a file was taken");
  await world.look();
  deepEqual(world.told.map((table) => new MapFile(table!).prefixes), [1, 3]);
  await world.look();
  await world.look();
  equal(world.told.length, 2);
});

Deno.test("a broken file is told once, not at every look, and is taken when it is mended", async () => {
  await using world = await openWorld("10.0.0.0/8 192.0.2.1\n");
  await world.source.reload();
  await world.write("10.0.0.0/8\n");
  for (let i = 0; i < 5; i++) await world.look();
  equal(world.errors().length, 2);
  await world.write("10.0.0.0/8 192.0.2.77\n");
  for (let i = 0; i < 2; i++) await world.look();
  equal(world.told.length, 2);
});

Deno.test("a file that is gone keeps its rules", async () => {
  await using world = await openWorld("10.0.0.0/8 192.0.2.1\n");
  await world.source.reload();
  await Deno.remove(world.path);
  for (let i = 0; i < 3; i++) await world.look();
  equal(new MapFile(world.source.current!).prefixes, 1);
  equal(world.errors()[0], `Map file not loaded: ${world.path}: can't be read: there is no such file`);
});

Deno.test("reload() leaves a file alone that is as it was, and tries a refused one again", async () => {
  await using world = await openWorld("10.0.0.0/8 192.0.2.1\n");
  await world.source.reload();
  await world.source.reload();
  equal(world.told.length, 1);
  await world.write("x\n");
  await world.source.reload();
  await world.source.reload();
  equal(world.errors().length, 4);
});

Deno.test("another file is prepared aside, and taken at once if it has no faults; so is none", async () => {
  await using world = await openWorld("10.0.0.0/8 192.0.2.1\n");
  await world.source.reload();
  const before = world.source.current;
  const told = world.told.length;
  await rejects(world.source.prepare(`${world.path}.nowhere`, NEVER), /nowhere: can't be read: /);
  await Deno.writeTextFile(`${world.path}.faulty`, "x\n");
  (await world.source.prepare(`${world.path}.faulty`, NEVER)).take();
  equal(world.source.current, before);
  match(world.errors().join(), /Map file not loaded: .*faulty:1:.*The previous rules of the map file stay/);

  await Deno.writeTextFile(`${world.path}.other`, "10.0.0.0/8 192.0.2.1\n");
  const other = await world.source.prepare(`${world.path}.other`, NEVER);
  equal(world.source.current, before);
  equal(world.told.length, told);
  other.take();
  notEqual(world.source.current, before);
  equal(world.source.current, other.table);
  for (let i = 0; i < 3; i++) await world.look();
  equal(world.source.current, other.table);

  const none = await world.source.prepare(null, NEVER);
  equal(world.source.current, other.table);
  none.take();
  equal(world.source.current, null);
  equal(world.told.at(-1), null);
  match(world.metrics(), /^pleiades_map_file_prefixes 0$/m);
});

Deno.test("the file before isn't taken any more when another has been", async () => {
  await using world = await openWorld("10.0.0.0/8 192.0.2.1\n");
  await world.source.reload();
  const path = `${world.path}.other`;
  await Deno.writeTextFile(path, "10.0.0.0/8 192.0.2.2\n");
  const other = await world.source.prepare(path, NEVER);
  await world.write("10.0.0.0/8 192.0.2.3\n");
  const reloaded = world.source.reload();
  // It begins in one of the next turns, and waits for the file from then on.
  for (let i = 0; i < 10; i++) await null;
  other.take();
  await reloaded;
  equal(world.source.current, other.table);
});

const NEVER = new AbortController().signal;

Deno.test("a large file is read on a thread, faults included", async () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24 192.0.2.${i % 250}\n`);
  await using world = await openWorld(lines.join(""));
  let turns = 0;
  let isDone = false;
  const reloaded = world.source.reload().finally(() => isDone = true);
  while (!isDone) {
    await setImmediate();
    turns++;
  }
  await reloaded;
  equal(new MapFile(world.source.current!).prefixes, 20_000);
  ok(turns > 20, `the main thread turned ${turns} times only`);
  await world.write(`${lines.join("")}10.0.0.0/24 192.0.2.1\n`);
  await world.source.reload();
  equal(
    world.errors()[0],
    `Map file not loaded: ${world.path}:20001:1: "10.0.0.0/24" is in line 1 already (keep one of the two)`,
  );
});

for (const [what, source] of Object.entries(FAILURES)) {
  Deno.test(`a thread that ${what} is told of and counted, and the file is tried again`, async () => {
    const lines = Array.from(
      { length: 20_000 },
      (_, i) => `10.${i >> 8}.${i & 255}.0/24 192.0.2.${i % 250}\n`,
    );
    await using world = await openWorld(lines.join(""));
    {
      using _ = failingThreads(source);
      await world.source.reload();
    }
    match(world.errors()[0]!, /^Map file not loaded: .*thrown on purpose/);
    match(world.metrics(), /^pleiades_map_file_loads_total\{result="error"\} 1$/m);
    await world.source.reload();
    equal(new MapFile(world.source.current!).prefixes, 20_000);
  });
}

Deno.test("disposing ends a thread that is still reading", async () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24 192.0.2.${i % 250}\n`);
  const world = await openWorld(lines.join(""));
  const reloaded = world.source.reload();
  await world[Symbol.asyncDispose]();
  await reloaded;
  deepEqual(world.told, []);
});

interface World extends AsyncDisposable {
  readonly source: MapFileSource;
  readonly path: string;
  /** What `onChange` heard. */
  readonly told: readonly (SharedArrayBuffer | null)[];
  /** Replaces the file as editors do, by renaming. */
  write(text: string): Promise<void>;
  /** Lets the source look at the file once. */
  look(): Promise<void>;
  /** The messages of level error. */
  errors(): string[];
  metrics(): string;
}

async function openWorld(text: string | null): Promise<World> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/clients.map`;
  const clock = new ManualClock();
  const lines: { level: string; message: string }[] = [];
  const log = createLogger({
    level: "info",
    format: "json",
    clock,
    write: (line) => lines.push(JSON.parse(line)),
  });
  const registry = new Registry({});
  const told: (SharedArrayBuffer | null)[] = [];
  const write = async (text: string) => {
    await Deno.writeTextFile(`${path}.new`, text);
    await Deno.rename(`${path}.new`, path);
  };
  if (text !== null) await write(text);
  const source = new MapFileSource({ path, clock, log, registry, onChange: (table) => told.push(table) });
  return {
    source,
    path,
    told,
    write,
    async look() {
      await clock.advance(MAP_FILE_WATCH_MS);
      while (clock.sleeperCount === 0) await setImmediate();
    },
    errors: () => lines.filter(({ level }) => level === "error").map(({ message }) => message),
    metrics: () => registry.expose(),
    async [Symbol.asyncDispose]() {
      await source[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
