/**
 * A directory of providers, as it changes.
 *
 * @module
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { type Clock, systemClock } from "../../src/clock.ts";
import type { Instance } from "../../src/discovery/catalog.ts";
import type { DirectoryNames } from "../../src/discovery/directory_names.ts";
import { DirectoryWatch } from "../../src/discovery/directory_watch.ts";
import { ProviderFiles } from "../../src/discovery/provider_files.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { ManualClock } from "../clock.ts";
import { until } from "../consul/server.ts";
import { leftBehind } from "./left_behind_process.ts";
import { instance, World } from "./world.ts";

/** What foreign functions are called for. */
const LINUX = { ignore: Deno.build.os !== "linux" };

const HTTP = { service: "http", job: "web", env: "prod", product: "shop", zone: "gg" };

const QUIET = { level: "error", format: "json", clock: systemClock, write: () => {} } as const;

function ids({ discovery }: World): string[] {
  return discovery.lookUp(HTTP).instances.map(({ id }) => id);
}

Deno.test("a file that is wrong keeps what it said last, and the log says where", async () => {
  await using world = World.start({ "chef.json": { instances: [instance("a")] } });
  deepEqual(ids(world), ["a"]);
  Deno.writeTextFileSync(`${world.directory}/chef.json`, '{"instances": [\n{"id": "b",}]}');
  while (!world.lines.some((line) => line.includes("chef.json:2:12"))) await world.ask("gg", "NS");
  deepEqual(ids(world), ["a"]);
  match(world.discovery.problems.join(), /chef\.json:2:12: a key in "quotes" must be here/);
  world.provide("chef", [instance("b")]);
  while (ids(world)[0] !== "b") await world.ask("gg", "NS");
  deepEqual(world.discovery.problems, []);
});

Deno.test("an id is its provider's: another one's instance is left out, and named", async () => {
  await using world = World.start({
    "a.json": { instances: [instance("one"), instance("two")] },
    "b.json": { instances: [instance("two", { port: 9 }), instance("three")] },
  });
  deepEqual(ids(world), ["one", "three", "two"].toSorted());
  ok(
    world.lines.some((line) => /another provider's.*"id":"two".*"owner":"a"/.test(line)),
    world.lines.join("\n"),
  );
  const registered = await world.discovery.register("b", bytesOf([instance("two"), instance("three")]));
  deepEqual(registered, { kind: "owned", id: "two", owner: "a" });
  deepEqual(await world.discovery.register("a", bytesOf([instance("one")])), { kind: "done", instances: 1 });
  deepEqual(await world.discovery.register("b", bytesOf([instance("two")])), { kind: "done", instances: 1 });
  deepEqual(ids(world), ["one", "two"]);
  ok(await world.discovery.withdraw("b"));
  ok(!await world.discovery.withdraw("b"));
  deepEqual(ids(world), ["one"]);
});

Deno.test("what isn't a provider's file isn't read, and what can't be is named", async () => {
  await using world = World.start({
    ".hidden.json": "{",
    "notes.txt": "{",
    "chef.json": { instances: [instance("a")] },
  });
  deepEqual(world.discovery.problems, []);
  Deno.symlinkSync("/etc/hostname", `${world.directory}/link.json`);
  Deno.mkdirSync(`${world.directory}/folder.json`);
  Deno.writeTextFileSync(`${world.directory}/large.json`, " ".repeat(9 << 20));
  new Deno.Command("mkfifo", { args: [`${world.directory}/pipe.json`] }).outputSync();
  await world.discovery.withdraw("none");
  while (world.discovery.problems.length < 4) await world.ask("gg", "NS");
  const said = world.discovery.problems.join("\n");
  match(said, /link\.json: it is a link that leads out of the directory/);
  match(said, /folder\.json: it is a directory/);
  match(said, /large\.json: it has more than 8 MiB/);
  match(said, /pipe\.json: it is no regular file/);
  deepEqual(ids(world), ["a"]);
});

Deno.test("a registration is looked up as it is answered, with a tag that is equal where the instances are", async () => {
  await using one = World.start({ "chef.json": { instances: [instance("a"), instance("b")] } });
  await using other = World.start({
    "x.json": { instances: [instance("b")] },
    "a.json": { instances: [instance("a")] },
  });
  const [first, second] = [one.discovery.lookUp(HTTP), other.discovery.lookUp(HTTP)];
  equal(first.tag, second.tag);
  deepEqual([first.rcode, first.isStale, first.address], ["NOERROR", false, "http.web.prod.shop.gg"]);
  const changed = one.discovery.changed(HTTP, new AbortController().signal);
  await one.discovery.register("chef", bytesOf([instance("a")]));
  await changed;
  ok(one.discovery.lookUp(HTTP).tag !== first.tag);
  equal(one.discovery.lookUp({ ...HTTP, env: "test" }).rcode, "NOERROR");
  equal(one.discovery.lookUp({ ...HTTP, product: "none" }).rcode, "NXDOMAIN");
});

Deno.test("what comes and goes while the directory is listed is there, or not, as was said last", async () => {
  await using world = World.start({ "other.json": { instances: [instance("b")] } });
  const { directory, discovery, lines } = world;
  // A list of so many takes a while.
  for (let i = 0; i < 5_000; i++) Deno.writeTextFileSync(`${directory}/${i}.txt`, "");
  // Each of them makes the directory another one, so that it is listed meanwhile.
  for (let port = 1; port <= 20; port++) {
    await discovery.register(`chef${port}`, bytesOf([instance("a", { port })]));
    for (let asked = 0; asked < 10; asked++) {
      await world.ask("gg", "NS");
      deepEqual(ids(world), ["a", "b"]);
    }
    ok(await discovery.withdraw(`chef${port}`));
    await world.ask("gg", "NS");
    deepEqual(ids(world), ["b"]);
  }
  deepEqual([lines, discovery.problems], [[], []]);
});

function bytesOf(instances: readonly unknown[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ instances }));
}

