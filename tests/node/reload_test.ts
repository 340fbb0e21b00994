/**
 * Reloads: all or nothing, one after the other, and never in the way of a stop.
 *
 * @module
 */
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import type { NodeEvent } from "../../src/events/event.ts";
import type { GeoData } from "../../src/geo/geo_data.ts";
import { newId } from "../../src/model/id.ts";
import { poolFieldsSchema } from "../../src/model/model_schema.ts";
import { type Core, type Part, partOf, type Start } from "../../src/node/part.ts";
import { PARTS } from "../../src/node/parts.ts";
import { type ReloadOptions, Reloads } from "../../src/node/reload.ts";
import { BLOCKS } from "../../src/settings/blocks.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { RCODE } from "../../src/wire/record_type.ts";
import { ManualClock } from "../clock.ts";
import { ask, startTestNode, TEST_SETTINGS, type TestNode } from "../test_node.ts";

/** Reloads of stand-ins that note what is asked of them. */
class Bed {
  readonly noted: string[] = [];
  readonly lines: string[] = [];
  readonly events: NodeEvent[] = [];
  readonly stopping = new AbortController();
  readonly reloads: Reloads;
  publish: () => Promise<void> = async () => {};

  constructor(parts: ReloadOptions["parts"], options: Partial<ReloadOptions> = {}) {
    this.reloads = new Reloads({
      answers: {
        prepare: () => {
          this.noted.push("prepare answers");
          return Promise.resolve({
            publish: () => {
              this.noted.push("publish");
              return this.publish();
            },
            take: () => void this.noted.push("take answers"),
          });
        },
        countRefused: () => void this.noted.push("count"),
      },
      parts,
      blocks: BLOCKS,
      settings: () => TEST_SETTINGS,
      events: { emit: (event) => void this.events.push(event) },
      take: ({ workers }) => void this.noted.push(`take settings ${workers}`),
      stopping: this.stopping.signal,
      log: createLogger({
        ...{ level: "debug", format: "json", clock: new ManualClock() },
        write: (line) => void this.lines.push(line),
      }),
      ...options,
    });
  }

  /** A part that is always ready. */
  part(name: string): Pick<Part, "name" | "prepare"> {
    return {
      name,
      prepare: () => {
        this.noted.push(`prepare ${name}`);
        return () => void this.noted.push(`take ${name}`);
      },
    };
  }
}

const settingsOf = (workers: number): Settings => ({ ...TEST_SETTINGS, workers });

Deno.test("all make ready, then the answers are given, then all take over", async () => {
  const parts: Pick<Part, "name" | "prepare">[] = [];
  const bed = new Bed(parts);
  parts.push(bed.part("a"), { name: "has no settings" }, bed.part("b"));
  deepEqual(await bed.reloads.use(settingsOf(2)), ["workers"]);
  deepEqual(bed.noted, [
    "prepare answers",
    "prepare a",
    "prepare b",
    "publish",
    "take settings 2",
    "take answers",
    "take a",
    "take b",
  ]);
  deepEqual(bed.events, [{ kind: "settings", outcome: "reloaded", needingRestart: ["workers"] }]);
});

Deno.test("where one isn't ready nothing is published or taken over, and the refusal is counted once", async () => {
  const parts: Pick<Part, "name" | "prepare">[] = [];
  const bed = new Bed(parts);
  const fails = { name: "b", prepare: () => Promise.reject(new Error("b on purpose")) };
  parts.push(bed.part("a"), fails, bed.part("c"));
  await rejects(bed.reloads.use(settingsOf(2)), /b on purpose/);
  deepEqual(bed.noted, ["prepare answers", "prepare a", "prepare c", "count"]);
  parts.splice(1, 1, {
    name: "b",
    prepare: () => {
      throw new Error("b in its turn");
    },
  });
  await rejects(bed.reloads.use(settingsOf(2)), /b in its turn/);
  parts.splice(1, 1);
  await bed.reloads.use(settingsOf(3));
  equal(bed.noted.at(-1), "take c");
});

Deno.test("where the answers can't be given nothing is taken over; their publisher counts that", async () => {
  const parts: Pick<Part, "name" | "prepare">[] = [];
  const bed = new Bed(parts);
  parts.push(bed.part("a"));
  bed.publish = () => Promise.reject(new Error("no room"));
  await rejects(bed.reloads.use(settingsOf(2)), /no room/);
  deepEqual(bed.noted, ["prepare answers", "prepare a", "publish"]);
  deepEqual(bed.events, [{ kind: "settings", outcome: "refused", needingRestart: [] }]);
});

Deno.test("reloads run one after the other, whatever became of those before", async () => {
  const bed = new Bed([]);
  const held = Promise.withResolvers<void>();
  const publishing = [held.promise, Promise.resolve()];
  bed.publish = () => publishing.shift()!;
  const [first, second] = [2, 3].map((workers) => bed.reloads.use(settingsOf(workers)));
  held.reject(new Error("no room"));
  await rejects(first!, /no room/);
  await second;
  deepEqual(bed.noted, [
    ...["prepare answers", "publish"],
    ...["prepare answers", "publish", "take settings 3", "take answers"],
  ]);
});

