/**
 * Reading Consul node by node, with a Consul that says what it is told to: what its two answers of a node say are of one moment.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { Channel, ConsulAnswer, ConsulQuestion } from "../../src/consul/client.ts";
import type { Change, Instance } from "../../src/discovery/catalog.ts";
import { type Followed, NodesReading } from "../../src/discovery/consul_nodes.ts";
import { ListRoom } from "../../src/discovery/json_list.ts";

const TAGS = ["glimpse:env=prod", "glimpse:job=web", "glimpse:service=http"];

/** A Consul with one node, `a`, and what is read of it. */
class Scene {
  readonly followed = new Map<string, Followed>();
  readonly written: string[] = [];
  readonly gaveUp: string[] = [];
  readonly asked: string[] = [];
  readonly left = new Map<string, Instance | null>();
  readonly reading: NodesReading;
  services: readonly string[] = [];
  failing: readonly string[] = [];
  index = 1;
  isFiltered = false;
  nodesMax = 10;
  /** What happens just before a plain question is answered. */
  before: (path: string) => void = () => {};

  constructor(nodes: readonly string[] = ["a"]) {
    this.reading = new NodesReading({
      ...{ zone: "gg", room: new ListRoom(1 << 20), left: this.left },
      follow: (followed) => void this.followed.set(followed.source, followed),
      plain: (path, query) => ({
        ...{ path, query, index: 0, waitSeconds: 0, answerMs: 1, mayBeFiltered: true },
      }),
      write: (changes) => this.written.push(...changes.map(shown)),
      complain: () => {},
      ended: (source) => void this.followed.delete(source),
      nodesMax: () => this.nodesMax,
      giveUp: (reason) => void this.gaveUp.push(reason),
    }, nodes);
  }

  channel: Pick<Channel, "ask"> = {
    ask: ({ path }: ConsulQuestion) => {
      this.asked.push(path);
      this.before(path);
      return Promise.resolve(path.startsWith("/v1/health/node/") ? this.checks() : this.node());
    },
  };

  node(name = "a"): ConsulAnswer {
    const Services = this.services.map((ID, i) => ({ ID, Service: "shop", Port: 80 + i, Tags: TAGS }));
    return this.#answer({ Node: { Node: name, Address: "192.0.2.7" }, Services });
  }

  checks(): ConsulAnswer {
    return this.#answer(this.failing.map((ServiceID) => ({ Node: "a", ServiceID, Status: "critical" })));
  }

  /** An answer to one of its questions. */
  take(source: string, answer: ConsulAnswer, isAwaited = true): Promise<boolean> {
    // Questions aren't asked but by this.
    const channel = this.channel as Channel;
    return Promise.resolve(this.followed.get(source)!.take(answer, { isAwaited, channel }));
  }

  /** What was written since. */
  news(): string[] {
    return this.written.splice(0);
  }

  #answer(document: unknown): ConsulAnswer {
    const body = new TextEncoder().encode(JSON.stringify(document));
    return { ...{ document, body, index: this.index, isLed: true, ageMs: 0 }, isFiltered: this.isFiltered };
  }
}

function shown(change: Change): string {
  if (change.kind === "put") return `put ${change.instances.map(({ id }) => id).join(" ")}`;
  return change.kind === "remove" ? `remove ${change.ids.join(" ")}` : change.kind;
}

Deno.test("a node has what it has, without what fails of it", async () => {
  const scene = new Scene();
  scene.services = ["1", "2"];
  scene.failing = ["2"];
  ok(await scene.take("node a", scene.node()));
  deepEqual(scene.news(), ["put a/1"]);
  scene.failing = [];
  ok(await scene.take("critical", scene.checks()));
  deepEqual(scene.news(), [], "nothing else is critical: none was known to be");
  scene.failing = ["2"];
  await scene.take("critical", scene.checks());
  scene.failing = [];
  await scene.take("critical", scene.checks());
  deepEqual(scene.news(), ["put a/2"]);
  scene.failing = [""];
  await scene.take("warning", scene.checks());
  deepEqual(scene.news(), ["remove a/1 a/2"]);
});

