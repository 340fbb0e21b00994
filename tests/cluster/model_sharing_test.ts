/** @module Who takes a document for all, over a real server. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Kvm } from "@nats-io/kv";
import { systemClock } from "../../src/clock.ts";
import { openConfigBucket } from "../../src/cluster/config_bucket.ts";
import { ModelSharing } from "../../src/cluster/model_sharing.ts";
import { Trust } from "../../src/cluster/trust.ts";
import { Registry } from "../../src/telemetry/metrics.ts";
import { pause } from "../clock.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { listLogger } from "../replace/list_logger.ts";
import { PublishingProgram } from "./publishing_program.ts";

/** Nodes that don't see each other, and so take every document at once. */
const NODES = ["a", "b", "c"];
const DOCUMENTS = 20;

testWith(["nats-server"], "a document is taken once, though no node sees another one", async () => {
  await using server = await NatsServer.start();
  await using program = await PublishingProgram.connect(server);
  const taken: string[] = [];
  let last = "";
  const running = NODES.map((name) => {
    const ended = new AbortController();
    const node = sharingOf(name, (commit) => {
      taken.push(commit);
      last = name;
    });
    return { name, node, ended, session: node.session(program.connection, ended.signal) };
  });
  const published: string[] = [];
  const publish = async () => {
    const commit = `c${published.length}`;
    published.push(commit);
    await program.publish({ n: published.length }, { "Pleiades-Commit": commit });
    await until(() => taken.includes(commit));
  };
  try {
    await until(() => running.every(({ node }) => node.isConnected));
    for (let n = 0; n < DOCUMENTS; n++) await publish();
    // Whoever was overtaken hears of the next one, though it looks by itself but once in a minute.
    running.find(({ name }) => name === last)!.ended.abort();
    await publish();
    deepEqual(taken, published);
  } finally {
    for (const { ended } of running) ended.abort();
    await Promise.all(running.map(({ session }) => session));
  }
});

testWith(["nats-server"], "a key is written over what was seen, or not at all", async () => {
  await using server = await NatsServer.start();
  await using program = await PublishingProgram.connect(server);
  const { connection } = program;
  const needs = { clock: systemClock, signal: new AbortController().signal };
  const bucket = await openConfigBucket(connection, { bucket: "gslb_test_config", domain: null }, needs);
  const bytes = (text: string) => new TextEncoder().encode(text);
  const text = async () => new TextDecoder().decode((await bucket.get("taken"))?.value);
  const both = await Promise.all(["1", "2"].map((value) => bucket.putOver("taken", bytes(value), null)));
  const first = both.find((revision) => revision !== null)!;
  deepEqual(both.map((revision) => revision === null).toSorted(), [false, true]);
  equal(await bucket.putOver("taken", bytes("3"), null), null);
  const second = await bucket.putOver("taken", bytes("4"), { revision: first });
  equal(await text(), "4");
  equal(await bucket.putOver("taken", bytes("5"), { revision: first }), null);
  equal(await bucket.putOver("taken", bytes("6"), { revision: second! }), second! + 1);
  // Deleted by hand.
  await new Kvm(connection).open("gslb_test_config").then((kv) => kv.delete("taken"));
  equal(await bucket.get("taken"), null);
  equal(typeof await bucket.putOver("taken", bytes("7"), null), "number");
  equal(await text(), "7");
});

function sharingOf(node: string, onTaken: (commit: string) => void): ModelSharing {
  const { log } = listLogger();
  const registry = new Registry({});
  return new ModelSharing({
    ...{ clock: systemClock, log, registry },
    terms: { cluster: "test", node, domain: null, lookMs: 60_000 },
    trust: new Trust({ signing: null, log, registry }),
    taker: {
      take: ({ commit }) => {
        onTaken(commit);
        return Promise.resolve({ kind: "applied", changed: true, generation: 1 });
      },
      text: () => ({ generation: 1, type: "application/yaml", body: [], [Symbol.dispose]: () => {} }),
      lastPublishedMs: () => 0,
      turnMs: () => 0,
      toPublish: () => null,
    },
  });
}

/** Far longer than anything takes, and less than a node waits before it looks by itself. */
const PATIENCE_MS = 30_000;

async function until(isSo: () => boolean): Promise<void> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (let turn = 0; !isSo(); turn++) {
    ok(performance.now() < untilMs, "It doesn't come");
    await pause(turn);
  }
}