Deno.test("a stop doesn't wait for a part that never makes ready, and later reloads are refused", async () => {
  const begun = Promise.withResolvers<void>();
  const bed = new Bed([{
    name: "slow",
    prepare: () => {
      begun.resolve();
      return new Promise(() => {});
    },
  }]);
  const used = bed.reloads.use(settingsOf(2));
  await begun.promise;
  bed.stopping.abort(new Error("The node is stopping"));
  await rejects(used, /^Error: The node is stopping$/);
  await rejects(bed.reloads.use(settingsOf(2)), /^Error: The node is stopping$/);
  await bed.reloads[Symbol.asyncDispose]();
  deepEqual(bed.noted.filter((note) => note.startsWith("take")), []);
});

Deno.test("a stop while answers are being given takes nothing over any more", async () => {
  const bed = new Bed([]);
  bed.publish = () => Promise.resolve(bed.stopping.abort(new Error("The node is stopping")));
  await rejects(bed.reloads.use(settingsOf(2)), /stopping/);
  deepEqual(bed.noted, ["prepare answers", "publish"]);
});

Deno.test("a part that never makes ready is given up by name, and the next reload has its turn", async () => {
  let isStuck = true;
  const bed = new Bed([{
    name: "slow",
    prepare: () => isStuck ? new Promise<never>(() => {}) : () => {},
  }], { prepareMs: 1 });
  await rejects(bed.reloads.use(settingsOf(2)), /^Error: Gave up waiting for slow to make ready$/);
  deepEqual(bed.noted, ["prepare answers", "count"]);
  isStuck = false;
  await bed.reloads.use(settingsOf(3));
  equal(bed.noted.at(-2), "take settings 3");
});

Deno.test("a part that fails to take over keeps none of the others from it", async () => {
  const parts: Pick<Part, "name" | "prepare">[] = [];
  const bed = new Bed(parts);
  const fails = () => {
    throw new Error("on purpose");
  };
  parts.push({ name: "broken", prepare: () => fails }, bed.part("b"));
  await bed.reloads.use(settingsOf(2));
  equal(bed.noted.at(-1), "take b");
  match(bed.lines.join(), /A part didn't take over the settings.*on purpose/);
});

const FRANKFURT = { latitude: 50, longitude: 8.5 };

/** Settings in which every section that a reload takes over is another. */
function otherSettings(mapFile: string): Settings {
  return {
    ...TEST_SETTINGS,
    dns: { ...TEST_SETTINGS.dns, domain: ["gslb.example"], ttl: 77 },
    geoip: { ...TEST_SETTINGS.geoip, endpointLocations: { "192.0.2.1": FRANKFURT } },
    mapFile: { path: mapFile },
    names: { ...TEST_SETTINGS.names, timeout: 1 },
    history: { keep: 1, maxBytes: 1 },
    health: { ...TEST_SETTINGS.health, flipGuard: { share: 0, atLeast: 1, hold: 0 } },
  };
}

/** A node whose parts can be made to fail, with all that its parts were told. */
async function startReloaded(at: number): Promise<{
  readonly node: TestNode;
  readonly core: Core;
  /** What took over other settings. */
  readonly taken: string[];
  /** Lets another part fail, or none any more. */
  failAt(at: number | null): void;
}> {
  const found = Promise.withResolvers<Core>();
  const taken: string[] = [];
  let failsAt: number | null = at;
  const first: Start = (core) => {
    found.resolve(core);
    for (
      const [name, made] of [["names", core.names], ["health", core.health], [
        "changes",
        core.changes,
      ]] as const
    ) {
      const use = made.use;
      Object.assign(made, {
        use: (...args: Parameters<typeof use>) => {
          taken.push(name);
          Reflect.apply(use, made, args);
        },
      });
    }
    return null;
  };
  const breakable = (at: number): Start => () =>
    partOf(`breakable ${at}`, {
      prepare: () => {
        if (at === failsAt) throw new Error("not ready, on purpose");
        return () => {};
      },
    });
  const node = await startTestNode({}, {
    parts: [first, ...PARTS.flatMap((part, i) => [breakable(i), part]), breakable(PARTS.length)],
  });
  return { node, core: await found.promise, taken, failAt: (at) => failsAt = at };
}

async function metric({ api }: TestNode, name: RegExp): Promise<number> {
  const text = await (await fetch(api.replace("/api/v1", "/metrics"))).text();
  return Number(new RegExp(`^${name.source} (\\d+)$`, "m").exec(text)?.[1]);
}

const REFUSED = /pleiades_config_reloads_total\{[^}]*result="error"[^}]*\}/;
const PREFIXES = /pleiades_map_file_prefixes\{[^}]*\}/;
const WHERE = { ipAddress: "192.0.2.1", latitude: null, longitude: null };

