/** @module A license that holds for all nodes of a cluster together. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { LicenseGate } from "../../src/license/gate.ts";
import { Licensing, LOOK_MS } from "../../src/license/licensing.ts";
import { type ClusterNodes, HOLD_MS, NodePart, rateOfPart } from "../../src/license/share.ts";
import { issueToken } from "../../src/license/token.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import type { Settings } from "../../src/settings/settings.ts";
import { ManualClock } from "../clock.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { call, startTestNode, TEST_SETTINGS, type TestNode, until } from "../test_node.ts";

const TTL_MS = 3_000;
const SECRET = "canary-secret-4f1d9b72";

Deno.test("the parts of a rate are even, and together the rate", () => {
  for (const rate of [1, 2, 50, 999, 1_000, 1_000_000_000]) {
    for (let of = 1; of <= 7; of++) {
      const parts = Array.from({ length: of }, (_, index) => rateOfPart(rate, { index, of }));
      equal(parts.reduce((sum, part) => sum + part), rate);
      ok(Math.max(...parts) - Math.min(...parts) <= 1);
      deepEqual(parts, parts.toSorted((a, b) => b - a), "the first ones get what can't be split");
    }
  }
});

Deno.test("a smaller part counts at once, a larger one when the others had time", async () => {
  const clock = new ManualClock();
  const nodes = new SaidNodes(["b"]);
  const part = new NodePart({ node: "b", configured: null, clock });
  equal(part.look(nodes), false);
  nodes.ids = ["a", "b"];
  equal(part.look(nodes), true);
  deepEqual(part.part, { index: 1, of: 2 });
  nodes.ids = ["b"];
  equal(part.look(nodes), false);
  await clock.advance(1_999);
  equal(part.look(nodes), false);
  await clock.advance(1);
  equal(part.look(nodes), true);
  deepEqual(part.part, { index: 0, of: 1 });
  // One that goes and comes back in between has given nobody more.
  nodes.ids = ["a", "b"];
  part.look(nodes);
  for (let round = 0; round < 5; round++) {
    nodes.ids = ["b"];
    equal(part.look(nodes), false);
    await clock.advance(HOLD_MS - 1);
    nodes.ids = ["a", "b"];
    equal(part.look(nodes), false);
  }
});

Deno.test("a node that is cut off keeps its part while others believe in it, and then takes one of all", async () => {
  const rows = [
    { configured: null, seen: ["a", "b", "c"], before: { index: 1, of: 3 }, after: { index: 2, of: 3 } },
    { configured: 5, seen: ["a", "b", "c"], before: { index: 1, of: 3 }, after: { index: 4, of: 5 } },
    { configured: 2, seen: ["a", "b", "c"], before: { index: 1, of: 3 }, after: { index: 2, of: 3 } },
  ];
  for (const { configured, seen, before, after } of rows) {
    const clock = new ManualClock();
    const nodes = new SaidNodes(seen);
    const part = new NodePart({ node: "b", configured, clock });
    part.look(nodes);
    await clock.advance(HOLD_MS);
    part.look(nodes);
    deepEqual(part.part, before);
    nodes.ids = ["b"];
    nodes.connected = false;
    part.look(nodes);
    await clock.advance(TTL_MS - 1);
    part.look(nodes);
    deepEqual(part.part, before);
    await clock.advance(1);
    part.look(nodes);
    deepEqual(part.part, after);
    // Back again: it hears the others soon, and takes no more before.
    nodes.connected = true;
    part.look(nodes);
    deepEqual(part.part, after);
  }
});

Deno.test("a node that starts has one part of all, before it hears of any", () => {
  const clock = new ManualClock();
  deepEqual(new NodePart({ node: "b", configured: 3, clock }).part, { index: 2, of: 3 });
  deepEqual(new NodePart({ node: "b", configured: null, clock }).part, { index: 0, of: 1 });
});

Deno.test("over random comings and goings nodes that hear each other never give more than the license", async () => {
  let state = 7;
  const draw = (below: number) => (state = Math.imul(state, 1_664_525) + 1_013_904_223 >>> 0) % below;
  const clock = new ManualClock();
  const ids = ["a", "b", "c", "d"];
  const nodes = ids.map((node) => ({
    node,
    seen: new SaidNodes([node]),
    part: new NodePart({ node, configured: ids.length, clock }),
    isThere: true,
  }));
  for (let step = 0; step < 2_000; step++) {
    const one = nodes[draw(nodes.length)]!;
    const isBlip = one.isThere && draw(2) === 0;
    if (!isBlip) {
      one.isThere = !one.isThere;
      // It starts again with a part of all.
      if (one.isThere) one.part = new NodePart({ node: one.node, configured: ids.length, clock });
    }
    const there = nodes.filter(({ isThere }) => isThere);
    const sumOf = () => there.reduce((sum, { part }) => sum + rateOfPart(1_000, part.part), 0);
    if (isBlip) {
      // Its connection is another one, and it hears of the others a little later.
      one.seen.ids = [one.node];
      for (let look = 0; look < 3; look++) {
        one.part.look(one.seen);
        await clock.advance(draw(250));
      }
      ok(sumOf() <= 1_000, `${sumOf()} in step ${step}`);
    }
    for (const { seen, part } of there.toSorted(() => draw(3) - 1)) {
      seen.ids = there.map(({ node }) => node);
      part.look(seen);
      if (draw(4) === 0) await clock.advance(draw(250));
    }
    for (const { seen, part } of there) part.look(seen);
    ok(sumOf() <= 1_000, `${sumOf()} in step ${step}`);
    if (draw(3) === 0) await clock.advance(draw(5_000));
  }
});

Deno.test("a worker gives this node's part, and no answer more", async () => {
  const clock = new ManualClock();
  const nodes = new SaidNodes(["a", "b", "c"]);
  const iat = 1_767_225_600;
  const key = issueToken({ tier: "paid", maxRps: 100, iat, exp: iat + 86_400, id: "x" }, SECRET);
  const lines: string[] = [];
  const settings = {
    license: { secret: [SECRET], key, keyFault: null, scope: "cluster" as const },
    node: { id: "a" },
    state: { nodes: 3 },
  };
  await using licensing = new Licensing({
    settings: () => settings,
    log: createLogger({ level: "info", format: "json", clock, write: (line) => void lines.push(line) }),
    ...{ registry: new Registry({}), clock, nodes: () => nodes },
  });
  const gate = new LicenseGate(licensing.allowance, () => clock.unixMs());
  const answered = () => {
    gate.begin(64);
    let count = 0;
    for (let i = 0; i < 200; i++) {
      if (!gate.admits()) continue;
      gate.spend();
      count++;
    }
    gate.end();
    return count;
  };
  equal(answered(), 33);
  for (let second = 0; second * LOOK_MS <= HOLD_MS; second++) await clock.advance(LOOK_MS);
  // The first of them has what can't be split.
  equal(answered(), 34);
  equal(licensing.status().limit, 34);
  nodes.ids = ["a", "b", "c", "d"];
  nodes.tell();
  await clock.advance(LOOK_MS);
  equal(answered(), 25);
  ok(lines.some((line) => /"limit":25,"nodes":4/.test(line)), lines.join("\n"));
  const ended = licensing[Symbol.asyncDispose]();
  await clock.advance(0);
  await ended;
});

testWith(
  ["nats-server"],
  "the nodes of a cluster share a license over a real server, and each keeps its part without",
  async () => {
    await using server = await NatsServer.start();
    await using a = await startTestNode(settingsOf("a", server));
    await using b = await startTestNode(settingsOf("b", server));
    for (const [node, limit] of [[a, 501], [b, 500]] as const) {
      await until(
        () => limitOf(node),
        (now) => now === limit,
      );
    }
    await server.kill();
    for (const node of [a, b]) await until(() => limitOf(node), (now) => now === 500);
  },
);

/** Nodes of which the test says who is there. */
class SaidNodes implements ClusterNodes {
  ids: readonly string[];
  connected = true;
  readonly ttlMs = TTL_MS;
  #listener: () => void = () => {};

  constructor(ids: readonly string[]) {
    this.ids = ids;
  }

  active(): readonly string[] {
    return this.ids;
  }

  isConnected(): boolean {
    return this.connected;
  }

  subscribe(listener: () => void): Disposable {
    this.#listener = listener;
    return { [Symbol.dispose]: () => {} };
  }

  tell(): void {
    this.#listener();
  }
}

function settingsOf(id: string, { url }: NatsServer): Settings {
  const { state, node, ...rest } = TEST_SETTINGS;
  const iat = Math.floor(Date.now() / 1000);
  const key = issueToken({ tier: "paid", maxRps: 1_001, iat, exp: iat + 3_600, id: "x" }, SECRET);
  return {
    ...rest,
    node: { ...node, id },
    license: { secret: [SECRET], key, keyFault: null, scope: "cluster" },
    state: {
      ...state,
      ...{ nodes: null, heartbeatInterval: 100, heartbeatTTL: 500 },
      nats: { ...state.nats, servers: [url] },
    },
  };
}

async function limitOf(node: TestNode): Promise<number | null> {
  const { json } = await call(node, "GET", "/status");
  return (json as { readonly license: { readonly limit: number | null } }).license.limit;
}