Deno.test("what is large is read a slice at a time, and counts as it is in the end", async () => {
  await using world = World.start();
  const { discovery } = world;
  const many = (count: number, port: number) =>
    Array.from(
      { length: count },
      (_, i) => instance(`i${i}`, { port, node: "a-name-of-some-length.example.net" }),
    );
  const found = () => discovery.catalog.instancesOf("gg").map(({ port }) => port);
  world.provide("big", many(2_000, 80));
  await until(found, (ports) => ports.length === 2_000);
  world.provide("big", many(2_000, 81));
  world.provide("big", many(1_999, 82));
  await until(found, (ports) => ports.length === 1_999 && ports.every((port) => port === 82));
  Deno.writeTextFileSync(`${world.directory}/big.json`, `${" ".repeat(200_000)}{"instances": [{}]}`);
  await until(
    () => world.lines.join("\n"),
    (lines) => lines.includes("big.json:1:200016: address is required"),
  );
  equal(found().length, 1_999);
  Deno.removeSync(`${world.directory}/big.json`);
  await until(found, (ports) => ports.length === 0);

  const [first, second] = await Promise.all([
    discovery.register("p", bytesOf(many(2_000, 80))),
    discovery.register("p", bytesOf(many(1, 83))),
  ]);
  deepEqual([first, second], [{ kind: "done", instances: 2_000 }, { kind: "done", instances: 1 }]);
  deepEqual(found(), [83], "the registration that came last");
});

Deno.test("a file that is written in place with the same size in the same second counts", async () => {
  await using world = World.start({ "chef.json": { instances: [instance("a")] } });
  const path = `${world.directory}/chef.json`;
  const text = Deno.readTextFileSync(path);
  for (const id of ["b", "c", "d"]) {
    Deno.writeTextFileSync(path, text.replace('"a"', `"${id}"`));
    await until(() => ids(world).join(), (those) => those === id);
  }
});

Deno.test("an id that one file gives up is another one's, in one look as in two", async () => {
  await using world = World.start({
    "a.json": { instances: [instance("one"), instance("two")] },
    "b.json": { instances: [instance("three")] },
  });
  const owners = () =>
    world.discovery.catalog.instancesOf("gg").map(({ id, provider }) => `${id} ${provider}`).sort().join();
  equal(owners(), "one a,three b,two a");
  // Both are found by the same look, or not: it ends the same.
  world.provide("b", [instance("two"), instance("three")]);
  world.provide("a", [instance("one")]);
  await until(owners, (those) => those === "one a,three b,two b");
  world.provide("a", [instance("one"), instance("three")]);
  await until(() => world.lines.join("\n"), (lines) => /"id":"three".*"owner":"b"/.test(lines));
  equal(owners(), "one a,three b,two b");
  Deno.removeSync(`${world.directory}/b.json`);
  await until(owners, (those) => those === "one a,three a");
  world.provide("a", [instance("four")]);
  await until(owners, (those) => those === "four a");
});