Deno.test("an instance that goes together with its failing check isn't answered in between", async () => {
  const scene = new Scene();
  scene.services = ["1", "2"];
  scene.failing = ["2"];
  await scene.take("critical", scene.checks());
  await scene.take("node a", scene.node());
  scene.news();
  scene.asked.length = 0;
  // The list of what is critical is heard of before the node is.
  [scene.services, scene.failing, scene.index] = [["1"], [], 2];
  await scene.take("critical", scene.checks());
  deepEqual(scene.news(), []);
  deepEqual(scene.asked, [
    ...["/v1/health/node/a", "/v1/catalog/node-services/a"],
    "/v1/health/node/a",
    "/v1/catalog/node-services/a",
  ]);
});

Deno.test("an instance that is replaced while its checks are read, by one that fails, isn't answered", async () => {
  const scene = new Scene();
  scene.services = ["1", "2"];
  scene.failing = ["2"];
  await scene.take("node a", scene.node());
  scene.news();
  scene.failing = [];
  scene.before = (path) => {
    if (!path.includes("node-services") || scene.index > 1) return;
    [scene.failing, scene.index] = [["2"], 2];
  };
  await scene.take("node a", scene.node());
  deepEqual(scene.news(), []);
});

Deno.test("what was asked before isn't taken for what was read since", async () => {
  const scene = new Scene();
  scene.services = ["1"];
  const old = scene.node();
  [scene.services, scene.index] = [["1", "2"], 5];
  await scene.take("node a", scene.node());
  deepEqual(scene.news(), ["put a/1 a/2"]);
  await scene.take("node a", old);
  deepEqual(scene.news(), []);
  await scene.take("node a", { ...old, index: 3 }, false);
  deepEqual(scene.news(), ["remove a/2"], "another server, whose state is another one");
});

Deno.test("nodes come and go, and what went with one is gone", async () => {
  const scene = new Scene();
  scene.services = ["1"];
  await scene.take("node a", scene.node());
  const nodes = (names: readonly string[]) => {
    const document = names.map((Node) => ({ Node }));
    return scene.take("nodes", { ...scene.node(), document });
  };
  ok(await nodes(["a", "b"]));
  ok(scene.followed.has("node b"));
  scene.news();
  ok(await nodes(["b"]));
  deepEqual(scene.news(), ["remove a/1"]);
  equal(scene.followed.has("node a"), false);
  scene.nodesMax = 1;
  equal(await nodes(["b", "c"]), false);
  deepEqual(scene.gaveUp, ["there are too many"]);
});

Deno.test("nothing is taken away by answers of which a part may be kept from the token", async () => {
  for (const source of ["node a", "nodes", "critical", "warning"]) {
    const scene = new Scene();
    scene.services = ["1"];
    await scene.take("node a", scene.node());
    scene.news();
    [scene.services, scene.isFiltered] = [[], true];
    equal(await scene.take(source, scene.node()), false);
    deepEqual([scene.news(), scene.gaveUp.length], [[], 1], source);
  }
  const scene = new Scene();
  scene.services = ["1"];
  const whole = scene.node();
  scene.isFiltered = true;
  equal(await scene.take("node a", whole), false, "its checks");
  deepEqual([scene.news(), scene.gaveUp.length], [[], 1]);
});

Deno.test("what counted before isn't told again where a node says the same", async () => {
  const scene = new Scene();
  scene.services = ["1", "2"];
  const other = new Scene();
  other.services = ["1"];
  await other.take("node a", other.node());
  for (const instance of other.reading.instances) scene.left.set(instance.id, instance);
  scene.left.set("a/gone", null);
  await scene.take("node a", scene.node());
  deepEqual(scene.news(), ["put a/2"]);
  deepEqual([...scene.left.keys()], ["a/gone"]);
});