Deno.test("wherever a part isn't ready nothing of a reload is in effect, until all are", async (test) => {
  const mapFile = await Deno.makeTempFile();
  await Deno.writeTextFile(mapFile, "203.0.113.0/24 192.0.2.1\n");
  const { node, core, taken, failAt } = await startReloaded(0);
  try {
    const before = core.settings();
    const { geoData } = core.geo;
    const { snapshot } = core.answers.publisher.current;
    for (let failsAt = 0; failsAt <= PARTS.length; failsAt++) {
      await test.step(`before part ${failsAt} of ${PARTS.length}`, async () => {
        failAt(failsAt);
        await rejects(node.node.use(otherSettings(mapFile)), /not ready, on purpose/);
        equal(core.settings(), before);
        equal(core.geo.geoData, geoData);
        equal(core.geo.locationOf(WHERE), null);
        equal(core.answers.publisher.current.snapshot, snapshot);
        deepEqual(taken, []);
        equal((await ask(node, "x.gslb.example")).rcode, RCODE.REFUSED);
        deepEqual([await metric(node, REFUSED), await metric(node, PREFIXES)], [failsAt + 1, 0]);
      });
    }
    failAt(null);
    deepEqual(await node.node.use(otherSettings(mapFile)), []);
    deepEqual(taken, ["names", "health", "changes"]);
    equal((await ask(node, "x.gslb.example")).rcode, RCODE.NXDOMAIN);
    deepEqual(core.geo.locationOf(WHERE), FRANKFURT);
    deepEqual([await metric(node, REFUSED), await metric(node, PREFIXES)], [PARTS.length + 1, 1]);
  } finally {
    await node[Symbol.asyncDispose]();
    await Deno.remove(mapFile);
  }
});

Deno.test("a file that can't be read refuses the reload as a whole", async () => {
  const { node, core, taken, failAt } = await startReloaded(0);
  await using _ = node;
  failAt(null);
  const before = core.settings();
  await rejects(
    node.node.use(otherSettings("/nowhere/clients.map")),
    /clients\.map: .*there is no such file/,
  );
  equal(core.settings(), before);
  deepEqual(taken, []);
  equal(core.geo.locationOf(WHERE), null);
  equal((await ask(node, "x.gslb.example")).rcode, RCODE.REFUSED);
  equal(await metric(node, REFUSED), 1);
});

Deno.test("answers that can't be given refuse the reload as a whole, and count it once", async () => {
  const mapFile = await Deno.makeTempFile();
  await Deno.writeTextFile(mapFile, "203.0.113.0/24 192.0.2.1\n");
  try {
    const { node, core, taken, failAt } = await startReloaded(0);
    await using _ = node;
    failAt(null);
    const before = { settings: core.settings(), geoData: core.geo.geoData };
    const source = core.store.source.bind(core.store);
    core.store.source = () => {
      throw new Error("thrown on purpose");
    };
    await rejects(node.node.use(otherSettings(mapFile)), /on purpose/);
    core.store.source = source;
    deepEqual({ settings: core.settings(), geoData: core.geo.geoData }, before);
    deepEqual(taken, []);
    equal(await metric(node, REFUSED), 1);
    // What is published next goes by the settings and the geo data of before.
    await core.answers.publisher.refresh();
    equal((await ask(node, "x.gslb.example")).rcode, RCODE.REFUSED);
    equal(core.answers.publisher.current.snapshot.geoData.map, null);
  } finally {
    await Deno.remove(mapFile);
  }
});

Deno.test("what is changed while a reload is published goes by the geo data of before", async () => {
  const mapFile = await Deno.makeTempFile();
  await Deno.writeTextFile(mapFile, "203.0.113.0/24 192.0.2.1\n");
  try {
    const { node, core, failAt } = await startReloaded(0);
    await using _ = node;
    failAt(null);
    const { publisher } = core.answers;
    let meanwhile: GeoData | null = null;
    publisher.refresh = async () => {
      const fields = poolFieldsSchema.parse({ name: "web" });
      const { generation } = core.changes.commit([{ kind: "createPool", id: newId(), fields }], {
        ...{ via: "test", by: "", reason: "" },
      });
      await publisher.settled(generation);
      meanwhile = publisher.current.snapshot.geoData;
      throw new Error("thrown on purpose");
    };
    await rejects(node.node.use(otherSettings(mapFile)), /on purpose/);
    equal(meanwhile, core.geo.geoData);
    equal(core.geo.geoData.map, null);
  } finally {
    await Deno.remove(mapFile);
  }
});

Deno.test("a reload that is under way when the node stops is refused, and the stop goes on", async () => {
  const begun = Promise.withResolvers<void>();
  const stuck: Start = () =>
    partOf("stuck", {
      prepare: () => {
        begun.resolve();
        return new Promise(() => {});
      },
    });
  const node = await startTestNode({}, { parts: [...PARTS, stuck] });
  const refused = rejects(node.node.use(TEST_SETTINGS), /The node is stopping/);
  await begun.promise;
  await node[Symbol.asyncDispose]();
  await refused;
  await rejects(node.node.use(TEST_SETTINGS), /The node is stopping/);
});