Deno.test("of a file with many instances what changes counts, and what is wrong with it is said where it is", async () => {
  await using world = World.start();
  const { discovery } = world;
  let instances = Array.from({ length: 300 }, (_, i) => instance(`i${i}`, { port: 1_000 + i }));
  const shown = (list: readonly { readonly id: string; readonly port: number }[]) =>
    list.map(({ id, port }) => `${id} ${port}`).sort().join();
  const found = () => shown(discovery.catalog.instancesOf("gg"));
  const counts = (next: typeof instances) => {
    instances = next;
    world.provide("chef", next);
    return until(found, (those) => those === shown(next as never));
  };
  await counts(instances);
  await counts(instances.with(150, instance("i150", { port: 1 })));
  await counts(instances.toSpliced(100, 3));
  await counts(instances.toSpliced(200, 0, instance("new", { port: 2 }), instance("newer", { port: 3 })));
  await counts(instances.with(0, instance("first", { port: 4 })).with(298, instance("last", { port: 5 })));
  const before = found();
  for (
    const [wrong, said] of [
      [instance("i7", { port: 6 }), /chef\.json:1:\d+: the id "i7" is there twice/],
      [instance("i50", { port: 0 }), /chef\.json:1:\d+: port must be a number/],
      [{ ...instance("i50"), adress: 1 }, /chef\.json:1:\d+: "adress" isn't known here/],
    ] as const
  ) {
    world.provide("chef", instances.with(50, wrong));
    await until(() => discovery.problems.join(), (problems) => said.test(problems));
    equal(found(), before);
  }
  await counts(instances.with(50, instance("i50", { port: 7 })));
  deepEqual(discovery.problems, []);
  await counts([]);
  await counts([instance("one")]);
});

Deno.test("where others take the place of all there were, there is no moment without any", async () => {
  const many = (name: string) => Array.from({ length: 1_000 }, (_, i) => instance(`${name}${i}`));
  await using world = World.start({ "chef.json": { instances: many("a") } });
  const { discovery } = world;
  const seen: number[] = [];
  using _ = discovery.changes.add(() => void seen.push(discovery.lookUp(HTTP).instances.length));
  await discovery.register("chef", bytesOf(many("b")));
  ok(discovery.lookUp(HTTP).instances.every(({ id }) => id.startsWith("b")));
  deepEqual([seen.length > 4, Math.min(...seen), seen.at(-1)], [true, 1_000, 1_000], "a part in each turn");
});

Deno.test("a file that goes before it is read is none that can't be used", async () => {
  await using world = World.start();
  const { directory, discovery, lines } = world;
  const large = JSON.stringify({ instances: Array.from({ length: 500 }, (_, i) => instance(`i${i}`)) });
  for (let round = 0; round < 20; round++) {
    await discovery.register("chef", bytesOf([instance("a")]));
    // The look at what is withdrawn finds it, and reads it later.
    Deno.writeTextFileSync(`${directory}/big.json`, large);
    await discovery.withdraw("chef");
    Deno.removeSync(`${directory}/big.json`);
    await until(() => discovery.addresses().length, (count) => count === 0);
  }
  deepEqual([lines, discovery.problems], [[], []]);
});

Deno.test("while the system gives no list of the directory, what known files say goes on to count", async () => {
  await using world = World.start({ "chef.json": { instances: [instance("a", { port: 1 })] } });
  const lists = { asked: 0, given: Promise.withResolvers<void>() };
  await using followed = follow(world.directory, {
    list: async () => {
      lists.asked++;
      await lists.given.promise;
      return namesIn(world.directory);
    },
  });
  const all = () => Object.fromEntries([...followed.ports].sort());
  deepEqual(all(), { a: 1 });
  world.provide("chef", [instance("a", { port: 2 })]);
  await until(() => all().a, (port) => port === 2);
  equal(lists.asked, 1, "and it waits for that one");
  world.provide("new", [instance("b", { port: 3 })]);
  Deno.removeSync(`${world.directory}/chef.json`);
  lists.given.resolve();
  await until(all, ({ a, b }) => a === undefined && b === 3);
});

Deno.test("a file that takes the place of one that was just registered is read", async () => {
  await using world = World.start();
  const clock = new ManualClock();
  await using followed = follow(world.directory, { clock });
  const registered = [{ ...ANY, id: "a", port: 2 }];
  world.provide("chef", [instance("a", { port: 3 })]);
  const { ino, mtime } = Deno.statSync(`${world.directory}/chef.json`);
  // What has just changed is read in any case.
  await until(() => Date.now() - mtime!.getTime(), (ms) => ms > 50);
  for (const isReplaced of [false, true]) {
    followed.files.take("chef", registered, isReplaced ? ino! + 1 : ino);
    await clock.advance(1_000);
    equal(followed.ports.get("a"), isReplaced ? 3 : 2);
  }
});

Deno.test("a directory that doesn't change is looked at every 50 ms, and every 20 ms from a change on", async () => {
  await using world = World.start({ "chef.json": { instances: [instance("a", { port: 1 })] } });
  const clock = new ManualClock();
  await using followed = follow(world.directory, { clock });
  const portOfA = () => followed.ports.get("a");
  await untilWake(clock, (ms) => ms === 50);
  world.provide("chef", [instance("a", { port: 2 })]);
  await clock.advance(49);
  equal(portOfA(), 1);
  await clock.advance(1);
  equal(portOfA(), 2);
  equal(clock.nextWakeMs, 20);
  world.provide("chef", [instance("a", { port: 3 })]);
  await clock.advance(20);
  equal(portOfA(), 3);
  // What has just changed is taken for changing, by the machine's clock.
  const { mtime } = Deno.statSync(world.directory);
  await until(() => Date.now() - mtime!.getTime(), (ms) => ms > 50);
  await clock.advance(500);
  world.provide("chef", [instance("a", { port: 4 })]);
  await clock.advance(20);
  equal(portOfA(), 4, "and not only until it has been listed");
});

Deno.test("a file that is written in place is found within a second of the clock, however often the directory is looked at", async () => {
  for (const watch of [null, new Promise<void>(() => {})]) {
    await using world = World.start({ "chef.json": { instances: [instance("a", { port: 1 })] } });
    const clock = new ManualClock();
    await using followed = follow(world.directory, { clock, watch: { next: () => watch } });
    await untilWake(clock, (ms) => ms > 20);
    for (const port of [22, 333, 4444]) {
      Deno.writeTextFileSync(
        `${world.directory}/chef.json`,
        JSON.stringify({ instances: [instance("a", { port })] }),
      );
      await clock.advance(1_000 + 50);
      equal(followed.ports.get("a"), port);
    }
  }
});

Deno.test(
  "a directory that doesn't change isn't looked at where the system tells, and a change counts at once",
  LINUX,
  async () => {
    await using world = World.start({ "chef.json": { instances: [instance("a", { port: 1 })] } });
    const clock = new ManualClock();
    await using watch = new DirectoryWatch(world.directory);
    await using followed = follow(world.directory, { clock, watch: { next: () => watch.next() } });
    for (const port of [2, 3]) {
      await untilWake(clock, (ms) => ms > 50);
      const atMs = clock.monotonicMs();
      world.provide("chef", [instance("a", { port })]);
      await until(() => followed.ports.get("a"), (each) => each === port);
      equal(clock.monotonicMs(), atMs, "no look was due");
      equal(clock.nextWakeMs, 20);
    }
  },
);

interface FollowTerms {
  readonly clock: Clock;
  readonly list: DirectoryNames["list"];
  readonly watch: Pick<DirectoryWatch, "next">;
}

const ANY: Instance = {
  ...{ id: "a", provider: "chef", address: HTTP, node: "h", ips: ["192.0.2.1"] },
  ...{ port: 1, priority: 0, weight: 0 },
};

/** Providers of a directory by themselves; unless it is said otherwise, the system tells nothing of it. */
function follow(
  directory: string,
  {
    clock = systemClock,
    list = () => Promise.resolve(namesIn(directory)),
    watch = { next: () => null },
  }: Partial<FollowTerms> = {},
): { readonly files: ProviderFiles; readonly ports: ReadonlyMap<string, number> } & AsyncDisposable {
  const ports = new Map<string, number>();
  const files = new ProviderFiles({
    directory,
    terms: { zone: "gg", node: "h", ips: ["192.0.2.1"], ignoreScripts: false },
    write: (changes) => {
      for (const change of changes) {
        if (change.kind === "put") { for (const { id, port } of change.instances) ports.set(id, port); }
        if (change.kind === "remove") { for (const id of change.ids) ports.delete(id); }
      }
    },
    ...{ clock, log: createLogger(QUIET), observe: () => {} },
    names: { list, [Symbol.dispose]: () => {} },
    watch: { next: () => watch.next(), [Symbol.asyncDispose]: () => Promise.resolve() },
  });
  return { files, ports, [Symbol.asyncDispose]: () => files[Symbol.asyncDispose]() };
}

function namesIn(directory: string): string[] {
  return Array.from(Deno.readDirSync(directory), ({ name }) => name);
}

/** Lets so much time go by that the directory is at rest, and goes on until the next look is as far away as is wanted. */
async function untilWake(clock: ManualClock, isWanted: (ms: number) => boolean): Promise<void> {
  const nextMs = () => clock.nextWakeMs ?? 0;
  // More than once: what changed at this very moment may change once more, by the machine's clock.
  await until(async () => {
    if (!isWanted(nextMs())) await clock.advance(REST_MS);
    if (!isWanted(nextMs())) await clock.advance(nextMs());
    return nextMs();
  }, isWanted);
}

/** More than it takes without a change. */
const REST_MS = 1_200;

Deno.test("directories that are listed again and again leave next to nothing behind", async () => {
  const bytes = await leftBehind("lists");
  ok(bytes < 40_000, `${bytes} bytes of ten lists of a hundred names`);
});
