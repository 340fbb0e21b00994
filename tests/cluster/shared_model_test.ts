/** @module Whole nodes that take over each other's documents, and those of other programs, over a real server. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { newKeyPair } from "../../src/cluster/signing.ts";
import { loadSettings, type Settings } from "../../src/settings/settings.ts";
import { pause } from "../clock.ts";
import { AuthoredRepository } from "../gitops/authored_repository.ts";
import { NatsServer } from "../nats/server.ts";
import { testWith } from "../programs.ts";
import { PublishingProgram } from "./publishing_program.ts";
import { askFor, call, startTestNode, TEST_SETTINGS, type TestNode } from "../test_node.ts";

/** A name with one member. */
const web = (ipAddress = "192.0.2.1", domain = "www.example.org") => ({
  pools: [{ name: "web", members: [{ ipAddress, port: 80 }] }],
  services: [{ domain, pool: "web" }],
});

testWith(
  ["nats-server"],
  "a model that is applied with cluster=true, or that a program publishes, is every node's",
  async () => {
    await using server = await NatsServer.start();
    await using a = await startTestNode(settingsOf("a", server));
    await using b = await startTestNode(settingsOf("b", server));
    await connected(a, b);
    equal((await call(a, "POST", "/apply?cluster=true", web())).status, 200);
    await has(b, "192.0.2.1");
    deepEqual(await exportOf(a), await exportOf(b));
    for (const node of [a, b]) {
      ok(!/a document/.test(await historyOf(node)), "a node takes over what another one published");
    }

    await using program = await PublishingProgram.connect(server);
    await program.publish(web("192.0.2.2"), { "Pleiades-Commit": "a1b2c3" });
    for (const node of [a, b]) await has(node, "192.0.2.2");
    for (const node of [a, b]) {
      const reasons = [
        ...(await historyOf(node)).matchAll(
          /a document of the cluster: commit a1b2c3, published /g,
        ),
      ];
      equal(reasons.length, 1);
    }

    // Each is named once, counted, and changes nothing.
    const wrong: readonly [RegExp, object, Readonly<Record<string, string>>][] = [
      [/document:1:\d+: /, { pools: 7 }, {}],
      [/The document's model is empty/, {}, {}],
      [/is encoded as \\"br\\"/, web(), { "Content-Encoding": "br" }],
      [/model in parts is missing/, {}, { "Pleiades-Model": "0".repeat(64) }],
      [/was published before the one that was taken last/, web("192.0.2.7"), { "Pleiades-Published": "1" }],
      [/would lose the last address: www/, { ...web(), pools: [{ name: "web" }] }, {}],
    ];
    for (const [reason, text, headers] of wrong) {
      await program.publish(text, headers);
      // By whichever node took it.
      const last = () =>
        [a, b].map(({ lines }) => lines.findLast((line) => line.includes("isn't taken over")) ?? "");
      await until(last, (lines) => lines.some((line) => reason.test(line)));
    }
    for (const node of [a, b]) deepEqual(await askFor(node, "www.example.org"), ["192.0.2.2"]);
    await program.publish(web("192.0.2.3"), {});
    for (const node of [a, b]) await has(node, "192.0.2.3");
  },
);

testWith(
  ["nats-server"],
  "a node that starts again leaves alone what was edited since the document",
  async () => {
    await using server = await NatsServer.start();
    const folder = await Deno.makeTempDir({ prefix: "pleiades-shared-" });
    try {
      const settings = { ...settingsOf("a", server), database: { path: `${folder}/a.db` } };
      await using program = await PublishingProgram.connect(server);
      {
        await using node = await startTestNode(settings);
        await connected(node);
        await program.publish(web(), {});
        await has(node, "192.0.2.1");
        await until(() => program.has("taken"), (has) => has);
        equal((await call(node, "POST", "/apply", web("192.0.2.9"))).status, 200);
      }
      await using node = await startTestNode(settings);
      await connected(node);
      await program.publish(web("192.0.2.4", "next.example.org"), {});
      await has(node, "192.0.2.4", "next.example.org");
      const via = [...(await historyOf(node)).matchAll(/"via":"(\w+)"/g)].map(([, via]) => via);
      deepEqual(via, ["cluster", "api", "cluster"]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

testWith(
  ["nats-server"],
  "in a cluster that signs, the server's password alone changes no answer",
  async () => {
    await using server = await NatsServer.start();
    const { privateKey, publicKey } = await newKeyPair();
    const signed = (id: string, key: string | null) => {
      const { state, ...rest } = settingsOf(id, server);
      return { ...rest, state: { ...state, signing: { key, keys: [publicKey] } } };
    };
    await using a = await startTestNode(signed("a", privateKey));
    await using b = await startTestNode(signed("b", null));
    await connected(a, b);
    equal((await call(a, "POST", "/apply?cluster=true", web())).status, 200);
    await has(b, "192.0.2.1");
    await using program = await PublishingProgram.connect(server);
    await program.publish(web("198.51.100.66"), {});
    for (const node of [a, b]) {
      await until(
        () => node.lines.join("\n"),
        (lines) => /The document isn't believed: it isn't signed/.test(lines),
      );
      await until(
        () => metricsOf(node),
        (text) => /pleiades_cluster_refused_total\{[^}]*reason="unsigned"\} 1/.test(text),
      );
      deepEqual(await askFor(node, "www.example.org"), ["192.0.2.1"]);
    }

    // Nor do entries of the log: without a signature, with that of another one, or once more what was signed.
    const entry = await program.entry(1);
    const changed = new TextEncoder().encode(
      new TextDecoder().decode(entry.bytes).replaceAll("192.0.2.1", "192.0.2.6").replace(/"id":"./, '"id":"'),
    );
    await program.enter({ bytes: entry.bytes, headers: {} });
    await program.enter({ bytes: changed, headers: entry.headers });
    await program.enter(entry);
    equal((await call(a, "POST", "/apply", web("192.0.2.5"))).status, 200);
    for (const node of [a, b]) {
      await has(node, "192.0.2.5");
      const metrics = await metricsOf(node);
      match(metrics, /pleiades_cluster_refused_total\{[^}]*reason="unsigned"\} [2-9]/);
      match(metrics, /pleiades_cluster_refused_total\{[^}]*reason="forged"\} [1-9]/);
      equal(node.lines.filter((line) => /of the cluster's log isn't believed/.test(line)).length, 2);
    }

    // Without a key it can't speak to the others.
    const refused = await call(b, "POST", "/apply?cluster=true", web());
    deepEqual([refused.status, /this node has no key/.test(JSON.stringify(refused.json))], [503, true]);
  },
);

testWith(["nats-server", "git"], "gitops.publish publishes each commit that is applied, once", async () => {
  await using server = await NatsServer.start();
  using authored = new AuthoredRepository();
  const first = authored.commit({ "web.yaml": JSON.stringify(web()) });
  const gitops = gitopsOf(`file://${authored.folder}/.git`);
  await using program = await PublishingProgram.connect(server);
  {
    await using a = await startTestNode({ ...settingsOf("a", server), gitops });
    await until(() => program.document(), (document) => document?.commit === first);
    equal((await program.document())!.text, await modelOf(a));
    const second = authored.commit({ "web.yaml": JSON.stringify(web("192.0.2.2")) });
    equal((await call(a, "POST", "/gitops/sync")).status, 200);
    await until(() => program.document(), (document) => document?.commit === second);
    await has(a, "192.0.2.2");
  }
  // What a program published since stays, also for a node that starts with the same commit.
  const later = { "Pleiades-Commit": "c0ffee", "Pleiades-Published": String(Date.now() + 60_000) };
  await program.publish(web("192.0.2.3"), later);
  await using again = await startTestNode({ ...settingsOf("a", server), gitops });
  await until(
    async () => JSON.stringify((await call(again, "GET", "/gitops")).json),
    (json) => /"state":"(synced|drifted)"/.test(json),
  );
  await connected(again);
  equal((await program.document())!.commit, "c0ffee");
});

Deno.test("where there is no cluster, or no connection, cluster=true is refused before anything is applied", async () => {
  await using alone = await startTestNode();
  equal((await call(alone, "POST", "/apply?cluster=true", web())).status, 409);
  await using cutOff = await startTestNode({
    ...TEST_SETTINGS,
    state: { ...TEST_SETTINGS.state, nats: { ...TEST_SETTINGS.state.nats, servers: ["nats://127.0.0.1:1"] } },
  });
  equal((await call(cutOff, "POST", "/apply?cluster=true", web())).status, 503);
  for (const node of [alone, cutOff]) deepEqual((await call(node, "GET", "/pools")).json, []);
});

function settingsOf(id: string, { url }: NatsServer): Settings {
  return {
    ...TEST_SETTINGS,
    cluster: { id: "test" },
    node: { ...TEST_SETTINGS.node, id },
    state: {
      ...TEST_SETTINGS.state,
      heartbeatInterval: 200,
      heartbeatTTL: 2_000,
      nats: { ...TEST_SETTINGS.state.nats, servers: [url] },
    },
  };
}

/** A repository that is looked at when it is asked for. */
function gitopsOf(repoURL: string): Settings["gitops"] {
  const file = Deno.makeTempFileSync({ suffix: ".yaml" });
  try {
    Deno.writeTextFileSync(
      file,
      `state: { nats: { servers: ["nats://127.0.0.1:1"] } }\n` +
        `gitops: { repoURL: "${repoURL}", pollInterval: 1h, requireSignature: false, publish: true }\n`,
    );
    return loadSettings({ file, env: {}, flags: { db: ":memory:" } }).settings!.gitops;
  } finally {
    Deno.removeSync(file);
  }
}

async function modelOf(node: TestNode): Promise<string> {
  return await (await fetch(`${node.api}/model`, { headers: { accept: "application/yaml" } })).text();
}

/** Waits until they can publish. */
async function connected(...nodes: readonly TestNode[]): Promise<void> {
  for (const node of nodes) {
    const tried = () => call(node, "POST", "/apply?cluster=true&dryRun=true", web());
    await until(async () => (await tried()).status, (status) => status === 200);
  }
}

async function has(node: TestNode, address: string, name = "www.example.org"): Promise<void> {
  await until(async () => await askFor(node, name), ([found]) => found === address);
}

async function exportOf(node: TestNode): Promise<unknown> {
  return (await call(node, "GET", "/model")).json;
}

/** The newest first. */
async function historyOf(node: TestNode): Promise<string> {
  return JSON.stringify((await call(node, "GET", "/history")).json);
}

async function metricsOf(node: TestNode): Promise<string> {
  return await (await fetch(new URL("/metrics", node.api))).text();
}

/** How long anything may take; far longer than it does. */
const PATIENCE_MS = 120_000;

async function until<Value>(
  look: () => Value | Promise<Value>,
  wanted: (value: Value) => boolean,
): Promise<void> {
  const fromMs = performance.now();
  for (let turn = 0;; turn++) {
    const value = await look();
    if (wanted(value)) return;
    if (performance.now() - fromMs > PATIENCE_MS) throw new Error(`It stays ${JSON.stringify(value)}`);
    await pause(turn);
  }
}
